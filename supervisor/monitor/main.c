// SPDX-License-Identifier: Apache-2.0
/* sandboxd: options, folders, the control socket, then the monitor. */
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <limits.h>
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
#define HTTP_BACKLOG 512
#define MAX_RUNNING_MAX 10000
#define HTTP_RATE_MAX 1000000
#define NOFILE_MIN 128
/* A host's name has 253 bytes, and those of worker and project stand before the domain's. */
#define DOMAIN_MAX 120

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
		"  --edge-http ADDR:PORT  where HTTP workers are served (" EDGE_HTTP "); none:\n"
		"                 no edge. RUN/edge-http tells where\n"
		"  --edge-https ADDR:PORT  the same by TLS (none); needs --certificates\n"
		"  --certificates DIR  a folder of root's: HOST.pem, certificates and key, read "
		"at\n"
		"                 each handshake\n"
		"  --domain NAME  workers answer at WORKER.PROJECT.NAME (localhost)\n"
		"  --api-name NAME  at this host the edge serves the API and the dashboard, by "
		"TLS\n"
		"                 too (none)\n"
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

/* Labels of [a-z0-9-], with dots between them. */
static bool is_domain(const char *text)
{
	size_t label = 0;

	if (strlen(text) > DOMAIN_MAX)
		return false;
	for (const char *p = text; *p; p++) {
		if (*p == '.' && (!label || p[-1] == '-'))
			return false;
		label = *p == '.' ? 0 : label + 1;
		if (label > 63 || !strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", *p) ||
		    (label == 1 && *p == '-'))
			return false;
	}
	return label > 0;
}

enum {
	O_STATE = 256,
	O_RUN,
	O_CGROUP,
	O_CRIU,
	O_HTTP,
	O_HTTP_RATE,
	O_EDGE_HTTP,
	O_EDGE_HTTPS,
	O_CERTIFICATES,
	O_DOMAIN,
	O_API_NAME,
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
					{"edge-http", required_argument, NULL, O_EDGE_HTTP},
					{"edge-https", required_argument, NULL, O_EDGE_HTTPS},
					{"certificates", required_argument, NULL, O_CERTIFICATES},
					{"domain", required_argument, NULL, O_DOMAIN},
					{"api-name", required_argument, NULL, O_API_NAME},
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
		case O_EDGE_HTTP:
			cfg->edge_http = optarg;
			break;
		case O_EDGE_HTTPS:
			cfg->edge_https = optarg;
			break;
		case O_CERTIFICATES:
			cfg->certificates = optarg;
			break;
		case O_DOMAIN:
			cfg->domain = optarg;
			break;
		case O_API_NAME:
			cfg->api_name = optarg;
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
	if (!is_domain(cfg->domain)) {
		(void)fprintf(stderr, "sandboxd: --domain: a host's name in lower case, such as "
				      "workers.example.com\n");
		return -EINVAL;
	}
	if (!is_domain(cfg->api_name)) {
		(void)fprintf(stderr, "sandboxd: --api-name: a host's name in lower case, such as "
				      "sandboxd.example.com, or none\n");
		return -EINVAL;
	}
	if (strcmp(cfg->edge_https, "none") != 0 && !cfg->certificates) {
		(void)fprintf(stderr,
			      "sandboxd: --edge-https: needs --certificates DIR, where "
			      "%s.pem is\n",
			      cfg->domain);
		return -EINVAL;
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

/* A folder of the state's that is a role's own. */
static int make_own_folder(const char *state, const char *name, const char *user, struct err *e)
{
	struct passwd *pw = getpwnam(user);
	char path[512];

	(void)snprintf(path, sizeof(path), "%s/%s", state, name);
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
	static const struct {
		const char *name, *user;
	} own[] = {{"front", "_sandboxd"},
		   {"packages", "_sandboxd"},
		   {"data", "_sandboxd"},
		   {"logs", "_sandboxd-log"}};
	int r = make_folder(cfg->state, 0755, e);

	if (r < 0)
		return r;
	r = make_folder(cfg->run, 0755, e);
	for (size_t i = 0; i < ARRAY_SIZE(own) && r == 0; i++)
		r = make_own_folder(cfg->state, own[i].name, own[i].user, e);
	return r;
}

/*
 * Only one daemon may run with a folder. The front of a second one with the same state would never
 * get the store, and its clients would wait without end.
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
 * Removes this process's limits of what the kernel counts by user. They become the limits of a user
 * namespace when it is made (sandbox/userns.c), for all sandboxes of one user; each payload has
 * limits of its own (sandbox/rlimit.c).
 */
static void widen_limits(void)
{
	static const int by_user[] = {RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK};
	const struct rlimit wide = {RLIM_INFINITY, RLIM_INFINITY};
	struct rlimit limit;

	for (size_t i = 0; i < ARRAY_SIZE(by_user); i++) {
		/* Without CAP_SYS_RESOURCE only up to the hard limit; sandboxctl doctor says how
		 * far that is. */
		if (setrlimit(by_user[i], &wide) == 0 || getrlimit(by_user[i], &limit) < 0)
			continue;
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(by_user[i], &limit);
	}
}

/* Everything that a daemon has before its monitor runs. What is opened here stays open. */
static int prepare(struct config *cfg, int *listen_fd, int *http_fd, struct edge_sockets *edge,
		   struct err *e)
{
	const struct listen_place http = {
		.name = "http", .address = cfg->http, .port = 8080, .backlog = HTTP_BACKLOG};
	struct rlimit nofile = {0};
	int r;

	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0) {
		nofile.rlim_cur = nofile.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	if (nofile.rlim_cur < NOFILE_MIN)
		return err_set(e, ERR_SYSTEM, 0,
			       "the hard limit on open files is %llu, at least %d are needed: "
			       "ulimit -Hn, or LimitNOFILE= in the unit",
			       (unsigned long long)nofile.rlim_cur, NOFILE_MIN);
	widen_limits();
	(void)umask(022);
	r = make_folders(cfg, e);
	if (r < 0)
		return r;
	if (cfg->programs[0] < 0) {
		r = roles_open(cfg, e);
		if (r < 0)
			return r;
	}
	r = lock_folder("--run", cfg->run, e);
	if (r < 0)
		return r;
	r = lock_folder("--state", cfg->state, e);
	if (r < 0)
		return r;
	r = listen_open(cfg, &http, http_fd, e);
	if (r < 0)
		return r;
	r = edge_listen(cfg, edge, e);
	if (r < 0)
		return r;
	return listen_control(cfg, listen_fd, e);
}

static int serve(struct config *cfg)
{
	struct edge_sockets edge = {-1, -1, -1, -1};
	int listen_fd = -1, http_fd = -1, r;
	struct err e = {0};

	r = prepare(cfg, &listen_fd, &http_fd, &edge, &e);
	if (r < 0) {
		msg_init("sandboxd");
		msg_err("%s", e.msg);
		return err_exit_status(e.code);
	}
	write_pid(cfg);
	title_set("monitor");
	r = monitor_main(cfg, listen_fd, http_fd, &edge);
	if (r == 0) {
		remove_pid(cfg);
		listen_forget(cfg, "http");
		edge_forget(cfg);
		msg_info("stopped");
	}
	return r;
}

/*
 * A daemon in the background has nobody to start a dead monitor again: this process does that, and
 * nothing else. The monitor goes on when it is killed.
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
			if (WEXITSTATUS(status) == 0 || util_monotonic_ns() - t0 < 5 * SEC)
				_exit(WEXITSTATUS(status));
		failures = util_monotonic_ns() - t0 < 5 * SEC ? failures + 1 : 1;
		if (failures > 2)
			(void)nanosleep(&pause, NULL);
	}
}

/* Puts the daemon into the background. Returns in the caller's process when the daemon serves, or
 * has failed. */
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
		/* All monitors that follow execute the same programs. If this fails, the monitor
		 * opens them itself, and says why it cannot. */
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
	static char own_build[PATH_MAX];

	(void)util_installed("lib/sandboxd/criu/sbin/criu", own_build, sizeof(own_build));
	return access(own_build, X_OK) == 0 ? own_build : "/usr/sbin/criu";
}

/* The path from the root on, for the detached daemon works in /. The memory is its own, because
 * options are overwritten by the title. */
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
			     .edge_https = "none",
			     .domain = "localhost",
			     .api_name = "none",
			     .network = true,
			     .ready_fd = -1,
			     .programs = {-1, -1}};

	const char **paths[] = {&cfg.state, &cfg.run, &cfg.criu, &cfg.certificates};
	const char **texts[] = {&cfg.cgroup,	 &cfg.http,   &cfg.edge_http,
				&cfg.edge_https, &cfg.domain, &cfg.api_name};

	if (parse_options(argc, argv, &cfg) < 0)
		return 125;
	if (geteuid() != 0) {
		(void)fputs("sandboxd: must be root\n", stderr);
		return 125;
	}
	if (!cfg.criu)
		cfg.criu = default_criu();
	/* Options point into the memory of argv, over which the title will be written. */
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		if (!*texts[i])
			continue;
		*texts[i] = strdup(*texts[i]);
		if (!*texts[i])
			return 125;
	}
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (!*paths[i])
			continue;
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
