// SPDX-License-Identifier: Apache-2.0
/* From an archive's fd to a package's folder: small ones at once, others in a child, in their
 * turn. */
#include "supervisor/front/core/package/package.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/dir.h"
#include "lib/msg.h"
#include "lib/sha256.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/extract.h"
#include "supervisor/front/core/package/unescape.h"
#include "supervisor/front/core/package/zip.h"
#include "supervisor/front/core/worker.h"

/* Up to here a folder is looked for by its digest before there is a process for it, and */
#define DIGEST_MAX (1u << 20)
/* unpacking costs less than one: a tar of this size has no more than 256 files. */
#define INLINE_MAX (128u << 10)
/* Small archives have children of their own: they do not wait for others' big ones. What one of
 * this size can hold is unpacked in the blink of an eye. */
#define SMALL_MAX (256u << 10)
#define CHILDREN_MAX 8u /* of each size */
/*
 * What a child may have of memory beyond what the front had when it forked. The names of
 * PACKAGE_ENTRIES_MAX files, in the copies that the libraries make of them, and one deflate window
 * take less than half of it; an archive's maps of sparse files and extra fields have no bound of
 * their own.
 */
#define UNPACK_MEMORY (256u << 20)
#define WAITING_MAX 256u
#define WAITING_OF_ONE_MAX 8u /* each holds its archive */

struct result {
	struct unpacked is;
	struct err error; /* code ERR_NONE: it worked */
};

/* Who is told. */
struct whom {
	bool zip;
	bool sized; /* of a tar: it is told what its folder takes on the disk */
	union {
		package_fn done;
		package_zip_fn zip_done; /* of zips, and of what is sized */
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

/* Everything is made under a temporary name first: what has its real one is whole. */

#define COPY_SIZE (64u << 10)

static void temporary_name(char *buf, size_t size, const char *end)
{
	char id[TASK_ID_LEN + 1];

	util_new_id(id);
	(void)snprintf(buf, size, PACKAGE_TMP "%s%s", id, end);
}

/* In a child that unpacks: what give_up needs. */
static struct {
	int packages, result_fd;
	char tmp[64]; /* the folder that is being filled; "" before there is one */
} child;

/* The tar in fd, or zip where there is one. */
static int unpack_to_name(struct front *f, int tar, struct zip_package *zip, struct unpacked *ret,
			  struct err *e)
{
	int packages = f->cfg.packages_dirfd, r;
	_cleanup_fd_ int dir = -1;
	char *tmp = child.tmp, name[65];

	temporary_name(tmp, sizeof(child.tmp), "");
	if (mkdirat(packages, tmp, 0755) == 0)
		dir = openat(packages, tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir < 0)
		return extract_cannot_keep(e, errno, "the folder");
	if (zip)
		r = package_zip_extract(zip, dir, e);
	else
		r = package_extract_tar(tar, dir, f->cfg.package_bytes_max, ret->package, e);
	util_close_fd(&dir);
	if (r == 0) {
		util_hex(ret->package, 32, name);
		/* Another one of the same content may have come first: then it is that one. */
		if (renameat2(packages, tmp, packages, name, RENAME_NOREPLACE) == 0)
			return 0;
		if (errno != EEXIST)
			r = extract_cannot_keep(e, errno, "the folder");
	}
	(void)dir_remove_tree(packages, tmp);
	return r;
}

static int measure(int dir, const char *name, void *arg, struct err *e)
{
	struct package_size *size = arg;
	_cleanup_fd_ int sub = -1;
	struct stat st;
	uint64_t bytes;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the folder's size");
	bytes = S_ISREG(st.st_mode) ? (uint64_t)st.st_size : 0;
	size->bytes +=
		bytes ? (bytes + PACKAGE_BLOCK - 1) / PACKAGE_BLOCK * PACKAGE_BLOCK : PACKAGE_BLOCK;
	size->files++;
	if (!S_ISDIR(st.st_mode))
		return 0;
	sub = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (sub < 0)
		return err_set(e, ERR_SYSTEM, errno, "the folder's size");
	/* No deeper than PACKAGE_DEPTH_MAX: it was unpacked by that rule. */
	return dir_each(sub, measure, size, e);
}

/* What the package takes on the disk. */
static int measure_package(struct front *f, struct unpacked *is, struct err *e)
{
	_cleanup_fd_ int dir = -1;
	char name[65];

	util_hex(is->package, 32, name);
	dir = open_touched(f, name, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		return err_set(e, ERR_SYSTEM, -dir, "the folder's size");
	is->size = (struct package_size){0};
	return dir_each(dir, measure, &is->size, e);
}

/* The tar in fd, which is borrowed. 0 when a package of that name is there in the end. */
static int unpack_tar(struct front *f, int fd, bool sized, struct unpacked *ret, struct err *e)
{
	int r = unpack_to_name(f, fd, NULL, ret, e);

	return r < 0 || !sized ? r : measure_package(f, ret, e);
}

static int copy_all(int fd, int to, uint64_t max, struct unpacked *ret, struct err *e)
{
	_cleanup_free_ char *buf = malloc(COPY_SIZE);
	_cleanup_sha256_ struct sha256 sha = {0};
	uint64_t n = 0;

	sha256_begin(&sha);
	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the zip cannot be read");
	for (;;) {
		ssize_t len = pread(fd, buf, COPY_SIZE, (off_t)n);
		int r;

		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0)
			return err_set(e, ERR_SYSTEM, errno, "the zip cannot be read");
		if (len == 0)
			break;
		if ((uint64_t)len > max - n)
			return err_set(e, ERR_LIMIT, 0,
				       "the zip has more than %llu bytes, which are allowed",
				       (unsigned long long)max);
		r = util_write_all(to, buf, (size_t)len);
		if (r < 0)
			return extract_cannot_keep(e, -r, "the zip");
		sha256_add(&sha, buf, (size_t)len);
		n += (uint64_t)len;
	}
	ret->zip_bytes = n;
	if (sha256_end(&sha, ret->zip) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the zip cannot be read");
	return 0;
}

/* Our own copy, which nobody changes while it is read. */
static int copy_zip(struct front *f, int fd, int to, struct unpacked *ret, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "the zip must be a regular file");
	return copy_all(fd, to, f->cfg.package_bytes_max, ret, e);
}

static bool is_there(struct front *f, const struct unpacked *is)
{
	int dir = package_open(f, is->package);

	if (dir < 0)
		return false;
	util_close_fd(&dir);
	return true;
}

static int check_room(const struct package_size *size, const struct package_size *room,
		      struct err *e)
{
	if (size->bytes <= room->bytes && size->files <= room->files)
		return 0;
	return err_set(
		e, ERR_LIMIT, 0,
		"zip: with its files it takes %llu bytes in %llu files and folders on the "
		"disk, and the project's quotas \"package_bytes\" and \"package_files\" leave "
		"it %llu and %llu: remove workers that are not used",
		(unsigned long long)size->bytes, (unsigned long long)size->files,
		(unsigned long long)room->bytes, (unsigned long long)room->files);
}

static int unpack_copy(struct front *f, int copy, const struct package_size *room,
		       struct unpacked *ret, struct err *e)
{
	struct zip_package zip;
	void *map;
	int r;

	if (ret->zip_bytes == 0)
		return err_set(e, ERR_INPUT, 0, "zip: it is empty");
	map = mmap(NULL, ret->zip_bytes, PROT_READ, MAP_PRIVATE, copy, 0);
	if (map == MAP_FAILED)
		return err_set(e, ERR_SYSTEM, errno, "the zip cannot be read");
	package_zip_digest(ret->zip, ret->package);
	r = package_zip_open(map, ret->zip_bytes, f->cfg.package_bytes_max, &zip, e);
	if (r == 0) {
		r = package_zip_size(&zip, &ret->size, e);
		if (r < 0)
			r = err_wrap(e, r, "zip");
		/* The same zip has been unpacked before: it is known to be good, and takes no more
		 * room. */
		if (r == 0 && !is_there(f, ret)) {
			r = check_room(&ret->size, room, e);
			if (r == 0)
				r = unpack_to_name(f, -1, &zip, ret, e);
		}
		package_zip_close(&zip);
	}
	(void)munmap(map, ret->zip_bytes);
	return r;
}

int package_spool(struct front *f)
{
	int fd = openat(f->cfg.packages_dirfd, ".", O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);

	return fd < 0 ? -errno : fd;
}

/*
 * A client that is written in Python 3 sends what it prints of the bytes, "b'PK...'": the bytes of
 * that in an unlinked file, whose fd is the caller's. -1 in *ret where the file is a zip as it is.
 */
static int plain_zip(struct front *f, int from, int *ret, struct err *e)
{
	_cleanup_free_ char *text = malloc(COPY_SIZE), *bytes = malloc(COPY_SIZE);
	struct iron_unescape u = {0};
	_cleanup_fd_ int to = -1;
	uint64_t at = 0;
	char head[2];
	size_t n;
	ssize_t got;

	*ret = -1;
	if (pread(from, head, sizeof(head), 0) != sizeof(head) || !iron_unescape_wanted(head))
		return 0;
	to = package_spool(f);
	if (!text || !bytes || to < 0)
		return err_set(e, ERR_SYSTEM, to < 0 ? -to : ENOMEM, "file: cannot be kept");
	while ((got = pread(from, text, COPY_SIZE, (off_t)at)) > 0) {
		if (iron_unescape(&u, text, (size_t)got, bytes, &n) < 0)
			return err_set(e, ERR_INPUT, 0,
				       "file: it starts as what Python prints of bytes, and is "
				       "wrong at byte %zu",
				       u.offset);
		if (util_write_all(to, bytes, n) < 0)
			return extract_cannot_keep(e, errno, "file: it");
		at += (uint64_t)got;
	}
	if (got < 0)
		return err_set(e, ERR_SYSTEM, errno, "file: cannot be read");
	if (iron_unescape_end(&u) < 0)
		return err_set(e, ERR_INPUT, 0,
			       "file: it starts as what Python prints of bytes, and has no end");
	*ret = TAKE_FD(to);
	return 0;
}

/* The same, with the zip beside it; both are on disk. ERR_LIMIT before anything is unpacked where
 * that would take more than room. */
static int unpack_zip(struct front *f, int fd, const struct package_size *room,
		      struct unpacked *ret, struct err *e)
{
	int packages = f->cfg.packages_dirfd, r;
	char tmp[64], name[PACKAGE_NAME_MAX + 1];
	_cleanup_fd_ int copy = -1, plain = -1;

	r = plain_zip(f, fd, &plain, e);
	if (r < 0)
		return r;
	temporary_name(tmp, sizeof(tmp), PACKAGE_ZIP);
	copy = openat(packages, tmp, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (copy < 0)
		return extract_cannot_keep(e, errno, "the zip");
	r = copy_zip(f, plain >= 0 ? plain : fd, copy, ret, e);
	if (r == 0)
		r = unpack_copy(f, copy, room, ret, e);
	if (r == 0) {
		util_hex(ret->zip, 32, name);
		strcat(name, PACKAGE_ZIP);
		/* In the place of another of the same bytes, which may be about to go. */
		if (renameat(packages, tmp, packages, name) < 0 || syncfs(packages) < 0)
			r = extract_cannot_keep(e, errno, "the zip");
	}
	if (r < 0)
		(void)unlinkat(packages, tmp, 0);
	return r;
}

static void finish(struct front *f, struct result *res, const struct whom *whom)
{
	const struct unpacked *is = &res->is;
	int dirfd = -1;

	if (whom->zip || whom->sized) {
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

static void say_no_memory(struct err *e)
{
	(void)err_set(
		e, ERR_LIMIT, 0,
		"the archive takes more than %u MiB of memory to unpack: send fewer files, and "
		"none of them as a sparse one",
		UNPACK_MEMORY >> 20);
}

static int limit_memory(struct err *e)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	unsigned long long has;
	struct rlimit limit;
	FILE *in = fopen("/proc/self/statm", "re");

	/* The sixth number: pages of data and stack, which is what the kernel holds against the limit. */
	if (!in || fscanf(in, "%*u %*u %*u %*u %*u %llu", &has) != 1) /* NOLINT(cert-err34-c) */
		has = 0;
	if (in)
		(void)fclose(in);
	limit.rlim_cur = has * page + UNPACK_MEMORY;
	limit.rlim_max = limit.rlim_cur + UNPACK_MEMORY / 16; /* for give_up */
#ifdef __SANITIZE_ADDRESS__
	/* Its runtime keeps what was freed. */
	limit.rlim_cur = limit.rlim_max = RLIM_INFINITY;
#endif
	if (!has || setrlimit(RLIMIT_DATA, &limit) < 0)
		return err_set(e, ERR_SYSTEM, has ? errno : 0, "the memory to unpack in");
	return 0;
}

/* In the child, which libarchive ends by exit(3) where it gets no memory: the folder goes, and the
 * front is told. */
static void give_up(void)
{
	struct result res = {0};
	struct rlimit limit;

	if (getrlimit(RLIMIT_DATA, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_DATA, &limit);
	}
	if (*child.tmp)
		(void)dir_remove_tree(child.packages, child.tmp);
	say_no_memory(&res.error);
	(void)util_write_all(child.result_fd, &res, sizeof(res));
	_exit(1);
}

/* In the child: nothing but the archive, the packages and the pipe is touched. */
static _Noreturn void child_main(const struct unpack *u, const struct package_size *room,
				 int result_fd, pid_t parent)
{
	struct result res = {0};

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() == parent) {
		child.packages = u->f->cfg.packages_dirfd;
		child.result_fd = result_fd;
		child.tmp[0] = '\0';
		if (atexit(give_up) != 0)
			(void)err_set(&res.error, ERR_SYSTEM, ENOMEM, "the memory to unpack in");
		else if (limit_memory(&res.error) == 0)
			(void)(u->whom.zip ? unpack_zip(u->f, u->fd, room, &res.is, &res.error)
					   : unpack_tar(u->f, u->fd, u->whom.sized, &res.is,
							&res.error));
		if (res.error.errnum == ENOMEM)
			say_no_memory(&res.error);
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
			worker_room(p, &room);
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

static void unpack(struct front *f, const struct project *p, int *fd, uint64_t size, bool at_once,
		   const struct whom *whom, struct result *res)
{
	int dirfd = -1;

	if (at_once && size <= DIGEST_MAX) {
		if (sha256_file(*fd, res->is.package) == 0)
			dirfd = package_open(f, res->is.package);
		if (dirfd >= 0 && !whom->sized) {
			whom->done(f, whom->arg, res->is.package, dirfd, NULL);
			return;
		}
		if (dirfd >= 0) {
			/* It has few files: its tar is short. */
			util_close_fd(&dirfd);
			(void)measure_package(f, &res->is, &res->error);
			finish(f, res, whom);
			return;
		}
	}
	if (!at_once || size > INLINE_MAX) {
		if (unpack_in_child(f, p, fd, size <= SMALL_MAX, whom, &res->error) == 0)
			return;
	} else {
		(void)unpack_tar(f, *fd, whom->sized, &res->is, &res->error);
	}
	finish(f, res, whom);
}

static void unpack_memory(struct front *f, const struct project *p, int archive_fd,
			  const struct whom *whom)
{
	_cleanup_fd_ int fd = archive_fd;
	struct result res = {0};
	uint64_t size = 0;

	if (check_archive(f, fd, &size, &res.error) < 0)
		finish(f, &res, whom);
	else
		unpack(f, p, &fd, size, true, whom, &res);
}

void package_unpack(struct front *f, const struct project *p, int archive_fd, package_fn done,
		    void *arg)
{
	const struct whom whom = {.done = done, .arg = arg};

	unpack_memory(f, p, archive_fd, &whom);
}

void package_unpack_sized(struct front *f, const struct project *p, int archive_fd,
			  package_zip_fn done, void *arg)
{
	const struct whom whom = {.sized = true, .zip_done = done, .arg = arg};

	unpack_memory(f, p, archive_fd, &whom);
}

/* In a child, which may wait for the disk. Closes archive_fd. */
static void unpack_file(struct front *f, const struct project *p, int archive_fd,
			const struct whom *whom)
{
	_cleanup_fd_ int fd = archive_fd;
	struct result res = {0};
	struct stat st;

	unpack(f, p, &fd, fstat(fd, &st) == 0 ? (uint64_t)st.st_size : 0, false, whom, &res);
}

void package_unpack_file(struct front *f, const struct project *p, int archive_fd, package_fn done,
			 void *arg)
{
	const struct whom whom = {.done = done, .arg = arg};

	unpack_file(f, p, archive_fd, &whom);
}

void package_unpack_spool(struct front *f, const struct project *p, int spool_fd,
			  package_zip_fn done, void *arg)
{
	const struct whom whom = {.sized = true, .zip_done = done, .arg = arg};

	unpack_file(f, p, spool_fd, &whom);
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
