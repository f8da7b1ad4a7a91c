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
#include <sys/queue.h>

#include "supervisor/front/base/capability.h"
#include "supervisor/front/base/turn.h"

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
/* told is called each time that becomes true for a worker, or with "" for the routes; a few functions,
 * for good. */
void edge_on_told(struct front *f, void (*told)(struct front *f, const char *key));

/* What answers at NAME.PROJECT.DOMAIN without a route has one owner. taken says whether somebody has the
 * name already, who may be no worker, and fills *e then; a few functions, for good. */
typedef bool (*edge_name_fn)(struct front *f, struct project *p, const char *name, struct err *e);
void edge_on_name(struct front *f, edge_name_fn taken);
/* Asks all of them; 0, or ERR_CONFLICT. */
int edge_check_name(struct front *f, struct project *p, const char *name, struct err *e);

/* wake.c: a request that waits at the edge until there is an instance for it. */
struct edge_asker;
struct edge_wake {
	TAILQ_ENTRY(edge_wake) next;
	struct edge_asker *asker;
	struct timer late;
};
TAILQ_HEAD(edge_wakes,
	   edge_wake); /* which wait for the same; whoever has it begins it (TAILQ_INIT) */
/* The edge has no instance of this version of PROJECT/NAME. 0: the request waits in *ret, which is
 * answered later. -ENOENT: it is not for this one to say, and *e is not looked at. Else *e is what the
 * client is told. */
typedef int (*edge_wake_fn)(struct front *f, const char *project, const char *name,
			    const char *version, struct edge_wakes **ret, struct err *e);
/* They are asked in turn, for good. */
void edge_on_wake(struct front *f, edge_wake_fn fn);
/* All of them are answered: with an instance, whose socket has its name; NULL: with why there is none. */
void edge_wake_answer(struct edge_wakes *wakes, const char *instance, const struct err *error);
int edge_wake_load(struct front *f, struct err *e);
int edge_wake_start(struct front *f, struct err *e);
void edge_wake_stop(struct front *f);
void edge_wake_clear(struct front *f);

/* socket.c: a socket that listens, RUN/edge/i/NAME.sock. A run's has its id as its name, or begins
 * with that. */
#define EDGE_SOCKET_MAX 60u
int edge_socket_make(struct front *f, const char *name, int *ret, struct err *e);
void edge_socket_remove(struct front *f, const char *name);
/* A connection to it, non-blocking; or -errno, -EAGAIN where too many wait to be accepted. */
int edge_socket_connect(const struct front *f, const char *name);

/* address.c: where NAME of the project answers without a route, as the node itself would ask for it,
 * "http://NAME.PROJECT.DOMAIN:PORT"; "": nowhere. */
#define EDGE_URL_MAX 512u
void edge_url(struct front *f, const char *name, const char *project, char *buf, size_t size);
/* The domain of such hosts; "": there is none. */
void edge_domain(struct front *f, char *buf, size_t size);

/* Without an edge everything above but the sockets does nothing, and edge_has is true: so ask it after each put, and
 * wait for told only if it is false. */
extern const struct capability edge_capability;

/* For its test: reads the head of an answer. Its length; 0: there is more to come; -EPROTO. id: of the
 * edge, "" if the answer does not say. */
int edge_answer_parse(const char *text, size_t len, unsigned *status, char id[EDGE_ID_LEN + 1]);

#endif
