// SPDX-License-Identifier: Apache-2.0
/* The rows below /client/v4, as wrangler asks for them. */
#include "tests/unit/rest_rig.h"

#define V4 "/client/v4"

static json_t *result(struct rest *r)
{
	return json_object_get(r->body, "result");
}

static const char *text_of(json_t *o, const char *key)
{
	const char *text = json_string_value(json_object_get(o, key));

	return text ? text : "";
}

/* The last answer must be no error, in the envelope. */
static void expect_success(struct rest *r)
{
	assert_memory_equal(r->text, "HTTP/1.1 200", 12);
	assert_true(json_is_true(json_object_get(r->body, "success")));
	assert_int_equal(json_array_size(json_object_get(r->body, "errors")), 0);
	assert_true(json_is_array(json_object_get(r->body, "errors")));
	assert_true(json_is_array(json_object_get(r->body, "messages")));
}

static void expect_error(struct rest *r, int code, const char *words)
{
	json_t *error = json_array_get(json_object_get(r->body, "errors"), 0);

	assert_true(json_is_false(json_object_get(r->body, "success")));
	assert_true(json_is_null(result(r)));
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
	if (!strstr(text_of(error, "message"), words))
		fail_msg("no \"%s\" in: %s", words, r->text);
}

static void test_who(void **state)
{
	struct rest *r = *state;
	char path[128];

	assert_int_equal(rest(r, r->a, "GET", V4 "/user/tokens/verify", ""), 200);
	expect_success(r);
	assert_string_equal(text_of(result(r), "status"), "active");
	assert_int_equal(rest(r, r->a, "GET", V4 "/user", ""), 200);
	expect_success(r);
	assert_string_equal(text_of(result(r), "email"), "a");
	/* A project's token knows of one account, and there is no second page. */
	assert_int_equal(rest(r, r->a, "GET", V4 "/accounts?page=1&per_page=50", ""), 200);
	expect_success(r);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_string_equal(text_of(json_array_get(result(r), 0), "id"), r->x->a->id);
	assert_string_equal(text_of(json_array_get(result(r), 0), "name"), "a");
	assert_int_equal(rest(r, r->a, "GET", V4 "/accounts?page=2", ""), 200);
	expect_success(r);
	assert_int_equal(json_array_size(result(r)), 0);
	assert_int_equal(rest(r, r->a, "GET", V4 "/memberships?page=1", ""), 200);
	expect_success(r);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_string_equal(text_of(json_object_get(json_array_get(result(r), 0), "account"), "id"),
			    r->x->a->id);
	/* An operator's knows of all. */
	assert_int_equal(rest(r, r->operator, "GET", V4 "/memberships", ""), 200);
	assert_int_equal(json_array_size(result(r)), 3);
	(void)snprintf(path, sizeof(path), V4 "/accounts/%s", r->x->a->id);
	assert_int_equal(rest(r, r->a, "GET", path, ""), 200);
	expect_success(r);
	assert_string_equal(text_of(result(r), "id"), r->x->a->id);
	/* Another's is as one that is not there. */
	assert_int_equal(rest(r, r->b, "GET", path, ""), 404);
	expect_error(r, 7003, "CLOUDFLARE_ACCOUNT_ID");
	assert_int_equal(rest(r, r->a, "GET", V4 "/accounts?page=0", ""), 400);
	expect_error(r, 10021, "page");
}

/* By Authorization, or by a header that has the key alone; and only there. */
static void test_tokens(void **state)
{
	struct rest *r = *state;
	char header[128];

	assert_int_equal(rest(r, "", "GET", V4 "/user", ""), 401);
	expect_error(r, 10000, "Authentication error");
	assert_int_equal(rest(r, "wrong", "GET", V4 "/user", ""), 401);
	expect_error(r, 10000, "Authentication error");
	(void)snprintf(header, sizeof(header), "text/plain\r\nX-Auth-Key: %s", r->a);
	assert_int_equal(rest_send(r, "", "GET", V4 "/user", header, "", 0), 200);
	assert_string_equal(text_of(result(r), "email"), "a");
	assert_int_equal(rest_send(r, "", "GET", "/api/whoami", header, "", 0), 401);
	rest_said(r, "a token is needed");
	header[strlen(header) - 1] = '!';
	assert_int_equal(rest_send(r, "", "GET", V4 "/user", header, "", 0), 401);
	expect_error(r, 10000, "Authentication error");
}

/* What nothing else answers says so, whatever it is; and to nobody without a token. */
static void test_not_there(void **state)
{
	struct rest *r = *state;

	assert_int_equal(rest(r, "", "GET", V4 "/radar", ""), 401);
	expect_error(r, 10000, "Authentication error");
	assert_int_equal(rest(r, r->a, "GET", V4 "/radar/x/y/z", ""), 404);
	expect_error(r, 10404, "no GET /client/v4/radar/x/y/z: it is not there yet");
	assert_int_equal(rest(r, r->a, "PATCH", V4 "/user", "{}"), 404);
	expect_error(r, 10404, "no PATCH /client/v4/user: it is not there yet");
	/* wrangler would take the word for a reason to profile the worker. */
	assert_int_equal(rest(r, r->a, "GET", V4 "/startup/StartUp-x", ""), 404);
	expect_error(r, 10404, "/client/v4/start-up/Start-Up-x:");
}

static void test_namespaces(void **state)
{
	struct rest *r = *state;
	char path[160], one[256];

	(void)snprintf(path, sizeof(path), V4 "/accounts/%s/storage/kv/namespaces", r->x->a->id);
	assert_int_equal(rest(r, r->a, "POST", path, "{\"title\":\"first\"}"), 200);
	expect_success(r);
	assert_string_equal(text_of(result(r), "title"), "first");
	(void)snprintf(one, sizeof(one), "%s/%s", path, text_of(result(r), "id"));
	assert_int_equal(rest(r, r->a, "POST", path, "{\"title\":\"first\"}"), 409);
	expect_error(r, 10014, "already exists");
	assert_int_equal(rest(r, r->a, "GET", path, ""), 200);
	expect_success(r);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_string_equal(text_of(json_array_get(result(r), 0), "title"), "first");
	/* Another's are not seen, and there is an end of pages. */
	assert_int_equal(rest(r, r->b, "GET", path, ""), 404);
	expect_error(r, 7003, "CLOUDFLARE_ACCOUNT_ID");
	(void)strcat(path, "?page=2");
	assert_int_equal(rest(r, r->a, "GET", path, ""), 200);
	expect_success(r);
	assert_int_equal(json_array_size(result(r)), 0);
	assert_int_equal(rest(r, r->a, "DELETE", one, ""), 200);
	expect_success(r);
	assert_true(json_is_null(result(r)));
	assert_int_equal(rest(r, r->a, "DELETE", one, ""), 404);
	expect_error(r, 10013, "no KV namespace");
}

static void test_secrets(void **state)
{
	struct rest *r = *state;
	char path[160], one[256];

	(void)snprintf(path, sizeof(path), V4 "/accounts/%s/workers/scripts/hello/secrets",
		       r->x->a->id);
	(void)snprintf(one, sizeof(one), "%s/KEY?url_encoded=true", path);
	/* The number by which wrangler knows that there is no worker. */
	assert_int_equal(rest(r, r->a, "GET", path, ""), 404);
	expect_error(r, 10007, "hello");
	assert_int_equal(rest(r, r->a, "PUT", path,
			      "{\"name\":\"KEY\",\"text\":\"hidden\",\"type\":\"secret_text\"}"),
			 200);
	expect_success(r);
	assert_string_equal(text_of(result(r), "name"), "KEY");
	assert_int_equal(rest(r, r->a, "GET", path, ""), 200);
	expect_success(r);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_string_equal(text_of(json_array_get(result(r), 0), "name"), "KEY");
	assert_string_equal(text_of(json_array_get(result(r), 0), "type"), "secret_text");
	assert_null(strstr(r->text, "hidden"));
	assert_int_equal(rest(r, r->b, "DELETE", one, ""), 404);
	assert_int_equal(rest(r, r->a, "DELETE", one, ""), 200);
	expect_success(r);
	assert_true(json_is_null(result(r)));
	assert_int_equal(rest(r, r->a, "GET", path, ""), 404);
	/* What is no secret. */
	assert_int_equal(rest(r, r->a, "PUT", path, "[]"), 400);
	expect_error(r, 10021, "\"name\" and \"text\"");
	assert_int_equal(rest(r, r->a, "PUT", path, ""), 400);
	expect_error(r, 10021, "\"name\" and \"text\"");
	assert_int_equal(rest(r, r->a, "PUT", path, "{\"name\":\"1\",\"text\":\"x\"}"), 400);
	expect_error(r, 10021, "begin with no digit");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_who),	    WITH_REST(test_tokens),  WITH_REST(test_not_there),
		WITH_REST(test_namespaces), WITH_REST(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
