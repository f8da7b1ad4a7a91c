/* SPDX-License-Identifier: Apache-2.0 */
/* Codes and their revisions in the store; for code.c. */
#ifndef SUPERVISOR_FRONT_STORE_CODE_H
#define SUPERVISOR_FRONT_STORE_CODE_H

#include "supervisor/front/code.h"
#include "supervisor/front/store.h"

/* project: an id. Takes code->spec when it returns 0 and keeps it. */
typedef int (*store_code_fn)(void *arg, const char *project, struct code *code);
int store_code_load(struct store *store, store_code_fn fn, void *arg, struct err *e);

/* The code as it is now, and the revision that it has become; one transaction. */
int store_code_put(struct store *store, const struct code *code, const char *revision_id,
		   struct err *e);
int store_code_paused(struct store *store, const char *id, bool paused, struct err *e);
/* With its revisions; within a transaction (store_begin). */
int store_code_delete(struct store *store, const char *id, struct err *e);
/* Of a code, newest first; only: 0, or the one that is asked for. */
int store_code_revisions(struct store *store, const char *code, uint32_t only, code_revision_fn fn,
			 void *arg, struct err *e);
/* The next ones, at most max, of all codes of all projects; at is zeros for the first ones. */
struct store_revision_at {
	char code[PROJECT_ID_LEN + 1];
	uint32_t revision;
};
int store_code_revisions_after(struct store *store, struct store_revision_at *at, unsigned max,
			       code_revision_fn fn, void *arg, bool *ret_more, struct err *e);
/* What a revision runs; ret is cleared at first, and the caller's. Its config and env are not
 * kept. -ENOENT without an error: it is no more. */
int store_code_revision_spec(struct store *store, const char *code, uint32_t revision,
			     struct code_spec *ret, struct err *e);
/* What a list asks of each of its rows, without all that the revision holds. "": it is no more. */
int store_code_revision_id(struct store *store, const char *code, uint32_t revision,
			   char ret[PROJECT_ID_LEN + 1], struct err *e);

#endif
