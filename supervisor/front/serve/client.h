/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who has asked, by either socket, and how he is answered: at once (client_reply), or when what
 * was asked for has come to an end (struct waiter).
 */
#ifndef SUPERVISOR_FRONT_SERVE_CLIENT_H
#define SUPERVISOR_FRONT_SERVE_CLIENT_H

#include <jansson.h>
#include <sys/queue.h>

#include "lib/util.h"
#include "supervisor/front/store/change.h"

struct front;
struct conn;
struct http_request;

/* One of conn and http is set as long as the client is there and may be answered. */
struct client {
	struct front *f;
	struct conn *conn;	   /* of the control socket */
	struct http_request *http; /* answered once */
	json_t *tag;		   /* the control socket's, borrowed; NULL: the request has none */
	unsigned status;	   /* HTTP's, of an answer that is no error */
	/* What such an answer is over HTTP; steals the reference. NULL: as it is. */
	json_t *(*shape)(const struct http_request *r, json_t *reply);
};

/* {"ok": true, ...reply} with the request's tag, or reply as HTTP's body. Steals the reference;
 * NULL is an answer that the memory was too small for: the client loses its connection. */
void client_reply(struct client *c, json_t *reply);
/* The same of an object's text. */
void client_reply_text(struct client *c, const char *text, size_t len);
void client_fail(struct client *c, const struct err *e);

/*
 * A client whose answer comes later. Whoever makes one either keeps the pointer and ends the
 * waiter (waiter_end), or attaches it to a list of those who wait for the same: then it also goes
 * with its client, and with whatever has the list. On the control socket a waiter may be answered
 * several times before its end.
 */
struct waiter {
	struct client client; /* neither conn nor http: it has gone */
	struct waiter *next, **pprev;
	LIST_ENTRY(waiter) of_conn;	  /* those of its connection */
	bool accepted, started, finished; /* of run and wait: answers that are still due */
	/* Of one that is kept: called when its client has gone, and may free it. */
	void (*gone)(void *arg);
	void *gone_arg;
	struct change change; /* waiter_end_when */
	json_t *reply;
};

/* NULL with *e: out of memory, or the connection waits for too much already. */
struct waiter *waiter_new(const struct client *c, struct err *e);
void waiter_attach(struct waiter *w, struct waiter **list);
/* Its client has left. */
void waiter_gone(struct waiter *w);
static inline bool waiter_is_there(const struct waiter *w)
{
	return w->client.conn || w->client.http;
}
/* Without an answer: the call itself gives one, or nobody is there. */
void waiter_free(struct waiter *w);
/* Answers, and frees. Steals the reference; reply NULL: e is the answer. */
void waiter_end(struct waiter *w, json_t *reply, const struct err *e);
/* The same when the change, which is marked, is durable; or with the reason why it could not be
 * written. */
void waiter_end_when(struct waiter *w, struct change *change, json_t *reply);
/* waiter_end for each of a list. */
void waiter_end_all(struct waiter **list, json_t *reply, const struct err *e);
/* What a client reads while it waits: a line of JSON, by the socket that it has sent along (-1: none). Steals
 * the reference. Whoever does not read misses lines, and nobody waits for him. */
void client_tell(int progress_fd, json_t *line);

#endif
