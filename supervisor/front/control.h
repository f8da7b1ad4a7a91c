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
 *               package? log?                          [archive]     unless detach: event
 *                                                                    "started" start; event
 *                                                                    "finished" task
 *               log: true when fd 0 is the follower's socket (default: true when an fd is
 *               there that is not the archive); package: true when the last fd is the tar
 *               of the folder (default: true when there are two). wait: false is detach: true.
 * ps            all? limit? before?                                  tasks [newest first] truncated
 * inspect       id                                                   task history
 * wait          id                                                   event "finished" task
 * cancel        id force?                                            id status changed
 * logs          id follow? since_ns? streams? cursor?  log socket    id live
 *               streams: 1 stdout, 2 stderr, 3 both (default)
 * warm          image policy? imports? force?                        key existed dump_ms bytes
 *               imports: array of module names
 * images-in-use                                                      images [{name digest tasks}]
 * rm            id                                                   id
 * prune                                                              removed
 *
 * id: a whole task id or a unique prefix of at least 4 characters.
 */
#ifndef SUPERVISOR_FRONT_CONTROL_H
#define SUPERVISOR_FRONT_CONTROL_H

#include <jansson.h>

#include "sandbox/util.h"
#include "supervisor/proto.h"

struct front;
struct conn;

/* One request that has arrived whole. The handler may take fds (TAKE_FD); the rest are
 * closed after it returns. */
struct request {
	struct conn *conn;
	json_t *json;
	int fds[PROTO_FDS_MAX];
	unsigned n_fds;
	uint64_t received_ns; /* CLOCK_MONOTONIC when its last byte was read */
};

#endif
