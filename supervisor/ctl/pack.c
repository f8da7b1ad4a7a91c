// SPDX-License-Identifier: Apache-2.0
/*
 * The archive is written here and not by libarchive, which unpacks it in the front: libarchive
 * needs XML, ICU and compression libraries, and linking them would take sandboxctl more time at
 * every start than everything else that `run` does.
 */
#include "supervisor/ctl/pack.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "supervisor/ctl/ctl.h"

#define TAR_BLOCK 512

/* A header block of GNU tar (info tar, "Basic Tar Format"); numbers are octal text. */
struct tar_head {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type;
	char link[100], magic[8], rest[247];
};
_Static_assert(sizeof(struct tar_head) == TAR_BLOCK, "a tar header is one block");

struct pack {
	int fd;
	const char *what;
	struct err *e;
	unsigned entries;
	uint64_t bytes;
	struct pack_left_out *left_out;
	const char *const *without; /* patterns of names that stay here; NULL: none */
	bool (*stays)(void *arg, const char *path, bool is_folder); /* NULL: none does */
	void *stays_arg;
	size_t top;	     /* the length of the part of path out of which no link may lead */
	char path[PATH_MAX]; /* of the current entry, below the folder */
	size_t filled;	     /* how many bytes of out are used */
	char out[65536];     /* to be written; its size is a multiple of TAR_BLOCK */
};

static int flush(struct pack *p)
{
	int r = util_write_all(p->fd, p->out, p->filled);

	p->filled = 0;
	return r < 0 ? err_set(p->e, ERR_SYSTEM, -r, "cannot write the archive of %s", p->what) : 0;
}

/* Adds len bytes, padded with zeros to whole blocks. */
static int put(struct pack *p, const void *data, size_t len)
{
	size_t pad = -len % TAR_BLOCK;
	const char *from = data;

	while (len > 0) {
		size_t room = sizeof(p->out) - p->filled, n = len < room ? len : room;

		memcpy(p->out + p->filled, from, n);
		p->filled += n;
		from += n;
		len -= n;
		if (p->filled == sizeof(p->out) && flush(p) < 0)
			return -EIO;
	}
	/* The buffer's free part is whole blocks, so the padding fits. */
	memset(p->out + p->filled, 0, pad);
	p->filled += pad;
	return p->filled == sizeof(p->out) ? flush(p) : 0;
}

static int fail(struct pack *p, int errnum)
{
	return err_set(p->e, ERR_INPUT, errnum, "%s/%s", p->what, p->path);
}

static int put_head(struct pack *p, char type, const char *name, const char *link, unsigned mode,
		    uint64_t size, uint64_t mtime)
{
	struct tar_head h = {.type = type, .magic = "ustar  "};
	unsigned sum = 0;

	(void)snprintf(h.mode, sizeof(h.mode), "%07o", mode);
	(void)snprintf(h.uid, sizeof(h.uid), "%07o", 0u);
	(void)snprintf(h.gid, sizeof(h.gid), "%07o", 0u);
	(void)snprintf(h.size, sizeof(h.size), "%011llo", (unsigned long long)size);
	(void)snprintf(h.mtime, sizeof(h.mtime), "%011llo", (unsigned long long)mtime);
	/* A name that fills its field has no NUL. A longer name is in an entry before the
	 * header. */
	memcpy(h.name, name, strnlen(name, sizeof(h.name)));
	memcpy(h.link, link, strnlen(link, sizeof(h.link)));
	memset(h.checksum, ' ', sizeof(h.checksum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((const unsigned char *)&h)[i];
	(void)snprintf(h.checksum, sizeof(h.checksum), "%06o", sum);
	return put(p, &h, sizeof(h));
}

/* GNU tar's way with a name of more than 100 bytes: an entry of type 'L' or 'K' has it. */
static int put_long(struct pack *p, char type, const char *text)
{
	size_t len = strlen(text);
	int r;

	if (len <= sizeof(((struct tar_head *)NULL)->name))
		return 0;
	r = put_head(p, type, "././@LongLink", "", 0644, len + 1, 0);
	return r < 0 ? r : put(p, text, len + 1);
}

/* Adds the header of one entry. */
static int add_head(struct pack *p, const struct stat *st, const char *link)
{
	bool is_dir = S_ISDIR(st->st_mode), is_file = S_ISREG(st->st_mode);
	char type = is_dir ? '5' : is_file ? '0' : '2';
	unsigned mode = is_file || is_dir ? st->st_mode & 0777 : 0777;
	/* Python's cached bytecode is valid for its source's time in seconds, so the time is
	 * kept. */
	uint64_t mtime = st->st_mtime > 0 ? (uint64_t)st->st_mtime & 077777777777ULL : 0;
	int r;

	if (++p->entries > PACK_ENTRIES_MAX)
		return err_set(p->e, ERR_LIMIT, 0, "%s has more than %u files", p->what,
			       PACK_ENTRIES_MAX);
	r = put_long(p, 'K', link);
	if (r == 0)
		r = put_long(p, 'L', p->path);
	if (r == 0)
		r = put_head(p, type, p->path, link, mode, is_file ? (uint64_t)st->st_size : 0,
			     mtime);
	return r;
}

static int add_content(struct pack *p, int fd, uint64_t size)
{
	char buf[32768]; /* a multiple of TAR_BLOCK, so that only the last part is padded */
	int r = 0;

	while (size > 0 && r == 0) {
		size_t want = size < sizeof(buf) ? (size_t)size : sizeof(buf);

		r = util_read_all(fd, buf, want);
		if (r == -ENODATA)
			return err_set(p->e, ERR_CONFLICT, 0,
				       "%s/%s became shorter while it was read: try again", p->what,
				       p->path);
		if (r < 0)
			return fail(p, -r);
		r = put(p, buf, want);
		size -= want;
	}
	return r;
}

/* Adds a file; closes file_fd. */
static int add_file(struct pack *p, int file_fd)
{
	_cleanup_fd_ int fd = file_fd;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(p, errno);
	if (!S_ISREG(st.st_mode))
		return err_set(p->e, ERR_INPUT, 0,
			       "%s/%s: only files, folders and links can be sent along", p->what,
			       p->path);
	if (__builtin_add_overflow(p->bytes, (uint64_t)st.st_size, &p->bytes) ||
	    p->bytes > PACK_BYTES_MAX)
		return err_set(p->e, ERR_LIMIT, 0,
			       "%s has more than %llu MiB to be sent along (met at %s): name a "
			       "smaller folder",
			       p->what, PACK_BYTES_MAX >> 20, p->path);
	r = add_head(p, &st, "");
	return r < 0 ? r : add_content(p, fd, (uint64_t)st.st_size);
}

/* Notes the name of an entry that is left out, and why. */
static int leave_out(struct pack *p, const char *what)
{
	struct pack_left_out *l = p->left_out;
	size_t len = strlen(l->names);

	if (len + strlen(p->path) + strlen(what) + sizeof(" (), ") < sizeof(l->names))
		(void)snprintf(l->names + len, sizeof(l->names) - len, "%s%s (%s)", len ? ", " : "",
			       p->path, what);
	else
		l->more++;
	return 0;
}

bool pack_link_stays(const char *dest, const char *target)
{
	int depth = 0;

	if (*target == '/')
		return false;
	for (const char *p = dest; *p; p++)
		depth += *p == '/';
	while (*target) {
		size_t n = strcspn(target, "/");

		if (n == 2 && memcmp(target, "..", 2) == 0)
			depth--;
		else if (n > 0 && !(n == 1 && *target == '.'))
			depth++;
		if (depth < 0)
			return false;
		target += n;
		target += *target == '/';
	}
	return true;
}

static int add_link(struct pack *p, int dirfd, const char *name, const struct stat *st)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target) - 1);

	if (n < 0)
		return fail(p, errno);
	target[n] = '\0';
	if (!pack_link_stays(p->path + p->top + (p->top > 0), target))
		return leave_out(p, "a link out of the folder");
	return add_head(p, st, target);
}

bool pack_is_virtual_environment(int dirfd)
{
	struct stat st;

	return fstatat(dirfd, "pyvenv.cfg", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

static int add_folder(struct pack *p, int dirfd, unsigned depth);

static int add_name(struct pack *p, int dirfd, const char *name, unsigned depth)
{
	_cleanup_fd_ int child = -1;
	struct stat st;
	int r;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(p, errno);
	if (p->stays && p->stays(p->stays_arg, p->path, S_ISDIR(st.st_mode)))
		return 0;
	if (S_ISLNK(st.st_mode))
		return add_link(p, dirfd, name, &st);
	if (S_ISREG(st.st_mode))
		return add_file(
			p, openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW));
	if (!S_ISDIR(st.st_mode))
		return leave_out(p, S_ISFIFO(st.st_mode)   ? "a FIFO"
				    : S_ISSOCK(st.st_mode) ? "a socket"
							   : "a device");
	child = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (child < 0)
		return fail(p, errno);
	if (pack_is_virtual_environment(child))
		return leave_out(p, "a virtual environment");
	if (depth >= PACK_DEPTH_MAX)
		return err_set(p->e, ERR_LIMIT, 0, "%s/%s: more than %u folders deep", p->what,
			       p->path, PACK_DEPTH_MAX);
	r = add_head(p, &st, "");
	return r < 0 ? r : add_folder(p, child, depth + 1);
}

static bool stays_here(const struct pack *p, const char *name)
{
	for (const char *const *pattern = p->without; pattern && *pattern; pattern++)
		if (fnmatch(*pattern, name, 0) == 0)
			return true;
	return false;
}

static int add_folder(struct pack *p, int dirfd, unsigned depth)
{
	_cleanup_dir_names_ struct dir_names all = {0};
	size_t base = strlen(p->path);
	int r;

	r = dir_names_read(dirfd, PACK_ENTRIES_MAX - p->entries, &all);
	if (r == -E2BIG)
		return err_set(p->e, ERR_LIMIT, 0, "%s has more than %u files", p->what,
			       PACK_ENTRIES_MAX);
	if (r < 0)
		return fail(p, -r);
	for (size_t i = 0; r == 0 && i < all.n; i++) {
		size_t len = strlen(all.names[i]);

		if (stays_here(p, all.names[i]))
			continue;
		if (base + 1 + len + 1 > sizeof(p->path)) {
			r = fail(p, ENAMETOOLONG);
			break;
		}
		if (base)
			p->path[base] = '/';
		memcpy(p->path + base + (base ? 1 : 0), all.names[i], len + 1);
		r = add_name(p, dirfd, all.names[i], depth);
	}
	p->path[base] = '\0';
	return r;
}

static struct pack *pack_begin(const char *what, struct err *e)
{
	struct pack *p = calloc(1, sizeof(*p));

	if (!p) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "%s", what);
		return NULL;
	}
	p->what = what;
	p->e = e;
	p->fd = memfd_create("package", MFD_CLOEXEC);
	if (p->fd < 0) {
		(void)err_set(e, ERR_SYSTEM, errno, "memfd_create");
		free(p);
		return NULL;
	}
	return p;
}

/* Two empty blocks end an archive. */
static int pack_end(struct pack *p, int r, int *ret_fd)
{
	static const char zeros[2 * TAR_BLOCK];

	if (r == 0)
		r = put(p, zeros, sizeof(zeros));
	if (r == 0)
		r = flush(p);
	if (r == 0 && lseek(p->fd, 0, SEEK_SET) < 0)
		r = err_set(p->e, ERR_SYSTEM, errno, "lseek");
	if (r == 0)
		*ret_fd = TAKE_FD(p->fd);
	util_close_fd(&p->fd);
	free(p);
	return r;
}

/* The other file of pack_project_and. */
static int add_other(struct pack *p, int other, const char *name)
{
	int fd = fcntl(other, F_DUPFD_CLOEXEC, 0);

	(void)snprintf(p->path, sizeof(p->path), "%s", name);
	if (fd >= 0 && lseek(fd, 0, SEEK_SET) < 0)
		util_close_fd(&fd);
	return add_file(p, fd);
}

static int pack_without(int dirfd, const char *what, const char *const *without, int other,
			const char *name, int *ret_fd, struct pack_left_out *left_out,
			struct err *e)
{
	struct pack *p = pack_begin(what, e);
	int r;

	*left_out = (struct pack_left_out){0};
	if (!p)
		return -ENOMEM;
	p->left_out = left_out;
	p->without = without;
	r = add_folder(p, dirfd, 0);
	if (r == 0 && other >= 0)
		r = add_other(p, other, name);
	return pack_end(p, r, ret_fd);
}

int pack_folder(int dirfd, const char *what, int *ret_fd, struct pack_left_out *left_out,
		struct err *e)
{
	return pack_without(dirfd, what, NULL, -1, "", ret_fd, left_out, e);
}

int pack_chosen(int dirfd, const char *what,
		bool (*stays)(void *arg, const char *path, bool is_folder), void *arg, int *ret_fd,
		struct pack_left_out *left_out, struct err *e)
{
	struct pack *p = pack_begin(what, e);

	*left_out = (struct pack_left_out){0};
	if (!p)
		return -ENOMEM;
	p->left_out = left_out;
	p->stays = stays;
	p->stays_arg = arg;
	return pack_end(p, add_folder(p, dirfd, 0), ret_fd);
}

int pack_project_and(int dirfd, const char *what, int file, const char *name, int *ret_fd,
		     struct pack_left_out *left_out, struct err *e)
{
	/* History, what tools keep, and the secrets that are for this machine alone. */
	static const char *const without[] = {
		".git",	     ".hg",	    ".svn", "node_modules", ".wrangler", "__pycache__",
		".dev.vars", ".dev.vars.*", ".env", ".env.*",	    NULL};

	return pack_without(dirfd, what, without, file, name, ret_fd, left_out, e);
}

int pack_project(int dirfd, const char *what, int *ret_fd, struct pack_left_out *left_out,
		 struct err *e)
{
	return pack_project_and(dirfd, what, -1, "", ret_fd, left_out, e);
}

/* Turns "./app//src/" into "app/src", and "." into "": the names of the archive's entries. */
static void plain_path(char *to, const char *path)
{
	char *at = to;

	while (*path) {
		size_t n = strcspn(path, "/");

		if (n > 0 && !(n == 1 && *path == '.')) {
			if (at > to)
				*at++ = '/';
			memcpy(at, path, n);
			at += n;
		}
		path += n;
		path += *path == '/';
	}
	*at = '\0';
}

/* Adds what the task's exec leads to; closes exec_fd. */
static int add_exec(struct pack *p, int exec_fd)
{
	_cleanup_fd_ int fd = exec_fd;
	struct stat st;
	int r = 0;

	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(p, errno);
	if (!S_ISDIR(st.st_mode))
		return add_file(p, TAKE_FD(fd));
	p->top = strlen(p->path);
	if (p->top > 0)
		r = add_head(p, &st, "");
	return r < 0 ? r : add_folder(p, fd, 0);
}

/* The folders above need no entries, because unpacking makes them. */
int pack_exec(int dirfd, const char *path, int *ret_fd, struct pack_left_out *left_out,
	      struct err *e)
{
	struct pack *p;

	*left_out = (struct pack_left_out){0};
	if (strlen(path) >= sizeof(p->path))
		return err_set(e, ERR_INPUT, ENAMETOOLONG, "task.json: exec");
	p = pack_begin(".", e);
	if (!p)
		return -ENOMEM;
	p->left_out = left_out;
	plain_path(p->path, path);
	return pack_end(p, add_exec(p, ctl_open_beneath(dirfd, path, O_RDONLY | O_NONBLOCK)),
			ret_fd);
}

int pack_below(int dirfd, const char *what, const char *name, int *ret_fd,
	       struct pack_left_out *left_out, struct err *e)
{
	struct pack *p = pack_begin(what, e);

	*left_out = (struct pack_left_out){0};
	if (!p)
		return -ENOMEM;
	p->left_out = left_out;
	(void)snprintf(p->path, sizeof(p->path), "%s", name);
	return pack_end(p, add_exec(p, fcntl(dirfd, F_DUPFD_CLOEXEC, 0)), ret_fd);
}
