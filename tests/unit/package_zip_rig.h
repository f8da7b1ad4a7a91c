/* SPDX-License-Identifier: Apache-2.0 */
/* Zips to unpack: one with every form that is right, and a folder for any other. */
#ifndef TESTS_UNIT_PACKAGE_ZIP_RIG_H
#define TESTS_UNIT_PACKAGE_ZIP_RIG_H

#include "lib/dir.h"
#include "tests/unit/package_rig.h"
#include "tests/unit/zip_rig.h"

#include <signal.h>

#include "supervisor/front/core/package/zip.h"

static inline int extract_to(const void *bytes, size_t len, int at, uint64_t max, uint64_t *ret,
			     struct err *e)
{
	struct zip_package zip;
	int r = package_zip_open(bytes, len, max, &zip, e);

	if (r < 0)
		return r;
	*ret = zip.bytes;
	r = package_zip_extract(&zip, at, e);
	package_zip_close(&zip);
	return r;
}

/* The zip is in memory of exactly its size, so that a sanitizer sees a read of one byte more. */
static inline int extract(const void *bytes, size_t len, uint64_t max, uint64_t *ret, struct err *e)
{
	_cleanup_free_ void *copy = malloc(len ? len : 1);
	char dir[32];
	int at = make_dir(dir), r;

	*e = (struct err){0};
	memcpy(copy, bytes, len);
	*ret = 0;
	r = extract_to(copy, len, at, max, ret, e);
	(void)dir_remove_tree(AT_FDCWD, dir);
	assert_int_equal(access(dir, F_OK), -1);
	(void)close(at);
	return r;
}

/* One member in each form of Info-ZIP, Python's zipfile and Go's archive/zip. */
static const struct member good[] = {
	{"info-zip.py", "print(1)\n", MODE(0100644), UNIX | 30},
	{"python.py", "print(2)\n", MODE(0600), .deflate = true},
	{"go", "run run run run run", MODE(0100755), .flags = LATE | UTF8, .deflate = true},
	{"dos.txt", "x", 0x20, 20},
	{"d/", NULL, MODE(042755) | 0x10, UNIX | 30},
	{"d/l", "../gr\xc3\xbc\xc3\x9f", MODE(0120777), UNIX | 30},
	{"gr\xc3\xbc\xc3\x9f", "y", .flags = UTF8},
	/* A name in code page 437, as Windows writes it; the same from Info-ZIP, which adds it in
	 * UTF-8; and with such a field that was made for another name. */
	{"stra\xe1"
	 "e.txt",
	 "z", 0x20, 20},
	{"g\x81n.txt", "u",
	 .extra = "\x75\x70\x0e\x00\x01\x1e\xfd\x08\x83"
		  "gr\xc3\xbcn.txt",
	 .extra_len = 18},
	{"old.txt", "v",
	 .extra = "\x75\x70\x0c\x00\x01"
		  "xxxx"
		  "new.txt",
	 .extra_len = 16},
	{"wide", "wide wide wide wide", .flags = LATE, .wide = true, .deflate = true},
};

static inline void assert_good(int at)
{
	char target[64] = "";
	struct stat st;

	assert_file(at, "info-zip.py", "print(1)\n", 0644);
	assert_file(at, "python.py", "print(2)\n", 0600);
	assert_file(at, "go", "run run run run run", 0755);
	assert_file(at, "dos.txt", "x", 0644);
	assert_file(at, "gr\xc3\xbc\xc3\x9f", "y", 0644);
	assert_file(at,
		    "stra\xc3\x9f"
		    "e.txt",
		    "z", 0644);
	assert_file(at, "gr\xc3\xbcn.txt", "u", 0644);
	assert_file(at, "old.txt", "v", 0644);
	assert_file(at, "wide", "wide wide wide wide", 0644);
	assert_true(readlinkat(at, "d/l", target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "../gr\xc3\xbc\xc3\x9f");
	assert_int_equal(fstatat(at, "d", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
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

#endif
