// SPDX-License-Identifier: Apache-2.0
/*
 * A new monitor finds what its predecessor left: run records of tasks that run or
 * have ended, cgroups without a record, half-made checkpoints.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/msg.h"
#include "sandbox/net.h"
#include "supervisor/monitor/fork/clone.h"

/* The init moves its fds to their places before it gives up root: milliseconds. */
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
		/* Readable: it has ended (pidfd_open(2)), and its record tells the rest. */
		if (poll(&ended, 1, 0) != 0)
			return;
		(void)nanosleep(&nap, NULL);
	}
	/* Without its pipes nobody would ever read its output, nor would its init end. */
	if (b->out_r < 0)
		box_kill(b, VERDICT_LOST);
	if (!b->run.started) {
		b->started_r = take_fd(b->pidfd, INIT_FD_STARTED, b->run.started_ino);
		if (b->started_r >= 0)
			(void)fcntl(b->started_r, F_SETFL, O_NONBLOCK);
	}
}

/* pid and start time name one process for good; a pidfd taken in between holds it. */
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

static int adopt_one(struct monitor *m, const char *id)
{
	struct box *b = box_new(m, id);
	struct err e = {0};
	int r;

	if (!b)
		return -ENOMEM;
	b->record_fd = openat(m->tasks_fd, id, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (b->record_fd < 0 ||
	    pread(b->record_fd, &b->run, sizeof(b->run), 0) != (ssize_t)sizeof(b->run) ||
	    b->run.magic != RUN_RECORD_MAGIC || strcmp(b->run.id, id) != 0 ||
	    !memchr(b->run.cgroup, '\0', sizeof(b->run.cgroup))) {
		/* Nothing ran yet, or it will be found by its cgroup: the front asks again. */
		box_forget(b);
		return 0;
	}
	b->killed_for =
		b->run.killed_for < VERDICT_MAX ? (enum verdict)b->run.killed_for : VERDICT_NONE;
	/* A sandbox's init has a descriptor of its record: an index that none has is given up here, not
	 * written by when the address is. */
	if (b->run.net_index > NET_INDEX_MAX)
		b->run.net_index = 0;
	if (b->run.net_index)
		m->net_used[b->run.net_index] = NET_USED;
	(void)cgroup_open(&m->cgroups, b->run.cgroup, &b->cgroup, NULL);
	r = take_process(b);
	if (box_is_warm(b)) {
		/* Whoever asked is gone, and it is quickly made again. */
		if (r == 0)
			box_signal(b, SIGKILL);
		box_forget(b);
		return 0;
	}
	if (r < 0) {
		box_ended(b);
		return 0;
	}
	take_pipes(b);
	keeper_watch_adopted(b);
	r = box_watch(b, &e);
	if (r < 0)
		msg_err("task %s: %s", id, e.msg);
	else
		msg_info("task %s runs: adopted", id);
	return r;
}

/* A clone's group may have another name than its task. */
static bool find_group(struct monitor *m, const char *name)
{
	box_each(m, b) if (strcmp(b->cgroup.name, name) == 0) return true;
	return false;
}

static void kill_stray(const char *name, void *arg)
{
	struct monitor *m = arg;
	struct cgroup cg;
	struct box *b;

	/* A keeper ends by itself, with its last task; it is that task's parent. Its group is
	 * removed then (fork/template.c). */
	if (find_group(m, name) || strncmp(name, "template-", 9) == 0 ||
	    cgroup_open(&m->cgroups, name, &cg, NULL) < 0)
		return;
	/* A parked clone ends with its monitor, and is gone by now or about to be. */
	if (!clone_is_name(name))
		msg_warn("sandbox %s has no record: ended", name);
	(void)cgroup_kill(&cg);
	b = box_new(m, "");
	if (!b) {
		cgroup_close(&cg);
		return;
	}
	b->cgroup = cg;
	b->forgotten = true;
	box_remove_cgroup(b);
}

static void each_name(int dir, void (*fn)(struct monitor *m, const char *name), struct monitor *m)
{
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = copy >= 0 ? fdopendir(copy) : NULL;
	struct dirent *d;

	if (!stream) {
		util_close_fd(&copy);
		return;
	}
	while ((d = readdir(stream)))
		fn(m, d->d_name);
	(void)closedir(stream);
}

static void adopt_name(struct monitor *m, const char *name)
{
	if (util_is_id(name) && adopt_one(m, name) < 0)
		msg_err("task %s: cannot be adopted", name);
}

static void remove_half_made(struct monitor *m, const char *name)
{
	if (strncmp(name, ".tmp-", 5) == 0)
		warm_remove_dir(m, name);
}

int adopt_all(struct monitor *m, struct err *e)
{
	int r;

	each_name(m->tasks_fd, adopt_name, m);
	r = cgroup_each(&m->cgroups, kill_stray, m);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "list the cgroups");
	each_name(m->checkpoints_fd, remove_half_made, m);
	return 0;
}
