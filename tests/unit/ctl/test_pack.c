// SPDX-License-Identifier: Apache-2.0
/* The folder that is sent along: the same bytes for the same files, and what is left out. */
#include "tests/unit/ctl_rig.h"

#include <archive.h>
#include <archive_entry.h>
#include <sys/time.h>

#include "supervisor/ctl/pack.h"

/* Sets the time of everything in the folder to this second, and these modes. */
static void settle(const char *path, mode_t mode)
{
	const struct timespec times[2] = {{1700000000, 5}, {1700000000, 5}};

	if (mode)
		assert_int_equal(chmod(path, mode), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static int pack(const char *path, struct pack_left_out *left_out)
{
	int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct err e = {0};

	if (pack_folder(dir, path, &fd, left_out, &e) < 0)
		fail_msg("%s", e.msg);
	util_close_fd(&dir);
	return fd;
}

/* Lists the archive as libarchive, which unpacks it in the front, reads it: "type mode time path ->
 * link = text". */
static char *listing(int fd)
{
	struct archive *a = archive_read_new();
	struct archive_entry *entry;
	char *all = NULL;
	size_t size = 0;
	FILE *to = open_memstream(&all, &size);

	assert_int_equal(archive_read_support_format_tar(a), ARCHIVE_OK);
	assert_int_equal(archive_read_open_fd(a, fd, 10240), ARCHIVE_OK);
	while (archive_read_next_header(a, &entry) == ARCHIVE_OK) {
		char text[64] = "";
		const char *link = archive_entry_symlink(entry);

		if (archive_entry_filetype(entry) == AE_IFREG)
			assert_true(archive_read_data(a, text, sizeof(text) - 1) >= 0);
		fprintf(to, "%c %03o %ld %d:%d %s%s%s%s%s\n",
			archive_entry_filetype(entry) == AE_IFREG   ? '-'
			: archive_entry_filetype(entry) == AE_IFDIR ? 'd'
								    : 'l',
			(unsigned)archive_entry_perm(entry), (long)archive_entry_mtime(entry),
			(int)archive_entry_uid(entry), (int)archive_entry_gid(entry),
			archive_entry_pathname(entry), link ? " -> " : "", link ? link : "",
			*text ? " = " : "", text);
	}
	assert_int_equal(archive_read_free(a), ARCHIVE_OK);
	assert_int_equal(fclose(to), 0);
	return all;
}

static void expect(int fd, const char *wanted)
{
	char *got = listing(fd);

	assert_string_equal(got, wanted);
	free(got);
	(void)close(fd);
}

/* Members are sorted by name; symlinks are kept, modes have no set-id bits, times are whole
 * seconds, and there are no owners. */
static void test_entries(void **state)
{
	struct pack_left_out l;

	(void)state;
	ctl_rig_file("f/b/main.py", "x");
	ctl_rig_file("f/a", "text");
	ctl_rig_file("f/c", "");
	assert_int_equal(symlink("b/main.py", "f/l"), 0);
	assert_int_equal(symlink("../a", "f/b/up"), 0);
	settle("f/a", 06755);
	settle("f/b/main.py", 0600);
	settle("f/c", 0444);
	settle("f/l", 0);
	settle("f/b/up", 0);
	settle("f/b", 01777);
	expect(pack("f", &l), "- 755 1700000000 0:0 a = text\n"
			      "d 777 1700000000 0:0 b\n"
			      "- 600 1700000000 0:0 b/main.py = x\n"
			      "l 777 1700000000 0:0 b/up -> ../a\n"
			      "- 444 1700000000 0:0 c\n"
			      "l 777 1700000000 0:0 l -> b/main.py\n");
	assert_string_equal(l.names, "");
	assert_int_equal(l.more, 0);
}

static size_t read_all(int fd, char *buf, size_t size)
{
	ssize_t n = pread(fd, buf, size, 0);

	assert_true(n > 0 && (size_t)n < size);
	(void)close(fd);
	return (size_t)n;
}

/* A folder that was made in another order has the same bytes; another content has others. */
static void test_same_bytes(void **state)
{
	static const char *const names[] = {"one", "two/x", "two/y", "zz", "B", "three/x"};
	static char first[65536], second[65536];
	struct pack_left_out l;
	size_t n;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "a/%s", names[i]);
		ctl_rig_file(path, names[i]);
		settle(path, 0644);
		(void)snprintf(path, sizeof(path), "b/%s", names[ARRAY_SIZE(names) - 1 - i]);
		ctl_rig_file(path, names[ARRAY_SIZE(names) - 1 - i]);
		settle(path, 0644);
	}
	settle("a/two", 0755);
	settle("b/two", 0755);
	settle("a/three", 0755);
	settle("b/three", 0755);
	n = read_all(pack("a", &l), first, sizeof(first));
	assert_int_equal(n % 512, 0);
	assert_int_equal(read_all(pack("b", &l), second, sizeof(second)), n);
	assert_memory_equal(first, second, n);
	ctl_rig_file("b/zz", "zy");
	settle("b/zz", 0644);
	assert_int_equal(read_all(pack("b", &l), second, sizeof(second)), n);
	assert_memory_not_equal(first, second, n);
}

/* Names and link targets that are longer than the 100 bytes of a tar header are kept, and so are
 * those of just 100 bytes. */
static void test_long_names(void **state)
{
	char path[300] = "f/", target[200] = "", wanted[1000];
	struct pack_left_out l;

	(void)state;
	memset(path + 2, 'n', 100);
	ctl_rig_file(path, "");
	settle(path, 0644);
	memset(path + 2, 'o', 101);
	ctl_rig_file(path, "");
	settle(path, 0644);
	memset(target, 't', 150);
	assert_int_equal(symlink(target, "f/p"), 0);
	settle("f/p", 0);
	(void)snprintf(wanted, sizeof(wanted),
		       "- 644 1700000000 0:0 %.*s\n- 644 1700000000 0:0 %s\n"
		       "l 777 1700000000 0:0 p -> %s\n",
		       100,
		       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
		       "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn",
		       path + 2, target);
	expect(pack("f", &l), wanted);
}

/* Whether a symlink leads out of the folder is decided by its text, wherever its target is. */
static void test_links(void **state)
{
	static const struct {
		const char *path, *target;
		bool stays;
	} rows[] = {
		{"l", "a", true},	    {"l", "./a/../b", true},
		{"l", ".", true},	    {"l", "..", false},
		{"l", "../f/a", false},	    {"l", "/a", false},
		{"l", "a/../../b", false},  {"d/l", "..", true},
		{"d/l", "../a", true},	    {"d/l", "../..", false},
		{"d/e/l", "../../x", true}, {"d/e/l", "../../../x", false},
		{"l", "...", true},	    {"l", "a//../b", true},
		{"l", "..a", true},	    {"l", "a//../../b", false},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (pack_link_stays(rows[i].path, rows[i].target) != rows[i].stays)
			fail_msg("%s -> %s", rows[i].path, rows[i].target);
}

/* What cannot be in an archive is left out, with the reason for each file. */
static void test_left_out(void **state)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX, .sun_path = "f/sock"};
	int sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct pack_left_out l;

	(void)state;
	ctl_rig_file("f/env/pyvenv.cfg", "");
	ctl_rig_file("f/env/lib/x.py", "");
	ctl_rig_file("f/kept/pyvenv.cfg/x", "");
	ctl_rig_file("f/a", "");
	assert_int_equal(mkfifo("f/pipe", 0600), 0);
	assert_int_equal(bind(sock, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(symlink("/etc/passwd", "f/link"), 0);
	settle("f/a", 0644);
	settle("f/kept/pyvenv.cfg/x", 0644);
	settle("f/kept/pyvenv.cfg", 0755);
	settle("f/kept", 0755);
	expect(pack("f", &l), "- 644 1700000000 0:0 a\n"
			      "d 755 1700000000 0:0 kept\n"
			      "d 755 1700000000 0:0 kept/pyvenv.cfg\n"
			      "- 644 1700000000 0:0 kept/pyvenv.cfg/x\n");
	assert_string_equal(l.names, "env (a virtual environment), link (a link out of the "
				     "folder), pipe (a FIFO), sock (a socket)");
	assert_int_equal(l.more, 0);
	(void)close(sock);
}

/* When the names do not fit, the number of the others is kept. */
static void test_many_left_out(void **state)
{
	struct pack_left_out l;
	char path[32];

	(void)state;
	assert_int_equal(mkdir("f", 0755), 0);
	for (int i = 0; i < 100; i++) {
		(void)snprintf(path, sizeof(path), "f/%03d", i);
		assert_int_equal(mkfifo(path, 0600), 0);
	}
	expect(pack("f", &l), "");
	/* "000 (a FIFO)" and then ", 001 (a FIFO)" */
	assert_int_equal(strlen(l.names), 12 + 14 * (99 - l.more));
	assert_true(l.more > 60 && l.more < 70);
}

/* A tree that is too deep is an error that names the place. */
static void test_depth(void **state)
{
	char path[2 * PACK_DEPTH_MAX + 16] = "f";
	struct pack_left_out l;
	struct err e = {0};
	int dir, fd = -1;

	(void)state;
	for (unsigned i = 0; i < PACK_DEPTH_MAX; i++)
		strcat(path, "/d");
	strcat(path, "/x");
	ctl_rig_file(path, "");
	fd = pack("f", &l);
	util_close_fd(&fd);
	path[strlen(path) - 1] = 'e';
	strcat(path, "/x");
	ctl_rig_file(path, "");
	dir = open("f", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(pack_folder(dir, "f", &fd, &l, &e) < 0);
	assert_int_equal(fd, -1);
	assert_int_equal(e.code, ERR_LIMIT);
	assert_non_null(strstr(e.msg, "d/e: more than 64 folders deep"));
	util_close_fd(&dir);
}

static void exec_is(const char *path, const char *wanted)
{
	int dir = open("f", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct pack_left_out l;
	struct err e = {0};

	if (pack_exec(dir, path, &fd, &l, &e) < 0)
		fail_msg("%s", e.msg);
	expect(fd, wanted);
	util_close_fd(&dir);
}

static void exec_fails(const char *path, int r, const char *wanted)
{
	int dir = open("f", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct pack_left_out l;
	struct err e = {0};

	assert_int_equal(pack_exec(dir, path, &fd, &l, &e), r);
	assert_string_equal(e.msg, wanted);
	assert_int_equal(fd, -1);
	util_close_fd(&dir);
}

/* Only the file or folder that "exec" leads to is packed, under the name that it has there. */
static void test_exec(void **state)
{
	(void)state;
	ctl_rig_file("f/app/__main__.py", "m");
	ctl_rig_file("f/app/lib/x.py", "x");
	ctl_rig_file("f/other", "o");
	assert_int_equal(symlink("app/__main__.py", "f/in"), 0);
	assert_int_equal(symlink("../f/other", "f/out"), 0);
	assert_int_equal(symlink("../other", "f/app/up"), 0);
	assert_int_equal(mkfifo("f/pipe", 0600), 0);
	settle("f/other", 0644);
	settle("f/app/__main__.py", 0644);
	settle("f/app/lib/x.py", 0644);
	settle("f/app/lib", 0755);
	settle("f/app", 0755);
	exec_is("other", "- 644 1700000000 0:0 other = o\n");
	exec_is(".//app/./__main__.py", "- 644 1700000000 0:0 app/__main__.py = m\n");
	exec_is("in", "- 644 1700000000 0:0 in = m\n");
	/* A symlink that leads out of the folder leads nowhere in the sandbox. */
	exec_is("app/", "d 755 1700000000 0:0 app\n"
			"- 644 1700000000 0:0 app/__main__.py = m\n"
			"d 755 1700000000 0:0 app/lib\n"
			"- 644 1700000000 0:0 app/lib/x.py = x\n");
	exec_fails("out", -EXDEV, "./out: Invalid cross-device link");
	exec_fails("none", -ENOENT, "./none: No such file or directory");
	exec_fails("pipe", -EINVAL, "./pipe: only files, folders and links can be sent along");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		CTL_TEST(test_entries), CTL_TEST(test_same_bytes), CTL_TEST(test_long_names),
		CTL_TEST(test_links),	CTL_TEST(test_left_out),   CTL_TEST(test_many_left_out),
		CTL_TEST(test_depth),	CTL_TEST(test_exec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
