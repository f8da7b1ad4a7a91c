// SPDX-License-Identifier: Apache-2.0
/*
 * A request's body: one piece of memory within bounds; or an upload, whose file goes to disk
 * as it arrives.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "supervisor/front/serve/http/internal.h"

#define BODY_STEP 1024u
#define UPLOAD_DATA_MAX (1u << 20) /* of part "data": a config of 64 KiB, escaped, and more */
#define PARSER_BUFFER (32u << 10)
#define RETRY_S 1u

static int body_grow(struct http_req *r, size_t want)
{
	size_t size = r->body_allocated ? r->body_allocated : BODY_STEP;
	struct http *h = r->http;
	size_t more;
	char *body;

	if (want <= r->body_allocated)
		return 0;
	while (size < want)
		size *= 2;
	/* Its project may go before it does. */
	if (!r->body_allocated)
		r->body_holder = http_holder(r);
	more = size - r->body_allocated;
	/* No more than are left for others, so that there are always some for one more project. */
	if (h->body_bytes + more > HTTP_BODIES_MAX ||
	    h->bodies[r->body_holder] + more > HTTP_BODIES_MAX - (h->body_bytes + more))
		return -ENOBUFS;
	body = realloc(r->pub.body, size);
	if (!body)
		return -ENOMEM;
	r->pub.body = body;
	h->body_bytes += more;
	h->bodies[r->body_holder] += more;
	r->body_allocated = size;
	return 0;
}

void http_body_take(struct http_req *r, struct http_body *ret)
{
	*ret = (struct http_body){r->pub.body, r->pub.len, r->body_allocated, r->body_holder};
	r->pub.body = NULL;
	r->pub.len = r->body_allocated = 0;
}

void http_body_drop(struct http *h, struct http_body *body)
{
	h->body_bytes -= body->allocated;
	h->bodies[body->holder] -= body->allocated;
	free(body->text);
	*body = (struct http_body){0};
}

static void body_release(struct http_req *r)
{
	struct http_body body;

	http_body_take(r, &body);
	http_body_drop(r->http, &body);
}

static size_t body_max(const struct http_route *row)
{
	if (row->body_max)
		return row->body_max;
	return row->reader ? HTTP_BODY_MAX : HTTP_BODY_SHORT;
}

static void refuse_longer(struct http_req *r, size_t max)
{
	const bool big = max >= 1u << 20;

	http_refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, 0, "the body is longer than %zu %s",
		    max >> (big ? 20 : 10), big ? "MiB" : "KiB");
}

static void upload_free(struct http_req *r)
{
	struct http_upload *u = TAKE_PTR(r->upload);

	if (!u)
		return;
	if (u->parser)
		(void)MHD_destroy_post_processor(u->parser);
	util_close_fd(&u->fd);
	free(u->data);
	r->http->n_uploads--;
	r->http->uploads[u->holder]--;
	free(u);
}

void http_body_free(struct http_req *r)
{
	upload_free(r);
	body_release(r);
	util_close_fd(&r->pub.upload_fd);
	util_free_ptr(&r->pub.upload_data);
}

static enum MHD_Result upload_fail(struct http_upload *u, unsigned status, const char *text)
{
	if (!u->status) {
		u->status = status;
		(void)err_set(&u->e, ERR_INPUT, 0, "%s", text);
	}
	return MHD_NO;
}

static enum MHD_Result add_data(struct http_upload *u, const char *data, size_t len, bool first)
{
	char *grown;

	if (first && u->data)
		return upload_fail(u, MHD_HTTP_BAD_REQUEST, "data: the form has two parts of it");
	if (len > UPLOAD_DATA_MAX - u->data_len)
		return upload_fail(u, MHD_HTTP_CONTENT_TOO_LARGE, "data: more than 1 MiB");
	grown = realloc(u->data, u->data_len + len + 1);
	if (!grown)
		return upload_fail(u, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	u->data = grown;
	memcpy(u->data + u->data_len, data, len);
	u->data_len += len;
	u->data[u->data_len] = '\0';
	if (memchr(data, '\0', len))
		return upload_fail(u, MHD_HTTP_BAD_REQUEST, "data: holds a NUL");
	return MHD_YES;
}

/* Not every file system makes files without a name. */
static int open_unnamed(int dirfd)
{
	static const char name[] = ".tmp-upload";
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	fd = openat(dirfd, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	(void)unlinkat(dirfd, name, 0);
	return fd;
}

static enum MHD_Result add_file(struct http_req *r, const char *data, size_t len, bool first)
{
	struct http_upload *u = r->upload;

	if (first && u->fd >= 0)
		return upload_fail(u, MHD_HTTP_BAD_REQUEST, "file: the form has two parts of it");
	if (u->fd < 0)
		u->fd = open_unnamed(r->http->f->cfg.packages_dirfd);
	if (u->fd < 0)
		return upload_fail(u, MHD_HTTP_INSUFFICIENT_STORAGE,
				   "file: there is no room for it on the server");
	if (len > HTTP_UPLOAD_MAX - u->len)
		return upload_fail(u, MHD_HTTP_CONTENT_TOO_LARGE, "file: more than 256 MiB");
	if (util_write_all(u->fd, data, len) < 0)
		return upload_fail(u, MHD_HTTP_INSUFFICIENT_STORAGE,
				   "file: there is no room for it on the server");
	u->len += len;
	return MHD_YES;
}

static enum MHD_Result on_part(void *cls, enum MHD_ValueKind kind, const char *key,
			       const char *filename, const char *content_type,
			       const char *transfer_encoding, const char *data, uint64_t off,
			       size_t size)
{
	struct http_req *r = cls;

	(void)kind;
	(void)filename;
	(void)content_type;
	(void)transfer_encoding;
	if (key && strcmp(key, "data") == 0)
		return add_data(r->upload, data, size, off == 0);
	if (key && strcmp(key, "file") == 0)
		return add_file(r, data, size, off == 0);
	return MHD_YES; /* of a newer client's */
}

static int upload_begin(struct http_req *r)
{
	struct http *h = r->http;
	const unsigned of_one = h->uploads[http_holder(r)];

	/* No more than are left for others, so that there is always one for one more project. */
	if (of_one >= HTTP_UPLOADS_OF_ONE_MAX || of_one >= HTTP_UPLOADS_MAX - h->n_uploads) {
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "%u uploads are going on, %u of this project's: try again later",
			    h->n_uploads, of_one);
		return -EBUSY;
	}
	r->upload = calloc(1, sizeof(*r->upload));
	if (r->upload) {
		h->n_uploads++;
		r->upload->holder = http_holder(r);
		h->uploads[r->upload->holder]++;
		r->upload->fd = -1;
		r->upload->parser = MHD_create_post_processor(r->mhd, PARSER_BUFFER, on_part, r);
	}
	if (r->upload && r->upload->parser)
		return 0;
	upload_free(r);
	http_refuse(r, MHD_HTTP_BAD_REQUEST, 0, "the form cannot be read");
	return -EINVAL;
}

int http_body_begin(struct http_req *r)
{
	const char *type = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_TYPE);
	const char *text = http_header(&r->pub, MHD_HTTP_HEADER_CONTENT_LENGTH);
	struct err e = {0};
	uint64_t len = 0;
	size_t max;
	int r2;

	r2 = r->route->upload ? http_multipart_check(type, &e) : 0;
	if (r2 < 0) {
		http_error(&r->pub, &e);
		return r2;
	}
	/* A form is longer than the file in it, but not by much. */
	max = r2 ? HTTP_UPLOAD_MAX : body_max(r->route);
	if (text &&
	    (http_number(text, &len) < 0 || len > max + (r2 ? 2ULL * UPLOAD_DATA_MAX : 0))) {
		refuse_longer(r, max);
		return -E2BIG;
	}
	return r2 ? upload_begin(r) : 0;
}

void http_body_add(struct http_req *r, const char *data, size_t len)
{
	int status;

	if (r->upload) {
		if (!r->upload->status)
			(void)MHD_post_process(r->upload->parser, data, len);
		return;
	}
	if (len > body_max(r->route) - r->pub.len) {
		body_release(r);
		refuse_longer(r, body_max(r->route));
		return;
	}
	status = body_grow(r, r->pub.len + len + 1);
	if (status < 0) {
		body_release(r);
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "the server holds too many requests: try again later");
		return;
	}
	memcpy(r->pub.body + r->pub.len, data, len);
	r->pub.len += len;
	r->pub.body[r->pub.len] = '\0';
}

static void upload_end(struct http_req *r)
{
	struct http_upload *u = r->upload;
	enum MHD_Result whole = MHD_destroy_post_processor(TAKE_PTR(u->parser));

	if (!u->status && whole != MHD_YES)
		(void)upload_fail(u, MHD_HTTP_BAD_REQUEST, "the form ends in the middle of a part");
	if (u->status) {
		http_refuse(r, u->status, 0, "%s", u->e.msg);
	} else {
		if (u->fd >= 0)
			(void)lseek(u->fd, 0, SEEK_SET);
		r->pub.upload_fd = TAKE_FD(u->fd);
		r->pub.upload_len = u->len;
		r->pub.upload_data = TAKE_PTR(u->data);
	}
	upload_free(r);
}

void http_body_end(struct http_req *r)
{
	if (r->upload)
		upload_end(r);
	/* No handler meets NULL; a request without a body takes nothing of what bodies share. */
	if (!r->pub.body)
		r->pub.body = calloc(1, 1);
	if (!r->pub.body)
		http_refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, RETRY_S,
			    "the server has no memory: try again later");
	else
		r->pub.body[r->pub.len] = '\0';
}
