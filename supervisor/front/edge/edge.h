/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the edge (nginx) is told: which workers there are, where their instances listen, and which
 * hosts lead to them. All of it is kept here as it was put last, so that an edge that was started
 * again is told it again. It goes by one connection to RUN/edge/edge.sock, one value after the other;
 * supervisor/edge/control.lua is the other end, and says what the values look like.
 *
 * What is put is sent when the front's loop turns next, so that several changes of one worker in one
 * turn are one. An edge that is away is waited for. The edge serves no request before it has been
 * told everything once.
 */
#ifndef SUPERVISOR_FRONT_EDGE_EDGE_H
#define SUPERVISOR_FRONT_EDGE_EDGE_H

#include <jansson.h>

#include "supervisor/front/base/capability.h"

#define EDGE_ID_LEN 32
#define EDGE_HEAD_MAX 4096u /* of an answer of the edge's */

/* key: "PROJECT/NAME". entry is stolen; NULL, which is no memory, is -ENOMEM. */
int edge_put_worker(struct front *f, const char *key, json_t *entry, struct err *e);
void edge_delete_worker(struct front *f, const char *key);
/* All routes: {"HOST": [{"path": "/...", "worker": KEY or null}, ...]}. hosts is stolen. */
int edge_put_hosts(struct front *f, json_t *hosts, struct err *e);
/* The edge has said "NEW ..." on wake.sock: it knows nothing. It is told all of it again. */
void edge_is_new(struct front *f);
/* True when what was put last of this worker has reached the edge: it sends no request any more to an
 * instance that is not in it. key "": the same of the routes. */
bool edge_has(const struct front *f, const char *key);
/* told is called each time that becomes true for a worker, or with "" for the routes. One function
 * only, for good. */
void edge_on_told(struct front *f, void (*told)(struct front *f, const char *key));

/* Without an edge everything above does nothing, and edge_has is true: so ask it after each put, and
 * wait for told only if it is false. */
extern const struct capability edge_capability;

/* For its test: reads the head of an answer. Its length; 0: there is more to come; -EPROTO. id: of the
 * edge, "" if the answer does not say. */
int edge_answer_parse(const char *text, size_t len, unsigned *status, char id[EDGE_ID_LEN + 1]);

#endif
