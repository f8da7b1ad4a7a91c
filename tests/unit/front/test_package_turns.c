// SPDX-License-Identifier: Apache-2.0
/* Whose archive is unpacked when: no project's archives keep another's from being unpacked, or from
 * its turn. */
#include "tests/unit/package_rig.h"

#include <signal.h>

#include <sys/mman.h>

#include "supervisor/front/front.h"
#include "supervisor/front/serve/serve.h"

#define BIG (1u << 20)
#define SMALL (64u << 10)

struct turns {
	struct front *f;
	char dir[32];
	struct project p[16];
	unsigned n_done, n_refused; /* answers; of them, for too many that wait */
};

static int begin(void **state)
{
	struct turns *t = calloc(1, sizeof(*t));
	sigset_t set;

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	t->f = front_new();
	t->f->cfg.packages_dirfd = make_dir(t->dir);
	t->f->cfg.package_bytes_max = 16 << 20;
	assert_int_equal(sd_event_new(&t->f->event), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(t->p); i++) {
		(void)snprintf(t->p[i].id, sizeof(t->p[i].id), "%024x", i);
		idtable_add(&t->f->core->projects_by_id, &t->p[i].node, t->p[i].id);
	}
	*state = t;
	return 0;
}

static int end(void **state)
{
	struct turns *t = *state;

	assert_null(t->f->core->unpacks);
	assert_int_equal(t->f->core->n_unpacking, 0);
	(void)sd_event_unref(t->f->event);
	(void)close(t->f->cfg.packages_dirfd);
	(void)dir_remove_tree(AT_FDCWD, t->dir);
	free(t->f);
	free(t);
	return 0;
}

static void count(struct turns *t, const struct err *error)
{
	t->n_done++;
	/* These bytes are not an archive, which does not matter here. */
	assert_non_null(error);
	t->n_refused += error->code == ERR_UNAVAILABLE;
}

static void on_zip(struct front *f, void *arg, const struct unpacked *is, const struct err *error)
{
	(void)f;
	(void)is;
	count(arg, error);
}

static void on_tar(struct front *f, void *arg, const uint8_t digest[32], int dirfd,
		   const struct err *error)
{
	(void)f;
	(void)digest;
	(void)dirfd;
	count(arg, error);
}

static int archive(off_t size)
{
	int fd = memfd_create("archive", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(pwrite(fd, "no archive", 10, 0), 10);
	return fd;
}

static void zip(struct turns *t, unsigned project, off_t size)
{
	package_unpack_zip(t->f, &t->p[project], archive(size), on_zip, t);
}

static void tar(struct turns *t, unsigned project, off_t size)
{
	package_unpack(t->f, &t->p[project], archive(size), on_tar, t);
}

static void run_until_done(struct turns *t, unsigned n)
{
	while (t->n_done < n)
		assert_true(sd_event_run(t->f->event, UINT64_MAX) >= 0);
	assert_int_equal(t->n_done, n);
}

/* One project's uploads wait for each other, and those beyond a bound are refused; another's begin
 * at once, and are not. */
static void test_one_project(void **state)
{
	struct turns *t = *state;

	for (int i = 0; i < 9; i++)
		zip(t, 0, BIG + 1);
	assert_int_equal(t->f->core->n_unpacking, 1);
	assert_int_equal(t->n_refused, 0);
	zip(t, 0, BIG + 1);
	zip(t, 0, SMALL);
	assert_int_equal(t->n_refused, 2);
	zip(t, 1, BIG + 1);
	assert_int_equal(t->f->core->n_unpacking, 2);
	zip(t, 1, SMALL);
	assert_int_equal(t->f->core->n_unpacking, 2);
	assert_int_equal(t->n_refused, 2);
	run_until_done(t, 13);
}

/* Big ones of many projects: the next waits, a small one does not. */
static void test_many_projects(void **state)
{
	struct turns *t = *state;

	for (unsigned i = 0; i < 8; i++)
		zip(t, i, BIG + 1);
	assert_int_equal(t->f->core->n_unpacking, 8);
	zip(t, 8, BIG + 1);
	assert_int_equal(t->f->core->n_unpacking, 8);
	for (unsigned i = 9; i < 16; i++)
		zip(t, i, SMALL);
	assert_int_equal(t->f->core->n_unpacking, 15);
	assert_int_equal(t->n_refused, 0);
	run_until_done(t, 16);
}

/* Folders of `run` have half of the places. */
static void test_folders(void **state)
{
	struct turns *t = *state;

	for (int i = 0; i < 12; i++)
		tar(t, 0, BIG + 1 + i);
	assert_int_equal(t->f->core->n_unpacking, 4);
	tar(t, 1, BIG + 1);
	zip(t, 2, BIG + 1);
	assert_int_equal(t->f->core->n_unpacking, 6);
	tar(t, 0, (off_t)SMALL * 3);
	assert_int_equal(t->n_refused, 1);
	run_until_done(t, 15);
}

/* The project whose turn was longest ago is next, even if another one's archive came before. */
static void test_turns(void **state)
{
	struct turns *t = *state;

	t->p[9].unpacked_at = 100;
	t->f->core->unpack_turn = 100;
	for (unsigned i = 0; i < 8; i++)
		zip(t, i, BIG + 1);
	zip(t, 9, BIG + 1);
	zip(t, 8, BIG + 1);
	run_until_done(t, 10);
	assert_int_equal(t->p[8].unpacked_at, 109);
	assert_int_equal(t->p[9].unpacked_at, 110);
}

#define WITH_TURNS(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_TURNS(test_one_project),
		WITH_TURNS(test_many_projects),
		WITH_TURNS(test_folders),
		WITH_TURNS(test_turns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
