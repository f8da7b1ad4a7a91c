// SPDX-License-Identifier: Apache-2.0
/*
 * A new monitor finds what its predecessor has left: records of tasks that run or have ended, and
 * cgroups of sandboxes without a record.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/dir.h"
#include "lib/msg.h"
#include "sandbox/net.h"
#include "supervisor/monitor/monitor.h"

/* How often the init's descriptors are looked for. It moves them to their places before it gives up
 * root, which takes milliseconds. */
#define FDS_TRIES 2500

static bool is_pipe(int fd, uint64_t ino)
{
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode) && st.st_ino == ino;
}

static int take_fd(int pidfd, enum init_fd which, uint64_t ino)
{
	int fd = (int)syscall(SYS_pidfd_getfd, pidfd, (int)which, 0);

	if (is_pipe(fd, ino))
		return fd;
	util_close_fd(&fd);
	return -1;
}

static void take_pipes(struct box *b)
{
	struct pollfd ended = {.fd = b->pidfd, .events = POLLIN};
	struct timespec nap = {0, 2000000};

	for (int i = 0; i < FDS_TRIES; i++) {
		b->out_r = take_fd(b->pidfd, INIT_FD_OUT, b->run.out_ino);
		b->err_r = take_fd(b->pidfd, INIT_FD_ERR, b->run.err_ino);
		if (b->out_r >= 0 && b->err_r >= 0)
			break;
		util_close_fd(&b->out_r);
		util_close_fd(&b->err_r);
		/* A pidfd is readable once its process has ended (pidfd_open(2)); the record tells
		 * the rest. */
		if (poll(&ended, 1, 0) != 0)
			return;
		(void)nanosleep(&nap, NULL);
	}
	/* Nobody would ever read its output, and its init waits for that. */
	if (b->out_r < 0)
		box_kill(b, VERDICT_LOST);
	if (!b->run.started) {
		b->started_r = take_fd(b->pidfd, INIT_FD_STARTED, b->run.started_ino);
		if (b->started_r >= 0)
			(void)fcntl(b->started_r, F_SETFL, O_NONBLOCK);
	}
}

/* A pid and a start time name one process for good. The pidfd is taken before the start time is
 * compared, so that it is that process's. */
static int take_process(struct box *b)
{
	uint64_t start;

	if (strcmp(b->run.boot_id, b->m->boot_id) != 0)
		return -ESRCH;
	b->pidfd = (int)syscall(SYS_pidfd_open, b->run.init_pid, 0);
	if (b->pidfd < 0)
		return -ESRCH;
	if (util_proc_start_time(b->run.init_pid, &start) < 0 || start != b->run.init_start) {
		util_close_fd(&b->pidfd);
		return -ESRCH;
	}
	b->pid = b->run.init_pid;
	return 0;
}

int adopt_task(struct box *b, bool runs, struct err *e)
{
	int r;

	if (!runs) {
		box_ended(b);
		return 0;
	}
	take_pipes(b);
	r = box_watch(b, e);
	if (r == 0)
		msg_info("task %s runs: adopted", b->id);
	return r;
}

/* The kinds that may own a record, or a cgroup that is not called by a task's id. */
static const struct box_kind *const kinds[] = {&box_clone, &box_warmup, &box_keeper};

/* The kind of a record's box. A record that no kind owns is taken for a task's: the front is told
 * of its end then, and no task is lost. */
static const struct box_kind *kind_of(const struct run_record *run)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i]->owns && kinds[i]->owns(run))
			return kinds[i];
	return &box_task;
}

/* The kind of the sandbox that has a cgroup of this name; NULL: it is called by a task's id, or by
 * nothing that this program knows. */
static const struct box_kind *kind_of_group(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (kinds[i]->group && strncmp(name, kinds[i]->group, strlen(kinds[i]->group)) == 0)
			return kinds[i];
	return NULL;
}

static int adopt_one(struct monitor *m, const char *id)
{
	_cleanup_fd_ int fd = openat(m->tasks_fd, id, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	struct run_record run;
	struct err e = {0};
	struct box *b;
	int r;

	if (fd < 0 || pread(fd, &run, sizeof(run), 0) != (ssize_t)sizeof(run) ||
	    run.magic != RUN_RECORD_MAGIC || strcmp(run.id, id) != 0 ||
	    !memchr(run.cgroup, '\0', sizeof(run.cgroup))) {
		/* Nothing has run yet, or it is found by its cgroup; the front asks again. */
		(void)unlinkat(m->tasks_fd, id, 0);
		return 0;
	}
	b = box_new(m, kind_of(&run), id);
	if (!b)
		return -ENOMEM;
	b->run = run;
	b->record_fd = TAKE_FD(fd);
	b->killed_for = run.killed_for < VERDICT_MAX ? (enum verdict)run.killed_for : VERDICT_NONE;
	/* The sandbox's init can write into its record. An index that no sandbox can have is given
	 * up here, because it is an index into net_used. */
	if (b->run.net_index > NET_INDEX_MAX)
		b->run.net_index = 0;
	if (b->run.net_index)
		m->net_used[b->run.net_index] = NET_USED;
	(void)cgroup_open(&m->cgroups, b->run.cgroup, &b->cgroup, NULL);
	r = b->kind->adopt(b, take_process(b) == 0, &e);
	if (r < 0)
		msg_err("task %s: %s", id, e.msg);
	return r;
}

/* Whether a box has this cgroup. A clone's may have another name than its task. */
static bool find_group(struct monitor *m, const char *name)
{
	box_each(m, b) if (strcmp(b->cgroup.name, name) == 0) return true;
	return false;
}

/* A cgroup of which there is no box: ends what runs in it, unless it ends by itself, and removes
 * it. */
static void kill_stray(const char *name, void *arg)
{
	/* Nothing is left of such a sandbox but its cgroup. */
	static const struct box_kind stray = {.size = sizeof(struct box)};
	const struct box_kind *kind = kind_of_group(name);
	struct monitor *m = arg;
	struct cgroup cg;
	struct box *b;

	if (find_group(m, name) || (kind && kind->outlives) ||
	    cgroup_open(&m->cgroups, name, &cg, NULL) < 0)
		return;
	/* A parked clone ends with its monitor: it is gone, or about to be, and nobody misses
	 * it. */
	if (!kind)
		msg_warn("sandbox %s has no record: ended", name);
	(void)cgroup_kill(&cg);
	b = box_new(m, &stray, "");
	if (!b) {
		cgroup_close(&cg);
		return;
	}
	b->cgroup = cg;
	box_discard(b);
}

static int adopt_name(int dir, const char *name, void *arg, struct err *e)
{
	(void)dir;
	(void)e;
	if (util_is_id(name) && adopt_one(arg, name) < 0)
		msg_err("task %s: cannot be adopted", name);
	return 0;
}

int adopt_all(struct monitor *m, struct err *e)
{
	int r;

	(void)dir_each(m->tasks_fd, adopt_name, m, NULL);
	r = cgroup_each(&m->cgroups, kill_stray, m);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "list the cgroups") : 0;
}
