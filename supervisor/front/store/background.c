// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/store/background.h"

#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

static const struct column columns[] = {
	COLUMN(background_row, "service_id", COLUMN_TEXT, service),
	COLUMN(background_row, "project_id", COLUMN_TEXT, project),
	COLUMN(background_row, "queue", COLUMN_U64, queue),
	COLUMN(background_row, "stopped", COLUMN_BOOL, stopped),
	COLUMN(background_row, "triggered", COLUMN_U64, triggered),
	COLUMN(background_row, "ran", COLUMN_U64, ran),
	COLUMN(background_row, "grid_ns", COLUMN_U64, grid_ns),
	COLUMN(background_row, "grid_boot_ns", COLUMN_U64, grid_boot_ns),
	COLUMN(background_row, "interval_ns", COLUMN_U64, interval_ns),
	COLUMN(background_row, "boot", COLUMN_TEXT, boot),
	COLUMN(background_row, "tick", COLUMN_U64, tick),
	COLUMN(background_row, "done", COLUMN_U64, done),
	COLUMN(background_row, "failed", COLUMN_U64, failed),
};
static const struct table table = TABLE("background", background_row, 1, columns);
/* Without what it counts, the last two: that is added up by itself. */
static const struct table wish_table = {"background", sizeof(struct background_row), 1, columns,
					ARRAY_SIZE(columns) - 2};

/* clang-format off */
/* Whatever takes the row of a worker away leaves its queue's items to be removed later. */
static const char step_1[] =
	"CREATE TABLE background (service_id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" queue INTEGER NOT NULL UNIQUE, stopped INTEGER NOT NULL, triggered INTEGER NOT NULL,"
	" ran INTEGER NOT NULL, grid_ns INTEGER NOT NULL, grid_boot_ns INTEGER NOT NULL,"
	" interval_ns INTEGER NOT NULL, boot TEXT NOT NULL, tick INTEGER NOT NULL,"
	" done INTEGER NOT NULL, failed INTEGER NOT NULL);"
	"CREATE TABLE background_items (id INTEGER PRIMARY KEY AUTOINCREMENT, queue INTEGER NOT NULL,"
	" state INTEGER NOT NULL, kind INTEGER NOT NULL, rank REAL NOT NULL,"
	" attempt INTEGER NOT NULL, failures INTEGER NOT NULL, put_ns INTEGER NOT NULL,"
	" due_ns INTEGER NOT NULL, holder TEXT NOT NULL, error TEXT NOT NULL, value BLOB NOT NULL);"
	"CREATE INDEX background_by_id ON background_items (queue, id) WHERE state = 0;"
	"CREATE INDEX background_by_rank ON background_items (queue, rank, id) WHERE state = 0;"
	"CREATE INDEX background_others ON background_items (queue, state, due_ns, id) WHERE state > 0;"
	"CREATE TABLE background_gone (queue INTEGER PRIMARY KEY);"
	"CREATE TRIGGER background_removed AFTER DELETE ON background BEGIN"
	" INSERT OR IGNORE INTO background_gone (queue) VALUES (old.queue); END";
/* clang-format on */

static const struct migration steps[] = {{1, 0, step_1, NULL}, {0}};
static const struct table *const tables[] = {&table, NULL};
const struct schema background_schema = {"background", steps, tables, NULL};

int store_background_load(struct store *store, background_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct background_row row;
	int r = store_select(store, &table, " FROM background ORDER BY queue", &st, e);

	while (r == 0 && (r = store_next_row(store, &table, st, &row, e)) > 0) {
		r = fn(arg, &row);
		if (r < 0)
			return err_set(e, ERR_SYSTEM, -r, "the store's background workers");
	}
	return r;
}

int store_background_put(struct store *store, const struct background_row *row, struct err *e)
{
	return store_put(store, &table, row, e);
}

int store_background_update(struct store *store, const struct background_row *row, struct err *e)
{
	return store_update(store, &wish_table, row, e);
}

int store_background_count(struct store *store, uint64_t queue, uint64_t done, uint64_t failed,
			   struct err *e)
{
	return store_sql(store,
			 "UPDATE background SET done = done + ?2, failed = failed + ?3 WHERE "
			 "queue = ?1",
			 "iii", e, (sqlite3_int64)queue, (sqlite3_int64)done,
			 (sqlite3_int64)failed);
}

int store_background_delete(struct store *store, const char *service, struct err *e)
{
	return store_sql(store, "DELETE FROM background WHERE service_id = ?1", "s", e, service);
}

int store_background_delete_project(struct store *store, const char *project, struct err *e)
{
	return store_sql(store, "DELETE FROM background WHERE project_id = ?1", "s", e, project);
}

int store_background_sweep(struct store *store, unsigned rows, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	sqlite3_int64 queue;
	int r = store_ask(store, "SELECT min(queue) FROM background_gone", &st, e);

	if (r == 0)
		r = store_next(store, st, e);
	if (r <= 0 || sqlite3_column_type(st, 0) == SQLITE_NULL)
		return r < 0 ? r : 0;
	queue = sqlite3_column_int64(st, 0);
	(void)sqlite3_reset(st);
	/* In both halves of the table by the index that each has. */
	r = store_sql(store,
		      "DELETE FROM background_items WHERE id IN (SELECT id FROM background_items "
		      "WHERE queue = ?1 AND state = 0 ORDER BY id LIMIT ?2)",
		      "ii", e, queue, (sqlite3_int64)rows);
	if (r < 0 || sqlite3_changes(store->db) > 0)
		return r < 0 ? r : 1;
	r = store_sql(store,
		      "DELETE FROM background_items WHERE id IN (SELECT id FROM background_items "
		      "WHERE queue = ?1 AND state > 0 LIMIT ?2)",
		      "ii", e, queue, (sqlite3_int64)rows);
	if (r < 0 || sqlite3_changes(store->db) > 0)
		return r < 0 ? r : 1;
	r = store_sql(store, "DELETE FROM background_gone WHERE queue = ?1", "i", e, queue);
	return r < 0 ? r : 1;
}

int store_background_last(struct store *store, uint64_t *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT max(coalesce((SELECT max(queue) FROM background), 0), "
			  "coalesce((SELECT max(queue) FROM background_gone), 0))",
			  &st, e);

	if (r == 0)
		r = store_next(store, st, e);
	*ret = r > 0 ? (uint64_t)sqlite3_column_int64(st, 0) : 0;
	return r < 0 ? r : 0;
}

int store_background_counts(struct store *store, uint64_t queue, struct background_counts *ret,
			    struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT 0, count(*), coalesce(sum(length(value)), 0) FROM "
			  "background_items WHERE queue = ?1 AND state = 0 UNION ALL "
			  "SELECT state, count(*), coalesce(sum(length(value)), 0) FROM "
			  "background_items WHERE queue = ?1 AND state > 0 GROUP BY state",
			  &st, e);

	*ret = (struct background_counts){0};
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)queue);
	while ((r = store_next(store, st, e)) > 0) {
		const int state = sqlite3_column_int(st, 0);

		if (state < 0 || state >= BACKGROUND_STATES)
			continue;
		ret->n[state] = (uint64_t)sqlite3_column_int64(st, 1);
		ret->bytes += (uint64_t)sqlite3_column_int64(st, 2);
	}
	return r;
}

int store_background_add(struct store *store, uint64_t queue, struct background_item *items,
			 unsigned n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "INSERT INTO background_items (queue, state, kind, rank, attempt, "
			  "failures, put_ns, due_ns, holder, error, value) VALUES (?1, 0, ?2, ?3, "
			  "0, 0, ?4, 0, '', '', ?5)",
			  &st, e);

	for (unsigned i = 0; r == 0 && i < n; i++) {
		(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)queue);
		(void)sqlite3_bind_int(st, 2, (int)items[i].kind);
		(void)sqlite3_bind_double(st, 3, items[i].rank);
		(void)sqlite3_bind_int64(st, 4, (sqlite3_int64)items[i].put_ns);
		(void)sqlite3_bind_blob(st, 5, items[i].value, (int)items[i].len, SQLITE_STATIC);
		r = store_next(store, st, e);
		items[i].id = (uint64_t)sqlite3_last_insert_rowid(store->db);
		(void)sqlite3_reset(st);
	}
	return r;
}

/* The columns of which every statement that reads items has the first ones. */
#define ITEM "id, attempt, failures, kind, rank, put_ns, due_ns"

static void read_item(sqlite3_stmt *st, struct background_item *ret)
{
	*ret = (struct background_item){.id = (uint64_t)sqlite3_column_int64(st, 0),
					.attempt = (uint32_t)sqlite3_column_int64(st, 1),
					.failures = (uint32_t)sqlite3_column_int64(st, 2),
					.kind = sqlite3_column_int(st, 3) == BACKGROUND_JSON
							? BACKGROUND_JSON
							: BACKGROUND_PICKLE,
					.rank = sqlite3_column_double(st, 4),
					.put_ns = (uint64_t)sqlite3_column_int64(st, 5),
					.due_ns = (uint64_t)sqlite3_column_int64(st, 6)};
}

static int read_value(sqlite3_stmt *st, int column, struct background_item *ret, struct err *e)
{
	ret->len = (size_t)sqlite3_column_bytes(st, column);
	ret->value = malloc(ret->len + 1);
	if (!ret->value)
		return err_set(e, ERR_SYSTEM, ENOMEM, "an item");
	if (ret->len)
		memcpy(ret->value, sqlite3_column_blob(st, column), ret->len);
	ret->value[ret->len] = '\0';
	return 0;
}

/* What is found is read whole before it is changed: the walk goes by an index that the change is of. */
static int find_ready(struct store *store, uint64_t queue, bool by_rank, double below, unsigned max,
		      size_t max_bytes, struct background_item *ret, unsigned *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	size_t bytes = 0;
	int r = store_ask(
		store,
		by_rank ? "SELECT " ITEM ", value FROM background_items INDEXED BY "
			  "background_by_rank WHERE queue = ?1 AND state = 0 AND rank < ?3 "
			  "ORDER BY rank, id LIMIT ?2"
			: "SELECT " ITEM ", value FROM background_items INDEXED BY "
			  "background_by_id WHERE queue = ?1 AND state = 0 "
			  "ORDER BY id LIMIT ?2",
		&st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)queue);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)max);
	if (by_rank)
		(void)sqlite3_bind_double(st, 3, below);
	while (*ret_n < max && (r = store_next(store, st, e)) > 0) {
		struct background_item *item = &ret[*ret_n];

		bytes += (size_t)sqlite3_column_bytes(st, 7) + BACKGROUND_ITEM_HEAD;
		if (*ret_n && bytes > max_bytes)
			return 0;
		read_item(st, item);
		r = read_value(st, 7, item, e);
		if (r < 0)
			return r;
		(*ret_n)++;
	}
	return r < 0 ? r : 0;
}

int store_background_take(struct store *store, uint64_t queue, bool by_rank, double below,
			  const char *run, unsigned max, size_t max_bytes,
			  struct background_item *ret, unsigned *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r;

	*ret_n = 0;
	r = find_ready(store, queue, by_rank, below, max, max_bytes, ret, ret_n, e);
	if (r == 0)
		r = store_ask(store,
			      "UPDATE background_items SET state = 1, attempt = ?2, holder = ?3, "
			      "due_ns = 0 WHERE id = ?1",
			      &st, e);
	for (unsigned i = 0; r == 0 && i < *ret_n; i++) {
		ret[i].attempt++;
		(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)ret[i].id);
		(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)ret[i].attempt);
		(void)sqlite3_bind_text(st, 3, run, -1, SQLITE_STATIC);
		r = store_next(store, st, e);
		(void)sqlite3_reset(st);
	}
	return r;
}

int store_background_held(struct store *store, uint64_t queue, const char *run, bool by_rank,
			  struct background_item *ret, unsigned max, unsigned *ret_n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  by_rank ? "SELECT " ITEM " FROM background_items WHERE queue = ?1 AND "
				    "state = 1 AND holder = ?2 ORDER BY rank, id LIMIT ?3"
				  : "SELECT " ITEM " FROM background_items WHERE queue = ?1 AND "
				    "state = 1 AND holder = ?2 ORDER BY id LIMIT ?3",
			  &st, e);

	*ret_n = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)queue);
	(void)sqlite3_bind_text(st, 2, run, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 3, (sqlite3_int64)max);
	while (*ret_n < max && (r = store_next(store, st, e)) > 0)
		read_item(st, &ret[(*ret_n)++]);
	return r < 0 ? r : 0;
}

/* The statements of a settlement. */
struct settlement {
	struct store *store;
	sqlite3_stmt *find, *remove, *change;
	const struct background_rules *rules;
	uint64_t queue, now_ns;
};

static int remove_done(struct settlement *x, struct background_settled *s, struct err *e)
{
	int r;

	(void)sqlite3_bind_int64(x->remove, 1, (sqlite3_int64)s->id);
	r = store_next(x->store, x->remove, e);
	(void)sqlite3_reset(x->remove);
	s->gone = true;
	return r;
}

static int change_state(struct settlement *x, struct background_settled *s, uint32_t failures,
			struct err *e)
{
	uint64_t due_ns = 0;
	int r;

	s->now = BACKGROUND_READY;
	if (s->end == BACKGROUND_FAILED && ++failures >= x->rules->attempts) {
		s->now = BACKGROUND_DEAD;
	} else if (s->end == BACKGROUND_FAILED) {
		uint64_t wait_ns = x->rules->backoff_ns;

		for (uint32_t i = 1; i < failures && wait_ns < x->rules->backoff_max_ns; i++)
			wait_ns *= 2;
		if (wait_ns > x->rules->backoff_max_ns)
			wait_ns = x->rules->backoff_max_ns;
		s->now = wait_ns ? BACKGROUND_LATER : BACKGROUND_READY;
		due_ns = wait_ns ? x->now_ns + wait_ns : 0;
	}
	(void)sqlite3_bind_int64(x->change, 1, (sqlite3_int64)s->id);
	(void)sqlite3_bind_int(x->change, 2, (int)s->now);
	(void)sqlite3_bind_int64(x->change, 3, (sqlite3_int64)failures);
	(void)sqlite3_bind_int64(x->change, 4, (sqlite3_int64)due_ns);
	(void)sqlite3_bind_text(x->change, 5, s->error ? s->error : NULL, -1, SQLITE_STATIC);
	r = store_next(x->store, x->change, e);
	(void)sqlite3_reset(x->change);
	return r;
}

/* One that was not given away with this attempt has another end. */
static int settle_one(struct settlement *x, struct background_settled *s, struct err *e)
{
	uint32_t failures = 0;
	int r;

	s->known = s->gone = false;
	(void)sqlite3_bind_int64(x->find, 1, (sqlite3_int64)s->id);
	r = store_next(x->store, x->find, e);
	if (r > 0 && (uint64_t)sqlite3_column_int64(x->find, 0) == x->queue &&
	    sqlite3_column_int(x->find, 1) == BACKGROUND_HELD &&
	    (uint32_t)sqlite3_column_int64(x->find, 2) == s->attempt) {
		s->known = true;
		failures = (uint32_t)sqlite3_column_int64(x->find, 3);
		s->len = (size_t)sqlite3_column_int64(x->find, 4);
	}
	(void)sqlite3_reset(x->find);
	if (r < 0 || !s->known)
		return r < 0 ? r : 0;
	r = s->end == BACKGROUND_DONE ? remove_done(x, s, e) : change_state(x, s, failures, e);
	return r < 0 ? r : 0;
}

int store_background_settle(struct store *store, uint64_t queue,
			    const struct background_rules *rules, uint64_t now_ns,
			    struct background_settled *all, unsigned n, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *find = NULL, *remove = NULL, *change = NULL;
	struct settlement x = {.store = store, .rules = rules, .queue = queue, .now_ns = now_ns};
	int r = store_ask(store,
			  "SELECT queue, state, attempt, failures, length(value) FROM "
			  "background_items WHERE id = ?1",
			  &find, e);

	if (r == 0)
		r = store_ask(store, "DELETE FROM background_items WHERE id = ?1", &remove, e);
	if (r == 0)
		r = store_ask(store,
			      "UPDATE background_items SET state = ?2, failures = ?3, due_ns = ?4, "
			      "error = coalesce(?5, error), holder = '' WHERE id = ?1",
			      &change, e);
	x.find = find;
	x.remove = remove;
	x.change = change;
	for (unsigned i = 0; r == 0 && i < n; i++)
		r = settle_one(&x, &all[i], e);
	return r;
}

int store_background_due(struct store *store, uint64_t queue, uint64_t now_ns, unsigned max,
			 uint64_t *ret_n, struct err *e)
{
	int r = store_sql(store,
			  "UPDATE background_items SET state = 0, due_ns = 0 WHERE id IN (SELECT "
			  "id FROM background_items WHERE queue = ?1 AND state = 2 AND "
			  "due_ns <= ?2 ORDER BY due_ns, id LIMIT ?3)",
			  "iii", e, (sqlite3_int64)queue, (sqlite3_int64)now_ns,
			  (sqlite3_int64)max);

	*ret_n = r == 0 ? (uint64_t)sqlite3_changes(store->db) : 0;
	return r;
}

int store_background_retry(struct store *store, uint64_t queue, uint64_t id, unsigned max,
			   uint64_t *ret_n, struct err *e)
{
	int r = store_sql(store,
			  "UPDATE background_items SET state = 0, failures = 0 WHERE id IN (SELECT "
			  "id FROM background_items WHERE queue = ?1 AND state = 3 AND "
			  "(?2 = 0 OR id = ?2) ORDER BY id LIMIT ?3)",
			  "iii", e, (sqlite3_int64)queue, (sqlite3_int64)id, (sqlite3_int64)max);

	*ret_n = r == 0 ? (uint64_t)sqlite3_changes(store->db) : 0;
	return r;
}

int store_background_dead_rm(struct store *store, uint64_t queue, uint64_t id, unsigned max,
			     uint64_t *ret_n, struct err *e)
{
	int r = store_sql(store,
			  "DELETE FROM background_items WHERE id IN (SELECT id FROM "
			  "background_items WHERE queue = ?1 AND state = 3 AND (?2 = 0 OR id = ?2) "
			  "ORDER BY id LIMIT ?3)",
			  "iii", e, (sqlite3_int64)queue, (sqlite3_int64)id, (sqlite3_int64)max);

	*ret_n = r == 0 ? (uint64_t)sqlite3_changes(store->db) : 0;
	return r;
}

int store_background_next_due(struct store *store, uint64_t queue, uint64_t *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT due_ns FROM background_items WHERE queue = ?1 AND state = 2 "
			  "ORDER BY due_ns LIMIT 1",
			  &st, e);

	*ret = 0;
	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)queue);
	r = store_next(store, st, e);
	if (r > 0)
		*ret = (uint64_t)sqlite3_column_int64(st, 0);
	return r < 0 ? r : 0;
}

int store_background_dead(struct store *store, uint64_t queue, uint64_t after, unsigned max,
			  background_item_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT " ITEM
			  ", value, error FROM background_items WHERE queue = ?1 AND "
			  "state = 3 AND due_ns = 0 AND id > ?2 ORDER BY id LIMIT ?3",
			  &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_int64(st, 1, (sqlite3_int64)queue);
	(void)sqlite3_bind_int64(st, 2, (sqlite3_int64)after);
	(void)sqlite3_bind_int64(st, 3, (sqlite3_int64)max);
	while ((r = store_next(store, st, e)) > 0) {
		struct background_item item;

		read_item(st, &item);
		item.error = (const char *)sqlite3_column_text(st, 8);
		r = read_value(st, 7, &item, e);
		if (r == 0)
			r = fn(arg, &item);
		free(item.value);
		if (r != 0)
			return r;
	}
	return r;
}

int store_background_holders(struct store *store, background_holder_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r = store_ask(store,
			  "SELECT DISTINCT b.queue, i.holder FROM background AS b JOIN "
			  "background_items AS i ON i.queue = b.queue AND i.state = 1",
			  &st, e);

	while (r == 0 && (r = store_next(store, st, e)) > 0) {
		char run[64];

		row_text(st, 1, run, sizeof(run));
		r = fn(arg, (uint64_t)sqlite3_column_int64(st, 0), run);
	}
	return r;
}
