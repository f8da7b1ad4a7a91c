// SPDX-License-Identifier: Apache-2.0
/* How a build's package index is started and ended; a shell script stands for pip-index. */
#include "tests/unit/ctl_rig.h"

#include "sandbox/sandbox.h"
#include "supervisor/ctl/pip_index.h"

static void put_script(const char *text)
{
	char script[4096];

	(void)snprintf(script, sizeof(script), "#!/bin/sh\n%s\n", text);
	ctl_rig_file("pip-index", script);
	assert_int_equal(chmod("pip-index", 0755), 0);
	assert_int_equal(setenv("SANDBOXD_LIBEXEC", ".", 1), 0);
}

static void test_settings(void **state)
{
	static const struct {
		const char *script, *error;
	} bad[] = {
		{"exit 1", "cannot be used, see above"},
		{"kill -9 $$", "cannot be used, see above"},
		{":", "does not say what a build is told"},
		{"echo '[]'", "does not say what a build is told"},
		{"echo '{\"environment\": {}}'", "does not say what a build is told"},
		{"echo '{\"environment\": 1, \"find_links\": []}'",
		 "does not say what a build is told"},
		/* The output never ends: it is read up to a bound. */
		{"exec yes '{}'", "cannot be used, see above"},
	};
	struct err e = {0};
	json_t *told;

	(void)state;
	put_script("echo '{\"environment\": {\"PIP_PRE\": \"'$1'\"}, \"find_links\": []}'");
	assert_int_equal(pip_index_settings(&told, &e), 0);
	assert_string_equal(
		json_string_value(json_object_get(json_object_get(told, "environment"), "PIP_PRE")),
		"settings");
	json_decref(told);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		put_script(bad[i].script);
		assert_true(pip_index_settings(&told, &e) < 0);
		assert_non_null(strstr(e.msg, bad[i].error));
	}
}

/* The index has its socket as stdin; none of its signals is blocked, and SIGINT does not end it. */
static void test_serve(void **state)
{
	struct pip_index index = PIP_INDEX_INIT;
	char want[64], said[64] = "";
	struct err e = {0};
	sigset_t all, old;

	(void)state;
	put_script("of() { sed -n \"s/^$1:.//p\" /proc/$$/status; }\n"
		   "echo $1 $3 $(of SigBlk) $(of NoNewPrivs) >&0\nkill -INT $$\ncat <&0 >&0");
	(void)snprintf(want, sizeof(want), "serve %u 0000000000000000 1\n",
		       sandbox_host_id(SANDBOX_OWNER_BUILD, SANDBOX_INDEX_UID));
	(void)sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, &old);
	assert_int_equal(pip_index_start(&index, &e), 0);
	(void)sigprocmask(SIG_SETMASK, &old, NULL);
	assert_int_equal(util_read_all(index.sock, said, strlen(want)), 0);
	assert_string_equal(said, want);
	assert_int_equal(write(index.sock, "x", 1), 1);
	assert_int_equal(read(index.sock, said, 1), 1);
	pip_index_stop(&index);
	assert_int_equal(index.sock, -1);
	assert_int_equal(index.pid, 0);
	/* An index that reads nothing is ended too, and stopping is allowed when there is no
	 * index. */
	put_script("exec sleep 1000");
	assert_int_equal(pip_index_start(&index, &e), 0);
	pip_index_stop(&index);
	pip_index_stop(&index);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_settings),
		CTL_TEST(test_serve),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
