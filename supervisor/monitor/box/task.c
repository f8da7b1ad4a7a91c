// SPDX-License-Identifier: Apache-2.0
/* One task that runs: its report, its first bytecode, its deadline, its end. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/msg.h"
#include "supervisor/monitor/fork/template.h"

int task_save_record(struct mtask *t)
{
	ssize_t n = pwrite(t->record_fd, &t->run, sizeof(t->run), 0);

	return n == (ssize_t)sizeof(t->run) ? 0 : n < 0 ? -errno : -EIO;
}

void task_send_pipes(struct mtask *t)
{
	union proto_msg msg = {0};
	int fds[2] = {t->out_r, t->err_r};

	/* With a task pending it may come to have other ones (fork/clone_begin.c). */
	if (t->out_r < 0 || t->err_r < 0 || t->pending)
		return;
	proto_init(&msg, LOG_OPEN);
	memcpy(msg.log_open.id, t->id, sizeof(t->id));
	msg.log_open.cap = t->run.log_cap;
	monitor_to_logger(t->m, &msg, fds, 2);
}

void task_set_deadline(struct mtask *t, uint32_t timeout_s)
{
	struct timespec boot;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	t->run.deadline_ns = (uint64_t)boot.tv_sec * 1000000000ULL + (uint64_t)boot.tv_nsec +
			     (uint64_t)timeout_s * 1000000000ULL;
}

void task_send_running(struct mtask *t)
{
	union proto_msg msg = {0};

	proto_init(&msg, MON_RUNNING);
	memcpy(msg.running.id, t->id, sizeof(t->id));
	msg.running.mode = t->run.mode;
	msg.running.started = t->run.started;
	msg.running.first_ns = t->run.first_ns;
	msg.running.started_realtime_ns = t->run.started_realtime_ns;
	monitor_to_front(t->m, &msg);
}

void task_signal(const struct mtask *t, int sig)
{
	if (t->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, t->pidfd, sig, NULL, 0);
}

/* The reason is on disk before the blow: a monitor that dies in between does not
 * leave a death without a reason. */
static void note_reason(struct mtask *t, enum verdict why)
{
	struct exit_record ended;

	/* What has ended by itself is not killed: its init only waits for its output to be read. */
	if (t->killed_for != VERDICT_NONE || exit_record_read(t->record_fd, &ended))
		return;
	t->killed_for = why;
	t->run.killed_for = (uint32_t)why;
	(void)task_save_record(t);
}

/* The init's death ends its whole pid namespace, whatever is in it. */
void task_kill(struct mtask *t, enum verdict why)
{
	note_reason(t, why);
	task_signal(t, SIGKILL);
}

/* The init hands TERM on to the payload; before the payload runs nobody could take it. */
void task_term(struct mtask *t)
{
	note_reason(t, VERDICT_CANCELLED);
	task_signal(t, t->run.started ? SIGTERM : SIGKILL);
}

static void take_report(struct mtask *t, const struct report *r)
{
	switch ((enum report_type)r->type) {
	case REPORT_FAILED:
		t->failed = true;
		(void)snprintf(t->error, sizeof(t->error), "%.500s", r->text);
		break;
	case REPORT_FALLBACK:
		t->run.mode = START_COLD;
		t->want_warm = t->list;
		(void)snprintf(t->warning, sizeof(t->warning), "cold start: %.480s", r->text);
		break;
	case REPORT_BAD_CHECKPOINT:
		/* Of a template: its keeper's failure follows, in the same words. */
		warm_remove_bad(t, r->text);
		if (t->run.kind == RUN_TEMPLATE)
			break;
		t->run.mode = START_COLD;
		/* The next one is a later task's to ask for. */
		(void)snprintf(t->warning, sizeof(t->warning),
			       "cold start: the checkpoint is not right and was removed: %.420s",
			       r->text);
		break;
	case REPORT_VERIFIED:
		stamp_remember(t->m, t->key, t->stamp);
		if (t->recipe)
			warm_past_good(t->m, t->recipe);
		break;
	case REPORT_DUMPED:
		t->dump_us = r->value;
		break;
	}
}

static void drain_report(struct mtask *t)
{
	struct report r;

	while (t->report_r >= 0) {
		ssize_t n = read(t->report_r, &r, sizeof(r));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof(r)) {
			t->report_src = sd_event_source_disable_unref(t->report_src);
			util_close_fd(&t->report_r);
			return;
		}
		r.text[sizeof(r.text) - 1] = '\0';
		take_report(t, &r);
	}
}

static int on_report(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)s;
	(void)fd;
	(void)events;
	drain_report(arg);
	return 0;
}

/*
 * "S <CLOCK_MONOTONIC ns>\n": the payload's own stamp, believed only between its
 * start and now, for it decides nothing but a number in inspect.
 */
static uint64_t read_stamp(const char *text)
{
	uint64_t now = util_monotonic_ns(), ns;
	char *end;

	if (strncmp(text, "S ", 2) != 0 || text[2] < '0' || text[2] > '9')
		return now;
	ns = strtoull(text + 2, &end, 10);
	return strcmp(end, "\n") != 0 || ns > now || now - ns > 60000000000ULL ? now : ns;
}

void task_started(struct mtask *t, const char *text)
{
	union proto_msg msg = {0};
	uint64_t ns = read_stamp(text);

	/* Reports were written before: what mode it was is known. */
	drain_report(t);
	t->begin_src = sd_event_source_disable_unref(t->begin_src);
	t->run.started = 1;
	t->run.first_ns = ns;
	(void)task_save_record(t);
	proto_init(&msg, MON_STARTED);
	memcpy(msg.started.id, t->id, sizeof(t->id));
	msg.started.mode = t->run.mode;
	msg.started.want_warm = (uint8_t)t->want_warm;
	msg.started.first_ns = ns;
	(void)snprintf(msg.started.warning, sizeof(msg.started.warning), "%s", t->warning);
	monitor_to_front(t->m, &msg);
	if (t->warning[0])
		msg_warn("task %s: %s", t->id, t->warning);
	clone_begun(t);
}

/*
 * A clone says `P` once, when it has made itself unique and waits. Anything else is said by
 * what its template has imported, which runs then: the stamp may never come, and what has
 * run may not run twice. False: it was, and there is no task to tell of it.
 */
static bool drain_started(struct mtask *t)
{
	const bool clone = t->run.kind == RUN_PARKED || t->run.mode == START_FORK;
	char text[64], *at = text;
	ssize_t n;

	if (t->started_r < 0)
		return true;
	n = read(t->started_r, text, sizeof(text) - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	text[n < 0 ? 0 : n] = '\0';
	if (n > 0 && clone && !t->prepared && text[0] == 'P') {
		t->prepared = true;
		at++;
		if (n == 1 && t->run.kind == RUN_PARKED)
			clone_ready(t);
		/* Its task's stamp may be there as well. */
		if (n == 1)
			return true;
	}
	if (n > 0 && !t->run.started && t->run.kind == RUN_TASK)
		task_started(t, at);
	t->started_src = sd_event_source_disable_unref(t->started_src);
	util_close_fd(&t->started_r);
	return n <= 0 || t->run.kind != RUN_PARKED;
}

static int on_started(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct mtask *t = arg;

	(void)s;
	(void)fd;
	(void)events;
	if (!drain_started(t))
		pool_close(t->template, "a clone says what it was not asked for");
	return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	task_kill(arg, VERDICT_TIMEOUT);
	return 0;
}

static int on_exit_event(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct mtask *t = arg;

	(void)s;
	(void)fd;
	(void)events;
	if (t->run.kind == RUN_PARKED) {
		clone_ended(t);
		return 0;
	}
	drain_report(t);
	(void)drain_started(t);
	if (t->run.kind == RUN_TEMPLATE)
		template_ended(t);
	else if (!clone_again(t))
		task_ended(t);
	return 0;
}

/* What a warm-up prints is kept for the error message, the last of it: ASCII without control
 * characters, for it is shown to people and becomes JSON. */
static int on_warm_output(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct mtask *t = arg;
	char buf[4096];
	ssize_t n = read(fd, buf, sizeof(buf));
	size_t have, keep;

	(void)events;
	if (n <= 0) {
		(void)sd_event_source_set_enabled(s, SD_EVENT_OFF);
		return 0;
	}
	if (n > WARM_OUTPUT_MAX) {
		memmove(buf, buf + n - WARM_OUTPUT_MAX, WARM_OUTPUT_MAX);
		n = WARM_OUTPUT_MAX;
	}
	have = strlen(t->warm_output);
	keep = have + (size_t)n > WARM_OUTPUT_MAX ? WARM_OUTPUT_MAX - (size_t)n : have;
	memmove(t->warm_output, t->warm_output + have - keep, keep);
	for (ssize_t i = 0; i < n; i++)
		t->warm_output[keep + (size_t)i] =
			(char)(buf[i] == '\n' || (buf[i] >= ' ' && buf[i] <= '~') ? buf[i] : '?');
	t->warm_output[keep + (size_t)n] = '\0';
	return 0;
}

int task_watch_deadline(struct mtask *t, struct err *e)
{
	int r = sd_event_add_time(t->m->event, &t->deadline_src, CLOCK_BOOTTIME,
				  t->run.deadline_ns / 1000, 1000, on_deadline, t);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "watch the sandbox") : 0;
}

int task_watch(struct mtask *t, struct err *e)
{
	sd_event *event = t->m->event;
	int r = sd_event_add_io(event, &t->exit_src, t->pidfd, EPOLLIN, on_exit_event, t);

	/* The end comes last: reports and stamps of the same turn are taken first. */
	if (r >= 0)
		r = sd_event_source_set_priority(t->exit_src, SD_EVENT_PRIORITY_IDLE / 2);
	if (r >= 0 && t->report_r >= 0)
		r = sd_event_add_io(event, &t->report_src, t->report_r, EPOLLIN, on_report, t);
	/* In a warm-up the init itself reads this one: the template's "parked". */
	if (r >= 0 && t->started_r >= 0 && !t->run.started && !mtask_is_warm(t))
		r = sd_event_add_io(event, &t->started_src, t->started_r, EPOLLIN, on_started, t);
	if (r >= 0 && mtask_is_warm(t))
		r = sd_event_add_io(event, &t->output_src, t->err_r, EPOLLIN, on_warm_output, t);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "watch the sandbox");
	return t->run.kind == RUN_TASK || mtask_is_warm(t) ? task_watch_deadline(t, e) : 0;
}

void task_forget(struct mtask *t)
{
	(void)unlinkat(t->m->tasks_fd, t->id, 0);
	t->forgotten = true;
	if (!t->remove_src)
		mtask_free(t);
}
