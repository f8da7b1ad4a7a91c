// SPDX-License-Identifier: Apache-2.0
#include "supervisor/logger/logger.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "lib/msg.h"
#include "lib/role_filter.h"
#include "supervisor/logger/internal.h"

/* The logger makes no process and no socket, and sends no signals; which files it may open is up to
 * its user id. */
/* clang-format off */
static const char *const syscalls[] = {
	"read", "write", "pread64", "pwrite64", "splice", "tee", "sendto", "sendmsg", "recvfrom",
	"recvmsg", "getsockopt", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2",
	"timerfd_create", "timerfd_settime", "openat", "close", "mkdirat", "unlinkat", "fstat",
	"newfstatat", "ftruncate", "fallocate", "lseek", "fcntl", "brk", "mmap", "munmap",
	"mremap", "mprotect", "madvise", "futex", "getrandom", "clock_gettime", "getpid",
	"gettid", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "exit", "exit_group",
	"restart_syscall",
};
/* clang-format on */

/* Followers may take half of the descriptors; the other half is for the tasks' pipes and files. */
static unsigned followers_max(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > 1u << 20)
		return 1u << 19;
	return (unsigned)(limit.rlim_cur / 2);
}

static int logger_run(struct logger *l, struct err *e)
{
	int r;

	l->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (l->null_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "/dev/null");
	if (pipe2(l->copy, O_CLOEXEC | O_NONBLOCK) < 0)
		return err_set(e, ERR_SYSTEM, errno, "pipe");
	r = idtable_init(&l->logs, LOGGER_BUCKETS);
	if (r == 0)
		r = sd_event_new(&l->event);
	if (r >= 0)
		r = links_start(l);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "event loop");
	r = role_filter_load(syscalls, ARRAY_SIZE(syscalls), e);
	if (r < 0)
		return r;
	r = sd_event_loop(l->event);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "event loop") : r;
}

int logger_main(int monitor_sock, int logs_dirfd)
{
	_cleanup_free_ struct logger *l = calloc(1, sizeof(*l));
	struct err e;
	int r;

	msg_init("logger");
	if (!l) {
		msg_err("out of memory");
		return 1;
	}
	/* A write beyond RLIMIT_FSIZE is to fail, as one to a full disk does. */
	(void)signal(SIGXFSZ, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);
	l->monitor_sock = monitor_sock;
	l->front_sock = -1;
	l->logs_dirfd = logs_dirfd;
	l->null_fd = l->copy[0] = l->copy[1] = -1;
	l->max_followers = followers_max();
	r = logger_run(l, &e);
	if (r < 0)
		msg_err("%s", e.msg);
	links_stop(l);
	tasks_clear(l);
	l->event = sd_event_unref(l->event);
	for (int i = 0; i < 2; i++)
		util_close_fd(&l->copy[i]);
	util_close_fd(&l->null_fd);
	return r < 0 ? 1 : r;
}
