// SPDX-License-Identifier: Apache-2.0
/*
 * The box of one of the front's tasks: that the task has started, how and why it has ended, what it
 * has used. The front is told of a task that runs in a clone by the same functions (fork/clone.c).
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/monitor/monitor.h"

struct final_record {
	uint32_t magic, pad;
	struct mon_exited exited;
};

void box_send_pipes(struct box *b)
{
	union proto_msg msg = {0};
	int fds[2] = {b->out_r, b->err_r};

	if (b->out_r < 0 || b->err_r < 0)
		return;
	proto_init(&msg, LOG_OPEN);
	memcpy(msg.log_open.id, b->id, sizeof(b->id));
	msg.log_open.cap = b->run.log_cap;
	msg.log_open.ring = b->run.ring_log;
	monitor_to_logger(b->m, &msg, fds, 2);
}

static void task_send_running(struct box *b)
{
	union proto_msg msg = {0};

	proto_init(&msg, MON_RUNNING);
	memcpy(msg.running.id, b->id, sizeof(b->id));
	msg.running.mode = b->run.mode;
	msg.running.started = b->run.started;
	msg.running.first_ns = b->run.first_ns;
	msg.running.started_realtime_ns = b->run.started_realtime_ns;
	monitor_to_front(b->m, &msg);
}

void box_tell(struct box *b, enum role_id role)
{
	if (role == R_LOGGER)
		box_send_pipes(b);
	else if (b->state == BOX_ENDED)
		monitor_to_front(b->m, &b->exit_msg);
	else
		task_send_running(b);
}

/*
 * Reads "S <CLOCK_MONOTONIC ns>\n". The payload writes it, so it is believed only within the last
 * minute; it decides nothing but a number in inspect.
 */
static uint64_t read_stamp(const char *text)
{
	uint64_t now = util_monotonic_ns(), ns;
	char *end;

	if (strncmp(text, "S ", 2) != 0 || text[2] < '0' || text[2] > '9')
		return now;
	ns = strtoull(text + 2, &end, 10);
	return strcmp(end, "\n") != 0 || ns > now || now - ns > 60 * SEC ? now : ns;
}

void box_started(struct box *b, const char *text)
{
	union proto_msg msg = {0};

	if (b->run.started)
		return;
	/* The init writes its reports before the payload runs: they say in which mode it
	 * started. */
	box_drain_reports(b);
	b->run.started = 1;
	b->run.first_ns = read_stamp(text);
	(void)box_save_record(b);
	proto_init(&msg, MON_STARTED);
	memcpy(msg.started.id, b->id, sizeof(b->id));
	msg.started.mode = b->run.mode;
	msg.started.want_warm = (uint8_t)b->want_warm;
	msg.started.first_ns = b->run.first_ns;
	(void)snprintf(msg.started.warning, sizeof(msg.started.warning), "%s", b->warning);
	monitor_to_front(b->m, &msg);
	if (b->warning[0])
		msg_warn("task %s: %s", b->id, b->warning);
}

static void task_said(struct box *b, const char *text, size_t n)
{
	if (n > 0)
		box_started(b, text);
	box_stop_hearing(b);
}

static void task_reported(struct box *b, const struct report *r)
{
	switch ((enum report_type)r->type) {
	case REPORT_FALLBACK:
		b->run.mode = START_COLD;
		b->want_warm = b->list;
		(void)snprintf(b->warning, sizeof(b->warning), "cold start: %.480s", r->text);
		break;
	case REPORT_BAD_CHECKPOINT:
		warm_remove_bad(b, r->text);
		b->run.mode = START_COLD;
		/* A later task asks for a new checkpoint. */
		(void)snprintf(b->warning, sizeof(b->warning),
			       "cold start: the checkpoint is not right and was removed: %.420s",
			       r->text);
		break;
	case REPORT_VERIFIED:
		warm_verified(b);
		break;
	default:
		break;
	}
}

static bool read_at(int fd, off_t off, void *buf, size_t len)
{
	return fd >= 0 && pread(fd, buf, len, off) == (ssize_t)len;
}

/*
 * A task that was killed has ended for the reason of that, whatever its status is. For the others
 * the verdict follows from how the task's own process has ended, because that is what its user sees
 * too. The counters are those of the whole cgroup and its whole life. They are taken for the reason
 * of an exit status only where the status itself says so little that it does not contradict them.
 */
static enum verdict verdict_of_status(const struct box *b, const struct exit_record *x,
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

/* Writes a warning of what the verdict does not say, for whoever looks for a reason. */
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

/* The verdict when the init has ended before it could write the payload's status: this process has
 * killed it, or the OOM killer has, or worse. */
static enum verdict verdict_without_status(struct box *b, const struct cgroup_usage *u)
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

static void task_judge(struct box *b, struct mon_exited *x)
{
	struct exit_record record = {0};
	struct cgroup_usage usage = {0};
	bool known = exit_record_read(b->record_fd, &record);

	if (b->cgroup.unified >= 0 || b->cgroup.dirs[CGROUP_MEMORY] >= 0)
		(void)cgroup_usage(&b->cgroup, &usage);
	x->verdict =
		(uint8_t)(known && record.wait_status != -1 ? verdict_of_status(b, &record, &usage)
							    : verdict_without_status(b, &usage));
	x->wait_status = known ? record.wait_status : x->verdict == VERDICT_OOM ? SIGKILL : -1;
	x->finished_ns = known ? record.finished_ns : util_realtime_ns();
	x->cpu_us = usage.cpu_us;
	x->memory_peak = usage.memory_peak;
	say_beside(&record, &usage, (enum verdict)x->verdict, x->warning, sizeof(x->warning));
	(void)snprintf(x->error, sizeof(x->error), "%s",
		       x->verdict == VERDICT_FAILED || x->verdict == VERDICT_LOST ? b->error : "");
}

void box_judge(struct box *b)
{
	struct final_record final = {0};

	proto_init(&b->exit_msg, MON_EXITED);
	memcpy(b->exit_msg.exited.id, b->id, sizeof(b->id));
	if (read_at(b->record_fd, FINAL_RECORD_OFFSET, &final, sizeof(final)) &&
	    final.magic == FINAL_RECORD_MAGIC) {
		/* An earlier monitor has judged it, while the cgroup was still there. */
		final.exited.h = b->exit_msg.exited.h;
		b->exit_msg.exited = final.exited;
	} else {
		task_judge(b, &b->exit_msg.exited);
		final.magic = FINAL_RECORD_MAGIC;
		final.exited = b->exit_msg.exited;
		if (b->record_fd >= 0 && pwrite(b->record_fd, &final, sizeof(final),
						FINAL_RECORD_OFFSET) != (ssize_t)sizeof(final))
			msg_warn("task %s: its verdict cannot be kept: %s", b->id, strerror(errno));
	}
	b->state = BOX_ENDED;
}

void box_ended(struct box *b)
{
	box_reap(b);
	box_judge(b);
	monitor_to_front(b->m, &b->exit_msg);
	/* After the answer, so that the front does not wait for it. */
	box_remove_cgroup(b);
}

void box_fail_new(struct monitor *m, const char *id, enum verdict why)
{
	struct box *b = box_new(m, &box_task, id);

	if (!b)
		return;
	b->killed_for = why;
	box_ended(b);
}

static void task_ended(struct box *b)
{
	/* The stamp may have come in the same turn of the loop. */
	box_hear(b);
	box_ended(b);
}

static bool task_is_task(const struct box *b)
{
	(void)b;
	return true;
}

const struct box_kind box_task = {
	.size = sizeof(struct box),
	.run = RUN_TASK,
	.has_record = true,
	.has_network = true,
	.has_deadline = true,
	.adopt = adopt_task,
	.is_task = task_is_task,
	.tell = box_tell,
	.reported = task_reported,
	.said = task_said,
	.ended = task_ended,
};
