/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A task's text for a terminal: control characters (but for tab, newline and CR LF),
 * bytes that are not UTF-8 and bidirectional overrides become visible: \x1b, \u202e.
 */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include "lib/util.h"

/* What is remembered of one stream's text from piece to piece. */
struct log_text {
	uint8_t utf8[4]; /* a character that the last piece cut */
	uint8_t n_utf8;
	bool cr;       /* a CR that waits for its LF */
	bool mid_line; /* the last byte written was not a newline; the caller's */
};

/* Text on its way to a file descriptor. The first -errno stays, then nothing is written. */
struct log_text_out {
	int fd, error;
	size_t len;
	char buf[4096];
};

/*
 * Length of the valid UTF-8 character that p[0..n) begins with, n > 0; 0 when it is cut
 * short; -1 when it is none (overlong, surrogate, beyond U+10FFFF, stray byte).
 */
int log_text_utf8(const uint8_t *p, size_t n, uint32_t *ret);
/* Writes everything, waiting also where fd is non-blocking. 0 or -errno. */
int log_text_write(int fd, const void *bytes, size_t len);
void log_text_add(struct log_text_out *o, const void *bytes, size_t len);
void log_text_flush(struct log_text_out *o);
/* Adds a piece that holds no newline. */
void log_text_escape(struct log_text_out *o, struct log_text *t, const uint8_t *p, size_t len);
void log_text_newline(struct log_text_out *o, struct log_text *t);
/* Adds what still waits for a rest that will not come. */
void log_text_settle(struct log_text_out *o, struct log_text *t);

#endif
