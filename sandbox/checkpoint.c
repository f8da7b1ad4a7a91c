// SPDX-License-Identifier: Apache-2.0
#include <ctype.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "lib/dir.h"
#include "sandbox/checkpoint_internal.h"
#include "sandbox/criu.h"
#include "sandbox/fork/inject.h"

#define WARM_TIMEOUT_MS 120000
#define HEAP_CHECK_MS 100

/* Finds the first error in criu's log, except those that it always writes. The text is shown to
 * people, and may be made of what a checkpoint holds, so it is made printable. */
static void criu_words(const struct checkpoint_run *run, char *buf, size_t size)
{
	static const char *const usual[] = {"RLIMIT_NOFILE", "plugin", "oom_score_adj", "stats"};
	char text[16384], *line, *save = NULL;
	ssize_t n = pread(run->log, text, sizeof(text) - 1, 0);

	buf[0] = '\0';
	text[n < 0 ? 0 : n] = '\0';
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *error = strstr(line, "Error (");

		for (size_t i = 0; error && i < ARRAY_SIZE(usual); i++)
			if (strstr(error, usual[i]))
				error = NULL;
		if (!error)
			continue;
		(void)snprintf(buf, size, ": %s", error);
		for (char *p = buf; *p; p++)
			*p = (char)(isprint((unsigned char)*p) ? *p : '?');
		return;
	}
}

/* r: the error with which criu_ask failed. */
static int criu_failed(const struct checkpoint_run *run, const char *what, int r,
		       const struct err *why, struct err *e)
{
	char words[256];

	criu_words(run, words, sizeof(words));
	(void)err_set(e, ERR_SYSTEM, 0, "checkpoint: %s: %.200s%s", what, why->msg, words);
	return r;
}

/* criu is not needed any longer. Whatever it is about to do has to be over before what it has done
 * is examined. */
static void end_criu(struct checkpoint_run *run)
{
	if (run->criu > 0) {
		(void)kill(run->criu, SIGKILL); /* our child, not reaped yet: the pid is right */
		while (waitpid(run->criu, NULL, 0) < 0 && errno == EINTR)
			;
	}
	run->criu = -1;
	util_close_fd(&run->sock);
}

/* Removes what criu needed in /run, for the payload has no business with it. When that fails, only
 * files that are root's stay. */
static void tidy_run(void)
{
	static const char *const files[] = {"/run/criu/criu.kdat", "/run/heap"};

	/* The process's mappings of the heap stay; its mounts are now those of a task that was
	 * started cold. When this is called a second time, after a failure, a file of the task's
	 * may have this name. */
	(void)umount2("/run/heap", MNT_DETACH | UMOUNT_NOFOLLOW);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		(void)unlink(files[i]);
	(void)rmdir("/run/criu");
}

int checkpoint_give_pipes(const struct sandbox_spec *spec, uid_t output, uid_t others,
			  struct err *e)
{
	if (fchown(spec->out_w, output, output) < 0 || fchown(spec->err_w, output, output) < 0 ||
	    fchown(spec->started_w, others, others) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: pipes");
	return 0;
}

/* Gives the pipes the owners that they have after a cold start: the payload may open its output
 * once more, and no other pipe. */
static int take_back_pipes(const struct sandbox_spec *spec, const struct checkpoint_run *run,
			   struct err *e)
{
	if (run->go_w >= 0 && fchown(run->go_w, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: pipes");
	return checkpoint_give_pipes(spec, sandbox_host_id(spec->owner, SANDBOX_UID), 0, e);
}

/* The inode numbers of the pipes that the payload must have as its descriptors 1 to 4. */
static int pipe_inodes(const struct sandbox_spec *spec, const struct checkpoint_run *run,
		       struct inject_pipes *ret, struct err *e)
{
	const int fds[INJECT_PIPES_N] = {spec->out_w, spec->err_w, run->go_w, spec->started_w};
	struct stat st;

	for (int i = 0; i < INJECT_PIPES_N; i++) {
		if (fstat(fds[i], &st) < 0)
			return err_set(e, ERR_SYSTEM, errno, "checkpoint: pipes");
		ret->ino[i] = st.st_ino;
	}
	return 0;
}

static int restore_process(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t *ret,
			   struct err *e)
{
	static struct checkpoint_manifest m;
	const struct criu_request req = {.images_fd = CRIU_FD_IMAGES,
					 .pipes = m.pipes,
					 .n_pipes = PIPE_N,
					 .pipes_fd = CRIU_FD_PIPES};
	struct err why = {0};
	int r = checkpoint_read(spec->checkpoint_fd, spec->checkpoint_key, &m, e);

	if (r == 0 && !spec->verified)
		r = checkpoint_verify(spec->checkpoint_fd, &m, e);
	if (r < 0)
		return r;
	if (checkpoint_check_images(spec->checkpoint_fd, e) < 0)
		return -EBADMSG;
	r = criu_ask(run->sock, &req, ret, &why);
	if (r < 0)
		return criu_failed(run, "criu does not restore it", r, &why, e);
	if (*ret == PAYLOAD_PID)
		return 0;
	(void)err_set(e, ERR_INPUT, 0, "checkpoint: criu has restored process %d", (int)*ret);
	return -EBADMSG;
}

int checkpoint_restore(const struct sandbox_spec *spec, struct checkpoint_run *run,
		       struct inject_template *keep, pid_t *ret, struct err *e)
{
	struct inject_pipes pipes;
	struct tracee t;
	int r;

	if (run->broken.code) {
		*e = run->broken;
		return -EIO;
	}
	r = restore_process(spec, run, ret, e);
	if (r < 0)
		return r;
	/* Seized before criu, which holds the process stopped, has ended. */
	r = inject_seize(&t, *ret, keep != NULL, e);
	end_criu(run);
	/* -EPROTO: the process stopped in another way than one that was dumped in its read. Nothing
	 * here brings that about, so the checkpoint is wrong. That the process is slow, or has
	 * died, can have other reasons. */
	if (r < 0)
		return r == -EPROTO ? -EBADMSG : r;
	r = take_back_pipes(spec, run, e);
	if (r < 0)
		return r;
	r = pipe_inodes(spec, run, &pipes, e);
	if (r < 0)
		return r;
	/* From here on, what is wrong is the checkpoint's fault. */
	r = inject_look(&t, spec, &pipes, e);
	if (r == 0 && !keep)
		r = inject_confine(&t, spec, run->userns, e);
	if (r < 0)
		return r == -ENOMEM || r == -ESRCH ? r : -EBADMSG;
	/* A process that cannot be a template may be restored all the same, so this is not
	 * -EBADMSG. */
	if (keep)
		r = inject_hold(keep, &t, &pipes, spec, e);
	if (r < 0)
		return r;
	tidy_run();
	/* Until now the group had room for these processes and no other. */
	r = cgroup_write_pids(run->pids_max, spec->limits.pids + (keep ? 2 : 1));
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "restore: limit of processes");
	util_close_fd(&run->pids_max);
	util_close_fd(&run->userns);
	run->held = t;
	return 0;
}

int checkpoint_let_go(const struct checkpoint_run *run, struct err *e)
{
	return run->held.pid ? inject_let_go(&run->held, e) : 0;
}

void checkpoint_abort(const struct sandbox_spec *spec, struct checkpoint_run *run)
{
	/* This process is PID 1: kill(-1) reaches every other process of its pid namespace. It
	 * comes before the pipes are closed, because a process that is not confined must not see an
	 * end of file there and go on. */
	if (getpid() == 1)
		(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, __WALL) > 0 || errno == EINTR)
		;
	run->criu = -1;
	util_close_fd(&run->sock);
	util_close_fd(&run->go_w);
	util_close_fd(&run->userns);
	(void)take_back_pipes(spec, run, NULL);
	tidy_run();
	(void)cgroup_write_pids(run->pids_max, spec->limits.pids + 1);
}

/* The heap is a file on the host's disk, which no cgroup counts. It holds memory, so it may not
 * become larger than the memory limit. */
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

/* Waits for the byte on the started pipe and for the payload's death: the pipe alone would not tell
 * of a death, because criu and the init have it open as well. */
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

static int count_number(int dir, const char *name, void *n, struct err *e)
{
	(void)dir;
	(void)e;
	*(int *)n += name[0] >= '1' && name[0] <= '9';
	return 0;
}

/* The processes or threads that the folder of a procfs names. */
static int count_numbers(const char *path)
{
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int n = 0;

	(void)dir_each(dir, count_number, &n, NULL);
	return n;
}

/* Finds words for what there is beside one process with one thread. */
static int say_beside(pid_t payload, struct err *e)
{
	char path[64];
	int n;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)payload);
	n = count_numbers(path);
	if (n != 1)
		return err_set(e, ERR_INPUT, 0, "warm: the imports left %d threads; want one", n);
	n = count_numbers("/proc");
	if (n != CHECKPOINT_PIDS)
		return err_set(e, ERR_INPUT, 0, "warm: the imports left processes (%d)",
			       n - CHECKPOINT_PIDS);
	return 0;
}

/*
 * Nothing may run beside a dump: another process could write what it likes to the memory that criu
 * reads, and the process would be restored as something that it never was. The payload is stopped
 * and stays so. The limit leaves no room for another process. And the processes are counted: there
 * cannot be fewer than the init, the payload and criu, because the init has not reaped any of them.
 * The cgroup's count includes threads, processes that have left the payload's tree, and anything
 * that /proc could hide. Afterwards there is room for one more, because criu itself makes a child
 * for a moment once it holds the payload.
 */
static int close_room(const struct sandbox_spec *spec, const struct checkpoint_run *run,
		      pid_t payload, struct err *e)
{
	int r = cgroup_write_pids(run->pids_max, CHECKPOINT_PIDS);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "warm: limit of processes");
	r = say_beside(payload, e);
	if (r == 0 && cgroup_pids(spec->cgroup) != CHECKPOINT_PIDS)
		r = err_set(e, ERR_INPUT, 0, "warm: the imports left processes or threads (%llu)",
			    (unsigned long long)cgroup_pids(spec->cgroup) - CHECKPOINT_PIDS);
	if (r == 0 && cgroup_write_pids(run->pids_max, CHECKPOINT_PIDS + 1) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "warm: limit of processes");
	return r;
}

static int note_pipes(const struct sandbox_spec *spec, pid_t payload, struct checkpoint_manifest *m,
		      struct inject_pipes *ret, struct err *e)
{
	static const int fds[PIPE_N] = {[PIPE_GO] = PAYLOAD_FD_GO,
					[PIPE_OUT] = STDOUT_FILENO,
					[PIPE_ERR] = STDERR_FILENO,
					[PIPE_STARTED] = PAYLOAD_FD_STARTED};
	const int ours[PIPE_N] = {[PIPE_GO] = -1,
				  [PIPE_OUT] = spec->out_w,
				  [PIPE_ERR] = spec->err_w,
				  [PIPE_STARTED] = spec->started_w};
	struct stat st, own;
	char path[64];

	for (int i = 0; i < PIPE_N; i++) {
		(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)payload, fds[i]);
		if (stat(path, &st) < 0 || !S_ISFIFO(st.st_mode) ||
		    (ours[i] >= 0 && (fstat(ours[i], &own) < 0 || own.st_ino != st.st_ino)))
			return err_set(e, ERR_INPUT, 0, "warm: the imports changed fd %d", fds[i]);
		m->pipes[i] = st.st_ino;
		ret->ino[fds[i] - 1] = st.st_ino;
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

/* No process can write to the folder any more: it becomes root's, and gets the content that it
 * should have. */
static int finish(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t payload,
		  struct checkpoint_manifest *m, struct err *e)
{
	const int dir = spec->checkpoint_fd;
	int status, r;

	end_criu(run);
	/* criu has killed the payload. */
	while (waitpid(payload, &status, __WALL) == payload && WIFSTOPPED(status))
		;
	if (cgroup_pids(spec->cgroup) != 1)
		return err_set(e, ERR_INPUT, 0, "warm: something else ran beside the dump");
	if (fchown(dir, 0, 0) < 0 || fchmod(dir, 0755) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: folder");
	/* With this file criu would set the restored process's clocks to the dump's time, in a time
	 * namespace (criu/timens.c). */
	if (unlinkat(dir, "timens-0.img", 0) < 0 && errno != ENOENT)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: timens-0.img");
	r = checkpoint_clear_filter(dir, e);
	if (r == 0)
		r = checkpoint_check_images(dir, e);
	if (r < 0)
		return r;
	describe(spec, m);
	return checkpoint_seal(dir, m, e);
}

int checkpoint_dump(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t payload,
		    uint64_t *ret_us, struct err *e)
{
	static struct checkpoint_manifest m;
	const struct criu_request req = {.dump = true,
					 .images_fd = CRIU_FD_IMAGES,
					 .pid = payload,
					 .timeout_s = DUMP_TIMEOUT_S,
					 .pipes = m.pipes,
					 .n_pipes = PIPE_N};
	struct inject_pipes pipes;
	struct err why = {0};
	struct tracee t;
	uint64_t t0;
	pid_t none;
	int r = wait_parked(spec, payload, e);

	if (r < 0)
		return r;
	r = inject_attach_parked(&t, payload, e);
	if (r == -ESRCH)
		return err_set(e, ERR_INPUT, 0, "warm: the interpreter ended; see its output");
	if (r < 0)
		return r;
	r = close_room(spec, run, payload, e);
	if (r < 0)
		return r;
	r = note_pipes(spec, payload, &m, &pipes, e);
	if (r < 0)
		return r;
	r = inject_look_parked(&t, spec->owner, &pipes, e);
	if (r < 0)
		return r;
	r = inject_leave_stopped(&t, run->criu, e);
	if (r < 0)
		return r;
	t0 = util_monotonic_ns();
	r = criu_ask(run->sock, &req, &none, &why);
	if (r < 0)
		return criu_failed(run, "criu does not dump it", r, &why, e);
	*ret_us = (util_monotonic_ns() - t0) / 1000;
	return finish(spec, run, payload, &m, e);
}
