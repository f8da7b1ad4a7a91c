// SPDX-License-Identifier: Apache-2.0
/* The first lines of a request: paths, parameters, rows of the table, tokens, hosts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "supervisor/front/serve/http/uri.h"

#define TOKEN "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM_-09"

static int parse(char *buf, size_t size, const char *uri, struct http_target *t, struct err *e)
{
	memset(e, 0, sizeof(*e));
	assert_true(strlen(uri) < size);
	strcpy(buf, uri);
	return http_target_parse(buf, t, e);
}

static void test_path(void **state)
{
	struct http_target t;
	struct err e;
	char buf[256];

	(void)state;
	assert_int_equal(parse(buf, sizeof(buf), "/a/b%20c/%c3%a4/%2525", &t, &e), 0);
	assert_int_equal(t.n_segments, 4);
	assert_string_equal(t.segments[1], "b c");
	assert_string_equal(t.segments[2], "\xc3\xa4");
	/* A path is decoded once, and not again while it still has escapes. */
	assert_string_equal(t.segments[3], "%25");
	assert_int_equal(parse(buf, sizeof(buf), "/", &t, &e), 0);
	assert_int_equal(t.n_segments, 0);
	assert_int_equal(parse(buf, sizeof(buf), "/a/", &t, &e), 0);
	assert_int_equal(t.n_segments, 1);
	/* A plus stands for a space only in a query. */
	assert_int_equal(parse(buf, sizeof(buf), "/a+b?x=a+b", &t, &e), 0);
	assert_string_equal(t.segments[0], "a+b");
	assert_string_equal(http_target_param(&t, "x"), "a b");
}

static void test_bad_path(void **state)
{
	static const char *const bad[] = {
		"",	      "a",
		"*",	      "ftp://h/a",
		"//",	      "/a//b",
		"/%2e%2e/",   "/..",
		"/.",	      "/a/../b",
		"/%2e",	      "/a%00",
		"/a%0ab",     "/%7f",
		"/%",	      "/%4",
		"/%zz",	      "/a%ff",
		"/%c0%af",    "/\x01",
		"/%ed%a0%80", "/1/2/3/4/5/6/7/8/9/10/11/12/13",
	};
	struct http_target t;
	struct err e;
	char buf[256];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		if (parse(buf, sizeof(buf), bad[i], &t, &e) == 0)
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(e.code, ERR_INPUT);
		assert_true(*e.msg);
	}
}

static void test_query(void **state)
{
	static const char *const bad[] = {"/?a=%00", "/?a=%", "/?%ff=1", "/?a=%c3"};
	struct http_target t;
	struct err e;
	char buf[512] = "/?";

	(void)state;
	assert_int_equal(parse(buf, sizeof(buf), "/p?a=1&b&&c=%3d%26&a=2&=x&d=a=b", &t, &e), 0);
	assert_string_equal(http_target_param(&t, "a"), "1");
	assert_string_equal(http_target_param(&t, "b"), "");
	assert_string_equal(http_target_param(&t, "c"), "=&");
	assert_string_equal(http_target_param(&t, "d"), "a=b");
	assert_null(http_target_param(&t, "e"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(parse(buf, sizeof(buf), bad[i], &t, &e), -EINVAL);
		assert_int_equal(e.code, ERR_INPUT);
	}
	/* An error about a wrong parameter does not repeat a token in it. */
	assert_int_equal(parse(buf, sizeof(buf), "/?oauth=secret%", &t, &e), -EINVAL);
	assert_null(strstr(e.msg, "secret"));
	strcpy(buf, "/?");
	for (int i = 0; i <= HTTP_PARAMS_MAX; i++)
		strcat(buf, "a=1&");
	assert_int_equal(http_target_parse(buf, &t, &e), -EINVAL);
}

static int handler(struct http_request *r, struct err *e)
{
	(void)r;
	(void)e;
	return 0;
}

static const struct http_route first[] = {
	{"GET", "/", WHO_ANYBODY, .fn = handler},
	{"GET", "/2/projects/{}/tasks/{}", WHO_PROJECT, .fn = handler},
	{"POST", "/2/projects/{}/tasks/{}", WHO_PROJECT, .fn = handler},
	{"POST", "/2/projects/{}/tasks/webhook", WHO_PROJECT, .fn = handler},
	{NULL},
};
static const struct http_route second[] = {
	{"DELETE", "/2/projects/{}/tasks/{}", WHO_PROJECT, .fn = handler},
	{"GET", "/{}/b", WHO_ANYBODY, .fn = handler},
	{"GET", "/a/{}", WHO_ANYBODY, .fn = handler},
	{"*", "/all/*", WHO_ANYBODY, .fn = handler},
	{"GET", "/all/{}/c", WHO_ANYBODY, .fn = handler},
	{"GET", "/keys/{+key}", WHO_ANYBODY, .fn = handler},
	{NULL},
};
static const struct http_route *const tables[] = {first, second};

static const struct http_route *find(const char *method, const char *uri, const char **parts,
				     char *allow)
{
	static struct http_target t;
	static char buf[256];
	struct err e;

	assert_int_equal(parse(buf, sizeof(buf), uri, &t, &e), 0);
	return http_route_find(tables, 2, method, &t, parts, allow);
}

static void test_routes(void **state)
{
	const char *parts[HTTP_PARTS_MAX] = {NULL};
	char allow[HTTP_ALLOW_MAX];

	(void)state;
	assert_ptr_equal(find("GET", "/", parts, allow), &first[0]);
	assert_ptr_equal(find("HEAD", "/", parts, allow), &first[0]);
	assert_ptr_equal(find("GET", "/2/projects/p/tasks/t%20", parts, allow), &first[1]);
	assert_string_equal(parts[0], "p");
	assert_string_equal(parts[1], "t ");
	/* A row with a fixed word is found before a row with a placeholder at that place, in
	 * whatever order they are. */
	assert_ptr_equal(find("POST", "/2/projects/p/tasks/webhook", parts, allow), &first[3]);
	assert_ptr_equal(find("POST", "/2/projects/p/tasks/webhooks", parts, allow), &first[2]);
	assert_ptr_equal(find("GET", "/2/projects/p/tasks/webhook", parts, allow), &first[1]);
	assert_ptr_equal(find("GET", "/a/b", parts, allow), &second[2]);
	assert_ptr_equal(find("GET", "/c/b", parts, allow), &second[1]);
	/* The methods of all tables are listed, each once. */
	assert_null(find("PUT", "/2/projects/p/tasks/webhook", parts, allow));
	assert_string_equal(allow, "GET, HEAD, POST, DELETE");
	assert_null(find("GET", "/2/projects/p", parts, allow));
	assert_string_equal(allow, "");
	assert_null(find("GET", "/2/projects/p/tasks/t/u", parts, allow));
	assert_null(find("get", "/", parts, allow));
	/* What no other row has, with any method. */
	assert_ptr_equal(find("GET", "/all/b/c", parts, allow), &second[4]);
	assert_ptr_equal(find("PUT", "/all/b/c", parts, allow), &second[3]);
	assert_ptr_equal(find("GET", "/all/b/c/d", parts, allow), &second[3]);
	assert_ptr_equal(find("HEAD", "/all", parts, allow), &second[3]);
	assert_ptr_equal(find("PUT", "/all", parts, allow), &second[3]);
	assert_string_equal(allow, "PUT");
	assert_null(find("GET", "/b/all/c", parts, allow));
	/* An encoded slash is part of what stands for {+..}, and of nothing else. */
	assert_ptr_equal(find("GET", "/keys/a%2Fb", parts, allow), &second[5]);
	assert_string_equal(parts[0], "a/b");
	assert_null(find("GET", "/a/x%2fy", parts, allow));
	assert_null(find("GET", "/keys/a/b", parts, allow));
}

static void test_token(void **state)
{
	(void)state;
	assert_string_equal(http_token_text("OAuth " TOKEN, NULL), TOKEN);
	assert_string_equal(http_token_text("oauth  " TOKEN, NULL), TOKEN);
	assert_string_equal(http_token_text("Bearer " TOKEN, "x"), TOKEN);
	assert_string_equal(http_token_text(NULL, TOKEN), TOKEN);
	assert_null(http_token_text(NULL, NULL));
	assert_null(http_token_text("Basic " TOKEN, NULL));
	assert_null(http_token_text("OAuthx " TOKEN, TOKEN));
	assert_null(http_token_text(TOKEN, NULL));
	assert_null(http_token_text("OAuth", NULL));
	assert_null(http_token_text("OAuth " TOKEN "x", NULL));
	assert_null(http_token_text("OAuth " TOKEN " ", NULL));
	assert_null(http_token_text(NULL, "short"));
	assert_null(http_token_text(NULL, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLM'-09"));
}

static void test_host(void **state)
{
	static const char *const good[] = {"localhost", "LOCALHOST:1", "127.0.0.1:8080",
					   "[::1]",	"[::1]:80",    "127.8.9.1"};
	static const char *const bad[] = {"",
					  "example.com",
					  "localhost.evil.example",
					  "localhost:80:80",
					  "localhost:8x",
					  "127.0.0.1.evil.example",
					  "10.0.0.1",
					  "[::2]",
					  "[::1",
					  "::1",
					  "[::1]x",
					  "127.1"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		if (!http_host_is_loopback(good[i]))
			fail_msg("%s", good[i]);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (http_host_is_loopback(bad[i]))
			fail_msg("%s", bad[i]);
}

static void test_multipart(void **state)
{
	struct err e = {0};

	(void)state;
	assert_int_equal(http_multipart_check("multipart/form-data; boundary=x", &e), 1);
	assert_int_equal(http_multipart_check("multipart/form-data; boundary=\"a-b\"; c=d", &e), 1);
	assert_int_equal(http_multipart_check("multipart/form-data; boundary="
					      "----------ThIs_Is_tHe_bouNdaRY_$",
					      &e),
			 1);
	assert_int_equal(http_multipart_check("application/json", &e), 0);
	assert_int_equal(http_multipart_check(NULL, &e), 0);
	assert_int_equal(http_multipart_check("multipart/form-data", &e), -EINVAL);
	assert_int_equal(http_multipart_check("multipart/form-data; boundary=", &e), -EINVAL);
	assert_int_equal(http_multipart_check("multipart/form-data; boundary=\"\"", &e), -EINVAL);
	assert_int_equal(http_multipart_check("multipart/form-data; boundary=a\x01", &e), -EINVAL);
	assert_int_equal(http_multipart_check("multipart/form-data; boundary="
					      "12345678901234567890123456789012345678901234567890"
					      "123456789012345678901",
					      &e),
			 -EINVAL);
}

static void test_number(void **state)
{
	uint64_t n = 7;

	(void)state;
	assert_int_equal(http_number("0", &n), 0);
	assert_int_equal(n, 0);
	assert_int_equal(http_number("18446744073709551615", &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(http_number("18446744073709551616", &n), -EINVAL);
	assert_int_equal(http_number("", &n), -EINVAL);
	assert_int_equal(http_number("-1", &n), -EINVAL);
	assert_int_equal(http_number("1 ", &n), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_path),	  cmocka_unit_test(test_bad_path),
		cmocka_unit_test(test_query),	  cmocka_unit_test(test_routes),
		cmocka_unit_test(test_token),	  cmocka_unit_test(test_host),
		cmocka_unit_test(test_multipart), cmocka_unit_test(test_number),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
