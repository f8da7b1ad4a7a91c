// SPDX-License-Identifier: Apache-2.0
/*
 * The box of a keeper: the sandbox that a template is held in. Its init is the keeper, which forks
 * the template.
 *
 * And what is done about a keeper that hangs (stopped, or in the kernel). A clone's payload is the
 * keeper's child. If the keeper does not reap it, it stays a zombie, for which its sandbox's init
 * waits without end, even when the init is killed (zap_pid_ns_processes()). A keeper reaps at once:
 * one that has not done so after seconds is killed, and the kernel ends all that it was the parent
 * of.
 */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#include "lib/msg.h"
#include "supervisor/monitor/fork/clone.h"
#include "supervisor/monitor/spawn/spawn.h"

/* Longer than a keeper may take to make a clone (fork/clone.c), after which it looks for ends. */
#define UNSEEN_US 10000000

/* Fields of proc(5)'s stat. */
#define STAT_PPID 4
#define STAT_EXIT_CODE 52

/* The parent of a clone's payload that is a zombie, which is its keeper; 0: it is no zombie. */
static pid_t keeper_of_ended(const struct clone *c)
{
	struct pollfd ended = {.fd = c->payload_fd, .events = POLLIN};
	uint64_t parent = 0;
	pid_t pid;

	if (c->payload_fd < 0 || poll(&ended, 1, 0) != 1)
		return 0;
	pid = util_pidfd_pid(c->payload_fd);
	/* The payload still has this pid, so the parent that was read is its parent. */
	if (pid <= 0 || util_proc_stat(pid, STAT_PPID, &parent) < 0 ||
	    util_pidfd_pid(c->payload_fd) != pid)
		return 0;
	return parent > 1 && (pid_t)parent != getpid() ? (pid_t)parent : 0;
}

/* Writes how the payload has ended, as its init would: the init will not live to do it. */
static void record_end(const struct clone *c)
{
	const struct box *b = &c->box;
	struct exit_record x = {.magic = 0};
	uint64_t status;

	if (b->record_fd < 0 || exit_record_read(b->record_fd, &x) ||
	    util_proc_stat(util_pidfd_pid(c->payload_fd), STAT_EXIT_CODE, &status) < 0)
		return;
	x = (struct exit_record){.magic = EXIT_RECORD_MAGIC,
				 .wait_status = (int32_t)status,
				 .finished_ns = util_realtime_ns()};
	if (pwrite(b->record_fd, &x, sizeof(x), EXIT_RECORD_OFFSET) < 0)
		msg_warn("task %s: its end cannot be kept: %s", b->id, strerror(errno));
}

static int on_unseen(sd_event_source *s, uint64_t usec, void *arg)
{
	struct clone *c = arg;
	struct monitor *m = c->box.m;
	struct template *tpl = c->template;
	pid_t keeper = keeper_of_ended(c);
	_cleanup_fd_ int pidfd = keeper ? (int)syscall(SYS_pidfd_open, keeper, 0) : -1;

	(void)s;
	(void)usec;
	/* The keeper is still the parent, so the pidfd is not of another process with its pid. */
	if (pidfd < 0 || keeper_of_ended(c) != keeper ||
	    (tpl && (!tpl->keeper || tpl->keeper->pid != keeper)))
		return 0;
	msg_warn("task %s has ended, and its keeper (process %d) does not see it: killed",
		 c->box.id, (int)keeper);
	box_each(m, b)
	{
		const struct clone *other = clone_of(b);

		if (other && keeper_of_ended(other) == keeper)
			record_end(other);
	}
	(void)syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
	/* At the end, because c is freed by it if it waits for a task. */
	if (tpl)
		template_failed(tpl, "its keeper hangs");
	return 0;
}

static int on_payload_end(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct clone *c = arg;
	int r;

	(void)s;
	(void)fd;
	(void)events;
	c->payload_src = sd_event_source_disable_unref(c->payload_src);
	r = sd_event_add_time_relative(c->box.m->event, &c->payload_src, CLOCK_MONOTONIC, UNSEEN_US,
				       0, on_unseen, c);
	/* The end of the clone in the same turn comes first: it may have been this process that
	 * slept. */
	return r < 0 ? r : sd_event_source_set_priority(c->payload_src, SD_EVENT_PRIORITY_IDLE);
}

int keeper_watch(struct clone *c)
{
	struct run_record *run = &c->box.run;
	pid_t pid = util_pidfd_pid(c->payload_fd);
	int r;

	/* Without a pid it has ended, and the keeper has reaped it. */
	if (pid <= 0 || util_proc_start_time(pid, &run->payload_start) < 0)
		return 0;
	run->payload_pid = pid;
	r = sd_event_add_io(c->box.m->event, &c->payload_src, c->payload_fd, EPOLLIN,
			    on_payload_end, c);
	return r < 0 ? r : 0;
}

void keeper_watch_adopted(struct clone *c)
{
	const struct run_record *run = &c->box.run;
	uint64_t start;

	c->payload_fd = (int)syscall(SYS_pidfd_open, run->payload_pid, 0);
	/* A pid and a start time name one process for good. */
	if (c->payload_fd >= 0 &&
	    (util_proc_start_time(run->payload_pid, &start) < 0 || start != run->payload_start))
		util_close_fd(&c->payload_fd);
	if (c->payload_fd >= 0 && keeper_watch(c) < 0)
		msg_warn("task %s: its end cannot be watched", c->box.id);
}

struct keeper {
	struct box box;
	struct template *template;
};

/* b's sandbox, out of the template's checkpoint. */
static int keeper_spawn(struct template *tpl, struct box *b, int sock, struct err *e)
{
	_cleanup_start_ struct start s = START_INIT;
	int r = start_load_recipe(tpl->m, &s, &tpl->of, e);

	if (r < 0)
		return r;
	r = start_open_checkpoint(tpl->m, &s, b, e);
	if (r < 0)
		return r;
	warm_used(tpl->m, b->key);
	tpl->rules = s.policy;
	s.spec.action = SANDBOX_TEMPLATE;
	s.spec.limits = s.policy->policy.head.limits;
	s.spec.job_fd = -1;
	s.spec.keeper_sock = sock;
	return start_spawn(tpl->m, &s, b, tpl->of.package_fd, e);
}

int keeper_start(struct template *tpl, int sock, struct err *e)
{
	char name[TASK_ID_LEN + 1];
	struct box *b;
	int r;

	(void)snprintf(name, sizeof(name), KEEPER_GROUP "%s", tpl->id);
	b = box_new(tpl->m, &box_keeper, name);
	if (!b)
		return err_set(e, ERR_SYSTEM, ENOMEM, "template");
	((struct keeper *)(void *)b)->template = tpl;
	b->run.owner = tpl->of.owner;
	r = keeper_spawn(tpl, b, sock, e);
	if (r < 0) {
		start_undo(b);
		box_free(b);
		return r;
	}
	tpl->keeper = b;
	return 0;
}

/* After a bad checkpoint the keeper ends, with a report of the same words. */
static void keeper_reported(struct box *b, const struct report *r)
{
	if (r->type == REPORT_BAD_CHECKPOINT)
		warm_remove_bad(b, r->text);
	else if (r->type == REPORT_VERIFIED)
		warm_verified(b);
}

static void keeper_ended(struct box *b)
{
	struct template *tpl = ((struct keeper *)(void *)b)->template;

	box_reap(b);
	template_ended(tpl, b->error[0] ? b->error : "its keeper has ended");
	box_discard(b);
}

/* A keeper ends when its monitor and its last task have ended, whose parent it is. No other monitor
 * looks for its record. Its cgroup is removed after its end (template.c). */
const struct box_kind box_keeper = {
	.size = sizeof(struct keeper),
	.run = RUN_TEMPLATE,
	.group = KEEPER_GROUP,
	.outlives = true,
	.reported = keeper_reported,
	.ended = keeper_ended,
};
