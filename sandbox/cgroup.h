/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cgroup for each task, with limits of memory, cpu and processes. There are two kinds of host:
 * v1 (a folder in each controller's hierarchy) and v2. What is mounted decides, once: on a hybrid
 * host, where v2 has no controllers, v1 is used and v2 is left alone.
 *
 * A struct cgroup holds descriptors of the group's folders: cgroup_create and cgroup_open fill it
 * in, cgroup_close or a cgroup_remove that succeeds closes them. It points to its host, which must
 * live longer. Functions return 0 or -errno, and fill in a struct err where they take one.
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdint.h>

#include "lib/limits.h"
#include "lib/util.h"

enum cgroup_controller { CGROUP_MEMORY, CGROUP_CPU, CGROUP_CPUACCT, CGROUP_PIDS, CGROUP_N };

struct cgroup_host {
	bool v2;
	/* v1: our root folder in each hierarchy; -1 where there is none, and on v2 */
	int dirs[CGROUP_N];
	int unified;	/* v2: our root folder; -1 on v1 */
	char text[256]; /* which hierarchies were chosen, for doctor */
};

struct cgroup {
	const struct cgroup_host *host;
	char name[64];
	/* the task's folders, as in the host's dirs; cpu and cpuacct may be one folder */
	int dirs[CGROUP_N];
	int unified;
};

struct cgroup_usage {
	uint64_t cpu_us, memory_peak, memory_now;
	uint64_t oom_kills, pids_refused;
};

/* Finds the hierarchies, makes the folder root_name in them, and enables the controllers below it.
 * A missing memory, cpu or pids controller is an error that names it. */
int cgroup_host_open(const char *root_name, struct cgroup_host *ret, struct err *e);
/* Locks the root folder for this process until it ends; fails when another daemon has it. */
int cgroup_host_claim(const struct cgroup_host *host, const char *root_name, struct err *e);
void cgroup_host_close(struct cgroup_host *host);

int cgroup_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		  struct cgroup *ret, struct err *e);
int cgroup_open(const struct cgroup_host *host, const char *name, struct cgroup *ret,
		struct err *e);
/* v2: the folder's descriptor for CLONE_INTO_CGROUP, which stays cg's. v1: -1, and the child calls
 * cgroup_enter. */
int cgroup_clone_fd(const struct cgroup *cg);
/*
 * v1: moves the calling process, which has one thread, by writing "0" to each tasks file. That
 * takes no global lock, while a write to cgroup.procs waits for an RCU grace period, 10 ms. v2:
 * does nothing, for the process was born inside.
 */
int cgroup_enter(const struct cgroup *cg, struct err *e);
/* Appends to fds the group's files, open for writing, by which a process that may not open them
 * itself joins the group: it writes "0", and the kernel asks for the rights of the process that
 * opened the file (kernel commit 1756d7994ad8). The caller closes them. */
int cgroup_open_join(const struct cgroup *cg, int *fds, int *n, struct err *e);
/* Gives the group's folder another name. v1 only: cgroup v2 cannot rename, and this returns
 * -EOPNOTSUPP. */
int cgroup_rename(struct cgroup *cg, const char *name);
/* Changes the limit on processes and threads; the sandbox's init counts as one of them. */
int cgroup_set_pids(const struct cgroup *cg, uint32_t pids);
/* The same in two steps. The limits of a group that is the root of its own cgroup namespace can be
 * changed from within only through a file that was opened outside (nsdelegate; cgroup_file_write()
 * in the kernel). cgroup_open_pids returns a descriptor or -errno. */
int cgroup_open_pids(const struct cgroup *cg);
int cgroup_write_pids(int fd, uint32_t pids);
/* cpu_milli: thousandths of a processor. */
int cgroup_set_cpu(const struct cgroup *cg, uint32_t cpu_milli);
/* At most the number of bytes that the group was made with, because its limit of memory and swap
 * together keeps that value. */
int cgroup_set_memory(const struct cgroup *cg, uint64_t bytes);
int cgroup_usage(const struct cgroup *cg, struct cgroup_usage *ret);
/* Processes and threads in the group, those that wait to be reaped among them; 0 when the number
 * cannot be read. */
uint64_t cgroup_pids(const struct cgroup *cg);
/* Sends SIGKILL to everything in the group. An empty group is no error. */
int cgroup_kill(const struct cgroup *cg);
/* Removes the folders and closes the descriptors. -EBUSY while a process is left. */
int cgroup_remove(struct cgroup *cg);
/* Tries cgroup_remove for up to ms milliseconds, for processes in the group that are about to
 * end. */
int cgroup_remove_within(struct cgroup *cg, unsigned ms);
void cgroup_close(struct cgroup *cg);
/* Calls fn with the name of each group below our root that a task, a template or a parked clone
 * has. */
int cgroup_each(const struct cgroup_host *host, void (*fn)(const char *name, void *arg), void *arg);

#endif
