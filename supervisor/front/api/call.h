/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One call of a verb, by whichever socket it came, while its function runs. What was given is read
 * by name: on the control socket it is a member of the frame, over HTTP a word of the path (the
 * row's "{id}"), a parameter of the query or a member of the body. null is what was not given.
 *
 * A function reads all its keys, asks call_end whether they were right, acts, and answers by
 * call_reply, or later by a waiter (call_later): 0. -errno with *e filled: the caller answers.
 */
#ifndef SUPERVISOR_FRONT_API_CALL_H
#define SUPERVISOR_FRONT_API_CALL_H

#include "lib/json_strict.h"
#include "supervisor/front/serve/http/http.h"
#include "supervisor/front/serve/serve.h"

struct verb;

struct call {
	struct front *f;
	const struct verb *verb;
	struct client client;
	struct json_strict *in;	   /* what was given */
	struct http_request *http; /* NULL: it came by the control socket */
	/* The token's, or the one that was named. NULL: an operator's, of no project. */
	struct project *project;
	bool is_operator; /* all projects and the node are his */
	bool lenient;	/* what is given is read as IronWorker's clients want it: unknown keys of a
			 body are ignored, "2" is 2 */
	int *fds;	/* that came along, of the control socket */
	unsigned n_fds; /* at most the verb's fds_max */
	uint32_t uid;	/* of the caller; over HTTP the daemon's own */
	uint64_t received_ns; /* CLOCK_MONOTONIC when the last byte of it was read; 0: not known */
	const char *missing;  /* call_project: there is none of this name */
};

/* Each as json_strict's: NULL and false are "not given", or wrong: call_end tells. */
json_t *call_get(struct call *c, const char *key);
const char *call_string(struct call *c, const char *key, size_t max_len);
const char *call_note(struct call *c, const char *key, size_t max_len);
bool call_bool(struct call *c, const char *key, bool *ret);
bool call_int(struct call *c, const char *key, int64_t min, int64_t max, int64_t *ret);
json_t *call_array(struct call *c, const char *key, size_t max_items);
/* "project", which must be given: c->project, by its id, or on the control socket by its name. */
void call_project(struct call *c);
/* "id", which must be given; NULL: it was not. */
const char *call_id(struct call *c);
/* Something was given that nobody has read, or was wrong; or there is no such project. */
int call_end(struct call *c, struct err *e);
/* Reads "project", the last of what is read. */
int call_end_project(struct call *c, struct err *e);
/* Reads "project" and "id", the last of what is read. */
int call_project_and_id(struct call *c, const char **ret_id, struct err *e);

/* Steals the reference. NULL: out of memory. */
void call_reply(struct call *c, json_t *reply);
/* {"msg": msg} */
void call_message(struct call *c, const char *msg);
/* Answers when the change, which is marked, is durable, or could not be written. Steals the reference,
 * also on failure. */
int call_reply_when(struct call *c, struct change *change, json_t *reply, struct err *e);
/* The answer comes later. NULL with *e: it cannot. */
struct waiter *call_later(struct call *c, struct err *e);
/* The answer of a call that has asked for a change, and before that for w, so that nothing is changed
 * that cannot be answered: reply when the change is durable, or why it could not be written. change
 * NULL: it was refused, -ECANCELED. Steals the reference. */
int call_when(struct waiter *w, struct change *change, json_t *reply);

/* The handlers of both sockets; the second one is of rows whose `verb` is one. */
void call_by_control(struct front *f, struct request *req);
int call_by_http(struct http_request *r, struct err *e);
/* Of a row whose body is JSON and may be long; call_by_http() takes what it has read. */
extern const struct http_reader call_json_reader;
/* The free of a reader that makes a json_t. */
void call_json_free(void *what);

#endif
