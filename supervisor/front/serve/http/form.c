// SPDX-License-Identifier: Apache-2.0
/* A form of any parts, as it comes: fields are kept in memory, and files in one file. */
#include <fcntl.h>
#include <string.h>
#include <sys/param.h>
#include <unistd.h>

#include "supervisor/front/serve/http/internal.h"

#define BLOCK 512

/* Not every file system makes files without a name. */
int http_open_unnamed(int dirfd)
{
	static const char name[] = ".tmp-upload";
	int fd = openat(dirfd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR))
		return fd;
	fd = openat(dirfd, name, O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0600);
	(void)unlinkat(dirfd, name, 0);
	return fd;
}

const struct http_part *http_form_part(const struct http_request *r, const char *name)
{
	for (size_t i = 0; i < r->form.n; i++)
		if (strcmp(r->form.parts[i].name, name) == 0)
			return &r->form.parts[i];
	return NULL;
}

void http_form_free(struct http_form *form)
{
	for (size_t i = 0; i < form->n; i++) {
		struct http_part *p = &form->parts[i];

		free(p->name);
		free(p->file);
		free(p->type);
		/* It may be a secret. */
		if (p->text)
			explicit_bzero(p->text, p->len);
		free(p->text);
	}
	free(form->parts);
	util_close_fd(&form->fd);
	*form = (struct http_form){.fd = -1};
}

/* err_set's own status is not of use here: the server answers by upload.status. */
static int refuse(struct http_exchange *r, unsigned status, const char *text)
{
	return http_upload_fail(r->upload, status, text);
}

static int grow(struct http_exchange *r)
{
	struct http_form *form = &r->pub.form;
	size_t n = r->upload->parts_allocated;
	struct http_part *parts;

	if (form->n < n)
		return 0;
	if (n >= HTTP_FORM_PARTS_MAX)
		return refuse(r, MHD_HTTP_CONTENT_TOO_LARGE, "the form has more than 10000 parts");
	n = n ? 2 * n : 16;
	n = MIN(n, HTTP_FORM_PARTS_MAX);
	parts = reallocarray(form->parts, n, sizeof(*parts));
	if (!parts)
		return refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	form->parts = parts;
	r->upload->parts_allocated = n;
	return 0;
}

static int begin_part(void *arg, const struct multipart_part *is, struct err *e)
{
	struct http_exchange *r = arg;
	struct http_form *form = &r->pub.form;
	struct http_part *p;

	(void)e;
	if (grow(r) < 0)
		return -EINVAL;
	p = &form->parts[form->n];
	*p = (struct http_part){.name = strdup(is->name), .type = strdup(is->type)};
	if (is->file)
		p->file = strdup(is->file);
	else
		p->text = calloc(1, 1);
	form->n++;
	if (!p->name || !p->type || (is->file ? !p->file : !p->text))
		return refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	if (!is->file)
		return 0;
	if (form->fd < 0)
		form->fd = http_open_unnamed(r->http->f->cfg.packages_dirfd);
	r->upload->len = roundup(r->upload->len, BLOCK) + HTTP_FORM_GAP;
	p->at = r->upload->len;
	if (form->fd < 0 || lseek(form->fd, (off_t)p->at, SEEK_SET) < 0)
		return refuse(r, MHD_HTTP_INSUFFICIENT_STORAGE,
			      "there is no room for the form's files on the server");
	return 0;
}

static int add_field(struct http_exchange *r, struct http_part *p, const char *data, size_t len)
{
	char *grown;

	if (len > HTTP_FORM_FIELDS_MAX - r->upload->fields_len)
		return refuse(r, MHD_HTTP_CONTENT_TOO_LARGE,
			      "the form's fields have more than 1 MiB together");
	grown = realloc(p->text, p->len + len + 1);
	if (!grown)
		return refuse(r, MHD_HTTP_SERVICE_UNAVAILABLE, "out of memory");
	p->text = grown;
	memcpy(p->text + p->len, data, len);
	p->len += len;
	p->text[p->len] = '\0';
	r->upload->fields_len += len;
	return 0;
}

static int add_data(void *arg, const char *data, size_t len, struct err *e)
{
	struct http_exchange *r = arg;
	struct http_part *p = &r->pub.form.parts[r->pub.form.n - 1];

	(void)e;
	if (!p->file)
		return add_field(r, p, data, len);
	if (len > r->pub.route->form_max || r->upload->len > r->pub.route->form_max - len)
		return refuse(r, MHD_HTTP_CONTENT_TOO_LARGE,
			      "the form is longer than is taken here");
	if (util_write_all(r->pub.form.fd, data, len) < 0)
		return refuse(r, MHD_HTTP_INSUFFICIENT_STORAGE,
			      "there is no room for the form's files on the server");
	p->len += len;
	r->upload->len += len;
	return 0;
}

static int end_part(void *arg, struct err *e)
{
	(void)arg;
	(void)e;
	return 0;
}

void http_form_begin(struct http_exchange *r)
{
	struct multipart *m = &r->upload->form;

	m->part = begin_part;
	m->data = add_data;
	m->end = end_part;
	m->arg = r;
}
