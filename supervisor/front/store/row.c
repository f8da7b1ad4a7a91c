// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/row.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

/* Room for a few lists of columns in one statement. */
#define STATEMENT_MAX (4 * ROW_SQL_MAX)

static bool is_owned(enum column_type type)
{
	return type == COLUMN_OWNED || type == COLUMN_OWNED_NULL;
}

static size_t row_sql_one(const struct table *t, enum row_sql what, unsigned i, char *buf,
			  size_t size)
{
	const struct column *c = &t->columns[i];
	int n = 0;

	switch (what) {
	case ROW_COLUMNS:
		n = snprintf(buf, size, "%s", c->name);
		break;
	case ROW_SELECT:
		n = snprintf(buf, size, "%s.%s", t->name, c->name);
		break;
	case ROW_LIST:
		n = is_owned(c->type) ? snprintf(buf, size, "''")
				      : snprintf(buf, size, "%s.%s", t->name, c->name);
		break;
	case ROW_MARKS:
		n = snprintf(buf, size, "?%u", i + 1);
		break;
	case ROW_SETS:
	case ROW_KEYS:
		n = snprintf(buf, size, "%s = ?%u", c->name, i + 1);
		break;
	}
	return (size_t)n;
}

void row_sql(const struct table *t, enum row_sql what, char *buf)
{
	const unsigned from = what == ROW_SETS ? t->n_keys : 0;
	const unsigned to = what == ROW_KEYS ? t->n_keys : t->n_columns;
	size_t n = 0;

	buf[0] = '\0';
	for (unsigned i = from; i < to && n < ROW_SQL_MAX; i++) {
		if (i > from)
			n += (size_t)snprintf(buf + n, ROW_SQL_MAX - n, "%s",
					      what == ROW_KEYS ? " AND " : ", ");
		if (n < ROW_SQL_MAX)
			n += row_sql_one(t, what, i, buf + n, ROW_SQL_MAX - n);
	}
}

static void bind_one(const struct column *c, sqlite3_stmt *st, int i, const char *p)
{
	const char *text;
	uint32_t u32;
	int32_t i32;
	uint64_t u64;
	bool b;

	switch (c->type) {
	case COLUMN_TEXT:
		(void)sqlite3_bind_text(st, i, p, -1, SQLITE_STATIC);
		break;
	case COLUMN_OWNED:
	case COLUMN_OWNED_NULL:
		memcpy(&text, p, sizeof(text));
		if (!text && c->type == COLUMN_OWNED)
			text = "";
		(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
		break;
	case COLUMN_BLOB:
		(void)sqlite3_bind_blob(st, i, p, (int)c->size, SQLITE_STATIC);
		break;
	case COLUMN_BOOL:
		memcpy(&b, p, sizeof(b));
		(void)sqlite3_bind_int(st, i, b);
		break;
	case COLUMN_U32:
		memcpy(&u32, p, sizeof(u32));
		(void)sqlite3_bind_int64(st, i, u32);
		break;
	case COLUMN_I32:
		memcpy(&i32, p, sizeof(i32));
		(void)sqlite3_bind_int64(st, i, i32);
		break;
	case COLUMN_U64:
		memcpy(&u64, p, sizeof(u64));
		(void)sqlite3_bind_int64(st, i, (sqlite3_int64)u64);
		break;
	}
}

void row_bind(const struct table *t, sqlite3_stmt *st, const void *row)
{
	for (unsigned i = 0; i < t->n_columns; i++)
		bind_one(&t->columns[i], st, (int)i + 1, (const char *)row + t->columns[i].offset);
}

/* The column holds a value of its type, which the member can be. Numbers of 32 bits with no sign may
 * have been written with one. */
static bool is_readable(const struct column *c, sqlite3_stmt *st, int i)
{
	const int type = sqlite3_column_type(st, i);
	const sqlite3_int64 v = type == SQLITE_INTEGER ? sqlite3_column_int64(st, i) : 0;
	const char *text;
	int bytes;

	switch (c->type) {
	case COLUMN_OWNED_NULL:
		if (type == SQLITE_NULL)
			return true;
		/* fall through */
	case COLUMN_TEXT:
	case COLUMN_OWNED:
		if (type != SQLITE_TEXT)
			return false;
		text = (const char *)sqlite3_column_text(st, i);
		bytes = sqlite3_column_bytes(st, i);
		return text && (c->type != COLUMN_TEXT || bytes < (int)c->size) &&
		       !memchr(text, '\0', (size_t)bytes);
	case COLUMN_BLOB:
		return type == SQLITE_BLOB && sqlite3_column_bytes(st, i) == (int)c->size;
	case COLUMN_BOOL:
	case COLUMN_U64:
		return type == SQLITE_INTEGER;
	case COLUMN_U32:
		return type == SQLITE_INTEGER && v >= INT32_MIN && v <= UINT32_MAX;
	case COLUMN_I32:
		return type == SQLITE_INTEGER && v >= INT32_MIN && v <= INT32_MAX;
	}
	return false;
}

/* The member is zeros. 0, -EPROTO: the column holds what the member cannot be; -ENOMEM. */
static int read_one(const struct column *c, sqlite3_stmt *st, int i, char *p)
{
	const sqlite3_int64 v = sqlite3_column_int64(st, i);
	const uint64_t u64 = (uint64_t)v;
	const uint32_t u32 = (uint32_t)v;
	const bool b = v != 0;
	const void *bytes;
	char *copy;

	if (!is_readable(c, st, i))
		return -EPROTO;
	switch (c->type) {
	case COLUMN_TEXT:
	case COLUMN_BLOB:
		bytes = c->type == COLUMN_TEXT ? (const void *)sqlite3_column_text(st, i)
					       : sqlite3_column_blob(st, i);
		memcpy(p, bytes, (size_t)sqlite3_column_bytes(st, i));
		return 0;
	case COLUMN_OWNED:
	case COLUMN_OWNED_NULL:
		bytes = sqlite3_column_text(st, i);
		if (!bytes)
			return 0;
		copy = strdup(bytes);
		memcpy(p, &copy, sizeof(copy));
		return copy ? 0 : -ENOMEM;
	case COLUMN_BOOL:
		memcpy(p, &b, sizeof(b));
		return 0;
	case COLUMN_U32:
	case COLUMN_I32:
		memcpy(p, &u32, sizeof(u32));
		return 0;
	case COLUMN_U64:
		memcpy(p, &u64, sizeof(u64));
		return 0;
	}
	return -EPROTO;
}

int row_salvage(const struct table *t, sqlite3_stmt *st, void *row, struct err *damage,
		struct err *e)
{
	*damage = (struct err){0};
	memset(row, 0, t->row_size);
	for (unsigned i = 0; i < t->n_columns; i++) {
		const struct column *c = &t->columns[i];
		int r = read_one(c, st, (int)i, (char *)row + c->offset);

		if (r == -ENOMEM)
			return err_set(e, ERR_SYSTEM, ENOMEM, "the task store");
		if (r < 0 && !damage->code)
			(void)err_set(damage, ERR_INTERNAL, 0,
				      "the task store's column %s of %s is damaged", c->name,
				      t->name);
	}
	return 0;
}

int row_read(const struct table *t, sqlite3_stmt *st, void *row, struct err *e)
{
	struct err damage;
	int r = row_salvage(t, st, row, &damage, e);

	return r == 0 && damage.code ? err_set(e, damage.code, 0, "%s", damage.msg) : r;
}

void row_clear(const struct table *t, void *row)
{
	for (unsigned i = 0; i < t->n_columns; i++) {
		char *p = (char *)row + t->columns[i].offset, *text;

		if (!is_owned(t->columns[i].type))
			continue;
		memcpy(&text, p, sizeof(text));
		free(text);
		text = NULL;
		memcpy(p, &text, sizeof(text));
	}
}

void row_text(sqlite3_stmt *st, int i, char *buf, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	(void)snprintf(buf, size, "%s", text ? text : "");
}

int store_ask(struct store *store, const char *sql, sqlite3_stmt **ret, struct err *e)
{
	if (sqlite3_prepare_v2(store->db, sql, -1, ret, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	return 0;
}

int store_next(struct store *store, sqlite3_stmt *st, struct err *e)
{
	int s = sqlite3_step(st);

	if (s == SQLITE_ROW)
		return 1;
	return s == SQLITE_DONE ? 0 : store_fail(store, e, "be read");
}

int store_select(struct store *store, const struct table *t, const char *rest, sqlite3_stmt **ret,
		 struct err *e)
{
	char columns[ROW_SQL_MAX], sql[STATEMENT_MAX];

	row_sql(t, ROW_SELECT, columns);
	(void)snprintf(sql, sizeof(sql), "SELECT %s%s", columns, rest);
	return store_ask(store, sql, ret, e);
}

int store_next_row(struct store *store, const struct table *t, sqlite3_stmt *st, void *row,
		   struct err *e)
{
	int r = store_next(store, st, e);

	if (r <= 0)
		return r;
	r = row_read(t, st, row, e);
	if (r == 0)
		return 1;
	row_clear(t, row);
	return r;
}

static int row_write(struct store *store, const struct table *t, const char *sql, const void *row,
		     struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store, sql, &st, e);

	if (r < 0)
		return r;
	row_bind(t, st, row);
	return sqlite3_step(st) == SQLITE_DONE ? 0 : store_fail(store, e, "be changed");
}

int store_insert(struct store *store, const struct table *t, const void *row, struct err *e)
{
	char columns[ROW_SQL_MAX], marks[ROW_SQL_MAX], sql[STATEMENT_MAX];

	row_sql(t, ROW_COLUMNS, columns);
	row_sql(t, ROW_MARKS, marks);
	(void)snprintf(sql, sizeof(sql), "INSERT INTO %s (%s) VALUES (%s)", t->name, columns,
		       marks);
	return row_write(store, t, sql, row, e);
}

int store_put(struct store *store, const struct table *t, const void *row, struct err *e)
{
	char columns[ROW_SQL_MAX], marks[ROW_SQL_MAX], sets[ROW_SQL_MAX], sql[STATEMENT_MAX];
	size_t n;

	row_sql(t, ROW_COLUMNS, columns);
	row_sql(t, ROW_MARKS, marks);
	row_sql(t, ROW_SETS, sets);
	n = (size_t)snprintf(sql, sizeof(sql), "INSERT INTO %s (%s) VALUES (%s) ON CONFLICT (",
			     t->name, columns, marks);
	for (unsigned i = 0; i < t->n_keys; i++)
		n += (size_t)snprintf(sql + n, sizeof(sql) - n, "%s%s", i ? ", " : "",
				      t->columns[i].name);
	(void)snprintf(sql + n, sizeof(sql) - n, ") DO UPDATE SET %s", sets);
	return row_write(store, t, sql, row, e);
}

int store_update(struct store *store, const struct table *t, const void *row, struct err *e)
{
	char sets[ROW_SQL_MAX], keys[ROW_SQL_MAX], sql[STATEMENT_MAX];

	row_sql(t, ROW_SETS, sets);
	row_sql(t, ROW_KEYS, keys);
	(void)snprintf(sql, sizeof(sql), "UPDATE %s SET %s WHERE %s", t->name, sets, keys);
	return row_write(store, t, sql, row, e);
}
