// SPDX-License-Identifier: Apache-2.0
/* From an archive's fd to a package's folder: small ones at once, others in a child, in their
 * turn. */
#include "supervisor/front/core/package/package.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "lib/sha256.h"
#include "supervisor/front/core/code.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/unpack.h"

/* Up to here a folder is looked for by its digest before there is a process for it, and */
#define DIGEST_MAX (1u << 20)
/* unpacking costs less than one: a tar of this size has no more than 256 files. */
#define INLINE_MAX (128u << 10)
/* Small archives have children of their own: they do not wait for others' big ones. What one of
 * this size can hold is unpacked in the blink of an eye. */
#define SMALL_MAX (256u << 10)
#define CHILDREN_MAX 8u /* of each size */
#define WAITING_MAX 256u
#define WAITING_OF_ONE_MAX 8u /* each holds its archive */

struct result {
	struct unpacked is;
	struct err error; /* code ERR_NONE: it worked */
};

/* Who is told. */
struct whom {
	bool zip;
	union {
		package_fn done;
		package_zip_fn zip_done;
	};
	void *arg;
};

/* An archive that is being unpacked, or waits for its turn. */
struct unpack {
	struct unpack *next; /* of front.unpacks, in the order in which they came */
	struct front *f;
	char project[PROJECT_ID_LEN + 1];
	int fd;			/* the archive; -1: a child has it */
	sd_event_source *child; /* NULL: it waits */
	int result_fd;
	bool small;
	struct whom whom;
};

/*
 * Marks what is at name as used now, which keeps package_prune from it: that looks at the time
 * before it gives it another name and after that, and what it has renamed but not yet
 * condemned is taken back here. -ENOENT when there is none.
 */
static int touch(int packages, const char *name)
{
	char gone[PACKAGE_NAME_MAX + sizeof(PACKAGE_GONE)];

	(void)snprintf(gone, sizeof(gone), PACKAGE_GONE "%s", name);
	if (utimensat(packages, name, NULL, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	/* EEXIST: it was put back in this moment. */
	if (errno == ENOENT && renameat2(packages, gone, packages, name, RENAME_NOREPLACE) < 0 &&
	    errno != EEXIST)
		return -ENOENT;
	return utimensat(packages, name, NULL, AT_SYMLINK_NOFOLLOW) == 0 ? 0 : -errno;
}

static int open_touched(struct front *f, const char *name, int flags)
{
	int fd = -1, r = 0;

	/* It may be renamed between the two steps, once for each pruner that runs: one. */
	for (int i = 0; i < 3 && fd < 0; i++) {
		r = touch(f->cfg.packages_dirfd, name);
		if (r == 0)
			fd = openat(f->cfg.packages_dirfd, name, flags | O_NOFOLLOW | O_CLOEXEC);
		r = fd < 0 && r == 0 ? -errno : r;
		if (r < 0 && r != -ENOENT)
			break;
	}
	return fd < 0 ? r : fd;
}

int package_open(struct front *f, const uint8_t digest[32])
{
	char name[65];

	util_hex(digest, 32, name);
	return open_touched(f, name, O_PATH | O_DIRECTORY);
}

int package_open_zip(struct front *f, const uint8_t zip[32])
{
	char name[PACKAGE_NAME_MAX + 1];

	util_hex(zip, 32, name);
	strcat(name, PACKAGE_ZIP);
	return open_touched(f, name, O_RDONLY);
}

void package_sync(struct front *f)
{
	if (syncfs(f->cfg.packages_dirfd) < 0)
		msg_warn("packages cannot be written to disk: %s", strerror(errno));
}

static void finish(struct front *f, struct result *res, const struct whom *whom)
{
	const struct unpacked *is = &res->is;
	int dirfd = -1;

	if (whom->zip) {
		if (res->error.code == ERR_NONE)
			whom->zip_done(f, whom->arg, is, NULL);
		else
			whom->zip_done(f, whom->arg, NULL, &res->error);
		return;
	}
	if (res->error.code == ERR_NONE) {
		dirfd = package_open(f, is->package);
		if (dirfd < 0)
			(void)err_set(&res->error, ERR_SYSTEM, -dirfd,
				      "the task's folder cannot be opened");
	}
	if (res->error.code == ERR_NONE)
		whom->done(f, whom->arg, is->package, dirfd, NULL);
	else
		whom->done(f, whom->arg, NULL, -1, &res->error);
}

/* Tells who waits for it; u is freed. */
static void end(struct unpack *u, struct result *res)
{
	struct unpack **at = &u->f->core->unpacks;

	while (*at != u)
		at = &(*at)->next;
	*at = u->next;
	u->f->core->n_unpacking -= u->child != NULL;
	u->child = sd_event_source_disable_unref(u->child);
	util_close_fd(&u->result_fd);
	util_close_fd(&u->fd);
	finish(u->f, res, &u->whom);
	free(u);
}

static void begin_turns(struct front *f);

static int child_ended(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct unpack *u = arg;
	struct front *f = u->f;
	struct result res;

	(void)s;
	(void)si;
	if (util_read_all(u->result_fd, &res, sizeof(res)) < 0) {
		res = (struct result){0};
		(void)err_set(&res.error, ERR_INTERNAL, 0,
			      "the process that unpacks the files died");
	}
	end(u, &res);
	begin_turns(f);
	return 0;
}

/* In the child: nothing but the archive, the packages and the pipe is touched. */
static _Noreturn void child_main(const struct unpack *u, const struct package_size *room,
				 int result_fd, pid_t parent)
{
	struct result res = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent) {
		(void)(u->whom.zip ? unpack_zip(u->f, u->fd, room, &res.is, &res.error)
				   : unpack_tar(u->f, u->fd, &res.is, &res.error));
		(void)util_write_all(result_fd, &res, sizeof(res));
	}
	_exit(0);
}

static int start_child(struct unpack *u, const struct package_size *room, struct err *e)
{
	int pipefd[2], r;
	pid_t pid, parent = getpid();

	if (pipe2(pipefd, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the files cannot be unpacked");
	u->result_fd = pipefd[0];
	pid = fork();
	if (pid == 0)
		child_main(u, room, pipefd[1], parent);
	util_close_fd(&pipefd[1]);
	r = pid < 0 ? -errno
		    : sd_event_add_child(u->f->event, &u->child, pid, WEXITED, child_ended, u);
	if (r < 0) {
		if (pid > 0)
			(void)kill(pid, SIGKILL);
		return err_set(e, ERR_SYSTEM, -r, "the files cannot be unpacked");
	}
	util_close_fd(&u->fd);
	u->f->core->n_unpacking++;
	return 0;
}

static bool is_same_project(const struct unpack *a, const struct unpack *b)
{
	return memcmp(a->project, b->project, sizeof(a->project)) == 0;
}

/*
 * There is a child for it, and its project has not got its share of them. Of folders that come
 * with `run` that is half of those that are there for their size, so that the next project
 * finds one free. Of zips it is one: what the project's quotas leave is then known.
 */
static bool may_start(const struct unpack *u)
{
	unsigned all = 0, of_one = 0;

	for (const struct unpack *v = u->f->core->unpacks; v; v = v->next) {
		if (!v->child)
			continue;
		all += v->small == u->small;
		if (!is_same_project(u, v))
			continue;
		if (u->whom.zip && v->whom.zip)
			return false;
		of_one += v->small == u->small;
	}
	return all < CHILDREN_MAX && of_one < CHILDREN_MAX / 2;
}

/* Of those that may start, that of the project that was served longest ago. */
static struct unpack *next_turn(struct front *f, struct project **ret)
{
	struct unpack *next = NULL;

	for (struct unpack *u = f->core->unpacks; u; u = u->next) {
		struct project *p;

		if (u->child || !may_start(u))
			continue;
		p = project_by_id(f, u->project);
		if (next && *ret && (!p || p->unpacked_at >= (*ret)->unpacked_at))
			continue;
		next = u;
		*ret = p;
	}
	return next;
}

static void begin_turns(struct front *f)
{
	struct project *p = NULL;
	struct unpack *u;

	while ((u = next_turn(f, &p))) {
		struct package_size room = {0};
		struct result res = {0};
		int r;

		if (p) {
			p->unpacked_at = ++f->core->unpack_turn;
			code_room(p, &room);
			r = start_child(u, &room, &res.error);
		} else {
			r = err_set(&res.error, ERR_NOT_FOUND, 0,
				    "Not found: there is no such project");
		}
		if (r < 0)
			end(u, &res);
	}
}

static int unpack_in_child(struct front *f, const struct project *p, int *fd, bool small,
			   const struct whom *whom, struct err *e)
{
	struct unpack *u = calloc(1, sizeof(*u)), **at = &f->core->unpacks;
	unsigned all = 0, of_one = 0;

	if (!u)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the files cannot be unpacked");
	*u = (struct unpack){.f = f, .fd = -1, .result_fd = -1, .small = small, .whom = *whom};
	memcpy(u->project, p->id, sizeof(u->project));
	for (; *at; at = &(*at)->next) {
		all += !(*at)->child;
		of_one += !(*at)->child && is_same_project(*at, u);
	}
	/* As many as are left for others, so that there is always a place for one more project. */
	if (of_one >= WAITING_OF_ONE_MAX || of_one >= WAITING_MAX - all) {
		free(u);
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "%u folders of this project wait to be unpacked: try again later",
			       of_one);
	}
	u->fd = TAKE_FD(*fd);
	*at = u;
	begin_turns(f);
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

void package_unpack(struct front *f, const struct project *p, int archive_fd, package_fn done,
		    void *arg)
{
	const struct whom whom = {.done = done, .arg = arg};
	_cleanup_fd_ int fd = archive_fd;
	struct result res = {0};
	uint64_t size = 0;
	int dirfd = -1, r;

	r = check_archive(f, fd, &size, &res.error);
	if (r == 0 && size <= DIGEST_MAX) {
		if (sha256_file(fd, res.is.package) == 0)
			dirfd = package_open(f, res.is.package);
		if (dirfd >= 0) {
			done(f, arg, res.is.package, dirfd, NULL);
			return;
		}
	}
	if (r == 0 && size > INLINE_MAX) {
		r = unpack_in_child(f, p, &fd, size <= SMALL_MAX, &whom, &res.error);
		if (r == 0)
			return;
	} else if (r == 0) {
		(void)unpack_tar(f, fd, &res.is, &res.error);
	}
	finish(f, &res, &whom);
}

/* Always in a child: it waits for the disk. */
void package_unpack_zip(struct front *f, const struct project *p, int zip_fd, package_zip_fn done,
			void *arg)
{
	const struct whom whom = {.zip = true, .zip_done = done, .arg = arg};
	_cleanup_fd_ int fd = zip_fd;
	struct result res = {0};
	struct stat st;
	bool small = fstat(fd, &st) == 0 && st.st_size <= SMALL_MAX;

	if (unpack_in_child(f, p, &fd, small, &whom, &res.error) < 0)
		finish(f, &res, &whom);
}
