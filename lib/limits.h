/* SPDX-License-Identifier: Apache-2.0 */
/* What a task may use, and how it has ended. Plain data, which the roles send to one another. */
#ifndef LIB_LIMITS_H
#define LIB_LIMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct limits {
	uint64_t memory; /* bytes, of the memory cgroup; at least LIMIT_MEMORY_MIN */
	uint64_t disk;	 /* bytes, the size of each tmpfs of the sandbox, as /tmp and /work */
	/* bytes of stdout and stderr together that are kept; more is counted and dropped */
	uint64_t log_bytes;
	uint32_t cpu_milli; /* 1000 is one CPU */
	uint32_t pids;	    /* processes and threads of the task, without the sandbox's init */
	uint32_t timeout_s; /* seconds by the wall clock, from the start to SIGKILL */
	uint32_t nofile;    /* RLIMIT_NOFILE */
};

#define LIMIT_MEMORY_MIN (16ULL << 20)
#define LIMIT_MEMORY_MAX (1ULL << 42)
#define LIMIT_DISK_MIN (64ULL << 10)
#define LIMIT_DISK_MAX (1ULL << 42)
#define LIMIT_LOG_MIN (4ULL << 10)
#define LIMIT_LOG_MAX (1ULL << 40)
#define LIMIT_CPU_MIN 10
#define LIMIT_CPU_MAX 1024000
#define LIMIT_PIDS_MIN 4
#define LIMIT_PIDS_MAX 1000000
#define LIMIT_TIMEOUT_MIN 1
#define LIMIT_TIMEOUT_MAX 2592000u /* 30 days */
#define LIMIT_NOFILE_MIN 16
#define LIMIT_NOFILE_MAX 1048576

/* Each limit is a row in limits.c. A new one needs a member above, a row there, and the places that
 * carry it: wire/proto.h has all of struct limits, the store a column (front/store/row.c). */
enum limit_id {
	LIMIT_MEMORY,
	LIMIT_CPUS,
	LIMIT_PIDS,
	LIMIT_DISK,
	LIMIT_TIMEOUT,
	LIMIT_NOFILE,
	LIMIT_LOG,
	LIMIT_N
};
#define LIMIT_BIT(id) (1u << (id)) /* of a limit in a set of limits */

enum limit_type { LIMIT_TYPE_SIZE, LIMIT_TYPE_COUNT, LIMIT_TYPE_CPUS };

struct limit_row {
	const char *key; /* its name in JSON, in options and for people */
	enum limit_type type;
	bool of_sandbox; /* the sandbox is made with it; other limits belong to one run */
	/* of the member in struct limits, a uint64_t for a size, else a uint32_t */
	size_t offset;
	uint64_t min, max; /* bounds on any machine, in the member's unit */
};
extern const struct limit_row limit_table[LIMIT_N];

uint64_t limit_get(const struct limits *l, enum limit_id id);
void limit_set(struct limits *l, enum limit_id id, uint64_t value);
/* Writes a value as "320M", "0.5" or "64". */
void limit_format(enum limit_id id, uint64_t value, char *buf, size_t size);
/* The first limit that is outside of its bounds, those of any machine or, with max not NULL, above
 * max's; LIMIT_N: there is none. */
enum limit_id limits_beyond(const struct limits *l, const struct limits *max);
/* Whether one sandbox serves for both. */
bool limits_same_sandbox(const struct limits *a, const struct limits *b);

/* The most projects; each has ids of its own on the host, by its slot (sandbox/sandbox.h). */
#define OWNERS_MAX 4096u

/* Bounds of each task, whatever its policy says: RLIMIT_SIGPENDING, RLIMIT_MSGQUEUE, RLIMIT_MEMLOCK
 * (sandbox/rlimit.c), and inotify's (sandbox/userns.c). The kernel counts these by user. */
#define TASK_SIGPENDING 1024u
#define TASK_MSGQUEUE 819200u
#define TASK_MEMLOCK (64u << 10)
#define TASK_INOTIFY_INSTANCES 32u
#define TASK_INOTIFY_WATCHES 8192u

enum start_mode { START_AUTO = 0, START_COLD, START_RESTORE, START_FORK, START_MODE_MAX };

/* Why a task has ended. The names are in limits.c; JSON and people see them. */
enum verdict {
	VERDICT_NONE = 0,  /* "": it has not ended */
	VERDICT_OK,	   /* "ok": exit status 0 */
	VERDICT_EXIT,	   /* "exit": any other exit status of its own */
	VERDICT_SIGNAL,	   /* "signal": died of a signal that the daemon has not sent */
	VERDICT_TIMEOUT,   /* "timeout": 124 */
	VERDICT_OOM,	   /* "oom": 137, the memory limit */
	VERDICT_PIDS,	   /* "pids": failed after meeting the pids limit */
	VERDICT_DISK,	   /* "disk": failed with its disk full */
	VERDICT_CANCELLED, /* "cancelled": by its owner */
	VERDICT_FAILED,	   /* "failed": the sandbox could not be made; 125 */
	/* "lost": the machine or the sandbox's init died before the task ended */
	VERDICT_LOST,
	VERDICT_MAX
};

const char *start_mode_name(enum start_mode mode);
int start_mode_parse(const char *name); /* enum value or -EINVAL */
const char *verdict_name(enum verdict verdict);

#endif
