// SPDX-License-Identifier: Apache-2.0
/*
 * A clone's end is its keeper's to see: a keeper that hangs (stopped, or in the kernel) leaves
 * it a zombie, for which its init waits for ever, even when that is killed
 * (zap_pid_ns_processes()). What it was to do at once it has not done after seconds: it is
 * killed, and the kernel ends what it was the parent of.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/msg.h"
#include "supervisor/monitor/fork/template.h"

/* Longer than it may take for a clone (fork/clone_make.c), after which it looks for ends. */
#define UNSEEN_US 10000000

/* Fields of proc(5)'s stat. */
#define STAT_PPID 4
#define STAT_EXIT_CODE 52

/* The keeper of a payload that is a zombie: its parent; 0: there is none. */
static pid_t keeper_of_ended(const struct mtask *t)
{
	struct pollfd ended = {.fd = t->payload_fd, .events = POLLIN};
	uint64_t parent = 0;
	pid_t pid;

	if (t->payload_fd < 0 || poll(&ended, 1, 0) != 1)
		return 0;
	pid = util_pidfd_pid(t->payload_fd);
	/* Not reaped after that was read: it was of this process. */
	if (pid <= 0 || util_proc_stat(pid, STAT_PPID, &parent) < 0 ||
	    util_pidfd_pid(t->payload_fd) != pid)
		return 0;
	return parent > 1 && (pid_t)parent != getpid() ? (pid_t)parent : 0;
}

/* In the place of its init, which will not live to write it: how the payload ended. */
static void record_end(const struct mtask *t)
{
	struct exit_record x = {.magic = 0};
	uint64_t status;

	if (t->record_fd < 0 || exit_record_read(t->record_fd, &x) ||
	    util_proc_stat(util_pidfd_pid(t->payload_fd), STAT_EXIT_CODE, &status) < 0)
		return;
	x = (struct exit_record){.magic = EXIT_RECORD_MAGIC,
				 .wait_status = (int32_t)status,
				 .finished_ns = util_realtime_ns()};
	if (pwrite(t->record_fd, &x, sizeof(x), EXIT_RECORD_OFFSET) < 0)
		msg_warn("task %s: its end cannot be kept: %s", t->id, strerror(errno));
}

static int on_unseen(sd_event_source *s, uint64_t usec, void *arg)
{
	struct mtask *t = arg;
	struct monitor *m = t->m;
	struct template *tpl = t->template;
	pid_t keeper = keeper_of_ended(t);
	_cleanup_fd_ int pidfd = keeper ? (int)syscall(SYS_pidfd_open, keeper, 0) : -1;

	(void)s;
	(void)usec;
	/* Still the parent: the pidfd is not of another one that has got its pid. */
	if (pidfd < 0 || keeper_of_ended(t) != keeper ||
	    (tpl && (!tpl->keeper || tpl->keeper->pid != keeper)))
		return 0;
	msg_warn("task %s has ended, and its keeper (process %d) does not see it: killed", t->id,
		 (int)keeper);
	monitor_each(m, other) if (keeper_of_ended(other) == keeper) record_end(other);
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	/* Last: t may be a clone of it that waits for a task, and gone then. */
	if (tpl)
		template_failed(tpl, "its keeper hangs");
	return 0;
}

static int on_payload_end(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct mtask *t = arg;
	int r;

	(void)s;
	(void)fd;
	(void)events;
	t->payload_src = sd_event_source_disable_unref(t->payload_src);
	r = sd_event_add_time_relative(t->m->event, &t->payload_src, CLOCK_MONOTONIC, UNSEEN_US, 0,
				       on_unseen, t);
	/* After its end of the same turn: this process may have been the one that slept. */
	return r < 0 ? r : sd_event_source_set_priority(t->payload_src, SD_EVENT_PRIORITY_IDLE);
}

int keeper_watch(struct mtask *t)
{
	pid_t pid = util_pidfd_pid(t->payload_fd);
	int r;

	/* Without it: it has ended, and the keeper has seen that. */
	if (pid <= 0 || util_proc_start_time(pid, &t->run.payload_start) < 0)
		return 0;
	t->run.payload_pid = pid;
	r = sd_event_add_io(t->m->event, &t->payload_src, t->payload_fd, EPOLLIN, on_payload_end,
			    t);
	return r < 0 ? r : 0;
}

void keeper_watch_adopted(struct mtask *t)
{
	uint64_t start;

	if (t->run.payload_pid <= 1)
		return;
	t->payload_fd = (int)syscall(SYS_pidfd_open, t->run.payload_pid, 0);
	/* As in take_process(): pid and start time name one process for good. */
	if (t->payload_fd >= 0 &&
	    (util_proc_start_time(t->run.payload_pid, &start) < 0 || start != t->run.payload_start))
		util_close_fd(&t->payload_fd);
	if (t->payload_fd >= 0 && keeper_watch(t) < 0)
		msg_warn("task %s: its end cannot be watched", t->id);
}
