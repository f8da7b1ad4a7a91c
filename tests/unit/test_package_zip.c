// SPDX-License-Identifier: Apache-2.0
/* Codes' files as zips, made byte by byte: what is unpacked, and what is refused. */
#include "tests/unit/zip_rig.h"

#include <dirent.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "supervisor/front/internal.h"
#include "supervisor/front/package.h"
#include "supervisor/front/package_zip_index.h"

static int make_dir(char dir[32])
{
	int fd;

	strcpy(dir, "/tmp/package-XXXXXX");
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

/* In memory of exactly its size, so that a sanitizer sees one byte too many. */
static int extract(const void *bytes, size_t len, uint64_t max, uint64_t *ret, struct err *e)
{
	_cleanup_free_ void *copy = malloc(len ? len : 1);
	char dir[32];
	int at = make_dir(dir), r;

	*e = (struct err){0};
	memcpy(copy, bytes, len);
	r = package_extract_zip(copy, len, at, max, ret, e);
	package_remove(AT_FDCWD, dir);
	assert_int_equal(access(dir, F_OK), -1);
	(void)close(at);
	return r;
}

static void assert_file(int at, const char *path, const char *content, mode_t mode)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	size_t len;

	assert_int_equal(util_read_file_at(at, path, 1 << 20, &text, &len), 0);
	assert_string_equal(text, content);
	assert_int_equal(fstatat(at, path, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

/* The forms of Info-ZIP, Python's zipfile and Go's archive/zip, one member each. */
static const struct member good[] = {
	{"info-zip.py", "print(1)\n", MODE(0100644), UNIX | 30},
	{"python.py", "print(2)\n", MODE(0600), .deflate = true},
	{"go", "run run run run run", MODE(0100755), .flags = LATE | UTF8, .deflate = true},
	{"dos.txt", "x", 0x20, 20},
	{"d/", NULL, MODE(042755) | 0x10, UNIX | 30},
	{"d/l", "../gr\xc3\xbc\xc3\x9f", MODE(0120777), UNIX | 30},
	{"gr\xc3\xbc\xc3\x9f", "y", .flags = UTF8},
	{"wide", "wide wide wide wide", .flags = LATE, .wide = true, .deflate = true},
};

static void assert_good(int at)
{
	char target[64] = "";
	struct stat st;

	assert_file(at, "info-zip.py", "print(1)\n", 0666);
	assert_file(at, "python.py", "print(2)\n", 0666);
	assert_file(at, "go", "run run run run run", 0777);
	assert_file(at, "dos.txt", "x", 0666);
	assert_file(at, "gr\xc3\xbc\xc3\x9f", "y", 0666);
	assert_file(at, "wide", "wide wide wide wide", 0666);
	assert_true(readlinkat(at, "d/l", target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "../gr\xc3\xbc\xc3\x9f");
	assert_int_equal(fstatat(at, "d", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0777);
}

static void test_good(void **state)
{
	struct made *z = *state;
	struct err e = {0};

	for (int zip64 = 0; zip64 < 2; zip64++) {
		uint64_t bytes = 0;
		char dir[32];
		int at = make_dir(dir);

		z->zip64 = zip64;
		z->comment = "a comment, PK and all";
		make_zip(z, good, ARRAY_SIZE(good));
		if (package_extract_zip(z->bytes, z->len, at, 1 << 20, &bytes, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(bytes, 9 + 9 + 19 + 1 + 8 + 3 + 1 + 19 - 2);
		assert_good(at);
		package_remove(AT_FDCWD, dir);
		(void)close(at);
	}
}

/* Each of these is right but for one thing. */
static void test_forms(void **state)
{
	static const struct member forms[] = {
		{"late, no signature", "x", .flags = LATE, .narrow = true},
		{"late, deflated", "xxxxxxxxxxxxx", .flags = LATE, .deflate = true},
		{"late, wide, no signature", "x", .flags = LATE, .narrow = true, .wide = true},
		{"late, of a known size", "x", .flags = LATE, .sized = true},
		{"wide", "x", .wide = true},
		{"odd field", "x", .extra = "\x55\x54\x01\x00z", .extra_len = 5},
		{"unicode", "x", .extra = "\x75\x70\x0c\x00\x01zzzzunicode", .extra_len = 16},
		{"odd rest", "x", .extra = "\0\0", .extra_len = 2},
		{"nothing", NULL},
		{"nothing, deflated", NULL, .deflate = true},
		{"a/./b//c", "x"},
		{"inner.zip", "PK\x05\x06 and more"},
	};
	struct made *z = *state;
	struct err e;
	uint64_t n;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		make_zip(z, &forms[i], 1);
		if (extract(z->bytes, z->len, 1 << 20, &n, &e) < 0)
			fail_msg("%s: %s", forms[i].name, e.msg);
	}
}

#define REFUSED 3
static const struct {
	struct member m[REFUSED];
	const char *error;
} refused[] = {
	/* As of tars. */
	{{{"/etc/x", "x"}}, "/etc/x: an absolute path"},
	{{{"../x", "x"}}, "../x: \"..\""},
	{{{"a/../../x", "x"}}, "a/../../x: \"..\""},
	{{{"x", "1"}, {"x", "2"}}, "x: it is there twice"},
	{{{"x", "1"}, {"./x", "2"}}, "x: it is there twice"},
	{{{"Read", "1"}, {"READ", "2"}}, "read: two names differ in their case"},
	{{{"x", "1"}, {"x/y", "2"}}, "x/y: it lies in something that is not a folder"},
	{{{"l", "/etc", MODE(0120777)}}, "l: a symbolic link must be relative"},
	{{{"l", "../x", MODE(0120777)}}, "l: a symbolic link leads out"},
	{{{"l", "../x", MODE(0120777), .deflate = true}}, "l: "},
	{{{"d", "sub", MODE(0120777)}, {"d/x", "1"}}, "d/x: it lies in something"},
	{{{"d", ".", MODE(0120777)}, {"d", "1"}}, "d: it is there twice"},
	{{{"f", "", MODE(0010644)}}, "f: only files, folders"},
	{{{"f", "", MODE(0020644)}}, "f: only files, folders"},
	{{{"f", "", MODE(0060644)}}, "f: only files, folders"},
	{{{"f", "", MODE(0140644)}}, "f: only files, folders"},
	{{{".", "1"}}, ".: must be a folder"},
	{{{"esc\x1b[2J/../x", "1"}}, "esc\\x1b[2J"},
	/* Of zips. */
	{{{"s", "x", MODE(0104755)}}, "s: set-user-id"},
	{{{"s", "x", MODE(0102755)}}, "s: set-user-id and set-group-id"},
	{{{"..\\x", "1"}}, "x: the name has a back slash"},
	{{{"a\\b", "1", 0, 20}}, "b: the name has a back slash"},
	{{{"a\0b", "1", .name_len = 3}}, "a: the name has a NUL"},
	{{{"", "1"}}, "an entry has no name"},
	{{{"x\x81.txt", "1"}}, "the name is not UTF-8"},
	{{{"x\xc3", "1"}}, "the name is not UTF-8"},
	{{{"x\xed\xa0\x80", "1"}}, "the name is not UTF-8"},
	{{{"d/", "x", MODE(040755)}}, "d/: a folder has content"},
	{{{"x", "1", .flags = 1}}, "x: it is encrypted"},
	{{{"x", "1", .flags = 0x41}}, "x: it is encrypted"},
	{{{"x", "1", .local_flags = 1}}, "x: it is encrypted"},
	{{{"x", "1", .method = 99}}, "x: it is not compressed by deflate"},
	{{{"x", "1", .method = 12}}, "x: it is not compressed by deflate"},
	{{{"x", "1", .disk = 1}}, "x: it lies in another part"},
	{{{"x", "1", .local_name = "y"}}, "x: it has two names"},
	{{{"unicode", "1", .extra = "\x75\x70\x0c\x00\x01zzzzUNICODE", .extra_len = 16}},
	 "unicode: it has two names"},
	{{{"x", "1", .extra = "\x01\x00\x09\x00z", .extra_len = 5}}, "x: its extra field"},
	{{{"x", "1", .wide = true, .extra = "\x01\0\0\0", .extra_len = 4}}, "x: its ZIP64"},
	/* Lengths that lie. */
	{{{"x", "12345678", .size = 4, .packed = 4}}, "x: what follows its content"},
	{{{"x", "1234", .size = 8}}, "x: its lengths are wrong"},
	{{{"x", "1234", .local_size = 8}}, "x: its header and the zip's directory"},
	{{{"x", "1234", .local_size = 8, .flags = LATE, .sized = true}}, "x: its header and"},
	{{{"x", "12345678", .size = 4, .deflate = true}}, "x: "},
	{{{"x", "1234", .size = 8, .deflate = true}}, "x: "},
	{{{"x", "1234", .size = 2 << 20, .deflate = true}}, "more than 1048576 bytes"},
	{{{"x", "1", .size = 1000, .packed = 1000}}, "x: it is cut short"},
	{{{"x", "1234", .crc = 1}}, "x: the archive is damaged here"},
	{{{"x", "1234", .crc = 1, .deflate = true}}, "x: the archive is damaged here"},
	{{{"x", "1", .flags = LATE, .no_descriptor = true}}, "x: what follows its content"},
	/* Places: two entries with one content, one within another, a gap. */
	{{{"x", "1"}, {"y", "2", .shift = -32}}, "y: it has two names"},
	{{{"x", "1"}, {"x", "1", .shift = -32}}, "x: it overlaps"},
	{{{"x", "1", .shift = 1}}, "x: it is not where it should be"},
	{{{"x", "1", .shift = 1 << 20}}, "x: it is not where it should be"},
	{{{"x", "1", .shift = -1}}, "x: it is not where it should be"},
};

static void test_refused(void **state)
{
	struct made *z = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct err e;
		uint64_t bytes;
		size_t n = 0;

		while (n < REFUSED && refused[i].m[n].name)
			n++;
		make_zip(z, refused[i].m, n);
		if (extract(z->bytes, z->len, 1 << 20, &bytes, &e) == 0)
			fail_msg("unpacked: %s", refused[i].error);
		if (!strstr(e.msg, refused[i].error) || strncmp(e.msg, "zip: ", 5) != 0)
			fail_msg("\"%s\" does not say \"%s\"", e.msg, refused[i].error);
		assert_true(e.code == ERR_INPUT || e.code == ERR_LIMIT);
	}
}

static void expect(struct made *z, const char *error)
{
	struct err e;
	uint64_t bytes;

	if (extract(z->bytes, z->len, 1 << 20, &bytes, &e) == 0)
		fail_msg("unpacked: %s", error);
	if (!strstr(e.msg, error))
		fail_msg("\"%s\" does not say \"%s\"", e.msg, error);
}

/* What is not of one entry: the ends of the archive, and where things are. */
static void test_structure(void **state)
{
	static const struct member two[] = {{"x", "12345678"}, {"y", "12345678"}};
	char long_comment[ZIP_COMMENT_MAX + 2];
	struct made *z = *state;
	uint8_t copy[1024];
	size_t len;

	make_zip(z, two, 0);
	expect(z, "nothing is in it");
	make_zip(z, two, 2);
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
	/* The same with its places told right. */
	z->bytes[len + 10 - 6] += 10;
	z->bytes[len + 10 - 22 - 47 - 47 + 42] += 10;
	z->bytes[len + 10 - 22 - 47 + 42] += 10;
	expect(z, "something stands before its first entry");
	z->comment = "PK\x05\x06 is what an end looks like";
	make_zip(z, two, 2);
	expect(z, "has something after its end");
	memset(long_comment, 'c', sizeof(long_comment));
	long_comment[ZIP_COMMENT_MAX + 1] = '\0';
	z->comment = long_comment;
	make_zip(z, two, 2);
	expect(z, "has something after its end");
	long_comment[ZIP_COMMENT_MAX] = '\0';
	make_zip(z, two, 2);
	assert_int_equal(extract(z->bytes, z->len, 1 << 20, &(uint64_t){0}, &(struct err){0}), 0);
	z->comment = NULL;
	for (z->entries = -1; z->entries < 2; z->entries += 2) {
		make_zip(z, two, 2);
		expect(z, "its directory is damaged");
	}
	z->entries = 1;
	z->zip64 = true;
	make_zip(z, two, 2);
	expect(z, "its two end records say different things");
	z->entries = 0;
	z->directory_at = 1;
	make_zip(z, two, 2);
	expect(z, "its directory is not where it is said to be");
	z->zip64 = false;
	make_zip(z, two, 2);
	expect(z, "its directory is not where it is said to be");
	z->directory_at = -1;
	z->directory_size = 1;
	make_zip(z, two, 2);
	expect(z, "its directory is damaged");
	z->directory_at = z->directory_size = 0;
	z->disk = 1;
	make_zip(z, two, 2);
	expect(z, "one of several parts");
}

/* Fifield's: entries whose content is the next entry with its header. */
static void test_overlap(void **state)
{
	static const struct member two[] = {{"a", "1", .packed = 0}, {"b", "22"}};
	struct member bomb[2];
	struct made *z = *state;

	memcpy(bomb, two, sizeof(bomb));
	make_zip(z, two, 2);
	/* The first one reaches to the end of the second one. */
	bomb[0].size = bomb[0].packed = 1 + 30 + 1 + 2;
	make_zip(z, bomb, 2);
	expect(z, "a: it overlaps with what follows it");
}

/* 10^6 entries, of which the end record can only tell by ZIP64. */
static void test_many(void **state)
{
	static const struct member one[] = {{"x", "1"}};
	struct made *z = *state;

	z->zip64 = true;
	make_zip(z, one, 1);
	z->len -= 22 + 20 + 56;
	put_end(z, 1000000, z->at[0] + 32);
	/* Its two ends count differently in 16 bits. */
	z->bytes[z->len - 14] = z->bytes[z->len - 13] = 0xff;
	z->bytes[z->len - 12] = z->bytes[z->len - 11] = 0xff;
	expect(z, "it has more than 100000 entries");
}

static void test_bounds(void **state)
{
	static const struct member two[] = {{"a", "12345678"}, {"b", "12345678"}};
	struct zip_index index = {0};
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
	assert_true(package_zip_index(z->bytes, z->len, UINT64_MAX, &index, &e) < 0);
	assert_non_null(strstr(e.msg, "bomb: it is a zip bomb"));
	/* Each is just not one, but both together are. */
	bombs[0].size = bombs[1].size = ZIP_BOMB_BYTES;
	make_zip(z, bombs, 2);
	assert_true(package_zip_index(z->bytes, z->len, UINT64_MAX, &index, &e) < 0);
	assert_non_null(strstr(e.msg, "archive: it is a zip bomb"));
	bomb.size = ZIP_BOMB_BYTES;
	make_zip(z, &bomb, 1);
	assert_int_equal(package_zip_index(z->bytes, z->len, UINT64_MAX, &index, &e), 0);
	package_zip_index_clear(&index);
}

/* Cut anywhere it is refused, and changed anywhere it is refused or unpacked within bounds. */
static void test_damaged(void **state)
{
	struct made *z = *state;
	struct err e;
	uint64_t n;

	make_zip(z, good, ARRAY_SIZE(good));
	for (size_t len = 0; len < z->len; len++)
		if (extract(z->bytes, len, 1 << 20, &n, &e) == 0 || e.code != ERR_INPUT)
			fail_msg("cut to %zu bytes: %s", len, e.msg);
	for (size_t i = 0; i < z->len; i++) {
		uint8_t was = z->bytes[i];

		z->bytes[i] ^= 0x41;
		if (extract(z->bytes, z->len, 1 << 20, &n, &e) < 0)
			assert_true(e.code == ERR_INPUT || e.code == ERR_LIMIT);
		z->bytes[i] = was;
	}
}

struct answer {
	sd_event *event;
	bool refused;
	uint8_t package[32], zip[32];
	uint64_t zip_bytes, package_bytes;
	struct err error;
};

static void answered(struct front *f, void *arg, const uint8_t package[32], const uint8_t zip[32],
		     uint64_t zip_bytes, uint64_t package_bytes, const struct err *error)
{
	struct answer *a = arg;

	(void)f;
	a->refused = error;
	if (error) {
		a->error = *error;
	} else {
		memcpy(a->package, package, 32);
		memcpy(a->zip, zip, 32);
		a->zip_bytes = zip_bytes;
		a->package_bytes = package_bytes;
	}
	(void)sd_event_exit(a->event, 0);
}

static struct answer unpack(struct front *f, int fd)
{
	struct answer a = {0};

	assert_int_equal(sd_event_new(&f->event), 0);
	a.event = f->event;
	package_unpack_zip(f, fd, answered, &a);
	assert_int_equal(sd_event_loop(f->event), 0);
	f->event = sd_event_unref(f->event);
	assert_int_equal(f->n_unpacking, 0);
	return a;
}

static int zip_file(const struct made *z)
{
	int fd = memfd_create("zip", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, z->bytes, z->len), 0);
	return fd;
}

static unsigned count(int dirfd)
{
	DIR *d = fdopendir(openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	(void)closedir(d);
	return n - 2;
}

/* Through a child: the folder and the zip are kept under their names. */
static void test_unpack(void **state)
{
	struct made *z = *state;
	uint8_t digest[32], bytes[sizeof(z->bytes)];
	char dir[32], name[80];
	struct front *f = calloc(1, sizeof(*f));
	struct answer a, b;
	int fd, fds[2];

	f->cfg.packages_dirfd = make_dir(dir);
	f->cfg.package_bytes_max = 1 << 20;
	make_zip(z, good, ARRAY_SIZE(good));
	a = unpack(f, zip_file(z));
	assert_string_equal(a.error.msg, "");
	assert_int_equal(a.zip_bytes, z->len);
	assert_int_equal(a.package_bytes, 67);
	assert_int_equal(EVP_Digest(z->bytes, z->len, digest, NULL, EVP_sha256(), NULL), 1);
	assert_memory_equal(a.zip, digest, 32);
	assert_memory_not_equal(a.package, digest, 32);
	util_hex(a.package, 32, name);
	fd = openat(f->cfg.packages_dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_good(fd);
	(void)close(fd);
	fd = package_open_zip(f, a.zip);
	assert_true(fd >= 0);
	assert_int_equal(read(fd, bytes, sizeof(bytes)), z->len);
	assert_memory_equal(bytes, z->bytes, z->len);
	(void)close(fd);
	/* Again: the same, and nothing is left of the second one. */
	b = unpack(f, zip_file(z));
	assert_memory_equal(&a.package, &b.package, 32);
	assert_int_equal(b.package_bytes, 67);
	assert_int_equal(count(f->cfg.packages_dirfd), 2);
	/* While a pruner has it in its hands, it is taken back. */
	util_hex(a.package, 32, name);
	assert_int_equal(renameat(f->cfg.packages_dirfd, name, f->cfg.packages_dirfd, ".gone-x"),
			 0);
	assert_int_equal(package_open(f, a.package), -ENOENT);
	(void)snprintf(name, sizeof(name), ".gone-");
	util_hex(a.package, 32, name + 6);
	assert_int_equal(renameat(f->cfg.packages_dirfd, ".gone-x", f->cfg.packages_dirfd, name),
			 0);
	fd = package_open(f, a.package);
	assert_true(fd >= 0);
	(void)close(fd);
	/* What is refused leaves nothing. */
	make_zip(z, refused[1].m, 1);
	a = unpack(f, zip_file(z));
	assert_true(a.refused);
	assert_string_equal(a.error.msg, "zip: ../x: \"..\" is not allowed");
	make_zip(z, good, 0);
	z->len = 0;
	assert_non_null(strstr(unpack(f, zip_file(z)).error.msg, "it is empty"));
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	assert_non_null(strstr(unpack(f, fds[0]).error.msg, "must be a regular file"));
	(void)close(fds[1]);
	f->cfg.package_bytes_max = 10;
	make_zip(z, good, 1);
	a = unpack(f, zip_file(z));
	assert_int_equal(a.error.code, ERR_LIMIT);
	assert_int_equal(count(f->cfg.packages_dirfd), 2);
	(void)close(f->cfg.packages_dirfd);
	package_remove(AT_FDCWD, dir);
	free(f);
}

static int setup(void **state)
{
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	*state = calloc(1, sizeof(struct made));
	return *state ? 0 : -1;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

#define WITH_ZIP(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ZIP(test_good),	  WITH_ZIP(test_forms),	  WITH_ZIP(test_refused),
		WITH_ZIP(test_structure), WITH_ZIP(test_overlap), WITH_ZIP(test_many),
		WITH_ZIP(test_bounds),	  WITH_ZIP(test_damaged), WITH_ZIP(test_unpack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
