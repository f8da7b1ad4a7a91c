// SPDX-License-Identifier: Apache-2.0
/*
 * The ordered list: what happens between the clone of a sandbox's init and the first instruction
 * of its payload. The init is root of the host all along, until init_drop(). Until then no code
 * of the image or of the user runs, except in sandboxes that make a checkpoint, and no file of
 * the image is read.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

#include "lib/title.h"
#include "sandbox/checkpoint.h"
#include "sandbox/fork/inject.h"
#include "sandbox/fork/keeper.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"

static void report(int fd, enum report_type type, uint64_t value, const char *text)
{
	struct report r = {.type = type, .value = value};

	(void)snprintf(r.text, sizeof(r.text), "%s", text);
	(void)util_write_all(fd, &r, sizeof(r));
}

/* Takes the result r of a step that only a restore needs. A restore that cannot even begin does
 * not fail the task: the error is kept in run->broken, and a cold start follows. */
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

/* Makes the sandbox's surroundings. The order matters, and the comments say why. */
static int build(const struct sandbox_spec *spec, struct checkpoint_run *run,
		 struct template_host *keep, struct err *e)
{
	const bool criu = spec->action != SANDBOX_COLD;
	struct net_host net = {.netns = -1};
	int r, root = -1;

	r = fds_keep_spec(spec, e);
	if (r < 0)
		goto out;
	/* Early, so that everything below is charged to the task. */
	r = cgroup_enter(spec->cgroup, e);
	if (r < 0)
		goto out;
	/* While this process is still in the host's namespaces. */
	if (spec->action == SANDBOX_TEMPLATE) {
		r = template_open_host(spec, keep, e);
		if (r < 0)
			goto out;
	}
	r = net_open_host(spec->net_index, &net, e);
	if (r < 0)
		goto out;
	/* A descriptor for the limit of processes, taken now: once its cgroup is the root of a
	 * cgroup namespace, the file can no longer be opened from within (cgroup.h). */
	if (criu) {
		run->pids_max = cgroup_open_pids(spec->cgroup);
		if (run->pids_max < 0) {
			r = err_set(e, ERR_SYSTEM, -run->pids_max, "sandbox: limit of processes");
			goto out;
		}
	}
	/* After cgroup_enter: the cgroup that the process is in becomes the namespace's root. */
	r = ns_unshare_cgroup(e);
	if (r < 0)
		goto out;
	r = net_enter_ns(spec->netns_fd, e);
	if (r < 0)
		goto out;
	/* While criu and its libraries can still be found among the host's files. */
	if (criu) {
		r = or_without(spec, run, checkpoint_launch(spec, run, e), e);
		if (r < 0)
			goto out;
	}
	r = net_setup(spec->net_index, &net, e);
	if (r < 0)
		goto out;
	r = ns_set_hostname(spec->id, e);
	if (r < 0)
		goto out;
	r = rootfs_mount(spec, &root, e);
	if (r < 0)
		goto out;
	/* On the new root, before it is "/". */
	r = mounts_make(spec, root, e);
	if (r < 0)
		goto out;
	if (criu) {
		/* Another process may have found the checkpoint to be wrong just now, and removed it. */
		r = or_without(spec, run, mounts_heap(spec, root, e), e);
		if (r < 0)
			goto out;
	}
	/* criu is still loading the host's libraries meanwhile. */
	if (spec->action == SANDBOX_RESTORE && !run->broken.code) {
		r = or_without(spec, run,
			       userns_make(spec->checkpoint_owner, spec->owner, &run->userns, e),
			       e);
		if (r < 0)
			goto out;
	}
	if (criu) {
		r = or_without(spec, run, checkpoint_wait_loaded(run, e), e);
		if (r < 0)
			goto out;
	}
	/* From here on no file of the host has a name. */
	r = rootfs_pivot(root, e);
out:
	net_close_host(&net);
	util_close_fd(&root);
	return r;
}

/* Restores, and when that fails starts cold in the same sandbox, which is still clean. Either way
 * the payload exists, and nothing that the user wrote has run. */
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

/* Returns only when it fails. */
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
 * When spec->with_maker says so, has the kernel kill this process when the process that made it
 * dies. The kernel forgets that request when the process becomes another user, so this is called
 * once more after init_drop(). If the maker died before the call, nobody reads the report pipe
 * any longer, and that is an error here.
 */
static int follow_maker(const struct sandbox_spec *spec, int report_fd, struct err *e)
{
	struct pollfd maker = {.fd = report_fd};

	if (!spec->with_maker)
		return 0;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return err_set(
			e, ERR_SYSTEM, errno,
			"sandbox: cannot ask to be killed when the process that made it dies");
	if (poll(&maker, 1, 0) < 0 || maker.revents & POLLERR)
		return err_set(e, ERR_SYSTEM, 0, "sandbox: the process that made it has died");
	return 0;
}

static void __attribute__((noreturn)) init_main(const struct sandbox_spec *spec)
{
	struct checkpoint_run run = CHECKPOINT_RUN_INIT;
	struct template_host host = TEMPLATE_HOST_INIT;
	struct err e = {0};
	int report_fd = spec->report_w, go = -1;
	char title[TASK_ID_LEN + 16];
	pid_t payload = -1;
	sigset_t none;

	/* The monitor blocks the signals that its event loop reads from a signalfd. */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	/* Also wipes the daemon's arguments and environment from this copy of its memory. */
	(void)snprintf(title, sizeof(title), "init of %s", spec->id);
	title_set(title);
	(void)prctl(PR_SET_NAME, "sandbox-init");
	/* Leaves the daemon's session and its terminal. kill(0) knows no pid namespace, and a
	 * forged checkpoint may say that its process belongs to this process's group. */
	if (setsid() < 0) {
		(void)err_set(&e, ERR_SYSTEM, errno, "sandbox: init's session");
		goto fail;
	}
	/* The monitor's death must not end tasks; only the sandbox of a build ends with its maker. */
	if (follow_maker(spec, report_fd, &e) < 0 || build(spec, &run, &host, &e) < 0 ||
	    init_wait_recorded(spec->record_fd, &e) < 0)
		goto fail;
	if (spec->action == SANDBOX_DUMP) {
		if (warm_and_dump(spec, &run, &e) < 0)
			goto fail;
		_exit(0);
	}
	if (spec->action == SANDBOX_TEMPLATE) {
		(void)keep_template(spec, &run, &host, &e);
		goto fail;
	}
	if (start_payload(spec, &run, &payload, &go, &e) < 0 || fds_move_init(spec, go, &e) < 0)
		goto fail;
	report_fd = INIT_FD_REPORT;
	if (init_drop(sandbox_host_id(spec->owner, SANDBOX_INIT_UID), &e) < 0 ||
	    follow_maker(spec, report_fd, &e) < 0 || checkpoint_let_go(&run, &e) < 0 ||
	    init_go("sandbox", &e) < 0)
		goto fail;
	init_supervise(payload);
fail:
	/* The kernel ends whatever had been started when PID 1 exits. */
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
