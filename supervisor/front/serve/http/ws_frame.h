/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Frames of a WebSocket (RFC 6455, section 5), from the server's side. All that comes is hostile: it
 * is taken only as the RFC has it, and a message is bounded. Nothing here knows of sockets (fuzzed).
 */
#ifndef SUPERVISOR_FRONT_SERVE_HTTP_WS_FRAME_H
#define SUPERVISOR_FRONT_SERVE_HTTP_WS_FRAME_H

#include "lib/util.h"

#define WS_MESSAGE_MAX (64u << 10) /* bytes, of a client's */
#define WS_CONTROL_MAX 125u	   /* RFC 6455, 5.5 */
#define WS_HEAD_MAX 14u		   /* of a frame */

enum ws_opcode {
	WS_CONTINUATION = 0,
	WS_TEXT = 1,
	WS_BINARY = 2,
	WS_CLOSE = 8,
	WS_PING = 9,
	WS_PONG = 10,
};

/* Why a connection is closed: RFC 6455, 7.4.1. */
#define WS_NORMAL 1000u
#define WS_GOING_AWAY 1001u
#define WS_PROTOCOL 1002u
#define WS_TOO_BIG 1009u

/* What has come. Zeros at first, but for the first member. */
struct ws_in {
	bool may_be_plain; /* frames without a mask are taken too, against RFC 6455, 5.1 */
	uint8_t head[WS_HEAD_MAX];
	unsigned n_head;
	uint64_t len, got; /* of the frame's payload, once its head is whole */
	uint64_t message;  /* bytes of the message whose frames come, of earlier ones */
	bool in_message;
	uint8_t control[WS_CONTROL_MAX]; /* the payload of a control frame */
};

/* A control frame is there whole; its payload is at most WS_CONTROL_MAX bytes. */
typedef void (*ws_control_fn)(void *arg, enum ws_opcode op, const uint8_t *data, size_t len);
/* Takes bytes of the connection. What is in messages nobody here wants: it is checked to be bounded,
 * and passed over. 0, or the status that the connection is to be closed with. */
unsigned ws_feed(struct ws_in *in, const uint8_t *bytes, size_t len, ws_control_fn fn, void *arg);

/* The head of a frame of the server's, which is one whole message; returns its bytes. */
unsigned ws_head(enum ws_opcode op, uint64_t len, uint8_t head[WS_HEAD_MAX]);

#define WS_ACCEPT_LEN 28
/* Sec-WebSocket-Accept for a Sec-WebSocket-Key; -EINVAL: it is none. */
int ws_accept(const char *key, char ret[WS_ACCEPT_LEN + 1]);
/* Whether a word is in a header's list, in any case. */
bool ws_list_has(const char *list, const char *word);

#endif
