// SPDX-License-Identifier: Apache-2.0
/* Walks of folders, their sorted names, and the removal of whole trees. */
#include "tests/unit/rig.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/dir.h"

static char top[32];
static int top_fd;

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/dir-XXXXXX");
	if (!mkdtemp(top))
		return -1;
	top_fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return top_fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	(void)state;
	util_close_fd(&top_fd);
	return dir_remove_tree(AT_FDCWD, top);
}

static void touch(const char *name)
{
	int fd = openat(top_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	(void)close(fd);
}

static int sum(int dirfd, const char *name, void *arg, struct err *e)
{
	assert_int_equal(dirfd, top_fd);
	*(int *)arg += name[0] - '0';
	return name[0] == '5' ? err_set(e, ERR_INPUT, ERANGE, "five") : 0;
}

static void test_each(void **state)
{
	struct err e = {0};
	int n = 0;

	(void)state;
	assert_int_equal(dir_each(top_fd, sum, &n, &e), 0);
	assert_int_equal(n, 0);
	touch("1");
	touch("2");
	/* The folder is read twice, because the first time must leave the descriptor's offset as it
	 * was. */
	for (int i = 0; i < 2; i++) {
		n = 0;
		assert_int_equal(dir_each(top_fd, sum, &n, &e), 0);
		assert_int_equal(n, 3);
	}
	touch("5");
	assert_int_equal(dir_each(top_fd, sum, &n, &e), -ERANGE);
	assert_non_null(strstr(e.msg, "five"));
	assert_int_equal(dir_each(-1, sum, &n, &e), -EBADF);
	assert_non_null(strstr(e.msg, "cannot be read"));
	assert_int_equal(dir_each(-1, sum, &n, NULL), -EBADF);
}

static void test_names(void **state)
{
	static const char *const names[] = {".hidden", "B", "a", "b", "c", "\xff"};
	struct dir_names got;

	(void)state;
	for (size_t i = ARRAY_SIZE(names); i-- > 0;)
		touch(names[i]);
	assert_int_equal(dir_names_read(top_fd, ARRAY_SIZE(names), &got), 0);
	assert_int_equal(got.n, ARRAY_SIZE(names));
	for (size_t i = 0; i < got.n; i++)
		assert_string_equal(got.names[i], names[i]);
	dir_names_clear(&got);
	assert_int_equal(dir_names_read(top_fd, ARRAY_SIZE(names) - 1, &got), -E2BIG);
	assert_null(got.names);
	assert_int_equal(dir_names_read(-1, 1, &got), -EBADF);
	assert_null(got.names);
}

/* A tree that has folders, a symlink to a place outside and a file without any permission. */
static void make_tree(void)
{
	assert_int_equal(mkdirat(top_fd, "tree", 0700), 0);
	assert_int_equal(mkdirat(top_fd, "tree/in", 0700), 0);
	assert_int_equal(mkdirat(top_fd, "kept", 0700), 0);
	touch("tree/in/file");
	touch("kept/file");
	assert_int_equal(symlinkat("../../kept", top_fd, "tree/in/link"), 0);
	assert_int_equal(symlinkat("kept", top_fd, "link"), 0);
	assert_int_equal(fchmodat(top_fd, "tree/in/file", 0, 0), 0);
}

static void test_remove(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(dir_remove_tree(top_fd, "none"), 0);
	assert_int_equal(dir_remove_tree(top_fd, "link"), 0);
	assert_int_equal(dir_remove_tree(top_fd, "tree"), 0);
	assert_int_equal(faccessat(top_fd, "tree", F_OK, 0), -1);
	assert_int_equal(faccessat(top_fd, "kept/file", F_OK, 0), 0);
}

/* Folders nested as deep as is allowed, and one deeper. */
static void test_deep(void **state)
{
	int at;

	(void)state;
	for (int depth = 256; depth <= 257; depth++) {
		at = dup(top_fd);
		for (int i = 0; i < depth; i++) {
			int next;

			assert_int_equal(mkdirat(at, "d", 0700), 0);
			next = openat(at, "d", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
			(void)close(at);
			at = next;
		}
		(void)close(at);
		assert_int_equal(dir_remove_tree(top_fd, "d"), depth == 256 ? 0 : -ELOOP);
	}
	assert_int_equal(renameat(top_fd, "d/d", top_fd, "e"), 0);
	assert_int_equal(dir_remove_tree(top_fd, "e"), 0);
}

/* Runs in a mount namespace of its own: a file system that is mounted in the tree, or on its root,
 * must stay. */
static int remove_mounted(const char *where)
{
	char path[64];
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		(void)snprintf(path, sizeof(path), "%s/%s", top, where);
		if (unshare(CLONE_NEWNS) < 0 ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
		    mount("none", path, "tmpfs", 0, NULL) < 0)
			_exit(1);
		/* The path is used, because the folder's descriptor belongs to the other mount
		 * namespace. */
		_exit(-dir_remove_tree(open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC), "tree"));
	}
	assert_true(child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void test_mounts(void **state)
{
	(void)state;
	make_tree();
	assert_int_equal(remove_mounted("tree"), EXDEV);
	assert_int_equal(remove_mounted("tree/in"), EXDEV);
	assert_int_equal(faccessat(top_fd, "tree/in/file", F_OK, 0), 0);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FOLDER(test_each), WITH_FOLDER(test_names),  WITH_FOLDER(test_remove),
		WITH_FOLDER(test_deep), WITH_FOLDER(test_mounts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
