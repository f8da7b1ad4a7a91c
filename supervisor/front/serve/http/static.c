// SPDX-License-Identifier: Apache-2.0
/* The dashboard's files, and the table of what belongs to no API. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/sha256.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/serve/http/internal.h"

#define FILE_MAX (4u << 20)
#define NAME_MAX_LEN 100
/* As Prometheus reads it. */
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

static int metrics(struct http_request *r, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;

	text = capability_metrics(r->f, &len);
	if (!text)
		return err_set(e, ERR_SYSTEM, ENOMEM, "metrics");
	http_text(r, MHD_HTTP_OK, METRICS_TYPE, text, len);
	return 0;
}

void http_metrics(struct front *f, FILE *out)
{
	const struct http *h = f->serve->http;

	if (!h)
		return;
	metric_head(out, "http_responses_total", "counter",
		    "Answers by HTTP status; since this front started.");
	for (unsigned i = 0; i < HTTP_STATUS_MAX; i++)
		if (h->answers[i])
			(void)fprintf(out, "sandboxd_http_responses_total{code=\"%u\"} %llu\n", i,
				      (unsigned long long)h->answers[i]);
	metric_one(out, "http_connections", "gauge", "Open HTTP connections.", h->n_conns);
	metric_one(out, "http_log_streams", "gauge", "Logs that are being read over HTTP.",
		   h->n_streams);
}

static const struct {
	const char *suffix, *type;
} types[] = {
	{".html", "text/html; charset=utf-8"}, {".js", "text/javascript; charset=utf-8"},
	{".css", "text/css; charset=utf-8"},   {".svg", "image/svg+xml"},
	{".json", "application/json"},
};

static const char *type_of(const char *name)
{
	const char *suffix = strrchr(name, '.');

	for (size_t i = 0; suffix && i < ARRAY_SIZE(types); i++)
		if (strcmp(types[i].suffix, suffix) == 0)
			return types[i].type;
	return NULL;
}

static bool name_is_good(const char *name)
{
	return *name != '.' && strlen(name) <= NAME_MAX_LEN &&
	       name[strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				 "0123456789._-")] == '\0';
}

static int make_etag(const char *text, size_t len, char etag[40])
{
	uint8_t digest[32];
	char hex[65];

	if (sha256(text, len, digest) < 0)
		return -EIO;
	util_hex(digest, sizeof(digest), hex);
	(void)snprintf(etag, 40, "\"%.32s\"", hex);
	return 0;
}

static int serve(struct http_request *r, int dirfd, const char *name, struct err *e)
{
	const char *type = type_of(name), *known = http_header(r, MHD_HTTP_HEADER_IF_NONE_MATCH);
	_cleanup_free_ char *text = NULL;
	unsigned status = MHD_HTTP_OK;
	char etag[40];
	size_t len = 0;

	if (!type || !name_is_good(name) ||
	    util_read_file_at(dirfd, name, FILE_MAX, &text, &len) < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found");
	if (make_etag(text, len, etag) < 0)
		return err_set(e, ERR_SYSTEM, 0, "the file's digest");
	if (known && strstr(known, etag)) {
		status = MHD_HTTP_NOT_MODIFIED;
		len = 0;
	}
	http_respond_page(http_exchange_of(r), status, type, etag,
			  MHD_create_response_from_buffer(len, text, MHD_RESPMEM_MUST_COPY));
	return 0;
}

static int check_there(const struct http_request *r, struct err *e)
{
	if (r->f->cfg.dashboard_dirfd >= 0)
		return 0;
	return err_set(e, ERR_NOT_FOUND, 0,
		       "the dashboard is not installed: `make install` puts it into "
		       "PREFIX/share/sandboxd/dashboard; start sandboxd again then");
}

static int dashboard_index(struct http_request *r, struct err *e)
{
	int status = check_there(r, e);

	return status < 0 ? status : serve(r, r->f->cfg.dashboard_dirfd, "index.html", e);
}

static int dashboard_file(struct http_request *r, struct err *e)
{
	_cleanup_fd_ int dirfd = -1;
	int status = check_there(r, e);

	if (status < 0)
		return status;
	if (!r->parts[1])
		return serve(r, r->f->cfg.dashboard_dirfd, r->parts[0], e);
	if (name_is_good(r->parts[0]))
		dirfd = openat(r->f->cfg.dashboard_dirfd, r->parts[0],
			       O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dirfd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "Not found");
	return serve(r, dirfd, r->parts[1], e);
}

const struct http_route http_routes_node[] = {
	{"GET", "/", WHO_ANYBODY, .fn = dashboard_index},
	{"GET", "/dashboard", WHO_ANYBODY, .fn = dashboard_index},
	{"GET", "/dashboard/{}", WHO_ANYBODY, .fn = dashboard_file},
	{"GET", "/dashboard/{}/{}", WHO_ANYBODY, .fn = dashboard_file},
	{"GET", "/metrics", WHO_OPERATOR, .fn = metrics},
	{NULL},
};
