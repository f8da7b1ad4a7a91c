// SPDX-License-Identifier: Apache-2.0
/* image and policy: what is read of the state folder, and what is asked of the daemon. */
#include "tests/unit/ctl_rig.h"

#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_2 "1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define USAGE_I "Try 'sandboxctl help image'.\n"
#define USAGE_P "Try 'sandboxctl help policy'.\n"
#define LS_HEAD "NAME             DIGEST        PYTHON   MODULES      SIZE  BUILT\n"

static void install(const char *name, const char *hex, const char *json)
{
	char path[256], target[80];

	(void)snprintf(path, sizeof(path), "state/images/%s/image.json", hex);
	ctl_rig_file(path, json);
	(void)mkdir("state/images/by-name", 0755);
	(void)snprintf(path, sizeof(path), "state/images/by-name/%s", name);
	(void)snprintf(target, sizeof(target), "../%s", hex);
	assert_int_equal(symlink(target, path), 0);
}

static void install_base(void)
{
	install("base", HEX,
		"{\"name\":\"base\",\"description\":\"d\\u001b\",\"python\":\"3.13\\u0007\","
		"\"interpreter\":\"/usr/bin/python3\",\"policy\":\"default\",\"size\":12345678,"
		"\"files\":9,\"built_at\":\"2026-01-31T12:34:56.789Z\",\"packages\":[\"p\",7],"
		"\"requirements\":[],\"warm\":{\"imports\":[\"json\"]},"
		"\"modules\":[{\"name\":\"nu\\u001bpy\",\"version\":\"1\\n2\"},"
		"{\"name\":\"pip\",\"version\":\"25\"}]}");
}

/* Text in an image may come from anybody: no character of it acts on a terminal. */
static void test_ls_inspect(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_image,
		 .words = {"image", "ls"},
		 .out = LS_HEAD "base             0123456789ab  3.13\\x07       2     12 MB  "
				"2026-01-31T12:34:56Z\n"},
		{.verb = ctl_image,
		 .words = {"image", "inspect", "base"},
		 .out = "name         base\ndigest       " HEX "\ndescription  d\\x1b\n"
			"interpreter  /usr/bin/python3\npolicy       default\n"
			"packages     p ?\nwarm         json\n"
			"size         12.3 MB in 9 files\nbuilt        2026-01-31T12:34:56.789Z\n\n"
			"MODULE                   VERSION\nPython                   3.13\\x07\n"
			"nu\\x1bpy                 1\\x0a2\npip                      25\n"},
		{.verb = ctl_image,
		 .words = {"image", "inspect", "base"},
		 .json = true,
		 .out = "  \"python\": \"3.13\\u0007\",\n",
		 .any_out = true},
		{.verb = ctl_image,
		 .words = {"image", "inspect", "other"},
		 .status = 125,
		 .err = "sandboxctl: there is no image other; 'sandboxctl image ls' lists them\n"},
		{.verb = ctl_image,
		 .words = {"image", "inspect", "../base"},
		 .status = 125,
		 .err = "sandboxctl: '../base' is not an image's name\n"},
	};

	(void)state;
	install_base();
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* One image that is broken hides none of the others. */
static void test_broken(void **state)
{
	(void)state;
	ctl_try(&(struct ctl_case){
		.verb = ctl_image,
		.words = {"image", "ls"},
		.status = 125,
		.err = "sandboxctl: state/images: there is none yet; it is made when the first is "
		       "built\n"});
	install_base();
	install("text", HEX_2, "{");
	assert_int_equal(symlink("elsewhere", "state/images/by-name/link"), 0);
	ctl_try(&(struct ctl_case){
		.verb = ctl_image,
		.words = {"image", "ls"},
		.json = true,
		.status = 125,
		.out = "\"name\": \"base\"",
		.any_out = true,
		.err = "sandboxctl: image link: its link is broken; build it again\n"
		       "sandboxctl: image text: image.json: line 1, column 1: string or '}' "
		       "expected near end of file\n"});
}

/* The policy and the imports are sent only if they are given. */
static void test_warm(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_image,
		 .words = {"image", "warm", "base"},
		 .turns = {{"{\"op\":\"warm\",\"image\":\"base\",\"force\":false}",
			    "{\"ok\":true,\"key\":\"0123456789abcdef\",\"existed\":true}"}},
		 .out = "base: warm already (checkpoint 0123456789ab)\n"},
		{.verb = ctl_image,
		 .words = {"image", "warm", "--policy", "strict", "--imports=a,b.c", "-f", "base"},
		 .turns = {{"{\"op\":\"warm\",\"image\":\"base\",\"force\":true,\"policy\":"
			    "\"strict\","
			    "\"imports\":[\"a\",\"b.c\"]}",
			    "{\"ok\":true,\"key\":\"0123456789abcdef\",\"existed\":false,"
			    "\"dump_ms\":41.6,\"bytes\":2500000}"}},
		 .out = "base: warm now (checkpoint 0123456789ab, dumped in 42 ms, 2.5 MB)\n"},
		{.verb = ctl_image,
		 .words = {"image", "warm", "base"},
		 .json = true,
		 .turns = {{"{\"op\":\"warm\",\"image\":\"base\",\"force\":false}",
			    "{\"ok\":true,\"key\":\"k\"}"}},
		 .out = "{\n  \"ok\": true,\n  \"key\": \"k\"\n}\n"},
		{.verb = ctl_image,
		 .words = {"image", "warm", "base", "--policy", "\xff"},
		 .status = 125,
		 .err = "sandboxctl: what is asked for must be UTF-8 text\n"},
		{.verb = ctl_image,
		 .words = {"image", "warm", "base", "--imports", "a,\xff"},
		 .status = 125,
		 .err = "sandboxctl: what is asked for must be UTF-8 text\n"},
	};

	(void)state;
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

/* An image that a task uses stays; one that no task uses is removed, with its templates. */
static void test_rm(void **state)
{
	static const char in_use[] = "{\"ok\":true,\"images\":[{\"digest\":\"" HEX
				     "\",\"tasks\":1},{\"digest\":\"" HEX "\",\"tasks\":1},"
				     "{\"digest\":\"" HEX_2 "\",\"tasks\":5}]}";
	struct stat st;

	(void)state;
	install_base();
	ctl_try(&(struct ctl_case){
		.verb = ctl_image,
		.words = {"image", "rm", "base"},
		.turns = {{"{\"op\":\"image_in_use\"}", in_use}},
		.status = 125,
		.err = "sandboxctl: image base: 2 tasks run on it; wait for the end or cancel\n"});
	assert_int_equal(lstat("state/images/by-name/base", &st), 0);
	ctl_try(&(struct ctl_case){
		.verb = ctl_image,
		.words = {"image", "rm", "base"},
		.turns = {{"{\"op\":\"image_in_use\"}", "{\"ok\":true,\"images\":[]}"},
			  {"{\"op\":\"templates\"}",
			   "{\"ok\":true,\"templates\":[{\"id\":\"t1\",\"image_digest\":\"" HEX
			   "\"},{\"id\":\"t2\",\"image_digest\":\"x\"}]}"},
			  {"{\"op\":\"template_retire\",\"id\":\"t1\"}", "{\"ok\":true}"}}});
	assert_int_equal(lstat("state/images/by-name/base", &st), -1);
	assert_int_equal(lstat("state/images/" HEX, &st), -1);
}

static void test_image_words(void **state)
{
	static const struct {
		const char *words[5], *err;
	} rows[] = {
		{{"image"}, "sandboxctl image: what? (build, ls, inspect, rm, warm)\n" USAGE_I},
		{{"image", "mk"}, "sandboxctl image: there is no 'mk'\n" USAGE_I},
		{{"image", "ls", "x"}, "sandboxctl image: ls takes no argument: 'x'\n" USAGE_I},
		{{"image", "inspect"}, "sandboxctl image: inspect takes one name\n" USAGE_I},
		{{"image", "inspect", "a", "b"},
		 "sandboxctl image: inspect takes one name\n" USAGE_I},
		{{"image", "rm"}, "sandboxctl image: rm names no image\n" USAGE_I},
		{{"image", "warm"}, "sandboxctl image: warm takes one image's name\n" USAGE_I},
		{{"image", "warm", "a", "--policy"},
		 "sandboxctl image: --policy needs a value\n" USAGE_I},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = ctl_image, .status = 125, .err = rows[i].err};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		ctl_try(&c);
	}
}

#define SMALL                                                                                      \
	"{\"limits\": {\"memory\": \"64M\", \"cpus\": 0.5, \"pids\": 8, \"disk\": \"16M\", "       \
	"\"timeout\": 5}, \"fork\": {\"parked\": 2}, \"network\": {\"mode\": \"egress\", "         \
	"\"dns\": true, \"allow\": [{\"to\": \"192.0.2.0/24\", \"ports\": 443, \"proto\": "        \
	"\"tcp\"}]}, \"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": "          \
	"[{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}}"

/* A valid policy is printed in full; an error names the file and the field. */
static void test_policy_check(void **state)
{
	(void)state;
	ctl_rig_file("small.json", SMALL);
	ctl_rig_file("wrong.json", "{\"seccomp\": 1}");
	ctl_try(&(struct ctl_case){.verb = ctl_policy,
				   .words = {"policy", "check", "small.json"},
				   .out = "  limits   64M memory, 0.5 cpus, 8 pids, 16M disk, 5 s\n"
					  "  at most  64M memory, 0.5 cpus, 8 pids, 16M disk, 5 s\n"
					  "  lasting  no\n"
					  "  fork     2 parked\n",
				   .any_out = true});
	ctl_try(&(struct ctl_case){.verb = ctl_policy,
				   .words = {"policy", "check", "small.json"},
				   .out = "  network  egress, dns\n",
				   .any_out = true});
	ctl_try(&(struct ctl_case){
		.verb = ctl_policy,
		.words = {"policy", "check", "wrong.json", "none\x1b.json"},
		.status = 125,
		.err = "sandboxctl: wrong.json: seccomp: must be an object, not a number\n"
		       "sandboxctl: none\\x1b.json: there is no such file\n"});
	ctl_try(&(struct ctl_case){
		.verb = ctl_policy,
		.words = {"policy", "check", "wrong.json"},
		.json = true,
		.status = 125,
		.out = "{\n  \"file\": \"wrong.json\",\n  \"ok\": false,\n  \"error\": "
		       "\"wrong.json: seccomp: must be an object, not a number\",\n  \"policy\": "
		       "null\n}\n"});
}

/* Installed under the file's name or another one, then listed and shown as it was written. */
static void test_policy_install(void **state)
{
	static const struct ctl_case cases[] = {
		{.verb = ctl_policy,
		 .words = {"policy", "ls"},
		 .status = 125,
		 .err = "sandboxctl: state/policies: there is none yet; it is made when the first "
			"is installed\n"},
		{.verb = ctl_policy,
		 .words = {"policy", "install", "small.json"},
		 .out = "policy small: installed (",
		 .any_out = true},
		{.verb = ctl_policy,
		 .words = {"policy", "install", "small.json"},
		 .out = "policy small: up to date (",
		 .any_out = true},
		{.verb = ctl_policy,
		 .words = {"policy", "install", "small.json", "--name", "web"},
		 .json = true,
		 .out = "    \"name\": \"web\",\n",
		 .any_out = true},
		{.verb = ctl_policy,
		 .words = {"policy", "ls"},
		 .out = "  egress       2  64M memory, 0.5 cpus, 8 pids, 16M disk, 5 s\nweb ",
		 .any_out = true},
		{.verb = ctl_policy, .words = {"policy", "show", "web"}, .out = SMALL},
		{.verb = ctl_policy,
		 .words = {"policy", "show", "web"},
		 .json = true,
		 .out = "        \"rule\": \"tcp to 192.0.2.0/24 port 443\"\n",
		 .any_out = true},
		{.verb = ctl_policy,
		 .words = {"policy", "show", "nope"},
		 .status = 125,
		 .err = "sandboxctl: there is no policy nope; 'sandboxctl policy ls' lists them\n"},
		{.verb = ctl_policy,
		 .words = {"policy", "show", "../web"},
		 .status = 125,
		 .err = "sandboxctl: '../web' is not a policy's name\n"},
	};

	(void)state;
	ctl_rig_file("small.json", SMALL);
	ctl_try_all(cases, ARRAY_SIZE(cases));
}

static void test_policy_words(void **state)
{
	static const struct {
		const char *words[6], *err;
	} rows[] = {
		{{"policy"}, "sandboxctl policy: what? (ls, show, check, install)\n" USAGE_P},
		{{"policy", "ls", "x"}, "sandboxctl policy: ls takes no argument: 'x'\n" USAGE_P},
		{{"policy", "show"}, "sandboxctl policy: show takes one name\n" USAGE_P},
		{{"policy", "check"}, "sandboxctl policy: check names no file\n" USAGE_P},
		{{"policy", "install"},
		 "sandboxctl policy: install takes files, or --defaults alone\n" USAGE_P},
		{{"policy", "install", "--defaults", "a.json"},
		 "sandboxctl policy: install takes files, or --defaults alone\n" USAGE_P},
		{{"policy", "install", "a.json", "--name", "A B"},
		 "sandboxctl policy: --name takes one file and a name of lower-case letters, "
		 "digits, '.', '_' and '-'\n" USAGE_P},
		{{"policy", "install", "a.json", "b.json", "--name", "a"},
		 "sandboxctl policy: --name takes one file and a name of lower-case letters, "
		 "digits, '.', '_' and '-'\n" USAGE_P},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct ctl_case c = {.verb = ctl_policy, .status = 125, .err = rows[i].err};

		memcpy(c.words, rows[i].words, sizeof(rows[i].words));
		ctl_try(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_ls_inspect),     CTL_TEST(test_broken),
		CTL_TEST(test_warm),	       CTL_TEST(test_rm),
		CTL_TEST(test_image_words),    CTL_TEST(test_policy_check),
		CTL_TEST(test_policy_install), CTL_TEST(test_policy_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
