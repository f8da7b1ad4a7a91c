// SPDX-License-Identifier: Apache-2.0
/*
 * PID 1 of a sandbox after its payload runs: no uid of anybody, CAP_KILL over its
 * own pid namespace, the fds of enum init_fd and no other. It reaps, tells how the
 * payload ended, and keeps the pipes alive until everything in them has been read.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox/sandbox.h"

static volatile sig_atomic_t payload_pid;

/* The monitor asks for a polite end by TERM to the init. */
static void forward_term(int sig)
{
	if (payload_pid > 0)
		(void)kill((pid_t)payload_pid, sig);
}

int init_become(uid_t id, struct err *e)
{
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: init's user");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: init's no_new_privs");
	/* After a change of uid: not readable through /proc/1 by the payload. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: init's dumpable");
	return 0;
}

int init_drop(uid_t id, struct err *e)
{
	int r = init_become(id, e);

	return r < 0 ? r : caps_keep_only_kill(e);
}

int init_go(const char *what, struct err *e)
{
	int r = 0;

	if (util_write_all(INIT_FD_GO, "g", 1) < 0)
		r = err_set(e, ERR_SYSTEM, EPIPE, "%s: the process is gone", what);
	(void)close(INIT_FD_GO);
	return r;
}

static bool disk_full(int fd)
{
	struct statfs s;

	if (fstatfs(fd, &s) < 0)
		return false;
	return s.f_bavail == 0 || (s.f_files > 0 && s.f_ffree == 0);
}

/*
 * The logger reads the pipes; no reader means that it is being replaced, and what
 * is in them would be lost with the last read end, which is ours. Nothing can wake
 * us when a pipe becomes empty, so: soon at first, then seldom.
 */
static void wait_until_drained(void)
{
	struct timespec nap = {0, 20000};
	int out, err;

	for (;;) {
		if (ioctl(INIT_FD_OUT, FIONREAD, &out) < 0 ||
		    ioctl(INIT_FD_ERR, FIONREAD, &err) < 0)
			return;
		if (out == 0 && err == 0)
			return;
		(void)nanosleep(&nap, NULL);
		if (nap.tv_nsec < 20000000)
			nap.tv_nsec *= 2;
	}
}

/* A clone's parent is its template's keeper, whom the kernel tells. Orphans become ours,
 * and go by themselves. */
static bool wait_clone(int *status)
{
	(void)signal(SIGCHLD, SIG_IGN);
	payload_pid = PAYLOAD_PID;
	return util_read_all(INIT_FD_STATUS, status, sizeof(*status)) == 0;
}

static bool wait_payload(pid_t payload, int *status)
{
	pid_t pid;

	payload_pid = payload;
	do {
		pid = waitpid(-1, status, 0);
	} while (pid != payload && (pid > 0 || errno == EINTR));
	return pid == payload;
}

bool exit_record_read(int record_fd, struct exit_record *ret)
{
	return pread(record_fd, ret, sizeof(*ret), EXIT_RECORD_OFFSET) == (ssize_t)sizeof(*ret) &&
	       ret->magic == EXIT_RECORD_MAGIC;
}

void init_supervise(pid_t payload)
{
	struct sigaction term = {.sa_handler = forward_term, .sa_flags = SA_RESTART};
	struct exit_record record = {.magic = EXIT_RECORD_MAGIC}, there;
	int status;
	bool known;

	(void)sigaction(SIGTERM, &term, NULL);
	(void)close(INIT_FD_REPORT);
	known = payload < 0 ? wait_clone(&status) : wait_payload(payload, &status);
	payload_pid = 0;
	record.wait_status = known ? status : -1;
	record.finished_ns = util_realtime_ns();
	record.disk_full = disk_full(INIT_FD_WORK) || disk_full(INIT_FD_TMP);
	/* Everything that is left in this pid namespace, then its zombies. Anywhere else
	 * than as PID 1 of a sandbox this would be everything on the machine. */
	if (getpid() == 1)
		(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	/* A keeper that hung was killed: the monitor has seen the end that it did not. */
	if ((known || !exit_record_read(INIT_FD_RECORD, &there)) &&
	    pwrite(INIT_FD_RECORD, &record, sizeof(record), EXIT_RECORD_OFFSET) < 0)
		record.wait_status = -1; /* disk full: the exit status below still tells */
	wait_until_drained();
	_exit(record.wait_status < 0);
}
