// SPDX-License-Identifier: Apache-2.0
/* openapi.json describes every row of all capabilities' tables, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ctype.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/api/verbs.h"
#include "supervisor/front/front.h"

static const char *const auth_names[] = {
	[WHO_ANYBODY] = "open",
	[WHO_PROJECT] = "project",
	[WHO_TOKEN] = "token",
	[WHO_OPERATOR] = "operator",
};

/* Turns "/codes/{code_id}" into "/codes/{}". */
static void plain_path(const char *path, char *buf)
{
	bool inside = false;

	for (; *path; path++) {
		if (*path == '}')
			inside = false;
		if (!inside)
			*buf++ = *path;
		if (*path == '{')
			inside = true;
	}
	*buf = '\0';
}

static const struct http_route *const *all_tables(unsigned *ret_n)
{
	static const struct http_route *const *tables;
	static unsigned n;

	if (!tables)
		tables = verb_tables(front_capabilities, &n);
	assert_non_null(tables);
	*ret_n = n;
	return tables;
}

static const struct http_route *find(const char *method, const char *path)
{
	unsigned n;
	const struct http_route *const *tables = all_tables(&n);
	char plain[256];

	for (unsigned i = 0; i < n; i++)
		for (const struct http_route *row = tables[i]; row->method; row++) {
			plain_path(row->path, plain);
			if (strcasecmp(row->method, method) == 0 && strcmp(plain, path) == 0)
				return row;
		}
	return NULL;
}

static json_t *load(void)
{
	json_error_t e;
	json_t *doc =
		json_load_file("supervisor/front/api/openapi.json", JSON_REJECT_DUPLICATES, &e);

	if (!doc)
		fail_msg("openapi.json: line %d: %s", e.line, e.text);
	return doc;
}

static void test_described_exist(void **state)
{
	json_auto_t *doc = load();
	json_t *path, *op;
	const char *name, *method;
	char plain[256];

	(void)state;
	json_object_foreach(json_object_get(doc, "paths"), name, path)
	{
		json_object_foreach(path, method, op)
		{
			const struct http_route *row;
			json_t *body = json_object_get(op, "requestBody");
			bool upload = json_object_get(json_object_get(body, "content"),
						      "multipart/form-data") != NULL;

			if (strcmp(method, "parameters") == 0)
				continue;
			plain_path(name, plain);
			row = find(method, plain);
			if (!row) {
				fail_msg("%s %s is described and in no table", method, name);
				return;
			}
			assert_string_equal(json_string_value(json_object_get(op, "x-auth")),
					    auth_names[row->who]);
			assert_int_equal(upload, row->upload);
		}
	}
}

static bool is_described(const json_t *doc, const struct http_route *row)
{
	json_t *path;
	const char *name;
	char plain[256], row_plain[256], method[16] = "";

	plain_path(row->path, row_plain);
	for (size_t i = 0; row->method[i]; i++)
		method[i] = (char)tolower(row->method[i]);
	json_object_foreach(json_object_get(doc, "paths"), name, path)
	{
		plain_path(name, plain);
		if (strcmp(plain, row_plain) == 0 && json_object_get(path, method))
			return true;
	}
	return false;
}

static void test_rows_described(void **state)
{
	unsigned n;
	const struct http_route *const *tables = all_tables(&n);
	json_auto_t *doc = load();

	(void)state;
	/* The server's own paths are the page's files and /metrics. An API of another's is described
	 * by them. */
	for (unsigned i = 0; i < n; i++)
		for (const struct http_route *row = tables[i]; row->method; row++)
			if (tables[i] != http_routes_node && !row->dialect &&
			    !is_described(doc, row))
				fail_msg("%s %s is in a table and not described", row->method,
					 row->path);
}

/* For every {"$ref": "#/components/schemas/X"} there must be an X. */
static void check_refs(const json_t *schemas, json_t *v)
{
	static const char prefix[] = "#/components/schemas/";
	const char *key, *text;
	json_t *item;
	size_t i;

	json_array_foreach(v, i, item) check_refs(schemas, item);
	json_object_foreach(v, key, item)
	{
		check_refs(schemas, item);
		if (strcmp(key, "$ref") != 0)
			continue;
		text = json_string_value(item);
		assert_int_equal(strncmp(text, prefix, strlen(prefix)), 0);
		if (!json_object_get(schemas, text + strlen(prefix)))
			fail_msg("there is no %s", text);
	}
}

static void test_refs(void **state)
{
	json_auto_t *doc = load();

	(void)state;
	check_refs(json_object_get(json_object_get(doc, "components"), "schemas"), doc);
}

int main(void)
{
	const struct CMUnitTest list[] = {
		cmocka_unit_test(test_described_exist),
		cmocka_unit_test(test_rows_described),
		cmocka_unit_test(test_refs),
	};

	return cmocka_run_group_tests_name("openapi", list, NULL, NULL);
}
