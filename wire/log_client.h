/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reading end of a follower's socket: parses frames and writes them where a
 * person or a pipe wants them. Used by `run` and `logs`.
 *
 *	struct log_client c;
 *	log_client_init(&c, &opts);
 *	again: give one end of a socketpair(AF_UNIX, SOCK_STREAM) to the front with
 *	       cursor = log_client_cursor(&c);
 *	for each time that the other end is readable:
 *		r = log_client_read(&c, sock, &e);
 *		LOG_CLIENT_END       the log is complete (or the snapshot: c.complete tells)
 *		-EAGAIN              wait until it is readable again
 *		-ECONNRESET          the logger went away: log_client_reconnect(&c), again
 *		-EPIPE               stdout or stderr is closed: stop, nobody reads
 *		other < 0            e tells
 *	log_client_clear(&c);
 *
 * The caller ignores SIGPIPE. Nothing is written twice nor left out over a
 * reconnect: a frame is written when it is there whole, and only then counted.
 */
#ifndef WIRE_LOG_CLIENT_H
#define WIRE_LOG_CLIENT_H

#include "lib/text.h"
#include "lib/util.h"
#include "wire/proto.h"

#define LOG_CLIENT_END 1

struct log_client_options {
	int out_fd, err_fd;	     /* where stdout and stderr frames go; -1: nowhere */
	bool timestamps;	     /* each line begins with the time of its arrival */
	bool escape_out, escape_err; /* control characters made visible: for terminals */
	bool quiet;		     /* no markers for dropped bytes */
};

struct log_client {
	struct log_client_options opts;
	struct log_text text[2]; /* stdout, stderr */
	uint64_t next_cursor;
	uint64_t dropped, dropped_told, kept; /* bytes; what the last marker said */
	uint8_t drop_reason;
	bool ended, complete; /* END was seen; it was the log's real end */
	size_t n_buf;	      /* bytes of an incomplete frame in buf */
	uint8_t *buf;	      /* owned */
};

/* 0, or -EPROTO: such a frame is never sent. */
int log_frame_check(const struct log_frame *h, struct err *e);
/* The line that tells of dropped bytes; final: there will be no more. Its length. buf >= 120. */
int log_marker_text(uint8_t reason, uint64_t kept, uint64_t dropped, bool final, char *buf,
		    size_t size);

/* Fills in the fds 1 and 2, and escaping for those that are terminals. */
void log_client_defaults(struct log_client_options *ret);
int log_client_init(struct log_client *c, const struct log_client_options *opts);
void log_client_clear(struct log_client *c);
/* The cursor for LOG_FOLLOW: the first record that has not been written. */
uint64_t log_client_cursor(const struct log_client *c);
/* Forgets the incomplete frame of a connection that broke. */
void log_client_reconnect(struct log_client *c);
/* Reads and writes what there is, without waiting on sock. See above. */
int log_client_read(struct log_client *c, int sock, struct err *e);
/* The same for bytes that are here already: 0, LOG_CLIENT_END or -errno. */
int log_client_feed(struct log_client *c, const void *bytes, size_t len, struct err *e);

#endif
