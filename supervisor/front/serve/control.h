/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, as sandboxctl uses it. SOCK_STREAM; a frame is a little-endian
 * u32 length (1 to CONTROL_FRAME_MAX) and a JSON object of that length; fds ride on the
 * frame's first bytes. Frames may follow each other without waiting: each is handled
 * when it has arrived whole; answers that must wait come when they are ready. A request
 * with a key "tag" (any integer) has it echoed in each of its answers. Losing the
 * connection cancels nothing.
 *
 * Every answer is {"ok": true, ...} or {"ok": false, "code": err_code_name, "error": text}.
 * Keys that a row does not list are refused by name.
 *
 * op            keys (? optional)                      fds           answers
 * version                                                            version pid started_at proto
 * run           image task start? wait? detach?        [log socket]  event "accepted" id; then
 *               package? log? project?                 [archive]     unless detach: event
 *                                                                    "started" start; event
 *                                                                    "finished" task
 *               log: true when fd 0 is the follower's socket (default: true when an fd is
 *               there that is not the archive); package: true when the last fd is the tar
 *               of the folder (default: true when there are two). wait: false is detach: true.
 * ps            all? limit? before?                                  tasks [newest first] truncated
 *               truncated: there are more, those before the last one
 * inspect       id                                                   task history
 * wait          id                                                   event "finished" task
 * cancel        id force?                                            id status changed
 * logs          id follow? since_ns? streams? cursor?  log socket    id live
 *               streams: 1 stdout, 2 stderr, 3 both (default)
 * warm          image policy? imports? force?                        key existed dump_ms bytes
 *               imports: array of module names
 * image_in_use                                                       images [{name digest tasks}]
 * templates                                                          templates
 * template_retire  id or all                                         templates: those retired
 *               id: a template's whole id; all: true
 * rm            id                                                   id
 * prune                                                              removed
 * project_create  name quota?                                        project token
 *               token: the text of its first token, told this once
 * projects                                                           projects [by name]
 * project_rm    project force?                                       removed waits_for
 *               removed false: it goes, and waits for what waits_for says; ask again
 * project_quota project quota                                        project
 * token_create  project label? operator?                             project token text
 * tokens        project                                              project tokens
 * token_revoke  project id                                           id
 *
 * project: its id or its name; of run: "default" when it is not given. quota: an object as
 * quota_from_json reads it (project.h).
 * id, of a task: a whole one or a unique prefix of at least 4 characters.
 */
#ifndef SUPERVISOR_FRONT_SERVE_CONTROL_H
#define SUPERVISOR_FRONT_SERVE_CONTROL_H

#include <jansson.h>

#include "lib/util.h"
#include "wire/proto.h"

struct front;
struct conn;

/* One request that has arrived whole. The handler may take fds (TAKE_FD); the rest are
 * closed after it returns. */
struct request {
	struct conn *conn;
	char *text; /* len bytes of JSON; not terminated */
	size_t len;
	int fds[PROTO_FDS_MAX];
	unsigned n_fds;
	uint64_t received_ns; /* CLOCK_MONOTONIC when its last byte was read */
};

/* What has been read of one frame, and nothing else: no socket, so that it can be fuzzed
 * (frame.c; frame_recv.c has the socket's part). */
struct frame {
	uint8_t head[4];
	char *body;		    /* owned; grows with what arrives, never by what is announced */
	size_t got, len, allocated; /* got counts head and body */
	int fds[PROTO_FDS_MAX];
	unsigned n_fds;
};
/* Where the next bytes go, and at most how many: up to the end of this frame. 0, or
 * -ENOMEM. */
int frame_room(struct frame *frame, void **ret, size_t *ret_len);
/* n bytes have been put there. 1: the frame is whole; 0: more is needed; -EPROTO: its
 * length is out of bounds. */
int frame_took(struct frame *frame, size_t n);
/* Closes its fds and frees its memory. */
void frame_clear(struct frame *frame);
/* What is there for it now, as by frame_took; -EAGAIN when that is nothing. */
int frame_recv(struct frame *frame, int sock);

/* control.c: the server. on_request is called once for each request that has arrived whole. */
typedef void (*control_fn)(struct front *f, struct request *req);
int control_init(struct front *f, control_fn on_request);
void control_clear(struct front *f);
/* Ends what takes too long; asks for the next tick. */
void control_tick(struct front *f, uint64_t now_ns);
/* uid of the peer. */
uint32_t conn_uid(const struct conn *conn);
/* Queues one frame; steals the reference. A peer that does not read loses its connection. */
void conn_send(struct conn *conn, json_t *reply);

struct waiter;
/* A waiter for this connection, or NULL: out of memory or too many. tag may be NULL. */
struct waiter *waiter_new(struct conn *conn, json_t *tag);
void waiter_attach(struct waiter *w, struct waiter **list);
void waiter_free(struct waiter *w);
/* Sends an answer with the waiter's tag; steals the reference. */
void waiter_send(struct waiter *w, json_t *reply);

#endif
