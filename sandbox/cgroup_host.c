// SPDX-License-Identifier: Apache-2.0
/* Which cgroup hierarchies the host has mounted, read once from /proc/self/mountinfo
 * (proc_pid_mountinfo(5)). */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "sandbox/cgroup_internal.h"

static const char *const controller_names[CGROUP_N] = {
	[CGROUP_MEMORY] = "memory",
	[CGROUP_CPU] = "cpu",
	[CGROUP_CPUACCT] = "cpuacct",
	[CGROUP_PIDS] = "pids",
};

static bool has_word(const char *list, const char *word, char separator)
{
	size_t n = strlen(word);

	for (const char *p = list; p; p = strchr(p, separator), p = p ? p + 1 : NULL)
		if (strncmp(p, word, n) == 0 && (!p[n] || p[n] == separator || p[n] == '\n'))
			return true;
	return false;
}

struct found {
	char v1[CGROUP_N][PATH_MAX];
	char v2[PATH_MAX];
};

/* One line: id parent major:minor root mountpoint options - type source super-options */
static void scan_line(char *line, struct found *f)
{
	char *dash = strstr(line, " - "), *type, *super, *mountpoint, *save = NULL;

	if (!dash)
		return;
	*dash = '\0';
	mountpoint = strtok_r(line, " ", &save);
	for (int i = 0; i < 4 && mountpoint; i++)
		mountpoint = strtok_r(NULL, " ", &save);
	save = NULL;
	type = strtok_r(dash + 3, " ", &save);
	(void)strtok_r(NULL, " ", &save);
	super = strtok_r(NULL, " \n", &save);
	if (!mountpoint || !type || !super)
		return;
	if (strcmp(type, "cgroup2") == 0 && !f->v2[0])
		(void)snprintf(f->v2, sizeof(f->v2), "%s", mountpoint);
	for (int i = 0; i < CGROUP_N; i++)
		if (strcmp(type, "cgroup") == 0 && has_word(super, controller_names[i], ','))
			(void)snprintf(f->v1[i], sizeof(f->v1[i]), "%s", mountpoint);
}

static int scan(struct found *f, struct err *e)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;

	if (!file)
		return err_set(e, ERR_SYSTEM, errno, "/proc/self/mountinfo");
	while (getline(&line, &size, file) > 0)
		scan_line(line, f);
	free(line);
	(void)fclose(file);
	return 0;
}

static int open_v1(const struct found *f, const char *root_name, struct cgroup_host *ret,
		   struct err *e)
{
	for (int i = 0; i < CGROUP_N; i++) {
		_cleanup_fd_ int top = -1;

		if (!f->v1[i][0] && i == CGROUP_CPUACCT)
			continue;
		if (!f->v1[i][0])
			return err_set(e, ERR_SYSTEM, 0, "cgroup: no %s controller is mounted",
				       controller_names[i]);
		top = open(f->v1[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (top < 0 || (mkdirat(top, root_name, 0755) < 0 && errno != EEXIST))
			return err_set(e, ERR_SYSTEM, errno, "cgroup: make %s in %s", root_name,
				       f->v1[i]);
		ret->dirs[i] = openat(top, root_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (ret->dirs[i] < 0)
			return err_set(e, ERR_SYSTEM, errno, "cgroup: %s in %s", root_name,
				       f->v1[i]);
	}
	(void)snprintf(ret->text, sizeof(ret->text), "v1 (memory, cpu, pids)%s",
		       f->v2[0] ? "; hybrid, v2 holds no controllers" : "");
	return 0;
}

/* Whether the controllers that are needed are available at the top of v2. */
static bool v2_usable(const struct found *f)
{
	_cleanup_fd_ int dir = -1;
	_cleanup_free_ char *text = NULL;
	size_t len;

	if (!f->v2[0])
		return false;
	dir = open(f->v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return false;
	/* Files of such file systems report a size of 0 or 4096, so the file is read by hand. */
	text = calloc(1, 4096);
	len = 0;
	if (text) {
		_cleanup_fd_ int fd = openat(dir, "cgroup.controllers", O_RDONLY | O_CLOEXEC);
		ssize_t n = fd < 0 ? 0 : read(fd, text, 4095);

		len = n > 0 ? (size_t)n : 0;
	}
	return len > 0 && has_word(text, "memory", ' ') && has_word(text, "cpu", ' ') &&
	       has_word(text, "pids", ' ');
}

/* A limit on all sandboxes together. Each task's own limit does not keep all of them from taking
 * the machine's last pid, which brings the machine down as well as taking its last memory does. */
static int limit_pids(const struct cgroup_host *host, struct err *e)
{
	int r = cgroup_write_u64(host->v2 ? host->unified : host->dirs[CGROUP_PIDS], "pids.max",
				 util_pids_for_tasks());

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cgroup: pids.max of all sandboxes") : 0;
}

int cgroup_host_open(const char *root_name, struct cgroup_host *ret, struct err *e)
{
	static struct found f;
	int r;

	f = (struct found){0};
	*ret = (struct cgroup_host){.unified = -1, .dirs = {-1, -1, -1, -1}};
	r = scan(&f, e);
	if (r < 0)
		return r;
	if (v2_usable(&f)) {
		_cleanup_fd_ int top = open(f.v2, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

		if (top < 0)
			return err_set(e, ERR_SYSTEM, errno, "cgroup: %s", f.v2);
		ret->v2 = true;
		(void)snprintf(ret->text, sizeof(ret->text), "v2 (memory, cpu, pids, cgroup.kill)");
		r = cgroup_v2_prepare(top, root_name, &ret->unified, e);
	} else {
		r = open_v1(&f, root_name, ret, e);
	}
	if (r == 0)
		r = limit_pids(ret, e);
	if (r < 0)
		cgroup_host_close(ret);
	return r;
}

/* The file that is locked: every group of that version has it, and nothing else here opens it. */
int cgroup_host_claim(const struct cgroup_host *host, const char *root_name, struct err *e)
{
	int fd = host->v2 ? util_lock_at(host->unified, "cgroup.max.depth")
			  : util_lock_at(host->dirs[CGROUP_MEMORY], "notify_on_release");

	if (fd == -EAGAIN)
		return err_set(e, ERR_CONFLICT, 0, "another sandboxd runs with --cgroup %s",
			       root_name);
	return fd < 0 ? err_set(e, ERR_SYSTEM, -fd, "cgroup: lock %s", root_name) : 0;
}

void cgroup_host_close(struct cgroup_host *host)
{
	util_close_fd(&host->unified);
	for (int i = 0; i < CGROUP_N; i++)
		util_close_fd(&host->dirs[i]);
}
