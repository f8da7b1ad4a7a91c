// SPDX-License-Identifier: Apache-2.0
/* The store with a real file: what is written is there again, also after a kill -9. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/front/project.h"
#include "supervisor/front/store.h"

struct fixture {
	char dir[32];
	int fd;
	struct store *store;
};

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));
	struct err e;

	strcpy(x->dir, "/tmp/store-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	x->fd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(x->fd >= 0);
	assert_int_equal(store_open(x->fd, &x->store, &e), 0);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	store_free(x->store);
	(void)unlinkat(x->fd, "tasks.db", 0);
	(void)unlinkat(x->fd, "tasks.db-wal", 0);
	(void)unlinkat(x->fd, "tasks.db-shm", 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(x->dir), 0);
	(void)close(x->fd);
	free(x);
	return 0;
}

static void reopen(struct fixture *x)
{
	struct err e;

	store_free(x->store);
	assert_int_equal(store_open(x->fd, &x->store, &e), 0);
}

/* Every field with a value of its own; n makes the id and the age. */
static struct task_record make(unsigned n, enum task_state state)
{
	static char spec[] = "{\"code\":\"x\"}";
	struct task_record rec = {
		.project = "default",
		.image = "iron",
		.policy = "strict",
		.label = "a 'label'; --",
		.verdict = task_state_final(state) ? VERDICT_EXIT : VERDICT_NONE,
		.start_asked = START_AUTO,
		.start_mode = START_RESTORE,
		.has_package = 1,
		.priority = 2,
		.requested_by = 4294967294u,
		.exit_code = -1,
		.signal = 11,
		.limits = {UINT32_MAX + 1ULL, 2, 3, 4, 5, 6, 7},
		.created_ns = 1000 + n,
		.started_ns = 7,
		.finished_ns = task_state_final(state) ? 5000 + n : 0,
		.cancel_ns = 9,
		.start_us = 12345,
		.cpu_us = 10,
		.memory_peak = 11,
		.log_lines = 12,
		.log_bytes = 13,
		.log_dropped = 14,
		.log_known = 1,
		.code = "0123456789abcdef01234567",
		.code_name = "hello",
		.schedule = "1123456789abcdef01234567",
		.original = "2123456789abcdef01234567",
		.retry = "3123456789abcdef01234567",
		.revision = 21,
		.attempt = 22,
		.retries_left = 23,
		.retries_delay_s = 24,
		.percent = 25,
		.timeout_asked_s = 26,
		.dead_letter = 1,
		.not_before_ns = 27,
		.cluster = "c",
		.msg = "m",
		.warm = "numpy\nscipy",
		.warning = "w",
		.error = "e",
	};

	(void)snprintf(rec.id, sizeof(rec.id), "%024x", n);
	memset(rec.image_digest, 1, 32);
	memset(rec.policy_id, 2, 32);
	memset(rec.package, 0xff, 32);
	rec.state = (uint32_t)state;
	rec.spec = spec;
	return rec;
}

static void insert(struct fixture *x, unsigned n, enum task_state s)
{
	struct task_record rec = make(n, s);
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_task_insert(x->store, &rec, &e), 0);
	assert_int_equal(store_event(x->store, rec.id, n, "accepted", "", &e), 0);
	assert_int_equal(store_commit(x->store, &e), 0);
}

static void assert_same(struct task_record *got, struct task_record want)
{
	assert_string_equal(got->spec, want.spec);
	free(got->spec);
	got->spec = want.spec;
	assert_memory_equal(got, &want, sizeof(want));
}

static void test_round_trip(void **state)
{
	struct fixture *x = *state;
	struct task_record rec = make(1, TASK_RUNNING), got;
	struct err e;

	insert(x, 1, TASK_RUNNING);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	assert_same(&got, rec);
	rec.state = TASK_ERROR;
	rec.finished_ns = UINT32_MAX * 4ULL;
	rec.exit_code = 137;
	(void)strcpy(rec.error, "later");
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_task_update(x->store, &rec, &e), 0);
	assert_int_equal(store_commit(x->store, &e), 0);
	reopen(x);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	assert_same(&got, rec);
	assert_int_equal(store_task_get(x->store, "ffffffffffffffffffffffff", &got, &e), -ENOENT);
	assert_int_equal(e.code, ERR_NOT_FOUND);
}

static int collect(void *arg, struct task_record *rec)
{
	char *ids = arg;

	strcat(ids, rec->id + TASK_ID_LEN - 1);
	return 0;
}

static int first_only(void *arg, struct task_record *rec)
{
	(void)collect(arg, rec);
	return 7;
}

static void test_lists(void **state)
{
	struct fixture *x = *state;
	char ids[64] = "", found[TASK_ID_LEN + 1], oldest[8][TASK_ID_LEN + 1];
	struct err e;
	unsigned n;

	insert(x, 1, TASK_COMPLETE);
	insert(x, 2, TASK_RUNNING);
	insert(x, 3, TASK_QUEUED);
	insert(x, 4, TASK_ERROR);
	insert(x, 5, TASK_CANCELLED);
	assert_int_equal(store_task_load_active(x->store, collect, ids, &e), 0);
	assert_string_equal(ids, "23");
	ids[0] = '\0';
	assert_int_equal(store_task_list(x->store, false, NULL, collect, ids, &e), 0);
	assert_string_equal(ids, "54321");
	ids[0] = '\0';
	assert_int_equal(store_task_list(x->store, true, NULL, collect, ids, &e), 0);
	assert_string_equal(ids, "32");
	ids[0] = '\0';
	assert_int_equal(
		store_task_list(x->store, false, "000000000000000000000003", collect, ids, &e), 0);
	assert_string_equal(ids, "21");
	ids[0] = '\0';
	assert_int_equal(store_task_list(x->store, false, NULL, first_only, ids, &e), 7);
	assert_string_equal(ids, "5");
	/* Prefixes: none, one, several. */
	assert_int_equal(store_task_find(x->store, "0001", found, &e), -ENOENT);
	assert_int_equal(store_task_find(x->store, "000000000000000000000004", found, &e), 0);
	assert_string_equal(found, "000000000000000000000004");
	assert_int_equal(store_task_find(x->store, "0000", found, &e), -EEXIST);
	/* The oldest of those that ended, beyond the newest that are kept. */
	assert_int_equal(store_task_oldest(x->store, 1, 8, oldest, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(oldest[0], "000000000000000000000001");
	assert_string_equal(oldest[1], "000000000000000000000004");
	assert_int_equal(store_task_oldest(x->store, 0, 2, oldest, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(store_task_oldest(x->store, 3, 8, oldest, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(store_task_oldest(x->store, 100, 8, oldest, &n, &e), 0);
	assert_int_equal(n, 0);
}

static int count_events(void *arg, uint64_t time_ns, const char *event, const char *detail)
{
	assert_string_equal(event, "accepted");
	assert_string_equal(detail, "");
	assert_int_equal(time_ns, 6);
	++*(int *)arg;
	return 0;
}

static void test_delete(void **state)
{
	struct fixture *x = *state;
	struct task_record got;
	struct err e;
	int n = 0;

	insert(x, 6, TASK_COMPLETE);
	assert_int_equal(store_history(x->store, "000000000000000000000006", count_events, &n, &e),
			 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_task_delete(x->store, "000000000000000000000006", &e), 0);
	assert_int_equal(store_task_get(x->store, "000000000000000000000006", &got, &e), -ENOENT);
	assert_int_equal(store_history(x->store, "000000000000000000000006", count_events, &n, &e),
			 0);
	assert_int_equal(n, 1);
}

static void test_rollback(void **state)
{
	struct fixture *x = *state;
	struct task_record rec = make(7, TASK_QUEUED), got;
	struct err e;

	assert_int_equal(store_begin(x->store, &e), 0);
	assert_int_equal(store_task_insert(x->store, &rec, &e), 0);
	store_rollback(x->store);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), -ENOENT);
	store_rollback(x->store); /* outside of a change: nothing */
	insert(x, 7, TASK_QUEUED);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	free(got.spec);
	/* The same id twice. */
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_true(store_task_insert(x->store, &rec, &e) < 0);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	store_rollback(x->store);
	insert(x, 8, TASK_QUEUED);
}

/* A child commits one task after the other, tells which, and is killed at any moment. */
static void test_kill(void **state)
{
	struct fixture *x = *state;
	unsigned next = 100;

	for (int round = 0; round < 20; round++) {
		int pipefd[2];
		unsigned told = 0, n;
		pid_t pid;

		assert_int_equal(pipe2(pipefd, O_CLOEXEC), 0);
		store_free(x->store);
		x->store = NULL;
		pid = fork();
		if (pid == 0) {
			struct err e;

			if (store_open(x->fd, &x->store, &e) < 0)
				_exit(1);
			for (n = next;; n++) {
				insert(x, n, TASK_RUNNING);
				if (write(pipefd[1], &n, sizeof(n)) != sizeof(n))
					_exit(1);
			}
		}
		(void)close(pipefd[1]);
		for (int i = 0; i <= round; i++)
			assert_int_equal(read(pipefd[0], &told, sizeof(told)), sizeof(told));
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, NULL, 0), pid);
		while (read(pipefd[0], &n, sizeof(n)) == sizeof(n))
			told = n;
		(void)close(pipefd[0]);
		reopen(x);
		for (n = next; n <= told; n++) {
			struct task_record rec = make(n, TASK_RUNNING), got;
			struct err e;

			assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
			free(got.spec);
		}
		/* One more may have been written and not told. */
		next = told + 2;
	}
}

static void test_other_version(void **state)
{
	struct fixture *x = *state;
	struct store *store;
	sqlite3 *db;
	struct err e;

	store_free(x->store);
	x->store = NULL;
	assert_int_equal(sqlite3_open("tasks.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, "PRAGMA user_version = 77", NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_true(store_open(x->fd, &store, &e) < 0);
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_non_null(strstr(e.msg, "version 77"));
}

static void test_no_database(void **state)
{
	struct fixture *x = *state;
	struct store *store;
	struct err e;
	int fd;

	store_free(x->store);
	x->store = NULL;
	fd = open("tasks.db", O_WRONLY | O_TRUNC | O_CLOEXEC);
	assert_true(fd >= 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(write(fd, "garbage!", 8), 8);
	(void)close(fd);
	assert_true(store_open(x->fd, &store, &e) < 0);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	/* Nor a link to somewhere else. */
	assert_int_equal(unlink("tasks.db"), 0);
	assert_int_equal(symlink("/etc/passwd", "tasks.db"), 0);
	assert_true(store_open(x->fd, &store, &e) < 0);
}

/* A file system of 1 MiB: writes fail with a clear error, and work again with space. */
static void test_full_disk(void **state)
{
	struct task_record rec = make(1, TASK_QUEUED), got;
	char spec[4096], dir[] = "/tmp/store-XXXXXX", first[TASK_ID_LEN + 1];
	struct store *store;
	struct err e = {0};
	unsigned n;
	int fd, r = 0;

	(void)state;
	assert_non_null(mkdtemp(dir));
	if (mount("tmpfs", dir, "tmpfs", 0, "size=1m") < 0) {
		(void)rmdir(dir);
		skip();
	}
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(store_open(fd, &store, &e), 0);
	memset(spec, 'x', sizeof(spec) - 1);
	spec[sizeof(spec) - 1] = '\0';
	rec.spec = spec;
	for (n = 1; r == 0 && n < 2000; n++) {
		(void)snprintf(rec.id, sizeof(rec.id), "%024x", n);
		r = store_begin(store, &e);
		if (r == 0)
			r = store_task_insert(store, &rec, &e);
		if (r == 0)
			r = store_commit(store, &e);
		if (r < 0)
			store_rollback(store);
	}
	assert_true(r < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	(void)snprintf(first, sizeof(first), "%024x", 1);
	assert_int_equal(store_task_get(store, first, &got, &e), 0);
	free(got.spec);
	assert_int_equal(store_task_get(store, rec.id, &got, &e), -ENOENT);
	assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=8m"), 0);
	assert_int_equal(store_begin(store, &e), 0);
	assert_int_equal(store_task_insert(store, &rec, &e), 0);
	assert_int_equal(store_commit(store, &e), 0);
	store_free(store);
	(void)close(fd);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* No folder above needs to be searchable: the store is opened by the folder's fd. */
static void test_hidden_folder(void **state)
{
	struct fixture *x = *state;
	int status;
	pid_t pid;

	store_free(x->store);
	x->store = NULL;
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(mkdirat(x->fd, "front", 0700), 0);
	assert_int_equal(fchownat(x->fd, "front", 65534, 65534, 0), 0);
	pid = fork();
	if (pid == 0) {
		int fd = openat(x->fd, "front", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		struct store *store;
		struct err e;

		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		_exit(store_open(fd, &store, &e) == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)unlinkat(x->fd, "front/tasks.db", 0);
	(void)unlinkat(x->fd, "front/tasks.db-wal", 0);
	assert_int_equal(unlinkat(x->fd, "front", AT_REMOVEDIR), 0);
}

/* What a release before projects and codes had left. */
static void test_upgrade(void **state)
{
	static const char old[] =
		"CREATE TABLE tasks (id TEXT PRIMARY KEY NOT NULL, project TEXT NOT NULL,"
		" image TEXT NOT NULL, image_digest BLOB NOT NULL, policy TEXT NOT NULL,"
		" policy_id BLOB NOT NULL, has_package INTEGER NOT NULL, package BLOB NOT NULL,"
		" label TEXT NOT NULL, priority INTEGER NOT NULL, requested_by INTEGER NOT NULL,"
		" state INTEGER NOT NULL, verdict INTEGER NOT NULL, start_asked INTEGER NOT NULL,"
		" start_mode INTEGER NOT NULL, start_us INTEGER NOT NULL,"
		" exit_code INTEGER NOT NULL, signal INTEGER NOT NULL, created_ns INTEGER NOT NULL,"
		" started_ns INTEGER NOT NULL, finished_ns INTEGER NOT NULL,"
		" cancel_ns INTEGER NOT NULL, cpu_us INTEGER NOT NULL,"
		" memory_peak INTEGER NOT NULL, log_known INTEGER NOT NULL,"
		" log_lines INTEGER NOT NULL, log_bytes INTEGER NOT NULL,"
		" log_dropped INTEGER NOT NULL, limit_memory INTEGER NOT NULL,"
		" limit_disk INTEGER NOT NULL, limit_log INTEGER NOT NULL,"
		" limit_cpu_milli INTEGER NOT NULL, limit_pids INTEGER NOT NULL,"
		" limit_timeout_s INTEGER NOT NULL, limit_nofile INTEGER NOT NULL,"
		" warm TEXT NOT NULL, warning TEXT NOT NULL, error TEXT NOT NULL,"
		" spec TEXT NOT NULL);"
		"CREATE INDEX tasks_created ON tasks (created_ns);"
		"CREATE INDEX tasks_finished ON tasks (finished_ns);"
		"CREATE TABLE history (task_id TEXT NOT NULL, time_ns INTEGER NOT NULL,"
		" event TEXT NOT NULL, detail TEXT NOT NULL);"
		"CREATE INDEX history_task ON history (task_id);"
		"INSERT INTO tasks VALUES ('000000000000000000000001', 'default', 'iron',"
		" zeroblob(32), 'strict', zeroblob(32), 0, zeroblob(32), 'old', 1, 0, 3, 1, 0, 1,"
		" 2, 0, 0, 5, 6, 7, 0, 8, 9, 1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 'json', '',"
		" 'e', '{\"code\":\"x\"}');"
		"PRAGMA user_version = 1";
	struct fixture *x = *state;
	struct task_record rec = make(2, TASK_QUEUED), got;
	sqlite3 *db;
	struct err e;

	store_free(x->store);
	x->store = NULL;
	assert_int_equal(unlinkat(x->fd, "tasks.db", 0), 0);
	assert_int_equal(sqlite3_open("tasks.db", &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	assert_int_equal(store_open(x->fd, &x->store, &e), 0);
	assert_int_equal(store_task_get(x->store, "000000000000000000000001", &got, &e), 0);
	assert_string_equal(got.project, PROJECT_DEFAULT_ID);
	assert_string_equal(got.label, "old");
	assert_string_equal(got.error, "e");
	assert_string_equal(got.code, "");
	assert_int_equal(got.limits.nofile, 19);
	assert_string_equal(got.spec, "{\"code\":\"x\"}");
	free(got.spec);
	insert(x, 2, TASK_QUEUED);
	reopen(x);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	assert_same(&got, rec);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_round_trip),  WITH_STORE(test_lists),
		WITH_STORE(test_delete),      WITH_STORE(test_rollback),
		WITH_STORE(test_kill),	      WITH_STORE(test_other_version),
		WITH_STORE(test_no_database), WITH_STORE(test_hidden_folder),
		WITH_STORE(test_upgrade),     cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
