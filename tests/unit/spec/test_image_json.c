// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "spec/image_json.h"

#define REST "\"packages\": [\"python3\"], \"interpreter\": \"/usr/bin/python3\""

static int read_text(const char *text, size_t len, struct image_head *head, struct err *e)
{
	json_t *doc = NULL;
	int r = image_json_read("image.json", text, len, head, &doc, e);

	assert_int_equal(r == 0, doc != NULL);
	json_decref(doc);
	return r;
}

static void test_whole(void **state)
{
	static const char text[] =
		"{\"name\": \"iron\", \"description\": \"d\", \"suite\": \"bookworm\", "
		"\"packages\": [\"python3\", \"libc6\", \"g++-12\"], \"interpreter\": "
		"\"/usr/bin/python3.11\", \"requirements\": [\"requests==2.32.3\", "
		"\"uvicorn[standard]>=0.3,<1\"], \"warm\": {\"imports\": [\"numpy\", "
		"\"scipy.linalg\"]}, \"policy\": \"strict\"}";
	struct image_head head;
	struct err e = {0};

	(void)state;
	if (read_text(text, strlen(text), &head, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(head.magic, IMAGE_MAGIC);
	assert_string_equal(head.name, "iron");
	assert_string_equal(head.interpreter, "/usr/bin/python3.11");
	assert_string_equal(head.policy, "strict");
	assert_string_equal(head.warm, "numpy\nscipy.linalg");
}

static void test_defaults(void **state)
{
	static const char text[] = "{\"name\": \"a\", " REST "}";
	struct image_head head;
	struct err e = {0};

	(void)state;
	assert_int_equal(read_text(text, strlen(text), &head, &e), 0);
	assert_string_equal(head.policy, "default");
	assert_string_equal(head.warm, "");
	for (size_t n = 0; n + 1 < sizeof(text); n++)
		assert_true(read_text(text, n, &head, &e) < 0);
}

static void test_errors_name_the_path(void **state)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{"{}", "image.json: name: is missing"},
		{"{\"name\": \"a\"}", "image.json: packages: is missing"},
		{"{\"name\": \"a\", \"packages\": []}", "image.json: interpreter: is missing"},
		{"{\"name\": \"../a\", " REST "}", "image.json: name: must be of lower-case"},
		{"{\"name\": \"A\", " REST "}", "image.json: name: must be of lower-case"},
		{"{\"name\": \".build-x\", " REST "}", "image.json: name: must be of lower-case"},
		{"{\"name\": \"\", " REST "}", "image.json: name: must not be empty"},
		{"{\"name\": 1, " REST "}", "image.json: name: must be a string, not a number"},
		{"{\"name\": \"a\", \"suite\": \"-o\", " REST "}",
		 "image.json: suite: must be a Debian release"},
		{"{\"name\": \"a\", \"packages\": [\"xy\", \"-y\"], \"interpreter\": "
		 "\"/usr/bin/python3\"}",
		 "image.json: packages[1]: must be a Debian package's name"},
		{"{\"name\": \"a\", \"packages\": [\"ok\", \"x y\"], \"interpreter\": "
		 "\"/usr/bin/python3\"}",
		 "image.json: packages[1]: must be a Debian package's name"},
		{"{\"name\": \"a\", \"packages\": {}, \"interpreter\": \"/usr/bin/python3\"}",
		 "image.json: packages: must be an array, not an object"},
		{"{\"name\": \"a\", \"packages\": [], \"interpreter\": \"python3\"}",
		 "image.json: interpreter: must be a Python in /usr/bin"},
		{"{\"name\": \"a\", \"packages\": [], \"interpreter\": "
		 "\"/usr/bin/python3/../sh\"}",
		 "image.json: interpreter: must be a Python in /usr/bin"},
		{"{\"name\": \"a\", \"build_commands\": [\"a\\nb\"], " REST "}",
		 "image.json: build_commands[0]: must be one line for a shell"},
		{"{\"name\": \"a\", \"build_packages\": [\"-o=x\"], " REST "}",
		 "image.json: build_packages[0]: must be a Debian package's name"},
		{"{\"name\": \"a\", \"requirements\": [\"--index-url=x\"], " REST "}",
		 "image.json: requirements[0]: must be a requirement"},
		{"{\"name\": \"a\", \"requirements\": [\"a @ file:///etc\"], " REST "}",
		 "image.json: requirements[0]: must be a requirement"},
		{"{\"name\": \"a\", \"warm\": [], " REST "}",
		 "image.json: warm: must be an object, not an array"},
		{"{\"name\": \"a\", \"warm\": {\"imports\": [\"os; x\"]}, " REST "}",
		 "image.json: warm.imports[0]: must be a module's name"},
		{"{\"name\": \"a\", \"warm\": {\"import\": []}, " REST "}",
		 "image.json: warm.import: unknown key"},
		{"{\"name\": \"a\", \"policy\": \"a/b\", " REST "}",
		 "image.json: policy: must be a policy's name"},
		{"{\"name\": \"a\", \"digest\": \"x\", " REST "}",
		 "image.json: digest: unknown key"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct image_head head;
		struct err e = {0};
		const char *want = cases[i].error;

		if (read_text(cases[i].text, strlen(cases[i].text), &head, &e) == 0)
			fail_msg("accepted: %s", cases[i].text);
		if (!strstr(e.msg, want))
			fail_msg("\"%s\" lacks \"%s\"", e.msg, want);
	}
}

static void test_modules(void **state)
{
	static const char good[] =
		"{\"python\": \"3.11.2\", \"interpreter\": \"/usr/bin/python3\", "
		"\"modules\": [{\"name\": \"numpy\", \"version\": \"1.24.2\"}]}";
	static const char *const wrong[] = {
		"{}",
		"{\"python\": \"3\"}",
		"{\"python\": \"3\", \"modules\": [{}]}",
		"{\"python\": \"3\", \"modules\": [{\"name\": \"a\"}]}",
		"{\"python\": \"3\", \"modules\": [{\"name\": \"a\", \"version\": 1}]}",
		"{\"python\": \"3\", \"modules\": [7]}",
		"{\"python\": \"a version that is far too long to be one\", \"modules\": []}",
	};
	struct image_head head = {0};
	struct err e = {0};
	json_t *doc = NULL;

	(void)state;
	assert_int_equal(image_modules_read("m", good, strlen(good), &head, &doc, &e), 0);
	assert_string_equal(head.python_version, "3.11.2");
	json_decref(doc);
	doc = NULL;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		assert_true(image_modules_read("m", wrong[i], strlen(wrong[i]), &head, &doc, &e) <
			    0);
		assert_null(doc);
	}
}

/* ---- an installed image ---- */

struct store {
	char path[64], hex[65];
	int images, dir;
	uint8_t digest[32];
	struct image_head head;
};

static void write_head(struct store *s)
{
	assert_int_equal(util_write_file_at(s->dir, "image.bin", 0644, &s->head, sizeof(s->head)),
			 0);
}

static int setup_store(void **state)
{
	struct store *s = calloc(1, sizeof(*s));
	static const char text[] = "{\"name\": \"a\", " REST "}";
	struct err e = {0};

	(void)snprintf(s->path, sizeof(s->path), "/tmp/test-image-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->images = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	memset(s->digest, 0xab, sizeof(s->digest));
	util_hex(s->digest, sizeof(s->digest), s->hex);
	assert_int_equal(mkdirat(s->images, s->hex, 0755), 0);
	s->dir = openat(s->images, s->hex, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(s->dir, "rootfs", 0755), 0);
	assert_int_equal(read_text(text, strlen(text), &s->head, &e), 0);
	write_head(s);
	*state = s;
	return 0;
}

static int teardown_store(void **state)
{
	struct store *s = *state;

	(void)unlinkat(s->dir, "image.bin", 0);
	(void)unlinkat(s->dir, "rootfs", AT_REMOVEDIR);
	(void)unlinkat(s->images, s->hex, AT_REMOVEDIR);
	(void)rmdir(s->path);
	(void)close(s->dir);
	(void)close(s->images);
	free(s);
	return 0;
}

static void expect_refused(struct store *s, const char *error)
{
	struct image_head head;
	struct err e = {0};
	int rootfs = -1;

	assert_true(image_load(s->images, s->digest, &head, &rootfs, &e) < 0);
	assert_int_equal(rootfs, -1);
	if (!strstr(e.msg, error))
		fail_msg("\"%s\" lacks \"%s\"", e.msg, error);
}

static void test_load(void **state)
{
	struct store *s = *state;
	struct image_head head;
	struct err e = {0};
	int rootfs = -1;

	assert_int_equal(image_load(s->images, s->digest, &head, &rootfs, &e), 0);
	assert_true(rootfs >= 0);
	assert_memory_equal(&head, &s->head, sizeof(head));
	(void)close(rootfs);
}

static void test_load_refuses(void **state)
{
	struct store *s = *state;
	const struct image_head good = s->head;

	assert_int_equal(fchmodat(s->dir, "image.bin", 0666, 0), 0);
	expect_refused(s, "only root can write");
	assert_int_equal(fchmodat(s->dir, "image.bin", 0644, 0), 0);
	assert_int_equal(fchownat(s->dir, "image.bin", 1, 0, 0), 0);
	expect_refused(s, "only root can write");
	assert_int_equal(util_write_file_at(s->dir, "image.bin", 0644, &good, sizeof(good) - 1), 0);
	expect_refused(s, "wrong size");
#define REFUSED(change, error)                                                                     \
	do {                                                                                       \
		change;                                                                            \
		write_head(s);                                                                     \
		expect_refused(s, error);                                                          \
		s->head = good;                                                                    \
	} while (0)
	REFUSED(s->head.magic++, "another version");
	REFUSED(s->head.version++, "another version");
	REFUSED(memset(s->head.warm, 'a', sizeof(s->head.warm)), "does not end");
	REFUSED(memset(s->head.interpreter, '/', sizeof(s->head.interpreter)), "does not end");
	REFUSED(s->head.interpreter[0] = 'x', "wrong name");
	REFUSED(s->head.policy[0] = '\0', "wrong name");
	REFUSED(s->head.name[0] = '/', "wrong name");
	write_head(s);

	assert_int_equal(fchmodat(s->dir, "rootfs", 0777, 0), 0);
	expect_refused(s, "rootfs must be a folder that only root can write");
	assert_int_equal(unlinkat(s->dir, "rootfs", AT_REMOVEDIR), 0);
	assert_int_equal(symlinkat("/", s->dir, "rootfs"), 0);
	expect_refused(s, "rootfs");
	assert_int_equal(unlinkat(s->dir, "rootfs", 0), 0);
	expect_refused(s, "rootfs: No such file");
	assert_int_equal(fchmodat(s->images, s->hex, 0777, 0), 0);
	expect_refused(s, "its place must be a folder that only root can write");
	s->digest[0] ^= 1;
	expect_refused(s, "No such file");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_errors_name_the_path),
		cmocka_unit_test(test_modules),
		cmocka_unit_test_setup_teardown(test_load, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_load_refuses, setup_store, teardown_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
