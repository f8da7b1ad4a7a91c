/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who criu is, and what is said to it.
 *
 * A checkpoint is what somebody's process has left, and criu does what it says: so criu has
 * nothing that it could be talked into misusing. It is the unprivileged user that the dumped
 * process is, with CAP_CHECKPOINT_RESTORE and no other capability, can gain no more
 * (no_new_privs, an empty bounding set), and is under a filter that refuses what a restore
 * never needs. All that it restores inherits that, until the init has confined it for good.
 */
#ifndef SANDBOX_CRIU_H
#define SANDBOX_CRIU_H

#include <linux/filter.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/limits.h"
#include "lib/util.h"

/* criu.c. To be called right before criu is executed, as root of the initial user namespace.
 * id: user and group; limits: the highest that what is restored may have. */
int criu_become(uid_t id, const struct limits *limits, struct err *e);

/* criu_filter.c */
#define CRIU_FILTER_MAX 256
/* criu's own filter, which all that it restores has for good. *ret_n: up to CRIU_FILTER_MAX. */
void criu_filter(struct sock_filter bpf[CRIU_FILTER_MAX], size_t *ret_n);
int criu_attach_filter(struct err *e);
/*
 * A policy's filter for a process that is to be dumped: criu has its parasite make system calls
 * in there, and cannot suspend the filter meanwhile, which needs root. *ret is malloc'ed.
 */
int criu_warm_filter(const struct sock_filter *policy, size_t n, struct sock_filter **ret,
		     size_t *ret_n, struct err *e);

/* criu_rpc.c. The requests of criu's rpc.proto, encoded here: libcriu lacks what is asked for. */
struct criu_request {
	bool dump;	       /* else: restore */
	int images_fd;	       /* criu's own number */
	pid_t pid;	       /* dump */
	unsigned timeout_s;    /* dump */
	const uint64_t *pipes; /* inode numbers, which stand for pipes of the caller's */
	int n_pipes, pipes_fd; /* restore: criu's own number of the first of them */
};
/* Waits for the answer. *ret: the restored process, which has been left stopped. -EBADMSG when
 * criu says that it cannot be done. */
int criu_ask(int sock, const struct criu_request *req, pid_t *ret, struct err *e);
/* The answer's parts; for tests. */
int criu_read_answer(const void *buf, size_t n, bool dump, pid_t *ret, struct err *e);

#endif
