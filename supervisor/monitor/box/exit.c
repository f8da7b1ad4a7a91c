// SPDX-License-Identifier: Apache-2.0
/* A sandbox has ended: why, what it used, and that nothing of it is left. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/monitor/spawn/start.h"

struct final_record {
	uint32_t magic, pad;
	struct mon_exited exited;
};

static bool read_at(int fd, off_t off, void *buf, size_t len)
{
	return fd >= 0 && pread(fd, buf, len, off) == (ssize_t)len;
}

/*
 * Whom we ended has ended for that reason, whatever he made of it. Of the others the verdict is
 * taken from how the task's own process ended, which is what its user sees too: the counters are
 * of the whole group and its whole life. Of an exit status they can be the reason only where it
 * says so little that nothing contradicts it.
 */
static enum verdict of_status(const struct box *b, const struct exit_record *x,
			      const struct cgroup_usage *u)
{
	int status = x->wait_status;

	if (b->killed_for != VERDICT_NONE)
		return b->killed_for;
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGKILL && u->oom_kills ? VERDICT_OOM : VERDICT_SIGNAL;
	switch (WEXITSTATUS(status)) {
	case 0:
		return VERDICT_OK;
	case 1: /* Python's own: an exception that nobody has caught */
		return x->disk_full ? VERDICT_DISK : u->pids_refused ? VERDICT_PIDS : VERDICT_EXIT;
	case 128 + SIGKILL: /* as a shell says that its child was killed */
		return u->oom_kills ? VERDICT_OOM : VERDICT_EXIT;
	default:
		return VERDICT_EXIT;
	}
}

/* What the verdict does not say, and whoever looks for a reason should know. */
static void say_beside(const struct exit_record *x, const struct cgroup_usage *u,
		       enum verdict verdict, char *buf, size_t size)
{
	if (u->oom_kills && verdict != VERDICT_OOM)
		(void)snprintf(buf, size, "%llu of its processes %s killed: out of memory",
			       (unsigned long long)u->oom_kills, u->oom_kills > 1 ? "were" : "was");
	else if (verdict == VERDICT_EXIT && x->disk_full)
		(void)snprintf(buf, size, "its disk was full when it ended");
	else if (verdict == VERDICT_EXIT && u->pids_refused)
		(void)snprintf(buf, size, "it met its limit of processes");
}

/* The init died before it could write: by our own kill, the OOM killer, or worse. */
static enum verdict without_status(struct box *b, const struct cgroup_usage *u)
{
	if (b->failed)
		return VERDICT_FAILED;
	if (b->killed_for != VERDICT_NONE)
		return b->killed_for;
	if (u->oom_kills)
		return VERDICT_OOM;
	if (!b->error[0])
		(void)snprintf(b->error, sizeof(b->error),
			       "the sandbox's init ended without a word: killed from outside, or "
			       "the machine was restarted");
	return VERDICT_LOST;
}

static int on_remove(sd_event_source *s, uint64_t usec, void *arg);

/* A group is busy for a moment after its last process has gone; try until it is not. */
void box_remove_cgroup(struct box *b)
{
	int r = cgroup_remove(&b->cgroup);

	if (r == 0) {
		b->remove_src = sd_event_source_disable_unref(b->remove_src);
		if (b->forgotten)
			box_free(b);
		return;
	}
	if (!b->remove_src)
		(void)sd_event_add_time_relative(b->m->event, &b->remove_src, CLOCK_MONOTONIC, 5000,
						 1000, on_remove, b);
	else if (sd_event_source_set_time_relative(b->remove_src, 20000) >= 0)
		(void)sd_event_source_set_enabled(b->remove_src, SD_EVENT_ONESHOT);
	(void)cgroup_kill(&b->cgroup);
}

static int on_remove(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	box_remove_cgroup(arg);
	return 0;
}

static void judge(struct box *b, struct mon_exited *x)
{
	struct exit_record record = {0};
	struct cgroup_usage usage = {0};
	bool known = exit_record_read(b->record_fd, &record);

	if (b->cgroup.unified >= 0 || b->cgroup.dirs[CGROUP_MEMORY] >= 0)
		(void)cgroup_usage(&b->cgroup, &usage);
	x->verdict = (uint8_t)(known && record.wait_status != -1 ? of_status(b, &record, &usage)
								 : without_status(b, &usage));
	x->wait_status = known ? record.wait_status : x->verdict == VERDICT_OOM ? SIGKILL : -1;
	x->finished_ns = known ? record.finished_ns : util_realtime_ns();
	x->cpu_us = usage.cpu_us;
	x->memory_peak = usage.memory_peak;
	say_beside(&record, &usage, (enum verdict)x->verdict, x->warning, sizeof(x->warning));
	(void)snprintf(x->error, sizeof(x->error), "%s",
		       x->verdict == VERDICT_FAILED || x->verdict == VERDICT_LOST ? b->error : "");
}

void box_reap(struct box *b)
{
	if (b->child && b->pid > 0)
		(void)waitpid(b->pid, NULL, 0);
	b->pid = 0;
	b->exit_src = sd_event_source_disable_unref(b->exit_src);
	b->deadline_src = sd_event_source_disable_unref(b->deadline_src);
	b->report_src = sd_event_source_disable_unref(b->report_src);
	b->started_src = sd_event_source_disable_unref(b->started_src);
	clone_leave_output(b);
	b->begin_src = sd_event_source_disable_unref(b->begin_src);
	b->payload_src = sd_event_source_disable_unref(b->payload_src);
	util_close_fd(&b->pidfd);
	util_close_fd(&b->payload_fd);
	util_close_fd(&b->report_r);
	util_close_fd(&b->started_r);
	util_close_fd(&b->out_r);
	if (!box_is_warm(b))
		util_close_fd(&b->err_r);
	net_put_index(b);
}

void box_fail_new(struct monitor *m, const char *id, enum verdict why)
{
	struct box *b = box_new(m, id);

	if (!b)
		return;
	b->killed_for = why;
	box_ended(b);
}

void box_ended(struct box *b)
{
	struct final_record final = {0};

	box_reap(b);
	clone_left(b);
	proto_init(&b->exit_msg, MON_EXITED);
	memcpy(b->exit_msg.exited.id, b->id, sizeof(b->id));
	if (read_at(b->record_fd, FINAL_RECORD_OFFSET, &final, sizeof(final)) &&
	    final.magic == FINAL_RECORD_MAGIC) {
		/* An earlier monitor had judged it already, with the group still there. */
		final.exited.h = b->exit_msg.exited.h;
		b->exit_msg.exited = final.exited;
	} else {
		judge(b, &b->exit_msg.exited);
		final.magic = FINAL_RECORD_MAGIC;
		final.exited = b->exit_msg.exited;
		if (b->record_fd >= 0 && pwrite(b->record_fd, &final, sizeof(final),
						FINAL_RECORD_OFFSET) != (ssize_t)sizeof(final))
			msg_warn("task %s: its verdict cannot be kept: %s", b->id, strerror(errno));
	}
	b->exited = true;
	if (box_is_warm(b)) {
		bool ok = !b->failed && b->dump_us > 0;

		if (!ok)
			warm_note_limit(b);
		/* Its processes are gone with its init; what the next start finds it removes. */
		(void)cgroup_remove_within(&b->cgroup, 100);
		warm_ended(b, ok);
		return;
	}
	monitor_to_front(b->m, &b->exit_msg);
	/* After the answer: off the request's path. */
	box_remove_cgroup(b);
}
