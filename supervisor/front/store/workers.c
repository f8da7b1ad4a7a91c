// SPDX-License-Identifier: Apache-2.0
/* A revision's columns are few and its spec is one JSON object: what an upload says grows. Its long
 * texts, config and env, with secrets in them, are the worker's: those of old revisions are not
 * kept. */
#include "supervisor/front/store/workers.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

#define TEXT(name, member)                                                                         \
	{                                                                                          \
		name, offsetof(struct worker_spec, member),                                        \
			sizeof(((struct worker_spec *)0)->member), 0                               \
	}
#define COUNT(name, member)                                                                        \
	{                                                                                          \
		name, offsetof(struct worker_spec, member), 0,                                     \
			sizeof(((struct worker_spec *)0)->member)                                  \
	}

/* clang-format off */
static const struct member {
	const char *name;
	size_t offset, text, number; /* sizes; one of them is 0 */
} members[] = {
	TEXT("runtime", runtime), TEXT("file_name", file_name), TEXT("command", command),
	TEXT("stack", stack), TEXT("image", image), TEXT("policy", policy),
	COUNT("max_concurrency", max_concurrency), COUNT("retries", retries),
	COUNT("retries_delay", retries_delay_s), COUNT("default_priority", default_priority),
	COUNT("zip_bytes", zip_bytes), COUNT("package_bytes", package_bytes),
	COUNT("package_files", package_files),
};
/* clang-format on */

void worker_spec_clear(struct worker_spec *spec)
{
	free(spec->config);
	free(spec->env);
	*spec = (struct worker_spec){0};
}

static char *spec_to_text(const struct worker_spec *spec)
{
	json_auto_t *o = json_object();
	char hex[65];

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const char *p = (const char *)spec + members[i].offset;
		uint32_t u32 = 0;
		uint64_t u64 = 0;

		if (members[i].number == sizeof(u32))
			memcpy(&u32, p, sizeof(u32));
		else if (members[i].number)
			memcpy(&u64, p, sizeof(u64));
		json_object_set_new(o, members[i].name,
				    members[i].text
					    ? json_string(p)
					    : json_integer((json_int_t)u32 + (json_int_t)u64));
	}
	if (spec->has_package) {
		util_hex(spec->package, 32, hex);
		json_object_set_new(o, "package", json_string(hex));
		util_hex(spec->zip, 32, hex);
		json_object_set_new(o, "zip", json_string(hex));
	}
	return json_dumps(o, JSON_COMPACT);
}

static void member_read(const struct member *m, const json_t *value, struct worker_spec *ret)
{
	char *p = (char *)ret + m->offset;
	uint64_t u64 = (uint64_t)json_integer_value(value);
	uint32_t u32 = (uint32_t)u64;

	if (m->text && json_is_string(value))
		(void)snprintf(p, m->text, "%s", json_string_value(value));
	else if (m->number == sizeof(u32))
		memcpy(p, &u32, sizeof(u32));
	else if (m->number)
		memcpy(p, &u64, sizeof(u64));
}

/* It was written by spec_to_text. */
static int spec_from_text(const char *text, struct worker_spec *ret)
{
	json_auto_t *o = json_loads(text ? text : "", 0, NULL);
	const char *package, *zip;

	if (!json_is_object(o))
		return -EPROTO;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		member_read(&members[i], json_object_get(o, members[i].name), ret);
	package = json_string_value(json_object_get(o, "package"));
	zip = json_string_value(json_object_get(o, "zip"));
	ret->has_package = package && zip;
	if (ret->has_package &&
	    (util_unhex(package, 32, ret->package) < 0 || util_unhex(zip, 32, ret->zip) < 0))
		return -EPROTO;
	return 0;
}

static const struct column worker_columns[] = {
	COLUMN(worker_row, "id", COLUMN_TEXT, id),
	COLUMN(worker_row, "project_id", COLUMN_TEXT, project),
	COLUMN(worker_row, "name", COLUMN_TEXT, spec.name),
	COLUMN(worker_row, "revision", COLUMN_U32, revision),
	COLUMN(worker_row, "paused", COLUMN_BOOL, paused),
	COLUMN(worker_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(worker_row, "changed_ns", COLUMN_U64, changed_ns),
	COLUMN(worker_row, "config", COLUMN_OWNED_NULL, spec.config),
	COLUMN(worker_row, "env", COLUMN_OWNED_NULL, spec.env),
};
static const struct table workers_table = TABLE("codes", worker_row, 1, worker_columns);

/* What changes with each revision. */
static const struct column revised_columns[] = {
	COLUMN(worker_row, "id", COLUMN_TEXT, id),
	COLUMN(worker_row, "revision", COLUMN_U32, revision),
	COLUMN(worker_row, "changed_ns", COLUMN_U64, changed_ns),
	COLUMN(worker_row, "config", COLUMN_OWNED_NULL, spec.config),
	COLUMN(worker_row, "env", COLUMN_OWNED_NULL, spec.env),
};
static const struct table revised_table = TABLE("codes", worker_row, 1, revised_columns);

struct revision_row {
	char worker[PROJECT_ID_LEN + 1], id[PROJECT_ID_LEN + 1];
	uint32_t revision;
	uint64_t created_ns;
	char *spec; /* spec_to_text's */
};

static const struct column revision_columns[] = {
	COLUMN(revision_row, "code_id", COLUMN_TEXT, worker),
	COLUMN(revision_row, "revision", COLUMN_U32, revision),
	COLUMN(revision_row, "id", COLUMN_TEXT, id),
	COLUMN(revision_row, "created_ns", COLUMN_U64, created_ns),
	COLUMN(revision_row, "spec", COLUMN_OWNED, spec),
};
static const struct table revisions_table = TABLE("revisions", revision_row, 2, revision_columns);

/* clang-format off */
static const char step_1[] =
	"CREATE TABLE codes (id TEXT PRIMARY KEY NOT NULL, project_id TEXT NOT NULL,"
	" name TEXT NOT NULL, revision INTEGER NOT NULL, paused INTEGER NOT NULL,"
	" created_ns INTEGER NOT NULL, changed_ns INTEGER NOT NULL, config TEXT, env TEXT,"
	" UNIQUE (project_id, name));"
	"CREATE TABLE revisions (code_id TEXT NOT NULL, revision INTEGER NOT NULL,"
	" id TEXT NOT NULL, created_ns INTEGER NOT NULL, spec TEXT NOT NULL,"
	" PRIMARY KEY (code_id, revision)) WITHOUT ROWID";
/* Since then projects have a list of the policies that their workers may name. Those that were
 * there before have what their workers name on it; or all, where the list would be too long. */
static const char step_2[] =
	"UPDATE projects SET policies = 'default,strict' || coalesce((SELECT ',' ||"
	" group_concat(DISTINCT json_extract(spec, '$.policy')) FROM codes JOIN revisions"
	" ON code_id = codes.id WHERE project_id = projects.id AND"
	" json_extract(spec, '$.policy') NOT IN ('', 'default', 'strict')), '');"
	"UPDATE projects SET policies = '' WHERE length(policies) > 1023";
/* clang-format on */

static const struct migration steps[] = {{1, 2, step_1, NULL}, {2, 3, step_2, NULL}, {0}};
static const struct table *const tables[] = {&workers_table, &revisions_table, NULL};
const struct schema workers_schema = {"workers", steps, tables, NULL};

int store_worker_load(struct store *store, store_worker_fn fn, void *arg, struct err *e)
{
	static const char rest[] =
		", revisions.spec FROM codes JOIN revisions ON code_id = codes.id AND "
		"revisions.revision = codes.revision ORDER BY codes.created_ns";
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct worker_row worker;
	int r = store_select(store, &workers_table, rest, &st, e);

	if (r < 0)
		return r;
	while ((r = store_next_row(store, &workers_table, st, &worker, e)) > 0) {
		const int spec = (int)workers_table.n_columns;

		r = spec_from_text((const char *)sqlite3_column_text(st, spec), &worker.spec);
		if (r == 0)
			r = fn(arg, &worker);
		if (r < 0) {
			worker_spec_clear(&worker.spec);
			return err_set(e, ERR_INTERNAL, -r, "the store's worker %s", worker.id);
		}
	}
	return r;
}

int store_worker_put(struct store *store, const struct worker_row *c, const char *revision_id,
		     struct err *e)
{
	_cleanup_free_ char *spec = spec_to_text(&c->spec);
	struct revision_row revision = {
		.revision = c->revision, .created_ns = c->changed_ns, .spec = spec};
	int r;

	if (!spec)
		return err_set(e, ERR_INPUT, 0, "the worker's texts must be UTF-8");
	memcpy(revision.worker, c->id, sizeof(revision.worker));
	(void)snprintf(revision.id, sizeof(revision.id), "%s", revision_id);
	r = c->revision > 1 ? store_update(store, &revised_table, c, e)
			    : store_insert(store, &workers_table, c, e);
	if (r == 0)
		r = store_insert(store, &revisions_table, &revision, e);
	if (r < 0)
		return r;
	return store_sql(store, "DELETE FROM revisions WHERE code_id = ?1 AND revision <= ?2", "si",
			 e, c->id, (sqlite3_int64)c->revision - WORKER_REVISIONS_MAX);
}

int store_worker_paused(struct store *store, const char *id, bool paused, struct err *e)
{
	return store_sql(store, "UPDATE codes SET paused = ?2 WHERE id = ?1", "si", e, id,
			 (sqlite3_int64)paused);
}

int store_worker_delete(struct store *store, const char *id, struct err *e)
{
	int r = store_sql(store, "DELETE FROM revisions WHERE code_id = ?1", "s", e, id);

	return r < 0 ? r : store_sql(store, "DELETE FROM codes WHERE id = ?1", "s", e, id);
}

int store_worker_delete_all(struct store *store, const char *project, struct err *e)
{
	int r = store_sql(store,
			  "DELETE FROM revisions WHERE code_id IN "
			  "(SELECT id FROM codes WHERE project_id = ?1)",
			  "s", e, project);

	return r < 0 ? r
		     : store_sql(store, "DELETE FROM codes WHERE project_id = ?1", "s", e, project);
}

/* 1, 0, -errno: as store_next_row. */
static int next_revision(struct store *store, sqlite3_stmt *st, struct worker_revision *ret,
			 struct err *e)
{
	struct worker_spec spec = {0};
	struct revision_row row;
	int r = store_next_row(store, &revisions_table, st, &row, e);

	if (r <= 0)
		return r;
	*ret = (struct worker_revision){.revision = row.revision, .created_ns = row.created_ns};
	memcpy(ret->worker, row.worker, sizeof(ret->worker));
	memcpy(ret->id, row.id, sizeof(ret->id));
	if (spec_from_text(row.spec, &spec) < 0)
		r = err_set(e, ERR_INTERNAL, 0, "the store's revision %s is damaged", ret->id);
	row_clear(&revisions_table, &row);
	memcpy(ret->file_name, spec.file_name, sizeof(ret->file_name));
	memcpy(ret->runtime, spec.runtime, sizeof(ret->runtime));
	memcpy(ret->image, spec.image, sizeof(ret->image));
	memcpy(ret->package, spec.package, sizeof(ret->package));
	memcpy(ret->zip, spec.zip, sizeof(ret->zip));
	ret->has_package = spec.has_package;
	ret->zip_bytes = spec.zip_bytes;
	ret->package_bytes = spec.package_bytes;
	ret->package_files = spec.package_files;
	worker_spec_clear(&spec);
	return r;
}

int store_worker_revisions(struct store *store, const char *worker, uint32_t only,
			   worker_revision_fn fn, void *arg, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct worker_revision v;
	int r = store_select(store, &revisions_table,
			     " FROM revisions WHERE code_id = ?1 AND (?2 = 0 OR revision = ?2)"
			     " ORDER BY revision DESC",
			     &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, worker, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, only);
	while ((r = next_revision(store, st, &v, e)) > 0) {
		r = fn(arg, &v);
		if (r != 0)
			return r < 0 ? r : 0;
	}
	return r;
}

int store_worker_revisions_after(struct store *store, struct store_revision_at *at, unsigned max,
				 worker_revision_fn fn, void *arg, bool *ret_more, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	struct worker_revision v;
	unsigned n = 0;
	int r = store_select(store, &revisions_table,
			     " FROM revisions WHERE (code_id, revision) > (?1, ?2)"
			     " ORDER BY code_id, revision LIMIT ?3",
			     &st, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(st, 1, at->worker, -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(st, 2, at->revision);
	(void)sqlite3_bind_int64(st, 3, max);
	while ((r = next_revision(store, st, &v, e)) > 0) {
		n++;
		memcpy(at->worker, v.worker, sizeof(at->worker));
		at->revision = v.revision;
		r = fn(arg, &v);
		if (r != 0)
			break;
	}
	*ret_more = n == max;
	return r;
}

static int ask_revision(struct store *store, const char *sql, const char *worker, uint32_t revision,
			sqlite3_stmt **ret, struct err *e)
{
	int r = store_ask(store, sql, ret, e);

	if (r < 0)
		return r;
	(void)sqlite3_bind_text(*ret, 1, worker, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(*ret, 2, revision);
	return store_next(store, *ret, e);
}

int store_worker_revision_spec(struct store *store, const char *worker, uint32_t revision,
			       struct worker_spec *ret, struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r;

	*ret = (struct worker_spec){0};
	r = ask_revision(store, "SELECT spec FROM revisions WHERE code_id = ?1 AND revision = ?2",
			 worker, revision, &st, e);
	if (r <= 0)
		return r < 0 ? r : -ENOENT;
	if (spec_from_text((const char *)sqlite3_column_text(st, 0), ret) < 0)
		return err_set(e, ERR_INTERNAL, 0, "revision %u is damaged", revision);
	return 0;
}

int store_worker_revision_id(struct store *store, const char *worker, uint32_t revision,
			     char ret[PROJECT_ID_LEN + 1], struct err *e)
{
	_cleanup_stmt_ sqlite3_stmt *st = NULL;
	int r;

	ret[0] = '\0';
	r = ask_revision(store, "SELECT id FROM revisions WHERE code_id = ?1 AND revision = ?2",
			 worker, revision, &st, e);
	if (r > 0)
		row_text(st, 0, ret, PROJECT_ID_LEN + 1);
	return r < 0 ? r : 0;
}
