// SPDX-License-Identifier: Apache-2.0
/*
 * A sandbox that is ready before what runs in it: its init waits for a task, as PID 1
 * of seven new namespaces that belong to the user namespace among them. Made by a
 * template's keeper. Privilege: the builder is root of the host and exits; the init has
 * its user namespace's, of which it keeps what a task's begin takes, and nothing outside.
 */
#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/title.h"
#include "sandbox/fork/keeper.h"

/* Where the new root is mounted before it is "/": a folder of every sandbox. */
#define SHELL_ROOT "/run"

static void report_failed(int fd, const struct err *e)
{
	struct report r = {.type = REPORT_FAILED};

	(void)snprintf(r.text, sizeof(r.text), "%s", e->msg);
	(void)util_write_all(fd, &r, sizeof(r));
}

/*
 * When the payload ends first there will be no task: the monitor sees it by this init's
 * end, or by an EPIPE when it is about to send one. One that was sent before that is still
 * there to be read, and fails in words.
 */
static void wait_for_task(int ctl, int status)
{
	struct pollfd p[] = {{.fd = ctl, .events = POLLIN}, {.fd = status, .events = POLLIN}};

	while (poll(p, ARRAY_SIZE(p), -1) < 0)
		if (errno != EINTR)
			break;
	if (!p[0].revents)
		(void)shutdown(ctl, SHUT_RDWR);
}

/* False when there will be none. */
static bool receive_task(int ctl, struct shell_task *task, int fds[SHELL_FD_N])
{
	ssize_t n;
	int n_fds;

	do {
		n_fds = SHELL_FD_N;
		n = fds_receive(ctl, task, sizeof(*task), fds, &n_fds, 0);
	} while (n == -EINTR);
	if (n != (ssize_t)sizeof(*task) || task->magic != SHELL_TASK_MAGIC ||
	    n_fds != SHELL_FD_SERVE + (task->serves != 0))
		return false;
	task->id[TASK_ID_LEN] = '\0';
	return true;
}

/*
 * The byte `s`, and then a message with the socket, which the payload takes before it waits on for
 * its go (images/runtime/park.c): a read that is under way could not take a descriptor. The payload
 * alone has the socket then.
 */
static int hand_socket(int go_w, int *serve_fd, struct err *e)
{
	int r = util_write_all(go_w, "s", 1);

	if (r == 0)
		r = fds_send(go_w, "s", 1, serve_fd, 1, 0);
	util_close_fd(serve_fd);
	return r < 0 ? err_set(e, ERR_SYSTEM, EPIPE, "fork: the process is gone") : 0;
}

/*
 * It was made with the payload's uid, which may signal it, limit it and choose its
 * processors: it has one of its own before there is a payload. The keeper says when its
 * ids are mapped, and waits for the answer.
 */
static int take_uid(int status, struct err *e)
{
	char c;
	int r;

	if (util_read_all(status, &c, 1) < 0)
		return err_set(e, ERR_SYSTEM, EPIPE, "fork: id map");
	r = init_become(SANDBOX_INIT_UID, e);
	if (r == 0)
		r = caps_keep_for_task(e);
	if (r == 0 && util_write_all(status, "i", 1) < 0)
		r = err_set(e, ERR_SYSTEM, EPIPE, "fork: the init's user");
	return r;
}

/* The init. Everything that it needs it has: fds, and privileges of its own namespaces. */
static void __attribute__((noreturn))
shell_main(struct sandbox_spec *spec, int ctl, int go_w, int status)
{
	const int keep[] = {STDERR_FILENO,  spec->out_r, spec->err_r, spec->started_r,
			    spec->report_w, ctl,	 go_w,	      status};
	struct shell_task task;
	int fds[SHELL_FD_N] = {-1, -1, -1}, report_fd = spec->report_w, r;
	char title[TASK_ID_LEN + 16];
	struct err e = {0};

	/* Nobody else is in these namespaces yet. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)prctl(PR_SET_NAME, "sandbox-init");
	(void)signal(SIGPIPE, SIG_IGN);
	title_set("init, parked");
	/* Born with every capability over its user namespace; the rest is built meanwhile. */
	r = userns_bound(mounts_own_proc(), &e);
	if (r == 0)
		r = fds_keep(keep, ARRAY_SIZE(keep), &e);
	if (r == 0)
		r = take_uid(status, &e);
	if (r == 0) {
		/* The monitor has died, or has no use for it any more: PID 1 takes all along. */
		wait_for_task(ctl, status);
		if (!receive_task(ctl, &task, fds))
			_exit(0);
		(void)close(ctl);
		memcpy(spec->id, task.id, sizeof(spec->id));
		(void)snprintf(title, sizeof(title), "init of %s", spec->id);
		title_set(title);
		spec->job_fd = fds[SHELL_FD_JOB];
		spec->record_fd = fds[SHELL_FD_RECORD];
		spec->status_r = status;

		/* What the new sandbox has of its task: names, the job's file, its descriptors. */
		r = task.serves ? hand_socket(go_w, &fds[SHELL_FD_SERVE], &e) : 0;
		if (r == 0)
			r = ns_set_hostname(spec->id, &e);
		if (r == 0)
			r = mounts_put_hostname(spec->id, &e);
		if (r == 0)
			r = mounts_put_job("/run", spec->job_fd, SANDBOX_UID, &e);
		if (r == 0)
			r = fds_move_init(spec, go_w, &e);
	}
	if (r == 0) {
		report_fd = INIT_FD_REPORT;
		r = caps_keep_only_kill(&e);
	}
	/* The monitor writes it while we have been busy. */
	if (r == 0)
		r = init_wait_recorded(INIT_FD_RECORD, &e);
	if (r == 0)
		r = init_go("fork", &e);
	if (r == 0)
		init_supervise(-1);
	report_failed(report_fd, &e);
	_exit(1);
}

/* What clones the init: it has the template's user, who is then the owner of the new user
 * namespace, whatever range that maps. The init is its sibling. Its pid goes by shared memory. */
static void __attribute__((noreturn))
maker_main(struct sandbox_spec *spec, int ctl, int go_w, int status, volatile pid_t *ret)
{
	const uid_t id = sandbox_host_id(spec->checkpoint_owner, SANDBOX_UID);
	struct clone_args args = {.flags = CLONE_PARENT | CLONE_NEWUSER | CLONE_NEWPID |
					   CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC |
					   CLONE_NEWUTS | CLONE_NEWCGROUP};
	pid_t pid;

	/* Its group is the root of the new cgroup namespace. */
	if (oom_unprotect(NULL) < 0 || cgroup_enter(spec->cgroup, NULL) < 0 ||
	    setgroups(0, NULL) < 0 || setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		_exit(1);
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		shell_main(spec, ctl, go_w, status);
	*ret = pid < 0 ? -errno : pid;
	_exit(0);
}

static volatile pid_t *shared_pid(void)
{
	static volatile pid_t *page;

	if (!page) {
		void *p =
			mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

		page = p == MAP_FAILED ? NULL : p;
	}
	return page;
}

static int make_init(struct sandbox_spec *spec, int ctl, int go_w, int theirs, struct shell *s,
		     struct err *e)
{
	volatile pid_t *made = shared_pid();
	int status = -1;
	pid_t maker;

	if (!made)
		return err_set(e, ERR_SYSTEM, errno, "fork: memory");
	*made = -EIO;
	maker = ns_clone_into(cgroup_clone_fd(spec->cgroup));
	if (maker == 0)
		maker_main(spec, ctl, go_w, theirs, made);
	if (maker < 0)
		return err_set(e, ERR_SYSTEM, -maker, "fork: process");
	(void)waitpid(maker, &status, 0);
	if (status != 0 || *made <= 0)
		return err_set(e, ERR_SYSTEM, *made < 0 ? -*made : EIO,
			       "fork: new namespaces (sysctl user.max_*_namespaces?)");
	s->init = *made;
	return 0;
}

static int open_namespaces(struct shell *s, int proc, struct err *e)
{
	char path[40];

	for (int i = 0; i < CLONE_NS_N; i++) {
		(void)snprintf(path, sizeof(path), "%d/ns/%s", (int)s->init, ns_names[i]);
		s->ns[i] = openat(proc, path, O_RDONLY | O_CLOEXEC);
		if (s->ns[i] < 0)
			return err_set(e, ERR_SYSTEM, errno, "fork: namespace %s", ns_names[i]);
	}
	return 0;
}

/* The ordered list, as in enter.c, for namespaces that are there already. */
static int build(struct sandbox_spec *spec, struct net_host *host, const struct shell *s,
		 struct err *e)
{
	int r = oom_unprotect(e), root = -1;

	if (r < 0)
		return r;
	/*
	 * In the keeper's mount namespace still: in one that another user namespace owns, a
	 * procfs is refused where there is a masked one already (mount_too_revealing() in
	 * fs/namespace.c).
	 */
	spec->proc_mount = mounts_new_proc();
	if (spec->proc_mount < 0)
		return err_set(e, ERR_SYSTEM, -spec->proc_mount, "fork: file system for /proc");

	for (int i = CLONE_NS_MNT; i <= CLONE_NS_CGROUP && r == 0; i++)
		if (setns(s->ns[i], 0) < 0)
			r = err_set(e, ERR_SYSTEM, errno, "fork: enter namespaces");
	if (r == 0)
		r = net_up(e);
	if (r == 0)
		r = net_limit(spec->proc_mount, e);
	if (r == 0)
		r = net_setup(spec->net_index, host, e);
	if (r == 0)
		r = rootfs_mount(spec, &root, e);
	if (r == 0)
		r = mounts_make(spec, root, e);
	if (r == 0)
		r = rootfs_pivot(root, e);
	return r;
}

/* In a process that is born in the new pid namespace: a procfs is of its mounter's. */
static int run_builder(struct sandbox_spec *spec, struct net_host *host, const struct shell *s,
		       struct err *e)
{
	_cleanup_fd_ int home = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	int p[2], status = -1;
	struct report report = {0};
	pid_t pid;

	if (home < 0 || pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "fork: builder");
	if (setns(s->ns[CLONE_NS_PID], CLONE_NEWPID) < 0) {
		(void)close(p[0]);
		(void)close(p[1]);
		return err_set(e, ERR_SYSTEM, errno, "fork: pid namespace");
	}
	pid = fork();
	if (pid == 0) {
		if (build(spec, host, s, e) == 0)
			_exit(0);
		report_failed(p[1], e);
		_exit(1);
	}
	/* A keeper whose children go astray must not go on. */
	if (setns(home, CLONE_NEWPID) < 0)
		abort();
	(void)close(p[1]);
	if (pid > 0 && util_read_all(p[0], &report, sizeof(report)) < 0)
		report.text[0] = '\0';
	(void)close(p[0]);
	if (pid > 0)
		(void)waitpid(pid, &status, 0);
	report.text[sizeof(report.text) - 1] = '\0';
	if (status != 0)
		return err_set(e, ERR_SYSTEM, 0, "%s",
			       report.text[0] ? report.text : "fork: builder");
	return 0;
}

/* It has a uid of its own, or is dead. By now it has had the time. */
static int wait_uid(const struct shell *s, struct err *e)
{
	char c = 0;

	if (util_read_all(s->status, &c, 1) < 0 || c != 'i')
		return err_set(e, ERR_SYSTEM, ESRCH, "fork: the init's user");
	return 0;
}

int shell_make(const struct sandbox_spec *spec, struct net_host *host, int ctl, struct shell *ret,
	       int *ret_go_r, struct err *e)
{
	_cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int go_r = -1, theirs = -1;
	struct sandbox_spec copy = *spec;
	int go[2], sk[2], r;

	copy.root_dir = SHELL_ROOT;
	if (proc < 0 || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, go) < 0)
		return err_set(e, ERR_SYSTEM, errno, "fork: socket");
	go_r = go[0];
	ret->go_w = go[1];
	/* The payload says nothing here, and sends no descriptors. */
	(void)shutdown(ret->go_w, SHUT_RD);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sk) < 0) {
		r = err_set(e, ERR_SYSTEM, errno, "fork: socket");
		shell_kill(ret);
		return r;
	}
	ret->status = sk[0];
	theirs = sk[1];
	r = make_init(&copy, ctl, ret->go_w, theirs, ret, e);
	util_close_fd(&theirs); /* its end is seen here */
	if (r == 0)
		r = open_namespaces(ret, proc, e);
	if (r == 0)
		r = idmap_write(mounts_own_proc(), ret->init, spec->owner, e);
	/* It takes its uid while the rest is built, and has it before a payload is there. */
	if (r == 0 && util_write_all(ret->status, "m", 1) < 0)
		r = err_set(e, ERR_SYSTEM, EPIPE, "fork: the init is gone");
	if (r == 0)
		r = run_builder(&copy, host, ret, e);
	if (r == 0)
		r = wait_uid(ret, e);
	if (r < 0) {
		shell_kill(ret);
		return r;
	}
	*ret_go_r = TAKE_FD(go_r);
	return 0;
}

void shell_close(struct shell *s)
{
	for (int i = 0; i < CLONE_NS_N; i++)
		util_close_fd(&s->ns[i]);
	util_close_fd(&s->go_w);
	util_close_fd(&s->status);
}

void shell_kill(struct shell *s)
{
	if (s->init > 0)
		(void)kill(s->init, SIGKILL); /* our own child, not reaped: the pid is right */
	s->init = 0;
	shell_close(s);
}
