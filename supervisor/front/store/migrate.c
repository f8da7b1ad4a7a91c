// SPDX-License-Identifier: Apache-2.0
/*
 * The versions of what is in the store's file. All is looked at before anything is changed: a file
 * that another release has written, and that this one does not know, is refused as it is.
 */
#include <stdio.h>
#include <string.h>

#include "lib/json_strict.h"
#include "supervisor/front/store/priv.h"

/* PRAGMA user_version: each capability has a version of its own, in the table `schema`. */
#define FILE_VERSION 4
#define SCHEMAS_MAX 64u

static const char doing[] = "be brought to this release's version";

struct versions {
	int file;
	uint32_t of[SCHEMAS_MAX]; /* in the order of the list; 0: it has no tables yet */
};

static uint32_t schema_newest(const struct schema *schema)
{
	uint32_t newest = 0;

	for (const struct migration *m = schema->steps; m->version; m++)
		newest = m->version;
	return newest;
}

static uint32_t schema_of_file(const struct schema *schema, int file)
{
	uint32_t version = 0;

	for (const struct migration *m = schema->steps; m->version; m++)
		if (m->since_file && m->since_file <= file)
			version = m->version;
	return version;
}

static int read_file_version(struct store *store, int *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int r = 0;

	if (sqlite3_prepare_v2(store->db, "PRAGMA user_version", -1, &st, NULL) != SQLITE_OK ||
	    sqlite3_step(st) != SQLITE_ROW)
		r = store_fail(store, e, "be read");
	else
		*ret = sqlite3_column_int(st, 0);
	(void)sqlite3_finalize(st);
	return r;
}

/* One row of the table `schema`. */
static int take_version(const struct schema *const *schemas, const char *name, int64_t version,
			struct versions *ret, struct err *e)
{
	char shown[80];

	for (unsigned i = 0; schemas[i]; i++) {
		if (strcmp(schemas[i]->name, name) != 0)
			continue;
		if (version < 1 || version > schema_newest(schemas[i]))
			return err_set(e, ERR_CONFLICT, 0,
				       "the task store's \"%s\" have version %lld and this "
				       "sandboxd knows %u: it was made by another release",
				       name, (long long)version, schema_newest(schemas[i]));
		ret->of[i] = (uint32_t)version;
		return 0;
	}
	return err_set(
		e, ERR_CONFLICT, 0,
		"the task store holds \"%s\", which this sandboxd does not know: it was made "
		"by another release",
		util_escape(name, shown, sizeof(shown)));
}

static int read_versions(struct store *store, const struct schema *const *schemas,
			 struct versions *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(store->db, "SELECT name, version FROM schema ORDER BY name", -1, &st,
			       NULL) != SQLITE_OK)
		return store_fail(store, e, "be read");
	while (r == 0 && (s = sqlite3_step(st)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(st, 0);

		r = take_version(schemas, name ? name : "", sqlite3_column_int64(st, 1), ret, e);
	}
	if (r == 0 && s != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(st);
	return r;
}

static int look_at_file(struct store *store, const struct schema *const *schemas,
			struct versions *ret, struct err *e)
{
	int r = read_file_version(store, &ret->file, e);

	if (r < 0)
		return r;
	if (ret->file < 0 || ret->file > FILE_VERSION)
		return err_set(e, ERR_CONFLICT, 0,
			       "the task store has version %d and this sandboxd knows %d: it was "
			       "made by another release",
			       ret->file, FILE_VERSION);
	if (ret->file == FILE_VERSION)
		return read_versions(store, schemas, ret, e);
	for (unsigned i = 0; schemas[i]; i++)
		ret->of[i] = schema_of_file(schemas[i], ret->file);
	return 0;
}

static int run_step(struct store *store, const struct schema *schema, const struct migration *m,
		    struct err *e)
{
	int r = 0;

	if (m->sql)
		r = store_exec(store, m->sql, doing, e);
	if (r == 0 && m->run)
		r = m->run(store, e);
	return r < 0 ? err_wrap(e, r, "step %u of \"%s\"", m->version, schema->name) : 0;
}

/* Within a transaction. */
static int run_steps(struct store *store, const struct schema *const *schemas,
		     const struct versions *has, struct err *e)
{
	static const char to_own[] =
		"CREATE TABLE schema (name TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL)"
		" WITHOUT ROWID;";
	char set_file[64];
	int r = 0;

	if (has->file < FILE_VERSION)
		r = store_exec(store, to_own, doing, e);
	for (unsigned i = 0; r == 0 && schemas[i]; i++) {
		for (const struct migration *m = schemas[i]->steps; r == 0 && m->version; m++)
			if (m->version > has->of[i])
				r = run_step(store, schemas[i], m, e);
		if (r == 0)
			r = store_sql(store, "INSERT OR REPLACE INTO schema VALUES (?1, ?2)", "si",
				      e, schemas[i]->name,
				      (sqlite3_int64)schema_newest(schemas[i]));
	}
	(void)snprintf(set_file, sizeof(set_file), "PRAGMA user_version = %d", FILE_VERSION);
	return r < 0 ? r : store_exec(store, set_file, doing, e);
}

static bool is_up_to_date(const struct schema *const *schemas, const struct versions *has)
{
	for (unsigned i = 0; schemas[i]; i++)
		if (has->of[i] < schema_newest(schemas[i]))
			return false;
	return has->file == FILE_VERSION;
}

int store_migrate(struct store *store, const struct schema *const *schemas, struct err *e)
{
	struct versions has = {0};
	unsigned n = 0;
	int r;

	while (schemas[n])
		n++;
	if (n > SCHEMAS_MAX)
		return err_set(e, ERR_INTERNAL, 0, "the task store has too many schemas");
	r = look_at_file(store, schemas, &has, e);
	if (r < 0 || is_up_to_date(schemas, &has))
		return r;
	r = store_exec(store, "BEGIN IMMEDIATE", doing, e);
	if (r < 0)
		return r;
	r = run_steps(store, schemas, &has, e);
	if (r == 0)
		r = store_exec(store, "COMMIT", doing, e);
	/* Some failures have rolled back by themselves. */
	if (r < 0 && !sqlite3_get_autocommit(store->db))
		(void)store_exec(store, "ROLLBACK", doing, NULL);
	return r;
}
