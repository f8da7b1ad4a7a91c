// SPDX-License-Identifier: Apache-2.0
/* BLAKE3 of bytes that count from 0 to 250 again and again, of lengths around its blocks, its chunks and
 * its subtrees. The hashes are those of another implementation. */
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <stdlib.h>

#include "lib/blake3.h"
#include "lib/util.h"

static void test_vectors(void **state)
{
	static const struct {
		size_t len;
		const char *hash;
	} cases[] = {
		{0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
		{1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
		{64, "4eed7141ea4a5cd4b788606bd23f46e212af9cacebacdc7d1f4c6dc7f2511b98"},
		{1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
		{1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
		{1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
		{2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
		{2049, "5f4d72f40d7a5f82b15ca2b2e44b1de3c2ef86c426c95c1af0b6879522563030"},
		{3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
		{8193, "bab6c09cb8ce8cf459261398d2e7aef35700bf488116ceb94a36d0f5f1b7bc3b"},
		{31744, "62b6960e1a44bcc1eb1a611a8d6235b6b4b78f32e7abc4fb4c6cdcce94895c47"},
		{102400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"},
	};
	static const size_t steps[] = {1, 63, 64, 1000, 200000};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint8_t *data = malloc(cases[i].len + 1), hash[BLAKE3_LEN];
		char hex[2 * BLAKE3_LEN + 1];

		for (size_t j = 0; j < cases[i].len; j++)
			data[j] = (uint8_t)(j % 251);
		for (size_t k = 0; k < ARRAY_SIZE(steps); k++) {
			struct blake3 b;

			blake3_begin(&b);
			for (size_t at = 0, n; at < cases[i].len; at += n) {
				n = cases[i].len - at < steps[k] ? cases[i].len - at : steps[k];
				blake3_add(&b, data + at, n);
			}
			blake3_end(&b, hash);
			util_hex(hash, sizeof(hash), hex);
			assert_string_equal(hex, cases[i].hash);
		}
		free(data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
