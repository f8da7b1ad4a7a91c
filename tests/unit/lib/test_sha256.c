// SPDX-License-Identifier: Apache-2.0
/* SHA-256: the examples of FIPS 180-4, hashed at once, in pieces, and from a file. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/sha256.h"
#include "lib/util.h"
#include "tests/unit/rig.h"

static const struct {
	const char *text, *hex;
} examples[] = {
	{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
	{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
	{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
	 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
};

static void is(const uint8_t digest[SHA256_LEN], const char *hex)
{
	char text[2 * SHA256_LEN + 1];

	util_hex(digest, SHA256_LEN, text);
	assert_string_equal(text, hex);
}

static void test_examples(void **state)
{
	uint8_t digest[SHA256_LEN];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(examples); i++) {
		const char *text = examples[i].text;
		_cleanup_sha256_ struct sha256 s = {0};

		assert_int_equal(sha256(text, strlen(text), digest), 0);
		is(digest, examples[i].hex);
		sha256_begin(&s);
		for (size_t at = 0; at < strlen(text); at++)
			sha256_add(&s, text + at, 1);
		assert_int_equal(sha256_end(&s, digest), 0);
		is(digest, examples[i].hex);
	}
}

/* A file is hashed from its beginning, whatever the descriptor's offset is. */
static void test_file(void **state)
{
	char name[] = "/tmp/sha256.XXXXXX";
	_cleanup_fd_ int fd = mkstemp(name);
	uint8_t digest[SHA256_LEN];

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(unlink(name), 0);
	assert_int_equal(write(fd, "abc", 3), 3);
	assert_int_equal(sha256_file(fd, digest), 0);
	is(digest, examples[1].hex);
	assert_int_equal(sha256_file(-1, digest), -EBADF);
}

/* A hash that was never begun gives no digest. */
static void test_not_begun(void **state)
{
	struct sha256 s = {0};
	uint8_t digest[SHA256_LEN];

	(void)state;
	sha256_add(&s, "abc", 3);
	assert_int_equal(sha256_end(&s, digest), -ENOMEM);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_file),
		cmocka_unit_test(test_not_begun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
