/* SPDX-License-Identifier: Apache-2.0 */
/* What a task may use, and how it ended. Plain data; crosses the role boundary. */
#ifndef LIB_LIMITS_H
#define LIB_LIMITS_H

#include <stdint.h>

struct limits {
	uint64_t memory;    /* bytes, memory cgroup; >= LIMIT_MEMORY_MIN */
	uint64_t disk;	    /* bytes, size of each of the /tmp and /work tmpfs */
	uint64_t log_bytes; /* stdout + stderr bytes kept; more is counted and dropped */
	uint32_t cpu_milli; /* 1000 is one CPU */
	uint32_t pids;	    /* processes and threads of the task itself */
	uint32_t timeout_s; /* wall clock seconds from start to SIGKILL */
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

/* Projects, each of which has ids of its own on the host, by its slot (sandbox/sandbox.h). */
#define OWNERS_MAX 4096u

enum start_mode { START_AUTO = 0, START_COLD, START_RESTORE, START_FORK, START_MODE_MAX };

/* Why a task ended; names in limits.c, used in JSON and by people. */
enum verdict {
	VERDICT_NONE = 0,  /* "" : not ended */
	VERDICT_OK,	   /* "ok": exit status 0 */
	VERDICT_EXIT,	   /* "exit": any other exit status of its own */
	VERDICT_SIGNAL,	   /* "signal": died of a signal that we did not send */
	VERDICT_TIMEOUT,   /* "timeout": 124 */
	VERDICT_OOM,	   /* "oom": 137, the memory limit */
	VERDICT_PIDS,	   /* "pids": failed after meeting the pids limit */
	VERDICT_DISK,	   /* "disk": failed with its disk full */
	VERDICT_CANCELLED, /* "cancelled": by its owner */
	VERDICT_FAILED,	   /* "failed": the sandbox could not be made; 125 */
	VERDICT_LOST,	   /* "lost": the machine or the sandbox's init died under it */
	VERDICT_MAX
};

const char *start_mode_name(enum start_mode mode);
int start_mode_parse(const char *name); /* enum value or -EINVAL */
const char *verdict_name(enum verdict verdict);

#endif
