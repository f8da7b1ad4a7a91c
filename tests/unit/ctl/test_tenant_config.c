// SPDX-License-Identifier: Apache-2.0
/* Which project a tenant's verb is for: each place that is read, and the order of precedence. */
#include "tests/unit/ctl_rig.h"

#include "supervisor/ctl/tenant_verb.h"

#define ID_1 "111111111111111111111111"
#define ID_2 "222222222222222222222222"

static struct ctl ctl = {.socket_path = "", .state_dir = ""};

static int setup(void **state)
{
	static const char *const prefixes[] = {"IRON", "IRON_WORKER"};
	static const char *const names[] = {"PROJECT_ID", "TOKEN",    "HOST",
					    "PORT",	  "PROTOCOL", "SCHEME"};
	char name[64];
	int r = ctl_rig_setup(state);

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
		for (size_t k = 0; k < ARRAY_SIZE(names); k++) {
			(void)snprintf(name, sizeof(name), "%s_%s", prefixes[i], names[k]);
			(void)unsetenv(name);
		}
	(void)mkdir("home", 0755);
	(void)setenv("HOME", "home", 1);
	return r;
}

static void begins(struct tenant *tenant)
{
	struct err e = {0};

	if (tenant_begin(tenant, &e) < 0)
		fail_msg("%s", e.msg);
}

static void fails(struct tenant *tenant, const char *wanted)
{
	struct err e = {0};

	assert_true(tenant_begin(tenant, &e) < 0);
	assert_string_equal(e.msg, wanted);
	tenant_clear(tenant);
}

/* Each place that comes later is laid over the ones before it: its values, and no others. */
static void test_order(void **state)
{
	char token[] = "option";

	(void)state;
	ctl_rig_file("home/.iron.json", "{\"project_id\":\"" ID_1 "\",\"token\":\"home\",\"host\":"
					"\"h1\",\"port\":1,\"scheme\":\"https\"}");
	{
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

		begins(&tenant);
		assert_string_equal(tenant.c.project_id, ID_1);
		assert_string_equal(tenant.c.token, "home");
		assert_string_equal(tenant.c.token_from, "home/.iron.json");
		assert_string_equal(tenant.c.scheme, "https");
		assert_string_equal(tenant.token_header, "Authorization: OAuth home");
	}
	(void)setenv("IRON_TOKEN", "env", 1);
	(void)setenv("IRON_PORT", "2", 1);
	(void)setenv("IRON_HOST", "", 1);
	{
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

		begins(&tenant);
		assert_string_equal(tenant.c.token, "env");
		assert_string_equal(tenant.c.token_from, "IRON_TOKEN");
		assert_int_equal(tenant.c.port, 2);
		/* An empty variable counts as not set. */
		assert_string_equal(tenant.c.host, "h1");
	}
	(void)setenv("IRON_WORKER_TOKEN", "worker", 1);
	{
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

		begins(&tenant);
		assert_string_equal(tenant.c.token, "worker");
		assert_int_equal(tenant.c.port, 2);
	}
	ctl_rig_file("iron.json", "{\"token\":\"here\",\"port\":3}");
	{
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

		begins(&tenant);
		assert_string_equal(tenant.c.token, "here");
		assert_int_equal(tenant.c.port, 3);
		assert_string_equal(tenant.c.project_id, ID_1);
	}
	ctl_rig_file("mine.json", "{\"token\":\"config\",\"host\":\"h2\"}");
	{
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

		assert_true(tenant_option(&tenant, TENANT_OPT_CONFIG, (char *)"mine.json"));
		begins(&tenant);
		assert_string_equal(tenant.c.token, "config");
		assert_string_equal(tenant.c.host, "h2");
		assert_int_equal(tenant.c.port, 3);
	}
	{
		_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

		assert_true(tenant_option(&tenant, TENANT_OPT_CONFIG, (char *)"mine.json"));
		assert_true(tenant_option(&tenant, TENANT_OPT_TOKEN, token));
		assert_true(tenant_option(&tenant, TENANT_OPT_PROJECT, (char *)ID_2));
		assert_true(tenant_option(&tenant, TENANT_OPT_HOST, (char *)"h3"));
		assert_true(tenant_option(&tenant, TENANT_OPT_PORT, (char *)"4"));
		assert_false(tenant_option(&tenant, 'x', NULL));
		begins(&tenant);
		assert_string_equal(tenant.c.token, "option");
		assert_string_equal(tenant.c.token_from, "--token");
		assert_string_equal(tenant.c.project_id, ID_2);
		assert_string_equal(tenant.c.host, "h3");
		assert_int_equal(tenant.c.port, 4);
		/* The token is overwritten where ps(1) would show it. */
		assert_string_equal(token, "xxxxxx");
	}
}

/* A value that no source gives fits a daemon on the same machine. */
static void test_defaults(void **state)
{
	_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

	(void)state;
	(void)setenv("IRON_PROJECT_ID", ID_1, 1);
	(void)setenv("IRON_TOKEN", "t", 1);
	/* If HOME is not set, no file is read from it. */
	(void)unsetenv("HOME");
	begins(&tenant);
	assert_string_equal(tenant.c.host, "127.0.0.1");
	assert_string_equal(tenant.c.scheme, "http");
	assert_int_equal(tenant.c.port, CLIENT_PORT_DEFAULT);
}

/* The section may be in any of the files; if none has it, that is an error. */
static void test_env(void **state)
{
	struct tenant none = TENANT_INIT(&ctl, "tasks");
	_cleanup_tenant_ struct tenant tenant = TENANT_INIT(&ctl, "tasks");

	(void)state;
	ctl_rig_file("home/.iron.json", "{\"project_id\":\"" ID_1 "\",\"token\":\"plain\",\"dev\":"
					"{\"token\":\"dev\"}}");
	ctl_rig_file("iron.json", "{\"port\":5}");
	tenant.env = "dev";
	begins(&tenant);
	assert_string_equal(tenant.c.token, "dev");
	assert_int_equal(tenant.c.port, 5);
	none.env = "prod";
	fails(&none,
	      "--env prod: none of ~/.iron.json, ./iron.json and --config has such a section");
}

/* Errors name the source of the wrong value; a token is never shown. */
static void test_wrong(void **state)
{
	struct tenant tenant = TENANT_INIT(&ctl, "tasks");

	(void)state;
	fails(&tenant,
	      "no project is named: put \"project_id\" into iron.json, set IRON_PROJECT_ID, "
	      "or use --project-id ('sandboxctl project create' makes one)");
	(void)setenv("IRON_PROJECT_ID", ID_1, 1);
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	fails(&tenant, "there is no token: put \"token\" into iron.json, set IRON_TOKEN, or use "
		       "--token ('sandboxctl project token create' makes one)");
	(void)setenv("IRON_TOKEN", "t", 1);
	(void)setenv("IRON_WORKER_PORT", "65536", 1);
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	fails(&tenant, "IRON_WORKER_PORT: port: must be a number from 1 to 65535");
	(void)unsetenv("IRON_WORKER_PORT");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	tenant.port = "0";
	fails(&tenant, "--port: port: must be a number from 1 to 65535");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	tenant.token = strdup("a secret\r\nX: y");
	fails(&tenant, "--token: token: is empty, or has a character that is not allowed there");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	tenant.host = "evil.example/path";
	fails(&tenant, "--host: host: is empty, or has a character that is not allowed there");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	tenant.config = "none.json";
	fails(&tenant, "none.json: No such file or directory");
	ctl_rig_file("iron.json", "[]");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	fails(&tenant, "./iron.json: must be an object");
	ctl_rig_file("iron.json", "{\"port\":true}");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	fails(&tenant, "./iron.json: port: must be a string");
	ctl_rig_file("iron.json", "{\"iron_worker\":{\"scheme\":\"ftp\"}}");
	tenant = (struct tenant)TENANT_INIT(&ctl, "tasks");
	fails(&tenant, "./iron.json: iron_worker: scheme: must be \"http\" or \"https\"");
}

/* A number on the command line must be within its bounds, and must be only a number. */
static void test_number(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} rows[] = {
		{"0", true},   {"10", true},   {"-1", false},
		{"11", false}, {"", false},    {"x", false},
		{"5x", false}, {"1e1", false}, {"99999999999999999999", false},

	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct err e = {0};
		long long n = -5;

		if ((tenant_number("--priority", rows[i].text, 0, 10, &n, &e) == 0) != rows[i].ok)
			fail_msg("'%s'", rows[i].text);
		if (!rows[i].ok)
			assert_string_equal(e.msg, "--priority: must be a number from 0 to 10");
	}
}

/* An id that would change the path of the URL is refused. */
static void test_id(void **state)
{
	static const char *const wrong[] = {"",
					    "..",
					    ID_1 "1",
					    "11111111111111111111111",
					    "11111111111111111111111A",
					    "1111111111111111111111/.",
					    "g11111111111111111111111"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct err e = {0};
		char msg[128];

		assert_true(tenant_check_id(wrong[i], "task's id", &e) < 0);
		(void)snprintf(msg, sizeof(msg), "'%s' is no task's id: 24 hexadecimal digits",
			       wrong[i]);
		assert_string_equal(e.msg, msg);
	}
	assert_int_equal(tenant_check_id(ID_1, "task's id", NULL), 0);
}

/* A verb's own arguments are checked before any project is looked for. */
static void test_words(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_tenant,
		 .words = {"nothing"},
		 .status = 125,
		 .err = "sandboxctl: there is no verb 'nothing'\nTry 'sandboxctl help'.\n"},
		{.verb = ctl_tenant,
		 .words = {"status"},
		 .status = 125,
		 .err = "sandboxctl status: names no task\nTry 'sandboxctl help status'.\n"},
		{.verb = ctl_tenant,
		 .words = {"info", "a", "b"},
		 .status = 125,
		 .err = "sandboxctl info: does not take 'b'\nTry 'sandboxctl help info'.\n"},
		{.verb = ctl_tenant,
		 .words = {"codes", "--token"},
		 .status = 125,
		 .err = "sandboxctl codes: --token needs a value\nTry 'sandboxctl help codes'.\n"},
		{.verb = ctl_tenant,
		 .words = {"pause", "--help"},
		 .out = "usage: sandboxctl pause",
		 .any_out = true},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

#define CONFIG_TEST(TEST) cmocka_unit_test_setup_teardown(TEST, setup, ctl_rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CONFIG_TEST(test_order), CONFIG_TEST(test_defaults), CONFIG_TEST(test_env),
		CONFIG_TEST(test_wrong), CONFIG_TEST(test_number),   CONFIG_TEST(test_id),
		CONFIG_TEST(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
