// SPDX-License-Identifier: Apache-2.0
/* A role's first steps in its process: its descriptors, its user, no privilege, and then its
 * program. */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/monitor/roles.h"
#include "wire/role_program.h"

const struct role_info role_table[R_N] = {
	[R_FRONT] = {"front", "_sandboxd", ROLE_FRONT},
	[R_LOGGER] = {"logger", "_sandboxd-log", ROLE_LOGGER},
};

_Static_assert(FRONT_FD_N <= ROLE_FDS_MAX && LOGGER_FD_N <= ROLE_FDS_MAX, "all fds of a role");

static int open_program(const char *dir, const char *folder, const char *name)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s/sandboxd-%s", dir, folder, name) >=
	    (int)sizeof(path))
		return -1;
	return open(path, O_PATH | O_CLOEXEC);
}

/*
 * The programs of the roles are found beside this one, wherever it was installed to: PREFIX/sbin
 * and PREFIX/libexec/sandboxd, or a build folder. /proc/self/exe says where, which no caller can
 * change.
 */
int roles_open(struct config *cfg, struct err *e)
{
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return err_set(e, ERR_SYSTEM, errno, "/proc/self/exe");
	self[n] = '\0';
	*strrchr(self, '/') = '\0';
	for (int i = 0; i < R_N; i++) {
		const char *name = role_table[i].name;

		cfg->programs[i] = open_program(self, "/../libexec/sandboxd", name);
		if (cfg->programs[i] < 0)
			cfg->programs[i] = open_program(self, "", name);
		if (cfg->programs[i] < 0)
			return err_set(
				e, ERR_SYSTEM, errno,
				"sandboxd-%s is neither in %s nor in %s/../libexec/sandboxd: "
				"install all of sandboxd (make install)",
				name, self, self);
	}
	return 0;
}

int role_confine(const char *user, struct err *e)
{
	struct rlimit nofile;
	struct passwd *pw = getpwnam(user);

	if (!pw)
		return err_set(e, ERR_SYSTEM, 0, "user %s does not exist: run scripts/setup", user);
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	if (setgroups(0, NULL) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "become %s", user);
	/* The change to a uid that is not root has cleared the other capability sets. No capability
	 * comes back with the exec, because the program has no file capabilities (prctl(2)). */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, ERR_SYSTEM, errno, "confine %s", user);
	return 0;
}

int role_keep_fds(const int *fds, int n, int program)
{
	int high[ROLE_FDS_MAX];

	program = fcntl(program, F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < n; i++)
		high[i] = fds[i] < 0 ? -1 : fcntl(fds[i], F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < n; i++) {
		if (high[i] >= 0)
			(void)dup2(high[i], ROLE_FD_FIRST + i);
		else
			(void)close(ROLE_FD_FIRST + i);
	}
	if (close_range(ROLE_FD_FIRST + (unsigned)n, ~0U, CLOSE_RANGE_CLOEXEC) < 0)
		_exit(1);
	return program;
}

void role_exec(struct monitor *m, enum role_id id, int sock, int failed)
{
	const int front[FRONT_FD_N] = {[FRONT_FD_MONITOR] = sock,
				       [FRONT_FD_LISTEN] = m->listen_fd,
				       [FRONT_FD_STATE] = m->state_fd,
				       [FRONT_FD_OWN] = m->front_fd,
				       [FRONT_FD_PACKAGES] = m->packages_fd,
				       [FRONT_FD_DATA] = m->data_fd,
				       [FRONT_FD_HTTP] = m->http_fd,
				       [FRONT_FD_DASHBOARD] = m->dashboard_fd,
				       [FRONT_FD_EDGE] = m->edge_fd,
				       [FRONT_FD_API] = m->api_fd};
	const int logger[LOGGER_FD_N] = {[LOGGER_FD_MONITOR] = sock, [LOGGER_FD_LOGS] = m->logs_fd};
	const bool is_front = id == R_FRONT;
	char title[32], running[16], rate[16];
	static char version[] = SANDBOXD_VERSION;
	char *argv[2 + ROLE_ARGS_MAX + 1] = {title, version};
	struct err e = {0};
	sigset_t none;
	int program;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	msg_init(role_table[id].name);
	(void)snprintf(title, sizeof(title), "sandboxd: %s", role_table[id].name);
	(void)snprintf(running, sizeof(running), "%u", m->cfg->max_running);
	(void)snprintf(rate, sizeof(rate), "%u", m->cfg->http_rate);
	if (is_front) {
		argv[2] = running;
		argv[3] = rate;
	}
	/*
	 * A socket belongs to the network of the process that made it, and tells whoever has it of
	 * that network's interfaces (netdevice(7)). The front hands sockets into sandboxes, so its own
	 * network is an empty one. What it listens on was made here.
	 */
	if (is_front && unshare(CLONE_NEWNET) < 0)
		(void)err_set(&e, ERR_SYSTEM, errno, "a network namespace for the front");
	failed = failed < 0 ? -1 : fcntl(failed, F_DUPFD_CLOEXEC, 100);
	program = role_keep_fds(is_front ? front : logger, is_front ? FRONT_FD_N : LOGGER_FD_N,
				m->cfg->programs[id]);
	if (!e.code && role_confine(role_table[id].user, &e) == 0) {
		(void)syscall(SYS_execveat, program, "", argv, environ, AT_EMPTY_PATH);
		(void)err_set(&e, ERR_SYSTEM, errno, "execute sandboxd-%s", role_table[id].name);
	}
	if (util_write_all(failed, &e, sizeof(e)) < 0)
		msg_err("%s", e.msg);
	_exit(1);
}
