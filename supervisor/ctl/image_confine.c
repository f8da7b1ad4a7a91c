// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl image confine [OPTION...] ROOTFS COMMAND [ARG...]: runs one command of an image that
 * is being built, in a sandbox like a task's. image-build has everything run by it that comes
 * out of the image: pip and what it builds, the interpreter, every module that is imported.
 *
 *	--writable FOLDER
 *			the command may write in this folder of the image what belongs to the
 *			build's user; all else of the image is read-only. How much it may
 *			write is up to the file system that is mounted there: one of --disk
 *			bytes, wherever anything writes that came from outside
 *	--network	with the policy's way out, if it has one; without it there is lo alone
 *	--index		its stdin is a socket to this machine's package index (pip-index)
 *	--files DIR	what is in DIR is in the command's /work, too
 *	--env NAME=TEXT	one more variable
 *	--owner		no command: prints the build's user on the host, and ends
 *	--disk		no command: prints the policy's limits.disk, in bytes, and ends
 *
 * The sandbox is made by the same code as a task's: namespaces, a root of its own from which no
 * path leads back, a user without a capability, the policy's filter and limits. The policy is
 * the operator's for builds, whoever the image is for. No daemon has to run.
 *
 * The sandbox ends with this program. TERM, HUP, INT and QUIT also let it clear up; what a KILL
 * leaves (an empty cgroup, a table of nftables) is removed by a later one.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/title.h"
#include "sandbox/net.h"
#include "sandbox/sandbox.h"
#include "supervisor/ctl/image.h"
#include "supervisor/ctl/pip_index.h"
#include "supervisor/ctl/policy.h"

#define POLICY "build"
#define CGROUP "sandboxd-build"
/* Folders to mount on. They are empty, and each build mounts in a mount namespace of its own, so
 * all builds use the same folders and nothing has to be removed. */
#define FOLDER "/run/sandboxd-build"
#define ROOT_FOLDER FOLDER "/root"
#define DEV_FOLDER FOLDER "/dev"
#define ENV_MAX 64
#define RESOLV_CONF_MAX (64u << 10)
#define CGROUP_GONE_MS 2000
#define FULL_BLOCKS 4

struct confine {
	/* From the command line. */
	bool network, index;
	const char *rootfs, *files;
	const char *env[ENV_MAX + 1];
	size_t n_env;
	/* What the sandbox is made of. */
	struct policy policy;
	struct image_head image; /* empty, because the command is executed and not an interpreter */
	struct cgroup_host host;
	struct cgroup cgroup;
	struct net_claim net;
	struct pip_index pip_index;
	char *resolv_conf;
	struct sandbox_spec spec;
	int report_r;
	int signals;
	int signal;	/* the signal that has ended this program; 0: none */
	uint64_t bytes; /* how many bytes the command has printed */
};

static void close_parts(struct sandbox_spec *s)
{
	int *const fds[] = {&s->rootfs_mount, &s->dev_mount, &s->package_mount, &s->out_w,
			    &s->err_w,	      &s->started_r, &s->started_w,	&s->report_w};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		util_close_fd(fds[i]);
	for (size_t i = 0; i < s->n_writable; i++)
		util_close_fd(&s->writable[i].mount);
}

static void confine_clear(struct confine *c)
{
	close_parts(&c->spec);
	util_close_fd(&c->spec.out_r);
	util_close_fd(&c->spec.err_r);
	util_close_fd(&c->spec.record_fd);
	util_close_fd(&c->report_r);
	util_close_fd(&c->signals);
	if (c->cgroup.host)
		(void)cgroup_remove_within(&c->cgroup, CGROUP_GONE_MS);
	cgroup_host_close(&c->host);
	net_claim_undo(&c->net);
	pip_index_stop(&c->pip_index);
	policy_clear(&c->policy);
	free(c->resolv_conf);
}

static int make_folders(struct err *e)
{
	static const char *const folders[] = {FOLDER, ROOT_FOLDER, DEV_FOLDER};

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		return err_set(e, ERR_SYSTEM, errno, "a mount namespace");
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		if (mkdir(folders[i], 0700) < 0 && errno != EEXIST)
			return err_set(e, ERR_SYSTEM, errno, "%s", folders[i]);
	return mounts_make_dev(DEV_FOLDER, e);
}

static int detach(const char *path, int *ret, struct err *e)
{
	_cleanup_fd_ int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? err_set(e, ERR_SYSTEM, errno, "%s", path) : rootfs_detach(fd, path, ret, e);
}

/* Opens a folder of the image, to which no link leads. */
static int open_folder(const struct confine *c, const char *path, int *ret, struct err *e)
{
	struct open_how how = {.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
			       .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH};
	_cleanup_fd_ int rootfs = open(c->rootfs, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (rootfs < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", c->rootfs);
	*ret = (int)syscall(SYS_openat2, rootfs, path, &how, sizeof(how));
	return *ret < 0 ? err_set(e, ERR_SYSTEM, errno, "/%s of the image", path) : 0;
}

static int detach_writable(struct confine *c, struct err *e)
{
	for (size_t i = 0; i < c->spec.n_writable; i++) {
		_cleanup_fd_ int fd = -1;
		int r = open_folder(c, c->spec.writable[i].path, &fd, e);

		if (r < 0)
			return r;
		r = rootfs_detach(fd, c->spec.writable[i].path, &c->spec.writable[i].mount, e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int make_mounts(struct confine *c, struct err *e)
{
	int r = make_folders(e);

	if (r < 0)
		return r;
	r = detach(c->rootfs, &c->spec.rootfs_mount, e);
	if (r < 0)
		return r;
	r = detach_writable(c, e);
	if (r < 0)
		return r;
	r = detach(DEV_FOLDER, &c->spec.dev_mount, e);
	if (r < 0)
		return r;
	c->spec.root_dir = ROOT_FOLDER;
	return c->files ? detach(c->files, &c->spec.package_mount, e) : 0;
}

static int make_network(struct confine *c, struct err *e)
{
	size_t len;
	int r;

	if (!c->network || c->policy.head.net_mode != POLICY_NET_EGRESS)
		return 0;
	r = net_claim(&c->policy, &c->net, e);
	c->spec.net_index = c->net.index;
	if (r == 0 && c->policy.head.dns) {
		r = store_read_file("/etc/resolv.conf", RESOLV_CONF_MAX, &c->resolv_conf, &len, e);
		c->spec.resolv_conf = c->resolv_conf;
	}
	return r;
}

/* Makes a pipe; its ends are kept in the spec, as those of a task's pipes are. */
static int make_pipe(int *r, int *w, struct err *e)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	*r = fds[0];
	*w = fds[1];
	return 0;
}

/* Makes a run record: the sandbox's init waits for it before anything runs, and writes the end into
 * it. */
static int make_record(struct confine *c, struct err *e)
{
	const uint32_t magic = RUN_RECORD_MAGIC;

	c->spec.record_fd = memfd_create("record", MFD_CLOEXEC);
	if (c->spec.record_fd < 0 ||
	    pwrite(c->spec.record_fd, &magic, sizeof(magic), 0) != (ssize_t)sizeof(magic))
		return err_set(e, ERR_SYSTEM, errno, "the build's record");
	return 0;
}

/* A build holds a lock on its cgroup as long as it lives. */
static int lock_cgroup(const struct cgroup *cgroup)
{
	return flock(cgroup->host->v2 ? cgroup->unified : cgroup->dirs[CGROUP_MEMORY],
		     LOCK_EX | LOCK_NB);
}

static void remove_left(const char *name, void *arg)
{
	const struct cgroup_host *host = arg;
	struct cgroup cgroup;
	struct err ignored = {0};

	if (cgroup_open(host, name, &cgroup, &ignored) < 0)
		return;
	/* A group in which a process is still ending cannot be removed; a later build removes
	 * it. */
	if (lock_cgroup(&cgroup) < 0 || cgroup_remove(&cgroup) < 0)
		cgroup_close(&cgroup);
}

static int make_cgroup(struct confine *c, struct err *e)
{
	struct limits limits = c->policy.head.limits;
	int r = cgroup_host_open(CGROUP, &c->host, e), folder;

	if (r < 0)
		return r;
	/* Locked so that no other build removes the new cgroup before it is locked itself. */
	folder = c->host.v2 ? c->host.unified : c->host.dirs[CGROUP_MEMORY];
	if (flock(folder, LOCK_EX) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cgroup: lock %s", CGROUP);
	(void)cgroup_each(&c->host, remove_left, &c->host);
	limits.pids++; /* the sandbox's init */
	r = cgroup_create(&c->host, c->spec.id, &limits, &c->cgroup, e);
	c->spec.cgroup = &c->cgroup;
	if (r == 0 && lock_cgroup(&c->cgroup) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "cgroup: lock %s", c->spec.id);
	(void)flock(folder, LOCK_UN);
	return r;
}

static int start(struct confine *c, pid_t *ret_pid, int *ret_pidfd, struct err *e)
{
	struct sandbox_spec *s = &c->spec;
	int r;

	util_new_id(s->id);
	s->owner = SANDBOX_OWNER_BUILD;
	s->with_maker = true;
	s->policy = &c->policy;
	s->image = &c->image;
	s->limits = c->policy.head.limits;
	s->envp = c->env;
	r = make_mounts(c, e);
	if (r < 0)
		return r;
	r = make_cgroup(c, e);
	if (r < 0)
		return r;
	r = make_network(c, e);
	if (r < 0)
		return r;
	r = make_record(c, e);
	if (r < 0)
		return r;
	r = make_pipe(&s->out_r, &s->out_w, e);
	if (r < 0)
		return r;
	r = make_pipe(&s->err_r, &s->err_w, e);
	if (r < 0)
		return r;
	r = make_pipe(&s->started_r, &s->started_w, e);
	if (r < 0)
		return r;
	r = make_pipe(&c->report_r, &s->report_w, e);
	if (r < 0)
		return r;
	r = sandbox_spawn(s, ret_pid, ret_pidfd, e);
	if (r < 0)
		return r;
	/* Only the sandbox keeps the ends that it writes to, so that they close when it ends. */
	close_parts(s);
	return 0;
}

/* Copies what is in a pipe to our own stdout or stderr; closes the pipe at its end. */
static int pass_on(struct confine *c, int *from, int to, struct err *e)
{
	char buf[16384];
	ssize_t n = read(*from, buf, sizeof(buf));
	int r;

	if (n <= 0) {
		util_close_fd(from);
		return 0;
	}
	c->bytes += (uint64_t)n;
	if (c->bytes > c->policy.head.limits.log_bytes)
		return err_set(e, ERR_LIMIT, 0,
			       "the command says more than policy " POLICY
			       " lets it (limits.log: %llu bytes)",
			       (unsigned long long)c->policy.head.limits.log_bytes);
	r = util_write_all(to, buf, (size_t)n);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "what the command says") : 0;
}

/* Blocks the signals that would end this program, until there is a sandbox that pass_output() can
 * end. Signals that our caller ignores stay ignored. */
static int hold_signals(struct confine *c, struct err *e)
{
	static const int ends[] = {SIGTERM, SIGHUP, SIGINT, SIGQUIT};
	struct sigaction now;
	sigset_t held;

	(void)sigemptyset(&held);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (sigaction(ends[i], NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			(void)sigaddset(&held, ends[i]);
	if (sigprocmask(SIG_BLOCK, &held, NULL) < 0)
		return err_set(e, ERR_SYSTEM, errno, "signals");
	c->signals = signalfd(-1, &held, SFD_CLOEXEC);
	return c->signals < 0 ? err_set(e, ERR_SYSTEM, errno, "signals") : 0;
}

static int take_signal(struct confine *c, struct err *e)
{
	struct signalfd_siginfo info;

	if (read(c->signals, &info, sizeof(info)) != (ssize_t)sizeof(info))
		return err_set(e, ERR_SYSTEM, errno, "signals");
	c->signal = (int)info.ssi_signo;
	return err_set(e, ERR_SYSTEM, 0, "the command is stopped: signal %d (%s)", c->signal,
		       strsignal(c->signal));
}

/* Ends by the signal that has ended the build, so that our parent sees it. PID 1 cannot be ended by
 * a signal and returns a status. */
static int end_by_signal(int sig)
{
	sigset_t one;

	(void)signal(sig, SIG_DFL);
	(void)raise(sig);
	(void)sigemptyset(&one);
	(void)sigaddset(&one, sig);
	(void)sigprocmask(SIG_UNBLOCK, &one, NULL);
	return 128 + sig;
}

/* Copies output until the sandbox has ended and everything is read, or until the command's time is
 * up. A command may close its stdout and stderr and go on. */
static int pass_output(struct confine *c, int init, struct err *e)
{
	const uint64_t end = util_monotonic_ns() + c->policy.head.limits.timeout_s * SEC;
	int *const from[] = {&c->spec.out_r, &c->spec.err_r};
	int r = 0;

	while (r == 0 && (c->spec.out_r >= 0 || c->spec.err_r >= 0 || init >= 0)) {
		struct pollfd fds[] = {{.fd = c->spec.out_r, .events = POLLIN},
				       {.fd = c->spec.err_r, .events = POLLIN},
				       {.fd = init, .events = POLLIN},
				       {.fd = c->signals, .events = POLLIN}};
		uint64_t now = util_monotonic_ns();

		if (now >= end)
			return err_set(e, ERR_LIMIT, 0,
				       "the command takes longer than policy " POLICY
				       " lets it (limits.timeout: %u s)",
				       c->policy.head.limits.timeout_s);
		/* At most a minute at a time, because the whole time need not fit into an int. */
		(void)poll(fds, ARRAY_SIZE(fds),
			   end - now > 60 * SEC ? 60000 : (int)((end - now) / MSEC) + 1);
		if (fds[3].revents)
			return take_signal(c, e);
		if (fds[2].revents)
			init = -1;
		for (size_t i = 0; i < ARRAY_SIZE(from) && r == 0; i++)
			if (fds[i].revents)
				r = pass_on(c, from[i], STDOUT_FILENO + (int)i, e);
	}
	return r;
}

/* Reads the report of the sandbox's init, which says why the command was not executed. */
static int check_report(struct confine *c, struct err *e)
{
	struct report report;

	while (util_read_all(c->report_r, &report, sizeof(report)) == 0) {
		report.text[sizeof(report.text) - 1] = '\0';
		if (report.type == REPORT_FAILED)
			return err_set(e, ERR_SYSTEM, 0, "%s", report.text);
	}
	return 0;
}

/* For a command that has failed, a file system counts as full some blocks before the last one,
 * because the file system sets blocks aside for its own lists while it is written to. */
static bool is_full(const struct statvfs *st, bool failed)
{
	return (st->f_files && !st->f_favail) || st->f_bavail < FULL_BLOCKS ||
	       (failed && st->f_bavail < st->f_blocks / 64);
}

/* When a folder in which the command may write is full, not everything was written, whatever the
 * command's status is. */
static int check_room(const struct confine *c, bool failed, struct err *e)
{
	for (size_t i = 0; i < c->spec.n_writable; i++) {
		const char *path = c->spec.writable[i].path;
		_cleanup_fd_ int fd = -1;
		struct statvfs st;
		int r = open_folder(c, path, &fd, e);

		if (r < 0)
			return r;
		if (fstatvfs(fd, &st) < 0)
			return err_set(e, ERR_SYSTEM, errno, "/%s of the image", path);
		if (is_full(&st, failed))
			return err_set(e, ERR_LIMIT, 0,
				       "the command has filled /%s, %llu MiB for %llu files: "
				       "policy " POLICY " lets it have %llu MiB (limits.disk), if "
				       "the disk has as many; raise it in the policy's file, and "
				       "install that",
				       path, (unsigned long long)(st.f_blocks * st.f_frsize >> 20),
				       (unsigned long long)st.f_files,
				       (unsigned long long)(c->policy.head.limits.disk >> 20));
	}
	return 0;
}

/* The command's exit status, as a shell returns it. */
static int take_status(struct confine *c, int *ret, struct err *e)
{
	struct cgroup_usage usage;
	struct exit_record record;

	if (!exit_record_read(c->spec.record_fd, &record) || record.wait_status < 0)
		return err_set(e, ERR_INTERNAL, 0, "the sandbox's init has died");
	*ret = WIFSIGNALED(record.wait_status) ? 128 + WTERMSIG(record.wait_status)
					       : WEXITSTATUS(record.wait_status);
	if (*ret && cgroup_usage(&c->cgroup, &usage) == 0 && usage.oom_kills > 0)
		return err_set(e, ERR_LIMIT, 0,
			       "the command needs more memory than policy " POLICY
			       " lets it (limits.memory: %llu MiB)",
			       (unsigned long long)(c->policy.head.limits.memory >> 20));
	return 0;
}

static int run(struct confine *c, int *ret_status, struct err *e)
{
	_cleanup_fd_ int pidfd = -1;
	pid_t pid = -1;
	int r;

	if (c->index) {
		r = pip_index_start(&c->pip_index, e);
		if (r < 0)
			return r;
		c->spec.input_fd = c->pip_index.sock;
	}
	r = hold_signals(c, e);
	if (r < 0)
		return r;
	r = start(c, &pid, &pidfd, e);
	if (r < 0)
		return r;
	/* From now on the sandbox alone has it. */
	util_close_fd(&c->pip_index.sock);
	r = pass_output(c, pidfd, e);
	if (r < 0)
		(void)kill(pid, SIGKILL); /* our child, not reaped yet: the pid is right */
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r == 0)
		r = check_report(c, e);
	if (r == 0)
		r = take_status(c, ret_status, e);
	return r < 0 ? r : check_room(c, *ret_status != 0, e);
}

/*
 * The sandbox's init writes its title over this program's arguments, so that the command can read
 * no path of the host there. So the arguments that are still needed are copied before.
 */
static int copy_words(struct confine *c, char **words, int n, struct err *e)
{
	/* kept as long as the program runs */
	const char **argv = calloc((size_t)n + 1, sizeof(*argv));
	char *ends[] = {program_invocation_name, words[n - 1]};
	bool all = argv != NULL;

	for (int i = 0; all && i < n; i++)
		all = (argv[i] = strdup(words[i])) != NULL;
	for (size_t i = 0; all && i < c->n_env; i++)
		all = (c->env[i] = strdup(c->env[i])) != NULL;
	for (size_t i = 0; all && i < c->spec.n_writable; i++)
		all = (c->spec.writable[i].path = strdup(c->spec.writable[i].path)) != NULL;
	if (!all)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", words[0]);
	c->spec.argv = argv;
	title_init(ARRAY_SIZE(ends), ends, environ);
	return 0;
}

static int bad_usage(void)
{
	return ctl_usage("image",
			 "confine [--writable FOLDER]... [--network] [--index] [--files DIR] "
			 "[--env NAME=TEXT]... ROOTFS COMMAND [ARG...]");
}

/* Prints how many bytes a build may write. */
static int print_disk(struct ctl *ctl)
{
	struct policy policy = {0};
	struct err e = {0};

	if (policy_find(ctl, POLICY, &policy, &e) < 0)
		return ctl_fail(&e);
	printf("%llu\n", (unsigned long long)policy.head.limits.disk);
	policy_clear(&policy);
	return ctl_flush(0);
}

static bool add_writable(struct sandbox_spec *s, const char *path)
{
	if (s->n_writable == ARRAY_SIZE(s->writable))
		return false;
	s->writable[s->n_writable++] =
		(struct sandbox_folder){.path = path + strspn(path, "/"), .mount = -1};
	return true;
}

int image_confine(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"writable", required_argument, NULL, 'w'}, {"network", no_argument, NULL, 'n'},
		{"index", no_argument, NULL, 'i'},	    {"files", required_argument, NULL, 'f'},
		{"env", required_argument, NULL, 'e'},	    {"owner", no_argument, NULL, 'o'},
		{"disk", no_argument, NULL, 'd'},	    {0}};
	struct confine c = {
		.net = NET_CLAIM_INIT,
		.pip_index = PIP_INDEX_INIT,
		.report_r = -1,
		.signals = -1,
		.env = {"PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/work", "LANG=C.UTF-8"},
		.n_env = 3,
		.host = {.unified = -1, .dirs = {-1, -1, -1, -1}},
		.spec = {.action = SANDBOX_COLD,
			 .rootfs_mount = -1,
			 .dev_mount = -1,
			 .package_mount = -1,
			 .proc_mount = -1,
			 .heap_mount = -1,
			 .job_fd = -1,
			 .input_fd = -1,
			 .serve_fd = -1,
			 .out_r = -1,
			 .out_w = -1,
			 .err_r = -1,
			 .err_w = -1,
			 .started_r = -1,
			 .started_w = -1,
			 .report_w = -1,
			 .record_fd = -1,
			 .keeper_sock = -1,
			 .status_r = -1,
			 .checkpoint_fd = -1,
			 .netns_fd = -1}};
	struct err e = {0};
	int option, r, status = 0;

	/* "+": options behind the first word are the command's. */
	while ((option = getopt_long(argc, argv, "+", options, NULL)) != -1) {
		if (option == 'o') {
			printf("%u\n", sandbox_host_id(SANDBOX_OWNER_BUILD, SANDBOX_UID));
			return ctl_flush(0);
		}
		if (option == 'd')
			return print_disk(ctl);
		if (option == 'w' && add_writable(&c.spec, optarg))
			continue;
		if (option == 'n')
			c.network = true;
		else if (option == 'i')
			c.index = true;
		else if (option == 'f')
			c.files = optarg;
		else if (option == 'e' && c.n_env < ENV_MAX)
			c.env[c.n_env++] = optarg;
		else
			return bad_usage();
	}
	if (argc - optind < 2)
		return bad_usage();
	c.rootfs = argv[optind];
	r = store_need_root("image confine", &e);
	if (r == 0)
		r = copy_words(&c, argv + optind + 1, argc - optind - 1, &e);
	if (r == 0)
		r = policy_find(ctl, POLICY, &c.policy, &e);
	if (r == 0)
		r = run(&c, &status, &e);
	confine_clear(&c);
	if (r < 0)
		status = ctl_fail(&e);
	return c.signal ? end_by_signal(c.signal) : status;
}
