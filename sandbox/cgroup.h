/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One cgroup a task, for memory, cpu, pids. Two kinds of host: v1 (a folder in each
 * controller's hierarchy) and v2. The choice is made once, by what is mounted: where v2
 * has no controllers, as on a hybrid host, it is v1, and v2 is left alone.
 */
#ifndef SANDBOX_CGROUP_H
#define SANDBOX_CGROUP_H

#include <stdint.h>

#include "lib/limits.h"
#include "lib/util.h"

enum cgroup_controller { CGROUP_MEMORY, CGROUP_CPU, CGROUP_CPUACCT, CGROUP_PIDS, CGROUP_N };

struct cgroup_host {
	bool v2;
	int dirs[CGROUP_N]; /* v1: our root folder in each hierarchy; -1 when missing, and on v2 */
	int unified;	    /* v2: our root folder; -1 on v1 */
	char text[256];	    /* for doctor: what was chosen */
};

struct cgroup {
	const struct cgroup_host *host;
	char name[64];
	int dirs[CGROUP_N]; /* of this task, as in the host's; cpu and cpuacct may be one */
	int unified;
};

struct cgroup_usage {
	uint64_t cpu_us, memory_peak, memory_now;
	uint64_t oom_kills, pids_refused;
};

/* Finds the hierarchies, makes root_name in them, enables the controllers below it.
 * A missing memory, cpu or pids controller is an error that names it. */
int cgroup_host_open(const char *root_name, struct cgroup_host *ret, struct err *e);
/* The root folder is this process's until it ends, or an error says that it is another one's. */
int cgroup_host_claim(const struct cgroup_host *host, const char *root_name, struct err *e);
void cgroup_host_close(struct cgroup_host *host);

int cgroup_create(const struct cgroup_host *host, const char *name, const struct limits *limits,
		  struct cgroup *ret, struct err *e);
int cgroup_open(const struct cgroup_host *host, const char *name, struct cgroup *ret,
		struct err *e);
/* v2: the folder for CLONE_INTO_CGROUP; v1: -1, and the child calls cgroup_enter. */
int cgroup_clone_fd(const struct cgroup *cg);
/*
 * v1: moves the calling single-threaded process by writing "0" to each tasks
 * file, which takes no global lock; cgroup.procs waits for an RCU grace period, 10 ms.
 */
int cgroup_enter(const struct cgroup *cg, struct err *e);
/* Files, open for writing, by which a process that may not open them itself joins it with
 * a "0": the opener's rights count (kernel commit 1756d7994ad8). Appended to fds. */
int cgroup_open_join(const struct cgroup *cg, int *fds, int *n, struct err *e);
/* v1 only, where a folder can have another name: -EOPNOTSUPP on v2. */
int cgroup_rename(struct cgroup *cg, const char *name);
/* Changes the limit on processes and threads, the sandbox's init among them. */
int cgroup_set_pids(const struct cgroup *cg, uint32_t pids);
/* The same in two steps: a group that is the root of its own cgroup namespace can be limited from
 * within by a file that was opened outside only (nsdelegate, cgroup_file_write()). An fd or -errno;
 * 0 or -errno. */
int cgroup_open_pids(const struct cgroup *cg);
int cgroup_write_pids(int fd, uint32_t pids);
/* Thousandths of a processor. */
int cgroup_set_cpu(const struct cgroup *cg, uint32_t cpu_milli);
/* Bytes; not more than it was made with, for that is what it may have with swap. */
int cgroup_set_memory(const struct cgroup *cg, uint64_t bytes);
int cgroup_usage(const struct cgroup *cg, struct cgroup_usage *ret);
/* Processes and threads in it, those that wait to be reaped among them; 0 when unknown. */
uint64_t cgroup_pids(const struct cgroup *cg);
/* SIGKILL to everything inside; empty groups are fine. */
int cgroup_kill(const struct cgroup *cg);
/* rmdir; -EBUSY while a process is left. Closes on success. */
int cgroup_remove(struct cgroup *cg);
/* The same, again and again while something in it is still about to end. */
int cgroup_remove_within(struct cgroup *cg, unsigned ms);
void cgroup_close(struct cgroup *cg);
/* Calls fn with the name of each task group below our root. */
int cgroup_each(const struct cgroup_host *host, void (*fn)(const char *name, void *arg), void *arg);

#endif
