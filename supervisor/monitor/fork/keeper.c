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
static pid_t keeper_of_ended(const struct box *b)
{
	struct pollfd ended = {.fd = b->payload_fd, .events = POLLIN};
	uint64_t parent = 0;
	pid_t pid;

	if (b->payload_fd < 0 || poll(&ended, 1, 0) != 1)
		return 0;
	pid = util_pidfd_pid(b->payload_fd);
	/* Not reaped after that was read: it was of this process. */
	if (pid <= 0 || util_proc_stat(pid, STAT_PPID, &parent) < 0 ||
	    util_pidfd_pid(b->payload_fd) != pid)
		return 0;
	return parent > 1 && (pid_t)parent != getpid() ? (pid_t)parent : 0;
}

/* In the place of its init, which will not live to write it: how the payload ended. */
static void record_end(const struct box *b)
{
	struct exit_record x = {.magic = 0};
	uint64_t status;

	if (b->record_fd < 0 || exit_record_read(b->record_fd, &x) ||
	    util_proc_stat(util_pidfd_pid(b->payload_fd), STAT_EXIT_CODE, &status) < 0)
		return;
	x = (struct exit_record){.magic = EXIT_RECORD_MAGIC,
				 .wait_status = (int32_t)status,
				 .finished_ns = util_realtime_ns()};
	if (pwrite(b->record_fd, &x, sizeof(x), EXIT_RECORD_OFFSET) < 0)
		msg_warn("task %s: its end cannot be kept: %s", b->id, strerror(errno));
}

static int on_unseen(sd_event_source *s, uint64_t usec, void *arg)
{
	struct box *b = arg;
	struct monitor *m = b->m;
	struct template *tpl = b->template;
	pid_t keeper = keeper_of_ended(b);
	_cleanup_fd_ int pidfd = keeper ? (int)syscall(SYS_pidfd_open, keeper, 0) : -1;

	(void)s;
	(void)usec;
	/* Still the parent: the pidfd is not of another one that has got its pid. */
	if (pidfd < 0 || keeper_of_ended(b) != keeper ||
	    (tpl && (!tpl->keeper || tpl->keeper->pid != keeper)))
		return 0;
	msg_warn("task %s has ended, and its keeper (process %d) does not see it: killed", b->id,
		 (int)keeper);
	box_each(m, other) if (keeper_of_ended(other) == keeper) record_end(other);
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	/* Last: b may be a clone of it that waits for a task, and gone then. */
	if (tpl)
		template_failed(tpl, "its keeper hangs");
	return 0;
}

static int on_payload_end(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct box *b = arg;
	int r;

	(void)s;
	(void)fd;
	(void)events;
	b->payload_src = sd_event_source_disable_unref(b->payload_src);
	r = sd_event_add_time_relative(b->m->event, &b->payload_src, CLOCK_MONOTONIC, UNSEEN_US, 0,
				       on_unseen, b);
	/* After its end of the same turn: this process may have been the one that slept. */
	return r < 0 ? r : sd_event_source_set_priority(b->payload_src, SD_EVENT_PRIORITY_IDLE);
}

int keeper_watch(struct box *b)
{
	pid_t pid = util_pidfd_pid(b->payload_fd);
	int r;

	/* Without it: it has ended, and the keeper has seen that. */
	if (pid <= 0 || util_proc_start_time(pid, &b->run.payload_start) < 0)
		return 0;
	b->run.payload_pid = pid;
	r = sd_event_add_io(b->m->event, &b->payload_src, b->payload_fd, EPOLLIN, on_payload_end,
			    b);
	return r < 0 ? r : 0;
}

void keeper_watch_adopted(struct box *b)
{
	uint64_t start;

	if (b->run.payload_pid <= 1)
		return;
	b->payload_fd = (int)syscall(SYS_pidfd_open, b->run.payload_pid, 0);
	/* As in take_process(): pid and start time name one process for good. */
	if (b->payload_fd >= 0 &&
	    (util_proc_start_time(b->run.payload_pid, &start) < 0 || start != b->run.payload_start))
		util_close_fd(&b->payload_fd);
	if (b->payload_fd >= 0 && keeper_watch(b) < 0)
		msg_warn("task %s: its end cannot be watched", b->id);
}
