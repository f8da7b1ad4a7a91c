// SPDX-License-Identifier: Apache-2.0
/* criu is started early, and loads while the sandbox is made. */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "sandbox/checkpoint_internal.h"
#include "sandbox/criu.h"

/* Higher than any pid that a payload has; criu's helpers get the pids after it. */
#define CRIU_PID 1000
/* A restore takes milliseconds; one that takes seconds has a criu that hangs. */
#define RESTORE_TIMEOUT_S 5

/* The host's user id of the process that is dumped or restored; criu runs as the same user. */
static uid_t checkpoint_user(const struct sandbox_spec *spec)
{
	return sandbox_host_id(spec->action == SANDBOX_DUMP ? spec->owner : spec->checkpoint_owner,
			       SANDBOX_UID);
}

static void __attribute__((noreturn))
criu_child(const struct sandbox_spec *spec, int sock, int log, int go_r)
{
	static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
					   /* Criu looks for its plugins in this folder, which is
					    * root's and has none; otherwise it would look in the
					    * image's /usr/lib/criu. */
					   "CRIU_LIBS_DIR=/run/criu",
					   /* criu looks here for its cache, criu.kdat
					    * (mounts.c). */
					   "XDG_RUNTIME_DIR=/run/criu", NULL};
	/* Comparing the sizes of mapped files is enough: the image is read-only and named by its
	 * digest. */
	const char *const argv[] = {"criu",
				    "--no-default-config",
				    "--unprivileged",
				    "--file-validation",
				    "filesize",
				    "-W",
				    "/run/criu",
				    "swrk",
				    "3",
				    NULL};
	const int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	/* In the order of enum criu_fd. */
	const int fds[] = {null,
			   log,
			   log,
			   sock,
			   go_r,
			   spec->out_w,
			   spec->err_w,
			   spec->started_w,
			   spec->checkpoint_fd};
	struct limits limits = spec->limits;
	int high[ARRAY_SIZE(fds)];
	sigset_t none;

	_Static_assert(ARRAY_SIZE(fds) == CRIU_FD_N, "enum criu_fd");

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		high[i] = fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
		if (dup2(high[i], (int)i) < 0)
			_exit(126);
	(void)close_range(ARRAY_SIZE(fds), ~0U, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	/* The limit under which the checkpoint was made; the task's own limit comes when it is
	 * confined. */
	limits.nofile = spec->policy->head.limits_max.nofile;
	if (criu_become(checkpoint_user(spec), &limits, NULL) < 0)
		_exit(126);
	(void)util_exec(spec->criu_path, argv, envp);
	_exit(127);
}

/*
 * Asks for criu's version, with keep_open. The request is sent at once, and criu answers it when it
 * reads its socket, which it does after all loading. The bytes, as in rpc.proto: field 1, type =
 * VERSION (10); field 4, keep_open.
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
	const uid_t id = checkpoint_user(spec);
	_cleanup_fd_ int theirs = -1, go_r = -1;
	int sk[2], go[2], r;
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: socket");
	run->sock = sk[0];
	theirs = sk[1];
	if (pipe2(go, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: pipe");
	go_r = go[0];
	run->go_w = go[1];
	/* criu opens the pipes a second time, by its own descriptors' numbers, so they must be its
	 * user's. */
	if (fchown(go_r, id, id) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: pipes");
	r = checkpoint_give_pipes(spec, id, id, e);
	if (r < 0)
		return r;
	run->log = memfd_create("criu", MFD_CLOEXEC);
	if (run->log < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: log");
	/* A criu that hangs must not make the task hang. */
	if (setsockopt(run->sock, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "checkpoint: socket");
	pid = ns_clone_pid(CRIU_PID);
	if (pid == 0)
		criu_child(spec, theirs, run->log, go_r);
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
