/* SPDX-License-Identifier: Apache-2.0 */
/* How a task's record maps to a row: one table of columns. For store.c and store_open.c alone. */
#ifndef SUPERVISOR_FRONT_STORE_ROW_H
#define SUPERVISOR_FRONT_STORE_ROW_H

#include <sqlite3.h>

#include "supervisor/front/store/task.h"

#define STORE_ROW_SQL_MAX 4096

enum store_row_sql {
	STORE_SQL_CREATE,  /* "id TEXT PRIMARY KEY, ..." */
	STORE_SQL_COLUMNS, /* "id, project, ..." */
	STORE_SQL_LIST,	   /* the same with an empty spec, which may be long */
	STORE_SQL_MARKS,   /* "?1, ?2, ..." */
	STORE_SQL_SETS,	   /* "project = ?2, ..." */
};

void store_row_sql(enum store_row_sql what, char *buf, size_t size);
/* "ALTER TABLE tasks ADD COLUMN ...;": those that this version (2 or 3) has and the one before it
 * has not. */
void store_row_upgrade(int version, char *buf, size_t size);
/* Binds every column; rec must live until the statement is reset. */
void store_row_bind(sqlite3_stmt *st, const struct task_record *rec);
/* Reads the statement's current row. The caller frees ret->spec, also after an error. */
int store_row_read(sqlite3_stmt *st, struct task_record *ret, struct err *e);

#endif
