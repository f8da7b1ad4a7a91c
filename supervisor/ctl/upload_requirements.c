// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/upload_requirements.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "spec/requirements_text.h"

#define FILES_DEPTH_MAX 16u

/* The current file, and the file that named it. */
struct reader {
	struct bundle *b;
	struct err *e;
	const char *path;
	bool outside;
	unsigned depth;
};

/* Makes "a/b" of "./a//b/" in the folder dir. NULL: the text leads out of the base, or out of
 * memory. */
static char *beneath(const char *dir, const char *path)
{
	_cleanup_free_ char *whole = NULL;
	char *ret, *to, *save = NULL;

	if (*path == '/' || asprintf(&whole, "%s/%s", dir, path) < 0)
		return NULL;
	ret = to = malloc(strlen(whole) + 2);
	if (!ret)
		return NULL;
	*to = '\0';
	for (char *part = strtok_r(whole, "/", &save); part; part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0) {
			if (to == ret) {
				free(ret);
				return NULL;
			}
			while (to > ret && *--to != '/')
				;
			*to = '\0';
			continue;
		}
		to += sprintf(to, "%s%s", to > ret ? "/" : "", part);
	}
	return ret;
}

/* Opens a path through which no link leads out of the base either. An O_PATH descriptor or
 * -errno. */
static int open_beneath(const struct bundle *b, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_BENEATH};
	int fd = (int)syscall(SYS_openat2, b->base, *path ? path : ".", &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* The folder of a path: "a" of "a/b", "" of "b". */
static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return strndup(path, slash ? (size_t)(slash - path) : 0);
}

static int read_text(const struct bundle *b, const char *path, char **ret, size_t *ret_len,
		     struct err *e)
{
	_cleanup_fd_ int fd = openat(b->base, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "%s: is not a regular file", path);
	if (st.st_size > (off_t)REQUIREMENTS_MAX)
		return err_set(e, ERR_LIMIT, 0, "%s: is larger than %u bytes", path,
			       REQUIREMENTS_MAX);
	*ret_len = (size_t)st.st_size;
	*ret = malloc(*ret_len + 1);
	r = *ret ? util_read_all(fd, *ret, *ret_len) : -ENOMEM;
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s", path) : 0;
}

static int on_name(void *arg, enum requirements_kind kind, const char *named, unsigned line);

static int parse(struct reader *r, const char *text, size_t len)
{
	int result = requirements_parse(text, len, on_name, r);

	return result == -ENOMEM && r->e->code == ERR_NONE
		       ? err_set(r->e, ERR_SYSTEM, ENOMEM, "%s", r->path)
		       : result;
}

static int add_file(struct reader *r, const char *path);

/* Adds what is at the path. A requirements file is also read, for what it names. */
static int add_path(struct reader *r, enum requirements_kind kind, const char *path)
{
	_cleanup_fd_ int fd = open_beneath(r->b, path);
	_cleanup_free_ char *above = folder_of(path);
	struct stat st;

	if (fd == -EXDEV)
		return err_set(r->e, ERR_INPUT, 0, "%s leads out of the worker's folder", path);
	/* A folder of archives that does not exist is no error: pip finds nothing in it. */
	if (fd == -ENOENT && kind == REQUIREMENTS_LINKS)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return err_set(r->e, ERR_INPUT, fd < 0 ? -fd : errno, "%s", path);
	if (!above)
		return err_set(r->e, ERR_SYSTEM, ENOMEM, "%s", path);
	if (kind == REQUIREMENTS_FILE)
		return add_file(r, path);
	if (S_ISDIR(st.st_mode))
		return bundle_add_dir(r->b, *path ? path : ".", above, r->e);
	return bundle_add_file(r->b, path, above, r->e);
}

static int on_name(void *arg, enum requirements_kind kind, const char *named, unsigned line)
{
	struct reader *from = arg, next = *from;
	_cleanup_free_ char *folder = NULL, *path = NULL;
	int r;

	folder = kind == REQUIREMENTS_FILE ? folder_of(from->path) : strdup("");
	path = folder ? beneath(folder, named) : NULL;
	if (from->outside)
		r = err_set(from->e, ERR_INPUT, 0,
			    "names %s, which only a file in the worker's own folder may", named);
	else if (strncmp(named, "file:", 5) == 0)
		r = err_set(from->e, ERR_INPUT, 0,
			    "%s is a URL of this machine: name the path, from the worker's folder",
			    named);
	else if (!path)
		r = err_set(from->e, ERR_INPUT, 0,
			    "%s leads out of the worker's folder: only what is in it is sent along",
			    named);
	else
		r = add_path(&next, kind, path);
	return r < 0 ? err_wrap(from->e, r, "%s:%u", from->path, line) : 0;
}

/* A file that is in the bundle already has been read: two files may name each other. */
static int add_file(struct reader *from, const char *path)
{
	struct reader r = {.b = from->b, .e = from->e, .path = path, .depth = from->depth + 1};
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int result;

	if (bundle_find(r.b, path))
		return 0;
	if (r.depth > FILES_DEPTH_MAX)
		return err_set(r.e, ERR_LIMIT, 0, "%s: more than %u files that name each other",
			       path, FILES_DEPTH_MAX);
	result = read_text(r.b, path, &text, &len, r.e);
	if (result == 0)
		result = bundle_add_bytes(r.b, path, S_IFREG | 0644, text, len, r.e);
	return result < 0 ? result : parse(&r, text, len);
}

int requirements_add(struct bundle *b, const char *path, char **ret_name, struct err *e)
{
	struct reader r = {.b = b, .e = e, .path = path, .outside = true};
	_cleanup_free_ char *own = beneath("", path), *text = NULL, *name = NULL;
	size_t len = 0;
	int result;

	if (own) {
		result = add_path(&r, REQUIREMENTS_FILE, own);
		if (result == 0)
			*ret_name = TAKE_PTR(own);
		return result;
	}
	if (asprintf(&name, ".outside-%zu.txt", b->n) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	result = read_text(b, path, &text, &len, e);
	if (result == 0)
		result = parse(&r, text, len);
	if (result == 0)
		result = bundle_add_bytes(b, name, S_IFREG | 0644, text, len, e);
	if (result == 0)
		*ret_name = TAKE_PTR(name);
	return result;
}
