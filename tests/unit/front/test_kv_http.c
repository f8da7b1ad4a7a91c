// SPDX-License-Identifier: Apache-2.0
/* Keys and values over HTTP: by a project's token, and as wrangler asks; and its settings of secrets. */
#include "tests/unit/rest_rig.h"

#include "supervisor/front/web/kv.h"
#include "supervisor/front/web/web.h"

static char *body_of(struct rest *r)
{
	char *at = strstr(r->text, "\r\n\r\n");

	assert_non_null(at);
	return at + 4;
}

static json_t *result(struct rest *r)
{
	return json_object_get(r->body, "result");
}

/* Asks of a namespace "first", which is made at the first call. */
static const char *kv(struct rest *r, bool cloudflare, const char *what)
{
	static char path[512];
	static char id[64];

	if (LIST_EMPTY(&r->x->a->web->namespaces)) {
		(void)snprintf(path, sizeof(path), "/client/v4/accounts/%s/storage/kv/namespaces",
			       r->x->a->id);
		assert_int_equal(rest(r, r->a, "POST", path, "{\"title\":\"first\"}"), 200);
		(void)snprintf(id, sizeof(id), "%s",
			       json_string_value(json_object_get(result(r), "id")));
	}
	(void)snprintf(path, sizeof(path), "/%s/%s/%s/namespaces/%s%s",
		       cloudflare ? "client/v4/accounts" : "api/projects", r->x->a->id,
		       cloudflare ? "storage/kv" : "http/kv", id, what);
	return path;
}

static void put(struct rest *r, const char *path, const char *type, const char *value, size_t len)
{
	const unsigned status = rest_send(r, r->a, "PUT", path, type, value, len);

	if (status != 200)
		fail_msg("%s", r->text);
}

static void expect(struct rest *r, const char *path, const char *value)
{
	assert_int_equal(rest(r, r->a, "GET", path, ""), 200);
	assert_string_equal(body_of(r), value);
}

static void test_values(void **state)
{
	static const char form[] =
		"--B\r\nContent-Disposition: form-data; name=\"value\"; filename=\"blob\"\r\n\r\n"
		"of form\r\n--B\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n[1]\r\n"
		"--B--\r\n";
	struct rest *r = *state;

	for (unsigned cloudflare = 0; cloudflare < 2; cloudflare++) {
		put(r, kv(r, cloudflare, "/values/a%2Fb%20c"), "", "x\0y", 3);
		assert_int_equal(rest(r, r->a, "GET", kv(r, cloudflare, "/values/a%2Fb%20c"), ""),
				 200);
		assert_memory_equal(body_of(r), "x\0y", 4);
		assert_non_null(strstr(r->text, "application/octet-stream"));
		assert_int_equal(rest(r, r->b, "GET", kv(r, cloudflare, "/values/a%2Fb%20c"), ""),
				 404);
		/* An empty value is one. */
		put(r, kv(r, cloudflare, "/values/none?expiration_ttl=100"), "", "", 0);
		expect(r, kv(r, cloudflare, "/values/none"), "");
		assert_non_null(strstr(r->text, "X-KV-Expiration: "));
		assert_int_equal(
			rest(r, r->a, "PUT", kv(r, cloudflare, "/values/k?expiration_ttl=5"), "x"),
			400);
		assert_int_equal(
			rest(r, r->a, "PUT", kv(r, cloudflare, "/values/k?expiration=5"), "x"),
			400);
		assert_int_equal(
			rest(r, r->a, "DELETE", kv(r, cloudflare, "/values/a%2Fb%20c"), ""), 200);
		assert_int_equal(rest(r, r->a, "GET", kv(r, cloudflare, "/values/a%2Fb%20c"), ""),
				 404);
	}
	assert_int_equal(json_integer_value(json_object_get(
				 json_array_get(json_object_get(r->body, "errors"), 0), "code")),
			 10009);
	/* Of the project's own rows metadata is a parameter and a header. */
	put(r, kv(r, false, "/values/m?metadata=%7B%22a%22%3A%22%C3%BC%22%7D"), "", "v", 1);
	expect(r, kv(r, false, "/values/m"), "v");
	assert_non_null(strstr(r->text, "X-KV-Metadata: {\"a\":\"\\u00FC\"}\r\n"));
	assert_int_equal(rest(r, r->a, "PUT", kv(r, false, "/values/m?metadata=%7B"), "v"), 400);
	/* Of Cloudflare's it is a part of a form, and a row of its own. */
	put(r, kv(r, true, "/values/f"), "multipart/form-data; boundary=B", form, strlen(form));
	expect(r, kv(r, true, "/values/f"), "of form");
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/metadata/f"), ""), 200);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/metadata/none"), ""), 200);
	assert_true(json_is_null(result(r)));
	assert_int_equal(rest_send(r, r->a, "PUT", kv(r, true, "/values/f"),
				   "multipart/form-data; boundary=B", form + 5, sizeof(form) - 6),
			 400);
	/* A list has it as JSON, and ends. */
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/keys?prefix=f"), ""), 200);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_true(json_is_array(json_object_get(json_array_get(result(r), 0), "metadata")));
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(r->body, "result_info"), "cursor")),
			    "");
	/* wrangler sends an empty prefix where it was told none. */
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/keys?prefix=&cursor="), ""), 200);
	assert_true(json_array_size(result(r)) > 1);
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/keys?limit=1"), ""), 200);
	assert_string_equal(json_string_value(json_object_get(
				    json_object_get(r->body, "result_info"), "cursor")),
			    "f");
}

static void test_many(void **state)
{
	static const char *const bad[][2] = {
		{"", "request"},
		{"{}", "an array"},
		{"[]", "an array"},
		{"[{\"key\":\"a\"}]", "keys[0].value"},
		{"[{\"key\":\"\",\"value\":\"\"}]", "keys[0].key"},
		{"[{\"key\":\"a\",\"value\":\"*\",\"base64\":true}]", "base64"},
		/* Of these libcrypto takes a part, and the rest would be the front's own memory. */
		{"[{\"key\":\"a\",\"value\":\"        AAEC\",\"base64\":true}]", "base64"},
		{"[{\"key\":\"a\",\"value\":\"AAEC   \\n\",\"base64\":true}]", "base64"},
		{"[{\"key\":\"a\",\"value\":\"AAEC-AAA\",\"base64\":true}]", "base64"},
		{"[{\"key\":\"a\",\"value\":\"AA==AAEC\",\"base64\":true}]", "base64"},
		{"[{\"key\":\"a\",\"value\":\"A===\",\"base64\":true}]", "base64"},
		{"[{\"key\":\"a\",\"value\":\"====\",\"base64\":true}]", "base64"},
		{"[{\"key\":\"a\",\"value\":\"\",\"x\":1}]", "keys[0].x"},
		{"[{\"key\":\"a\",\"value\":\"\"},{\"key\":\"a\",\"value\":\"\",\"expiration\":5}]",
		 "keys[1].expiration"},
	};
	struct rest *r = *state;
	json_t *all = json_array(), *values;
	const uint64_t before = r->x->a->web->kv_bytes;
	char *text;

	/* More than a slice of them. */
	for (int i = 0; i < 100; i++)
		(void)json_array_append_new(
			all, json_pack("{s:o, s:s, s:b, s:{s:i}}", "key", json_sprintf("k/%02d", i),
				       "value", "AAEC", "base64", 1, "metadata", "n", i));
	(void)json_array_append_new(all,
				    json_pack("{s:s, s:s}", "key", "text", "value", "as it is"));
	text = json_dumps(all, 0);
	put(r, kv(r, true, "/bulk"), "application/json", text, strlen(text));
	assert_int_equal(json_integer_value(json_object_get(result(r), "successful_key_count")),
			 101);
	free(text);
	assert_int_equal(rest(r, r->a, "GET", kv(r, false, "/values/k%2F99"), ""), 200);
	assert_memory_equal(body_of(r), "\0\1\2", 4);
	assert_true(r->x->a->web->kv_bytes > before + 300 && r->x->a->web->kv_bytes < 4000);
	assert_int_equal(
		rest(r, r->a, "POST", kv(r, true, "/bulk/get"), "{\"keys\":[\"text\",\"none\"]}"),
		200);
	values = json_object_get(result(r), "values");
	assert_string_equal(json_string_value(json_object_get(values, "text")), "as it is");
	assert_true(json_is_null(json_object_get(values, "none")));
	assert_int_equal(rest(r, r->a, "POST", kv(r, false, "/bulk/get"),
			      "{\"keys\":[\"k/07\"],\"withMetadata\":true}"),
			 200);
	assert_non_null(
		strstr(r->text, "{\"value\":\"\\u0000\\u0001\\u0002\",\"metadata\":{\"n\":7}"));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		assert_int_equal(rest(r, r->a, "PUT", kv(r, false, "/bulk"), bad[i][0]), 400);
		rest_said(r, bad[i][1]);
	}
	assert_int_equal(rest(r, r->a, "POST", kv(r, false, "/bulk/delete"), "[\"a\",\"\"]"), 400);
	rest_said(r, "keys[1]");
	assert_int_equal(rest(r, r->a, "POST", kv(r, false, "/bulk/get"), "{\"keys\":[\"\"]}"),
			 400);
	rest_said(r, "keys[0]");
	json_array_clear(all);
	for (int i = 0; i < 100; i++)
		(void)json_array_append_new(all, json_sprintf("k/%02d", i));
	text = json_dumps(all, 0);
	assert_int_equal(rest(r, r->a, "DELETE", kv(r, true, "/bulk"), text), 200);
	assert_int_equal(rest(r, r->a, "POST", kv(r, false, "/bulk/delete"), text), 200);
	free(text);
	json_decref(all);
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/keys"), ""), 200);
	assert_int_equal(json_array_size(result(r)), 1);
	assert_int_equal(r->x->a->web->kv_bytes, before + strlen("text") + strlen("as it is"));
}

/* Sends a body that no socket takes at once, while the server reads it. */
static unsigned put_long(struct rest *r, const char *path, const char *value, size_t len)
{
	char head[512];
	const int fd = http_dial(r->port);
	const int n = snprintf(head, sizeof(head),
			       "PUT %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
			       "Authorization: OAuth %s\r\nContent-Length: %zu\r\n\r\n",
			       path, r->a, len);

	assert_int_equal(util_write_all(fd, head, (size_t)n), 0);
	for (size_t at = 0; at < len;) {
		const ssize_t sent = send(fd, value + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (sent > 0)
			at += (size_t)sent;
		else if (errno != EAGAIN)
			break;
		(void)sd_event_run(r->x->f->event, 0);
	}
	return rest_answer(r, fd);
}

/* A value that is too long for r->text, which has its beginning. */
static void expect_long(struct rest *r, const char *path, const char *value, size_t len)
{
	const uint64_t until = util_monotonic_ns() + REST_WAIT_NS;
	char *all = malloc(len + 4096), *at;
	int fd = rest_ask(r, r->a, "GET", path, "", "", 0);
	size_t n = 0;
	ssize_t got;

	while ((got = recv(fd, all + n, len + 4095 - n, MSG_DONTWAIT)) != 0) {
		assert_true(got > 0 || errno == EAGAIN);
		assert_true(util_monotonic_ns() < until);
		n += got > 0 ? (size_t)got : 0;
		if (got < 0)
			(void)sd_event_run(r->x->f->event, 1000);
	}
	all[n] = '\0';
	(void)close(fd);
	at = strstr(all, "\r\n\r\n");
	assert_memory_equal(all, "HTTP/1.1 200", 12);
	assert_int_equal(all + n - (at + 4), len);
	assert_memory_equal(at + 4, value, len);
	*at = '\0';
	(void)snprintf(r->text, sizeof(r->text), "%s", all);
	free(all);
}

/* No two pieces are the same. */
static char *long_value(size_t len, unsigned seed)
{
	char *value = malloc(len + 1);

	for (size_t i = 0; i < len; i++) {
		seed = seed * 1103515245u + 12345u;
		value[i] = (char)('a' + (seed >> 16) % 26);
	}
	value[len] = '\0';
	return value;
}

/* Values that are written and read a slice a turn are the same from outside. */
static void test_slices(void **state)
{
	static const char head[] =
		"--B\r\nContent-Disposition: form-data; name=\"value\"; filename=\"blob\"\r\n\r\n",
			  tail[] = "\r\n--B\r\nContent-Disposition: form-data; "
				   "name=\"metadata\"\r\n\r\n{\"a\":1}\r\n--B--\r\n";
	const size_t sizes[] = {KV_LARGE, KV_LARGE + 1, KV_AT_ONCE, KV_AT_ONCE + 1, 3u << 20};
	struct rest *r = *state;
	char *value, *form;
	size_t len = 0;
	json_t *doc;

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		value = long_value(sizes[i], (unsigned)i);
		assert_int_equal(put_long(r, kv(r, false, "/values/k"), value, sizes[i]), 200);
		expect_long(r, kv(r, true, "/values/k"), value, sizes[i]);
		assert_int_equal(r->x->a->web->kv_bytes, sizes[i] + 1);
		/* As wrangler sends it. */
		form = malloc(sizes[i] + sizeof(head) + sizeof(tail));
		len = sizeof(head) - 1;
		memcpy(form, head, len);
		memcpy(form + len, value, sizes[i]);
		len += sizes[i];
		memcpy(form + len, tail, sizeof(tail) - 1);
		len += sizeof(tail) - 1;
		if (sizes[i] <= KV_AT_ONCE)
			put(r, kv(r, true, "/values/k"), "multipart/form-data; boundary=B", form,
			    len);
		free(form);
		expect_long(r, kv(r, false, "/values/k"), value, sizes[i]);
		if (sizes[i] <= KV_AT_ONCE)
			assert_non_null(strstr(r->text, "X-KV-Metadata: {\"a\":1}"));
		free(value);
	}
	/* One of many, and those around it. */
	value = long_value(2u << 20, 99);
	doc = json_pack("[{s:s, s:s}, {s:s, s:s}, {s:s, s:s}]", "key", "x", "value", "first", "key",
			"k", "value", value, "key", "y", "value", "last");
	form = json_dumps(doc, 0);
	assert_int_equal(put_long(r, kv(r, false, "/bulk"), form, strlen(form)), 200);
	expect_long(r, kv(r, false, "/values/k"), value, 2u << 20);
	expect(r, kv(r, false, "/values/x"), "first");
	expect(r, kv(r, false, "/values/y"), "last");
	assert_int_equal(r->x->a->web->kv_bytes, (2u << 20) + 1 + 1 + 5 + 1 + 4);
	assert_int_equal(
		rest(r, r->a, "POST", kv(r, false, "/bulk/get"), "{\"keys\":[\"x\",\"k\"]}"), 413);
	assert_non_null(strstr(r->text, "longer than 1 MiB together"));
	assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/metadata/k"), ""), 200);
	json_decref(doc);
	free(form);
	free(value);
	/* It takes no more room when it has gone. */
	assert_int_equal(rest(r, r->a, "DELETE", kv(r, false, "/values/k"), ""), 200);
	assert_int_equal(rest(r, r->a, "GET", kv(r, false, "/values/k"), ""), 404);
	assert_int_equal(r->x->a->web->kv_bytes, 1 + 5 + 1 + 4);
}

/* The whole of what a value may have, and no more. */
/* Metadata that a worker's own code has put, and that is not what this program reads as JSON. */
static void test_odd_metadata(void **state)
{
	static const char *const odd[][2] = {
		{"{\"a\":\"x\\u0000y\"}", "{\"a\":\"x\\u0000y\"}"},
		{"{\"a\\u0000b\":1}", "\"{\\\"a\\\\u0000b\\\":1}\""},
		{"{\"a\":NaN}", "\"{\\\"a\\\":NaN}\""},
		{"\"\\ud800\"", "\"\\\"\\\\ud800\\\"\""},
		{"{", "\"{\""},
	};
	struct rest *r = *state;

	put(r, kv(r, true, "/values/first"), "", "v", 1);
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		const struct web_kv_put value = {.value = "v", .len = 1, .metadata = odd[i][0]};
		char wanted[200];

		assert_int_equal(web_kv_write(r->x->f, r->x->a,
					      LIST_FIRST(&r->x->a->web->namespaces), "odd", &value,
					      NULL, "", 0),
				 0);
		put(r, kv(r, true, "/values/first"), "", "v", 1);
		(void)snprintf(wanted, sizeof(wanted), "\"result\":%s", odd[i][1]);
		assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/metadata/odd"), ""), 200);
		if (!strstr(r->text, wanted))
			fail_msg("%s: %s", wanted, r->text);
		assert_int_equal(rest(r, r->a, "GET", kv(r, true, "/keys?prefix=odd"), ""), 200);
		assert_non_null(strstr(r->text, odd[i][1]));
		assert_int_equal(rest(r, r->a, "POST", kv(r, true, "/bulk/get"),
				      "{\"keys\":[\"odd\"],\"withMetadata\":true}"),
				 200);
		assert_non_null(strstr(r->text, odd[i][1]));
		expect(r, kv(r, false, "/values/odd"), "v");
		(void)snprintf(wanted, sizeof(wanted), "X-KV-Metadata: %s\r\n", odd[i][1]);
		assert_non_null(strstr(r->text, wanted));
	}
}

static void test_long(void **state)
{
	struct rest *r = *state;
	char *value = malloc(KV_VALUE_MAX + 1);

	memset(value, 'v', KV_VALUE_MAX + 1);
	assert_int_equal(put_long(r, kv(r, false, "/values/long"), value, KV_VALUE_MAX), 200);
	assert_int_equal(r->x->a->web->kv_bytes, KV_VALUE_MAX + strlen("long"));
	assert_int_equal(put_long(r, kv(r, false, "/values/long"), value, KV_VALUE_MAX + 1), 413);
	free(value);
}

static const char *settings(struct rest *r, const char *what)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "/client/v4/accounts/%s/workers/scripts/hello/%s",
		       r->x->a->id, what);
	return path;
}

#define FORM(text)                                                                                 \
	"--B\r\nContent-Disposition: form-data; name=\"settings\"\r\n\r\n" text "\r\n--B--\r\n"

static unsigned patch(struct rest *r, const char *form)
{
	return rest_send(r, r->a, "PATCH", settings(r, "settings"),
			 "multipart/form-data; boundary=B", form, strlen(form));
}

/* The names of the secrets that it has. */
static void expect_secrets(struct rest *r, const char *want)
{
	char names[256] = "";
	json_t *one;
	size_t i, n = 0;

	assert_int_equal(rest(r, r->a, "GET", settings(r, "secrets"), ""), 200);
	json_array_foreach(result(r), i, one) n +=
		(size_t)snprintf(names + n, sizeof(names) - n, "%s ",
				 json_string_value(json_object_get(one, "name")));
	assert_string_equal(names, want);
}

static void test_secrets(void **state)
{
	struct rest *r = *state;

	assert_int_equal(rest(r, r->a, "GET", settings(r, "settings"), ""), 404);
	assert_non_null(web_worker_new(r->x->a, "hello"));
	expect_secrets(r, "");
	/* One is set, another one too, and then one stays, one goes, and one comes. */
	assert_int_equal(patch(r, FORM("{\"bindings\":[{\"type\":\"secret_text\",\"name\":\"A\","
				       "\"text\":\"1\"},{\"type\":\"secret_text\",\"name\":\"B\","
				       "\"text\":\"2\"}]}")),
			 200);
	expect_secrets(r, "A B ");
	assert_null(strstr(r->text, "text\":\"1"));
	assert_int_equal(
		patch(r, FORM("{\"bindings\":[{\"type\":\"secret_text\",\"name\":\"A\"},"
			      "{\"type\":\"kv_namespace\",\"name\":\"KV\"},"
			      "{\"type\":\"secret_text\",\"name\":\"C\",\"text\":\"3\"}]}")),
		200);
	expect_secrets(r, "A C ");
	/* Nothing is said of them. */
	assert_int_equal(patch(r, FORM("{\"logpush\":true}")), 200);
	expect_secrets(r, "A C ");
	assert_int_equal(patch(r, FORM("{\"bindings\":[{\"type\":\"plain_text\",\"name\":\"V\","
				       "\"text\":\"1\"}]}")),
			 400);
	assert_int_equal(patch(r, FORM("{\"bindings\":[{\"type\":\"secret_text\",\"name\":\"9\","
				       "\"text\":\"1\"}]}")),
			 400);
	assert_int_equal(patch(r, FORM("[]")), 400);
	assert_int_equal(patch(r, "--B--\r\n"), 400);
	expect_secrets(r, "A C ");
	/* The newer program's way. */
	assert_int_equal(rest(r, r->a, "PATCH", settings(r, "secrets-bulk"),
			      "{\"secrets\":{\"A\":null,\"D\":{\"name\":\"D\",\"text\":\"4\","
			      "\"type\":\"secret_text\"}}}"),
			 200);
	expect_secrets(r, "C D ");
	assert_int_equal(
		rest(r, r->a, "PATCH", settings(r, "secrets-bulk"), "{\"secrets\":{\"A\":1}}"),
		400);
	assert_int_equal(rest(r, r->b, "PATCH", settings(r, "secrets-bulk"), "{\"secrets\":{}}"),
			 404);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_REST(test_values), WITH_REST(test_many), WITH_REST(test_odd_metadata),
		WITH_REST(test_slices), WITH_REST(test_long), WITH_REST(test_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
