// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/projects.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

/* Prepared each time: an operator's act, or the daemon's start. */
static sqlite3_stmt *prepare(struct store *store, const char *sql, struct err *e)
{
	sqlite3_stmt *st = NULL;

	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK)
		(void)store_fail(store, e, "prepare its statements");
	return st;
}

static int run(struct store *store, sqlite3_stmt *st, const char *doing, struct err *e)
{
	int r = sqlite3_step(st) == SQLITE_DONE ? 0 : store_fail(store, e, doing);

	(void)sqlite3_finalize(st);
	return r;
}

static void bind_text(sqlite3_stmt *st, int i, const char *text)
{
	(void)sqlite3_bind_text(st, i, text, -1, SQLITE_STATIC);
}

static void bind_count(sqlite3_stmt *st, int i, uint64_t n)
{
	(void)sqlite3_bind_int64(st, i, (sqlite3_int64)n);
}

static uint64_t read_count(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

/* False: it is too long, or none. */
static bool read_text(sqlite3_stmt *st, int i, char *ret, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	return text && (size_t)snprintf(ret, size, "%s", text) < size;
}

/* The columns of a quota, in the order of bind_quota and read_quota. */
#define QUOTA_COLUMNS                                                                              \
	"running, queued, schedules, memory, package_bytes, log_bytes, package_files, "            \
	"kept_log_bytes, policies, images"

/* From parameter i on. */
static void bind_quota(sqlite3_stmt *st, int i, const struct quota *q)
{
	bind_count(st, i, q->running);
	bind_count(st, i + 1, q->queued);
	bind_count(st, i + 2, q->schedules);
	bind_count(st, i + 3, q->memory);
	bind_count(st, i + 4, q->package_bytes);
	bind_count(st, i + 5, q->log_bytes);
	bind_count(st, i + 6, q->package_files);
	bind_count(st, i + 7, q->kept_log_bytes);
	bind_text(st, i + 8, q->policies);
	bind_text(st, i + 9, q->images);
}

/* From column i on. False: a list of names is too long. */
static bool read_quota(sqlite3_stmt *st, int i, struct quota *ret)
{
	*ret = (struct quota){.running = (uint32_t)read_count(st, i),
			      .queued = (uint32_t)read_count(st, i + 1),
			      .schedules = (uint32_t)read_count(st, i + 2),
			      .memory = read_count(st, i + 3),
			      .package_bytes = read_count(st, i + 4),
			      .log_bytes = read_count(st, i + 5),
			      .package_files = (uint32_t)read_count(st, i + 6),
			      .kept_log_bytes = read_count(st, i + 7)};
	return read_text(st, i + 8, ret->policies, sizeof(ret->policies)) &&
	       read_text(st, i + 9, ret->images, sizeof(ret->images));
}

static int damaged(struct err *e, const char *what)
{
	return err_set(e, ERR_INTERNAL, 0, "the task store holds a %s that is none", what);
}

/* r: of the last call for a row; s: the last step's. Ends the walk. */
static int walked(struct store *store, sqlite3_stmt *st, int s, int r, struct err *e)
{
	if (r == 0 && s != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(st);
	return r;
}

int store_project_load(struct store *store, store_project_fn fn, void *arg, struct err *e)
{
	sqlite3_stmt *st = prepare(
		store, "SELECT id, name, slot, created_ns, " QUOTA_COLUMNS " FROM projects", e);
	int s = SQLITE_ROW, r = 0;

	if (!st)
		return -EIO;
	while (r == 0 && (s = sqlite3_step(st)) == SQLITE_ROW) {
		struct project_row row = {0};

		if (!read_text(st, 0, row.id, sizeof(row.id)) ||
		    !read_text(st, 1, row.name, sizeof(row.name)) ||
		    read_count(st, 2) >= PROJECTS_MAX || !read_quota(st, 4, &row.quota)) {
			r = damaged(e, "project");
			break;
		}
		row.slot = (uint32_t)read_count(st, 2);
		row.created_ns = read_count(st, 3);
		r = fn(arg, &row);
	}
	return walked(store, st, s, r, e);
}

int store_token_load(struct store *store, store_token_fn fn, void *arg, struct err *e)
{
	sqlite3_stmt *st = prepare(store,
				   "SELECT id, project_id, label, hash, operator, created_ns"
				   " FROM tokens ORDER BY created_ns",
				   e);
	char project[PROJECT_ID_LEN + 1];
	int s = SQLITE_ROW, r = 0;

	if (!st)
		return -EIO;
	while (r == 0 && (s = sqlite3_step(st)) == SQLITE_ROW) {
		struct token_row row = {0};

		if (!read_text(st, 0, row.id, sizeof(row.id)) ||
		    !read_text(st, 1, project, sizeof(project)) ||
		    !read_text(st, 2, row.label, sizeof(row.label)) ||
		    sqlite3_column_bytes(st, 3) != (int)sizeof(row.hash)) {
			r = damaged(e, "token");
			break;
		}
		memcpy(row.hash, sqlite3_column_blob(st, 3), sizeof(row.hash));
		row.operator= sqlite3_column_int(st, 4) != 0;
		row.created_ns = read_count(st, 5);
		r = fn(arg, project, &row);
	}
	return walked(store, st, s, r, e);
}

int store_project_insert(struct store *store, const struct project_row *p, struct err *e)
{
	sqlite3_stmt *st =
		prepare(store,
			"INSERT INTO projects (id, name, slot, created_ns, " QUOTA_COLUMNS
			") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12,"
			" ?13, ?14)",
			e);

	if (!st)
		return -EIO;
	bind_text(st, 1, p->id);
	bind_text(st, 2, p->name);
	bind_count(st, 3, p->slot);
	bind_count(st, 4, p->created_ns);
	bind_quota(st, 5, &p->quota);
	return run(store, st, "add a project", e);
}

int store_project_set_quota(struct store *store, const char *id, const struct quota *q,
			    struct err *e)
{
	sqlite3_stmt *st = prepare(store,
				   "UPDATE projects SET (" QUOTA_COLUMNS ") = (?2, ?3, ?4, ?5, ?6,"
				   " ?7, ?8, ?9, ?10, ?11) WHERE id = ?1",
				   e);

	if (!st)
		return -EIO;
	bind_text(st, 1, id);
	bind_quota(st, 2, q);
	return run(store, st, "change a project", e);
}

int store_project_delete(struct store *store, const char *id, struct err *e)
{
	static const char *const sql[] = {
		"DELETE FROM tokens WHERE project_id = ?1",
		"DELETE FROM revisions WHERE code_id IN"
		" (SELECT id FROM codes WHERE project_id = ?1)",
		"DELETE FROM codes WHERE project_id = ?1",
		"DELETE FROM schedules WHERE project_id = ?1",
		"DELETE FROM projects WHERE id = ?1",
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(sql) && r == 0; i++) {
		sqlite3_stmt *st = prepare(store, sql[i], e);

		if (!st)
			return -EIO;
		bind_text(st, 1, id);
		r = run(store, st, "remove a project", e);
	}
	return r;
}

int store_token_insert(struct store *store, const char *project, const struct token_row *t,
		       struct err *e)
{
	sqlite3_stmt *st = prepare(store,
				   "INSERT INTO tokens (id, project_id, label, hash, operator,"
				   " created_ns) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
				   e);

	if (!st)
		return -EIO;
	bind_text(st, 1, t->id);
	bind_text(st, 2, project);
	bind_text(st, 3, t->label);
	(void)sqlite3_bind_blob(st, 4, t->hash, sizeof(t->hash), SQLITE_STATIC);
	(void)sqlite3_bind_int(st, 5, t->operator);
	bind_count(st, 6, t->created_ns);
	return run(store, st, "add a token", e);
}

int store_token_delete(struct store *store, const char *id, struct err *e)
{
	sqlite3_stmt *st = prepare(store, "DELETE FROM tokens WHERE id = ?1", e);

	if (!st)
		return -EIO;
	bind_text(st, 1, id);
	return run(store, st, "remove a token", e);
}

int store_token_delete_all(struct store *store, const char *project_id, struct err *e)
{
	sqlite3_stmt *st = prepare(store, "DELETE FROM tokens WHERE project_id = ?1", e);

	if (!st)
		return -EIO;
	bind_text(st, 1, project_id);
	return run(store, st, "remove a project's tokens", e);
}

int store_project_tasks(struct store *store, const char *id, unsigned max,
			char (*ret)[TASK_ID_LEN + 1], unsigned *ret_n, struct err *e)
{
	sqlite3_stmt *st = prepare(store,
				   "SELECT id FROM tasks WHERE project = ?1 AND state > 2"
				   " LIMIT ?2",
				   e);
	int s = SQLITE_ROW;

	*ret_n = 0;
	if (!st)
		return -EIO;
	bind_text(st, 1, id);
	bind_count(st, 2, max);
	while (*ret_n < max && (s = sqlite3_step(st)) == SQLITE_ROW)
		if (read_text(st, 0, ret[*ret_n], TASK_ID_LEN + 1))
			(*ret_n)++;
	return walked(store, st, s == SQLITE_ROW ? SQLITE_DONE : s, 0, e);
}
