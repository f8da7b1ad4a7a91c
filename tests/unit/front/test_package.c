// SPDX-License-Identifier: Apache-2.0
/* Folders that come with tasks: what is unpacked, and what is refused without a trace. */
#include "tests/unit/front_rig.h"

#include <archive.h>
#include <archive_entry.h>

#include "tests/unit/package_rig.h"

struct member {
	const char *path;
	int type;	  /* AE_IF* */
	const char *data; /* content, or a link's target; hard: of a hard link */
	int mode;
	bool hard;
};

static int make_tar(const struct member *members, size_t n)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct archive *a = archive_write_new();

	assert_true(fd >= 0);
	assert_int_equal(archive_write_set_format_pax_restricted(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (size_t i = 0; i < n; i++) {
		const struct member *m = &members[i];
		struct archive_entry *e = archive_entry_new();
		size_t len = m->data && m->type == AE_IFREG && !m->hard ? strlen(m->data) : 0;

		archive_entry_set_pathname(e, m->path);
		archive_entry_set_filetype(e, (unsigned)m->type);
		archive_entry_set_perm(e, (mode_t)(m->mode ? m->mode : 0644));
		archive_entry_set_size(e, (la_int64_t)len);
		archive_entry_set_mtime(e, 1234567890, 0);
		if (m->type == AE_IFLNK)
			archive_entry_set_symlink(e, m->data);
		if (m->hard)
			archive_entry_set_hardlink(e, m->data);
		assert_true(archive_write_header(a, e) >= ARCHIVE_WARN); /* not in this locale */
		if (len)
			assert_int_equal(archive_write_data(a, m->data, len), len);
		archive_entry_free(e);
	}
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return fd;
}

static int extract(const struct member *members, size_t n, uint64_t max, struct err *e)
{
	char dir[32];
	int at = make_dir(dir), tar = make_tar(members, n), r;
	uint8_t digest[32];

	r = package_extract_tar(tar, at, max, digest, e);
	(void)dir_remove_tree(AT_FDCWD, dir);
	assert_int_equal(access(dir, F_OK), -1);
	(void)close(at);
	(void)close(tar);
	return r;
}

static void test_good(void **state)
{
	static const struct member members[] = {
		{"./", AE_IFDIR, NULL, 0700},
		{"./hello.py", AE_IFREG, "print(1)\n", 0600},
		{"run.sh", AE_IFREG, "#!/bin/sh\n", 04755},
		{"empty", AE_IFREG, "", 0},
		{"a/b/c.txt", AE_IFREG, "deep", 0400}, /* its folders come later, or never */
		{"a/", AE_IFDIR, NULL, 02550},
		{"a/b/up", AE_IFLNK, "../../hello.py"},
		{"l", AE_IFLNK, "a/./b/../b/c.txt"},
		{"gr\xc3\xbc\xc3\x9f.txt", AE_IFREG, "x", 0644},
	};
	char dir[32], target[64] = "";
	int at = make_dir(dir), tar = make_tar(members, ARRAY_SIZE(members));
	uint8_t digest[32], again[32];
	struct err e = {0};
	struct stat st;

	(void)state;
	if (package_extract_tar(tar, at, 1 << 20, digest, &e) < 0)
		fail_msg("%s", e.msg);
	assert_file(at, "hello.py", "print(1)\n", 0600);
	assert_file(at, "run.sh", "#!/bin/sh\n", 0755);
	assert_file(at, "empty", "", 0644);
	assert_file(at, "a/b/c.txt", "deep", 0400);
	assert_file(at, "gr\xc3\xbc\xc3\x9f.txt", "x", 0644);
	assert_int_equal(fstatat(at, "a", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0750);
	assert_int_equal(fstatat(at, "a/b", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	assert_int_equal(fstatat(at, "hello.py", &st, 0), 0);
	assert_int_equal(st.st_mtime, 1234567890);
	assert_true(readlinkat(at, "l", target, sizeof(target) - 1) > 0);
	assert_string_equal(target, "a/./b/../b/c.txt");
	(void)dir_remove_tree(AT_FDCWD, dir);
	(void)close(at);
	/* The digest is of the archive's bytes. */
	at = make_dir(dir);
	assert_int_equal(package_extract_tar(tar, at, 1 << 20, again, &e), 0);
	assert_memory_equal(digest, again, 32);
	(void)dir_remove_tree(AT_FDCWD, dir);
	(void)close(at);
	(void)close(tar);
}

static void test_refused(void **state)
{
#define REG AE_IFREG
	static const struct {
		struct member m[3];
		const char *error;
	} cases[] = {
		{{{"/etc/x", REG, "x"}}, "/etc/x: an absolute path"},
		{{{"../x", REG, "x"}}, "../x: \"..\""},
		{{{"a/../../x", REG, "x"}}, "\"..\""},
		{{{"a/..", AE_IFDIR, NULL}}, "\"..\""},
		{{{"x", REG, "1"}, {"x", REG, "2"}}, "x: it is there twice"},
		{{{"x", REG, "1"}, {"./x", REG, "2"}}, "x: it is there twice"},
		{{{"x", REG, "1"}, {"x", AE_IFLNK, "y"}}, "x: it is there twice"},
		{{{"Read", REG, "1"}, {"READ", REG, "2"}}, "differ in their case"},
		{{{"a/x", REG, "1"}, {"A/y", REG, "2"}}, "differ in their case"},
		{{{"x", REG, "1"}, {"x/y", REG, "2"}}, "not a folder"},
		{{{"l", AE_IFLNK, "/etc"}}, "l: a symbolic link must be relative"},
		{{{"l", AE_IFLNK, "../x"}}, "l: a symbolic link leads out"},
		{{{"a/l", AE_IFLNK, "../../x"}}, "leads out"},
		{{{"a/l", AE_IFLNK, "x/../../../y/z/w"}}, "leads out"},
		{{{"d", AE_IFLNK, "sub"}, {"d/x", REG, "1"}}, "not a folder"},
		{{{"f", AE_IFIFO, NULL}}, "f: only files, folders"},
		{{{"f", AE_IFCHR, NULL}}, "f: only files, folders"},
		{{{"f", AE_IFBLK, NULL}}, "f: only files, folders"},
		{{{"x", REG, "1"}, {"y", REG, "x", 0, true}}, "y: hard links"},
		{{{".", REG, "1"}}, "must be a folder"},
		{{{"esc\x1b[2J/../x", REG, "1"}}, "esc\\x1b[2J"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct err e = {0};
		size_t n = 0;

		while (n < 3 && cases[i].m[n].path)
			n++;
		if (extract(cases[i].m, n, 1 << 20, &e) == 0)
			fail_msg("unpacked: %s", cases[i].m[0].path);
		if (!strstr(e.msg, cases[i].error))
			fail_msg("\"%s\" does not say \"%s\"", e.msg, cases[i].error);
		assert_int_equal(e.code, ERR_INPUT);
	}
}

static void test_bounds(void **state)
{
	static const struct member two[] = {{"a", REG, "12345678"}, {"b", REG, "12345678"}};
	char path[PACKAGE_PATH_MAX * 2], buf[PACKAGE_PATH_MAX];
	struct err e = {0};

	(void)state;
	assert_int_equal(extract(two, 2, 16, &e), 0);
	assert_true(extract(two, 2, 15, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	memset(path, 'x', sizeof(path));
	path[256] = '\0';
	assert_true(package_path(path, buf, &e) < 0);
	path[255] = '\0';
	assert_int_equal(package_path(path, buf, &e), 0);
	path[0] = '\0';
	for (int i = 0; i < PACKAGE_DEPTH_MAX; i++)
		strcat(path, "d/");
	assert_int_equal(package_path(path, buf, &e), 0);
	strcat(path, "d");
	assert_true(package_path(path, buf, &e) < 0);
	path[0] = '\0';
	for (int i = 0; i < 40; i++)
		(void)snprintf(path + strlen(path), sizeof(path) - strlen(path), "%0120d/", i);
	assert_true(package_path(path, buf, &e) < 0);
	assert_int_equal(package_path("./a//b/./c/", buf, &e), 0);
	assert_string_equal(buf, "a/b/c");
	assert_int_equal(package_path("./", buf, &e), 0);
	assert_string_equal(buf, "");
}

/* Names are kept while a folder is unpacked: they may not take what there is of memory. */
static void test_names(void **state)
{
	enum { N = PACKAGE_NAMES_MAX / 4000 + 1, LEN = 4000 };
	struct member *members = calloc(N, sizeof(*members));
	char *names = calloc(N, LEN + 1), dir[32];
	uint8_t digest[32];
	struct err e = {0};
	int at, tar;

	(void)state;
	for (int i = 0; i < N; i++) {
		char *name = names + (size_t)i * (LEN + 1);

		memset(name, 'd', LEN);
		for (int slash = 250; slash < LEN - 10; slash += 250)
			name[slash] = '/';
		(void)snprintf(name + LEN - 8, 9, "%08u", (unsigned)i % 100000000);
		members[i] = (struct member){name, AE_IFREG, ""};
	}
	tar = make_tar(members, N);
	at = make_dir(dir);
	assert_true(package_extract_tar(tar, at, 1 << 20, digest, &e) < 0);
	assert_non_null(strstr(e.msg, "the names of all files have more than 16 MiB"));
	(void)dir_remove_tree(AT_FDCWD, dir);
	(void)close(at);
	(void)close(tar);
	free(members);
	free(names);
}

/* Cut anywhere, the archive is refused or gives whole files; garbage is no archive. */
static void test_damaged(void **state)
{
	static const struct member members[] = {{"a", REG, "0123456789"}, {"b", REG, "x"}};
	int tar = make_tar(members, 2);
	off_t size = lseek(tar, 0, SEEK_END);
	uint8_t digest[32];
	char junk[2048];
	struct err e;

	(void)state;
	for (off_t n = size - 1; n >= 0; n -= 97) {
		char dir[32], got[16] = "";
		int at = make_dir(dir), fd;

		assert_int_equal(ftruncate(tar, n), 0);
		if (package_extract_tar(tar, at, 1 << 20, digest, &e) == 0) {
			fd = openat(at, "a", O_RDONLY | O_CLOEXEC);
			assert_true(fd < 0 || read(fd, got, sizeof(got)) == 10);
			util_close_fd(&fd);
		}
		(void)dir_remove_tree(AT_FDCWD, dir);
		(void)close(at);
	}
	memset(junk, 'z', sizeof(junk));
	assert_int_equal(pwrite(tar, junk, sizeof(junk), 0), sizeof(junk));
	assert_true(package_extract_tar(tar, -1, 1 << 20, digest, &e) < 0);
	assert_non_null(strstr(e.msg, "not a tar archive"));
	(void)close(tar);
}

#define EXEC "{\"op\":\"run\",\"image\":\"python\",\"package\":true,\"task\":{\"exec\":\"a/x.py\"}}"

static void run_package(struct rig *r, int tar, uint8_t digest[32])
{
	int conn = rig_connect(r), fds[PROTO_FDS_MAX];
	union proto_msg m;

	rig_request_fds(conn, EXEC, &tar, 1);
	rig_expect(r, false, MON_START, &m, fds);
	assert_int_equal(m.start.has_package, 1);
	memcpy(digest, m.start.package, 32);
	assert_int_equal(faccessat(fds[1], "a/x.py", F_OK, 0), 0);
	util_close_fd(&fds[0]);
	util_close_fd(&fds[1]);
	rig_expect_event(conn, "accepted", NULL);
	(void)close(conn);
}

/* The same content is kept once. */
static void run_twice(struct rig *r, int tar)
{
	uint8_t one[32], two[32];

	run_package(r, tar, one);
	run_package(r, tar, two);
	assert_memory_equal(one, two, 32);
	assert_int_equal(count_entries(r->cfg.packages_dirfd), 1);
}

/* Through the front: the folder's fd goes to the monitor, the same content once. */
static void test_run(void **state)
{
	static const struct member members[] = {{"a/x.py", REG, "print(1)"}};
	static const struct member hostile[] = {{"../x", REG, "print(1)"}};
	struct rig *r = *state;
	int tar = make_tar(members, 1), bad = make_tar(hostile, 1), null, conn;
	union proto_msg m;

	rig_start(r, true);
	run_twice(r, tar);
	conn = rig_connect(r);
	rig_request_fds(conn, EXEC, &bad, 1);
	rig_expect_error(rig_reply(conn), "input", "\"..\" is not allowed");
	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	rig_request_fds(conn, EXEC, &null, 1);
	rig_expect_error(rig_reply(conn), "input", "must be a memory file");
	(void)close(conn);
	assert_int_equal(count_entries(r->cfg.packages_dirfd), 1);
	assert_true(rig_quiet(r->monitor, 30));
	/* After a restart the one that the monitor did not see gets its folder again. */
	rig_kill(r);
	assert_int_equal(mkdirat(r->cfg.packages_dirfd, ".tmp-left", 0755), 0);
	rig_start(r, true);
	for (int i = 0; i < 2; i++) {
		int fds[PROTO_FDS_MAX];

		rig_expect(r, false, MON_START, &m, fds);
		assert_int_equal(faccessat(fds[1], "a/x.py", F_OK, 0), 0);
		util_close_fd(&fds[0]);
		util_close_fd(&fds[1]);
	}
	assert_int_equal(count_entries(r->cfg.packages_dirfd), 1);
	(void)close(tar);
	(void)close(bad);
	(void)close(null);
}

/* A big one is unpacked by a child; the front answers others meanwhile. */
static void test_run_big(void **state)
{
	size_t size = 3 << 20;
	char *big = malloc(size + 1);
	struct member members[] = {
		{"a/x.py", REG, "print(1)"}, {"big", REG, big}, {"x/..", REG, "x"}};
	struct rig *r = *state;
	int tar, bad, conn;

	memset(big, 'b', size);
	big[size] = '\0';
	tar = make_tar(members, 2);
	bad = make_tar(members, 3);
	r->cfg.package_bytes_max = 4 << 20;
	rig_start(r, true);
	run_twice(r, tar);
	conn = rig_connect(r);
	rig_request_fds(conn, EXEC, &bad, 1);
	json_decref(rig_call(r, "{\"op\":\"version\"}"));
	rig_expect_error(rig_reply(conn), "input", "\"..\" is not allowed");
	assert_int_equal(count_entries(r->cfg.packages_dirfd), 1);
	/* The client has gone before the folder is unpacked: then there is no task. */
	rig_request_fds(conn, EXEC, &tar, 1);
	(void)close(conn);
	while (!rig_quiet(r->monitor, 500)) {
		union proto_msg m;

		/* The front may have been faster. */
		rig_expect(r, false, MON_START, &m, NULL);
	}
	(void)close(tar);
	(void)close(bad);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),	cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),	cmocka_unit_test(test_names),
		cmocka_unit_test(test_damaged), WITH_RIG(test_run),
		WITH_RIG(test_run_big),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
