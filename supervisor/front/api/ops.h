/* SPDX-License-Identifier: Apache-2.0 */
/* One operation of the control socket: its row in the table and its handler. */
#ifndef SUPERVISOR_FRONT_API_OPS_H
#define SUPERVISOR_FRONT_API_OPS_H

#include "lib/json_strict.h"
#include "supervisor/front/api/shapes.h"
#include "supervisor/front/serve/serve.h"

/* A request while it is handled. */
struct op {
	struct front *f;
	struct request *req;
	struct json_strict *in; /* the request's object */
	json_t *tag;		/* borrowed; NULL when there is none */
};

/*
 * Reads its keys, ends the reader, acts, and answers by op_reply or by a waiter: 0.
 * -errno with *e filled: the caller answers.
 */
typedef int (*op_fn)(struct op *op, struct err *e);

/* The table of operations: control_init's handler. */
void ops_handle(struct front *f, struct request *req);
/* Gives waiters the answers that they are due. */
extern const struct listener ops_listener;

void op_reply(struct op *op, json_t *reply);
/* A waiter in *list; -errno when that is not possible. */
int op_wait(struct op *op, struct waiter **list, struct waiter **ret, struct err *e);
/* Who asked for what is done in slices and answered by ops_answer_all: the connection may go
 * before, and with it the waiter. The caller frees it in the end. */
struct op_asked {
	struct waiter *waiters;
};
int op_ask(struct op *op, struct op_asked **ret, struct err *e);
/* Answers every waiter of the list with e, or with a copy of reply, and frees them. */
void ops_answer_all(struct waiter **list, json_t *reply, const struct err *e);
void op_ask_no_more(struct op_asked *asked); /* the call itself answers; NULL is ignored */
/* Reads "id" and ends the reader: a whole id. */
int op_id(struct op *op, char ret[TASK_ID_LEN + 1], struct err *e);
/* fds[i] must be a stream socket: what a log is written to. */
int op_check_follower(const struct op *op, unsigned i, struct err *e);

/* ops_run.c */
int op_run(struct op *op, struct err *e);
/* ops_task.c */
int op_ps(struct op *op, struct err *e);
int op_inspect(struct op *op, struct err *e);
int op_wait_task(struct op *op, struct err *e);
int op_cancel(struct op *op, struct err *e);
int op_rm(struct op *op, struct err *e);
int op_prune(struct op *op, struct err *e);
/* ops_node.c */
int op_version(struct op *op, struct err *e);
int op_logs(struct op *op, struct err *e);
int op_warm(struct op *op, struct err *e);
int op_images_in_use(struct op *op, struct err *e);
json_t *ops_images_in_use(struct front *f); /* [{"name", "digest", "tasks"}] */
int op_templates(struct op *op, struct err *e);
int op_template_retire(struct op *op, struct err *e);
/* ops_project.c */
int op_project_create(struct op *op, struct err *e);
int op_projects(struct op *op, struct err *e);
int op_project_rm(struct op *op, struct err *e);
int op_project_quota(struct op *op, struct err *e);
int op_token_create(struct op *op, struct err *e);
int op_tokens(struct op *op, struct err *e);
int op_token_revoke(struct op *op, struct err *e);

#endif
