// SPDX-License-Identifier: Apache-2.0
/* Requests to the daemon's HTTP API, made with libcurl. */
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant.h"

#define CONNECT_MS 10000L
#define ANSWER_S 330L /* the longest that the server may take: it waits 300 s for a `sync` task */
#define BUSY_FOR_NS (30 * SEC)
#define QUIET_S 60L /* an event stream sends something every 15 s */

/* A request that is under way. */
struct exchange {
	struct tenant *tenant;
	char *body; /* ours; NULL when fn takes the answer */
	size_t len, room;
	tenant_body_fn fn;
	void *arg;
	int status; /* what fn returned, or an error about too long a body */
	struct curl_slist *headers;
	bool bar; /* the progress bar was drawn */
};

char *tenant_escape(struct tenant *tenant, const char *s)
{
	char *escaped = curl_easy_escape(tenant->curl, s, 0), *copy;

	/* Copied, so that it can be freed with free(). */
	copy = escaped ? strdup(escaped) : NULL;
	curl_free(escaped);
	return copy;
}

static size_t take_body(char *bytes, size_t size, size_t n, void *arg)
{
	struct exchange *x = arg;
	long status = 0;

	n *= size;
	(void)curl_easy_getinfo(x->tenant->curl, CURLINFO_RESPONSE_CODE, &status);
	if (x->fn && status == 200) {
		x->status = x->fn(x->arg, bytes, n);
		return x->status ? 0 : n;
	}
	if (x->len + n > TENANT_REPLY_MAX) {
		x->status = -EMSGSIZE;
		return 0;
	}
	if (x->len + n + 1 > x->room) {
		size_t room = 2 * (x->len + n) + 1024;
		char *more = realloc(x->body, room);

		if (!more) {
			x->status = -ENOMEM;
			return 0;
		}
		x->body = more;
		x->room = room;
	}
	memcpy(x->body + x->len, bytes, n);
	x->len += n;
	x->body[x->len] = '\0';
	return n;
}

static bool is_loopback(const char *host)
{
	return strncmp(host, "127.", 4) == 0 || strcmp(host, "localhost") == 0 ||
	       strcmp(host, "[::1]") == 0;
}

static int set_up(struct exchange *x, const char *method, const char *path, struct err *e)
{
	const struct client_config *c = &x->tenant->c;
	CURL *curl = x->tenant->curl;
	_cleanup_free_ char *url = NULL;
	int n;

	if (path[0] == '/' && path[1] == '/')
		n = asprintf(&url, "%s://%s:%u%s", c->scheme, c->host, c->port, path + 1);
	else
		n = asprintf(&url, "%s://%s:%u/api/projects/%s%s", c->scheme, c->host, c->port,
			     c->project_id, path);
	if (n < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	curl_easy_reset(curl);
	x->tenant->error[0] = '\0';
	x->headers = curl_slist_append(x->headers, x->tenant->token_header);
	/* curl_easy_setopt fails only for options that this libcurl does not have. */
	(void)curl_easy_setopt(curl, CURLOPT_URL, url);
	(void)curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	(void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)curl_easy_setopt(curl, CURLOPT_USERAGENT, "sandboxctl/" SANDBOXD_VERSION);
	(void)curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS);
	(void)curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, x->tenant->error);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
	(void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, x);
	/* No proxy: to a proxy, loopback is another machine. */
	if (is_loopback(c->host))
		(void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
	return 0;
}

static void clean_up(struct exchange *x)
{
	curl_slist_free_all(x->headers);
	free(x->body);
}

/* Makes an error of what libcurl could not do. */
static int fail_transport(struct exchange *x, CURLcode code, struct err *e)
{
	const struct client_config *c = &x->tenant->c;
	const char *why = *x->tenant->error ? x->tenant->error : curl_easy_strerror(code);

	if (x->status == -EMSGSIZE)
		return err_set(e, ERR_LIMIT, 0, "the answer has more than %u MiB",
			       TENANT_REPLY_MAX >> 20);
	if (x->status)
		return err_set(e, ERR_SYSTEM, x->status < 0 ? -x->status : EIO, "the answer");
	if (code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "no daemon answers at %s://%s:%u (%s): is sandboxd running, and is "
			       "this the \"host\" and \"port\" of its --http?",
			       c->scheme, c->host, c->port, why);
	(void)err_set(e, ERR_UNAVAILABLE, 0, "%s://%s:%u: %s", c->scheme, c->host, c->port, why);
	return -ECONNRESET;
}

static enum err_code code_of(long status)
{
	switch (status) {
	case 401:
	case 403:
		return ERR_DENIED;
	case 404:
		return ERR_NOT_FOUND;
	case 409:
		return ERR_CONFLICT;
	case 413:
	case 429:
	case 507:
		return ERR_LIMIT;
	case 503:
		return ERR_UNAVAILABLE;
	default:
		return status >= 500 ? ERR_INTERNAL : ERR_INPUT;
	}
}

/* Where a fault is in the request's JSON says nothing to a user who gave options. For a request
 * about one task or schedule, only the member's name is left. */
static const char *without_place(const char *msg)
{
	static const char *const places[] = {"request: tasks[0].", "request: schedules[0].",
					     "request: ", "data: "};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (strncmp(msg, places[i], strlen(places[i])) == 0)
			return msg + strlen(places[i]);
	return msg;
}

/* What the command's words and a .worker file call a member of a request; NULL: the same. */
static const char *called_here(const char *msg, size_t len)
{
	static const struct {
		const char *member, *here;
	} members[] = {
		{"code_name", "NAME"},
		{"run_every", "--run-every"},
		{"run_times", "--run-times"},
		{"start_at", "--start-at"},
		{"end_at", "--end-at"},
		{"max_concurrency", "--max-concurrency"},
		{"retries_delay", "--retries-delay"},
		{"default_priority", "--default-priority"},
		{"file_name", "exec"},
		{"env_vars", "set_env"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (strlen(members[i].member) == len && memcmp(msg, members[i].member, len) == 0)
			return members[i].here;
	return NULL;
}

/* Makes an error of a refusal, in the server's words about the request, or in the command's. */
static int fail_refused(long status, const char *msg, struct err *e)
{
	const char *text = without_place(msg);
	const size_t len = strcspn(text, ":.");
	const char *here = called_here(text, len);

	return err_set(e, code_of(status), 0, "%s%s", here ? here : "", here ? text + len : text);
}

/* Makes an error of an answer that is none to what was asked for. */
static int fail_status(struct exchange *x, long status, struct err *e)
{
	json_auto_t *reply = x->body ? json_loadb(x->body, x->len, 0, NULL) : NULL;
	const char *msg = ctl_text(reply, "msg");

	if (status == 401)
		return err_set(e, ERR_DENIED, 0,
			       "the token of %s is not one of project %s, or was revoked%s%s",
			       x->tenant->c.token_from, x->tenant->c.project_id, *msg ? ": " : "",
			       msg);
	/* The server does not tell whether such a project exists. */
	if (status == 404 && strcmp(msg, "Not found") == 0)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "there is no project %s, or the token of %s is not one of it",
			       x->tenant->c.project_id, x->tenant->c.token_from);
	if (*msg)
		return fail_refused(status, msg, e);
	return err_set(e, code_of(status), 0, "%s:%u answers with HTTP status %ld: is it sandboxd?",
		       x->tenant->c.host, x->tenant->c.port, status);
}

/* How many seconds to wait for a server that is busy. */
static long retry_after(struct tenant *tenant)
{
	curl_off_t seconds = 0;

	(void)curl_easy_getinfo(tenant->curl, CURLINFO_RETRY_AFTER, &seconds);
	return seconds < 1 ? 1 : seconds > 5 ? 5 : (long)seconds;
}

/* Performs the request, again and again while the server is busy. *ret: the HTTP status. */
static int perform(struct exchange *x, long *ret, struct err *e)
{
	uint64_t give_up = util_monotonic_ns() + BUSY_FOR_NS;
	CURLcode code;

	for (;;) {
		x->len = 0;
		code = curl_easy_perform(x->tenant->curl);
		if (x->bar)
			fputs("\r\x1b[K", stderr);
		x->bar = false;
		if (code != CURLE_OK)
			return fail_transport(x, code, e);
		(void)curl_easy_getinfo(x->tenant->curl, CURLINFO_RESPONSE_CODE, ret);
		if ((*ret != 503 && *ret != 429) || util_monotonic_ns() > give_up)
			return 0;
		(void)poll(NULL, 0, (int)retry_after(x->tenant) * 1000);
	}
}

/* Reads the answer's JSON. */
static int take_reply(struct exchange *x, json_t **ret, struct err *e)
{
	json_error_t where;
	long status = 0;
	json_t *reply;
	int r = perform(x, &status, e);

	if (r < 0)
		return r;
	if (status < 200 || status > 299)
		return fail_status(x, status, e);
	reply = json_loadb(x->body ? x->body : "", x->len, JSON_REJECT_DUPLICATES, &where);
	if (!reply)
		return err_set(e, ERR_INTERNAL, 0,
			       "%s:%u does not answer with JSON: is it sandboxd?",
			       x->tenant->c.host, x->tenant->c.port);
	if (ret)
		*ret = reply;
	else
		json_decref(reply);
	return 0;
}

int tenant_call(struct tenant *tenant, const char *method, const char *path, json_t *body,
		json_t **ret, struct err *e)
{
	_cleanup_free_ char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
	struct exchange x = {.tenant = tenant};
	int r;

	json_decref(body);
	if (body && !text)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	r = set_up(&x, method, path, e);
	if (r == 0 && strcmp(method, "GET") != 0) {
		x.headers = curl_slist_append(x.headers, "Content-Type: application/json");
		(void)curl_easy_setopt(tenant->curl, CURLOPT_POSTFIELDS, text ? text : "{}");
	}
	(void)curl_easy_setopt(tenant->curl, CURLOPT_HTTPHEADER, x.headers);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_TIMEOUT, ANSWER_S);
	if (r == 0)
		r = take_reply(&x, ret, e);
	clean_up(&x);
	return r;
}

int tenant_stream(struct tenant *tenant, const char *path, const char *header, tenant_body_fn fn,
		  void *arg, struct err *e)
{
	struct exchange x = {.tenant = tenant, .fn = fn, .arg = arg};
	long status = 0;
	int r = set_up(&x, "GET", path, e);

	if (header)
		x.headers = curl_slist_append(x.headers, header);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_HTTPHEADER, x.headers);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_LOW_SPEED_TIME, QUIET_S);
	if (r == 0)
		r = perform(&x, &status, e);
	if (x.status)
		r = x.status; /* what fn returned, and not libcurl's error about it */
	else if (r == 0 && status != 200)
		r = fail_status(&x, status, e);
	clean_up(&x);
	return r;
}

/* Shows bytes and percent, only on a terminal. */
static int draw_bar(void *arg, curl_off_t down_total, curl_off_t down, curl_off_t total,
		    curl_off_t now)
{
	struct exchange *x = arg;
	char done[24], all[24];

	(void)down_total;
	(void)down;
	if (total <= 0)
		return 0;
	ctl_format_size(done, sizeof(done), (double)now);
	ctl_format_size(all, sizeof(all), (double)total);
	fprintf(stderr, "\ruploading %3d %%  %s of %s\x1b[K", (int)(now * 100 / total), done, all);
	x->bar = true;
	return 0;
}

static size_t read_zip(char *buf, size_t size, size_t n, void *arg)
{
	ssize_t got;

	do {
		got = read(*(int *)arg, buf, size * n);
	} while (got < 0 && errno == EINTR);
	return got < 0 ? CURL_READFUNC_ABORT : (size_t)got;
}

static int seek_zip(void *arg, curl_off_t offset, int origin)
{
	return lseek(*(int *)arg, offset, origin) < 0 ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

int tenant_upload(struct tenant *tenant, json_t *data, int zip_fd, uint64_t size, json_t **ret,
		  struct err *e)
{
	_cleanup_free_ char *text = json_dumps(data, JSON_COMPACT);
	struct exchange x = {.tenant = tenant};
	curl_mime *mime;
	curl_mimepart *part;
	int r = set_up(&x, "POST", "/codes", e);

	json_decref(data);
	if (r < 0 || !text) {
		clean_up(&x);
		return r < 0 ? r : err_set(e, ERR_SYSTEM, ENOMEM, "upload");
	}
	mime = curl_mime_init(tenant->curl);
	part = curl_mime_addpart(mime);
	(void)curl_mime_name(part, "data");
	(void)curl_mime_data(part, text, CURL_ZERO_TERMINATED);
	(void)curl_mime_type(part, "application/json");
	part = curl_mime_addpart(mime);
	(void)curl_mime_name(part, "file");
	(void)curl_mime_filename(part, "package.zip");
	(void)curl_mime_type(part, "application/zip");
	(void)curl_mime_data_cb(part, (curl_off_t)size, read_zip, seek_zip, NULL, &zip_fd);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_MIMEPOST, mime);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_HTTPHEADER, x.headers);
	/* A server that takes no bytes for a minute is away. One that unpacks what it got may take
	 * its time. */
	(void)curl_easy_setopt(tenant->curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
	(void)curl_easy_setopt(tenant->curl, CURLOPT_LOW_SPEED_TIME, ANSWER_S);
	if (isatty(STDERR_FILENO)) {
		(void)curl_easy_setopt(tenant->curl, CURLOPT_NOPROGRESS, 0L);
		(void)curl_easy_setopt(tenant->curl, CURLOPT_XFERINFOFUNCTION, draw_bar);
		(void)curl_easy_setopt(tenant->curl, CURLOPT_XFERINFODATA, &x);
	}
	r = take_reply(&x, ret, e);
	curl_mime_free(mime);
	clean_up(&x);
	return r;
}
