// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/upload_bundle.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/dir.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/pack.h"

/* What a folder often has and no package should: histories, credentials, bytecode of another
 * Python. A line like `file "iron.json"` adds one all the same. Virtual environments, FIFOs,
 * sockets and devices are left out too. */
static const char *const kept_out[] = {".git",	  ".hg",       ".svn",	     ".bzr",
				       "CVS",	  ".ssh",      ".env",	     ".netrc",
				       ".pypirc", "iron.json", ".iron.json", "__pycache__"};

void bundle_clear(struct bundle *b)
{
	for (size_t i = 0; i < b->n; i++) {
		free(b->entries[i].dest);
		free(b->entries[i].source);
		free(b->entries[i].bytes);
	}
	free(b->entries);
	*b = (struct bundle){.base = b->base};
}

const struct bundle_entry *bundle_find(const struct bundle *b, const char *dest)
{
	for (size_t i = 0; i < b->n; i++)
		if (strcmp(b->entries[i].dest, dest) == 0)
			return &b->entries[i];
	return NULL;
}

/* Adds an entry, and takes what it owns, also when this fails. */
static int add(struct bundle *b, struct bundle_entry *entry, struct err *e)
{
	struct bundle_entry *more;
	int r = 0;

	b->bytes += entry->len;
	if (!entry->dest)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "package");
	else if (b->n >= BUNDLE_ENTRIES_MAX)
		r = err_set(e, ERR_LIMIT, 0, "the package has more than %u files",
			    BUNDLE_ENTRIES_MAX);
	else if (b->bytes > BUNDLE_BYTES_MAX)
		r = err_set(e, ERR_LIMIT, 0, "the package has more than %llu MiB (met at %s)",
			    BUNDLE_BYTES_MAX >> 20, entry->dest);
	if (r == 0 && b->n == b->room) {
		b->room = b->room ? 2 * b->room : 64;
		more = reallocarray(b->entries, b->room, sizeof(*more));
		if (more)
			b->entries = more;
		else
			r = err_set(e, ERR_SYSTEM, ENOMEM, "package");
	}
	if (r == 0) {
		b->entries[b->n++] = *entry;
		return 0;
	}
	free(entry->dest);
	free(entry->source);
	free(entry->bytes);
	return r;
}

int bundle_add_bytes(struct bundle *b, const char *dest, mode_t mode, const char *bytes, size_t len,
		     struct err *e)
{
	struct bundle_entry entry = {.dest = strdup(dest), .mode = mode, .len = len};

	entry.bytes = malloc(len + 1);
	if (!entry.bytes) {
		free(entry.dest);
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", dest);
	}
	memcpy(entry.bytes, bytes, len);
	entry.bytes[len] = '\0';
	return add(b, &entry, e);
}

/* Joins "a" and "b" to "a/b", or to "b" when a is ""; needless parts of a ("./", "//") are left
 * out. */
static char *join(const char *dir, const char *name)
{
	char *path = malloc(strlen(dir) + strlen(name) + 2), *to = path;

	if (!path)
		return NULL;
	while (*dir) {
		size_t n = strcspn(dir, "/");

		if (n > 0 && !(n == 1 && *dir == '.')) {
			memcpy(to, dir, n);
			to += n;
			*to++ = '/';
		}
		dir += n;
		dir += *dir == '/';
	}
	strcpy(to, name);
	if (!*name && to > path)
		to[-1] = '\0';
	return path;
}

static int add_regular(struct bundle *b, const char *source, const char *dest,
		       const struct stat *st, struct err *e)
{
	struct bundle_entry entry = {.dest = dest ? strdup(dest) : NULL,
				     .source = strdup(source),
				     .len = (size_t)st->st_size,
				     .mode = S_IFREG | (st->st_mode & 0777),
				     .dev = st->st_dev,
				     .ino = st->st_ino};

	return add(b, &entry, e);
}

/* A path that the .worker file says in plain words ("../lib", "/usr/share/x") is the author's to
 * decide. Nothing else leads out of the folder: a link that somebody has left in there does not. */
static int open_start(int base, const char *path, const char **ret_rest)
{
	const char *rest = path + strspn(path, "/");
	_cleanup_free_ char *start = NULL;

	if (rest == path)
		while (strncmp(rest, "..", 2) == 0 && (rest[2] == '/' || !rest[2]))
			rest += 2 + strspn(rest + 2, "/");
	*ret_rest = *rest ? rest : ".";
	start = rest == path ? strdup(".") : strndup(path, (size_t)(rest - path));
	return start ? openat(base, start, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
}

int bundle_open(const struct bundle *b, const char *path, int flags, struct err *e)
{
	const char *rest = path;
	_cleanup_fd_ int start = open_start(b->base, path, &rest);
	int fd = start < 0 ? -1 : ctl_open_beneath(start, rest, flags);

	if (fd < 0 && errno == EXDEV)
		return err_set(e, ERR_INPUT, 0,
			       "%s: a link in it leads out of the folder: name what it points to",
			       path);
	return fd < 0 ? err_set(e, ERR_INPUT, errno, "%s", path) : fd;
}

int bundle_add_file(struct bundle *b, const char *path, const char *dest_dir, struct err *e)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *dest = join(dest_dir, slash ? slash + 1 : path);
	_cleanup_fd_ int fd = bundle_open(b, path, O_PATH, e);
	struct stat st;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	if (S_ISDIR(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "%s: is a folder: write dir \"%s\"", path, path);
	if (!S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "%s: is not a regular file", path);
	if (faccessat(b->base, path, R_OK, 0) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	return add_regular(b, path, dest, &st, e);
}

static int add_link(struct bundle *b, const char *path, const char *dest, struct err *e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(b->base, path, target, sizeof(target) - 1);

	if (n < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	target[n] = '\0';
	if (!pack_link_stays(dest, target))
		return err_set(e, ERR_INPUT, 0,
			       "%s: is a link to %s, which is outside of the package: name that "
			       "with file or dir",
			       path, target);
	return bundle_add_bytes(b, dest, S_IFLNK | 0777, target, (size_t)n, e);
}

/* The names in the list have ", " between them. */
static bool is_named(const char *list, const char *name)
{
	size_t len = strlen(name);

	for (const char *p = strstr(list, name); p; p = strstr(p + 1, name))
		if ((p == list || p[-1] == ' ') && (p[len] == '\0' || p[len] == ','))
			return true;
	return false;
}

static void keep_out(struct bundle *b, const char *name)
{
	size_t len = strlen(b->left_out);

	if (!is_named(b->left_out, name))
		(void)snprintf(b->left_out + len, sizeof(b->left_out) - len, "%s%s",
			       len ? ", " : "", name);
}

static bool is_kept_out(struct bundle *b, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kept_out); i++) {
		if (strcmp(name, kept_out[i]) != 0)
			continue;
		keep_out(b, name);
		return true;
	}
	return false;
}

static int add_folder(struct bundle *b, const char *path, const char *dest, unsigned depth,
		      struct err *e);

static int add_name(struct bundle *b, const char *dir, const char *name, const char *dest_dir,
		    unsigned depth, struct err *e)
{
	_cleanup_free_ char *path = NULL, *dest = join(dest_dir, name);
	struct stat st;

	if (!dest || asprintf(&path, "%s/%s", dir, name) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", name);
	if (fstatat(b->base, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	if (S_ISLNK(st.st_mode))
		return add_link(b, path, dest, e);
	if (S_ISDIR(st.st_mode))
		return add_folder(b, path, dest, depth + 1, e);
	if (!S_ISREG(st.st_mode)) {
		keep_out(b, path);
		return 0;
	}
	if (faccessat(b->base, path, R_OK, 0) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	return add_regular(b, path, dest, &st, e);
}

struct folder {
	struct bundle *b;
	const char *path, *dest;
	unsigned depth;
};

static int add_entry(int dir, const char *name, void *arg, struct err *e)
{
	const struct folder *in = arg;

	(void)dir;
	return is_kept_out(in->b, name) ? 0
					: add_name(in->b, in->path, name, in->dest, in->depth, e);
}

static int add_folder(struct bundle *b, const char *path, const char *dest, unsigned depth,
		      struct err *e)
{
	_cleanup_fd_ int fd = bundle_open(b, path, O_RDONLY | O_DIRECTORY, e);
	struct stat st;
	int r;

	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	if (depth > 0 && pack_is_virtual_environment(fd)) {
		keep_out(b, path);
		return 0;
	}
	if (depth > BUNDLE_DEPTH_MAX)
		return err_set(e, ERR_LIMIT, 0, "%s: more than %u folders deep", path,
			       BUNDLE_DEPTH_MAX);
	if (*dest) {
		r = bundle_add_bytes(b, dest, S_IFDIR | (st.st_mode & 0777), "", 0, e);
		if (r < 0)
			return r;
	}
	return dir_each(fd, add_entry, &(struct folder){b, path, dest, depth}, e);
}

int bundle_add_dir(struct bundle *b, const char *path, const char *dest, struct err *e)
{
	_cleanup_free_ char *copy = strdup(path), *to = NULL;
	size_t n = copy ? strlen(copy) : 0;
	const char *name;

	while (n > 1 && copy[n - 1] == '/')
		copy[--n] = '\0';
	if (!copy)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	name = strrchr(copy, '/') ? strrchr(copy, '/') + 1 : copy;
	if (strcmp(name, "..") == 0 || !*name)
		return err_set(e, ERR_INPUT, 0, "%s: has no name of its own in the package", path);
	/* dir "." becomes the package's root itself, dir "a/b" its folder b. */
	to = join(dest, strcmp(name, ".") == 0 ? "" : name);
	return to ? add_folder(b, copy, to, 0, e) : err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
}
