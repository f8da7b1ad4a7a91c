// SPDX-License-Identifier: Apache-2.0
/* Zips of workers, which the test makes byte by byte: what is unpacked, and which entries are
 * refused. */
#include "tests/unit/package_zip_rig.h"

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
		if (extract_to(z->bytes, z->len, at, 1 << 20, &bytes, &e) < 0)
			fail_msg("%s", e.msg);
		assert_int_equal(bytes, 9 + 9 + 19 + 1 + 8 + 3 + 1 + 19 - 2 + 1 + 1 + 1);
		assert_good(at);
		(void)dir_remove_tree(AT_FDCWD, dir);
		(void)close(at);
	}
}

#define FIELD "\x99\x99\0\0"
#define FIELDS_4 FIELD FIELD FIELD FIELD
#define FIELDS_16 FIELDS_4 FIELDS_4 FIELDS_4 FIELDS_4

/* Each of these is valid except for one thing. */
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
		{"many fields", "x", .extra = FIELDS_16, .extra_len = 16UL * 4},
		{"many fields in the header", "x", .extra = FIELDS_16, .extra_len = 16UL * 4,
		 .local_extra = true},
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

/* A file has the time of its Info-ZIP field, which is exact, and not that of its header. */
static void test_time(void **state)
{
	static const struct member m = {"x", "x", .extra = "\x55\x54\x05\x00\x01\xf1\x53\x65\x55",
					.extra_len = 9};
	struct made *z = *state;
	struct err e = {0};
	struct stat st;
	uint64_t bytes;
	char dir[32];
	int at = make_dir(dir);

	make_zip(z, &m, 1);
	assert_int_equal(extract_to(z->bytes, z->len, at, 1 << 20, &bytes, &e), 0);
	assert_int_equal(fstatat(at, "x", &st, 0), 0);
	assert_int_equal(st.st_mtime, 0x556553f1);
	(void)dir_remove_tree(AT_FDCWD, dir);
	(void)close(at);
}

#define REFUSED 3
static const struct {
	struct member m[REFUSED];
	const char *error;
} refused[] = {
	/* Entries that are refused in tars too. */
	{{{"/etc/x", "x"}}, "/etc/x: an absolute path"},
	{{{"../x", "x"}}, "../x: \"..\""},
	{{{"a/../../x", "x"}}, "a/../../x: \"..\""},
	{{{"x", "1"}, {"x", "2"}}, "x: it is there twice"},
	{{{"x", "1"}, {"./x", "2"}}, "x: it is there twice"},
	{{{"Read", "1"}, {"READ", "2"}}, "read: two names differ in their case"},
	{{{"x", "1"}, {"x/y", "2"}}, "x/y: it lies in something that is not a folder"},
	{{{"l", "/etc", MODE(0120777)}}, "l: a symbolic link must be relative"},
	{{{"l", "../x", MODE(0120777)}}, "l: a symbolic link leads out"},
	{{{"a/l", "x/../../../y/z/w", MODE(0120777)}}, "a/l: a symbolic link leads out"},
	{{{"l", "../x", MODE(0120777), .deflate = true}}, "l: "},
	{{{"d", "sub", MODE(0120777)}, {"d/x", "1"}}, "d/x: it lies in something"},
	{{{"d", ".", MODE(0120777)}, {"d", "1"}}, "d: it is there twice"},
	{{{"f", "", MODE(0010644)}}, "f: only files, folders"},
	{{{"f", "", MODE(0020644)}}, "f: only files, folders"},
	{{{"f", "", MODE(0060644)}}, "f: only files, folders"},
	{{{"f", "", MODE(0140644)}}, "f: only files, folders"},
	{{{".", "1"}}, ".: must be a folder"},
	{{{"esc\x1b[2J/../x", "1"}}, "esc\\x1b[2J"},
	/* Entries that are refused only in zips. */
	{{{"s", "x", MODE(0104755)}}, "s: set-user-id"},
	{{{"s", "x", MODE(0102755)}}, "s: set-user-id and set-group-id"},
	{{{"..\\x", "1"}}, "x: the name has a back slash"},
	{{{"a\\b", "1", 0, 20}}, "b: the name has a back slash"},
	{{{"a\0b", "1", .name_len = 3}}, "a: the name has a NUL"},
	{{{"", "1"}}, "an entry has no name"},
	{{{"x\x81.txt", "1", .flags = UTF8}}, "the name is not UTF-8"},
	{{{"x\xc3", "1", .flags = UTF8}}, "the name is not UTF-8"},
	{{{"x\xed\xa0\x80", "1", .flags = UTF8}}, "the name is not UTF-8"},
	{{{"x\x81", "1", .local_flags = UTF8}}, "the name is not UTF-8"},
	{{{"x\x81", "1", .extra = "\x75\x70\x06\x00\x01\xb7\x52\x80\x3c\x81", .extra_len = 10}},
	 "the name is not UTF-8"},
	{{{"x\x81", "1", .extra = "\x75\x70\x0a\x00\x01\xb7\x52\x80\x3c../\xc3\xbc",
	   .extra_len = 14}},
	 "../\\xc3\\xbc: \"..\""},
	{{{"x\x81", "1",
	   .extra = "\x75\x70\x09\x00\x01\xb7\x52\x80\x3c"
		    "\xc3\xbc\\b",
	   .extra_len = 13}},
	 "back slash"},
	{{{"x\x81", "1",
	   .extra = "\x75\x70\x08\x00\x01\xb7\x52\x80\x3c"
		    "a\0b",
	   .extra_len = 12}},
	 "has a NUL"},
	{{{"d/", "x", MODE(040755)}}, "d/: a folder has content"},
	{{{"x", "1", .flags = 1}}, "x: it is encrypted"},
	{{{"x", "1", .flags = 0x41}}, "x: it is encrypted"},
	{{{"x", "1", .local_flags = 1}}, "x: it is encrypted"},
	{{{"x", "1", .method = 99}}, "x: it is not compressed by deflate"},
	{{{"x", "1", .method = 12}}, "x: it is not compressed by deflate"},
	{{{"x", "1", .disk = 1}}, "x: it lies in another part"},
	{{{"x", "1", .local_name = "y"}}, "x: it has two names"},
	{{{"unicode", "1", .flags = UTF8,
	   .extra = "\x75\x70\x0c\x00\x01\x60\xb4\xb1\xd3"
		    "UNICODE",
	   .extra_len = 16}},
	 "unicode: it has two names"},
	/* Readers that do not know the field would find a file x. */
	{{{"x", "1", .extra = "\x75\x70\x06\x00\x01\x83\x16\xdc\x8cy", .extra_len = 10}},
	 "x: it has two names"},
	{{{"x\x81", "1", .extra = "\x75\x70\x06\x00\x01\xb7\x52\x80\x3cy", .extra_len = 10}},
	 "it has two names"},
	{{{"x", "1", .extra = FIELDS_16 FIELD, .extra_len = 17UL * 4, .central_extra = true}},
	 "x: it has more than 16 extra"},
	{{{"x", "1", .extra = FIELDS_16 FIELD, .extra_len = 17UL * 4, .local_extra = true}},
	 "x: it has more than 16 extra"},
	{{{"x", "1", .extra = "\x01\x00\x09\x00z", .extra_len = 5}}, "x: its extra field"},
	{{{"x", "1", .wide = true, .extra = "\x01\0\0\0", .extra_len = 4}}, "x: its ZIP64"},
	/* Wrong lengths. */
	{{{"x", "12345678", .size = 4, .packed = 4}}, "x: what follows its content"},
	{{{"x", "1234", .size = 8}}, "x: its lengths are wrong"},
	{{{"x", "1234", .local_size = 8}}, "header and the zip's directory say"},
	{{{"x", "1234", .local_size = 8, .flags = LATE, .sized = true}},
	 "header and the zip's directory say"},
	{{{"x", "12345678", .size = 4, .deflate = true}}, "x: "},
	{{{"x", "1234", .size = 8, .deflate = true}}, "x: "},
	{{{"x", "1234", .size = 2 << 20, .deflate = true}}, "more than 1048576 bytes"},
	{{{"x", "1", .size = 1000, .packed = 1000}}, "x: it is cut short"},
	{{{"x", "1234", .crc = 1}}, "x: the archive is damaged here"},
	{{{"x", "1234", .crc = 1, .deflate = true}}, "x: the archive is damaged here"},
	{{{"x", "1", .flags = LATE, .no_descriptor = true}}, "x: what follows its content"},
	/* Wrong places: two entries with one content, one entry within another, a gap. */
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

/* A zip that is cut anywhere is refused; one with a changed byte is refused, or unpacked within its
 * bounds. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_ZIP(test_good),	WITH_ZIP(test_forms),	WITH_ZIP(test_time),
		WITH_ZIP(test_refused), WITH_ZIP(test_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
