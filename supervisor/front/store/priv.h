/* SPDX-License-Identifier: Apache-2.0 */
/* Between store_open.c (the file, its schema, its statements) and store.c (their use). */
#ifndef SUPERVISOR_FRONT_STORE_PRIV_H
#define SUPERVISOR_FRONT_STORE_PRIV_H

#include "supervisor/front/store/row.h"
#include "supervisor/front/store/store.h"

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

/* What SQLite says of its last failure: "the task store cannot ...". */
int store_fail(struct store *store, struct err *e, const char *doing);
/* One statement that returns no row. types: a letter for each ?: s a text (NULL: null), i an
 * sqlite3_int64. Not for what is done often: it is compiled anew. */
int store_sql(struct store *store, const char *sql, const char *types, struct err *e, ...);

#endif
