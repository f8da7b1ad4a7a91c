/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a struct and a row of a table are the same: each table of the store has one list of its
 * columns, from which its statements are written, and by which rows are bound and read. Nothing
 * else counts columns. For the files of this folder, and their tests.
 */
#ifndef SUPERVISOR_FRONT_STORE_ROW_H
#define SUPERVISOR_FRONT_STORE_ROW_H

#include <sqlite3.h>
#include <stddef.h>

#include "lib/util.h"

struct store;

#define ROW_SQL_MAX 4096

enum column_type {
	COLUMN_TEXT,	   /* char[n] */
	COLUMN_OWNED,	   /* char *, of any length, freed with the row; NULL is written as "" */
	COLUMN_OWNED_NULL, /* the same; NULL is written as NULL */
	COLUMN_BLOB,	   /* uint8_t[n], all of it */
	COLUMN_BOOL,
	COLUMN_U32,
	COLUMN_I32,
	COLUMN_U64,
};

struct column {
	const char *name;
	enum column_type type;
	size_t offset, size;
};

struct table {
	const char *name;
	size_t row_size;
	unsigned n_keys; /* so many columns, the first ones, are the primary key */
	const struct column *columns;
	unsigned n_columns;
};

/* A member of a struct that is a row. */
#define COLUMN(row, name, type, member)                                                            \
	{                                                                                          \
		name, type, offsetof(struct row, member), sizeof(((struct row *)NULL)->member)     \
	}
#define TABLE(name, row, n_keys, columns)                                                          \
	{                                                                                          \
		name, sizeof(struct row), n_keys, columns, ARRAY_SIZE(columns)                     \
	}

enum row_sql {
	ROW_COLUMNS, /* "id, project, ..." */
	ROW_SELECT,  /* "tasks.id, tasks.project, ..." */
	ROW_LIST,    /* the same with '' for owned texts, which may be long */
	ROW_MARKS,   /* "?1, ?2, ..." */
	ROW_SETS,    /* "project = ?2, ...": all but the key */
	ROW_KEYS,    /* "id = ?1" */
};

/* buf: of ROW_SQL_MAX bytes. */
void row_sql(const struct table *t, enum row_sql what, char *buf);
/* Every column, from the parameter ?1 on; row must live until the statement is reset. */
void row_bind(const struct table *t, sqlite3_stmt *st, const void *row);
/* The statement's current row, of which the table's columns are the first ones. What row held is
 * overwritten, not freed. The caller clears row, also after an error. */
int row_read(const struct table *t, sqlite3_stmt *st, void *row, struct err *e);
/* The same of a row that may be damaged: a column that holds what the member cannot be is zeros, and
 * the first such one is told in *damage, whose code is 0 where there is none. -ENOMEM with *e. */
int row_salvage(const struct table *t, sqlite3_stmt *st, void *row, struct err *damage,
		struct err *e);
/* Frees the owned texts. */
void row_clear(const struct table *t, void *row);

/* One row, by a statement that is compiled for it: not for what is done often. */
int store_insert(struct store *store, const struct table *t, const void *row, struct err *e);
/* A new row, or in place of the one that has its key. */
int store_put(struct store *store, const struct table *t, const void *row, struct err *e);
/* The columns of t, which may be some of the table's, in the row that has its key. */
int store_update(struct store *store, const struct table *t, const void *row, struct err *e);

/* "SELECT ... " and the rest of it, which begins with " FROM" or with ", more FROM". The caller
 * finalizes *ret (_cleanup_stmt_). */
int store_select(struct store *store, const struct table *t, const char *rest, sqlite3_stmt **ret,
		 struct err *e);
/* Another statement that returns rows. */
int store_ask(struct store *store, const char *sql, sqlite3_stmt **ret, struct err *e);
/* 1: there is another row. 0: there was none any more. -errno. */
int store_next(struct store *store, sqlite3_stmt *st, struct err *e);
/* The same, and the row is read: the caller clears it when 1 is returned. */
int store_next_row(struct store *store, const struct table *t, sqlite3_stmt *st, void *row,
		   struct err *e);

static inline void row_stmt_cleanup(sqlite3_stmt **st)
{
	(void)sqlite3_finalize(*st);
}
#define _cleanup_stmt_ __attribute__((cleanup(row_stmt_cleanup)))

/* One column of a statement's current row, cut to what buf holds; NULL is "". */
void row_text(sqlite3_stmt *st, int i, char *buf, size_t size);

#endif
