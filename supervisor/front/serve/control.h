/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control socket, as sandboxctl uses it; verbs.c has the functions. SOCK_STREAM; a frame is a
 * little-endian u32 length (1 to CONTROL_FRAME_MAX) and a JSON object of that length; fds ride on
 * the frame's first bytes. Frames may follow each other without waiting: each is handled
 * when it has arrived whole; answers that must wait come when they are ready. A request
 * with a key "tag" (any integer) has it echoed in each of its answers. Losing the
 * connection cancels nothing.
 *
 * Every answer is {"ok": true, ...} or {"ok": false, "code": err_code_name, "error": text}.
 * Keys that a row does not list are refused by name.
 *
 * op            keys (? optional)                      fds           answers
 * version                                                            version started_at pid proto
 *                                                                    http tasks
 * run           image task start? wait? detach?        [log socket]  event "accepted" id; then
 *               package? log? input? project?          [archive]     unless detach: event
 *                                                      [input]       "started" start; event
 *                                                                    "finished" task
 *               log: true when fd 0 is the follower's socket (default: true when an fd is
 *               there that is not the archive); package: true when the last fd is the tar
 *               of the folder (default: true when there are two). wait: false is detach: true.
 *               input: true when a connected Unix stream socket comes last, which is the stdin of
 *               a task that starts cold. One that waits for its turn while the front is restarted
 *               loses it. A client that has closed the connection before "accepted" has no
 *               task.
 * ps            all? limit? before? project? status?                 tasks [newest first] before
 *               code_name? label? from? to?
 *               before: null, or there are more: asked for with it, the next page
 * inspect       id                                                   task history
 * wait          id                                                   event "finished" task
 * cancel        id force?                                            msg id status changed
 * serve         project image task build?              log socket    as run's, which is told to stay
 *                                                      link socket
 *                                                      archive
 *                                                      [input]
 *               a run that belongs to the client: it ends when the client closes the link. Each
 *               byte that is written there is answered by '+' with a connection to the run, or by
 *               '-'. With build, '+' comes once, with the run's only connection, and unasked. task:
 *               as run's; its entry serves by descriptor 5
 * web_images    project                                              images [[name python]]
 * logs          id follow? since_ns? streams? cursor?  log socket    id live
 *               streams: 1 stdout, 2 stderr, 3 both (default)
 * warm          image policy? imports? force? wait?                  key existed dump_ms bytes
 *               imports: array of module names; wait: false answers at once, with msg
 * image_in_use                                                       images [{name digest tasks}]
 * templates                                                          templates
 * template_retire  id or all                                         msg templates: those retired
 *               id: a template's whole id; all: true
 * rm            id                                                   id
 * prune                                                              removed
 * project_create  name quota?                                        id name token warnings?
 *               token: the text of its first token, told this once
 * projects                                                           projects [by name]
 * project       project                                              as in projects
 * project_rm    project force?                                       msg
 *               error "unavailable": it goes, and waits for what is said; ask again
 * project_quota project quota                                        the project, warnings?
 * token_create  project label? operator?                             id label operator created_at
 *                                                                    used_at project_id token
 *               token: its text, told this once
 * tokens        project                                              tokens
 * token_revoke  project id                                           msg id
 * web_secret_set  project name secret value                          msg name
 * web_secret_ls   project name                                       secrets [{name changed_ns}]
 * web_secret_rm   project name secret                                msg name
 * web_kv_ls      project                                             namespaces [{id title}]
 * web_kv_create  project title                                       id title created_ns
 * web_kv_rm      project namespace                                   msg
 * web_kv_put     project namespace key           value               key
 *                metadata? expiration?
 * web_kv_get     project namespace key           value               len metadata? expiration?
 * web_kv_delete  project namespace key                               key
 * web_kv_keys    project namespace prefix?                           keys list_complete cursor?
 *                limit? cursor?
 *               value: a file, which is read, or which the value is written into. namespace: an
 *               id or a title. metadata: JSON's text; expiration: seconds since the epoch
 * web_tail       project name status? method?    socket              name
 *                search? sampling_rate? version?
 *               socket: a connected Unix stream socket, which gets a JSON object a line: an event;
 *               {"dropped": N}: so many events were not kept for a reader who is slow; {"end": WHY},
 *               the last. sampling_rate is a text, status and method are words with commas
 *               name: the worker's; secret: the secret's. Answered when no request meets the
 *               older ones any more
 *
 * project: its id or its name; of run: "default" when it is not given. quota: an object as
 * quota_from_json reads it (project.h).
 * id, of a task: a whole one or a unique prefix of at least 4 characters; of
 *     project, if that is given.
 */
#ifndef SUPERVISOR_FRONT_SERVE_CONTROL_H
#define SUPERVISOR_FRONT_SERVE_CONTROL_H

#include <jansson.h>

#include "lib/util.h"
#include "wire/frame.h"

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

/* control.c: the server. on_request is called once for each request that has arrived whole. */
typedef void (*control_fn)(struct front *f, struct request *req);
int control_init(struct front *f, control_fn on_request);
void control_clear(struct front *f);
/* uid of the peer. */
uint32_t conn_uid(const struct conn *conn);
/* Whether the peer has closed the connection: it reads no answer. */
bool conn_has_left(const struct conn *conn);
/* Queues one frame; steals the reference. A peer that does not read loses its connection. */
void conn_send(struct conn *conn, json_t *reply);
/* The same of an object's text; NULL: out of memory. */
void conn_send_text(struct conn *conn, const char *text, size_t len);

struct waiter;
/* The connection knows of the waiter, and tells it when it goes (waiter_gone). -EBUSY: it waits for
 * too much already. */
int conn_wait(struct conn *conn, struct waiter *w);
void conn_wait_no_more(struct conn *conn, struct waiter *w);

#endif
