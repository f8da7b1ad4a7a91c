// SPDX-License-Identifier: Apache-2.0
/*
 * PID 1 of a sandbox once its payload runs. Its uid is no other process's; it has CAP_KILL over
 * its own pid namespace, and the descriptors of enum init_fd. It reaps, tells how the payload
 * ended, and keeps the pipes alive until everything in them has been read.
 */
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <time.h>

#include "sandbox/sandbox.h"

#define RECORD_TRIES 20000 /* about 3 s */
#define RECORD_YIELDS 100

static volatile sig_atomic_t payload_pid;

/* The monitor asks the payload to end by sending TERM to the init, which passes it on. */
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
	/* A change of uid resets this flag, so it is set afterwards: the payload must not read
	 * the init's memory through /proc/1. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: init's dumpable");
	return 0;
}

int init_drop(uid_t id, struct err *e)
{
	int r = init_become(id, e);

	return r < 0 ? r : caps_keep_only_kill(e);
}

/*
 * No code of the user's may run in a sandbox that no monitor could find again. The monitor writes
 * the record a moment after the clone. When it does not come, the monitor died in between, and
 * the next one starts the task anew.
 */
int init_wait_recorded(int record_fd, struct err *e)
{
	struct timespec nap = {0, 100000};
	uint32_t magic = 0;

	for (int i = 0; i < RECORD_TRIES; i++) {
		if (pread(record_fd, &magic, sizeof(magic), 0) == (ssize_t)sizeof(magic) &&
		    magic == RUN_RECORD_MAGIC)
			return 0;
		/* Most waits for the record are shorter than a nap. */
		if (i < RECORD_YIELDS)
			(void)sched_yield();
		else
			(void)nanosleep(&nap, NULL);
	}
	return err_set(e, ERR_INTERNAL, 0, "sandbox: no monitor has recorded it");
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
 * The logger reads the pipes. When a pipe has no other reader, the logger is being replaced, and
 * what is in the pipe would be lost with the last read end, which is the init's. No event says
 * that a pipe has become empty, so the init looks: often at first, then seldom.
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

/* A clone's parent is its template's keeper, and the kernel tells the keeper how it ended.
 * Orphans of the clone become children of this init; SIGCHLD is ignored, so that they need not be
 * reaped. */
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
	/* Kill everything that is left in this pid namespace, then reap it. If this process were
	 * not the PID 1 of a sandbox, kill(-1) would reach everything on the machine. */
	if (getpid() == 1)
		(void)kill(-1, SIGKILL);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	/* A keeper that hung was killed, and then the status never comes: the monitor itself has
	 * written the exit record, which must not be overwritten. */
	if ((known || !exit_record_read(INIT_FD_RECORD, &there)) &&
	    pwrite(INIT_FD_RECORD, &record, sizeof(record), EXIT_RECORD_OFFSET) < 0)
		/* the disk is full: the exit status below still tells the monitor */
		record.wait_status = -1;
	wait_until_drained();
	_exit(record.wait_status < 0);
}
