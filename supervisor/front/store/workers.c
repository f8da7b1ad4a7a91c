// SPDX-License-Identifier: Apache-2.0
/* A revision's columns are few and its spec is one JSON object: what an upload says grows. Its long
 * texts, config and env, with secrets in them, are the code's: those of old revisions are not
 * kept. */
#include "supervisor/front/store/workers.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/store/priv.h"

#define TEXT(name, member)                                                                         \
	{                                                                                          \
		name, offsetof(struct code_spec, member), sizeof(((struct code_spec *)0)->member), \
			0                                                                          \
	}
#define COUNT(name, member)                                                                        \
	{                                                                                          \
		name, offsetof(struct code_spec, member), 0,                                       \
			sizeof(((struct code_spec *)0)->member)                                    \
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

void code_spec_clear(struct code_spec *spec)
{
	free(spec->config);
	free(spec->env);
	*spec = (struct code_spec){0};
}

static char *spec_to_text(const struct code_spec *spec)
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

static void member_read(const struct member *m, const json_t *value, struct code_spec *ret)
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

static char *column_copy(sqlite3_stmt *st, int i)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	return text ? strdup(text) : NULL;
}

/* It was written by spec_to_text. */
static int spec_from_text(const char *text, struct code_spec *ret)
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

static void column_text(sqlite3_stmt *st, int i, char *buf, size_t size)
{
	const char *text = (const char *)sqlite3_column_text(st, i);

	(void)snprintf(buf, size, "%s", text ? text : "");
}

int store_code_load(struct store *store, store_code_fn fn, void *arg, struct err *e)
{
	static const char sql[] =
		"SELECT c.id, c.project_id, c.name, c.revision, c.paused, c.created_ns, "
		"c.changed_ns, r.spec, c.config, c.env FROM codes c JOIN revisions r ON r.code_id "
		"= c.id AND "
		"r.revision = c.revision ORDER BY c.created_ns";
	sqlite3_stmt *st = NULL;
	int s = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(store->db, sql, -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	while (r == 0 && (s = sqlite3_step(st)) == SQLITE_ROW) {
		char project[PROJECT_ID_LEN + 1];
		struct code_row code = {0};

		column_text(st, 0, code.id, sizeof(code.id));
		column_text(st, 1, project, sizeof(project));
		column_text(st, 2, code.spec.name, sizeof(code.spec.name));
		code.revision = (uint32_t)sqlite3_column_int64(st, 3);
		code.paused = sqlite3_column_int(st, 4) != 0;
		code.created_ns = (uint64_t)sqlite3_column_int64(st, 5);
		code.changed_ns = (uint64_t)sqlite3_column_int64(st, 6);
		r = spec_from_text((const char *)sqlite3_column_text(st, 7), &code.spec);
		code.spec.config = column_copy(st, 8);
		code.spec.env = column_copy(st, 9);
		if (r == 0)
			r = fn(arg, project, &code);
		if (r < 0) {
			code_spec_clear(&code.spec);
			r = err_set(e, ERR_INTERNAL, -r, "the store's code %s", code.id);
		}
	}
	if (r == 0 && s != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(st);
	return r;
}

static int put(struct store *store, const char *project, const struct code_row *c,
	       const char *revision_id, struct err *e)
{
	_cleanup_free_ char *spec = spec_to_text(&c->spec);
	int r;

	if (!spec)
		return err_set(e, ERR_INPUT, 0, "the code's texts must be UTF-8");
	r = store_sql(
		store,
		"INSERT INTO codes VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (id) "
		"DO UPDATE SET revision = ?4, paused = ?5, changed_ns = ?7, config = ?8, "
		"env = ?9",
		"sssiiiiss", e, c->id, project, c->spec.name, (sqlite3_int64)c->revision,
		(sqlite3_int64)c->paused, (sqlite3_int64)c->created_ns,
		(sqlite3_int64)c->changed_ns, c->spec.config, c->spec.env);
	if (r == 0)
		r = store_sql(store, "INSERT INTO revisions VALUES (?1, ?2, ?3, ?4, ?5)", "sisis",
			      e, c->id, (sqlite3_int64)c->revision, revision_id,
			      (sqlite3_int64)c->changed_ns, spec);
	if (r == 0)
		r = store_sql(store, "DELETE FROM revisions WHERE code_id = ?1 AND revision <= ?2",
			      "si", e, c->id, (sqlite3_int64)c->revision - CODE_REVISIONS_MAX);
	return r;
}

int store_code_put(struct store *store, const char *project, const struct code_row *code,
		   const char *revision_id, struct err *e)
{
	int r = store_begin(store, e);

	if (r == 0)
		r = put(store, project, code, revision_id, e);
	if (r == 0)
		r = store_commit(store, e);
	if (r < 0)
		store_rollback(store);
	return r;
}

int store_code_paused(struct store *store, const char *id, bool paused, struct err *e)
{
	return store_sql(store, "UPDATE codes SET paused = ?2 WHERE id = ?1", "si", e, id,
			 (sqlite3_int64)paused);
}

int store_code_delete(struct store *store, const char *id, struct err *e)
{
	int r = store_sql(store, "DELETE FROM revisions WHERE code_id = ?1", "s", e, id);

	if (r == 0)
		r = store_sql(store, "DELETE FROM codes WHERE id = ?1", "s", e, id);
	return r;
}

/* The row's columns: revision, id, created_ns, spec. */
static int read_revision(sqlite3_stmt *st, struct code_revision *ret, struct err *e)
{
	struct code_spec spec = {0};
	int r = 0;

	*ret = (struct code_revision){.revision = (uint32_t)sqlite3_column_int64(st, 0)};
	column_text(st, 1, ret->id, sizeof(ret->id));
	ret->created_ns = (uint64_t)sqlite3_column_int64(st, 2);
	if (spec_from_text((const char *)sqlite3_column_text(st, 3), &spec) < 0)
		r = err_set(e, ERR_INTERNAL, 0, "the store's revision %s is damaged", ret->id);
	memcpy(ret->file_name, spec.file_name, sizeof(ret->file_name));
	memcpy(ret->runtime, spec.runtime, sizeof(ret->runtime));
	memcpy(ret->image, spec.image, sizeof(ret->image));
	memcpy(ret->package, spec.package, sizeof(ret->package));
	memcpy(ret->zip, spec.zip, sizeof(ret->zip));
	ret->has_package = spec.has_package;
	ret->zip_bytes = spec.zip_bytes;
	ret->package_bytes = spec.package_bytes;
	ret->package_files = spec.package_files;
	code_spec_clear(&spec);
	return r;
}

int store_code_revisions(struct store *store, const char *code, uint32_t only, code_revision_fn fn,
			 void *arg, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s = SQLITE_DONE, r = 0;

	if (sqlite3_prepare_v2(store->db,
			       "SELECT revision, id, created_ns, spec FROM revisions WHERE "
			       "code_id = ?1 AND (?2 = 0 OR revision = ?2) ORDER BY revision DESC",
			       -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	(void)sqlite3_bind_text(st, 1, code, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, only);
	while (r == 0 && (s = sqlite3_step(st)) == SQLITE_ROW) {
		struct code_revision v;

		r = read_revision(st, &v, e);
		if (r == 0)
			r = fn(arg, &v);
	}
	if (r == 0 && s != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(st);
	return r < 0 ? r : 0;
}

int store_code_revisions_after(struct store *store, struct store_revision_at *at, unsigned max,
			       code_revision_fn fn, void *arg, bool *ret_more, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s = SQLITE_DONE, r = 0;
	unsigned n = 0;

	if (sqlite3_prepare_v2(store->db,
			       "SELECT revision, id, created_ns, spec, code_id FROM revisions "
			       "WHERE (code_id, revision) > (?1, ?2) ORDER BY code_id, revision "
			       "LIMIT ?3",
			       -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	(void)sqlite3_bind_text(st, 1, at->code, -1, SQLITE_TRANSIENT);
	(void)sqlite3_bind_int64(st, 2, at->revision);
	(void)sqlite3_bind_int64(st, 3, max);
	while (r == 0 && (s = sqlite3_step(st)) == SQLITE_ROW) {
		struct code_revision v;

		n++;
		r = read_revision(st, &v, e);
		column_text(st, 4, at->code, sizeof(at->code));
		at->revision = v.revision;
		if (r == 0)
			r = fn(arg, &v);
	}
	*ret_more = n == max;
	if (r == 0 && s != SQLITE_DONE)
		r = store_fail(store, e, "be read");
	(void)sqlite3_finalize(st);
	return r;
}

int store_code_revision_spec(struct store *store, const char *code, uint32_t revision,
			     struct code_spec *ret, struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s, r = -ENOENT;

	*ret = (struct code_spec){0};
	if (sqlite3_prepare_v2(store->db,
			       "SELECT spec FROM revisions WHERE code_id = ?1 AND revision = ?2",
			       -1, &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	(void)sqlite3_bind_text(st, 1, code, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, revision);
	s = sqlite3_step(st);
	if (s == SQLITE_ROW)
		r = spec_from_text((const char *)sqlite3_column_text(st, 0), ret);
	(void)sqlite3_finalize(st);
	if (s != SQLITE_ROW && s != SQLITE_DONE)
		return store_fail(store, e, "be read");
	return r < 0 && r != -ENOENT
		       ? err_set(e, ERR_INTERNAL, 0, "revision %u is damaged", revision)
		       : r;
}

int store_code_revision_id(struct store *store, const char *code, uint32_t revision,
			   char ret[PROJECT_ID_LEN + 1], struct err *e)
{
	sqlite3_stmt *st = NULL;
	int s;

	ret[0] = '\0';
	if (sqlite3_prepare_v2(store->db,
			       "SELECT id FROM revisions WHERE code_id = ?1 AND revision = ?2", -1,
			       &st, NULL) != SQLITE_OK)
		return store_fail(store, e, "be asked");
	(void)sqlite3_bind_text(st, 1, code, -1, SQLITE_STATIC);
	(void)sqlite3_bind_int64(st, 2, revision);
	s = sqlite3_step(st);
	if (s == SQLITE_ROW)
		column_text(st, 0, ret, PROJECT_ID_LEN + 1);
	(void)sqlite3_finalize(st);
	return s == SQLITE_ROW || s == SQLITE_DONE ? 0 : store_fail(store, e, "be read");
}
