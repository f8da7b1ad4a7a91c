// SPDX-License-Identifier: Apache-2.0
/* Keys and values: as they were written, in the order of their bytes, and gone when they expire. */
#include "tests/unit/store_rig.h"

#include <sys/param.h>

#include "supervisor/front/store/kv.h"

static const struct schema *const kv_schemas[] = {&projects_schema, &kv_schema, NULL};

static int setup_kv(void **state)
{
	struct fixture *x;
	struct err e;

	assert_int_equal(setup(state), 0);
	x = *state;
	store_free(x->store);
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(store_open(x->fd, kv_schemas, &x->store, &e), 0);
	return 0;
}

static int64_t put(struct fixture *x, const char *ns, const char *key, const char *value,
		   const char *metadata, uint64_t expires_s)
{
	const struct kv_value v = {
		.value = value, .len = strlen(value), .metadata = metadata, .expires_s = expires_s};
	int64_t bytes = 0;
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_put(x->store, ns, key, &v, &bytes, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	return bytes;
}

static int64_t del(struct fixture *x, const char *ns, const char *key)
{
	int64_t bytes = 0;
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_delete(x->store, ns, key, &bytes, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	return bytes;
}

struct seen {
	char text[4096];
	unsigned n;
};

static void see_value(void *arg, const struct kv_value *v)
{
	struct seen *s = arg;

	s->n++;
	(void)snprintf(s->text, sizeof(s->text), "%.*s|%s|%llu", (int)v->len,
		       (const char *)v->value, v->metadata ? v->metadata : "none",
		       (unsigned long long)v->expires_s);
}

/* "value|metadata|expires", or "" for a key that is not there. */
static const char *get(struct fixture *x, const char *ns, const char *key, uint64_t now)
{
	static struct seen s;
	struct err e;
	int r;

	s = (struct seen){0};
	r = store_kv_get(x->store, ns, key, now, see_value, &s, &e);
	assert_true(r == 0 || r == -ENOENT);
	assert_int_equal(s.n, r == 0);
	return s.text;
}

static int see_key(void *arg, const struct kv_key *key)
{
	struct seen *s = arg;
	const size_t n = strlen(s->text);

	(void)snprintf(s->text + n, sizeof(s->text) - n, "%s%s", key->name,
		       key->metadata ? "*" : "");
	(void)strcat(s->text, " ");
	s->n++;
	return 0;
}

static const char *list(struct fixture *x, const char *prefix, const char *after, unsigned max,
			int want, uint64_t now)
{
	static struct seen s;
	struct err e;

	s = (struct seen){0};
	assert_int_equal(store_kv_list(x->store, "n1", prefix, after, max, now, see_key, &s, &e),
			 want);
	return s.text;
}

static void test_values(void **state)
{
	struct fixture *x = *state;
	static const char binary[] = {'a', 0, (char)0xff, 'b'};
	const struct kv_value v = {.value = binary, .len = sizeof(binary)};
	struct seen s = {0};
	int64_t bytes;
	struct err e;

	assert_string_equal(get(x, "n1", "k", 1), "");
	assert_int_equal(put(x, "n1", "k", "value", "{\"a\":1}", 0), 1 + 5 + 7);
	assert_string_equal(get(x, "n1", "k", 1), "value|{\"a\":1}|0");
	assert_string_equal(get(x, "n2", "k", 1), "");
	assert_string_equal(get(x, "n1", "k2", 1), "");
	/* In its place, with nothing left of the one before. */
	assert_int_equal(put(x, "n1", "k", "", NULL, 0), -5 - 7);
	assert_string_equal(get(x, "n1", "k", 1), "|none|0");
	assert_int_equal(del(x, "n1", "k"), -1);
	assert_int_equal(del(x, "n1", "k"), 0);
	assert_string_equal(get(x, "n1", "k", 1), "");

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_put(x->store, "n1", "bytes", &v, &bytes, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(store_kv_get(x->store, "n1", "bytes", 1, see_value, &s, &e), 0);
	assert_int_equal(bytes, 5 + 4);
}

static void see_expired(void *arg, const char *project, uint64_t bytes)
{
	char *to = arg;

	(void)sprintf(to + strlen(to), "%s %llu ", project, (unsigned long long)bytes);
}

static void test_expiry(void **state)
{
	struct fixture *x = *state;
	struct kv_namespace_row row = {.id = "n1", .project = "p1", .title = "first"};
	char expired[64] = "";
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_namespace_put(x->store, &row, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	(void)put(x, "n1", "a", "1", NULL, 100);
	(void)put(x, "n1", "b", "1", NULL, 200);
	(void)put(x, "n1", "c", "1", NULL, 0);
	assert_string_equal(get(x, "n1", "a", 99), "1|none|100");
	assert_string_equal(get(x, "n1", "a", 100), "");
	assert_string_equal(list(x, "", "", 9, 0, 150), "b c ");
	/* Its row goes some time, and then it takes no room. */
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_expire(x->store, 150, 1, see_expired, expired, &e), 1);
	assert_string_equal(expired, "p1 2 ");
	assert_int_equal(store_kv_expire(x->store, 150, 1, see_expired, expired, &e), 0);
	assert_string_equal(expired, "p1 2 ");
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_string_equal(get(x, "n1", "a", 1), "");
	assert_string_equal(get(x, "n1", "b", 1), "1|none|200");
	/* An expired key that is written anew is there. */
	(void)put(x, "n1", "b", "2", NULL, 0);
	assert_string_equal(get(x, "n1", "b", 500), "2|none|0");
}

static void test_list(void **state)
{
	struct fixture *x = *state;
	static const char *const keys[] = {"b/2", "a",	  "b/10",     "b/1", "c",
					   "b",	  "\xff", "\xff\xff", "A"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		(void)put(x, "n1", keys[i], "v", i == 1 ? "1" : NULL, 0);
	(void)put(x, "n2", "b/3", "v", NULL, 0);
	assert_string_equal(list(x, "", "", 20, 0, 1), "A a* b b/1 b/10 b/2 c \xff \xff\xff ");
	assert_string_equal(list(x, "b/", "", 20, 0, 1), "b/1 b/10 b/2 ");
	assert_string_equal(list(x, "\xff", "", 20, 0, 1), "\xff \xff\xff ");
	assert_string_equal(list(x, "x", "", 20, 0, 1), "");
	/* Pages. */
	assert_string_equal(list(x, "b", "", 2, 1, 1), "b b/1 ");
	assert_string_equal(list(x, "b", "b/1", 2, 0, 1), "b/10 b/2 ");
	assert_string_equal(list(x, "b", "b/2", 2, 0, 1), "");
}

static int see_namespace(void *arg, const struct kv_namespace_row *row)
{
	struct seen *s = arg;

	(void)strcat(s->text, row->title);
	(void)strcat(s->text, " ");
	return 0;
}

static void test_namespaces(void **state)
{
	struct fixture *x = *state;
	struct kv_namespace_row row = {
		.id = "n1", .project = "p1", .title = "first", .created_ns = 1};
	struct seen s = {0};
	uint64_t bytes;
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_namespace_put(x->store, &row, &e), 0);
	strcpy(row.id, "n2");
	strcpy(row.title, "second");
	row.created_ns = 2;
	assert_int_equal(store_kv_namespace_put(x->store, &row, &e), 0);
	strcpy(row.id, "n3");
	strcpy(row.project, "p2");
	row.created_ns = 3;
	assert_int_equal(store_kv_namespace_put(x->store, &row, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	(void)put(x, "n1", "k", "12345", NULL, 0);
	(void)put(x, "n2", "k", "1", NULL, 0);
	(void)put(x, "n3", "k", "1", NULL, 0);
	assert_int_equal(store_kv_bytes(x->store, "p1", &bytes, &e), 0);
	assert_int_equal(bytes, 8);

	/* In slices: its keys, and then itself. */
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_namespace_delete(x->store, "n1", 5, &bytes, &e), 1);
	assert_int_equal(bytes, 6);
	assert_int_equal(store_kv_namespace_delete(x->store, "n1", 5, &bytes, &e), 0);
	assert_int_equal(bytes, 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(store_kv_namespaces(x->store, see_namespace, &s, &e), 0);
	assert_string_equal(s.text, "second second ");
	assert_string_equal(get(x, "n1", "k", 1), "");

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_delete_project(x->store, "p1", &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_string_equal(get(x, "n2", "k", 1), "");
	assert_string_equal(get(x, "n3", "k", 1), "1|none|0");
}

/* A value of so many bytes, each of which is c, in pieces. */
static int64_t put_large(struct fixture *x, const char *key, uint64_t large, char c, size_t len)
{
	const struct kv_value v = {.len = len, .metadata = "7", .expires_s = 0};
	static char piece[KV_PIECE];
	int64_t bytes = 0;
	struct err e;

	memset(piece, c, sizeof(piece));
	assert_int_equal(store_begin(x->store, &e), 0);
	for (size_t at = 0; at < len; at += KV_PIECE)
		assert_int_equal(store_kv_piece_put(x->store, large, (unsigned)(at / KV_PIECE),
						    piece, MIN(len - at, (size_t)KV_PIECE), &e),
				 0);
	assert_int_equal(store_kv_put_large(x->store, "n1", key, large, &v, &bytes, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	return bytes;
}

struct large {
	char c;
	size_t len;
	uint64_t large;
	bool whole;
};

static void see_large(void *arg, const struct kv_value *v)
{
	struct large *s = arg;
	const char *at = v->value;

	*s = (struct large){.len = v->len, .large = v->large, .whole = v->value};
	s->c = at ? at[0] : 0;
	for (size_t i = 0; at && i < v->len; i++)
		s->whole = s->whole && at[i] == s->c;
}

static struct large get_large(struct fixture *x, const char *key)
{
	struct large s = {0};
	struct err e = {0};

	assert_int_equal(store_kv_get(x->store, "n1", key, 1, see_large, &s, &e), 0);
	return s;
}

/* How many turns until nothing that nobody refers to is left. */
static unsigned remove_gone(struct fixture *x)
{
	struct err e;
	unsigned n = 0;
	int r;

	do {
		assert_int_equal(store_begin(x->store, &e), 0);
		r = store_kv_large_remove(x->store, 4, &e);
		assert_true(r >= 0);
		assert_int_equal(store_end(x->store, 0, &e), 0);
		n += r > 0;
	} while (r > 0);
	return n;
}

static void test_large(void **state)
{
	struct fixture *x = *state;
	const size_t some = KV_AT_ONCE, more = KV_AT_ONCE + 1;
	struct kv_namespace_row row = {
		.id = "n1", .project = "p1", .title = "first", .created_ns = 1};
	static char piece[KV_PIECE];
	uint64_t last = 9, bytes;
	struct large s;
	size_t len;
	struct err e = {0};

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_namespace_put(x->store, &row, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(store_kv_large_begin(x->store, &last, &e), 0);
	assert_int_equal(last, 0);
	assert_int_equal(put_large(x, "k", 1, 'a', some), 1 + 1 + (int64_t)some);
	s = get_large(x, "k");
	assert_true(s.whole && s.c == 'a' && s.len == some);
	/* A longer one is read by the piece. */
	assert_int_equal(put_large(x, "k", 2, 'b', more), 1);
	s = get_large(x, "k");
	assert_true(!s.whole && s.large == 2 && s.len == more);
	assert_int_equal(store_kv_piece(x->store, 2, 16, piece, &len, &e), 0);
	assert_true(len == 1 && piece[0] == 'b');
	assert_int_equal(store_kv_piece(x->store, 2, 17, piece, &len, &e), -ENOENT);
	assert_int_equal(store_kv_bytes(x->store, "p1", &bytes, &e), 0);
	assert_int_equal(bytes, 1 + 1 + more);
	/* What was replaced goes by and by, and what replaces it stays. */
	assert_int_equal(remove_gone(x), 5);
	assert_int_equal(store_kv_piece(x->store, 1, 0, piece, &len, &e), -ENOENT);
	assert_int_equal(store_kv_piece(x->store, 2, 0, piece, &len, &e), 0);
	assert_int_equal(put(x, "n1", "k", "small", NULL, 0), 5 - 1 - (int64_t)more);
	assert_string_equal(get(x, "n1", "k", 1), "small|none|0");
	assert_int_equal(put_large(x, "k", 3, 'c', some), 1 + (int64_t)some - 5);
	assert_int_equal(del(x, "n1", "k"), -1 - 1 - (int64_t)some);
	assert_string_equal(get(x, "n1", "k", 1), "");
	/* Pieces of which the value was never written, and one that was given up. */
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_piece_put(x->store, 8, 0, "x", 1, &e), 0);
	assert_int_equal(store_kv_piece_put(x->store, 7, 0, "x", 1, &e), 0);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(store_kv_large_drop(x->store, 7, &e), 0);
	assert_int_equal(store_kv_large_begin(x->store, &last, &e), 0);
	assert_int_equal(last, 8);
	assert_true(remove_gone(x) > 2);
	for (uint64_t id = 2; id < 9; id++)
		assert_int_equal(store_kv_piece(x->store, id, 0, piece, &len, &e), -ENOENT);
	/* With its namespace. */
	assert_int_equal(put_large(x, "k", 9, 'd', some), 1 + 1 + (int64_t)some);
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_kv_namespace_delete(x->store, "n1", 5, &bytes, &e), 1);
	assert_int_equal(store_end(x->store, 0, &e), 0);
	assert_int_equal(bytes, 1 + 1 + some);
	assert_true(remove_gone(x) > 0);
	assert_int_equal(store_kv_piece(x->store, 9, 0, piece, &len, &e), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_values, setup_kv, teardown),
		cmocka_unit_test_setup_teardown(test_large, setup_kv, teardown),
		cmocka_unit_test_setup_teardown(test_expiry, setup_kv, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup_kv, teardown),
		cmocka_unit_test_setup_teardown(test_namespaces, setup_kv, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
