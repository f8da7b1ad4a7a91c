// SPDX-License-Identifier: Apache-2.0
/* The layout of a zip: its end records, the places, the number and the size of its parts. */
#include "tests/unit/package_zip_rig.h"

static const struct member pair[] = {{"x", "12345678"}, {"y", "12345678"}};

static void expect(struct made *z, const char *error)
{
	struct err e;
	uint64_t bytes;

	if (extract(z->bytes, z->len, 1 << 20, &bytes, &e) == 0)
		fail_msg("unpacked: %s", error);
	if (!strstr(e.msg, error))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, error);
}

/* Bytes before the archive, or after it. */
static void test_structure(void **state)
{
	struct made *z = *state;
	uint8_t copy[1024];
	size_t len;

	make_zip(z, pair, 0);
	expect(z, "nothing is in it");
	make_zip(z, pair, 2);
	len = z->len;
	memcpy(copy, z->bytes, len);
	z->bytes[z->len++] = 0;
	expect(z, "has something after its end");
	memcpy(z->bytes + len, copy, len);
	z->len = 2 * len;
	expect(z, "something stands before");
	memcpy(z->bytes, "#!/bin/sh\n", 10);
	memcpy(z->bytes + 10, copy, len);
	z->len = len + 10;
	expect(z, "something stands before");
	/* The same with offsets that take these bytes into account. */
	z->bytes[len + 10 - 6] += 10;
	z->bytes[len + 10 - 22 - 47 - 47 + 42] += 10;
	z->bytes[len + 10 - 22 - 47 + 42] += 10;
	expect(z, "something stands before its first entry");
}

/* What the end of an archive may carry, and what may not look like one. */
static void test_comment(void **state)
{
	char long_comment[ZIP_COMMENT_MAX + 2];
	struct made *z = *state;

	z->comment = "PK\x05\x06 is what an end looks like";
	make_zip(z, pair, 2);
	expect(z, "has something after its end");
	memset(long_comment, 'c', sizeof(long_comment));
	long_comment[ZIP_COMMENT_MAX + 1] = '\0';
	z->comment = long_comment;
	make_zip(z, pair, 2);
	expect(z, "has something after its end");
	long_comment[ZIP_COMMENT_MAX] = '\0';
	make_zip(z, pair, 2);
	assert_int_equal(extract(z->bytes, z->len, 1 << 20, &(uint64_t){0}, &(struct err){0}), 0);
}

/* Wrong values in the end record: how many entries, how long, where, and in which part. */
static void test_end_record(void **state)
{
	struct made *z = *state;

	for (z->entries = -1; z->entries < 2; z->entries += 2) {
		make_zip(z, pair, 2);
		expect(z, "its directory is damaged");
	}
	z->entries = 1;
	z->zip64 = true;
	make_zip(z, pair, 2);
	expect(z, "its two end records say different things");
	z->entries = 0;
	z->directory_at = 1;
	make_zip(z, pair, 2);
	expect(z, "its directory is not where it is said to be");
	z->zip64 = false;
	make_zip(z, pair, 2);
	expect(z, "its directory is not where it is said to be");
	z->directory_at = -1;
	z->directory_size = 1;
	make_zip(z, pair, 2);
	expect(z, "its directory is damaged");
	z->directory_at = z->directory_size = 0;
	z->disk = 1;
	make_zip(z, pair, 2);
	expect(z, "one of several parts");
}

/* David Fifield's zip bomb: entries whose content is the next entry with its header. */
static void test_overlap(void **state)
{
	static const struct member two[] = {{"a", "1", .packed = 0}, {"b", "22"}};
	struct member bomb[2];
	struct made *z = *state;

	memcpy(bomb, two, sizeof(bomb));
	make_zip(z, two, 2);
	/* The first entry reaches to the end of the second. */
	bomb[0].size = bomb[0].packed = 1 + 30 + 1 + 2;
	make_zip(z, bomb, 2);
	expect(z, "a: it overlaps with what follows it");
}

/* 10^6 entries, a number that the end record can only tell by ZIP64. */
static void test_many(void **state)
{
	static const struct member one[] = {{"x", "1"}};
	struct made *z = *state;

	z->zip64 = true;
	make_zip(z, one, 1);
	z->len -= 22 + 20 + 56;
	put_end(z, 1000000, z->at[0] + 32);
	/* The two end records have different counts. */
	z->bytes[z->len - 14] = z->bytes[z->len - 13] = 0xff;
	z->bytes[z->len - 12] = z->bytes[z->len - 11] = 0xff;
	expect(z, "it has more than 100000 entries");
}

static void test_bounds(void **state)
{
	static const struct member two[] = {{"a", "12345678"}, {"b", "12345678"}};
	struct zip_package zip;
	struct made *z = *state;
	struct member bomb = {"bomb", "x", .deflate = true, .size = ZIP_BOMB_BYTES + 1};
	struct member bombs[] = {{"b", "x", .deflate = true}, {"c", "x", .deflate = true}};
	struct err e = {0};
	uint64_t bytes;

	make_zip(z, two, 2);
	assert_int_equal(extract(z->bytes, z->len, 16, &bytes, &e), 0);
	assert_int_equal(bytes, 16);
	assert_true(extract(z->bytes, z->len, 15, &bytes, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	make_zip(z, &bomb, 1);
	assert_true(package_zip_open(z->bytes, z->len, UINT64_MAX, &zip, &e) < 0);
	assert_non_null(strstr(e.msg, "bomb: it is a zip bomb"));
	/* Neither is a bomb by itself, but both together are one. */
	bombs[0].size = bombs[1].size = ZIP_BOMB_BYTES;
	make_zip(z, bombs, 2);
	assert_true(package_zip_open(z->bytes, z->len, UINT64_MAX, &zip, &e) < 0);
	assert_non_null(strstr(e.msg, "archive: it is a zip bomb"));
	bomb.size = ZIP_BOMB_BYTES;
	make_zip(z, &bomb, 1);
	assert_int_equal(package_zip_open(z->bytes, z->len, UINT64_MAX, &zip, &e), 0);
	package_zip_close(&zip);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ZIP(test_structure), WITH_ZIP(test_comment), WITH_ZIP(test_end_record),
		WITH_ZIP(test_overlap),	  WITH_ZIP(test_many),	  WITH_ZIP(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
