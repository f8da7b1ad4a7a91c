// SPDX-License-Identifier: Apache-2.0
/*
 * The edge: Debian's nginx with its Lua module, which stands between the world's HTTP clients and the
 * instances of workers. It is started here, watched, and started again when it dies.
 *
 * Its listening sockets belong to the monitor and are inherited by each nginx (NGINX=, nginx(8)), so
 * that clients who connect while there is none wait in the kernel's queue. Its configuration is
 * written here, from nothing but the monitor's own options: what others wrote reaches nginx as the
 * front's table (supervisor/edge/control.lua), never as configuration, and no deploy reloads it. A
 * configuration is used only after `nginx -t`, run as nginx itself will be, has taken it.
 *
 * nginx runs as a user of its own without capabilities, under a seccomp filter that lets it make no
 * sockets but unix ones, in a pid namespace of its own: when its first process dies, the kernel ends
 * the others, so that none serves by an old table. In its mount namespace the folder of certificates
 * is shown as its user's. On the host that folder stays root's, and the edge is the only process
 * that is not root's and can read the keys.
 */
#include <fcntl.h>
#include <linux/sched.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/address.h"
#include "lib/msg.h"
#include "lib/role_filter.h"
#include "sandbox/sandbox.h"
#include "supervisor/monitor/edge.h"
#include "supervisor/monitor/roles.h"
#include "wire/role_program.h"

#define NGINX "/usr/sbin/nginx"
#define EDGE_USER "_sandboxd-edge"
/* nginx is told the same number, or it would set its own. */
#define EDGE_BACKLOG 4096
#define FILES_MAX                                                                                  \
	(2 * 65536 + 1024) /* of one process of nginx's, for the connections of edge_config.c */
/* Log files are put aside when they are longer, and looked at so often. One old one is kept. */
#define LOG_BYTES_MAX (64 << 20)
#define LOG_LOOK_US (10 * 1000000ULL)
/* A configuration that nginx does not take is tried again after this time: what it lacks may come. */
#define REFUSED_PAUSE_US (60 * 1000000ULL)
/* How long requests that are under way may take when the daemon ends. */
#define STOP_FOR_NS (2 * SEC)

struct edge {
	struct monitor *m;
	struct edge_sockets sockets;
	struct edge_config config;
	int log_fd; /* STATE/edge */
	int program;
	pid_t pid;
	bool testing; /* pid is that of nginx -t */
	bool tested;  /* nginx has taken the configuration */
	uint64_t started_ns;
	unsigned failures;
	sd_event_source *child, *restart, *look;
};

/*
 * What nginx, its Lua and the C library call. execveat is there because the filter is loaded before
 * nginx is: what it could execute has no more rights than it has itself.
 */
/* clang-format off */
static const char *const syscalls[] = {
	"read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "sendto",
	"sendmsg", "recvfrom", "recvmsg", "sendfile", "accept", "accept4", "socket:unix",
	"socketpair", "connect", "listen", "getsockopt", "setsockopt", "getsockname", "getpeername",
	"shutdown", "ioctl", "fcntl", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_wait",
	"epoll_pwait", "eventfd2", "poll", "ppoll", "select", "pselect6", "open", "openat", "close",
	"stat", "fstat", "lstat", "newfstatat", "statx", "statfs", "fstatfs", "access", "faccessat",
	"faccessat2", "mkdir", "mkdirat", "chmod", "fchmod", "rename", "renameat", "unlink",
	"unlinkat", "ftruncate", "lseek", "fadvise64", "getdents64", "readlink", "readlinkat", "getcwd",
	"umask",
	"brk", "mmap", "munmap", "mprotect", "mremap", "madvise", "futex", "getrandom",
	"clock_gettime", "gettimeofday", "time", "nanosleep", "clock_nanosleep", "setitimer",
	"getpid", "getppid", "gettid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo",
	"rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "rt_sigsuspend", "sigaltstack",
	"restart_syscall", "clone", "wait4", "kill", "tgkill", "prctl", "arch_prctl",
	"set_tid_address", "set_robust_list", "rseq", "sched_yield", "sched_getaffinity",
	"prlimit64", "getrlimit", "setrlimit", "dup", "dup2", "pipe", "pipe2", "execveat", "exit",
	"exit_group",
};
/* clang-format on */

/* --- what there has to be --- */

/* The folder of nginx's Lua. */
static const char *share_folder(char *buf, size_t size)
{
	const char *share = getenv("SANDBOXD_SHARE");

	if (!share || !*share)
		return util_installed("share/sandboxd/edge", buf, size);
	(void)snprintf(buf, size, "%s/edge", share);
	return buf;
}

/* Says what is missing for an edge, or returns NULL. */
static const char *missing(char *buf, size_t size)
{
	static const char *const parts[] = {NGINX, "/usr/lib/nginx/modules/ngx_http_lua_module.so",
					    "/usr/lib/nginx/modules/ndk_http_module.so",
					    "/usr/share/lua/5.1/resty/core.lua"};
	char folder[400];

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (access(parts[i], R_OK) < 0)
			return parts[i];
	(void)snprintf(buf, size, "%s/edge.lua", share_folder(folder, sizeof(folder)));
	if (access(buf, R_OK) < 0)
		return buf;
	return getpwnam(EDGE_USER) ? NULL : "the user " EDGE_USER;
}

/* No link is followed: the folder above it may be another user's. */
static int make_dir(const char *path, uid_t uid, gid_t gid, mode_t mode, struct err *e)
{
	_cleanup_fd_ int fd = -1;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fchown(fd, uid, gid) < 0 || fchmod(fd, mode) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	return 0;
}

/*
 * RUN/edge is the front's. The edge's group may pass through it, and what is made in it is that
 * group's too (the set-group-ID bit, inode(7)), so that the edge can connect to the sockets there.
 * Without an edge it is there all the same, and the front's alone.
 */
static int make_folders(const struct config *cfg, struct err *e)
{
	static const char *const inner[] = {"", "/i", "/v"};
	const struct passwd *pw = getpwnam("_sandboxd");
	uid_t front, edge = 0;
	gid_t group;
	char path[512];
	int r = 0;

	if (!pw)
		return err_set(e, ERR_SYSTEM, 0,
			       "user _sandboxd does not exist: run scripts/setup");
	front = pw->pw_uid;
	group = pw->pw_gid;
	pw = getpwnam(EDGE_USER);
	if (pw) {
		edge = pw->pw_uid;
		group = pw->pw_gid;
	}
	for (size_t i = 0; i < ARRAY_SIZE(inner) && r == 0; i++) {
		(void)snprintf(path, sizeof(path), "%s/edge%s", cfg->run, inner[i]);
		r = make_dir(path, front, group, 02750, e);
	}
	/* What the front puts into STATE/assets the edge reads. */
	(void)snprintf(path, sizeof(path), "%s/assets", cfg->state);
	r = r < 0 ? r : make_dir(path, front, group, 0750, e);
	if (r < 0 || !pw)
		return r;
	(void)snprintf(path, sizeof(path), "%s/edge-tmp", cfg->run);
	r = make_dir(path, edge, group, 0700, e);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/edge-keys", cfg->run);
	r = make_dir(path, 0, group, 0750, e);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "%s/edge", cfg->state);
	return make_dir(path, edge, group, 0700, e);
}

/* A socket in RUN/edge to which this user's processes alone may connect. */
static int listen_local(const struct config *cfg, const char *name, const char *user, int *ret,
			struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	const struct passwd *pw = getpwnam(user);
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	mode_t mask;
	int r;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/edge/%s", cfg->run, name) >=
	    (int)sizeof(addr.sun_path))
		return err_set(e, ERR_USAGE, ENAMETOOLONG, "--run %s", cfg->run);
	if (fd < 0 || !pw)
		return err_set(e, ERR_SYSTEM, errno, "%s", addr.sun_path);
	(void)unlink(addr.sun_path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	(void)umask(mask);
	if (r < 0 || lchown(addr.sun_path, pw->pw_uid, pw->pw_gid) < 0 ||
	    listen(fd, EDGE_BACKLOG) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", addr.sun_path);
	*ret = TAKE_FD(fd);
	return 0;
}

static int check_certificates(const char *dir, struct err *e)
{
	struct stat st;

	if (!dir)
		return 0;
	if (stat(dir, &st) < 0)
		return err_set(e, ERR_USAGE, errno, "--certificates %s", dir);
	if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
		return err_set(e, ERR_USAGE, 0,
			       "--certificates %s: must be a folder of root's that nobody else can "
			       "write: chown root and chmod go-w",
			       dir);
	return 0;
}

/* Beside the addresses, for the front, which tells clients where their workers answer. */
static int tell_domain(const struct config *cfg, struct err *e)
{
	_cleanup_fd_ int dir = open(cfg->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const int r = dir < 0 ? -errno
			      : util_write_file_at(dir, "edge-domain", 0644, cfg->domain,
						   strlen(cfg->domain));

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s/edge-domain", cfg->run) : 0;
}

int edge_listen(const struct config *cfg, struct edge_sockets *ret, struct err *e)
{
	const bool asked = cfg->edge_http || strcmp(cfg->edge_https, "none") != 0;
	const char *address = cfg->edge_http ? cfg->edge_http : EDGE_HTTP;
	struct listen_place at = {
		.name = "edge-http", .address = address, .port = 8000, .backlog = EDGE_BACKLOG};
	const char *part;
	char buf[512];
	int r;

	*ret = (struct edge_sockets){-1, -1, -1, -1};
	r = make_folders(cfg, e);
	if (r == 0)
		r = check_certificates(cfg->certificates, e);
	if (r < 0)
		return r;
	if (strcmp(address, "none") == 0 && strcmp(cfg->edge_https, "none") == 0) {
		edge_forget(cfg);
		return 0;
	}
	part = missing(buf, sizeof(buf));
	if (part) {
		msg_warn("edge: HTTP workers are not served, for there is no %s: run scripts/setup",
			 part);
		edge_forget(cfg);
		return 0;
	}
	r = listen_open(cfg, &at, &ret->http, e);
	if (r < 0 && !asked && e->code == ERR_CONFLICT) {
		msg_warn("edge: HTTP workers are not served: another program listens at " EDGE_HTTP
			 ": give another port by --edge-http, or --edge-http none");
		*e = (struct err){0};
		edge_forget(cfg);
		return 0;
	}
	if (r < 0)
		return r;
	at.name = "edge-https";
	at.address = cfg->edge_https;
	at.port = 8443;
	r = listen_open(cfg, &at, &ret->https, e);
	if (r == 0)
		r = tell_domain(cfg, e);
	/* Where the front says what there is. */
	if (r == 0)
		r = listen_local(cfg, "edge.sock", "_sandboxd", &ret->table, e);
	/* Where nginx brings what is for the API. It is held here, so that clients wait for a front
	 * that is being started again. */
	if (r == 0 && strcmp(cfg->api_name, "none") != 0)
		r = listen_local(cfg, "api.sock", EDGE_USER, &ret->api, e);
	return r;
}

void edge_forget(const struct config *cfg)
{
	listen_forget(cfg, "edge-http");
	listen_forget(cfg, "edge-https");
	listen_forget(cfg, "edge-domain");
}

/* --- its process --- */

/* The folder of certificates as the edge's user's: a mount that is nowhere yet, or -1 without such a
 * folder. It is made here, for in the pid namespace of the child /proc shows other pids. */
static int certificates_mount(const struct edge *edge, int *ret, struct err *e)
{
	const char *dir = edge->m->cfg->certificates;
	const struct passwd *pw = getpwnam(EDGE_USER);
	_cleanup_fd_ int fd = -1;
	int r;

	*ret = -1;
	if (!dir)
		return 0;
	fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || !pw)
		return err_set(e, ERR_SYSTEM, errno, "--certificates %s", dir);
	r = rootfs_detach(fd, dir, ret, e);
	if (r == 0)
		r = idmap_mount_read_only(*ret, pw->pw_uid, dir, e);
	if (r < 0)
		util_close_fd(ret);
	return r;
}

/* In the child: mounts it in this mount namespace alone. */
static int certificates_show(const struct edge *edge, int mount, struct err *e)
{
	char at[512];

	(void)snprintf(at, sizeof(at), "%s/edge-keys", edge->m->cfg->run);
	if (mount >= 0 && move_mount(mount, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return err_set(e, ERR_SYSTEM, errno, "--certificates %s",
			       edge->m->cfg->certificates);
	return 0;
}

/* A connection has two, its client's and the instance's. Where this may not be had, nginx has as many
 * connections as its limit lets it. */
static void widen_files(void)
{
	const struct rlimit wide = {FILES_MAX, FILES_MAX};
	struct rlimit is;

	if (getrlimit(RLIMIT_NOFILE, &is) == 0 && is.rlim_max < FILES_MAX)
		(void)setrlimit(RLIMIT_NOFILE, &wide);
}

static void __attribute__((noreturn)) edge_exec(struct edge *edge, bool test, int certificates)
{
	const int all[] = {edge->sockets.http, edge->sockets.https, edge->sockets.table};
	char name[] = "nginx", c[] = "-c", e_[] = "-e", t[] = "-t", q[] = "-q";
	char *argv[] = {name, c,   edge->config.path, e_, edge->config.error_log, test ? t : NULL,
			q,    NULL};
	char inherited[64] = "NGINX=";
	char *envp[] = {inherited, NULL};
	int fds[ARRAY_SIZE(all)], n = 0, program;
	struct err e = {0};
	sigset_t none;

	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	msg_init("edge");
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		size_t len = strlen(inherited);

		if (all[i] < 0)
			continue;
		(void)snprintf(inherited + len, sizeof(inherited) - len, "%d;", ROLE_FD_FIRST + n);
		fds[n++] = all[i];
	}
	widen_files();
	if (certificates_show(edge, certificates, &e) == 0) {
		program = role_keep_fds(fds, n, edge->program);
		if (role_confine(EDGE_USER, &e) == 0 &&
		    role_filter_load(syscalls, ARRAY_SIZE(syscalls), &e) == 0) {
			(void)syscall(SYS_execveat, program, "", argv, envp, AT_EMPTY_PATH);
			(void)err_set(&e, ERR_SYSTEM, errno, "execute " NGINX);
		}
	}
	msg_err("%s", e.msg);
	_exit(1);
}

static int on_end(sd_event_source *s, const siginfo_t *si, void *arg);
static int on_restart(sd_event_source *s, uint64_t usec, void *arg);

static int edge_spawn(struct edge *edge, bool test, struct err *e)
{
	/* An empty network, too: what is connected to a worker's instance belongs to the network of
	 * who has connected, and would tell the instance of that network's interfaces. */
	struct clone_args args = {.flags = CLONE_NEWPID | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET,
				  .exit_signal = SIGCHLD};
	_cleanup_fd_ int certificates = -1;
	int r = certificates_mount(edge, &certificates, e);
	pid_t pid;

	if (r < 0)
		return r;
	pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
	if (pid == 0)
		edge_exec(edge, test, certificates);
	if (pid < 0)
		return err_set(e, ERR_SYSTEM, errno, "start the edge");
	edge->pid = pid;
	edge->testing = test;
	edge->started_ns = util_monotonic_ns();
	r = sd_event_add_child(edge->m->event, &edge->child, pid, WEXITED, on_end, edge);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "watch the edge") : 0;
}

static void restart_after(struct edge *edge, uint64_t pause_us)
{
	if (sd_event_add_time_relative(edge->m->event, &edge->restart, CLOCK_MONOTONIC, pause_us, 1,
				       on_restart, edge) < 0)
		msg_err("edge: is not started again: no timer");
}

/* As for the roles: at once, and after three quick deaths in a row after a pause. */
static void restart_later(struct edge *edge)
{
	restart_after(edge, edge->failures < 3
				    ? 0
				    : 10000ULL << (edge->failures < 12 ? edge->failures - 3 : 9));
}

static int on_end(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct edge *edge = arg;
	const bool fine = si->si_code == CLD_EXITED && si->si_status == 0;
	const bool quick = util_monotonic_ns() - edge->started_ns < 2 * SEC;

	(void)s;
	edge->pid = 0;
	edge->child = sd_event_source_disable_unref(edge->child);
	if (edge->m->stopping)
		return 0;
	if (edge->testing && fine) {
		edge->tested = true;
		restart_after(edge, 0);
	} else if (edge->testing) {
		msg_err("edge: nginx does not take its configuration (%s), and HTTP workers are "
			"not served",
			edge->config.path);
		restart_after(edge, REFUSED_PAUSE_US);
	} else {
		if (si->si_code == CLD_EXITED)
			msg_warn("edge exited with status %d", si->si_status);
		else
			msg_warn("edge died of signal %d", si->si_status);
		edge->failures = quick ? edge->failures + 1 : 0;
		restart_later(edge);
	}
	return 0;
}

static int on_restart(sd_event_source *s, uint64_t usec, void *arg)
{
	struct edge *edge = arg;
	struct err e = {0};

	(void)s;
	(void)usec;
	edge->restart = sd_event_source_disable_unref(edge->restart);
	if (edge_spawn(edge, !edge->tested, &e) == 0)
		return 0;
	msg_err("%s", e.msg);
	edge->failures++;
	if (edge->pid <= 0)
		restart_later(edge);
	return 0;
}

/* --- its logs --- */

/* The names are fixed, in a folder that only the edge's user can write: a link there is renamed
 * itself, and nothing that it leads to. */
static bool put_aside(int dir, const char *name, const char *old)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > LOG_BYTES_MAX &&
	       renameat(dir, name, dir, old) == 0;
}

static int on_look(sd_event_source *s, uint64_t usec, void *arg)
{
	struct edge *edge = arg;
	const bool access_log = put_aside(edge->log_fd, "access.log", "access.log.1");
	const bool error_log = put_aside(edge->log_fd, "error.log", "error.log.1");

	(void)usec;
	/* nginx opens new ones. */
	if ((access_log || error_log) && edge->pid > 0 && !edge->testing)
		(void)kill(edge->pid, SIGUSR1);
	(void)sd_event_source_set_time_relative(s, LOG_LOOK_US);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

int edge_start(struct monitor *m, const struct edge_sockets *sockets, struct err *e)
{
	static struct edge the_edge;
	struct edge *edge = &the_edge;
	char path[512];
	int r;

	if (sockets->table < 0)
		return 0;
	edge->m = m;
	edge->sockets = *sockets;
	edge->program = open(NGINX, O_PATH | O_CLOEXEC);
	(void)snprintf(path, sizeof(path), "%s/edge", m->cfg->state);
	edge->log_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (edge->program < 0 || edge->log_fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "edge: %s", edge->program < 0 ? NGINX : path);
	r = edge_config_make(m->cfg, sockets, share_folder(path, sizeof(path)), &edge->config, e);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(m->event, &edge->look, CLOCK_MONOTONIC, LOG_LOOK_US,
				       LOG_LOOK_US / 10, on_look, edge);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "edge: timer");
	m->edge = edge;
	return edge_spawn(edge, true, e);
}

/* Requests that are under way have a moment to end, while the other roles still serve. */
void edge_stop(struct monitor *m)
{
	struct edge *edge = m->edge;
	uint64_t till = util_monotonic_ns() + STOP_FOR_NS;

	if (!edge || edge->pid <= 0)
		return;
	edge->child = sd_event_source_disable_unref(edge->child);
	(void)kill(edge->pid, SIGQUIT);
	while (waitpid(edge->pid, NULL, WNOHANG) == 0) {
		if (util_monotonic_ns() > till) {
			(void)kill(edge->pid, SIGKILL);
			(void)waitpid(edge->pid, NULL, 0);
			break;
		}
		(void)usleep(2000);
	}
	edge->pid = 0;
}
