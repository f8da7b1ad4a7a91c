// SPDX-License-Identifier: Apache-2.0
/*
 * The ordered list: what happens between the clone of a sandbox's init and the
 * first instruction of its payload. Privilege held: root of the host, all along,
 * until init_drop(). Nothing of the image or of the user runs before that, but in
 * sandboxes that make a checkpoint; and nothing is read from the image's files.
 */
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "lib/title.h"
#include "sandbox/checkpoint.h"
#include "sandbox/fork/inject.h"
#include "sandbox/fork/keeper.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"

#define RECORD_TRIES 20000 /* about 3 s */
#define RECORD_YIELDS 100

static void report(int fd, enum report_type type, uint64_t value, const char *text)
{
	struct report r = {.type = type, .value = value};

	(void)snprintf(r.text, sizeof(r.text), "%s", text);
	(void)util_write_all(fd, &r, sizeof(r));
}

/* A restore that cannot even begin is no reason to fail: a cold start follows. */
static int or_without(const struct sandbox_spec *spec, struct checkpoint_run *run, int r,
		      struct err *e)
{
	if (r < 0 && spec->action == SANDBOX_RESTORE) {
		run->broken = *e;
		*e = (struct err){0};
		r = 0;
	}
	return r;
}

/* The surroundings, in an order that the comments explain. */
static int build(const struct sandbox_spec *spec, struct checkpoint_run *run,
		 struct template_host *keep, struct err *e)
{
	const bool criu = spec->action != SANDBOX_COLD;
	struct net_host net = {.netns = -1};
	int r, root = -1;

	r = fds_keep_spec(spec, e);
	/* Early: everything below is on the task's bill. */
	if (r == 0)
		r = cgroup_enter(spec->cgroup, e);
	/* While still in the host's namespaces. */
	if (r == 0 && spec->action == SANDBOX_TEMPLATE)
		r = template_open_host(spec, keep, e);
	if (r == 0)
		r = net_open_host(spec->net_index, &net, e);
	/* Its group is about to be a namespace's root, and closed to it. */
	if (r == 0 && criu) {
		run->pids_max = cgroup_open_pids(spec->cgroup);
		if (run->pids_max < 0)
			r = err_set(e, ERR_SYSTEM, -run->pids_max, "sandbox: limit of processes");
	}
	/* After cgroup_enter: its group is the namespace's root. */
	if (r == 0)
		r = ns_unshare_cgroup(e);
	if (r == 0)
		r = net_enter_ns(spec->netns_fd, e);
	/* While the host's files are there to exec. */
	if (r == 0 && criu)
		r = or_without(spec, run, checkpoint_launch(spec, run, e), e);
	if (r == 0)
		r = net_setup(spec->net_index, &net, e);
	if (r == 0)
		r = ns_set_hostname(spec->id, e);
	if (r == 0)
		r = rootfs_mount(spec, &root, e);
	/* On the new root, before it is "/". */
	if (r == 0)
		r = mounts_make(spec, root, e);
	/* Somebody else may have found the checkpoint to be wrong just now, and removed it. */
	if (r == 0 && criu)
		r = or_without(spec, run, mounts_heap(spec, root, e), e);
	/* It is still loading the host's libraries. */
	if (r == 0 && spec->action == SANDBOX_RESTORE && !run->broken.code)
		r = or_without(spec, run,
			       userns_make(spec->checkpoint_owner, spec->owner, &run->userns, e),
			       e);
	if (r == 0 && criu)
		r = or_without(spec, run, checkpoint_wait_loaded(run, e), e);
	/* From here on no file of the host has a name. */
	if (r == 0)
		r = rootfs_pivot(root, e);
	net_close_host(&net);
	util_close_fd(&root);
	return r;
}

/* Restore, and when that does not work start cold in the same, still clean sandbox. In both ways
 * the payload is there, and nothing that the user wrote has run. */
static int start_payload(const struct sandbox_spec *spec, struct checkpoint_run *run,
			 pid_t *payload, int *go, struct err *e)
{
	struct err why = {0};
	int r;

	if (spec->action == SANDBOX_RESTORE) {
		r = checkpoint_restore(spec, run, NULL, payload, &why);
		if (r == 0) {
			if (!spec->verified)
				report(spec->report_w, REPORT_VERIFIED, 0, "");
			*go = TAKE_FD(run->go_w);
			return 0;
		}
		checkpoint_abort(spec, run);
		report(spec->report_w, r == -EBADMSG ? REPORT_BAD_CHECKPOINT : REPORT_FALLBACK, 0,
		       why.msg);
	}
	return payload_start(spec, payload, go, e);
}

/* Does not return but by a failure. */
static int keep_template(const struct sandbox_spec *spec, struct checkpoint_run *run,
			 struct template_host *host, struct err *e)
{
	static struct inject_template held;
	pid_t template;
	int r = checkpoint_restore(spec, run, &held, &template, e);

	if (r == -EBADMSG)
		report(spec->report_w, REPORT_BAD_CHECKPOINT, 0, e->msg);
	if (r < 0)
		return r;
	if (!spec->verified)
		report(spec->report_w, REPORT_VERIFIED, 0, "");
	util_close_fd(&run->log);
	template_keep(spec, host, &held, template);
}

static int warm_and_dump(const struct sandbox_spec *spec, struct checkpoint_run *run, struct err *e)
{
	uint64_t us;
	pid_t payload;
	int r = payload_start(spec, &payload, NULL, e);

	if (r == 0)
		r = checkpoint_dump(spec, run, payload, &us, e);
	if (r == 0)
		report(spec->report_w, REPORT_DUMPED, us, "");
	return r;
}

/*
 * Nothing of the user's runs in a sandbox that no monitor could find again. The record
 * is written a moment after the clone; when it does not come, the monitor died in
 * between, and the task is started anew by the next one.
 */
int sandbox_wait_recorded(int record_fd, struct err *e)
{
	struct timespec nap = {0, 100000};
	uint32_t magic = 0;

	for (int i = 0; i < RECORD_TRIES; i++) {
		if (pread(record_fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
		    magic == RUN_RECORD_MAGIC)
			return 0;
		/* A nap is longer than most waits for it. */
		if (i < RECORD_YIELDS)
			(void)sched_yield();
		else
			(void)nanosleep(&nap, NULL);
	}
	return err_set(e, ERR_INTERNAL, 0, "sandbox: no monitor has recorded it");
}

/*
 * The kernel kills this process when its maker dies, until it becomes another user: then this has
 * to be asked for again. A maker that has died before is no reader of the report any more.
 */
static int follow_maker(const struct sandbox_spec *spec, int report_fd, struct err *e)
{
	struct pollfd maker = {.fd = report_fd};

	if (!spec->with_maker)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: an end with its maker");
	if (poll(&maker, 1, 0) < 0 || maker.revents & POLLERR)
		return err_set(e, ERR_SYSTEM, 0, "sandbox: its maker has died");
	return 0;
}

static void __attribute__((noreturn)) init_main(const struct sandbox_spec *spec)
{
	struct checkpoint_run run = CHECKPOINT_RUN_INIT;
	struct template_host host = TEMPLATE_HOST_INIT;
	struct err e = {0};
	int report_fd = spec->report_w, go = -1, r = 0;
	char title[TASK_ID_LEN + 16];
	pid_t payload = -1;
	sigset_t none;

	/* The monitor blocks what its event loop reads. */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Also wipes the daemon's arguments and environment from this copy of its memory. */
	(void)snprintf(title, sizeof(title), "init of %s", spec->id);
	title_set(title);
	(void)prctl(PR_SET_NAME, "sandbox-init");
	/* Not the daemon's session or its terminal: kill(0) knows no pid namespace, and a forged
	 * checkpoint may say that its process is in this one's. */
	if (setsid() < 0)
		r = err_set(&e, ERR_SYSTEM, errno, "sandbox: init's session");
	/* The monitor's death must not end tasks: only a build's sandbox ends with its maker. */
	if (r == 0)
		r = follow_maker(spec, report_fd, &e);
	if (r == 0)
		r = build(spec, &run, &host, &e);
	if (r == 0)
		r = sandbox_wait_recorded(spec->record_fd, &e);
	if (r == 0 && spec->action == SANDBOX_DUMP) {
		r = warm_and_dump(spec, &run, &e);
		if (r == 0)
			_exit(0);
	} else if (r == 0 && spec->action == SANDBOX_TEMPLATE) {
		r = keep_template(spec, &run, &host, &e);
	} else if (r == 0) {
		r = start_payload(spec, &run, &payload, &go, &e);
		if (r == 0)
			r = fds_move_init(spec, go, &e);
		if (r == 0) {
			report_fd = INIT_FD_REPORT;
			r = init_drop(sandbox_host_id(spec->owner, SANDBOX_INIT_UID), &e);
		}
		if (r == 0)
			r = follow_maker(spec, report_fd, &e);
		if (r == 0)
			r = checkpoint_let_go(&run, &e);
		if (r == 0)
			r = init_go("sandbox", &e);
		if (r == 0)
			init_supervise(payload);
	}
	/* PID 1's exit ends whatever had been started. */
	report(report_fd, REPORT_FAILED, 0, e.msg);
	_exit(1);
}

int sandbox_spawn(const struct sandbox_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	int r = ns_clone_init(cgroup_clone_fd(spec->cgroup), ret_pid, ret_pidfd, e);

	if (r == 0 && *ret_pid == 0)
		init_main(spec);
	return r;
}
