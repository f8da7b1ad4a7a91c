/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A log's frames as text or as server-sent events. Pure: bytes of the logger's stream in,
 * bytes for the client out, so that it can be fuzzed.
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_LOG_FRAME_H
#define SUPERVISOR_FRONT_SERVE_HTTP_LOG_FRAME_H

#include "wire/proto.h"

struct http_log_format {
	bool events;
	/* events: a character of each stream whose rest is in a later frame */
	uint8_t cut[2][4], n_cut[2];
	/* text: drops that have not been told */
	uint64_t dropped, kept;
	uint8_t drop_reason;
	bool mid_line;
};

/*
 * Appends what one whole frame says to *buf (malloc'ed, grown; *len). The frame must have
 * passed log_frame_check. 0 or -ENOMEM.
 *
 * Events: "stdout" and "stderr" {"t", "text", "partial"}; "dropped" {"t", "reason", "bytes",
 * "kept"}; "end" {"complete"}. id is the frame's cursor. Bytes that are not UTF-8 are U+FFFD.
 */
int http_log_format(struct http_log_format *s, const struct log_frame *head, const uint8_t *data,
		    char **buf, size_t *len);

#endif
