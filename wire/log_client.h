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

#include <pthread.h>

#include "lib/text.h"
#include "lib/util.h"
#include "wire/proto.h"

#define LOG_CLIENT_END 1

struct log_client_options {
	/* where the data of stdout and stderr is written; -1: nowhere */
	int out_fd, err_fd;
	bool timestamps; /* each line begins with the time when it came */
	/* each line begins with the hour, minute and second when it came (UTC) and this, as in
	 * "12:00:00: [www.0] "; NULL: not. Borrowed */
	const char *label;
	bool escape_out, escape_err; /* make control characters visible, for terminals */
	bool quiet;		     /* no markers about dropped bytes */
	/* Of each descriptor, where others write there too: only whole lines are written, while this is
	 * locked. A line that is longer than LOG_CLIENT_LINE_MAX goes in pieces, and one that has no end
	 * gets one. The caller's; NULL: what comes is written as it comes. */
	pthread_mutex_t *out_turn, *err_turn;
};

#define LOG_CLIENT_LINE_MAX 65536u

/* What was read of a line whose end has not come. */
struct log_held {
	char *bytes;
	size_t len, size;
};

struct log_client {
	struct log_client_options opts;
	struct log_text text[2]; /* stdout, stderr */
	struct log_held held[2]; /* where there is a turn */
	uint64_t next_cursor;
	uint64_t dropped, dropped_told, kept; /* bytes; dropped_told: what the last marker said */
	uint8_t drop_reason;
	/* ended: the END frame has come; complete: it was the end of the whole log */
	bool ended, complete;
	size_t n_buf; /* how many bytes of an incomplete frame are in buf */
	uint8_t *buf; /* ours */
};

/*
 * For how long a follower of a log asks for it again after breaks: as long as its patience lasts
 * after each of them, if something has come since the last one. All zeros: no connection has broken
 * yet.
 */
struct log_retry {
	uint64_t attached_ns; /* CLOCK_MONOTONIC; 0: not attached */
	/* the time of the first break since the connection was good; 0: none */
	uint64_t broke_ns;
};
/* Call this when a connection has been made. One that lasts a second was not just accepted and
 * closed, and counts as good, because a task may print nothing for hours, in which the daemon's
 * roles are restarted now and then. */
void log_retry_attached(struct log_retry *r);
/* Call this when something has come. */
void log_retry_went_well(struct log_retry *r);
/* Call this when the connection broke, or could not be made. */
void log_retry_broke(struct log_retry *r);
/* Whether no connection was good for so long. */
bool log_retry_is_over(const struct log_retry *r, uint64_t patience_ns);

/* 0; -EPROTO: no logger sends such a frame. */
int log_frame_check(const struct log_frame *h, struct err *e);
/* Makes the line that tells of dropped bytes; final: no more are dropped. Returns its length. buf
 * has 120 bytes at least. */
int log_marker_text(uint8_t reason, uint64_t kept, uint64_t dropped, bool final, char *buf,
		    size_t size);

/* Fills in descriptors 1 and 2, and escaping for those of them that are terminals. */
void log_client_defaults(struct log_client_options *ret);
int log_client_init(struct log_client *c, const struct log_client_options *opts);
void log_client_clear(struct log_client *c);
/* The cursor for LOG_FOLLOW: the first record that has not been written. */
uint64_t log_client_cursor(const struct log_client *c);
/* Forgets the incomplete frame of a connection that broke. */
void log_client_reconnect(struct log_client *c);
/* Reads what has come and writes it, without waiting on sock. See above for what it returns. */
int log_client_read(struct log_client *c, int sock, struct err *e);

#endif
