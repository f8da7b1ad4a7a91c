// SPDX-License-Identifier: Apache-2.0
/* What counts as a change of a project's folder. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "lib/dir.h"
#include "supervisor/ctl/dev/watch.h"

struct fixture {
	char folder[64], store[96];
	int fd;
	struct watch *watch;
};

static void make_folder(const struct fixture *x, const char *name)
{
	assert_int_equal(mkdirat(x->fd, name, 0700), 0);
}

static void write_file(const struct fixture *x, const char *name)
{
	_cleanup_fd_ int fd = openat(x->fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, "x", 1), 1);
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct err e;

	strcpy(x->folder, "/tmp/test-watch-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	x->fd = open(x->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	(void)snprintf(x->store, sizeof(x->store), "%s/state", x->folder);
	make_folder(x, "src");
	make_folder(x, "src/deep");
	make_folder(x, ".git");
	make_folder(x, ".venv-3");
	make_folder(x, "env");
	make_folder(x, "state");
	write_file(x, "env/pyvenv.cfg");
	write_file(x, "src/a.py");
	assert_int_equal(watch_open(x->folder, x->store, &x->watch, &e), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	watch_close(x->watch);
	util_close_fd(&x->fd);
	assert_int_equal(dir_remove_tree(AT_FDCWD, x->folder), 0);
	free(x);
	return 0;
}

/* The kernel has queued an event before the call that has caused it returns. */
static bool has_changed(const struct fixture *x)
{
	const bool changed = watch_read(x->watch);

	assert_false(watch_read(x->watch));
	return changed;
}

static void test_files(void **state)
{
	struct fixture *x = *state;
	_cleanup_fd_ int fd = -1;

	assert_false(has_changed(x));
	write_file(x, "src/a.py");
	assert_true(has_changed(x));
	write_file(x, "src/deep/b.py");
	assert_true(has_changed(x));
	write_file(x, ".dev.vars");
	assert_true(has_changed(x));
	/* While its writer has not closed it, it is not whole. */
	fd = openat(x->fd, "src/c.py", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_false(has_changed(x));
	util_close_fd(&fd);
	assert_true(has_changed(x));
	/* As editors write. */
	write_file(x, "src/c.py~");
	(void)has_changed(x);
	assert_int_equal(renameat(x->fd, "src/c.py~", x->fd, "src/c.py"), 0);
	assert_true(has_changed(x));
	assert_int_equal(unlinkat(x->fd, "src/c.py", 0), 0);
	assert_true(has_changed(x));
	assert_int_equal(symlinkat("a.py", x->fd, "src/link.py"), 0);
	assert_true(has_changed(x));
	assert_int_equal(linkat(x->fd, "src/a.py", x->fd, "src/hard.py", 0), 0);
	assert_true(has_changed(x));
	/* Whoever only reads changes nothing. */
	fd = openat(x->fd, "src/a.py", O_RDONLY | O_CLOEXEC);
	util_close_fd(&fd);
	assert_false(has_changed(x));
}

static void test_folders(void **state)
{
	struct fixture *x = *state;

	make_folder(x, "new");
	assert_true(has_changed(x));
	write_file(x, "new/a.py");
	assert_true(has_changed(x));
	/* One that comes with what is in it, and one that moves. */
	assert_int_equal(renameat(x->fd, "new", x->fd, "src/moved"), 0);
	assert_true(has_changed(x));
	write_file(x, "src/moved/a.py");
	assert_true(has_changed(x));
	make_folder(x, "src/moved/__pycache__");
	assert_false(has_changed(x));
	assert_int_equal(dir_remove_tree(x->fd, "src/moved"), 0);
	assert_true(has_changed(x));
	assert_int_equal(dir_remove_tree(x->fd, "src"), 0);
	assert_true(has_changed(x));
	write_file(x, "wrangler.toml");
	assert_true(has_changed(x));
}

static void test_ignored(void **state)
{
	struct fixture *x = *state;

	write_file(x, ".git/index");
	write_file(x, ".venv-3/x");
	write_file(x, "env/x");
	write_file(x, "state/kv.sqlite");
	make_folder(x, "state/more");
	make_folder(x, ".wrangler");
	make_folder(x, ".wrangler/state");
	write_file(x, ".wrangler/state/x");
	make_folder(x, "node_modules");
	write_file(x, "node_modules/x");
	assert_false(has_changed(x));
}

static void test_none(void **state)
{
	struct fixture *x = *state;
	struct watch *w;
	struct err e;

	assert_int_equal(watch_open("/nonexistent/folder", NULL, &w, &e), -ENOENT);
	assert_non_null(strstr(e.msg, "/nonexistent/folder"));
	write_file(x, "file");
	assert_true(has_changed(x));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_files, setup, teardown),
		cmocka_unit_test_setup_teardown(test_folders, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ignored, setup, teardown),
		cmocka_unit_test_setup_teardown(test_none, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
