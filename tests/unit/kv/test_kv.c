// SPDX-License-Identifier: Apache-2.0
/* A file of keys and values: what a worker asks of it, and what it is answered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "kv/kv.h"

struct fixture {
	char folder[64], path[96];
	struct kv *kv;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct err e;

	strcpy(x->folder, "/tmp/test-kv-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	(void)snprintf(x->path, sizeof(x->path), "%s/kv.sqlite", x->folder);
	assert_int_equal(kv_open(x->path, &x->kv, &e), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	struct fixture *x = *state;
	char path[128];

	kv_close(x->kv);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", x->path, suffixes[i]);
		(void)unlink(path);
	}
	assert_int_equal(rmdir(x->folder), 0);
	free(x);
	return 0;
}

/* What the namespace answers, as "HEAD|BODY", or "TYPE: MESSAGE". The head is stolen. */
static const char *ask_in(struct kv *kv, const char *namespace, json_t *head, const char *body)
{
	static char text[4096];
	struct kv_reply reply = {0};
	char *shown;

	assert_non_null(head);
	kv_answer(kv, namespace, head, body, body ? strlen(body) : 0, &reply);
	if (reply.type) {
		(void)snprintf(text, sizeof(text), "%s: %s", reply.type, reply.message);
	} else {
		shown = json_dumps(reply.head, JSON_COMPACT | JSON_SORT_KEYS);
		(void)snprintf(text, sizeof(text), "%s|%.*s", shown, (int)reply.len,
			       (const char *)(reply.body ? reply.body : ""));
		free(shown);
	}
	kv_reply_clear(&reply);
	json_decref(head);
	return text;
}

static const char *ask(struct fixture *x, json_t *head, const char *body)
{
	return ask_in(x->kv, "n1", head, body);
}

static void put(struct fixture *x, const char *key, const char *value)
{
	assert_string_equal(ask(x, json_pack("{s:s, s:s}", "method", "put", "key", key), value),
			    "{}|");
}

static const char *get(struct fixture *x, const char *key)
{
	return ask(x, json_pack("{s:s, s:s}", "method", "get", "key", key), NULL);
}

static void test_values(void **state)
{
	struct fixture *x = *state;
	const json_int_t later = (json_int_t)(util_realtime_ns() / SEC) + 1000;
	char want[128];

	assert_string_equal(get(x, "k"), "{\"found\":false}|");
	put(x, "k", "value");
	assert_string_equal(get(x, "k"), "{\"found\":true}|value");
	put(x, "k", "");
	assert_string_equal(get(x, "k"), "{\"found\":true}|");
	assert_string_equal(
		ask_in(x->kv, "n2", json_pack("{s:s, s:s}", "method", "get", "key", "k"), NULL),
		"{\"found\":false}|");
	assert_string_equal(ask(x,
				json_pack("{s:s, s:s, s:s, s:I}", "method", "put", "key", "k",
					  "metadata", "[1]", "expiration", later),
				"v"),
			    "{}|");
	(void)snprintf(want, sizeof(want),
		       "{\"expiration\":%lld,\"found\":true,\"metadata\":\"[1]\"}|v",
		       (long long)later);
	assert_string_equal(
		ask(x, json_pack("{s:s, s:s}", "method", "getWithMetadata", "key", "k"), NULL),
		want);
	assert_string_equal(ask(x, json_pack("{s:s, s:s}", "method", "delete", "key", "k"), NULL),
			    "{}|");
	assert_string_equal(get(x, "k"), "{\"found\":false}|");
	/* A time that is over. */
	assert_string_equal(
		ask(x, json_pack("{s:s, s:s, s:i}", "method", "put", "key", "k", "expiration", 1),
		    "v"),
		"{}|");
	assert_string_equal(get(x, "k"), "{\"found\":false}|");
}

static void test_many(void **state)
{
	struct fixture *x = *state;
	json_t *keys = json_array();

	put(x, "a", "one");
	put(x, "b", "");
	assert_string_equal(ask(x,
				json_pack("{s:s, s:[s, s, s, s]}", "method", "getMany", "keys", "a",
					  "none", "b", "a"),
				NULL),
			    "{\"values\":[{\"len\":3},null,{\"len\":0},{\"len\":3}]}|oneone");
	assert_string_equal(ask(x, json_pack("{s:s, s:[]}", "method", "getMany", "keys"), NULL),
			    "Error: from 1 to 100 keys");
	for (unsigned i = 0; i <= KV_KEYS_MAX; i++)
		json_array_append_new(keys, json_string("a"));
	assert_string_equal(
		ask(x, json_pack("{s:s, s:o}", "method", "getMany", "keys", keys), NULL),
		"Error: from 1 to 100 keys");
	assert_string_equal(
		ask(x, json_pack("{s:s, s:[s, i]}", "method", "getMany", "keys", "a", 1), NULL),
		"TypeError: the key must be a text of 1 to 512 bytes");
}

static void test_list(void **state)
{
	struct fixture *x = *state;
	static const char *const keys[] = {"b/2", "a", "b/10", "B"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		put(x, keys[i], "v");
	assert_string_equal(ask(x, json_pack("{s:s}", "method", "list"), NULL),
			    "{\"keys\":[{\"name\":\"B\"},{\"name\":\"a\"},{\"name\":\"b/10\"},"
			    "{\"name\":\"b/2\"}],\"list_complete\":true}|");
	assert_string_equal(
		ask(x, json_pack("{s:s, s:s, s:i}", "method", "list", "prefix", "b", "limit", 1),
		    NULL),
		"{\"cursor\":\"b/10\",\"keys\":[{\"name\":\"b/10\"}],\"list_complete\":false}|");
	assert_string_equal(
		ask(x,
		    json_pack("{s:s, s:s, s:s}", "method", "list", "prefix", "b", "cursor", "b/10"),
		    NULL),
		"{\"keys\":[{\"name\":\"b/2\"}],\"list_complete\":true}|");
}

static void test_refused(void **state)
{
	struct fixture *x = *state;
	char text[KV_METADATA_MAX + 2];
	json_t *nothing = json_object();

	memset(text, 'x', sizeof(text));
	text[KV_KEY_MAX + 1] = '\0';
	assert_string_equal(get(x, text), "TypeError: the key must be a text of 1 to 512 bytes");
	assert_string_equal(get(x, ""), "TypeError: the key must be a text of 1 to 512 bytes");
	assert_string_equal(ask(x, json_pack("{s:s, s:s}", "method", "list", "cursor", text), NULL),
			    "Error: prefix, cursor: at most 512 bytes");
	text[KV_KEY_MAX + 1] = 'x';
	text[KV_METADATA_MAX + 1] = '\0';
	assert_string_equal(
		ask(x, json_pack("{s:s, s:s, s:s}", "method", "put", "key", "k", "metadata", text),
		    "v"),
		"Error: the metadata is too long");
	assert_string_equal(ask(x, json_pack("{s:s}", "method", "drop"), NULL),
			    "TypeError: there is no such method of KV");
	assert_string_equal(ask(x, nothing, NULL), "TypeError: method: must be given");
}

static void test_file(void **state)
{
	struct fixture *x = *state;
	struct kv *other;
	struct err e;
	sqlite3 *db;

	/* Two processes may have it, and each sees what the other one has written. */
	assert_int_equal(kv_open(x->path, &other, &e), 0);
	put(x, "k", "kept");
	assert_string_equal(
		ask_in(other, "n1", json_pack("{s:s, s:s}", "method", "get", "key", "k"), NULL),
		"{\"found\":true}|kept");
	kv_close(other);
	kv_close(x->kv);
	x->kv = NULL;
	assert_int_equal(kv_open(x->path, &x->kv, &e), 0);
	assert_string_equal(get(x, "k"), "{\"found\":true}|kept");
	kv_close(x->kv);
	x->kv = NULL;

	assert_int_equal(sqlite3_open(x->path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 9", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(kv_open(x->path, &other, &e), -EINVAL);
	assert_non_null(strstr(e.msg, "was written by a later release"));
	assert_true(kv_open(x->folder, &other, &e) < 0);
	assert_non_null(strstr(e.msg, x->folder));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_file, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
