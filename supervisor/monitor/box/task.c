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

int box_save_record(struct box *b)
{
	ssize_t n = pwrite(b->record_fd, &b->run, sizeof(b->run), 0);

	return n == (ssize_t)sizeof(b->run) ? 0 : n < 0 ? -errno : -EIO;
}

void box_send_pipes(struct box *b)
{
	union proto_msg msg = {0};
	int fds[2] = {b->out_r, b->err_r};

	/* With a task pending it may come to have other ones (fork/clone_begin.c). */
	if (b->out_r < 0 || b->err_r < 0 || b->pending)
		return;
	proto_init(&msg, LOG_OPEN);
	memcpy(msg.log_open.id, b->id, sizeof(b->id));
	msg.log_open.cap = b->run.log_cap;
	monitor_to_logger(b->m, &msg, fds, 2);
}

void box_set_deadline(struct box *b, uint32_t timeout_s)
{
	struct timespec boot;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	b->run.deadline_ns = (uint64_t)boot.tv_sec * 1000000000ULL + (uint64_t)boot.tv_nsec +
			     (uint64_t)timeout_s * 1000000000ULL;
}

void box_send_running(struct box *b)
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

void box_signal(const struct box *b, int sig)
{
	if (b->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, b->pidfd, sig, NULL, 0);
}

/* The reason is on disk before the blow: a monitor that dies in between does not
 * leave a death without a reason. */
static void note_reason(struct box *b, enum verdict why)
{
	struct exit_record ended;

	/* What has ended by itself is not killed: its init only waits for its output to be read. */
	if (b->killed_for != VERDICT_NONE || exit_record_read(b->record_fd, &ended))
		return;
	b->killed_for = why;
	b->run.killed_for = (uint32_t)why;
	(void)box_save_record(b);
}

/* The init's death ends its whole pid namespace, whatever is in it. */
void box_kill(struct box *b, enum verdict why)
{
	note_reason(b, why);
	box_signal(b, SIGKILL);
}

/* The init hands TERM on to the payload; before the payload runs nobody could take it. */
void box_term(struct box *b)
{
	note_reason(b, VERDICT_CANCELLED);
	box_signal(b, b->run.started ? SIGTERM : SIGKILL);
}

static void take_report(struct box *b, const struct report *r)
{
	switch ((enum report_type)r->type) {
	case REPORT_FAILED:
		b->failed = true;
		(void)snprintf(b->error, sizeof(b->error), "%.500s", r->text);
		break;
	case REPORT_FALLBACK:
		b->run.mode = START_COLD;
		b->want_warm = b->list;
		(void)snprintf(b->warning, sizeof(b->warning), "cold start: %.480s", r->text);
		break;
	case REPORT_BAD_CHECKPOINT:
		/* Of a template: its keeper's failure follows, in the same words. */
		warm_remove_bad(b, r->text);
		if (b->run.kind == RUN_TEMPLATE)
			break;
		b->run.mode = START_COLD;
		/* The next one is a later task's to ask for. */
		(void)snprintf(b->warning, sizeof(b->warning),
			       "cold start: the checkpoint is not right and was removed: %.420s",
			       r->text);
		break;
	case REPORT_VERIFIED:
		stamp_remember(b->m, b->key, b->stamp);
		if (b->recipe)
			warm_past_good(b->m, b->recipe);
		break;
	case REPORT_DUMPED:
		b->dump_us = r->value;
		break;
	}
}

static void drain_report(struct box *b)
{
	struct report r;

	while (b->report_r >= 0) {
		ssize_t n = read(b->report_r, &r, sizeof(r));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (n != (ssize_t)sizeof(r)) {
			b->report_src = sd_event_source_disable_unref(b->report_src);
			util_close_fd(&b->report_r);
			return;
		}
		r.text[sizeof(r.text) - 1] = '\0';
		take_report(b, &r);
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

void box_started(struct box *b, const char *text)
{
	union proto_msg msg = {0};
	uint64_t ns = read_stamp(text);

	/* Reports were written before: what mode it was is known. */
	drain_report(b);
	b->begin_src = sd_event_source_disable_unref(b->begin_src);
	b->run.started = 1;
	b->run.first_ns = ns;
	(void)box_save_record(b);
	proto_init(&msg, MON_STARTED);
	memcpy(msg.started.id, b->id, sizeof(b->id));
	msg.started.mode = b->run.mode;
	msg.started.want_warm = (uint8_t)b->want_warm;
	msg.started.first_ns = ns;
	(void)snprintf(msg.started.warning, sizeof(msg.started.warning), "%s", b->warning);
	monitor_to_front(b->m, &msg);
	if (b->warning[0])
		msg_warn("task %s: %s", b->id, b->warning);
	clone_begun(b);
}

/*
 * A clone says `P` once, when it has made itself unique and waits. Anything else is said by
 * what its template has imported, which runs then: the stamp may never come, and what has
 * run may not run twice. False: it was, and there is no task to tell of it.
 */
static bool drain_started(struct box *b)
{
	const bool clone = b->run.kind == RUN_PARKED || b->run.mode == START_FORK;
	char text[64], *at = text;
	ssize_t n;

	if (b->started_r < 0)
		return true;
	n = read(b->started_r, text, sizeof(text) - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	text[n < 0 ? 0 : n] = '\0';
	if (n > 0 && clone && !b->prepared && text[0] == 'P') {
		b->prepared = true;
		at++;
		if (n == 1 && b->run.kind == RUN_PARKED)
			clone_ready(b);
		/* Its task's stamp may be there as well. */
		if (n == 1)
			return true;
	}
	if (n > 0 && !b->run.started && b->run.kind == RUN_TASK)
		box_started(b, at);
	b->started_src = sd_event_source_disable_unref(b->started_src);
	util_close_fd(&b->started_r);
	return n <= 0 || b->run.kind != RUN_PARKED;
}

static int on_started(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct box *b = arg;

	(void)s;
	(void)fd;
	(void)events;
	if (!drain_started(b))
		pool_close(b->template, "a clone says what it was not asked for");
	return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	box_kill(arg, VERDICT_TIMEOUT);
	return 0;
}

static int on_exit_event(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct box *b = arg;

	(void)s;
	(void)fd;
	(void)events;
	if (b->run.kind == RUN_PARKED) {
		clone_ended(b);
		return 0;
	}
	drain_report(b);
	(void)drain_started(b);
	if (b->run.kind == RUN_TEMPLATE)
		template_ended(b);
	else if (!clone_again(b))
		box_ended(b);
	return 0;
}

/* What a warm-up prints is kept for the error message, the last of it: ASCII without control
 * characters, for it is shown to people and becomes JSON. */
static int on_warm_output(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct box *b = arg;
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
	have = strlen(b->warm_output);
	keep = have + (size_t)n > WARM_OUTPUT_MAX ? WARM_OUTPUT_MAX - (size_t)n : have;
	memmove(b->warm_output, b->warm_output + have - keep, keep);
	for (ssize_t i = 0; i < n; i++)
		b->warm_output[keep + (size_t)i] =
			(char)(buf[i] == '\n' || (buf[i] >= ' ' && buf[i] <= '~') ? buf[i] : '?');
	b->warm_output[keep + (size_t)n] = '\0';
	return 0;
}

int box_watch_deadline(struct box *b, struct err *e)
{
	int r = sd_event_add_time(b->m->event, &b->deadline_src, CLOCK_BOOTTIME,
				  b->run.deadline_ns / 1000, 1000, on_deadline, b);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "watch the sandbox") : 0;
}

int box_watch(struct box *b, struct err *e)
{
	sd_event *event = b->m->event;
	int r = sd_event_add_io(event, &b->exit_src, b->pidfd, EPOLLIN, on_exit_event, b);

	/* The end comes last: reports and stamps of the same turn are taken first. */
	if (r >= 0)
		r = sd_event_source_set_priority(b->exit_src, SD_EVENT_PRIORITY_IDLE / 2);
	if (r >= 0 && b->report_r >= 0)
		r = sd_event_add_io(event, &b->report_src, b->report_r, EPOLLIN, on_report, b);
	/* In a warm-up the init itself reads this one: the template's "parked". */
	if (r >= 0 && b->started_r >= 0 && !b->run.started && !box_is_warm(b))
		r = sd_event_add_io(event, &b->started_src, b->started_r, EPOLLIN, on_started, b);
	if (r >= 0 && box_is_warm(b))
		r = sd_event_add_io(event, &b->output_src, b->err_r, EPOLLIN, on_warm_output, b);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "watch the sandbox");
	return b->run.kind == RUN_TASK || box_is_warm(b) ? box_watch_deadline(b, e) : 0;
}

void box_forget(struct box *b)
{
	(void)unlinkat(b->m->tasks_fd, b->id, 0);
	b->forgotten = true;
	if (!b->remove_src)
		box_free(b);
}
