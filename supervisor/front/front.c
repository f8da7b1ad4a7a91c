// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/front.h"

#include <malloc.h>
#include <signal.h>
#include <string.h>

#include "lib/msg.h"
#include "lib/role_filter.h"
#include "supervisor/front/api/sync.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/background/background.h"
#include "supervisor/front/edge/edge.h"
#include "supervisor/front/run/api_stats.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/service/service.h"
#include "supervisor/front/store/schema.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"
#include "supervisor/front/web/web.h"
#include "wire/role_program.h"
#include "wire/warm_load.h"

#define LONG_BUFFER (128 << 10)
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
	"setsockopt", "shutdown", "sendfile", "socketpair", "getpeername",
	/* The edge, and instances of HTTP workers. */
	"socket:unix", "bind", "listen", "connect",
};
/* clang-format on */

/* What is done at the end of a turn (turn.h): what capabilities do is written with all else. */
static const turn_step_fn front_steps[] = {capability_turn_all, change_commit, NULL};

/*
 * All capabilities, in the order in which they are loaded, are told of events and give up what they
 * have of a project. Each may ask those before it; at a turn's end and when the front ends the order
 * is the opposite one.
 */
const struct capability *const front_capabilities[] = {&link_capability,
						       &edge_capability,
						       &project_capability,
						       &package_capability,
						       &worker_capability,
						       &secret_capability,
						       &task_capability,
						       &queue_capability,
						       &schedule_capability,
						       &log_keep_capability,
						       &warm_capability,
						       &template_capability,
						       &api_stats_capability,
						       &metrics_capability,
						       &control_capability,
						       &sync_capability,
						       &iron_capability,
						       &http_capability,
						       &web_capability,
						       &web_secret_capability,
						       &web_build_capability,
						       &web_request_capability,
						       &web_served_capability,
						       &web_served_build_capability,
						       &web_kv_capability,
						       &web_cron_capability,
						       &web_snapshot_capability,
						       &web_count_capability,
						       &web_tail_capability,
						       &cloudflare_capability,
						       &cloudflare_kv_capability,
						       &cloudflare_secret_capability,
						       &cloudflare_script_capability,
						       &cloudflare_version_capability,
						       &cloudflare_upload_capability,
						       &cloudflare_asset_capability,
						       &cloudflare_settings_capability,
						       &cloudflare_tail_capability,
						       &cloudflare_copy_capability,
						       &service_capability,
						       &service_roll_capability,
						       &service_push_capability,
						       &service_once_capability,
						       &background_capability,
						       NULL};

struct front *front_new(void)
{
	struct {
		struct front f; /* the first, which is freed */
		struct changes changes;
		struct core core;
		struct run run;
		struct serve serve;
		struct api api;
		struct web web;
		struct services services;
		struct backgrounds background;
	} *all = calloc(1, sizeof(*all));

	if (!all)
		return NULL;
	all->f.changes = &all->changes;
	all->f.core = &all->core;
	all->f.run = &all->run;
	all->f.serve = &all->serve;
	all->f.api = &all->api;
	all->f.web = &all->web;
	all->f.services = &all->services;
	all->f.background = &all->background;
	idtable_use(&all->services.channels, all->services.buckets, SERVICE_BUCKETS);
	idtable_use(&all->web.channels, all->web.buckets, WEB_BUCKETS);
	idtable_use(&all->web.rates, all->web.rate_buckets, WEB_RATE_BUCKETS);
	all->web.assets_fd = -1;
	idtable_use(&all->core.projects_by_id, all->core.project_buckets, PROJECT_BUCKETS);
	idtable_use(&all->run.tasks, all->run.task_buckets, TASK_BUCKETS);
	return &all->f;
}

/* A zero stands for the default. */
static void config_fill(struct front_config *cfg)
{
	cfg->running_max = cfg->running_max ? cfg->running_max : RUNNING_MAX;
	cfg->queued_max = cfg->queued_max ? cfg->queued_max : QUEUED_MAX;
	cfg->finished_keep = cfg->finished_keep ? cfg->finished_keep : FINISHED_KEEP;
	cfg->package_bytes_max =
		cfg->package_bytes_max ? cfg->package_bytes_max : PACKAGE_BYTES_MAX;
	cfg->packages_keep = cfg->packages_keep ? cfg->packages_keep : PACKAGES_KEEP;
	cfg->node_memory = cfg->node_memory ? cfg->node_memory : warm_node_memory();
	cfg->node_pids = cfg->node_pids ? cfg->node_pids : util_pids_for_tasks();
}

void front_config_read(struct front_config *ret, int argc, char **argv, char **envp)
{
	unsigned numbers[2];
	int fds[FRONT_FD_N];

	role_begin("front", argc, argv, envp, numbers, 2, fds, FRONT_FD_N);
	ret->running_max = numbers[0];
	ret->http_rate = numbers[1];
	ret->monitor_sock = fds[FRONT_FD_MONITOR];
	ret->listen_fd = fds[FRONT_FD_LISTEN];
	ret->state_dirfd = fds[FRONT_FD_STATE];
	ret->front_dirfd = fds[FRONT_FD_OWN];
	ret->packages_dirfd = fds[FRONT_FD_PACKAGES];
	ret->data_dirfd = fds[FRONT_FD_DATA];
	ret->http_fd = fds[FRONT_FD_HTTP];
	ret->dashboard_dirfd = fds[FRONT_FD_DASHBOARD];
	ret->edge_dirfd = fds[FRONT_FD_EDGE];
	ret->api_fd = fds[FRONT_FD_API];
}

int front_begin(struct front *f, const struct front_config *cfg,
		const struct capability *const *capabilities, struct err *e)
{
	const struct schema *schemas[CAPABILITIES_MAX + 1] = {NULL};
	unsigned n = 0;
	int r;

	f->cfg = *cfg;
	config_fill(&f->cfg);
	f->capabilities = capabilities;
	f->started_ns = util_realtime_ns();
	r = sd_event_new(&f->event);
	if (r >= 0)
		r = turn_init(f, front_steps);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot make the event loop");
	for (const struct capability *const *c = capabilities; *c; c++)
		if ((*c)->schema && n < CAPABILITIES_MAX)
			schemas[n++] = (*c)->schema;
	r = store_open(f->cfg.front_dirfd, schemas, &f->store, e);
	if (r < 0)
		return r;
	r = capability_load_all(f, e);
	return r < 0 ? r : capability_start_all(f, e);
}

void front_end(struct front *f)
{
	change_stop(f);
	if (f->capabilities)
		capability_stop_all(f);
	turn_clear(f);
	if (f->capabilities)
		capability_clear_all(f);
	(void)sd_event_unref(f->event);
	store_free(f->store);
	free(f);
}

int front_main(const struct front_config *cfg, const struct capability *const *capabilities)
{
	struct front *f = front_new();
	uint64_t turn_ns = 0;
	struct err e = {0};
	sigset_t set;
	int r;

	msg_init("front");
	if (!f)
		return -ENOMEM;
	/* Long buffers are mappings of their own, which grow without being copied; by itself glibc has them in the
	 * heap when one was freed. */
	(void)mallopt(M_MMAP_THRESHOLD, LONG_BUFFER);
	/* sd_event_add_child wants it; children are those that unpack and prune packages. */
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	r = front_begin(f, cfg, capabilities, &e);
	if (r == 0)
		r = role_filter_load(syscalls, ARRAY_SIZE(syscalls), &e);
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
	front_end(f);
	return r;
}
