/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes a task's text safe for a terminal: control characters (but tab, newline and CR LF), bytes
 * that are not UTF-8, and bidirectional overrides are written as \x1b, \u202e.
 */
#ifndef LIB_TEXT_H
#define LIB_TEXT_H

#include "lib/util.h"

#define LOG_TEXT_SHOWN 8

/* What has to be kept of one stream's text between two pieces. */
struct log_text {
	uint8_t utf8[4]; /* the beginning of a character that the last piece has cut */
	uint8_t n_utf8;
	bool cr;       /* a CR that may be followed by its LF */
	bool mid_line; /* the last byte that was written was not a newline; the caller may clear it */
};

/* Text that is being written to a descriptor. The first -errno stays, and nothing is written after
 * it. */
struct log_text_out {
	int fd, error;
	size_t len;
	char buf[4096];
};

/*
 * The length of the valid UTF-8 character with which p[0..n) begins, n > 0. 0: the character is cut
 * short; -1: the bytes are not a character (overlong, surrogate, beyond U+10FFFF, stray byte).
 */
int log_text_utf8(const uint8_t *p, size_t n, uint32_t *ret);
bool log_text_is_utf8(const void *text, size_t len); /* of the whole text */
/*
 * Writes to shown, with a NUL, what a terminal is to be shown for the character with which p[0..n)
 * begins, n > 0: the character itself, or \xNN or \uNNNN if it is a control character, changes the
 * direction of text or is not UTF-8. Returns how many bytes of p the character has.
 */
size_t log_text_show(const uint8_t *p, size_t n, char shown[LOG_TEXT_SHOWN]);
/* Writes everything, and waits also when fd is non-blocking. 0 or -errno. */
int log_text_write(int fd, const void *bytes, size_t len);
void log_text_flush(struct log_text_out *o);
/* Adds what waits for the rest of a character, when no rest will come. */
void log_text_settle(struct log_text_out *o, struct log_text *t);

/*
 * Writes a piece of a stream, with all of its lines. escape: for a terminal; stamp: what stands
 * before each line, NULL for nothing. 0 or -errno.
 */
int log_text_print(int fd, struct log_text *t, const void *bytes, size_t len, bool escape,
		   const char *stamp);

#endif
