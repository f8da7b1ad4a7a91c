// SPDX-License-Identifier: Apache-2.0
/* project, its tokens, and template: words, requests, what is printed, exit statuses. */
#include "tests/unit/ctl_rig.h"

#define USAGE_P "Try 'sandboxctl help project'.\n"
#define USAGE_T "Try 'sandboxctl help template'.\n"

/* Numbers are sent as numbers and lists as lists; the daemon checks everything else. */
static void test_create(void **state)
{
	static const char answer[] = "{\"ok\":true,\"token\":\"secret\",\"id\":\"p1\","
				     "\"name\":\"shop\",\"warnings\":[\"odd\\u0007\"]}";
	static const struct ctl_case cases[] = {
		{.verb = ctl_project,
		 .words = {"project", "create", "--quota", "running=2", "shop", "--quota",
			   "memory=512M", "--quota=policies=default,strict", "--quota",
			   "queued=-1"},
		 .turns = {{"{\"op\":\"project_create\",\"name\":\"shop\",\"quota\":{\"running\":2,"
			    "\"memory\":\"512M\",\"policies\":[\"default\",\"strict\"],\"queued\":-"
			    "1}}",
			    answer},
			   {"{\"op\":\"version\"}", "{\"ok\":true,\"http\":\"0.0.0.0:9090\"}"}},
		 .out = "project shop is made. Its clients' iron.json (the token is shown this "
			"once):\n\n{\"project_id\": \"p1\",\n \"token\": \"secret\",\n \"host\": "
			"\"127.0.0.1\", \"port\": 9090, \"protocol\": \"http\", \"scheme\": "
			"\"http\",\n \"api_version\": \"2\"}\n",
		 .err = "sandboxctl: warning: odd\\x07\n"},
		{.verb = ctl_project,
		 .words = {"project", "create", "shop"},
		 .turns = {{"{\"op\":\"project_create\",\"name\":\"shop\",\"quota\":{}}", answer},
			   {"{\"op\":\"version\"}", "{\"ok\":true,\"http\":\"[::]:81\"}"}},
		 .out = "\"host\": \"[::1]\", \"port\": 81,",
		 .any_out = true,
		 .err = "sandboxctl: warning: odd\\x07\n"},
		{.verb = ctl_project,
		 .words = {"project", "create", "shop"},
		 .turns = {{"{\"op\":\"project_create\",\"name\":\"shop\",\"quota\":{}}", answer},
			   {"{\"op\":\"version\"}", "{\"ok\":true}"}},
		 .out = "\"host\": \"127.0.0.1\", \"port\": 8080,",
		 .any_out = true,
		 .err = "sandboxctl: warning: odd\\x07\nsandboxctl: the daemon has no HTTP server "
			"(--http none): no client can use this yet\n"},
		{.verb = ctl_project,
		 .words = {"project", "create", "shop"},
		 .turns = {{"{\"op\":\"project_create\",\"name\":\"shop\",\"quota\":{}}", answer},
			   {"{\"op\":\"version\"}", "{\"ok\":false,\"code\":\"denied\"}"}},
		 .out = "\"token\": \"secret\"",
		 .any_out = true,
		 .err = "sandboxctl: warning: odd\\x07\nsandboxctl: the daemon does not tell its "
			"port: 8080 is only the default\n"},
		{.verb = ctl_project,
		 .words = {"project", "create", "shop"},
		 .json = true,
		 .turns = {{"{\"op\":\"project_create\",\"name\":\"shop\",\"quota\":{}}", answer}},
		 .out = "{\n  \"id\": \"p1\",\n  \"name\": \"shop\",\n  \"token\": \"secret\"\n}\n",
		 .err = "sandboxctl: warning: odd\\x07\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* A wrong command line is an error before the daemon is asked anything. */
static void test_words(void **state)
{
	static const struct {
		const char *words[6], *err;
	} rows[] = {
		{{"project"},
		 "sandboxctl project: what? (create, ls, inspect, quota, rm, token)\n" USAGE_P},
		{{"project", "mk"}, "sandboxctl project: there is no 'mk'\n" USAGE_P},
		{{"project", "create"}, "sandboxctl project: create takes one name\n" USAGE_P},
		{{"project", "create", "a", "b"},
		 "sandboxctl project: create takes one name\n" USAGE_P},
		{{"project", "create", "--quota"},
		 "sandboxctl project: --quota needs a value\n" USAGE_P},
		{{"project", "create", "a", "--size"},
		 "sandboxctl project: there is no option --size\n" USAGE_P},
		{{"project", "create", "a", "--quota", "running"},
		 "sandboxctl: quota: 'running' is not KEY=VALUE\n"},
		{{"project", "create", "a", "--quota", "=2"},
		 "sandboxctl: quota: '=2' is not KEY=VALUE\n"},
		{{"project", "quota", "a", "running="},
		 "sandboxctl: quota: 'running=' is not KEY=VALUE\n"},
		{{"project", "quota", "a", "running=1", "running=2"},
		 "sandboxctl: quota: running is given twice\n"},
		{{"project", "quota", "a", "memory=\xff"},
		 "sandboxctl: quota: must be UTF-8 text\n"},
		{{"project", "quota", "a", "images=a,\xff"},
		 "sandboxctl: quota: must be UTF-8 text\n"},
		{{"project", "quota", "a"},
		 "sandboxctl project: quota takes a name and KEY=VALUE\n" USAGE_P},
		{{"project", "ls", "a"}, "sandboxctl project: ls takes no argument: 'a'\n" USAGE_P},
		{{"project", "inspect"}, "sandboxctl project: inspect takes one name\n" USAGE_P},
		{{"project", "rm"}, "sandboxctl project: rm takes one name\n" USAGE_P},
		{{"project", "rm", "a", "--now"},
		 "sandboxctl project: there is no option --now\n" USAGE_P},
		{{"project", "create", "\xff"}, "sandboxctl: a name or label is not UTF-8 text\n"},
		{{"project", "token"}, "sandboxctl project: what? (create, ls, revoke)\n" USAGE_P},
		{{"project", "token", "create"},
		 "sandboxctl project: token create takes one project\n" USAGE_P},
		{{"project", "token", "create", "a", "--label", "\xff"},
		 "sandboxctl: a name or label is not UTF-8 text\n"},
		{{"project", "token", "ls"},
		 "sandboxctl project: token ls takes one project\n" USAGE_P},
		{{"project", "token", "revoke", "a"},
		 "sandboxctl project: token revoke takes a project and a token's id\n" USAGE_P},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = ctl_project, .status = 125, .err = rows[i].err};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		ctl_try(&c);
	}
}

#define SHOP_MEMBERS                                                                               \
	"\"id\":\"p1\",\"name\":\"shop\",\"created_at\":\"t0\",\"tasks\":{\"queued\":2,"           \
	"\"running\":1},\"codes\":3,\"schedules\":4,\"tokens\":5,\"package_bytes\":1536,"          \
	"\"package_files\":6,\"log_bytes\":7,\"http_workers\":8,\"http_instances\":9,"             \
	"\"kv_bytes\":10,\"quota\":{\"running\":2,\"memory\":536870912,"                           \
	"\"policies\":[\"default\",\"a\\u001b\"],\"images\":[\"*\"],"                              \
	"\"hosts\":[\"a.example\",\"*.b.example\"]}}"
#define SHOP_OK "{\"ok\":true," SHOP_MEMBERS
#define SHOP "{" SHOP_MEMBERS
#define SHOP_TEXT                                                                                  \
	"id           p1\nname         shop\ncreated      t0\n"                                    \
	"tasks        2 queued, 1 running\n"                                                       \
	"workers      3, 1536 bytes of packages in 6 files\nschedules    4\n"                      \
	"logs         7 bytes kept\nhttp         8, 9 instances, 10 bytes of KV\n"                 \
	"quota        running=2 memory=512M\npolicies     default,a\\x1b\nimages       *\n"        \
	"hosts        a.example,*.b.example\n"

/* The projects as a table, one of them in full, and its bounds after they were changed. */
static void test_shown(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_project,
		 .words = {"project", "ls"},
		 .turns = {{"{\"op\":\"projects\"}",
			    "{\"ok\":true,\"projects\":[" SHOP ",{\"name\":\"default\"}]}"}},
		 .out = "NAME     ID  QUEUED  RUNNING  WORKERS  SCHEDULES  TOKENS  PACKAGES\n"
			"shop     p1  2       1        3        4          5       1.5K\n"
			"default      0       0        0        0          0       0B\n"},
		{.verb = ctl_project,
		 .words = {"project", "ls"},
		 .json = true,
		 .turns = {{"{\"op\":\"projects\"}", "{\"ok\":true,\"projects\":[]}"}},
		 .out = "[]\n"},
		{.verb = ctl_project,
		 .words = {"project", "inspect", "shop"},
		 .turns = {{"{\"op\":\"project\",\"project\":\"shop\"}", SHOP_OK},
			   {"{\"op\":\"tokens\",\"project\":\"shop\"}",
			    "{\"ok\":true,\"tokens\":[]}"}},
		 .out = SHOP_TEXT},
		{.verb = ctl_project,
		 .words = {"project", "inspect", "shop"},
		 .json = true,
		 .turns = {{"{\"op\":\"project\",\"project\":\"shop\"}",
			    "{\"ok\":true,\"id\":\"p1\",\"tokens\":1}"},
			   {"{\"op\":\"tokens\",\"project\":\"shop\"}",
			    "{\"ok\":true,\"tokens\":[1]}"}},
		 .out = "{\n  \"id\": \"p1\",\n  \"tokens\": [\n    1\n  ]\n}\n"},
		{.verb = ctl_project,
		 .words = {"project", "quota", "shop", "running=2", "images=*"},
		 .turns = {{"{\"op\":\"project_quota\",\"project\":\"shop\",\"quota\":{\"running\":"
			    "2,"
			    "\"images\":[\"*\"]}}",
			    SHOP_OK}},
		 .out = SHOP_TEXT},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* The daemon is asked until the project is gone. */
static void test_rm(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_project,
		 .words = {"project", "rm", "shop", "-f"},
		 .turns = {{"{\"op\":\"project_rm\",\"project\":\"shop\",\"force\":true}",
			    "{\"ok\":false,\"code\":\"unavailable\",\"error\":\"2 tasks\"}"},
			   {"{\"op\":\"project_rm\",\"project\":\"shop\",\"force\":true}",
			    "{\"ok\":true,\"msg\":\"Deleted\"}"}},
		 .out = "project shop: removed\n"},
		{.verb = ctl_project,
		 .words = {"project", "rm", "shop"},
		 .json = true,
		 .turns = {{"{\"op\":\"project_rm\",\"project\":\"shop\",\"force\":false}",
			    "{\"ok\":true,\"msg\":\"Deleted\"}"}},
		 .out = "{\n  \"project\": \"shop\",\n  \"removed\": true\n}\n"},
		{.verb = ctl_project,
		 .words = {"project", "rm", "shop"},
		 .turns = {{"{\"op\":\"project_rm\",\"project\":\"shop\",\"force\":false}",
			    "{\"ok\":false,\"code\":\"conflict\",\"error\":\"it has tasks\"}"}},
		 .status = 125,
		 .err = "sandboxctl: it has tasks\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* The token alone is on stdout, for a script. */
static void test_tokens(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_project,
		 .words = {"project", "token", "create", "shop", "--label", "ci", "--operator"},
		 .turns = {{"{\"op\":\"token_create\",\"project\":\"shop\",\"label\":\"ci\","
			    "\"operator\":true}",
			    "{\"ok\":true,\"id\":\"t1\",\"token\":\"secret\"}"}},
		 .out = "secret\n",
		 .err = "token t1 of the project shop; it is shown this once:\n"},
		{.verb = ctl_project,
		 .words = {"project", "token", "create", "shop"},
		 .json = true,
		 .turns = {{"{\"op\":\"token_create\",\"project\":\"shop\",\"operator\":false}",
			    "{\"ok\":true,\"id\":\"t1\",\"token\":\"secret\","
			    "\"project_id\":\"p1\"}"}},
		 .out = "{\n  \"id\": \"t1\",\n  \"token\": \"secret\",\n  \"project_id\": "
			"\"p1\"\n}\n"},
		{.verb = ctl_project,
		 .words = {"project", "token", "ls", "shop"},
		 .turns = {{"{\"op\":\"tokens\",\"project\":\"shop\"}",
			    "{\"ok\":true,\"tokens\":[{\"id\":\"t1\",\"created_at\":"
			    "\"2026-01-31T12:34:56.789Z\",\"operator\":true,\"label\":\"\\n\"}]}"}},
		 .out = "ID  CREATED               USED  KIND      LABEL\n"
			"t1  2026-01-31T12:34:56Z        operator  \\x0a\n"},
		{.verb = ctl_project,
		 .words = {"project", "token", "revoke", "shop", "t1"},
		 .turns = {{"{\"op\":\"token_revoke\",\"project\":\"shop\",\"id\":\"t1\"}",
			    "{\"ok\":true}"}},
		 .out = "token t1: revoked\n"},
		{.verb = ctl_project,
		 .words = {"project", "token", "revoke", "shop", "t1"},
		 .json = true,
		 .turns = {{"{\"op\":\"token_revoke\",\"project\":\"shop\",\"id\":\"t1\"}",
			    "{\"ok\":true}"}},
		 .out = "{\n  \"id\": \"t1\",\n  \"revoked\": true\n}\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

#define TEMPLATE_A                                                                                 \
	"{\"id\":\"aaaa1111\",\"project\":\"default\",\"image\":\"base\",\"image_digest\":"        \
	"\"0123456789abcdef\",\"policy\":\"strict\",\"policy_digest\":\"fedcba9876543210\","       \
	"\"state\":\"ready\",\"parked\":2,\"running\":1,\"forks\":9,\"memory_bytes\":3145728,"     \
	"\"created_at\":\"t0\",\"used_at\":\"2026-01-31T12:34:56.789Z\",\"checkpoint\":\"c1\","    \
	"\"warm\":[\"numpy\",\"a\\u0007\"]}"
#define TEMPLATE_B                                                                                 \
	"{\"id\":\"aaaa2222\",\"image_digest\":\"0123456789abcdef\",\"state\":\"warming\"}"
#define TEMPLATES "{\"ok\":true,\"templates\":[" TEMPLATE_A "," TEMPLATE_B "]}"
#define ASK_TEMPLATES "{\"op\":\"templates\"}"

/* An image whose name now belongs to a newer one is shown by its digest. */
static void test_templates(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_template,
		 .words = {"template", "ls"},
		 .turns = {{ASK_TEMPLATES, TEMPLATES}},
		 .out = "ID        PROJECT  IMAGE         POLICY  STATE    PARKED  RUNNING  FORKS  "
			"MEMORY  USED                  WARM\n"
			"aaaa1111  default  base          strict  ready    2       1        9      "
			"3.0M    2026-01-31T12:34:56Z  numpy,a\\x07\n"
			"aaaa2222           0123456789ab          warming  0       0        0      "
			"0B\n"},
		{.verb = ctl_template,
		 .words = {"template", "ls"},
		 .json = true,
		 .turns = {{ASK_TEMPLATES, "{\"ok\":true,\"templates\":[]}"}},
		 .out = "[]\n"},
		{.verb = ctl_template,
		 .words = {"template", "inspect", "aaaa1"},
		 .turns = {{ASK_TEMPLATES, TEMPLATES}},
		 .out = "id           aaaa1111\nimage        base (0123456789ab)\n"
			"policy       strict (fedcba987654)\nproject      default\n"
			"warm         numpy,a\\x07\ncheckpoint   c1\nstate        ready\n"
			"clones       2 parked, 1 running, 9 tasks so far\nmemory       3.0M\n"
			"created      t0\nused         2026-01-31T12:34:56.789Z\n"},
		{.verb = ctl_template,
		 .words = {"template", "inspect", "aaaa2", "nope"},
		 .json = true,
		 .turns = {{ASK_TEMPLATES, TEMPLATES}},
		 .status = 125,
		 .out = "{\"id\": \"aaaa2222\", \"image_digest\": \"0123456789abcdef\", \"state\": "
			"\"warming\"}\n",
		 .err = "sandboxctl: there is no template nope; 'sandboxctl template ls' lists "
			"them\n"},
		{.verb = ctl_template,
		 .words = {"template", "inspect", "aaaa", "aaa"},
		 .turns = {{ASK_TEMPLATES, TEMPLATES}},
		 .status = 125,
		 .err = "sandboxctl: several templates start with aaaa: give more of the id\n"
			"sandboxctl: 'aaa' is not a template's id, nor the first 4 characters of "
			"one\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* Templates are retired by their whole ids, whatever part was given. */
static void test_retire(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_template,
		 .words = {"template", "retire", "aaaa1", "aaaa2"},
		 .turns = {{ASK_TEMPLATES, TEMPLATES},
			   {"{\"op\":\"template_retire\",\"id\":\"aaaa1111\"}",
			    "{\"ok\":true,\"templates\":[" TEMPLATE_A "]}"},
			   {"{\"op\":\"template_retire\",\"id\":\"aaaa2222\"}",
			    "{\"ok\":false,\"code\":\"not-found\",\"error\":\"gone\"}"}},
		 .status = 125,
		 .out = "template aaaa1111: retired, 1 of its tasks go on\n",
		 .err = "sandboxctl: gone\n"},
		{.verb = ctl_template,
		 .words = {"template", "retire", "--all"},
		 .turns = {{"{\"op\":\"template_retire\",\"all\":true}",
			    "{\"ok\":true,\"templates\":[" TEMPLATE_B "]}"}},
		 .out = "template aaaa2222: retired\n"},
		{.verb = ctl_template,
		 .words = {"template", "retire", "--all"},
		 .json = true,
		 .turns = {{"{\"op\":\"template_retire\",\"all\":true}",
			    "{\"ok\":true,\"templates\":[]}"}},
		 .out = "[]\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* Wrong words of template; and an answer in which the templates are missing is no success. */
static void test_template_words(void **state)
{
	static const struct {
		const char *words[5], *err;
	} rows[] = {
		{{"template"}, "sandboxctl template: what? (ls, inspect, retire)\n" USAGE_T},
		{{"template", "rm"}, "sandboxctl template: there is no 'rm'\n" USAGE_T},
		{{"template", "ls", "x"},
		 "sandboxctl template: ls takes no argument: 'x'\n" USAGE_T},
		{{"template", "inspect"},
		 "sandboxctl template: inspect names no template\n" USAGE_T},
		{{"template", "inspect", "aaaa", "-x"},
		 "sandboxctl template: there is no option '-x'\n" USAGE_T},
		{{"template", "retire"},
		 "sandboxctl template: retire takes ids, or --all alone\n" USAGE_T},
		{{"template", "retire", "--all", "aaaa"},
		 "sandboxctl template: retire takes ids, or --all alone\n" USAGE_T},
		{{"template", "retire", "--every"},
		 "sandboxctl template: there is no option --every\n" USAGE_T},
	};
	static const char *const words[] = {"ls", "inspect", "retire"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = ctl_template, .status = 125, .err = rows[i].err};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		ctl_try(&c);
	}
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		ctl_try(&(struct ctl_case){
			.verb = ctl_template,
			.words = {"template", words[i], i ? "aaaa" : NULL},
			.turns = {{ASK_TEMPLATES, "{\"ok\":true}"}},
			.status = 125,
			.err = "sandboxctl: the daemon's answer has no \"templates\"\n"});
}

/* Help is printed wherever it is asked for, and nothing is asked of the daemon. */
static void test_help(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_project,
		 .words = {"project", "rm", "shop", "--help"},
		 .out = "usage: sandboxctl project create NAME",
		 .any_out = true},
		{.verb = ctl_project,
		 .words = {"project", "token", "-h"},
		 .out = "usage: sandboxctl project create NAME",
		 .any_out = true},
		{.verb = ctl_template,
		 .words = {"template", "--help"},
		 .out = "usage: sandboxctl template ls\n",
		 .any_out = true},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_create), CTL_TEST(test_words),	      CTL_TEST(test_shown),
		CTL_TEST(test_rm),     CTL_TEST(test_tokens),	      CTL_TEST(test_templates),
		CTL_TEST(test_retire), CTL_TEST(test_template_words), CTL_TEST(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
