// SPDX-License-Identifier: Apache-2.0
/* The job file: its records, in order, and that nobody can change it. */
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

/* Reads one record at *at; its value is left in buf. */
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

static size_t build(char *job, size_t size, int *ret_fd)
{
	_cleanup_task_spec_ struct task_spec spec = {0};
	struct err e = {0};
	struct stat st;

	assert_int_equal(task_spec_parse(text, strlen(text), &spec, &e), 0);
	assert_int_equal(job_build(&spec, &(struct job_of){ID, "strict", true}, ret_fd, &e), 0);
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_seeds_differ),
		cmocka_unit_test(test_sealed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
