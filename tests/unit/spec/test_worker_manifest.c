// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "spec/worker_manifest.h"

#define HEAD                                                                                       \
	"\"name\": \"a\", \"main\": \"entry\", \"main_file\": \"entry.py\", "                      \
	"\"compatibility_date\": \"2026-04-21\", \"python\": \"3.13\""

static int read_text(const char *text, struct worker_manifest *m, struct err *e)
{
	*e = (struct err){0};
	return worker_manifest_read("manifest", text, strlen(text), m, e);
}

/* The same file is what tests/unit/runtime/test_deploy_manifest.py wants the build to make. */
static void test_whole(void **state)
{
	struct worker_manifest m;
	struct err e = {0};
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(util_read_file_at(AT_FDCWD,
					   "tests/fuzz/seeds/fuzz_worker_manifest/whole.json",
					   MANIFEST_MAX, &text, &len),
			 0);
	if (worker_manifest_read("manifest", text, len, &m, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(m.name, "hello-staging");
	assert_string_equal(m.main, "entry");
	assert_string_equal(m.main_file, "entry.py");
	assert_string_equal(m.date, "2026-04-21");
	assert_string_equal(m.python, "3.13");
	assert_int_equal(json_array_size(m.flags), 2);
	assert_int_equal(m.n_bindings, 12);
	assert_int_equal(m.bindings[0].type, BINDING_PLAIN_TEXT);
	assert_string_equal(m.bindings[0].target, "hello");
	assert_int_equal(m.bindings[1].type, BINDING_JSON);
	assert_non_null(json_object_get(m.bindings[1].object, "json"));
	assert_int_equal(m.bindings[2].type, BINDING_SECRET_TEXT);
	assert_int_equal(m.bindings[3].type, BINDING_KV);
	assert_null(m.bindings[3].target);
	assert_string_equal(m.bindings[4].target, "0123456789abcdef0123456789abcdef");
	assert_string_equal(m.bindings[5].target, "auth");
	assert_string_equal(m.bindings[5].entrypoint, "Admin");
	assert_int_equal(m.bindings[7].limit, 100);
	assert_int_equal(m.bindings[7].period_s, 60);
	assert_int_equal(m.bindings[9].type, BINDING_DATA);
	assert_string_equal(m.bindings[9].target, "AP8=");
	assert_false(binding_table[m.bindings[10].type].served);
	assert_int_equal(json_array_size(m.secrets_required), 1);
	assert_int_equal(json_array_size(m.crons), 2);
	assert_int_equal(m.n_routes, 2);
	assert_string_equal(m.routes[0].pattern.host, "example.com");
	assert_string_equal(m.routes[0].zone, "example.com");
	assert_true(m.routes[1].custom_domain);
	assert_true(m.routes[1].pattern.prefix);
	assert_string_equal(m.assets.directory, ".sandboxd/assets");
	assert_string_equal(m.assets.html_handling, "none");
	assert_int_equal(json_array_size(m.assets.worker_first), 2);
	assert_true(m.assets.only);
	assert_false(m.sandbox.by_request);
	assert_string_equal(m.sandbox.image, "web");
	assert_int_equal(m.sandbox.min, 1);
	assert_int_equal(m.sandbox.max, 8);
	assert_int_equal(m.sandbox.concurrency, 50);
	assert_int_equal(m.sandbox.max_age_s, 3600);
	assert_int_equal(m.sandbox.max_requests, 10000);
	assert_int_equal(m.sandbox.memory, 128 << 20);
	assert_int_equal(m.sandbox.cpu_milli, 500);
	assert_int_equal(m.sandbox.timeout_s, 30);
	assert_int_equal(m.sandbox.snapshot, MANIFEST_SNAPSHOT_PACKAGE);
	assert_int_equal(m.sandbox.start, MANIFEST_START_RESTORE);
	assert_string_equal(m.imports, "json\nnumpy.linalg");
	assert_string_equal(m.package_imports, "fastapi\nfastapi.routing");
	assert_int_equal(json_array_size(m.requirements), 2);
	assert_int_equal(json_array_size(m.warnings), 1);
	assert_string_equal(m.tag, "v1");
	assert_string_equal(m.message, "first");
	worker_manifest_clear(&m);
	free(text);
}

static void test_defaults(void **state)
{
	static const char text[] = "{" HEAD "}";
	struct worker_manifest m;
	struct err e;

	(void)state;
	if (read_text(text, &m, &e) < 0)
		fail_msg("%s", e.msg);
	assert_false(m.sandbox.by_request);
	assert_string_equal(m.sandbox.policy, "default");
	assert_null(m.sandbox.image);
	assert_int_equal(m.sandbox.min, 0);
	assert_int_equal(m.sandbox.max, 4);
	assert_int_equal(m.sandbox.concurrency, 100);
	assert_int_equal(m.sandbox.memory, 0);
	assert_int_equal(m.sandbox.snapshot, MANIFEST_SNAPSHOT_DEDICATED);
	assert_int_equal(m.sandbox.start, MANIFEST_START_AUTO);
	assert_null(m.assets.directory);
	assert_string_equal(m.imports, "");
	worker_manifest_clear(&m);
	/* Cut short anywhere it is an error, and nothing is left. */
	for (size_t n = 0; n + 1 < sizeof(text); n++) {
		assert_true(worker_manifest_read("manifest", text, n, &m, &e) < 0);
		assert_null(m.doc);
	}
}

static void test_request_isolation(void **state)
{
	struct worker_manifest m;
	struct err e;

	(void)state;
	assert_int_equal(read_text("{" HEAD ", \"sandbox\": {\"isolation\": \"request\"}}", &m, &e),
			 0);
	assert_true(m.sandbox.by_request);
	assert_int_equal(m.sandbox.max, 100);
	worker_manifest_clear(&m);
	/* More instances than the default of max. */
	assert_int_equal(read_text("{" HEAD ", \"sandbox\": {\"min\": 6}}", &m, &e), 0);
	assert_int_equal(m.sandbox.max, 6);
	worker_manifest_clear(&m);
}

#define WITH(rest) "{" HEAD ", " rest "}"
#define BINDING(rest) WITH("\"bindings\": [{" rest "}]")
#define ENTRYPOINT(name)                                                                           \
	BINDING("\"name\": \"A\", \"type\": \"service\", \"service\": \"w\", \"entrypoint\": "     \
		"\"" name "\"")

static void test_errors_name_the_field(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"{}", "name: is missing"},
		{"[]", "must be an object"},
		{"{\"name\": \"A\"}", "name: must have 1 to 63 of the characters"},
		{"{\"name\": \"-a\"}", "name: must have 1 to 63"},
		{"{\"name\": \"a.b\"}", "name: must have 1 to 63"},
		{"{\"name\": \"a\", \"main\": \"a/b\"}", "main: must be a module's name"},
		{"{\"name\": \"a\", \"main\": \"entry\", \"main_file\": \"x.py\"}",
		 "main_file: must be main with .py"},
		{"{\"name\": \"a\", \"main\": \"a\", \"main_file\": \"a.py\", "
		 "\"compatibility_date\": \"2026-13-01\"}",
		 "compatibility_date: must be a date"},
		{"{\"name\": \"a\", \"main\": \"a\", \"main_file\": \"a.py\", "
		 "\"compatibility_date\": \"2026-12-01\"}",
		 "python: is missing"},
		{WITH("\"extra\": 1"), "extra: unknown key"},
		{WITH("\"assets\": null"), "assets: must be an object, not null"},
		{WITH("\"compatibility_flags\": [\"a b\"]"), "compatibility_flags[0]: must have"},
		{WITH("\"compatibility_flags\": [\"a\", \"a\"]"),
		 "compatibility_flags[1]: is there twice"},
		{WITH("\"secrets_required\": [\"1\"]"), "secrets_required[0]: must be a name"},
		{WITH("\"crons\": [\"@daily\"]"), "crons[0]: must have five fields"},
		{WITH("\"crons\": [\"1 2 3 4 5 6\"]"), "crons[0]: must have five fields"},
		{WITH("\"crons\": [\"61 * * * *\"]"), "crons[0]: cron: minute: character 1"},
		{WITH("\"crons\": [7]"), "crons[0]: must be a string"},
		{WITH("\"routes\": [{}]"), "routes[0].pattern: is missing"},
		{WITH("\"routes\": [{\"pattern\": \"a.com:1/*\"}]"),
		 "routes[0].pattern: a pattern has no port"},
		{WITH("\"routes\": [{\"pattern\": \"a.com/*\", \"custom_domain\": true}]"),
		 "routes[0].pattern: a custom domain is a host alone"},
		{WITH("\"routes\": [{\"pattern\": \"a.com/*\", \"zone_name\": \"A B\"}]"),
		 "routes[0].zone_name: must be a domain"},
		{WITH("\"assets\": {}"), "assets.directory: is missing"},
		{WITH("\"assets\": {\"directory\": \"../x\"}"),
		 "assets.directory: must be a folder"},
		{WITH("\"assets\": {\"directory\": \"/x\"}"), "assets.directory: must be a folder"},
		{WITH("\"assets\": {\"directory\": \"a//b\"}"), "assets.directory: must be"},
		{WITH("\"assets\": {\"directory\": \"a\", \"html_handling\": \"x\"}"),
		 "assets.html_handling: is no word"},
		{WITH("\"assets\": {\"directory\": \"a\", \"run_worker_first\": [\"a\"]}"),
		 "assets.run_worker_first[0]: must begin with /"},
		{WITH("\"assets\": {\"directory\": \"a\", \"run_worker_first\": [1]}"),
		 "assets.run_worker_first[0]: must be a string"},
		{WITH("\"sandbox\": {\"isolation\": \"none\"}"), "sandbox.isolation: is no word"},
		{WITH("\"sandbox\": {\"image\": \"../x\"}"), "sandbox.image: must be an image's"},
		{WITH("\"sandbox\": {\"policy\": \"../x\"}"), "sandbox.policy: must be a policy's"},
		{WITH("\"sandbox\": {\"max\": 0}"), "sandbox.max: must be from 1 to 1000"},
		{WITH("\"sandbox\": {\"min\": 3, \"max\": 2}"), "sandbox.min: must not be more"},
		{WITH("\"sandbox\": {\"isolation\": \"request\", \"min\": 1}"),
		 "sandbox.min: is for isolation \"instance\""},
		{WITH("\"sandbox\": {\"snapshot\": \"all\"}"), "sandbox.snapshot: is no word"},
		{WITH("\"sandbox\": {\"start\": \"fork\"}"), "sandbox.start: is no word"},
		{WITH("\"sandbox\": {\"memory\": 1}"), "sandbox.memory: must be from 16M"},
		{WITH("\"sandbox\": {\"cpus\": 0}"), "sandbox.cpus: must be from"},
		{WITH("\"sandbox\": {\"timeout_s\": 3601}"), "sandbox.timeout_s: must be from"},
		{WITH("\"imports\": [\"a..b\"]"), "imports[0]: must be a module's name"},
		{WITH("\"package_imports\": [\"a\\nb\"]"),
		 "package_imports[0]: must be a module's name"},
		{WITH("\"imports\": [\"@entropy\"]"), "imports[0]: must be a module's name"},
		{WITH("\"imports\": [\"a\\nb\"]"), "imports[0]: must be a module's name"},
		{WITH("\"requirements\": [{\"name\": \"A\"}]"),
		 "requirements[0].name: must be a project's name"},
		{WITH("\"requirements\": [{\"name\": \"a\", \"version\": \"1\"}]"),
		 "requirements[0].from: is missing"},
		{WITH("\"requirements\": [{\"name\": \"a\", \"version\": \"1;\", \"from\": "
		      "\"image\"}]"),
		 "requirements[0].version: must be a version"},
		{BINDING("\"name\": \"A\""), "bindings[0].type: is missing"},
		{BINDING("\"type\": \"json\""), "bindings[0].name: is missing"},
		{BINDING("\"name\": \"A\", \"type\": \"x\""), "bindings[0].type: there is no such"},
		{BINDING("\"name\": \"a b\", \"type\": \"json\""),
		 "bindings[0].name: must be a name"},
		{BINDING("\"name\": \"A\", \"type\": \"plain_text\""),
		 "bindings[0].text: is missing"},
		{BINDING("\"name\": \"A\", \"type\": \"json\""), "bindings[0].json: is missing"},
		/* A secret's text is no part of a manifest. */
		{BINDING("\"name\": \"A\", \"type\": \"secret_text\", \"text\": \"x\""),
		 "bindings[0].text: unknown key"},
		{BINDING("\"name\": \"A\", \"type\": \"kv_namespace\", \"namespace_id\": \"<ID>\""),
		 "bindings[0].namespace_id: must have"},
		{BINDING("\"name\": \"A\", \"type\": \"service\", \"service\": \"../x\""),
		 "bindings[0].service: must be a worker's name"},
		/* It is sent in a header to the edge, which anything may follow there. */
		{ENTRYPOINT("E\\r\\nX-Sandboxd-Worker: other/w"),
		 "entrypoint: must be a class's name"},
		{ENTRYPOINT("E\\u0001"), "entrypoint: must be a class's name"},
		{ENTRYPOINT("a.b"), "entrypoint: must be a class's name"},
		{ENTRYPOINT("9"), "entrypoint: must be a class's name"},
		{ENTRYPOINT("\xc3\xbc"), "entrypoint: must be a class's name"},
		{BINDING("\"name\": \"A\", \"type\": \"ratelimit\", \"namespace_id\": \"1\""),
		 "bindings[0].simple: is missing"},
		{BINDING("\"name\": \"A\", \"type\": \"ratelimit\", \"namespace_id\": \"1\", "
			 "\"simple\": {\"limit\": 1, \"period\": 11}"),
		 "bindings[0].simple.period: must be 10 or 60"},
		{BINDING("\"name\": \"A\", \"type\": \"assets\""), "assets: is missing, and the"},
		{WITH("\"bindings\": [{\"name\": \"A\", \"type\": \"ai\"}, {\"name\": \"A\", "
		      "\"type\": \"ai\"}]"),
		 "bindings[1].name: another binding has this name"},
		{WITH("\"sandbox\": {\"isolation\": \"request\"}, \"bindings\": [{\"name\": "
		      "\"A\", \"type\": \"durable_object_namespace\", \"class_name\": \"C\"}]"),
		 "bindings[0]: a Durable Object needs an instance"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct worker_manifest m;
		struct err e;

		if (read_text(cases[i].text, &m, &e) == 0)
			fail_msg("is taken: %s", cases[i].text);
		assert_null(m.doc);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("%s: %s", cases[i].text, e.msg);
	}
}

/* As many as may be, and one more. */
static void test_bounds(void **state)
{
	struct worker_manifest m;
	char text[20000];
	struct err e;

	(void)state;
	for (size_t n = MANIFEST_BINDINGS_MAX; n <= MANIFEST_BINDINGS_MAX + 1; n++) {
		size_t at = (size_t)snprintf(text, sizeof(text), "{" HEAD ", \"bindings\": [");

		for (size_t i = 0; i < n; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at,
					       "%s{\"name\": \"B%zu\", \"type\": \"ai\"}",
					       i ? "," : "", i);
		(void)snprintf(text + at, sizeof(text) - at, "]}");
		assert_int_equal(read_text(text, &m, &e), n > MANIFEST_BINDINGS_MAX ? -EINVAL : 0);
		worker_manifest_clear(&m);
	}
	/* 64 names of 11 bytes, each with its newline or NUL, are 768 bytes; one of the package's takes
	 * 8 more. */
	for (size_t n = 64; n <= 66; n++) {
		size_t at = (size_t)snprintf(text, sizeof(text), "{" HEAD ", \"imports\": [");
		const size_t own = n == 66;

		for (size_t i = 0; i < n - own * 3; i++)
			at += (size_t)snprintf(text + at, sizeof(text) - at, "%s\"abcdefghx%02zu\"",
					       i ? "," : "", i);
		(void)snprintf(text + at, sizeof(text) - at, "]%s}",
			       own ? ", \"package_imports\": [\"abcd\"]" : "");
		assert_int_equal(read_text(text, &m, &e), n == 64 ? 0 : -EINVAL);
		worker_manifest_clear(&m);
		if (!own)
			continue;
		/* 63 and one of 4 characters are 769 bytes, with 3 characters 768. */
		*strstr(text, "abcd\"]") = 'x';
		memmove(strstr(text, "xbcd\"]"), strstr(text, "xbcd\"]") + 1,
			strlen(strstr(text, "xbcd\"]")));
		assert_int_equal(read_text(text, &m, &e), 0);
		assert_string_equal(m.package_imports, "bcd");
		worker_manifest_clear(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_request_isolation),
		cmocka_unit_test(test_errors_name_the_field),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
