/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tasks and their history are kept. This header hides the engine (SQLite, WAL,
 * synchronous=FULL: what store_commit returned 0 for survives a power cut).
 *
 * Writes happen between store_begin and store_commit or store_rollback. Every call
 * returns 0 or -errno and fills *e; a full disk is ERR_LIMIT, any other failure of the
 * engine ERR_UNAVAILABLE, and the next call may succeed again.
 */
#ifndef SUPERVISOR_FRONT_STORE_STORE_H
#define SUPERVISOR_FRONT_STORE_STORE_H

#include "supervisor/front/store/task.h"

struct store;

/* What a log takes on the disk: of a task, or of a task of a project that has been removed. */
struct kept_log {
	char id[TASK_ID_LEN + 1]; /* of the task; of the project, and "" when there was no task */
	uint64_t bytes;
};

/*
 * Opens or creates the store in the folder dirfd. It changes the process's working
 * directory to dirfd for good: the engine names its files relative to it, so that no
 * folder above needs to be searchable by this role.
 */
int store_open(int dirfd, struct store **ret, struct err *e);
void store_free(struct store *store);

int store_begin(struct store *store, struct err *e);
int store_commit(struct store *store, struct err *e);
/*
 * For one slice of a long work, in place of store_begin: its store_commit does not wait for the
 * disk. It is whole or not there after a power cut, and durable with the next one that waits, or
 * with store_sync.
 */
int store_begin_slice(struct store *store, struct err *e);
int store_sync(struct store *store, struct err *e);
void store_rollback(struct store *store);

int store_task_insert(struct store *store, const struct task_record *rec, struct err *e);
int store_task_update(struct store *store, const struct task_record *rec, struct err *e);
/* The task and its history. Not an error when there is none. */
int store_task_delete(struct store *store, const char *id, struct kept_log *ret, struct err *e);
int store_event(struct store *store, const char *id, uint64_t time_ns, const char *event,
		const char *detail, struct err *e);

/* rec belongs to the callee during the call only (rec->spec too, unless it is taken by
 * TAKE_PTR). A return other than 0 ends the walk and is returned. */
typedef int (*store_task_fn)(void *arg, struct task_record *rec);
/* Tasks that have not ended, in the order in which they may start: a delay counts. */
int store_task_load_active(struct store *store, store_task_fn fn, void *arg, struct err *e);
/* -ENOENT when there is none; the caller frees ret->spec. */
int store_task_get(struct store *store, const char *id, struct task_record *ret, struct err *e);
/* The id that starts with prefix; -ENOENT when none, -EEXIST when several do. */
int store_task_find(struct store *store, const char *prefix, char ret[TASK_ID_LEN + 1],
		    struct err *e);
/* Where more than keep tasks have finished: ids of some, at most max, the oldest of the project
 * that has the most. So a busy project loses its own history and no other's. */
int store_task_oldest(struct store *store, uint64_t keep, unsigned max,
		      char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e);

typedef int (*store_event_fn)(void *arg, uint64_t time_ns, const char *event, const char *detail);
int store_history(struct store *store, const char *id, store_event_fn fn, void *arg, struct err *e);

#endif
