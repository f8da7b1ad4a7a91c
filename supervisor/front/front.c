// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/front.h"

#include <signal.h>
#include <string.h>

#include "lib/msg.h"
#include "lib/role_filter.h"
#include "supervisor/front/api/iron/iron.h"
#include "supervisor/front/api/ops.h"
#include "supervisor/front/run/api_stats.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/http/http.h"
#include "supervisor/front/serve/serve.h"
#include "wire/warm_load.h"

#define RUNNING_MAX 64
#define QUEUED_MAX 20000
#define FINISHED_KEEP 10000
#define PACKAGE_BYTES_MAX (1ULL << 30)
#define PACKAGES_KEEP (4ULL << 30)

/*
 * No exec, no socket but those that it has, no mount, no other user. Files by what the
 * user id may open; children (package.c) run under the same filter.
 */
/* clang-format off */
static const char *const syscalls[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "sendto", "sendmsg", "recvfrom",
	"recvmsg", "accept4", "getsockopt", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "epoll_pwait2", "poll", "ppoll", "timerfd_create", "timerfd_settime",
	"openat", "open", "close", "fcntl", "lseek", "stat", "lstat", "fstat", "newfstatat", "statx",
	"statfs", "fstatfs", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
	"getdents64", "getcwd", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename",
	"renameat", "renameat2", "symlinkat", "chmod", "fchmod", "fchmodat", "fchown", "ftruncate",
	"fallocate", "fsync", "fdatasync", "syncfs", "utimensat", "flock", "umask", "memfd_create",
	"pipe2", "dup", "dup3", "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "futex",
	"getrandom", "clock_gettime", "clock_nanosleep", "nanosleep", "gettimeofday", "time",
	"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "clone", "wait4",
	"waitid", "pidfd_open", "kill", "tgkill", "prctl", "set_robust_list", "rseq", "sched_yield",
	"prlimit64", "exit", "exit_group",
	/* What is in a package, and not beyond it. */
	"openat2",
	/* The HTTP server; a log's follower is a pair of sockets. */
	"setsockopt", "shutdown", "sendfile", "socketpair",
};
/* clang-format on */

static void tick(struct front *f, uint64_t now_ns)
{
	control_tick(f, now_ns);
	flow_tick(f, now_ns);
	if (f->run->retry_ns && now_ns >= f->run->retry_ns)
		commit_now(f);
	else if (f->run->retry_ns)
		turn_tick_at(f, f->run->retry_ns);
}

const struct part *const front_parts[] = {&code_part, &task_part, &schedule_part, NULL};

const struct listener *const front_listeners[] = {
	&queue_listener,   &schedule_listener, &log_keep_listener, &api_stats_listener,
	&metrics_listener, &ops_listener,      &http_listener,	   NULL};

static const struct http_route *const http_tables[] = {http_routes_iron, http_routes_api,
						       http_routes_node};

struct front *front_new(void)
{
	struct {
		struct front f; /* the first, which is freed */
		struct core core;
		struct run run;
		struct serve serve;
		struct api api;
	} *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->f.core = &all->core;
	all->f.run = &all->run;
	all->f.serve = &all->serve;
	all->f.api = &all->api;
	idtable_use(&all->core.projects_by_id, all->core.project_buckets, PROJECT_BUCKETS);
	idtable_use(&all->run.tasks, all->run.task_buckets, TASK_BUCKETS);
	return &all->f;
}

static int front_init(struct front *f, const struct front_config *cfg, struct err *e)
{
	int r;

	f->cfg = *cfg;
	f->listeners = front_listeners;
	f->parts = front_parts;
	/* Nothing to close before link_init. */
	chan_init(&f->run->monitor, -1, true);
	chan_init(&f->run->logger, -1, true);
	f->cfg.running_max = cfg->running_max ? cfg->running_max : RUNNING_MAX;
	f->cfg.queued_max = cfg->queued_max ? cfg->queued_max : QUEUED_MAX;
	f->cfg.finished_keep = cfg->finished_keep ? cfg->finished_keep : FINISHED_KEEP;
	f->cfg.package_bytes_max =
		cfg->package_bytes_max ? cfg->package_bytes_max : PACKAGE_BYTES_MAX;
	f->cfg.packages_keep = cfg->packages_keep ? cfg->packages_keep : PACKAGES_KEEP;
	f->cfg.node_memory = cfg->node_memory ? cfg->node_memory : warm_node_memory();
	f->cfg.node_pids = cfg->node_pids ? cfg->node_pids : util_pids_for_tasks();
	f->started_ns = util_realtime_ns();
	r = store_open(cfg->front_dirfd, &f->store, e);
	if (r < 0)
		return r;
	package_clean(f);
	r = sd_event_new(&f->event);
	if (r >= 0)
		r = turn_init(f, tick);
	if (r >= 0)
		r = commit_init(f);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot make the event loop");
	r = queue_init(f);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot make the queue");
	r = project_load(f, e);
	if (r == 0)
		r = code_load(f, e);
	if (r == 0)
		r = schedule_load(f, e);
	if (r < 0)
		return r;
	/* What had not ended is known before the monitor's first word is read. */
	r = recover_load(f, e);
	if (r == 0)
		r = log_keep_load(f, e);
	if (r < 0)
		return r;
	r = link_init(f);
	if (r >= 0)
		r = control_init(f, ops_handle);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot watch the sockets");
	r = http_init(f, http_tables, ARRAY_SIZE(http_tables), e);
	if (r < 0)
		return r;
	return role_filter_load(syscalls, ARRAY_SIZE(syscalls), e);
}

static void free_task(struct front *f, struct task *t, void *arg)
{
	(void)arg;
	registry_remove(f, t);
}

static void front_free(struct front *f)
{
	template_clear(f);
	turn_clear(f);
	iron_sync_clear(f);
	api_stats_clear(f);
	http_clear(f);
	control_clear(f);
	queue_clear(f);
	registry_each(f, free_task, NULL);
	project_clear(f);
	schedule_clear(f);
	warm_clear(f);
	chan_clear(&f->run->monitor);
	chan_clear(&f->run->logger);
	(void)sd_event_source_disable_unref(f->serve->listen);
	(void)sd_event_source_disable_unref(f->run->committer);
	package_prune_clear(f);
	(void)sd_event_unref(f->event);
	store_free(f->store);
	free(f);
}

int front_main(const struct front_config *cfg)
{
	struct front *f = front_new();
	uint64_t turn_ns = 0;
	struct err e = {0};
	sigset_t set;
	int r;

	msg_init("front");
	if (!f)
		return -ENOMEM;
	/* sd_event_add_child wants it; children are those that unpack and prune packages. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	r = front_init(f, cfg, &e);
	if (r < 0) {
		msg_err("cannot start: %s", e.msg);
	} else {
		while ((r = turn_run(f, &turn_ns)) > 0)
			if (turn_ns)
				metrics_turn(f, turn_ns);
		if (r == 0)
			(void)sd_event_get_exit_code(f->event, &r);
		if (r < 0)
			msg_err("the event loop failed: %s", strerror(-r));
	}
	front_free(f);
	return r;
}
