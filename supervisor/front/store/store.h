/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where tasks and their history are kept. This header hides the engine (SQLite, WAL,
 * synchronous=FULL: what change_commit has told to be durable survives a power cut).
 *
 * What writes rows is called within a transaction, and there are two kinds of it: a turn's, by
 * change_commit alone (change.h), and a slice's (store_slice). Every call returns 0 or -errno and
 * fills *e; a full disk is ERR_LIMIT, any other failure of the engine ERR_UNAVAILABLE, and the next
 * call may succeed again.
 */
#ifndef SUPERVISOR_FRONT_STORE_STORE_H
#define SUPERVISOR_FRONT_STORE_STORE_H

#include "supervisor/front/store/task.h"

struct schema;
struct store;

extern const struct schema tasks_schema; /* tasks, history */

/* What a log takes on the disk: of a task, or of a task of a project that has been removed. */
struct kept_log {
	char id[TASK_ID_LEN + 1]; /* of the task; of the project, and "" when there was no task */
	uint64_t bytes;
};

/*
 * Opens or creates the store in the folder dirfd. It changes the process's working
 * directory to dirfd for good: the engine names its files relative to it, so that no
 * folder above needs to be searchable by this role. schemas: those of all capabilities, in the
 * order in which they are loaded, NULL at the end (schema.h). ERR_CONFLICT: the file is another
 * release's, and is left as it is.
 */
int store_open(int dirfd, const struct schema *const *schemas, struct store **ret, struct err *e);
void store_free(struct store *store);

/*
 * For one slice of a long work: all that write writes, or nothing of it where it returns an error.
 * The disk is not waited for. The slice is whole or not there after a power cut, and durable with
 * the next transaction that waits, or with store_sync.
 */
int store_slice(struct store *store, int (*write)(void *arg, struct err *e), void *arg,
		struct err *e);
/* While much is written, a slice a turn: what a commit moves out of the log is as short as the slices are. */
void store_log_short(struct store *store, bool is_short);
int store_sync(struct store *store, struct err *e);

int store_task_insert(struct store *store, const struct task_record *rec, struct err *e);
int store_task_update(struct store *store, const struct task_record *rec, struct err *e);
/* The task and its history. Not an error when there is none. */
int store_task_delete(struct store *store, const char *id, struct kept_log *ret, struct err *e);
int store_event(struct store *store, const char *id, uint64_t time_ns, const char *event,
		const char *detail, struct err *e);

/* rec belongs to the callee during the call only, and so do its job and its payload: who takes
 * those sets them to NULL. A return other than 0 ends the walk and is returned. */
typedef int (*store_task_fn)(void *arg, struct task_record *rec);
/* The same of a row that is damaged, as *damage says. What can be read of it is in rec, the rest is zeros
 * and ""; where it is the id that cannot be read, that is "". */
typedef int (*store_damaged_fn)(void *arg, struct task_record *rec, const struct err *damage);
/* Tasks that have not ended, in the order in which they may start: a delay counts. */
int store_task_load_active(struct store *store, store_task_fn fn, store_damaged_fn damaged,
			   void *arg, struct err *e);
/* -ENOENT when there is none; the caller clears *ret. ERR_INTERNAL: its row is damaged. */
int store_task_get(struct store *store, const char *id, struct task_record *ret, struct err *e);
/* What can be read of one that is damaged, as store_damaged_fn has it. */
int store_task_salvage(struct store *store, const char *id, struct task_record *ret,
		       struct err *damage, struct err *e);
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
