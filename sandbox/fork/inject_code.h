/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What runs inside a template and its clone, and the page that it works on. The code
 * is in a section of its own and is copied into the template with this struct behind
 * it: it calls nobody and uses no data but this.
 */
#ifndef SANDBOX_FORK_INJECT_CODE_H
#define SANDBOX_FORK_INJECT_CODE_H

#include <stdint.h>

#include "sandbox/cgroup.h"
#include "sandbox/ns.h"

enum clone_fd { CLONE_FD_GO, CLONE_FD_OUT, CLONE_FD_ERR, CLONE_FD_STARTED, CLONE_FD_N };
/* Files of the image that a template may have open. */
#define CLONE_FILES_MAX 16
/* Namespaces, then enum clone_fd, then the files that a process joins a cgroup by, then those
 * in the place of the template's own. */
#define CLONE_FDS_MAX (CLONE_NS_N + CLONE_FD_N + CGROUP_N + CLONE_FILES_MAX)

/* Where it failed, for the error message. */
enum clone_step {
	CLONE_STEP_HELPER = 1,
	CLONE_STEP_RECEIVE,
	CLONE_STEP_CGROUP,
	CLONE_STEP_SETNS,
	CLONE_STEP_CLONE,
	CLONE_STEP_FILES,
	CLONE_STEP_STDIN,
	CLONE_STEP_FDS,
	CLONE_STEP_SESSION,
	CLONE_STEP_USER,
	CLONE_STEP_LIMIT,
	CLONE_STEP_CAPS,
	CLONE_STEP_DONE
};

struct inject_page {
	/* What the clone keeps of the template's thread, found out once. */
	uint64_t tid_address, robust_list, robust_len;
	uint64_t rseq, rseq_len, rseq_signature;
	uint64_t altstack[3];
	uint64_t nofile[2]; /* struct rlimit */
	/* clone3(2)'s arguments, each as in struct clone_args. */
	uint64_t helper_args[11], task_args[11];
	int32_t task_pid; /* of the clone in its pid namespace */
	int32_t sock, n_fds, high[CLONE_FD_N], places[CLONE_FD_N];
	/* The numbers of the template's own files, and flags for dup3(2). */
	int32_t n_files, files[CLONE_FILES_MAX], file_flags[CLONE_FILES_MAX];
	/* msghdr, iovec and room for the fds, as the kernel lays them out */
	uint64_t msg[7], iov[2];
	uint64_t cmsg[2 + (CLONE_FDS_MAX + 1) / 2];
	uint64_t byte;
	uint32_t cap_head[2], cap_data[6];
	char null_path[16];
	/* The answer. */
	int32_t step, error;
};

/* The same for a restored process, which moves into the user namespace that was made for it. */
enum confine_step {
	CONFINE_STEP_SOCKET = 1, /* it waits for the namespace */
	CONFINE_STEP_USERNS,
	CONFINE_STEP_SERVE,
	CONFINE_STEP_USER,
	CONFINE_STEP_LIMIT,
	CONFINE_STEP_CAPS,
	CONFINE_STEP_FILTER,
	CONFINE_STEP_DONE
};

struct inject_confine_page {
	uint64_t nofile[2]; /* struct rlimit */
	uint64_t filter[2]; /* struct sock_fprog: how many, where */
	/* msghdr, iovec and room for two fds, as the kernel lays them out */
	uint64_t msg[7], iov[2], cmsg[3], byte;
	int32_t sock[2];
	int32_t serve; /* where the socket of a run that serves goes; 0: it does not serve */
	uint32_t cap_head[2], cap_data[6];
	/* The answer. */
	int32_t step, error;
};

/* Code at INJECT_CODE, the page's struct at INJECT_DATA, the stack down from INJECT_SIZE. */
#define INJECT_CODE 0UL
#define INJECT_DATA 4096UL
#define INJECT_SIZE 16384UL

void inject_run(struct inject_page *p);
void inject_confine_run(struct inject_confine_page *p);
extern const char __start_inject_text[], __stop_inject_text[];

#endif
