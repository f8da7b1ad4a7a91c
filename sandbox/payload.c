// SPDX-License-Identifier: Apache-2.0
/*
 * The payload: pid 2, the image's Python. This is the code between the clone and
 * its exec; it runs as root for the first lines only, and the order matters.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "sandbox/criu.h"
#include "sandbox/sandbox.h"

#define RUNTIME "/usr/lib/sandbox-runtime"

struct handshake {
	int ready[2]; /* payload -> init: I am in my user namespace */
	int go[2];    /* init -> payload: your ids are mapped, and I am nobody any more */
};

static int become_user(uint32_t owner, struct err *e)
{
	const uid_t id = sandbox_host_id(owner, SANDBOX_UID);

	if (setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: user %u", id);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: no_new_privs");
	return 0;
}

/*
 * Already without root: the new namespace gives every capability over itself, and
 * nothing else belongs to it. The init, whose privileges are outside, maps the ids.
 */
static int enter_userns(const struct handshake *h, struct err *e)
{
	char c = 'u';
	int r;

	if (unshare(CLONE_NEWUSER) < 0)
		return err_set(e, ERR_SYSTEM, errno,
			       "sandbox: user namespace (sysctl user.max_user_namespaces?)");
	if (util_write_all(h->ready[1], &c, 1) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: id map");
	/* While the init maps the ids. */
	r = userns_bound(mounts_own_proc(), e);
	if (r < 0)
		return r;
	if (util_read_all(h->go[0], &c, 1) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: id map");
	return caps_drop_all(e);
}

/*
 * The runtime's main file compiles the script by itself. With a script and Python 3
 * there is a way that is a millisecond shorter: the interpreter is given the script,
 * and finds the runtime first as sitecustomize (images/runtime/sandbox_runtime.py).
 */
static int exec_interpreter(const struct sandbox_spec *spec, bool park, struct err *e)
{
	static const char *const envp[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work",
					   "LANG=C.UTF-8", NULL};
	static const char *const envp_script[] = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work",
						  "LANG=C.UTF-8", "PYTHONPATH=" RUNTIME, NULL};
	const char *interpreter = spec->image->interpreter;
	bool direct =
		!park && spec->script && spec->script[0] && spec->image->python_version[0] == '3';
	char script[300];
	const char *const argv[] = {interpreter,	   "-u", "-B", RUNTIME "/boot.py",
				    park ? "park" : "run", NULL};
	const char *const argv_script[] = {interpreter, "-u", "-B", script, NULL};
	int r;

	if (spec->argv) {
		/* These are for the runtime. */
		(void)close(PAYLOAD_FD_GO);
		(void)close(PAYLOAD_FD_STARTED);
		r = util_exec(spec->argv[0], spec->argv, spec->envp);
		return err_set(e, ERR_SYSTEM, -r, "image: program %s", spec->argv[0]);
	}
	(void)snprintf(script, sizeof(script), "/work/%s", direct ? spec->script : "");
	r = direct ? util_exec(interpreter, argv_script, envp_script)
		   : util_exec(interpreter, argv, envp);
	return err_set(e, ERR_SYSTEM, -r, "image: interpreter %s", interpreter);
}

/* What is restored of it gets the policy's own filter instead (inject_confine.c). */
static int attach_warm(const struct policy *policy, struct err *e)
{
	struct sock_filter *bpf;
	size_t n;
	int r = criu_warm_filter(policy->bpf, policy->head.n_bpf, &bpf, &n, e);

	/* Never freed: an exec follows. */
	return r < 0 ? r : seccomp_attach(bpf, n, e);
}

static int payload_main(const struct sandbox_spec *spec, bool park, const struct handshake *h,
			int go_r, int *report_w, struct err *e)
{
	_cleanup_fd_ int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int r;

	if (null < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: /dev/null");
	/* A session of its own: no terminal, and criu wants the tree's root to lead one. */
	if (setsid() < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: session");
	/* The init ignores SIGPIPE, and whatever the daemon was started with: a shell that puts it
	 * in the background, or nohup(1), has more ignored. None is blocked. */
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	(void)umask(022);
	/* What will be a checkpoint stays in the initial user namespace, as an
	 * unprivileged user; inject.c moves each restored copy into its own. */
	r = park ? caps_drop_bounding(e) : 0;
	if (r == 0)
		r = oom_expose(e);
	if (r == 0)
		r = become_user(spec->owner, e); /* clears the other sets: no uid is 0 any more */
	if (r == 0 && !park)
		r = enter_userns(h, e);
	if (r == 0)
		r = fds_move_payload((const int[]){null, spec->out_w, spec->err_w, go_r,
						   spec->started_w, *report_w},
				     e);
	if (r < 0)
		return r;
	null = -1; /* closed by number just now */
	*report_w = PAYLOAD_FD_REPORT;
	r = rlimit_apply(&spec->limits, e);
	/* What is restored has this one by its birth: all tasks are behind the same walls. */
	if (r == 0)
		r = criu_attach_filter(e);
	if (r == 0)
		r = park ? attach_warm(spec->policy, e)
			 : seccomp_attach(spec->policy->bpf, spec->policy->head.n_bpf, e);
	if (r < 0)
		return r;
	return exec_interpreter(spec, park, e);
}

/* The clone's side: never returns. A failure is told by the report pipe. */
static void __attribute__((noreturn))
payload_child(const struct sandbox_spec *spec, bool park, const struct handshake *h, int go_r)
{
	int report_w = spec->report_w;
	struct report report = {.type = REPORT_FAILED};
	struct err e = {0};

	(void)payload_main(spec, park, h, go_r, &report_w, &e);
	(void)snprintf(report.text, sizeof(report.text), "%s", e.msg);
	(void)util_write_all(report_w, &report, sizeof(report));
	_exit(125);
}

static int map_ids(pid_t pid, uint32_t owner, struct handshake *h, struct err *e)
{
	char c;

	util_close_fd(&h->ready[1]);
	util_close_fd(&h->go[0]);
	if (util_read_all(h->ready[0], &c, 1) < 0)
		return err_set(e, ERR_SYSTEM, 0, "sandbox: the payload failed before its id map");
	return idmap_write(mounts_own_proc(), pid, owner, e);
}

int payload_start(const struct sandbox_spec *spec, pid_t *ret, int *ret_go, struct err *e)
{
	const bool park = !ret_go;
	struct handshake h = {{-1, -1}, {-1, -1}};
	_cleanup_fd_ int go_r = -1, go_w = -1;
	int go[2], r = 0;
	pid_t pid;

	if (pipe2(h.ready, O_CLOEXEC) < 0 || pipe2(h.go, O_CLOEXEC) < 0 || pipe2(go, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: pipes");
	go_r = go[0];
	go_w = go[1];
	pid = ns_clone_pid(PAYLOAD_PID);
	if (pid == 0)
		payload_child(spec, park, &h, go_r);
	if (pid < 0)
		r = err_set(e, ERR_SYSTEM, -pid, "sandbox: payload process");
	else if (!park)
		r = map_ids(pid, spec->owner, &h, e);
	if (r == 0 && ret_go)
		*ret_go = TAKE_FD(h.go[1]);
	/* A parked template must never see EOF on its go pipe: the init keeps the end. */
	if (park)
		go_w = -1;
	for (int i = 0; i < 2; i++) {
		util_close_fd(&h.ready[i]);
		util_close_fd(&h.go[i]);
	}
	*ret = pid;
	return r;
}
