// SPDX-License-Identifier: Apache-2.0
/* sandboxd: options, folders, the control socket, then the monitor. */
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include "lib/msg.h"
#include "lib/title.h"
#include "supervisor/monitor/monitor.h"

#define LISTEN_BACKLOG 512
#define MAX_RUNNING_MAX 10000
#define HTTP_RATE_MAX 1000000
#define NOFILE_MIN 128

static void usage(FILE *f)
{
	(void)fputs(
		"usage: sandboxd [OPTION]...\n"
		"The supervisor of sandboxctl's tasks. Runs in the foreground, as root.\n\n"
		"  --state DIR    images, policies, checkpoints, logs (/var/lib/sandboxd)\n"
		"  --run DIR      control socket and run records (/run/sandboxd)\n"
		"  --cgroup NAME  root cgroup of the tasks (sandboxd)\n"
		"  --criu PATH    criu to use (" SANDBOXD_PREFIX
		"/lib/sandboxd/criu/sbin/criu, else /usr/sbin/criu)\n"
		"  --http ADDR:PORT  where the HTTP server listens (127.0.0.1:8080); none: "
		"nowhere.\n"
		"                 Port 0: any; RUN/http tells which\n"
		"  --http-rate N  requests of a project, a second (20000)\n"
		"  --max-running N  tasks at a time; the others wait for their turn (64)\n"
		"  --no-network   refuse policies that want a network\n"
		"  --detach       go to the background when ready; messages to RUN/sandboxd.log\n"
		"  --help, --version\n\n"
		"SIGTERM ends the supervisor; tasks go on, and the next start adopts them.\n",
		f);
}

static int parse_count(const char *option, const char *text, unsigned max, unsigned *ret)
{
	unsigned long n;
	char *end;

	errno = 0;
	n = strtoul(text, &end, 10);
	if (errno || *end || text[0] < '1' || text[0] > '9' || n > max) {
		(void)fprintf(stderr, "sandboxd: %s: a number from 1 to %u\n", option, max);
		return -EINVAL;
	}
	*ret = (unsigned)n;
	return 0;
}

enum {
	O_STATE = 256,
	O_RUN,
	O_CGROUP,
	O_CRIU,
	O_HTTP,
	O_HTTP_RATE,
	O_MAX,
	O_NONET,
	O_DETACH,
	O_HELP,
	O_VERSION
};

static const struct option options[] = {{"state", required_argument, NULL, O_STATE},
					{"run", required_argument, NULL, O_RUN},
					{"cgroup", required_argument, NULL, O_CGROUP},
					{"criu", required_argument, NULL, O_CRIU},
					{"http", required_argument, NULL, O_HTTP},
					{"http-rate", required_argument, NULL, O_HTTP_RATE},
					{"max-running", required_argument, NULL, O_MAX},
					{"no-network", no_argument, NULL, O_NONET},
					{"detach", no_argument, NULL, O_DETACH},
					{"help", no_argument, NULL, O_HELP},
					{"version", no_argument, NULL, O_VERSION},
					{NULL, 0, NULL, 0}};

static int parse_options(int argc, char **argv, struct config *cfg)
{
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (c) {
		case O_STATE:
			cfg->state = optarg;
			break;
		case O_RUN:
			cfg->run = optarg;
			break;
		case O_CGROUP:
			cfg->cgroup = optarg;
			break;
		case O_CRIU:
			cfg->criu = optarg;
			break;
		case O_HTTP:
			cfg->http = optarg;
			break;
		case O_HTTP_RATE:
			if (parse_count("--http-rate", optarg, HTTP_RATE_MAX, &cfg->http_rate) < 0)
				return -EINVAL;
			break;
		case O_MAX:
			if (parse_count("--max-running", optarg, MAX_RUNNING_MAX,
					&cfg->max_running) < 0)
				return -EINVAL;
			break;
		case O_NONET:
			cfg->network = false;
			break;
		case O_DETACH:
			cfg->detach = true;
			break;
		case O_HELP:
			usage(stdout);
			exit(0);
		case O_VERSION:
			puts("sandboxd " SANDBOXD_VERSION);
			exit(0);
		default:
			usage(stderr);
			return -EINVAL;
		}
	}
	if (!*cfg->state || !*cfg->run || (cfg->criu && !*cfg->criu)) {
		(void)fprintf(stderr, "sandboxd: --%s: must not be empty\n",
			      !*cfg->state ? "state"
			      : !*cfg->run ? "run"
					   : "criu");
		return -EINVAL;
	}
	if (optind < argc || !util_is_name(cfg->cgroup)) {
		(void)fprintf(stderr, "sandboxd: %s\n",
			      optind < argc ? "arguments are not expected"
					    : "--cgroup: a name of [a-z0-9._-]");
		return -EINVAL;
	}
	return 0;
}

static int make_folder(const char *path, mode_t mode, struct err *e)
{
	char parent[256];
	char *slash;

	(void)snprintf(parent, sizeof(parent), "%s", path);
	slash = strrchr(parent, '/');
	if (slash && slash != parent) {
		*slash = '\0';
		if (mkdir(parent, 0755) < 0 && errno != EEXIST && errno != ENOENT)
			return err_set(e, ERR_SYSTEM, errno, "%s", parent);
	}
	if (mkdir(path, mode) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	return 0;
}

static int own(const char *dir, const char *name, const char *user, struct err *e)
{
	struct passwd *pw = getpwnam(user);
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
	if (!pw)
		return err_set(e, ERR_SYSTEM, 0, "user %s does not exist: run scripts/setup", user);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	if (chown(path, pw->pw_uid, pw->pw_gid) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	return 0;
}

static int make_folders(const struct config *cfg, struct err *e)
{
	int r = make_folder(cfg->state, 0755, e);

	if (r == 0)
		r = make_folder(cfg->run, 0755, e);
	if (r == 0)
		r = own(cfg->state, "front", "_sandboxd", e);
	if (r == 0)
		r = own(cfg->state, "packages", "_sandboxd", e);
	if (r == 0)
		r = own(cfg->state, "logs", "_sandboxd-log", e);
	return r;
}

/*
 * One daemon a folder: the front of a second one with the same state never gets the store, and
 * whoever asks it waits for ever.
 */
static int lock_folder(const char *option, const char *folder, struct err *e)
{
	char path[512];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/lock", folder);
	fd = util_lock_at(AT_FDCWD, path);
	if (fd == -EAGAIN)
		return err_set(e, ERR_CONFLICT, 0, "another sandboxd runs with %s %s", option,
			       folder);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, -fd, "%s", path);
	return 0; /* kept open until the process ends */
}

static int listen_control(const struct config *cfg, int *ret, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	struct group *gr = getgrnam("sandboxd");
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	mode_t mask;
	int r;

	if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s/control.sock", cfg->run) >=
	    (int)sizeof(addr.sun_path))
		return err_set(e, ERR_USAGE, ENAMETOOLONG, "--run %s", cfg->run);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "control socket");
	(void)unlink(addr.sun_path);
	mask = umask(0177);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	(void)umask(mask);
	if (r < 0 || chown(addr.sun_path, 0, gr ? gr->gr_gid : 0) < 0 ||
	    chmod(addr.sun_path, 0660) < 0 || listen(fd, LISTEN_BACKLOG) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", addr.sun_path);
	*ret = TAKE_FD(fd);
	return 0;
}

static void write_pid(const struct config *cfg)
{
	_cleanup_fd_ int dir = open(cfg->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[16];

	(void)snprintf(text, sizeof(text), "%d\n", (int)getpid());
	if (dir >= 0)
		(void)util_write_file_at(dir, "sandboxd.pid", 0644, text, strlen(text));
}

static void remove_pid(const struct config *cfg)
{
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/sandboxd.pid", cfg->run);
	(void)unlink(path);
}

/*
 * What the kernel counts by user is bounded for all sandboxes of one user by what this process may
 * have when their user namespaces are made (sandbox/userns.c); each payload has limits of its own
 * (sandbox/rlimit.c).
 */
static void widen_limits(void)
{
	static const int by_user[] = {RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK};
	const struct rlimit wide = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit;

	for (size_t i = 0; i < ARRAY_SIZE(by_user); i++) {
		/* Without CAP_SYS_RESOURCE as far as it may: sandboxctl doctor says how far. */
		if (setrlimit(by_user[i], &wide) == 0 || getrlimit(by_user[i], &limit) < 0)
			continue;
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(by_user[i], &limit);
	}
}

static int serve(struct config *cfg)
{
	struct rlimit nofile = {0};
	struct err e = {0};
	int listen_fd = -1, http_fd = -1, r;

	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	widen_limits();
	(void)umask(022);
	r = nofile.rlim_cur >= NOFILE_MIN
		    ? make_folders(cfg, &e)
		    : err_set(&e, ERR_SYSTEM, 0,
			      "the hard limit on open files is %llu, at least %d are needed: "
			      "ulimit -Hn, or LimitNOFILE= in the unit",
			      (unsigned long long)nofile.rlim_cur, NOFILE_MIN);
	if (r == 0 && cfg->programs[0] < 0)
		r = roles_open(cfg, &e);
	if (r == 0)
		r = lock_folder("--run", cfg->run, &e);
	if (r == 0)
		r = lock_folder("--state", cfg->state, &e);
	if (r == 0)
		r = http_listen(cfg, &http_fd, &e);
	if (r == 0)
		r = listen_control(cfg, &listen_fd, &e);
	if (r < 0) {
		msg_init("sandboxd");
		msg_err("%s", e.msg);
		return err_exit_status(e.code);
	}
	write_pid(cfg);
	title_set("monitor");
	r = monitor_main(cfg, listen_fd, http_fd);
	if (r == 0) {
		remove_pid(cfg);
		http_forget(cfg);
		msg_info("stopped");
	}
	return r;
}

/*
 * In the background nobody would start a dead monitor again: this process does, and
 * nothing else. Killing it leaves the monitor as it is.
 */
static void __attribute__((noreturn)) keep(struct config *cfg)
{
	for (unsigned failures = 0;;) {
		struct timespec pause = {failures > 5 ? 5 : 0, 100000000};
		uint64_t t0 = util_monotonic_ns();
		int status;
		pid_t pid = fork();

		if (pid == 0)
			_exit(serve(cfg));
		util_close_fd(&cfg->ready_fd);
		if (pid < 0 || waitpid(pid, &status, 0) != pid)
			_exit(1);
		if (WIFEXITED(status) && (WEXITSTATUS(status) == 0 || failures == 0))
			if (WEXITSTATUS(status) == 0 || util_monotonic_ns() - t0 < 5000000000ULL)
				_exit(WEXITSTATUS(status));
		failures = util_monotonic_ns() - t0 < 5000000000ULL ? failures + 1 : 1;
		if (failures > 2)
			(void)nanosleep(&pause, NULL);
	}
}

/* Returns in the caller's process, when the daemon serves or has failed. */
static int detach(struct config *cfg)
{
	char path[512], text[1024] = "";
	int ready[2], log;
	off_t was;
	char c;

	if ((mkdir(cfg->run, 0755) < 0 && errno != EEXIST) || pipe2(ready, O_CLOEXEC) < 0) {
		(void)fprintf(stderr, "sandboxd: %s: %s\n", cfg->run, strerror(errno));
		return 125;
	}
	(void)snprintf(path, sizeof(path), "%s/sandboxd.log", cfg->run);
	log = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0640);
	if (log < 0) {
		(void)fprintf(stderr, "sandboxd: %s: %s\n", path, strerror(errno));
		return 125;
	}
	was = lseek(log, 0, SEEK_END);
	if (fork() == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)setsid();
		if (chdir("/") < 0)
			_exit(1);
		(void)dup2(null, STDIN_FILENO);
		(void)dup2(log, STDOUT_FILENO);
		(void)dup2(log, STDERR_FILENO);
		(void)close(ready[0]);
		(void)close_range(3, (unsigned)ready[1] - 1, 0);
		(void)close_range((unsigned)ready[1] + 1, ~0U, 0);
		cfg->ready_fd = ready[1];
		/* All monitors that follow have the same. What fails here fails there, in words. */
		if (roles_open(cfg, NULL) < 0)
			cfg->programs[0] = -1;
		keep(cfg);
	}
	(void)close(ready[1]);
	if (read(ready[0], &c, 1) == 1)
		return 0;
	if (lseek(log, was, SEEK_SET) == was && read(log, text, sizeof(text) - 1) > 0)
		(void)fputs(text, stderr);
	(void)fprintf(stderr, "sandboxd: not started; see %s\n", path);
	return 125;
}

static const char *default_criu(void)
{
	static const char own_build[] = SANDBOXD_PREFIX "/lib/sandboxd/criu/sbin/criu";

	return access(own_build, X_OK) == 0 ? own_build : "/usr/sbin/criu";
}

/* In memory of its own, and from the root on: the daemon that is detached works there. */
static const char *absolute(const char *path)
{
	_cleanup_free_ char *here = *path != '/' ? getcwd(NULL, 0) : NULL;
	char *whole = NULL;

	if (*path == '/')
		return strdup(path);
	return here && asprintf(&whole, "%s/%s", here, path) >= 0 ? whole : NULL;
}

int main(int argc, char **argv, char **envp)
{
	struct config cfg = {.state = "/var/lib/sandboxd",
			     .run = "/run/sandboxd",
			     .cgroup = "sandboxd",
			     .http = "127.0.0.1:8080",
			     .network = true,
			     .ready_fd = -1,
			     .programs = {-1, -1}};

	const char **paths[] = {&cfg.state, &cfg.run, &cfg.criu};
	const char **texts[] = {&cfg.cgroup, &cfg.http};

	if (parse_options(argc, argv, &cfg) < 0)
		return 125;
	if (geteuid() != 0) {
		(void)fputs("sandboxd: must be root\n", stderr);
		return 125;
	}
	if (!cfg.criu)
		cfg.criu = default_criu();
	/* Options point into the argv area, which the title is written over. */
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		*texts[i] = strdup(*texts[i] ? *texts[i] : "");
		if (!*texts[i])
			return 125;
	}
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		*paths[i] = absolute(*paths[i]);
		if (!*paths[i]) {
			(void)fputs(
				"sandboxd: the current folder has no path: name absolute ones\n",
				stderr);
			return 125;
		}
	}
	title_init(argc, argv, envp);
	return cfg.detach ? detach(&cfg) : serve(&cfg);
}
