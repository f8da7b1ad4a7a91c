// SPDX-License-Identifier: Apache-2.0
/* Which packages are removed from STATE/packages, and which stay. */
/* cmocka.h needs these headers before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/core/worker.h"
#include "supervisor/front/front.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/serve.h"
#include "tests/unit/change_rig.h"

static int make_dir(const char *path)
{
	assert_int_equal(mkdir(path, 0700), 0);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static char top[32];

static int setup(void **state)
{
	static const struct capability *const list[] = {
		&project_capability, &package_capability,  &worker_capability,	 &task_capability,
		&queue_capability,   &schedule_capability, &log_keep_capability, NULL};
	struct front_config cfg = {0};
	struct front *f = front_new();
	struct err e = {0};
	sigset_t set;
	char path[64];

	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGCHLD);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	strcpy(top, "/tmp/prune-XXXXXX");
	assert_non_null(mkdtemp(top));
	(void)snprintf(path, sizeof(path), "%s/front", top);
	cfg.front_dirfd = make_dir(path);
	(void)snprintf(path, sizeof(path), "%s/packages", top);
	cfg.packages_dirfd = make_dir(path);
	if (front_begin(f, &cfg, list, &e) < 0)
		fail_msg("%s", e.msg);
	f->cfg.packages_keep = 0;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct front *f = *state;
	const struct front_config cfg = f->cfg;

	front_end(f);
	(void)close(cfg.front_dirfd);
	(void)close(cfg.packages_dirfd);
	assert_int_equal(chdir("/"), 0);
	(void)dir_remove_tree(AT_FDCWD, top);
	return 0;
}

/* Returns a name for STATE/packages, with as many digits as a digest has. */
static const char *name_of(int digit, const char *end)
{
	static char name[PACKAGE_NAME_MAX + 16];

	memset(name, digit, 64);
	strcpy(name + 64, end);
	return name;
}

static void age(struct front *f, const char *name, unsigned seconds)
{
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT},
				    {.tv_sec = (time_t)(util_realtime_ns() / SEC - seconds)}};

	assert_int_equal(utimensat(f->cfg.packages_dirfd, name, times, AT_SYMLINK_NOFOLLOW), 0);
}

/* Makes a folder and a zip that are both old. */
static void make(struct front *f, int digit)
{
	int packages = f->cfg.packages_dirfd, fd;

	fd = openat(packages, name_of(digit, PACKAGE_ZIP), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	age(f, name_of(digit, PACKAGE_ZIP), 1000);
	assert_int_equal(mkdirat(packages, name_of(digit, ""), 0700), 0);
	fd = openat(packages, name_of(digit, "/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, "content", 7), 0);
	(void)close(fd);
	age(f, name_of(digit, ""), 1000);
}

static bool is_there(struct front *f, const char *name)
{
	return faccessat(f->cfg.packages_dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void prune(struct front *f)
{
	package_prune(f);
	while (f->core->worker_known)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	assert_non_null(f->core->pruner);
	while (f->core->pruner)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static struct worker *put(struct front *f, const char *name, int package, int zip)
{
	struct worker_spec spec = {.file_name = "x.py", .has_package = true};
	struct project *p = project_by_id(f, PROJECT_DEFAULT_ID);
	char id[PROJECT_ID_LEN + 1];
	struct err e = {0};

	strcpy(spec.name, name);
	assert_int_equal(util_unhex(name_of(package, ""), 32, spec.package), 0);
	assert_int_equal(util_unhex(name_of(zip, ""), 32, spec.zip), 0);
	if (committed(f, worker_put(f, p, &spec, id, &e), &e) < 0)
		fail_msg("%s", e.msg);
	return worker_by_id(p, id);
}

static void on_removed(void *arg, uint64_t n, const struct err *error)
{
	assert_int_equal(n, 0);
	assert_null(error);
	*(bool *)arg = true;
}

/* All revisions of a worker keep their packages, for downloads, until the worker is removed. */
static void test_codes(void **state)
{
	struct front *f = *state;
	struct worker *c, *other;
	struct err e = {0};
	bool removed = false;

	for (int digit = 'a'; digit <= 'd'; digit++)
		make(f, digit);
	prune(f);
	for (int digit = 'a'; digit <= 'd'; digit++) {
		assert_false(is_there(f, name_of(digit, "")));
		assert_false(is_there(f, name_of(digit, PACKAGE_ZIP)));
		make(f, digit);
	}
	c = put(f, "hello", 'a', 'b');
	assert_ptr_equal(put(f, "hello", 'c', 'd'), c);
	prune(f);
	assert_true(is_there(f, name_of('a', "")));
	assert_true(is_there(f, name_of('b', PACKAGE_ZIP)));
	assert_true(is_there(f, name_of('c', "")));
	assert_true(is_there(f, name_of('d', PACKAGE_ZIP)));
	/* Another worker has one of these packages too, in two revisions. */
	other = put(f, "other", 'a', 'b');
	assert_ptr_equal(put(f, "other", 'a', 'b'), other);
	assert_int_equal(worker_remove(f, c, on_removed, &removed, &e), 0);
	while (!removed || f->core->worker_known || f->core->pruner)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	assert_true(is_there(f, name_of('a', "")));
	assert_true(is_there(f, name_of('b', PACKAGE_ZIP)));
	assert_false(is_there(f, name_of('c', "")));
	assert_false(is_there(f, name_of('d', PACKAGE_ZIP)));
	/* The revision that is one too many takes its package along. */
	for (unsigned i = 0; i < WORKER_REVISIONS_MAX - 1; i++)
		(void)put(f, "other", 'c', 'd');
	prune(f);
	assert_true(is_there(f, name_of('a', "")));
	(void)put(f, "other", 'c', 'd');
	prune(f);
	assert_false(is_there(f, name_of('a', "")));
	make(f, 'c');
	make(f, 'd');
	worker_capability.part->free(f, project_by_id(f, PROJECT_DEFAULT_ID));
	assert_int_equal(worker_capability.load(f, &e), 0);
	prune(f);
	assert_true(is_there(f, name_of('c', "")));
	assert_true(is_there(f, name_of('d', PACKAGE_ZIP)));
	f->core->left_pruned_ns = 0;
	other = worker_by_name(project_by_id(f, PROJECT_DEFAULT_ID), "other");
	removed = false;
	assert_int_equal(worker_remove(f, other, on_removed, &removed, &e), 0);
	while (!removed || f->core->worker_known || f->core->pruner)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	assert_false(is_there(f, name_of('a', "")));
	assert_false(is_there(f, name_of('b', PACKAGE_ZIP)));
	assert_false(is_there(f, name_of('c', "")));
	assert_false(is_there(f, name_of('d', PACKAGE_ZIP)));
}

/* A task keeps its own folder and no other; it needs no zip. */
static void test_tasks(void **state)
{
	struct front *f = *state;
	struct task *t = registry_new("0123456789abcdef01234567");

	make(f, 'a');
	make(f, 'b');
	t->rec.has_package = 1;
	assert_int_equal(util_unhex(name_of('a', ""), 32, t->rec.package), 0);
	registry_add(f, t);
	prune(f);
	assert_true(is_there(f, name_of('a', "/file")));
	assert_false(is_there(f, name_of('b', "")));
	assert_false(is_there(f, name_of('a', PACKAGE_ZIP)));
	registry_remove(f, t);
	prune(f);
	assert_false(is_there(f, name_of('a', "")));
}

/* Unused folders are kept as a cache, zips are not. Young ones may still become a worker's, while a
 * zip is being unpacked. */
static void test_others(void **state)
{
	struct front *f = *state;
	int packages = f->cfg.packages_dirfd;

	f->cfg.packages_keep = 1 << 20;
	make(f, 'a');
	make(f, 'b');
	age(f, name_of('b', PACKAGE_ZIP), 10);
	assert_int_equal(mkdirat(packages, ".tmp-old", 0700), 0);
	age(f, ".tmp-old", 10000);
	assert_int_equal(mkdirat(packages, ".tmp-new", 0700), 0);
	assert_int_equal(mkdirat(packages, "other", 0700), 0);
	age(f, "other", 10000);
	f->core->n_unpacking = 1;
	prune(f);
	assert_true(is_there(f, name_of('a', "")));
	assert_false(is_there(f, name_of('a', PACKAGE_ZIP)));
	assert_true(is_there(f, name_of('b', PACKAGE_ZIP)));
	f->core->n_unpacking = 0;
	prune(f);
	assert_false(is_there(f, name_of('b', PACKAGE_ZIP)));
	assert_true(is_there(f, name_of('b', "")));
	assert_false(is_there(f, ".tmp-old"));
	assert_true(is_there(f, ".tmp-new"));
	assert_true(is_there(f, "other"));
}

/* The folder of a zip: what it is called, made and of no moment ago. */
static const char *make_unpacked(struct front *f, int digit)
{
	static char name[65];
	uint8_t zip[32], package[32];

	assert_int_equal(util_unhex(name_of(digit, ""), 32, zip), 0);
	package_zip_digest(zip, package);
	util_hex(package, 32, name);
	make(f, digit);
	assert_int_equal(
		renameat(f->cfg.packages_dirfd, name_of(digit, ""), f->cfg.packages_dirfd, name),
		0);
	age(f, name, 1000);
	return name;
}

/* A folder that was unpacked from a zip is not part of the cache: it is removed with the zip, but
 * not before a task that has it. */
static void test_unpacked(void **state)
{
	struct front *f = *state;
	struct task *t = registry_new("0123456789abcdef01234567");
	const char *folder = make_unpacked(f, 'a');

	f->cfg.packages_keep = 1 << 20;
	t->rec.has_package = 1;
	assert_int_equal(util_unhex(folder, 32, t->rec.package), 0);
	registry_add(f, t);
	prune(f);
	assert_true(is_there(f, folder));
	assert_true(is_there(f, name_of('a', PACKAGE_ZIP)));
	registry_remove(f, t);
	prune(f);
	assert_false(is_there(f, folder));
	assert_false(is_there(f, name_of('a', PACKAGE_ZIP)));
}

/* A file without a byte takes a place on the disk. */
static void test_empty_files(void **state)
{
	struct front *f = *state;
	char name[96];

	f->cfg.packages_keep = 32ULL * PACKAGE_BLOCK;
	for (int digit = 'a'; digit <= 'b'; digit++) {
		make(f, digit);
		for (int i = 0; i < 20; i++) {
			int fd;

			(void)snprintf(name, sizeof(name), "/%d", i);
			fd = openat(f->cfg.packages_dirfd, name_of(digit, name),
				    O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
			assert_true(fd >= 0);
			(void)close(fd);
		}
		age(f, name_of(digit, ""), digit == 'a' ? 2000 : 1000);
	}
	prune(f);
	assert_false(is_there(f, name_of('a', "")));
	assert_true(is_there(f, name_of('b', "")));
}

/* A package that no worker has any longer counts until it has been removed, and room is left for
 * it. */
static void test_left(void **state)
{
	struct front *f = *state;
	struct project *p = project_by_id(f, PROJECT_DEFAULT_ID);
	const struct package_size size = {100, 10};
	struct package_size room;

	p->quota.package_bytes = 150;
	p->quota.package_files = 1000;
	package_left(f, p, &size);
	while (f->core->worker_known)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	assert_non_null(f->core->pruner);
	worker_room(p, &room);
	assert_int_equal(room.bytes, 150);
	assert_int_equal(room.files, 1000);
	package_left(f, p, &size);
	p->package_bytes = 40;
	p->package_files = 999;
	worker_room(p, &room);
	assert_int_equal(room.bytes, 60);
	assert_int_equal(room.files, 1);
	p->package_bytes = 150;
	worker_room(p, &room);
	assert_int_equal(room.bytes, 0);
	p->package_bytes = 140;
	/* The first pruner began too early for it. */
	while (f->core->pruner)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	assert_int_equal(p->left_bytes, 200);
	while (p->left_ns)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
	assert_int_equal(p->left_bytes, 0);
	assert_int_equal(p->left_files, 0);
	assert_null(f->core->prune_timer);
	worker_room(p, &room);
	assert_int_equal(room.bytes, 10);
}

/* After a crash: what was renamed is whole and comes back, what was condemned may not be. */
static void test_clean(void **state)
{
	struct front *f = *state;
	int packages = f->cfg.packages_dirfd;
	char dead[96], gone[96];
	struct err e = {0};

	make(f, 'a');
	make(f, 'b');
	(void)snprintf(gone, sizeof(gone), PACKAGE_GONE "%s", name_of('a', ""));
	assert_int_equal(renameat(packages, name_of('a', ""), packages, gone), 0);
	(void)snprintf(dead, sizeof(dead), PACKAGE_DEAD "%s", name_of('b', ""));
	assert_int_equal(renameat(packages, name_of('b', ""), packages, dead), 0);
	assert_int_equal(mkdirat(packages, ".tmp-new", 0700), 0);
	assert_int_equal(package_capability.load(f, &e), 0);
	assert_true(is_there(f, name_of('a', "/file")));
	assert_false(is_there(f, gone));
	assert_false(is_there(f, name_of('b', "")));
	assert_false(is_there(f, dead));
	assert_false(is_there(f, ".tmp-new"));
}

#define WITH_FRONT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FRONT(test_codes),	   WITH_FRONT(test_tasks),	 WITH_FRONT(test_others),
		WITH_FRONT(test_unpacked), WITH_FRONT(test_empty_files), WITH_FRONT(test_left),
		WITH_FRONT(test_clean),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
