// SPDX-License-Identifier: Apache-2.0
/*
 * Resources that the kernel counts by user of the host. Many tasks are one such user: all of a
 * project that are started cold, and all that are restored or forked from one checkpoint. A task
 * has bounds of its own. When the user's bounds are not far above those, what one task uses leaves
 * less for the others.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "lib/limits.h"
#include "supervisor/ctl/doctor.h"

/* How many tasks run at a time by default: sandboxd's --max-running. */
#define TASKS_ENOUGH 64

static bool read_text(const char *path, char *ret, size_t size)
{
	_cleanup_fd_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret, size - 1);

	ret[n < 0 ? 0 : n] = '\0';
	return n > 0;
}

/* Reads one limit out of the text of /proc/PID/limits. False: there is no such limit. */
static bool read_limit(const char *text, const char *name, uint64_t *ret)
{
	const char *at = strstr(text, name);
	char *end;

	if (!at)
		return false;
	at += strlen(name);
	errno = 0;
	*ret = strtoull(at, &end, 10);
	return end != at && !errno; /* "unlimited" is not a number */
}

/* Reads the limits of the monitor, whose pid is in a file beside the socket. Its limits bound the
 * user namespaces that it makes for tasks. */
static bool daemon_limits(const struct doctor *d, char *ret, size_t size)
{
	const char *socket = d->ctl->socket_path, *slash = strrchr(socket, '/');
	char path[PATH_MAX], text[32];

	(void)snprintf(path, sizeof(path), "%.*ssandboxd.pid",
		       slash ? (int)(slash - socket) + 1 : 0, socket);
	if (!read_text(path, text, sizeof(text)))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/comm", strtol(text, NULL, 10));
	if (!read_text(path, ret, size) || strcmp(ret, "sandboxd\n") != 0)
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%ld/limits", strtol(text, NULL, 10));
	return read_text(path, ret, size);
}

void doctor_limits(struct doctor *d)
{
	static const struct {
		const char *name, *what;
		uint64_t of_task;
	} by_user[] = {{"Max pending signals", "pending signals", TASK_SIGPENDING},
		       {"Max msgqueue size", "bytes of message queues", TASK_MSGQUEUE},
		       {"Max locked memory", "bytes of locked memory", TASK_MEMLOCK}};
	char text[4096], low[512] = "";
	uint64_t limit;

	if (!daemon_limits(d, text, sizeof(text)))
		return;
	for (size_t i = 0; i < ARRAY_SIZE(by_user); i++)
		if (read_limit(text, by_user[i].name, &limit))
			(void)snprintf(low + strlen(low), sizeof(low) - strlen(low),
				       "%s%llu %s (%llu of a task)", *low ? ", " : "",
				       (unsigned long long)limit, by_user[i].what,
				       (unsigned long long)by_user[i].of_task);
	if (*low)
		doctor_report(d, DOCTOR_WARN,
			      "have LimitSIGPENDING=, LimitMSGQUEUE= and LimitMEMLOCK=infinity in "
			      "its unit, or start it with CAP_SYS_RESOURCE",
			      "all tasks of a project, or of a checkpoint, have no more together "
			      "than the daemon: %s",
			      low);
	else
		doctor_report(d, DOCTOR_OK, NULL,
			      "each task's own bound signals, message queues and locked memory");
}

void doctor_inotify(struct doctor *d)
{
	static const struct {
		const char *name;
		uint64_t of_task;
	} by_user[] = {{"instances", TASK_INOTIFY_INSTANCES}, {"watches", TASK_INOTIFY_WATCHES}};
	char path[64], text[32], low[256] = "";

	for (size_t i = 0; i < ARRAY_SIZE(by_user); i++) {
		unsigned long long n;

		(void)snprintf(path, sizeof(path), "/proc/sys/fs/inotify/max_user_%s",
			       by_user[i].name);
		if (!read_text(path, text, sizeof(text)))
			continue;
		n = strtoull(text, NULL, 10);
		if (n / by_user[i].of_task < TASKS_ENOUGH)
			(void)snprintf(low + strlen(low), sizeof(low) - strlen(low),
				       "%sfs.inotify.max_user_%s is %llu", *low ? ", " : "",
				       by_user[i].name, n);
	}
	if (*low)
		doctor_report(d, DOCTOR_WARN,
			      "sysctl -p " SANDBOXD_PREFIX
			      "/lib/sysctl.d/50-sandboxd.conf; systemd "
			      "does that at boot",
			      "%s: a task has up to %u instances and %u watches, and the kernel "
			      "counts those of all tasks of a project, or of a checkpoint",
			      low, TASK_INOTIFY_INSTANCES, TASK_INOTIFY_WATCHES);
	else
		doctor_report(d, DOCTOR_OK, NULL,
			      "enough for %d tasks of a project, or of a "
			      "checkpoint",
			      TASKS_ENOUGH);
}
