// SPDX-License-Identifier: Apache-2.0
/*
 * Runs image-build so that nothing of it is left, however it or this program ends. It has a mount
 * namespace of its own, with which its mounts end; a process group of its own, so that one signal
 * reaches all of it; and the lock of the temporary folder, so that nobody takes the folder for a
 * dead build's as long as any process of it lives.
 */
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "supervisor/ctl/image.h"

#define KILL_AFTER_S 10
#define POLL_MS 200

volatile sig_atomic_t image_signal;

static const int caught[] = {SIGINT, SIGTERM, SIGHUP};

static void on_signal(int sig)
{
	image_signal = sig;
}

void image_catch_signals(void)
{
	/* No SA_RESTART, because a signal has to end waiting for a lock or a child. */
	struct sigaction sa = {.sa_handler = on_signal};

	for (size_t i = 0; i < ARRAY_SIZE(caught); i++) {
		struct sigaction was;

		/* Under nohup(1) a hang-up stays ignored. */
		if (caught[i] != SIGHUP || sigaction(SIGHUP, NULL, &was) < 0 ||
		    was.sa_handler != SIG_IGN)
			(void)sigaction(caught[i], &sa, NULL);
	}
}

static void fail_child(const char *what)
{
	dprintf(STDERR_FILENO, "sandboxctl: image-build: %s: %s\n", what, strerror(errno));
	_exit(125);
}

static void run_child(const char *script, const char *src, const char *out, const char *runtime_dir,
		      int lock_fd, const sigset_t *mask)
{
	char *argv[] = {(char *)script, (char *)src, (char *)out, NULL};
	int null = open("/dev/null", O_RDONLY);
	char self[PATH_MAX];
	ssize_t n;

	for (size_t i = 0; i < ARRAY_SIZE(caught); i++)
		(void)signal(caught[i], SIG_DFL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (setpgid(0, 0) < 0)
		fail_child("setpgid");
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		fail_child("a mount namespace");
	/* The script's output is for people; our stdout is for our own result. */
	if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(STDERR_FILENO, STDOUT_FILENO) < 0)
		fail_child("stdio");
	if (fcntl(lock_fd, F_SETFD, 0) < 0)
		fail_child("the folder's lock");
	/* The script runs what comes out of the image by this program. */
	n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	self[n > 0 ? n : 0] = '\0';
	if (n <= 0 || setenv("SANDBOXCTL_FULL", self, 1) < 0 ||
	    setenv("RUNTIME_DIR", runtime_dir, 1) < 0)
		fail_child("the environment");
	(void)execv(script, argv);
	fail_child(script);
}

/* Waits for the child. A signal to us ends the child's process group, gently at first. */
static int wait_child(pid_t pid)
{
	_cleanup_fd_ int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	uint64_t kill_at = 0;
	int status;

	for (;;) {
		struct pollfd poll_fd = {.fd = pidfd, .events = POLLIN};
		pid_t got = waitpid(pid, &status, WNOHANG);

		if (got == pid)
			return status;
		if (got < 0 && errno != EINTR)
			return -errno;
		if (image_signal && !kill_at) {
			kill_at = util_monotonic_ns() + KILL_AFTER_S * SEC;
			(void)kill(-pid, SIGTERM);
		} else if (image_signal && util_monotonic_ns() > kill_at) {
			(void)kill(-pid, SIGKILL);
		}
		/* The time is bounded because a signal may come right before the call. */
		(void)poll(&poll_fd, 1, POLL_MS);
	}
}

int image_run_script(const char *src, const char *out, const char *runtime_dir, int lock_fd,
		     struct err *e)
{
	sigset_t all, mask;
	char script[PATH_MAX];
	pid_t pid;
	int status;

	(void)snprintf(script, sizeof(script), "%s/image-build", store_libexec_dir());
	(void)fflush(NULL);
	/* Blocked during the fork, so that a signal reaches our handler or the child's default
	 * action. */
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_SETMASK, &all, &mask);
	pid = fork();
	if (pid == 0)
		run_child(script, src, out, runtime_dir, lock_fd, &mask);
	if (pid > 0)
		/* by both processes, so that it is done whichever runs first */
		(void)setpgid(pid, pid);
	(void)sigprocmask(SIG_SETMASK, &mask, NULL);
	if (pid < 0)
		return err_set(e, ERR_SYSTEM, errno, "fork");
	status = wait_child(pid);
	/* What the script left in the background works on a folder that is about to be removed. */
	(void)kill(-pid, SIGKILL);
	if (image_signal)
		return err_set(e, ERR_SYSTEM, EINTR, "building the image");
	if (status < 0)
		return err_set(e, ERR_SYSTEM, -status, "waiting for %s", script);
	if (WIFSIGNALED(status))
		return err_set(e, ERR_SYSTEM, 0, "%s died of signal %d", script, WTERMSIG(status));
	if (WEXITSTATUS(status) != 0)
		return err_set(e, ERR_SYSTEM, 0, "%s failed with status %d; what it said is above",
			       script, WEXITSTATUS(status));
	return 0;
}
