/* SPDX-License-Identifier: Apache-2.0 */
/* One task's log, followed to its end whatever happens to the daemon's roles meanwhile. */
#ifndef SUPERVISOR_CTL_FOLLOW_H
#define SUPERVISOR_CTL_FOLLOW_H

#include "supervisor/ctl/ctl.h"
#include "wire/log_client.h"

struct follow {
	struct ctl *ctl;
	char id[TASK_ID_LEN + 1]; /* or a prefix of one */
	bool live;		  /* to the log's end; else what is there now */
	int streams;		  /* bits LOG_STREAM_OUT, LOG_STREAM_ERR */
	uint64_t since_ns;	  /* CLOCK_REALTIME; 0: all */
	int sock;		  /* the socket that the frames come on; -1: not attached */
	uint64_t attached_at;	  /* CLOCK_MONOTONIC */
	uint64_t broke_at;	  /* cursor at the last break of the connection */
	uint64_t give_up;	  /* CLOCK_MONOTONIC; 0 until the first break */
	struct log_client log;
};

int follow_init(struct follow *f, struct ctl *ctl, const char *id,
		const struct log_client_options *opts);
void follow_clear(struct follow *f);

/*
 * A socketpair whose *ret_theirs goes to the daemon (the caller closes it after it is
 * sent); ours is f->sock.
 */
int follow_socket(struct follow *f, int *ret_theirs, struct err *e);

/*
 * Copies the log to the options' fds until its end: 0. Attaches by the op "logs" where
 * f->sock is not attached, and again each time that the connection breaks. -EPIPE when
 * nobody reads our output any more; else -errno and *e.
 */
int follow_copy(struct follow *f, struct err *e);

#endif
