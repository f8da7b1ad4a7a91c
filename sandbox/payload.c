// SPDX-License-Identifier: Apache-2.0
/*
 * The payload: pid 2, the image's Python. This is the code between its clone and its exec. Only
 * the first lines run as root, and the order matters.
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
	int ready[2]; /* payload to init: I am in my user namespace */
	int go[2];    /* init to payload: your ids are mapped, and I have given up my privilege */
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
 * Runs without root already. The new user namespace gives the process every capability over that
 * namespace, and nothing else belongs to it. The init, whose privileges are outside of it, maps
 * the ids.
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
	/* The init maps the ids meanwhile. */
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
		/* Only the runtime uses these two descriptors; a build's command has no
		 * runtime. */
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

/* A process that is to be dumped has this filter; each restored copy gets the policy's own filter
 * in its place (fork/inject_confine.c). */
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
	/* A session of its own: the payload has no terminal, and criu wants the dumped process to
	 * lead a session. */
	if (setsid() < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: session");
	/* The init ignores SIGPIPE, and inherited the signals that the daemon was started with as
	 * ignored: a shell's "&" and nohup(1) ignore some. No signal is blocked. */
	for (int number = 1; number < NSIG; number++)
		(void)signal(number, SIG_DFL);
	(void)umask(022);
	/* A process that is to be dumped stays in the initial user namespace, as an unprivileged
	 * user; the restore moves each copy into a user namespace of its own
	 * (fork/inject_confine.c). */
	r = park ? caps_drop_bounding(e) : 0;
	if (r < 0)
		return r;
	r = oom_expose(e);
	if (r < 0)
		return r;
	/* No uid is 0 after this, which clears the capability sets but the bounding one. */
	r = become_user(spec->owner, e);
	if (r < 0)
		return r;
	if (!park) {
		r = enter_userns(h, e);
		if (r < 0)
			return r;
	}
	r = fds_move_payload((const int[]){spec->input_fd >= 0 ? spec->input_fd : null, spec->out_w,
					   spec->err_w, go_r, spec->started_w, spec->serve_fd,
					   *report_w},
			     e);
	if (r < 0)
		return r;
	null = -1; /* fds_move_payload has closed it by its number */
	*report_w = PAYLOAD_FD_REPORT;
	r = rlimit_apply(&spec->limits, e);
	if (r < 0)
		return r;
	/* criu's own filter. A restored process inherits it from criu, so a task that was started
	 * cold gets it too: it is confined in the same way in all start modes. */
	r = criu_attach_filter(e);
	if (r < 0)
		return r;
	r = park ? attach_warm(spec->policy, e)
		 : seccomp_attach(spec->policy->bpf, spec->policy->head.n_bpf, e);
	if (r < 0)
		return r;
	return exec_interpreter(spec, park, e);
}

/* The clone's side. It never returns; a failure is told by the report pipe. */
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
	/* A parked interpreter must never read an end of file from its go pipe: the init never
	 * closes the write end. */
	if (park)
		go_w = -1;
	for (int i = 0; i < 2; i++) {
		util_close_fd(&h.ready[i]);
		util_close_fd(&h.go[i]);
	}
	*ret = pid;
	return r;
}
