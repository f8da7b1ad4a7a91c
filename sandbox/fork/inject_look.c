// SPDX-License-Identifier: Apache-2.0
/*
 * A process that criu has restored, looked at while it is stopped. criu does what a checkpoint
 * says, as far as its own rights go; what came of it is asked of the kernel, not of the
 * checkpoint. Cheap, for it is in the way of each start: some files of /proc.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox/fork/inject_internal.h"

/* criu, which ran in the namespaces of this init, may leave none. */
static int look_at_namespaces(const struct tracee *t, int proc, struct err *e)
{
	static const char *const names[] = {
		"user", "mnt", "pid",  "pid_for_children",  "net",
		"ipc",	"uts", "time", "time_for_children", "cgroup",
	};
	struct stat own, its;
	char path[48];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		(void)snprintf(path, sizeof(path), "self/ns/%s", names[i]);
		if (fstatat(proc, path, &own, 0) < 0 && errno == ENOENT)
			continue; /* a kernel without these */
		(void)snprintf(path, sizeof(path), "%d/ns/%s", (int)t->pid, names[i]);
		if (fstatat(proc, path, &its, 0) < 0 || its.st_ino != own.st_ino ||
		    its.st_dev != own.st_dev)
			return err_set(e, ERR_INPUT, 0, "%s: it is in another %s namespace",
				       t->what, names[i]);
	}
	return 0;
}

/*
 * What it executes and where it is are the image's, and its root is the sandbox's. A folder of the
 * host's would be a way up to the host's root.
 */
static int look_at_program(const struct tracee *t, int proc, struct err *e)
{
	static const char *const links[] = {"exe", "cwd", "root"};
	const uint64_t image = inject_mount_of(AT_FDCWD, "/");
	struct stat own, its;
	char path[48];

	for (size_t i = 0; i < ARRAY_SIZE(links); i++) {
		(void)snprintf(path, sizeof(path), "%d/%s", (int)t->pid, links[i]);
		if (!image || inject_mount_of(proc, path) != image)
			return err_set(e, ERR_INPUT, 0, "%s: its %s is not the image's", t->what,
				       links[i]);
	}
	if (stat("/", &own) < 0 || fstatat(proc, path, &its, 0) < 0 || own.st_ino != its.st_ino ||
	    own.st_dev != its.st_dev)
		return err_set(e, ERR_INPUT, 0, "%s: its root is not the image's", t->what);
	return 0;
}

/* The leader of its own, as the runtime started it: kill(0) knows no pid namespace. */
static int look_at_session(const struct tracee *t, struct err *e)
{
	if (getpgid(t->pid) != t->pid || getsid(t->pid) != t->pid)
		return err_set(e, ERR_INPUT, 0, "%s: it is in the session of another process",
			       t->what);
	return 0;
}

static int read_proc(const struct tracee *t, int proc, const char *name, char *buf, size_t size,
		     struct err *e)
{
	char path[48];
	_cleanup_fd_ int fd = -1;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "%d/%s", (int)t->pid, name);
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, buf, size - 1);
	if (n < 0)
		return inject_fail(t, e, errno, name);
	buf[n] = '\0';
	return 0;
}

static int look_at_limits(const struct tracee *t, const struct sandbox_spec *spec, int proc,
			  struct err *e)
{
	struct limits limits = spec->limits;
	char text[4096];
	int r = read_proc(t, proc, "limits", text, sizeof(text), e);

	/* As it was dumped with; a task's own is set when it is confined. */
	limits.nofile = spec->policy->head.limits_max.nofile;
	if (r == 0) {
		r = rlimit_check(&limits, text, e);
		if (r < 0)
			return err_wrap(e, r, "%s", t->what);
	}
	if (r == 0)
		r = read_proc(t, proc, "personality", text, sizeof(text), e);
	if (r == 0 && strcmp(text, "00000000\n") != 0)
		r = err_set(e, ERR_INPUT, 0, "%s: its personality is %.8s", t->what, text);
	return r;
}

int inject_look(const struct tracee *t, const struct sandbox_spec *spec,
		const struct inject_pipes *pipes, struct err *e)
{
	const int proc = mounts_own_proc();
	int r = inject_check_status(proc, t->pid, spec->checkpoint_owner, FILTERS_RESTORED, t->what,
				    e);

	/* Nobody else may be there, who could write to its memory while no filter holds. The
	 * group's count cannot be dodged as a list of /proc can. */
	if (r == 0 && cgroup_pids(spec->cgroup) != 2)
		r = err_set(e, ERR_INPUT, 0, "%s: %llu processes and threads where 2 are expected",
			    t->what, (unsigned long long)cgroup_pids(spec->cgroup));
	if (r == 0)
		r = look_at_namespaces(t, proc, e);
	if (r == 0)
		r = inject_check_files(proc, t->pid, pipes, NULL, t->what, e);
	if (r == 0)
		r = look_at_program(t, proc, e);
	if (r == 0)
		r = look_at_session(t, e);
	if (r == 0)
		r = inject_check_maps(proc, t->pid, spec->checkpoint_owner, t->what, e);
	if (r == 0)
		r = look_at_limits(t, spec, proc, e);
	return r;
}

int inject_look_parked(const struct tracee *t, uint32_t owner, const struct inject_pipes *pipes,
		       struct err *e)
{
	const int proc = mounts_own_proc();
	int r = inject_check_status(proc, t->pid, owner, FILTERS_WARM, t->what, e);

	if (r == 0)
		r = inject_check_files(proc, t->pid, pipes, NULL, t->what, e);
	if (r == 0)
		r = look_at_program(t, proc, e);
	return r == 0 ? inject_check_maps(proc, t->pid, owner, t->what, e) : r;
}
