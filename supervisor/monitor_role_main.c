// SPDX-License-Identifier: Apache-2.0
/* A role's first steps: its fds, its user, no privilege; then its own loop. */
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "sandbox/title.h"
#include "supervisor/front/front.h"
#include "supervisor/logger/logger.h"
#include "supervisor/monitor_roles.h"
#include "supervisor/msg.h"

const struct role_info role_table[R_N] = {
	[R_FRONT] = {"front", "_sandboxd", ROLE_FRONT},
	[R_LOGGER] = {"logger", "_sandboxd-log", ROLE_LOGGER},
};

static int confine_role(const char *user, struct err *e)
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
	/* A change of uid to non-root has cleared the other capability sets. */
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		return err_set(e, ERR_SYSTEM, errno, "confine %s", user);
	return 0;
}

/* Moves what the role keeps to 3.. in order, and closes all else. */
static void keep_fds(int *fds[], int n)
{
	int high[16];

	for (int i = 0; i < n; i++)
		high[i] = *fds[i] < 0 ? -1 : fcntl(*fds[i], F_DUPFD_CLOEXEC, 100);
	for (int i = 0; i < n; i++) {
		if (high[i] >= 0)
			(void)dup3(high[i], 3 + i, O_CLOEXEC);
		*fds[i] = high[i] >= 0 ? 3 + i : -1;
	}
	for (int i = 0; i < n; i++)
		if (*fds[i] < 0)
			(void)close(3 + i);
	(void)close_range(3 + (unsigned)n, ~0U, 0);
}

void role_main(struct monitor *m, enum role_id id, int sock)
{
	struct err e = {0};
	sigset_t none;
	int r;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	title_set(role_table[id].name);
	msg_init(role_table[id].name);
	if (id == R_FRONT) {
		struct front_config cfg = {.running_max = m->cfg->max_running,
					   .monitor_sock = sock,
					   .listen_fd = m->listen_fd,
					   .state_dirfd = m->state_fd,
					   .front_dirfd = m->front_fd,
					   .packages_dirfd = m->packages_fd,
					   .http_fd = m->http_fd,
					   .http_rate = m->cfg->http_rate,
					   .dashboard_dirfd = m->dashboard_fd};
		int *keep[] = {&cfg.monitor_sock,   &cfg.listen_fd,	 &cfg.state_dirfd,
			       &cfg.front_dirfd,    &cfg.packages_dirfd, &cfg.http_fd,
			       &cfg.dashboard_dirfd};

		keep_fds(keep, ARRAY_SIZE(keep));
		r = confine_role(role_table[id].user, &e);
		if (r == 0)
			r = front_main(&cfg);
	} else {
		int logs = m->logs_fd;
		int *keep[] = {&sock, &logs};

		keep_fds(keep, ARRAY_SIZE(keep));
		r = confine_role(role_table[id].user, &e);
		if (r == 0)
			r = logger_main(sock, logs);
	}
	if (e.code)
		msg_err("%s", e.msg);
	_exit(r == 0 ? 0 : 1);
}
