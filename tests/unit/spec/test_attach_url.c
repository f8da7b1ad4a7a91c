// SPDX-License-Identifier: Apache-2.0
/* What an app is told of a database's address. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <string.h>

#include "spec/attach_url.h"

static void expect(const char *type, const char *url, const char *want)
{
	struct err e = {0};
	json_t *o = NULL;
	char *text;

	if (attach_variables("db", type, url, &o, &e) < 0)
		fail_msg("%s: %s", url, e.msg);
	text = json_dumps(o, JSON_COMPACT | JSON_SORT_KEYS);
	assert_string_equal(text, want);
	free(text);
	json_decref(o);
}

static void test_variables(void **state)
{
	(void)state;
	expect("postgresql", "postgresql://me:p%40s:s@db.example.com:5433/shop",
	       "{\"DOTCLOUD_DB_SQL_HOST\":\"db.example.com\",\"DOTCLOUD_DB_SQL_LOGIN\":\"me\","
	       "\"DOTCLOUD_DB_SQL_PASSWORD\":\"p@s:s\",\"DOTCLOUD_DB_SQL_PORT\":\"5433\","
	       "\"DOTCLOUD_DB_SQL_URL\":\"postgresql://me:p%40s:s@db.example.com:5433/shop\"}");
	expect("redis", "redis://[::1]",
	       "{\"DOTCLOUD_DB_REDIS_HOST\":\"::1\",\"DOTCLOUD_DB_REDIS_LOGIN\":\"\","
	       "\"DOTCLOUD_DB_REDIS_PASSWORD\":\"\",\"DOTCLOUD_DB_REDIS_PORT\":\"6379\","
	       "\"DOTCLOUD_DB_REDIS_URL\":\"redis://[::1]\"}");
}

static void test_refused(void **state)
{
	static const char *const urls[] = {
		"",
		"db",
		"x://",
		"x://:1",
		"x://h:0",
		"x://h:65536",
		"x://h:1x",
		"x://h:99999999999999999999",
		"x://a%00b@h",
		"x://a%zz@h",
		"x://a%4",
		"x://a%4@h",
		"x://h h",
		"x://[::1",
		"x://[::1]x",
		"x://h\x80",
		"x://a%ff@h",
		"x://h$",
		"X://h",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct err e = {0};
		json_t *o = NULL;

		if (attach_variables("db", "mysql", urls[i], &o, &e) == 0)
			fail_msg("%s is taken", urls[i]);
		assert_int_equal(e.code, ERR_INPUT);
		assert_int_equal(strncmp(e.msg, "url: ", 5), 0);
	}
}

static void test_kinds(void **state)
{
	struct err e = {0};
	json_t *o = NULL;

	(void)state;
	assert_string_equal(attach_kind("rabbitmq"), "AMQP");
	assert_null(attach_kind("oracle"));
	assert_true(attach_variables("db", "oracle", "x://h", &o, &e) < 0);
	o = attach_nothing("my_db", "postgis");
	assert_int_equal(json_object_size(o), 5);
	assert_true(json_is_null(json_object_get(o, "DOTCLOUD_MY_DB_SQL_PASSWORD")));
	json_decref(o);
	assert_null(attach_nothing("db", "oracle"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_variables),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_kinds),
	};

	return cmocka_run_group_tests_name("attach_url", tests, NULL, NULL);
}
