// SPDX-License-Identifier: Apache-2.0
#include <criu/criu.h>
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/checkpoint_internal.h"
#include "sandbox/inject.h"

#define WARM_TIMEOUT_MS 120000
#define HEAP_CHECK_MS 100

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
