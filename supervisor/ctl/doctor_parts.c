// SPDX-License-Identifier: Apache-2.0
/* What is installed, and what runs. */
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/dir.h"
#include "lib/policy.h"
#include "sandbox/sandbox.h"
#include "supervisor/ctl/doctor.h"
#include "supervisor/ctl/runtime.h"

#define CRIU_TIMEOUT_MS 20000

/*
 * Runs a program and keeps about the first line of its output. Returns its exit status, or -errno;
 * -ETIMEDOUT: the program did not end, and was killed.
 */
static int run_program(char *const argv[], char *out, size_t size)
{
	uint64_t end = util_monotonic_ns() + CRIU_TIMEOUT_MS * MSEC;
	posix_spawn_file_actions_t actions;
	int pipe_fds[2], status, r;
	struct pollfd pfd;
	size_t n = 0;
	pid_t pid;

	out[0] = '\0';
	if (pipe2(pipe_fds, O_CLOEXEC) < 0)
		return -errno;
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDOUT_FILENO);
	(void)posix_spawn_file_actions_adddup2(&actions, pipe_fds[1], STDERR_FILENO);
	r = -posix_spawn(&pid, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	util_close_fd(&pipe_fds[1]);
	pfd = (struct pollfd){.fd = pipe_fds[0], .events = POLLIN};
	while (r == 0) {
		uint64_t now = util_monotonic_ns();
		char more[512];
		ssize_t got;

		if (now >= end || poll(&pfd, 1, (int)((end - now) / MSEC) + 1) == 0) {
			(void)kill(pid, SIGKILL);
			r = -ETIMEDOUT;
			break;
		}
		got = read(pipe_fds[0], more, sizeof(more));
		if (got <= 0)
			break;
		if ((size_t)got > size - 1 - n)
			got = (ssize_t)(size - 1 - n);
		memcpy(out + n, more, (size_t)got);
		n += (size_t)got;
		out[n] = '\0';
	}
	util_close_fd(&pipe_fds[0]);
	if (r == 0 || r == -ETIMEDOUT) {
		(void)waitpid(pid, &status, 0);
		if (r == 0)
			r = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return r;
}

/*
 * Reads which criu the daemon at this socket was started with; the monitor writes it to a file
 * beside the socket. The program is executed as root, so the file has to be root's.
 */
static bool read_criu(struct doctor *d, char *ret, size_t size)
{
	const char *socket = d->ctl->socket_path, *slash = strrchr(socket, '/');
	char path[PATH_MAX];
	_cleanup_fd_ int fd = -1;
	struct stat st;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%.*scriu", slash ? (int)(slash - socket) + 1 : 0,
		       socket);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_uid != 0 ||
	    (st.st_mode & 022))
		return false;
	n = read(fd, ret, size - 1);
	ret[n < 0 ? 0 : n] = '\0';
	return ret[0] == '/' && access(ret, X_OK) == 0;
}

void doctor_criu(struct doctor *d)
{
	char own_build[PATH_MAX];
	const char *const places[] = {
		util_installed("lib/sandboxd/criu/sbin/criu", own_build, sizeof(own_build)),
		"/usr/sbin/criu", "/usr/bin/criu"};
	const char *todo = "run scripts/quickstart, or scripts/criu-build";
	char out[512], version[32] = "?", daemons[PATH_MAX], *path = NULL;
	const char *at;
	int r;

	if (read_criu(d, daemons, sizeof(daemons)))
		path = daemons;
	for (size_t i = 0; i < ARRAY_SIZE(places) && !path; i++)
		if (access(places[i], X_OK) == 0)
			path = (char *)places[i];
	if (!path) {
		doctor_report(d, DOCTOR_WARN, todo, "not found: every task starts cold");
		return;
	}
	r = run_program((char *[]){path, (char *)"--version", NULL}, out, sizeof(out));
	at = strstr(out, "Version: ");
	if (r != 0 || !at) {
		doctor_report(d, DOCTOR_WARN, todo, "%s does not run: every task starts cold",
			      path);
		return;
	}
	(void)sscanf(at, "Version: %31s", version);
	if (!d->root) {
		doctor_report(d, DOCTOR_OK, NULL,
			      "%s %s (root may see whether it passes its check)", path, version);
		return;
	}
	r = run_program((char *[]){path, (char *)"check", NULL}, out, sizeof(out));
	out[strcspn(out, "\n")] = '\0';
	if (r == 0)
		doctor_report(d, DOCTOR_OK, NULL, "%s %s, 'criu check' passes", path, version);
	else
		doctor_report(d, DOCTOR_WARN, todo,
			      "%s %s: 'criu check' fails (%s): tasks may have to start cold", path,
			      version, r == -ETIMEDOUT ? "it hangs" : out);
}

void doctor_users(struct doctor *d)
{
	static const char *const users[] = {"_sandboxd", "_sandboxd-log"};
	char missing[128] = "";

	for (size_t i = 0; i < ARRAY_SIZE(users); i++)
		if (!getpwnam(users[i]))
			(void)snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				       " %s", users[i]);
	if (*missing)
		doctor_report(d, DOCTOR_FAIL, "run scripts/setup", "missing:%s", missing);
	else if (!getgrnam("sandboxd"))
		doctor_report(d, DOCTOR_WARN, "run scripts/setup",
			      "no group sandboxd: only root may ask the daemon");
	else
		doctor_report(d, DOCTOR_OK, NULL, "_sandboxd, _sandboxd-log, group sandboxd");
}

/* What nginx as the edge is made of: supervisor/monitor/edge.c looks for the same. */
void doctor_edge(struct doctor *d)
{
	static const char *const parts[] = {
		"/usr/sbin/nginx", "/usr/lib/nginx/modules/ngx_http_lua_module.so",
		"/usr/lib/nginx/modules/ndk_http_module.so", "/usr/share/lua/5.1/resty/core.lua"};
	const char *missing = getpwnam("_sandboxd-edge") ? NULL : "the user _sandboxd-edge";

	for (size_t i = 0; i < ARRAY_SIZE(parts) && !missing; i++)
		if (access(parts[i], R_OK) < 0)
			missing = parts[i];
	if (missing)
		doctor_report(d, DOCTOR_WARN, "run scripts/setup",
			      "there is no %s: HTTP workers are not served", missing);
	else
		doctor_report(d, DOCTOR_OK, NULL, "nginx with Lua, for HTTP workers");
}

/* Tries to mount a folder as a task's package is mounted, with another user as its owner. Only root
 * can. */
static int try_idmap(const char *dir, struct err *e)
{
	_cleanup_fd_ int fd = open(dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	_cleanup_fd_ int mount = -1, table = -1;
	int r = fd < 0 ? err_set(e, ERR_SYSTEM, errno, "%s", dir)
		       : rootfs_detach(fd, dir, &mount, e);

	return r < 0 ? r : idmap_mount(mount, 0, &table, e);
}

void doctor_state(struct doctor *d)
{
	const char *dir = d->ctl->state_dir;
	struct err e = {0};
	struct stat st;

	if (lstat(dir, &st) < 0)
		doctor_report(d, errno == EACCES ? DOCTOR_WARN : DOCTOR_FAIL,
			      "run scripts/quickstart, or start sandboxd: it makes it", "%s: %s",
			      dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
		doctor_report(d, DOCTOR_FAIL, "chown root and chmod go-w",
			      "%s must be a folder of root's that nobody else can write", dir);
	else if (d->root && try_idmap(dir, &e) < 0)
		doctor_report(d, DOCTOR_FAIL,
			      "move it to ext4, xfs or btrfs, or to another place by --state",
			      "%s: no task with files of its own can start (idmapped mounts): %s",
			      dir, e.msg);
	else
		doctor_report(d, DOCTOR_OK, NULL, "%s", dir);
}

struct counted {
	bool links;
	int n;
	char *list;
	size_t size;
};

static void count_name(int dir, const char *name, struct counted *c)
{
	struct stat st;

	if (name[0] == '.' || (c->links && (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
					    !S_ISLNK(st.st_mode))))
		return;
	c->n++;
	if (c->list && strlen(c->list) + strlen(name) + 2 < c->size) {
		strcat(c->list, " ");
		strcat(c->list, name);
	}
}

/* Counts the names, or only the symlinks, in a folder below the state folder, and lists them by
 * the alphabet; -errno when the folder cannot be read. */
static int count_names(struct doctor *d, const char *below, struct counted *c)
{
	_cleanup_dir_names_ struct dir_names names = {0};
	_cleanup_fd_ int dir = -1;
	char path[PATH_MAX];
	int r;

	(void)snprintf(path, sizeof(path), "%s/%s", d->ctl->state_dir, below);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;
	r = dir_names_read(dir, SIZE_MAX, &names);
	for (size_t i = 0; r == 0 && i < names.n; i++)
		count_name(dir, names.names[i], c);
	return r < 0 ? r : c->n;
}

/* Finds the images of the list that have the runtime of another version of sandboxd. */
static void find_old_images(struct doctor *d, const char *list, char *old, size_t size)
{
	_cleanup_fd_ int images = -1;
	char words[512], path[PATH_MAX], *save;

	(void)snprintf(path, sizeof(path), "%s/images", d->ctl->state_dir);
	images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(words, sizeof(words), "%s", list);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (runtime_of_image(images, w) == RUNTIME_OTHER)
			(void)snprintf(old + strlen(old), size - strlen(old), " %s", w);
}

/* n: what count_names has returned of images or policies, of which every task needs one. */
static void report_none(struct doctor *d, int n, const char *todo)
{
	if (n == -EACCES && !d->root)
		doctor_report(d, DOCTOR_OK, NULL, "only root can see them");
	else if (n < 0 && n != -ENOENT)
		doctor_report(d, DOCTOR_FAIL, "sandboxd and root must be able to read this folder",
			      "they cannot be read: %s", strerror(-n));
	else
		doctor_report(d, DOCTOR_FAIL, todo, "none: no task can run");
}

void doctor_images(struct doctor *d)
{
	char list[512] = "", old[512] = "";
	int n = count_names(d, "images/by-name",
			    &(struct counted){.list = list, .size = sizeof(list)});

	if (n > 0)
		find_old_images(d, list, old, sizeof(old));
	if (*old)
		doctor_report(d, DOCTOR_WARN, "as root: sandboxctl image build DIR, or NAME",
			      "of another version of sandboxd, and as they were with that:%s", old);
	else if (n > 0)
		doctor_report(d, DOCTOR_OK, NULL, "%d:%s", n, list);
	else
		report_none(d, n, "as root: sandboxctl image build python");
}

/* Whether the file that this name leads to was compiled by another version of sandboxd. */
static bool other_version(struct doctor *d, const char *name)
{
	uint32_t head[2] = {0}; /* the beginning of struct policy_head */
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/policies/%s", d->ctl->state_dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0 || util_read_all(fd, head, sizeof(head)) < 0)
		head[0] = 0;
	util_close_fd(&fd);
	return head[0] == POLICY_MAGIC && head[1] != POLICY_VERSION;
}

void doctor_policies(struct doctor *d)
{
	char list[512] = "", words[512], old[512] = "", *save;
	int n = count_names(d, "policies",
			    &(struct counted){.links = true, .list = list, .size = sizeof(list)});

	strcpy(words, list);
	for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save))
		if (other_version(d, w))
			(void)snprintf(old + strlen(old), sizeof(old) - strlen(old), " %s", w);
	if (*old)
		doctor_report(d, DOCTOR_FAIL,
			      "as root: sandboxctl policy install --defaults, or FILE",
			      "compiled by another version of sandboxd:%s", old);
	else if (n > 0)
		doctor_report(d, DOCTOR_OK, NULL, "%d:%s", n, list);
	else
		report_none(d, n, "as root: sandboxctl policy install --defaults");
}

void doctor_checkpoints(struct doctor *d)
{
	int n = count_names(d, "checkpoints", &(struct counted){0});

	if (n < 0 && !d->root)
		doctor_report(d, DOCTOR_OK, NULL, "only root can see them");
	else if (n <= 0)
		doctor_report(d, DOCTOR_WARN, "sandboxctl image warm NAME",
			      "none: each image's first task starts cold");
	else
		doctor_report(d, DOCTOR_OK, NULL, "%d", n);
}

void doctor_daemon(struct doctor *d)
{
	json_t *reply = NULL;
	struct err e = {0};

	if (ctl_call(d->ctl, json_pack("{s:s}", "op", "version"), NULL, 0, &reply, &e) < 0) {
		doctor_report(d, e.code == ERR_DENIED ? DOCTOR_WARN : DOCTOR_FAIL,
			      e.code == ERR_DENIED ? "become root or a member of group sandboxd"
						   : "systemctl start sandboxd, or as root: "
						     "sandboxd --detach",
			      "%s", e.msg);
		return;
	}
	if (strcmp(ctl_text(reply, "version"), SANDBOXD_VERSION) != 0)
		doctor_report(d, DOCTOR_WARN, "restart it: running tasks go on",
			      "version %s answers, and this is sandboxctl " SANDBOXD_VERSION,
			      ctl_text(reply, "version"));
	else
		doctor_report(d, DOCTOR_OK, NULL, "version %s answers at %s",
			      ctl_text(reply, "version"), d->ctl->socket_path);
	json_decref(reply);
}

void doctor_templates(struct doctor *d)
{
	json_auto_t *reply = NULL;
	struct err ignored = {0};
	const json_t *t;
	int ready = 0;
	size_t i;

	if (ctl_call(d->ctl, json_pack("{s:s}", "op", "templates"), NULL, 0, &reply, &ignored) < 0)
		return;
	json_array_foreach(json_object_get(reply, "templates"), i, t) ready +=
		!strcmp(ctl_text(t, "state"), "ready");
	if (ready > 0)
		doctor_report(d, DOCTOR_OK, NULL, "%d ready", ready);
	else
		doctor_report(d, DOCTOR_OK, NULL, "none now: they are made where tasks use them");
}
