// SPDX-License-Identifier: Apache-2.0
/* Which files of variables a project has, and which of them go over which. */
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
#include "supervisor/ctl/dev/vars.h"

struct fixture {
	char folder[64];
	int fd;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->folder, "/tmp/test-vars-XXXXXX");
	assert_non_null(mkdtemp(x->folder));
	x->fd = open(x->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	util_close_fd(&x->fd);
	assert_int_equal(dir_remove_tree(AT_FDCWD, x->folder), 0);
	free(x);
	return 0;
}

static void write_text(const struct fixture *x, const char *name, const char *text)
{
	assert_int_equal(util_write_file_at(x->fd, name, 0600, text, strlen(text)), 0);
}

static char files[DEV_VARS_FILES];

static const char *vars(const struct fixture *x, const char *env)
{
	static char text[512];
	json_t *found = NULL;
	struct err e;
	char *shown;

	assert_int_equal(dev_vars_read(x->fd, env, &found, files, &e), 0);
	shown = json_dumps(found, JSON_COMPACT | JSON_SORT_KEYS);
	(void)snprintf(text, sizeof(text), "%s", shown);
	free(shown);
	json_decref(found);
	return text;
}

static void test_which_file(void **state)
{
	struct fixture *x = *state;

	assert_string_equal(vars(x, NULL), "{}");
	assert_string_equal(files, "");
	write_text(x, ".env", "A=env\nB=env\nC=env\nD=env");
	assert_string_equal(vars(x, NULL),
			    "{\"A\":\"env\",\"B\":\"env\",\"C\":\"env\",\"D\":\"env\"}");
	write_text(x, ".env.dev", "B=dev\nC=dev\nD=dev");
	write_text(x, ".env.local", "C=local\nD=local");
	write_text(x, ".env.dev.local", "D=devlocal");
	assert_string_equal(vars(x, NULL),
			    "{\"A\":\"env\",\"B\":\"env\",\"C\":\"local\",\"D\":\"local\"}");
	assert_string_equal(vars(x, "dev"),
			    "{\"A\":\"env\",\"B\":\"dev\",\"C\":\"local\",\"D\":\"devlocal\"}");
	assert_string_equal(files, ".env, .env.dev, .env.local, .env.dev.local");
	assert_string_equal(vars(x, "../dev"),
			    "{\"A\":\"env\",\"B\":\"env\",\"C\":\"local\",\"D\":\"local\"}");
	/* .dev.vars is in place of all of them. */
	write_text(x, ".dev.vars", "A=vars");
	assert_string_equal(vars(x, NULL), "{\"A\":\"vars\"}");
	assert_string_equal(vars(x, "dev"), "{\"A\":\"vars\"}");
	write_text(x, ".dev.vars.dev", "B=vars\n");
	assert_string_equal(vars(x, "dev"), "{\"B\":\"vars\"}");
	write_text(x, ".dev.vars.empty", "");
	assert_string_equal(vars(x, "empty"), "{}");
}

static void test_errors(void **state)
{
	struct fixture *x = *state;
	json_t *found = NULL;
	struct err e;

	assert_int_equal(mkdirat(x->fd, ".dev.vars", 0700), 0);
	assert_true(dev_vars_read(x->fd, NULL, &found, files, &e) < 0);
	assert_non_null(strstr(e.msg, ".dev.vars"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_which_file, setup, teardown),
		cmocka_unit_test_setup_teardown(test_errors, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
