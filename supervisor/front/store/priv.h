/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the store share: the database, its statements, and the tables' columns. */
#ifndef SUPERVISOR_FRONT_STORE_PRIV_H
#define SUPERVISOR_FRONT_STORE_PRIV_H

#include "supervisor/front/store/row.h"
#include "supervisor/front/store/schema.h"
#include "supervisor/front/store/store.h"

/* Those that are compiled once: the first three for any change (db.c), the others of tasks. */
enum statement {
	ST_BEGIN,
	ST_COMMIT,
	ST_ROLLBACK,
	ST_INSERT,
	ST_UPDATE,
	ST_DELETE,
	ST_DELETE_HISTORY,
	ST_EVENT,
	ST_GET,
	ST_LIST_ACTIVE,
	ST_FIND,
	ST_OLDEST,
	ST_HISTORY,
	ST_COUNTS,
	ST_CANCEL,
	ST_MAX
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *st[ST_MAX];
	bool in_slice; /* store_begin_slice: until its end nothing waits for the disk */
};

/* Begins a transaction. After an error nothing has begun, and there is nothing to end. */
int store_begin(struct store *store, struct err *e);
/* In place of store_begin where store_end is not to wait for the disk. */
int store_begin_slice(struct store *store, struct err *e);
/*
 * Ends the transaction, whatever has become of it: with r 0 it is written, and with an error in r it
 * is undone. Returns r, or why it could not be written; it is undone then, too. Where nothing has
 * begun an error is only handed on.
 */
int store_end(struct store *store, int r, struct err *e);

/* What SQLite says of its last failure: "the task store cannot ...". */
int store_fail(struct store *store, struct err *e, const char *doing);
/* Statements with ';' between them that return no rows. */
int store_exec(struct store *store, const char *sql, const char *doing, struct err *e);
/* One statement that returns no row. types: a letter for each ?: s a text (NULL: null), i an
 * sqlite3_int64. Not for what is done often, which is compiled once; nor for whole rows (row.h). */
int store_sql(struct store *store, const char *sql, const char *types, struct err *e, ...);
/* Compiles a statement for as long as the store is open. */
int store_prepare(struct store *store, enum statement i, const char *sql, struct err *e);
/* Runs it, bound, for no rows, and makes it ready for the next time. */
int store_run(struct store *store, enum statement i, const char *doing, struct err *e);
/* migrate.c: brings the file to this release's version, or leaves it as it is. */
int store_migrate(struct store *store, const struct schema *const *schemas, struct err *e);

extern const struct table tasks_table;
struct task_record;
/* A row of tasks, checked. The caller clears *ret, also after an error. */
int task_row_read(sqlite3_stmt *st, struct task_record *ret, struct err *e);
/* What can be read of it, as store_damaged_fn has it. damage->code 0: all of it. */
int task_row_salvage(sqlite3_stmt *st, struct task_record *ret, struct err *damage, struct err *e);

#endif
