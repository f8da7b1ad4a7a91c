/* SPDX-License-Identifier: Apache-2.0 */
/* Follows one task's log to its end, whatever happens to the daemon's roles meanwhile. */
#ifndef SUPERVISOR_CTL_FOLLOW_H
#define SUPERVISOR_CTL_FOLLOW_H

#include "supervisor/ctl/ctl.h"
#include "wire/log_client.h"

#define FOLLOW_ENDED 1
/* A way to a log. */
struct follow_way {
	/*
	 * Copies over one connection, from where the last one ended. FOLLOW_ENDED: to the log's end; 0:
	 * there is more, over another connection; -errno. *ret_news: something has come.
	 */
	int (*once)(void *arg, bool *ret_news, struct err *e);
	/* Whether the error means that whoever gives the log is away and may come back. */
	bool (*is_away)(const void *arg, int r, const struct err *e);
};
/* Copies to the log's end, and returns 0; or the first error that is none of being away, or the last when
 * nothing has come for half a minute. */
int follow_through(const struct follow_way *way, void *arg, struct log_retry *retry, struct err *e);

/* The way by the control socket. */
struct follow {
	struct ctl *ctl;
	char id[TASK_ID_LEN + 1]; /* or a prefix of one */
	bool live;		  /* true: until the log ends; false: what is there now */
	int streams;		  /* bits LOG_STREAM_OUT, LOG_STREAM_ERR */
	uint64_t since_ns;	  /* CLOCK_REALTIME; 0: from the beginning */
	int sock;		  /* ours, the socket on which frames come; -1: not attached */
	bool broke;		  /* it was attached, and the connection broke */
	struct log_retry retry;
	struct log_client log;
};

int follow_init(struct follow *f, struct ctl *ctl, const char *id,
		const struct log_client_options *opts);
void follow_clear(struct follow *f);

/*
 * Makes a pair of sockets. *ret_theirs is for the daemon; the caller sends and closes it. f->sock
 * is our end.
 */
int follow_socket(struct follow *f, int *ret_theirs, struct err *e);

/* Asks for the rest of the log, from the first record that has not been written out: f->sock. */
int follow_attach(struct follow *f, struct err *e);

/*
 * Copies the log to the options' descriptors until it ends, and returns 0. It attaches by the op
 * "logs" where f->sock is not attached, and again each time the connection breaks. -EPIPE: nobody
 * reads our output any longer; else -errno and *e.
 */
int follow_copy(struct follow *f, struct err *e);

#endif
