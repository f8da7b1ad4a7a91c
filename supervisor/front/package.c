// SPDX-License-Identifier: Apache-2.0
/* From an archive's fd to a package's folder: small ones at once, others in a child. */
#include "supervisor/front/package.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/front/internal.h"
#include "supervisor/msg.h"

/* Up to here unpacking costs less than a process. */
#define INLINE_MAX (1u << 20)
#define CHILDREN_MAX 8u

struct result {
	uint8_t digest[32];
	struct err error; /* code ERR_NONE: it worked */
};

struct unpack {
	struct front *f;
	sd_event_source *child;
	int result_fd;
	package_fn done;
	void *arg;
};

/* Digest of a whole file. 0 or -errno. */
static int digest_file(int fd, uint8_t digest[32])
{
	EVP_MD_CTX *sha = EVP_MD_CTX_new();
	char buf[16384];
	off_t at = 0;
	ssize_t n = -1;
	int ok = sha && EVP_DigestInit_ex(sha, EVP_sha256(), NULL) == 1;

	while (ok && (n = pread(fd, buf, sizeof(buf), at)) > 0) {
		ok = EVP_DigestUpdate(sha, buf, (size_t)n) == 1;
		at += n;
	}
	ok = ok && n == 0 && EVP_DigestFinal_ex(sha, digest, NULL) == 1;
	EVP_MD_CTX_free(sha);
	return ok ? 0 : -EIO;
}

int package_open(struct front *f, const uint8_t digest[32])
{
	char name[65];
	int fd;

	util_hex(digest, 32, name);
	/* Its time tells when it was used last. It is set first: package_prune looks at it
	 * before and after it takes a package away. */
	if (utimensat(f->cfg.packages_dirfd, name, NULL, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	fd = openat(f->cfg.packages_dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

void package_sync(struct front *f)
{
	if (syncfs(f->cfg.packages_dirfd) < 0)
		msg_warn("packages cannot be written to disk: %s", strerror(errno));
}

/* Unpacks into a temporary folder and gives it its name. 0 when a package of that name
 * is there in the end. */
static int unpack_to_name(struct front *f, int fd, uint8_t digest[32], struct err *e)
{
	int packages = f->cfg.packages_dirfd, r;
	char tmp[40], id[TASK_ID_LEN + 1], name[65];
	_cleanup_fd_ int dir = -1;

	util_new_id(id);
	(void)snprintf(tmp, sizeof(tmp), ".tmp-%s", id);
	if (mkdirat(packages, tmp, 0777) == 0)
		dir = openat(packages, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0 || fchmod(dir, 0777) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	r = package_extract(fd, dir, f->cfg.package_bytes_max, digest, e);
	util_close_fd(&dir);
	if (r == 0) {
		util_hex(digest, 32, name);
		/* Another one of the same content may have come first: then it is that one. */
		if (renameat2(packages, tmp, packages, name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			r = err_set(e, ERR_SYSTEM, errno, "the task's folder cannot be kept");
	}
	package_remove(packages, tmp);
	return r;
}

static void finish(struct front *f, struct result *res, package_fn done, void *arg)
{
	int dirfd = -1;

	if (res->error.code == ERR_NONE) {
		dirfd = package_open(f, res->digest);
		if (dirfd < 0)
			(void)err_set(&res->error, ERR_SYSTEM, -dirfd,
				      "the task's folder cannot be opened");
	}
	if (res->error.code == ERR_NONE)
		done(f, arg, res->digest, dirfd, NULL);
	else
		done(f, arg, NULL, -1, &res->error);
}

static int child_ended(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct unpack *u = arg;
	struct result res;

	(void)s;
	(void)si;
	u->f->n_unpacking--;
	if (util_read_all(u->result_fd, &res, sizeof(res)) < 0) {
		res = (struct result){0};
		(void)err_set(&res.error, ERR_INTERNAL, 0,
			      "the process that unpacks the task's folder died");
	}
	finish(u->f, &res, u->done, u->arg);
	(void)sd_event_source_disable_unref(u->child);
	util_close_fd(&u->result_fd);
	free(u);
	return 0;
}

/* In the child: nothing but the archive, the packages and the pipe is touched. */
static _Noreturn void child_main(struct front *f, int fd, int result_fd, pid_t parent)
{
	struct result res = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent) {
		(void)unpack_to_name(f, fd, res.digest, &res.error);
		(void)util_write_all(result_fd, &res, sizeof(res));
	}
	_exit(0);
}

static int unpack_in_child(struct front *f, int fd, package_fn done, void *arg, struct err *e)
{
	struct unpack *u;
	int pipefd[2], r;
	pid_t pid, parent = getpid();

	if (f->n_unpacking >= CHILDREN_MAX)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u big folders are being unpacked: try again later", CHILDREN_MAX);
	u = calloc(1, sizeof(*u));
	if (!u || pipe2(pipefd, O_CLOEXEC) < 0) {
		free(u);
		return err_set(e, ERR_SYSTEM, errno, "the task's folder");
	}
	*u = (struct unpack){.f = f, .result_fd = pipefd[0], .done = done, .arg = arg};
	pid = fork();
	if (pid == 0)
		child_main(f, fd, pipefd[1], parent);
	util_close_fd(&pipefd[1]);
	r = pid < 0 ? -errno
		    : sd_event_add_child(f->event, &u->child, pid, WEXITED, child_ended, u);
	if (r < 0) {
		if (pid > 0)
			(void)kill(pid, SIGKILL);
		util_close_fd(&u->result_fd);
		free(u);
		return err_set(e, ERR_SYSTEM, -r, "the task's folder cannot be unpacked");
	}
	f->n_unpacking++;
	return 0;
}

/* A memory file: one on a disk, or on a file system that its owner implements, may make
 * whoever reads it wait. */
static int check_archive(struct front *f, int fd, uint64_t *ret_size, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || fcntl(fd, F_GET_SEALS) < 0)
		return err_set(e, ERR_INPUT, 0, "the folder's archive must be a memory file");
	/* Headers and padding come on top of the content. */
	if ((uint64_t)st.st_size > 2 * f->cfg.package_bytes_max)
		return err_set(e, ERR_LIMIT, 0,
			       "the task's folder has %llu bytes: %llu are allowed",
			       (unsigned long long)st.st_size,
			       (unsigned long long)f->cfg.package_bytes_max);
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

void package_unpack(struct front *f, int archive_fd, package_fn done, void *arg)
{
	_cleanup_fd_ int fd = archive_fd;
	struct result res = {0};
	uint64_t size = 0;
	int dirfd = -1, r;

	r = check_archive(f, fd, &size, &res.error);
	if (r == 0 && size > INLINE_MAX) {
		r = unpack_in_child(f, fd, done, arg, &res.error);
		if (r == 0)
			return;
	} else if (r == 0 && digest_file(fd, res.digest) == 0) {
		dirfd = package_open(f, res.digest);
		if (dirfd >= 0) {
			done(f, arg, res.digest, dirfd, NULL);
			return;
		}
		(void)unpack_to_name(f, fd, res.digest, &res.error);
	} else if (r == 0) {
		(void)err_set(&res.error, ERR_SYSTEM, EIO, "the folder's archive cannot be read");
	}
	finish(f, &res, done, arg);
}
