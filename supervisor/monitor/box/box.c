// SPDX-License-Identifier: Apache-2.0
/* What is the same for sandboxes of every kind: they are watched, killed, reaped and forgotten. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "supervisor/monitor/monitor.h"

struct box *box_find(struct monitor *m, const char *id)
{
	return OWNER_OF(idtable_find(&m->boxes, id), struct box, node);
}

struct box *box_next(const struct monitor *m, const struct box *b)
{
	return OWNER_OF(idtable_next(&m->boxes, b ? &b->node : NULL), struct box, node);
}

struct box *box_new(struct monitor *m, const struct box_kind *kind, const char *id)
{
	struct box *b = calloc(1, kind->size);

	if (!b)
		return NULL;
	b->m = m;
	b->kind = kind;
	b->run.kind = (uint8_t)kind->run;
	(void)snprintf(b->id, sizeof(b->id), "%s", id);
	b->pidfd = b->record_fd = b->report_r = b->started_r = b->out_r = b->err_r = -1;
	b->cgroup = (struct cgroup){.host = &m->cgroups, .unified = -1, .dirs = {-1, -1, -1, -1}};
	if (kind->init)
		kind->init(b);
	idtable_add(&m->boxes, &b->node, b->id);
	return b;
}

void box_rename(struct box *b, const char *id)
{
	idtable_remove(&b->m->boxes, &b->node);
	(void)snprintf(b->id, sizeof(b->id), "%s", id);
	idtable_add(&b->m->boxes, &b->node, b->id);
}

/* Closes what is watched and open of the sandbox's processes. */
static void box_close(struct box *b)
{
	if (b->kind->closed)
		b->kind->closed(b);
	b->exit_src = sd_event_source_disable_unref(b->exit_src);
	b->deadline_src = sd_event_source_disable_unref(b->deadline_src);
	b->report_src = sd_event_source_disable_unref(b->report_src);
	b->started_src = sd_event_source_disable_unref(b->started_src);
	util_close_fd(&b->pidfd);
	util_close_fd(&b->report_r);
	util_close_fd(&b->started_r);
	util_close_fd(&b->out_r);
	util_close_fd(&b->err_r);
}

void box_free(struct box *b)
{
	idtable_remove(&b->m->boxes, &b->node);
	box_close(b);
	if (b->kind->clear)
		b->kind->clear(b);
	sd_event_source_disable_unref(b->remove_src);
	util_close_fd(&b->record_fd);
	free(b->recipe);
	if (b->cgroup.host)
		cgroup_close(&b->cgroup);
	free(b);
}

int box_save_record(struct box *b)
{
	ssize_t n = pwrite(b->record_fd, &b->run, sizeof(b->run), 0);

	return n == (ssize_t)sizeof(b->run) ? 0 : n < 0 ? -errno : -EIO;
}

int box_open_record(struct box *b, struct err *e)
{
	int r;

	if (!b->kind->has_record) {
		/* No other monitor will look for it. */
		b->record_fd = memfd_create("record", MFD_CLOEXEC);
	} else {
		(void)unlinkat(b->m->tasks_fd, b->id, 0);
		b->record_fd = openat(b->m->tasks_fd, b->id,
				      O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	}
	if (b->record_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "run record");
	/* Its room on the disk is taken now, so that a disk that is full later loses no exit
	 * status. */
	r = posix_fallocate(b->record_fd, 0, RUN_RECORD_SIZE);
	return r != 0 ? err_set(e, ERR_SYSTEM, r, "run record") : 0;
}

int box_record(struct box *b, uint32_t timeout_s, struct err *e)
{
	struct timespec boot;
	int r = 0;

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	b->run.deadline_ns = timeout_s == 0 ? 0
					    : (uint64_t)boot.tv_sec * SEC + (uint64_t)boot.tv_nsec +
						      (uint64_t)timeout_s * SEC;
	b->run.magic = RUN_RECORD_MAGIC;
	b->run.init_pid = b->pid;
	b->run.started_realtime_ns = util_realtime_ns();
	memcpy(b->run.boot_id, b->m->boot_id, sizeof(b->run.boot_id));
	memcpy(b->run.id, b->id, sizeof(b->run.id));
	memcpy(b->run.cgroup, b->cgroup.name, sizeof(b->run.cgroup));
	/* A clone's is known since the clone was made. */
	if (!b->run.init_start)
		r = util_proc_start_time(b->pid, &b->run.init_start);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "the sandbox's init");
	r = box_save_record(b);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "run record") : 0;
}

void box_signal(const struct box *b, int sig)
{
	if (b->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, b->pidfd, sig, NULL, 0);
}

/* Writes the reason before anything is killed, so that a monitor that dies in between leaves no
 * death without a reason. */
static void note_reason(struct box *b, enum verdict why)
{
	struct exit_record ended;

	/* A payload that has ended by itself was not killed: its init only waits until its output
	 * has been read. */
	if (b->killed_for != VERDICT_NONE || exit_record_read(b->record_fd, &ended))
		return;
	b->killed_for = why;
	b->run.killed_for = (uint32_t)why;
	(void)box_save_record(b);
	if (b->kind->killed)
		b->kind->killed(b);
}

/* The death of the init, which is PID 1, ends every process of its pid namespace. */
void box_kill(struct box *b, enum verdict why)
{
	note_reason(b, why);
	box_signal(b, SIGKILL);
}

/* The init passes SIGTERM on to the payload. Before the payload runs there is nobody to take it. */
void box_term(struct box *b)
{
	note_reason(b, VERDICT_CANCELLED);
	box_signal(b, b->run.started ? SIGTERM : SIGKILL);
}

bool box_is_task(const struct box *b)
{
	return b->kind->is_task && b->kind->is_task(b);
}

void box_drain_reports(struct box *b)
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
		if (r.type == REPORT_FAILED) {
			b->failed = true;
			(void)snprintf(b->error, sizeof(b->error), "%.500s", r.text);
		} else if (b->kind->reported) {
			b->kind->reported(b, &r);
		}
	}
}

static int on_report(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)s;
	(void)fd;
	(void)events;
	box_drain_reports(arg);
	return 0;
}

void box_stop_hearing(struct box *b)
{
	b->started_src = sd_event_source_disable_unref(b->started_src);
	util_close_fd(&b->started_r);
}

void box_hear(struct box *b)
{
	char text[64];
	ssize_t n;

	if (b->started_r < 0 || !b->kind->said)
		return;
	n = read(b->started_r, text, sizeof(text) - 1);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	n = n < 0 ? 0 : n;
	text[n] = '\0';
	b->kind->said(b, text, (size_t)n);
}

static int on_started(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)s;
	(void)fd;
	(void)events;
	box_hear(arg);
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
	box_drain_reports(b);
	b->kind->ended(b);
	return 0;
}

int box_watch_deadline(struct box *b, struct err *e)
{
	int r = 0;

	if (b->run.deadline_ns)
		r = sd_event_add_time(b->m->event, &b->deadline_src, CLOCK_BOOTTIME,
				      b->run.deadline_ns / 1000, 1000, on_deadline, b);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "watch the sandbox") : 0;
}

int box_watch(struct box *b, struct err *e)
{
	sd_event *event = b->m->event;
	int r = sd_event_add_io(event, &b->exit_src, b->pidfd, EPOLLIN, on_exit_event, b);

	/* Reports and stamps that come in the same turn of the loop are taken before the end. */
	if (r >= 0)
		r = sd_event_source_set_priority(b->exit_src, SD_EVENT_PRIORITY_IDLE / 2);
	if (r >= 0 && b->report_r >= 0)
		r = sd_event_add_io(event, &b->report_src, b->report_r, EPOLLIN, on_report, b);
	if (r >= 0 && b->started_r >= 0 && !b->run.started && b->kind->said)
		r = sd_event_add_io(event, &b->started_src, b->started_r, EPOLLIN, on_started, b);
	if (r >= 0 && b->kind->watch)
		r = b->kind->watch(b);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "watch the sandbox");
	/* A clone that waits for its task has no deadline yet. */
	return b->kind->has_deadline ? box_watch_deadline(b, e) : 0;
}

void box_reap(struct box *b)
{
	if (b->child && b->pid > 0)
		(void)waitpid(b->pid, NULL, 0);
	b->pid = 0;
	box_close(b);
	net_put_index(b);
}

static int on_remove(sd_event_source *s, uint64_t usec, void *arg)
{
	(void)s;
	(void)usec;
	box_remove_cgroup(arg);
	return 0;
}

/* A cgroup is busy for a moment after its last process has gone: tries again until it is not. */
void box_remove_cgroup(struct box *b)
{
	int r = cgroup_remove(&b->cgroup);

	if (r == 0) {
		b->remove_src = sd_event_source_disable_unref(b->remove_src);
		if (b->state == BOX_FORGOTTEN)
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

void box_discard(struct box *b)
{
	b->state = BOX_FORGOTTEN;
	box_remove_cgroup(b);
}

void box_forget(struct box *b)
{
	(void)unlinkat(b->m->tasks_fd, b->id, 0);
	b->state = BOX_FORGOTTEN;
	if (!b->remove_src)
		box_free(b);
}
