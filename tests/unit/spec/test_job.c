// SPDX-License-Identifier: Apache-2.0
/* The job file: its records in their order, and that no process can change it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "spec/job.h"

#define ID "0123456789abcdef01234567"

static const char text[] = "{\"exec\":\"a.py\",\"payload\":{\"a\":\"\xc3\xa9\"},\"args\":[\"1\","
			   "\"two\\nlines\"],\"env\":{\"K\":\"v=w\"},\"label\":\"l\"}";

/* Reads the record at *at; buf gets its value. */
static size_t record(const char *job, size_t len, size_t *at, char key[32], const char **value)
{
	const char *head = job + *at;
	size_t n = strspn(head, "abcdefghijklmnopqrstuvwxyz_.");
	char *end;

	assert_true(n > 0 && n < 32 && head[n] == ' ');
	(void)snprintf(key, 32, "%.*s", (int)n, head);
	n = strtoul(head + n + 1, &end, 10);
	assert_int_equal(*end, '\n');
	*value = end + 1;
	*at = (size_t)(*value - job) + n;
	assert_true(*at < len);
	assert_int_equal(job[*at], '\n');
	*at += 1;
	return n;
}

static char *written(const char *task_json)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct err e = {0};
	char *ret = NULL;

	assert_int_equal(task_spec_parse(task_json, strlen(task_json), &spec, &e), 0);
	assert_int_equal(job_write(&spec, &ret, &e), 0);
	return ret;
}

static int seal(const char *kept, struct job *ret)
{
	struct err e = {0};
	int r = job_seal(kept, &(struct job_of){ID, "strict", true}, ret, &e);

	assert_true(r == 0 || (e.code == ERR_INTERNAL && ret->fd == -1));
	return r;
}

static size_t build(char *job, size_t size, int *ret_fd)
{
	_cleanup_free_ char *kept = written(text);
	struct job sealed = JOB_NONE;
	struct stat st;

	assert_int_equal(seal(kept, &sealed), 0);
	*ret_fd = sealed.fd;
	assert_int_equal(fstat(*ret_fd, &st), 0);
	assert_true((size_t)st.st_size < size);
	assert_int_equal(util_read_all(*ret_fd, job, (size_t)st.st_size), 0);
	job[st.st_size] = '\0';
	return (size_t)st.st_size;
}

static void test_records(void **state)
{
	static const struct {
		const char *key, *value;
	} want[] = {
		{"id", ID},	      {"kind", "exec"},
		{"exec", "a.py"},     {"payload", "{\"a\":\"\xc3\xa9\"}"},
		{"arg", "1"},	      {"arg", "two\nlines"},
		{"env", "K=v=w"},     {"label", "l"},
		{"policy", "strict"}, {"streams", "together"},
	};
	_cleanup_fd_ int fd = -1;
	char job[4096], key[32];
	size_t len = build(job, sizeof(job), &fd), at = 0, n;
	const char *value;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		n = record(job, len, &at, key, &value);
		assert_string_equal(key, want[i].key);
		assert_int_equal(n, strlen(want[i].value));
		assert_memory_equal(value, want[i].value, n);
	}
	n = record(job, len, &at, key, &value);
	assert_string_equal(key, "seed");
	assert_int_equal(n, 32);
	assert_int_equal(at, len);
}

static void test_seeds_differ(void **state)
{
	_cleanup_fd_ int a = -1, b = -1;
	char one[4096], two[4096];
	size_t len = build(one, sizeof(one), &a);

	(void)state;
	assert_int_equal(build(two, sizeof(two), &b), len);
	assert_memory_equal(one, two, len - 33);
	assert_memory_not_equal(one, two, len);
}

static void test_sealed(void **state)
{
	_cleanup_fd_ int fd = -1;
	char job[4096];

	(void)state;
	(void)build(job, sizeof(job), &fd);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(ftruncate(fd, 1 << 20), -1);
	assert_ptr_equal(mmap(NULL, 4096, PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
}

static void test_script(void **state)
{
	char path[JOB_SCRIPT_MAX + 1], json[JOB_SCRIPT_MAX + 32];
	static const struct {
		const char *json, *script;
	} cases[] = {
		{"{\"exec\":\"d/a.py\"}", "d/a.py"},
		{"{\"code\":\"exec 4\\na.py\\n\"}", ""},
		{"{\"entry\":\"m:f\",\"payload\":\"exec 1\\nx\"}", ""},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *kept = written(cases[i].json);
		_cleanup_job_ struct job job = JOB_NONE;

		assert_int_equal(seal(kept, &job), 0);
		assert_string_equal(job.script, cases[i].script);
	}
	/* The longest name that there is room for, and one that is longer by one byte: such a name
	 * the runtime finds by itself. */
	for (size_t len = JOB_SCRIPT_MAX - 1; len <= JOB_SCRIPT_MAX; len++) {
		_cleanup_free_ char *kept = NULL;
		_cleanup_job_ struct job job = JOB_NONE;

		memset(path, 'x', len);
		path[len] = '\0';
		(void)snprintf(json, sizeof(json), "{\"exec\":\"%s\"}", path);
		kept = written(json);
		assert_int_equal(seal(kept, &job), 0);
		assert_string_equal(job.script, len < JOB_SCRIPT_MAX ? path : "");
	}
}

/* A stored job that was damaged is not given to any task. */
static void test_damaged(void **state)
{
	static const char *const bad[] = {
		"",
		"{\"code\":\"x\"}",
		"kind",
		"kind ",
		"kind 4",
		"kind 4\n",
		"kind 4\ncode",
		"kind 4\ncode!",
		"kind 3\ncode\n",
		"kind 5\ncode\n",
		"kind  4\ncode\n",
		"kind +4\ncode\n",
		"kind -4\ncode\n",
		"kind 4\rcode\n",
		"Kind 4\ncode\n",
		" 4\ncode\n",
		"kind 4\ncode\n\n",
		"kind 4\ncode\ncode",
		"kind 4\ncode\ncode 18446744073709551615\nx\n",
		"kind 4\ncode\ncode 18446744073709551617\nx\n",
	};
	_cleanup_free_ char *kept = written(text);

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct job job = JOB_NONE;

		assert_true(seal(bad[i], &job) < 0);
	}
	/* A job that is cut anywhere but between two records. */
	for (size_t len = strlen(kept) - 1; len > 0; len--) {
		struct job job = JOB_NONE;

		kept[len] = '\0';
		if (seal(kept, &job) < 0)
			continue;
		assert_int_equal(kept[len - 1], '\n');
		job_clear(&job);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records), cmocka_unit_test(test_seeds_differ),
		cmocka_unit_test(test_sealed),	cmocka_unit_test(test_script),
		cmocka_unit_test(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
