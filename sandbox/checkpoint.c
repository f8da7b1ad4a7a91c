// SPDX-License-Identifier: Apache-2.0
#include "sandbox/checkpoint.h"

#include <criu/criu.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/inject.h"

/* Above any pid of a payload; criu's helpers follow it. */
#define CRIU_PID 1000
/* A restore takes milliseconds; what takes seconds is a criu that hangs. */
#define RESTORE_TIMEOUT_S 5
#define DUMP_TIMEOUT_S 30
#define CRIU_NOFILE 1024
#define WARM_TIMEOUT_MS 120000
#define HEAP_CHECK_MS 100
/* Where criu's end of the socket and the payload's pipes are in criu. */
enum criu_fd { CRIU_FD_SOCK = 3, CRIU_FD_PIPES = 4 };

/*
 * Without CAP_SYS_RESOURCE prlimit(2) on another process wants equal real uids
 * (check_prlimit_permission()), and a dump reads the limits: criu then gets the
 * template's real uid beside its effective root.
 */
static int lend_real_uid(const struct sandbox_spec *spec)
{
	const uid_t id = SANDBOX_ID_BASE + SANDBOX_UID;

	if (spec->action != SANDBOX_DUMP || cap_get_bound(CAP_SYS_RESOURCE) == 1)
		return 0;
	return setresgid(id, 0, 0) < 0 || setresuid(id, 0, 0) < 0 ? -errno : 0;
}

static void __attribute__((noreturn))
criu_child(const struct sandbox_spec *spec, int sock, int go_r)
{
	static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					   /* Root's, empty, and not the image's /usr/lib/criu. */
					   "CRIU_LIBS_DIR=/run/criu", NULL};
	/* Sizes are enough: the image is read-only and named by its digest. */
	const char *const argv[] = {
		"criu", "--no-default-config", "--file-validation", "filesize", "swrk", "3", NULL};
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	const int fds[] = {null, null, null, sock, go_r, spec->out_w, spec->err_w, spec->started_w};
	int high[ARRAY_SIZE(fds)];
	struct rlimit nofile;
	sigset_t none;

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (dup2(high[i], (int)i) < 0)
			_exit(126);
	(void)close_range(ARRAY_SIZE(fds), ~0U, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	/* criu puts its own fds below the soft limit: a high one costs it a large table. */
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0 && nofile.rlim_cur > CRIU_NOFILE) {
		nofile.rlim_cur = CRIU_NOFILE;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	if (lend_real_uid(spec) < 0)
		_exit(126);
	(void)util_exec(spec->criu_path, argv, envp);
	_exit(127);
}

/*
 * A version request with keep_open, sent at once and answered when criu reads its
 * socket, which is after all loading. By hand, because libcriu closes the socket
 * after this request; as in rpc.proto: field 1 type = VERSION (10), field 4 keep_open.
 */
static int send_ping(struct checkpoint_run *run, struct err *e)
{
	static const uint8_t ping[] = {1 << 3, 10, 4 << 3, 1};

	if (send(run->sock, ping, sizeof(ping), MSG_NOSIGNAL) != (ssize_t)sizeof(ping))
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: criu");
	return 0;
}

int checkpoint_launch(const struct sandbox_spec *spec, struct checkpoint_run *run, struct err *e)
{
	const struct timeval timeout = {.tv_sec = spec->action == SANDBOX_DUMP ? DUMP_TIMEOUT_S
									       : RESTORE_TIMEOUT_S};
	_cleanup_fd_ int theirs = -1, go_r = -1;
	int sk[2], go[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: socket");
	run->sock = sk[0];
	theirs = sk[1];
	if (pipe2(go, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: pipe");
	go_r = go[0];
	run->go_w = go[1];
	/* libcriu waits in recv: a criu that hangs must not hang the task. */
	if (setsockopt(run->sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: socket");
	pid = ns_clone_pid(CRIU_PID);
	if (pid == 0)
		criu_child(spec, theirs, go_r);
	if (pid < 0)
		return err_set(e, ERR_SYSTEM, -pid, "checkpoint: start %s", spec->criu_path);
	run->criu = pid;
	return send_ping(run, e);
}

int checkpoint_wait_loaded(struct checkpoint_run *run, struct err *e)
{
	uint8_t pong[256];

	if (run->broken.code)
		return 0;
	if (recv(run->sock, pong, sizeof(pong), 0) <= 0)
		return err_set(e, ERR_SYSTEM, 0, "checkpoint: criu does not start");
	return 0;
}

/* The first error in criu's log; the one about RLIMIT_NOFILE is harmless and always there. */
static void criu_words(char *buf, size_t size)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	char *line, *save = NULL;

	buf[0] = '\0';
	if (util_read_file_at(AT_FDCWD, "/run/criu/log", 1 << 20, &text, &len) < 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *error = strstr(line, "Error (");

		if (!error || strstr(line, "RLIMIT_NOFILE") || strstr(line, "plugin"))
			continue;
		(void)snprintf(buf, size, ": %s", error);
		return;
	}
}

static int criu_failed(struct err *e, const char *what, int r)
{
	char words[256];

	criu_words(words, sizeof(words));
	return err_set(e, ERR_SYSTEM, 0, "checkpoint: criu %s failed (%s)%s", what, strerror(-r),
		       words);
}

/* images and work are resolved by criu as /proc/1/fd/N, this process's. */
static int set_options(int images, int work, struct err *e)
{
	if (criu_init_opts() < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: libcriu");
	/* criu_add_inherit_fd refuses unless the service is a binary; see use_socket. */
	criu_set_service_binary("criu");
	criu_set_images_dir_fd(images);
	criu_set_work_dir_fd(work);
	criu_set_log_level(1);
	criu_set_log_file("log");
	criu_set_manage_cgroups(false);
	criu_set_manage_cgroups_mode(CRIU_CG_MODE_IGNORE);
	criu_set_network_lock(CRIU_NETWORK_LOCK_SKIP);
	return 0;
}

/* Now that inherited fds are in: talk to the criu that waits already. libcriu closes it. */
static void use_socket(struct checkpoint_run *run)
{
	criu_set_service_fd(TAKE_FD(run->sock));
}

static int open_work(struct err *e)
{
	int fd = open("/run/criu", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? err_set(e, ERR_SYSTEM, errno, "checkpoint: /run/criu") : fd;
}

static int inherit_pipes(const struct checkpoint_manifest *m, struct err *e)
{
	char key[PIPE_N][64];

	for (int i = 0; i < PIPE_N; i++) {
		(void)snprintf(key[i], sizeof(key[i]), "pipe:[%llu]",
			       (unsigned long long)m->pipes[i]);
		if (criu_add_inherit_fd(CRIU_FD_PIPES + i, key[i]) < 0)
			return err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: libcriu");
	}
	return 0;
}

/* What criu needed in /run is nobody else's business. Failing leaves root's own files. */
static void tidy_run(void)
{
	static const char *const files[] = {"/run/criu/log", "/run/criu/stats-restore",
					    "/run/criu.kdat", "/run/heap"};

	/* The mappings stay; a restored task's mounts are then those of a cold one. Called a
	 * second time, after a failure, there may be something of the task's by this name. */
	(void)umount2("/run/heap", MNT_DETACH | UMOUNT_NOFOLLOW);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlink(files[i]);
	(void)rmdir("/run/criu");
}

int checkpoint_restore(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t *ret,
		       struct err *e)
{
	static struct checkpoint_manifest m;
	_cleanup_fd_ int work = -1;
	pid_t pid;
	int r;

	if (run->broken.code) {
		*e = run->broken;
		return -EIO;
	}
	r = checkpoint_read(spec->checkpoint_fd, spec->checkpoint_key, &m, e);
	if (r == 0 && !spec->verified)
		r = checkpoint_verify(spec->checkpoint_fd, &m, e);
	if (r < 0)
		return r;
	work = open_work(e);
	if (work < 0)
		return work;
	r = set_options(spec->checkpoint_fd, work, e);
	if (r == 0)
		r = inherit_pipes(&m, e);
	if (r < 0)
		return r;
	use_socket(run);
	pid = criu_restore();
	if (pid < 0)
		return criu_failed(e, "restore", pid);
	/* A template is held instead, and nothing of it runs. */
	r = spec->action == SANDBOX_TEMPLATE ? 0 : inject_userns(spec, pid, run->criu, e);
	if (r == 0 && spec->action != SANDBOX_TEMPLATE)
		r = mounts_proc_readonly(true, e);
	if (r < 0)
		return r;
	tidy_run();
	/* It has answered and is on its way out; user code is not to see it. */
	(void)kill(run->criu, SIGKILL);
	while (waitpid(run->criu, NULL, 0) < 0 && errno == EINTR)
		;
	if (spec->action != SANDBOX_TEMPLATE && util_write_all(run->go_w, "g", 1) < 0)
		return err_set(e, ERR_SYSTEM, EPIPE, "restore: the process is gone");
	if (spec->action != SANDBOX_TEMPLATE)
		util_close_fd(&run->go_w);
	*ret = pid;
	return 0;
}

void checkpoint_abort(struct checkpoint_run *run)
{
	/* From PID 1: everything in this pid namespace but ourselves. Before the pipe's end
	 * is seen by a process that is not confined. */
	if (getpid() == 1)
		(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	util_close_fd(&run->sock);
	util_close_fd(&run->go_w);
	tidy_run();
	(void)mounts_proc_readonly(false, NULL);
}

/* The heap is a file of the host's disk, which no cgroup counts. It holds memory, so that
 * more than the memory limit is no heap. */
static int check_heap(const struct sandbox_spec *spec, struct err *e)
{
	uint64_t max = spec->limits.memory < CHECKPOINT_FILE_BYTES_MAX ? spec->limits.memory
								       : CHECKPOINT_FILE_BYTES_MAX;
	struct stat st;

	if (fstatat(spec->checkpoint_fd, "heap", &st, AT_SYMLINK_NOFOLLOW) < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: heap");
	if ((uint64_t)st.st_blocks * 512 > max)
		return err_set(e, ERR_LIMIT, 0, "warm: the imports wrote too much to /run/heap");
	return 0;
}

/* Its death is watched beside the pipe, which criu and we keep open as well. */
static int wait_parked(const struct sandbox_spec *spec, pid_t payload, struct err *e)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, payload, 0);
	struct pollfd p[] = {{.fd = spec->started_r, .events = POLLIN},
			     {.fd = pidfd, .events = POLLIN}};
	int n = 0, r = 0;
	char c;

	if (pidfd < 0)
		return err_set(e, ERR_SYSTEM, errno, "warm: the interpreter");
	for (int ms = 0; ms < WARM_TIMEOUT_MS && n == 0 && r == 0; ms += HEAP_CHECK_MS) {
		n = poll(p, ARRAY_SIZE(p), HEAP_CHECK_MS);
		r = check_heap(spec, e);
	}
	if (r < 0)
		return r;
	if (n < 1)
		return err_set(e, ERR_SYSTEM, ETIMEDOUT, "warm: the imports did not end");
	if (!(p[0].revents & POLLIN) || read(spec->started_r, &c, 1) != 1 || c != 'P')
		return err_set(e, ERR_INPUT, 0, "warm: the interpreter ended; see its output");
	return 0;
}

/* A checkpoint is one process with one thread: nothing else would be confined. */
static int check_alone(pid_t payload, struct err *e)
{
	char path[64];
	struct dirent *d;
	int n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)payload);
	dir = opendir(path);
	while (dir && (d = readdir(dir)))
		n += d->d_name[0] != '.';
	if (dir)
		(void)closedir(dir);
	if (n != 1)
		return err_set(e, ERR_INPUT, 0, "warm: the imports left %d threads; want one", n);
	n = 0;
	dir = opendir("/proc");
	while (dir && (d = readdir(dir)))
		n += d->d_name[0] >= '1' && d->d_name[0] <= '9';
	if (dir)
		(void)closedir(dir);
	/* The init, the payload, criu. */
	if (n != 3)
		return err_set(e, ERR_INPUT, 0, "warm: the imports left %d processes", n - 3);
	return 0;
}

static int note_pipes(const struct sandbox_spec *spec, pid_t payload, struct checkpoint_manifest *m,
		      struct err *e)
{
	static const int fds[PIPE_N] = {[PIPE_GO] = PAYLOAD_FD_GO,
					[PIPE_OUT] = STDOUT_FILENO,
					[PIPE_ERR] = STDERR_FILENO,
					[PIPE_STARTED] = PAYLOAD_FD_STARTED};
	const int ours[PIPE_N] = {[PIPE_GO] = -1,
				  [PIPE_OUT] = spec->out_w,
				  [PIPE_ERR] = spec->err_w,
				  [PIPE_STARTED] = spec->started_w};
	char path[64], key[64];
	struct stat st, own;

	for (int i = 0; i < PIPE_N; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)payload, fds[i]);
		if (stat(path, &st) < 0 || !S_ISFIFO(st.st_mode) ||
		    (ours[i] >= 0 && (fstat(ours[i], &own) < 0 || own.st_ino != st.st_ino)))
			return err_set(e, ERR_INPUT, 0, "warm: the imports changed fd %d", fds[i]);
		m->pipes[i] = st.st_ino;
		(void)snprintf(key, sizeof(key), "pipe:[%llu]", (unsigned long long)st.st_ino);
		if (criu_add_external(key) < 0)
			return err_set(e, ERR_SYSTEM, ENOMEM, "checkpoint: libcriu");
	}
	return 0;
}

static void describe(const struct sandbox_spec *spec, struct checkpoint_manifest *m)
{
	memcpy(m->key, spec->checkpoint_key, sizeof(m->key));
	memcpy(m->image, spec->image_digest, sizeof(m->image));
	(void)snprintf(m->image_name, sizeof(m->image_name), "%s", spec->image->name);
	(void)snprintf(m->policy_name, sizeof(m->policy_name), "%s", spec->policy->head.name);
	(void)snprintf(m->warm, sizeof(m->warm), "%s", spec->checkpoint_inputs->warm);
	(void)snprintf(m->kernel, sizeof(m->kernel), "%s", spec->checkpoint_inputs->kernel);
	(void)snprintf(m->criu, sizeof(m->criu), "%s", spec->checkpoint_inputs->criu);
	m->created_ns = util_realtime_ns();
}

int checkpoint_dump(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t payload,
		    uint64_t *ret_us, struct err *e)
{
	static struct checkpoint_manifest m;
	_cleanup_fd_ int work = open_work(e);
	uint64_t t0;
	int r;

	if (work < 0)
		return work;
	r = wait_parked(spec, payload, e);
	if (r == 0)
		r = check_alone(payload, e);
	if (r == 0)
		r = set_options(spec->checkpoint_fd, work, e);
	if (r == 0)
		r = note_pipes(spec, payload, &m, e);
	if (r < 0)
		return r;
	criu_set_pid(payload);
	criu_set_timeout(DUMP_TIMEOUT_S);
	use_socket(run);
	t0 = util_monotonic_ns();
	r = criu_dump();
	if (r < 0)
		return criu_failed(e, "dump", r);
	*ret_us = (util_monotonic_ns() - t0) / 1000;
	/* Without it criu leaves the clocks alone: a restored task has the host's
	 * monotonic time, not the dump's in a time namespace (criu/timens.c). */
	if (unlinkat(spec->checkpoint_fd, "timens-0.img", 0) < 0 && errno != ENOENT)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: timens-0.img");
	describe(spec, &m);
	return checkpoint_seal(spec->checkpoint_fd, &m, e);
}
