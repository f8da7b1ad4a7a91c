/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who criu is, and what is said to it.
 *
 * A checkpoint is what somebody's process has left behind, and criu does what a checkpoint says. So
 * criu has nothing that it could be talked into misusing. It is the unprivileged user that the
 * dumped process is, with CAP_CHECKPOINT_RESTORE and no other capability; it can gain no more
 * (no_new_privs, an empty bounding set); and its filter refuses what a restore never needs.
 * Whatever it restores inherits all that, until the init has confined it.
 */
#ifndef SANDBOX_CRIU_H
#define SANDBOX_CRIU_H

#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/limits.h"
#include "lib/util.h"

/* criu.c. Turns the calling process, which is root in the initial user namespace, into what criu is
 * to be; criu is executed next. id: its user and group; limits: the highest that a restored process
 * may have. */
int criu_become(uid_t id, const struct limits *limits, struct err *e);

/* criu_filter.c */
#define CRIU_FILTER_MAX 256
/* Builds criu's own filter, which every process that it restores keeps. *ret_n: the number of
 * instructions, at most CRIU_FILTER_MAX. */
void criu_filter(struct sock_filter bpf[CRIU_FILTER_MAX], size_t *ret_n);
int criu_attach_filter(struct err *e);
/*
 * Extends a policy's filter for a process that is to be dumped. criu has its parasite make system
 * calls in that process, and cannot suspend the filter meanwhile, which needs root. The caller
 * frees *ret.
 */
int criu_warm_filter(const struct sock_filter *policy, size_t n, struct sock_filter **ret,
		     size_t *ret_n, struct err *e);

/* criu_rpc.c. A request of criu's rpc.proto; it is encoded here because libcriu cannot express all
 * of it. */
struct criu_request {
	bool dump;	       /* true: dump; false: restore */
	int images_fd;	       /* a descriptor by criu's own number */
	pid_t pid;	       /* for a dump */
	unsigned timeout_s;    /* for a dump */
	const uint64_t *pipes; /* inode numbers at the dump, which stand for the caller's pipes */
	int n_pipes, pipes_fd; /* restore: criu's own number of the first pipe */
};
/* Sends the request and waits for the answer. *ret: the restored process, which criu has left
 * stopped. -EBADMSG: criu says that it has failed. */
int criu_ask(int sock, const struct criu_request *req, pid_t *ret, struct err *e);
/* Checks and reads an answer; public for tests. */
int criu_read_answer(const void *buf, size_t n, bool dump, pid_t *ret, struct err *e);

#endif
