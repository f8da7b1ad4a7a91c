// SPDX-License-Identifier: Apache-2.0
/* Digests: the SHA-256 of an image, and of what it is made from. */
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "lib/dir.h"
#include "lib/sha256.h"
#include "supervisor/ctl/image.h"

#define IMAGE_DEPTH_MAX 64
/* What a build has made is not trusted: with holes and hard links, a small disk can seem to have a
 * large tree. */
#define IMAGE_FILES_MAX 2000000u
#define IMAGE_BYTES_MAX (64ULL << 30)
#define BLOCK (256u << 10)

struct walk {
	struct sha256 *sha;
	const volatile sig_atomic_t *stop;
	struct image_tree *tree;
	struct err *e;
	uint8_t *block;	     /* BLOCK bytes */
	char path[PATH_MAX]; /* of the current entry, from the tree's top */
};

/* -EFBIG: with this file the tree has more than IMAGE_BYTES_MAX. */
static int hash_file(struct walk *w, int fd, uint8_t ret[32])
{
	_cleanup_sha256_ struct sha256 sha = {0};
	ssize_t n;

	sha256_begin(&sha);
	while ((n = read(fd, w->block, BLOCK)) != 0) {
		if (n < 0 && errno != EINTR)
			return -errno;
		if (*w->stop)
			return -EINTR;
		if (n > 0)
			sha256_add(&sha, w->block, (size_t)n);
		if (n > 0)
			w->tree->bytes += (uint64_t)n;
		if (w->tree->bytes > IMAGE_BYTES_MAX)
			return -EFBIG;
	}
	return sha256_end(&sha, ret);
}

/* An error about the current entry. errnum 0: the entry itself is wrong. */
static int fail(struct walk *w, int errnum, const char *what)
{
	return err_set(w->e, errnum ? ERR_SYSTEM : ERR_INPUT, errnum, "rootfs/%s%s%s", w->path,
		       what ? ": " : "", what ? what : "");
}

/* Adds the record of an entry: "TYPE MODE PATH\0", and the content's digest or the link's
 * target. */
static int add_record(struct walk *w, char type, mode_t mode, const void *data, size_t len)
{
	char head[32];
	int n = snprintf(head, sizeof(head), "%c %04o ", type, (unsigned)(mode & 07777));

	sha256_add(w->sha, head, (size_t)n);
	sha256_add(w->sha, w->path, strlen(w->path) + 1);
	sha256_add(w->sha, data, len);
	w->tree->files++;
	return 0;
}

static int walk_dir(struct walk *w, int dirfd, unsigned depth);

static int walk_file(struct walk *w, int dirfd, const char *name)
{
	_cleanup_fd_ int fd = -1;
	uint8_t digest[32];
	struct stat st;
	int r;

	fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(w, errno, NULL);
	if (!S_ISREG(st.st_mode))
		return fail(w, 0, "changed while it was read");
	if (st.st_mode & (S_ISUID | S_ISGID))
		return fail(w, 0, "is a setuid or setgid file; an image may have none");
	r = w->tree->bytes + (uint64_t)st.st_size > IMAGE_BYTES_MAX ? -EFBIG
								    : hash_file(w, fd, digest);
	if (r == -EFBIG)
		return fail(w, 0, "with it the image has more than 64 GiB; leave something out");
	if (r == -EINTR)
		return err_set(w->e, ERR_SYSTEM, EINTR, "reading the image");
	return r < 0 ? fail(w, -r, NULL) : add_record(w, 'f', st.st_mode, digest, sizeof(digest));
}

static int walk_link(struct walk *w, int dirfd, const char *name)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(dirfd, name, target, sizeof(target));

	if (n < 0)
		return fail(w, errno, NULL);
	return add_record(w, 'l', 0777, target, (size_t)n);
}

static int walk_folder(struct walk *w, int dirfd, const char *name, unsigned depth)
{
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return fail(w, errno, NULL);
	r = add_record(w, 'd', st.st_mode, NULL, 0);
	return r < 0 ? r : walk_dir(w, fd, depth + 1);
}

static int walk_entry(struct walk *w, int dirfd, const char *name, unsigned depth)
{
	size_t len = strlen(w->path);
	struct stat st;
	int r;

	if (len + strlen(name) + 2 > sizeof(w->path))
		return fail(w, ENAMETOOLONG, NULL);
	(void)snprintf(w->path + len, sizeof(w->path) - len, "%s%s", len ? "/" : "", name);
	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = fail(w, errno, NULL);
	else if (S_ISREG(st.st_mode))
		r = walk_file(w, dirfd, name);
	else if (S_ISLNK(st.st_mode))
		r = walk_link(w, dirfd, name);
	else if (S_ISDIR(st.st_mode))
		r = walk_folder(w, dirfd, name, depth);
	else
		r = fail(w, 0, "is a device, FIFO or socket; an image may have none");
	w->path[len] = '\0';
	return r;
}

static int walk_dir(struct walk *w, int dirfd, unsigned depth)
{
	_cleanup_dir_names_ struct dir_names all = {0};
	int r;

	if (depth > IMAGE_DEPTH_MAX)
		return fail(w, 0, "is nested too deep");
	/* Sorted by bytes, and not by what the locale or the file system makes of them. */
	r = dir_names_read(dirfd, IMAGE_FILES_MAX - (size_t)w->tree->files, &all);
	if (r == -E2BIG)
		return fail(w, 0,
			    "with it the image has more than 2,000,000 files; leave some out");
	if (r < 0)
		return fail(w, -r, NULL);
	for (size_t i = 0; i < all.n && r == 0; i++)
		r = w->tree->files < IMAGE_FILES_MAX
			    ? walk_entry(w, dirfd, all.names[i], depth)
			    : fail(w, 0, "the image has more than 2,000,000 files");
	return r;
}

int image_tree_digest(int dirfd, const volatile sig_atomic_t *stop, struct image_tree *ret,
		      struct err *e)
{
	_cleanup_sha256_ struct sha256 sha = {0};
	_cleanup_free_ uint8_t *block = malloc(BLOCK);
	_cleanup_free_ struct walk *w = calloc(1, sizeof(*w));
	int r;

	sha256_begin(&sha);
	if (!block || !w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "reading the image");
	*ret = (struct image_tree){0};
	w->sha = &sha;
	w->stop = stop;
	w->tree = ret;
	w->e = e;
	w->block = block;
	r = walk_dir(w, dirfd, 0);
	if (r == 0 && sha256_end(&sha, ret->digest) < 0)
		r = err_set(e, ERR_SYSTEM, 0, "SHA-256 failed");
	return r;
}

int image_digest_join(const uint8_t tree[32], const struct image_head *head, char *hex,
		      struct err *e)
{
	_cleanup_sha256_ struct sha256 sha = {0};
	uint8_t digest[32];

	sha256_begin(&sha);
	sha256_add(&sha, tree, 32);
	sha256_add(&sha, head, sizeof(*head));
	if (sha256_end(&sha, digest) < 0)
		return err_set(e, ERR_SYSTEM, 0, "SHA-256 failed");
	util_hex(digest, sizeof(digest), hex);
	return 0;
}

/* Opens a path as the sandbox will see it: absolute links lead into the image. */
static int open_in_root(int rootfs, const char *path)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_IN_ROOT};

	return (int)syscall(SYS_openat2, rootfs, path, &how, sizeof(how));
}

int image_tree_check(int rootfs, const char *interpreter, struct err *e)
{
	static const char *const folders[] = {"proc", "sys", "dev", "tmp", "run", "work"};
	_cleanup_fd_ int fd = -1, runtime = -1;
	struct stat st;

	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (fstatat(rootfs, folders[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode))
			return err_set(e, ERR_INPUT, 0, "rootfs/%s is not a folder of its own",
				       folders[i]);
	fd = open_in_root(rootfs, interpreter);
	if (fd < 0)
		return err_set(e, ERR_INPUT, errno,
			       "interpreter: %s in the image; do the packages bring it?",
			       interpreter);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (st.st_mode & 0111) != 0111)
		return err_set(e, ERR_INPUT, 0, "interpreter: %s is not a program that all may run",
			       interpreter);
	runtime = openat(rootfs, IMAGE_RUNTIME_PATH, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (runtime < 0)
		return err_set(e, ERR_INPUT, errno, "rootfs/" IMAGE_RUNTIME_PATH);
	return 0;
}

static int hash_named_file(struct sha256 *sha, const char *path, bool needed, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	struct err ignored = {0};
	size_t len = 0;
	int r = store_read_file(path, 16u << 20, &text, &len, needed ? e : &ignored);

	if (r < 0 && needed)
		return r;
	sha256_add(sha, &len, sizeof(len));
	sha256_add(sha, text ? text : "", len);
	return 0;
}

/* The script that builds an image, and what it uses beside it: its libraries, and the script that
 * runs pip. */
static int hash_scripts(struct sha256 *sha, struct err *e)
{
	static const char *const names[] = {"image-build", "image-packages-lib.sh",
					    "image-rootfs-lib.sh", "image-python-lib.sh",
					    "pip-build"};
	char path[PATH_MAX];
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", store_libexec_dir(), names[i]);
		r = hash_named_file(sha, path, i == 0, e);
	}
	return r;
}

int image_input_digest(const char *text, size_t len, const char *runtime_dir, uint8_t ret[32],
		       struct err *e)
{
	_cleanup_sha256_ struct sha256 sha = {0};
	static const volatile sig_atomic_t never;
	_cleanup_fd_ int fd = -1;
	struct image_tree tree;
	int r;

	sha256_begin(&sha);
	sha256_add(&sha, text, len);
	r = hash_scripts(&sha, e);
	/* With "suite": "host", an upgrade of the machine makes another image. */
	if (r == 0)
		r = hash_named_file(&sha, "/etc/os-release", false, e);
	if (r < 0)
		return r;
	fd = open(runtime_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_NOT_FOUND, errno, "the runtime's folder %s", runtime_dir);
	r = image_tree_digest(fd, &never, &tree, e);
	if (r < 0)
		return err_wrap(e, r, "%s", runtime_dir);
	sha256_add(&sha, tree.digest, sizeof(tree.digest));
	if (sha256_end(&sha, ret) < 0)
		return err_set(e, ERR_SYSTEM, 0, "SHA-256 failed");
	return 0;
}
