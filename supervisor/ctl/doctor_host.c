// SPDX-License-Identifier: Apache-2.0
/* What the kernel offers. Where it can, a check asks the kernel to do something, and not for its
 * version. */
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>

#include "sandbox/ns.h"
#include "supervisor/ctl/doctor.h"

void doctor_kernel(struct doctor *d)
{
	unsigned long major, minor;
	struct utsname u;
	char *dot;

	(void)uname(&u);
	major = strtoul(u.release, &dot, 10);
	minor = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
	if (strcmp(u.machine, "x86_64") != 0)
		doctor_report(d, DOCTOR_FAIL, "run it on x86-64", "%s on %s", u.release, u.machine);
	else if (major > 6 || (major == 6 && minor >= 1))
		doctor_report(d, DOCTOR_OK, NULL, "%s", u.release);
	else
		doctor_report(d, DOCTOR_WARN, "use Linux 6.1 or newer",
			      "%s is older than what it is tested with", u.release);
}

/* Only ENOSYS means that a call does not exist: the arguments are wrong on purpose. */
void doctor_calls(struct doctor *d)
{
	static const struct {
		const char *name;
		long nr;
	} calls[] = {{"clone3", SYS_clone3},	       {"pidfd_open", SYS_pidfd_open},
		     {"pidfd_getfd", SYS_pidfd_getfd}, {"pidfd_send_signal", SYS_pidfd_send_signal},
		     {"openat2", SYS_openat2},	       {"close_range", SYS_close_range},
		     {"open_tree", SYS_open_tree},     {"move_mount", SYS_move_mount},
		     {"fsopen", SYS_fsopen},	       {"mount_setattr", SYS_mount_setattr}};
	char missing[256] = "";

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		long r = calls[i].nr == SYS_close_range ? syscall(calls[i].nr, ~0u, 0u, 0u)
							: syscall(calls[i].nr, -1, NULL, 0, 0, 0);

		if (r < 0 && errno == ENOSYS)
			(void)snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				       " %s", calls[i].name);
	}
	if (*missing)
		doctor_report(d, DOCTOR_FAIL,
			      "use Linux 6.1 or newer; in a container, allow them in its seccomp "
			      "profile",
			      "missing:%s", missing);
	else
		doctor_report(d, DOCTOR_OK, NULL, "all that are needed");
}

/* Makes all seven namespaces in a child, as the start of a task does. */
static int try_namespaces(void)
{
	int status = 0;
	pid_t pid = fork();

	if (pid == 0)
		_exit(unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET |
			      CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP) < 0
			      ? errno
			      : 0);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		return errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

void doctor_namespaces(struct doctor *d)
{
	char missing[128] = "", path[64];
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(ns_names); i++) {
		(void)snprintf(path, sizeof(path), "/proc/self/ns/%s", ns_names[i]);
		if (access(path, F_OK) < 0)
			(void)snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				       " %s", ns_names[i]);
	}
	if (*missing) {
		doctor_report(d, DOCTOR_FAIL, "use a kernel with all namespaces", "missing:%s",
			      missing);
		return;
	}
	if (!d->root) {
		doctor_report(d, DOCTOR_OK, NULL, "the kernel has all seven");
		return;
	}
	r = try_namespaces();
	if (r)
		doctor_report(d, DOCTOR_FAIL,
			      "look at the sysctls user.max_*_namespaces; in a container, run it "
			      "with more privileges",
			      "cannot make them: %s", strerror(r));
	else
		doctor_report(d, DOCTOR_OK, NULL, "all seven can be made");
}

/* Whether a v1 hierarchy with this controller is mounted: the mount's options in mountinfo name
 * it. */
static bool has_v1(const char *controller)
{
	char line[4096], type[64], source[256], options[1024], *tail, *o;
	FILE *f = fopen("/proc/self/mountinfo", "re");
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f)) {
		tail = strstr(line, " - ");
		if (!tail || sscanf(tail, " - %63s %255s %1023s", type, source, options) != 3 ||
		    strcmp(type, "cgroup") != 0)
			continue;
		for (char *save, *p = options; !found && (o = strtok_r(p, ",", &save)); p = NULL)
			found = !strcmp(o, controller);
	}
	if (f)
		(void)fclose(f);
	return found;
}

static bool has_v2(const char *controllers, const char *name)
{
	size_t n = strlen(name);

	for (const char *p = controllers; (p = strstr(p, name)); p += n)
		if ((p == controllers || p[-1] == ' ') && (!p[n] || p[n] == ' ' || p[n] == '\n'))
			return true;
	return false;
}

void doctor_cgroups(struct doctor *d)
{
	static const char *const needed[] = {"memory", "cpu", "pids"};
	char controllers[512] = "", missing[64] = "";
	struct statfs fs;
	bool v2 = statfs("/sys/fs/cgroup", &fs) == 0 && fs.f_type == CGROUP2_SUPER_MAGIC;
	int fd = v2 ? open("/sys/fs/cgroup/cgroup.controllers", O_RDONLY | O_CLOEXEC) : -1;

	if (fd >= 0 && read(fd, controllers, sizeof(controllers) - 1) < 0)
		controllers[0] = '\0';
	util_close_fd(&fd);
	for (size_t i = 0; i < ARRAY_SIZE(needed); i++)
		if (v2 ? !has_v2(controllers, needed[i]) : !has_v1(needed[i]))
			(void)snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				       " %s", needed[i]);
	if (*missing) {
		doctor_report(d, DOCTOR_FAIL,
			      v2 ? "give these controllers to /sys/fs/cgroup (in a container: "
				   "delegate them)"
				 : "mount cgroup v2, or v1 with these controllers",
			      "%s, without the controllers:%s", v2 ? "v2" : "v1", missing);
		return;
	}
	if (v2)
		doctor_report(d, DOCTOR_OK, NULL,
			      "v2: limits for memory, cpu and pids; cgroup.kill");
	else
		doctor_report(d, DOCTOR_OK, NULL, "v1: limits for memory, cpu and pids%s",
			      access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0
				      ? "; a v2 tree beside it"
				      : "");
}

void doctor_seccomp(struct doctor *d)
{
	uint32_t action = SECCOMP_RET_KILL_PROCESS;

	if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0)
		doctor_report(d, DOCTOR_OK, NULL, "filters, and killing the process");
	else
		doctor_report(d, DOCTOR_FAIL, "use a kernel with CONFIG_SECCOMP_FILTER",
			      "no filters: %s", strerror(errno));
}

static bool in_filesystems(const char *name)
{
	FILE *f = fopen("/proc/filesystems", "re");
	char line[128], word[64];
	bool found = false;

	while (f && !found && fgets(line, sizeof(line), f))
		found = (sscanf(line, "nodev %63s", word) == 1 ||
			 sscanf(line, "%63s", word) == 1) &&
			!strcmp(word, name);
	if (f)
		(void)fclose(f);
	return found;
}

void doctor_overlay(struct doctor *d)
{
	/* fsopen loads the module if there is one, so it is tried before /proc/filesystems is
	 * read. */
	int fd = d->root ? (int)syscall(SYS_fsopen, "overlay", 1) : -1;

	if (fd >= 0 || in_filesystems("overlay"))
		doctor_report(d, DOCTOR_OK, NULL, "there");
	else if (!d->root)
		doctor_report(d, DOCTOR_WARN, "as root: modprobe overlay", "not loaded so far");
	else
		doctor_report(d, DOCTOR_FAIL, "use a kernel with CONFIG_OVERLAY_FS", "missing: %s",
			      strerror(errno));
	util_close_fd(&fd);
}

/* Opening the device loads the module if there is one. */
void doctor_loop(struct doctor *d)
{
	_cleanup_fd_ int fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);

	if (fd >= 0 || (!d->root && errno == EACCES))
		doctor_report(d, DOCTOR_OK, NULL, "there, for images with requirements");
	else
		doctor_report(d, DOCTOR_WARN,
			      "modprobe loop; in a container, let it have /dev/loop-control and "
			      "/dev/loop*",
			      "/dev/loop-control: %s: no image with requirements can be built",
			      strerror(errno));
}

void doctor_net(struct doctor *d)
{
	static const char *const places[] = {"/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft",
					     "/usr/local/sbin/nft"};

	for (size_t i = 0; i < ARRAY_SIZE(places); i++)
		if (access(places[i], X_OK) == 0) {
			doctor_report(d, DOCTOR_OK, NULL, "%s, for policies with egress",
				      places[i]);
			return;
		}
	doctor_report(d, DOCTOR_WARN, "apt-get install nftables",
		      "no nft: tasks under a policy with egress (network) will fail");
}
