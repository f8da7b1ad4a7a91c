// SPDX-License-Identifier: Apache-2.0
/* The store's file: of another version, no database, on a full disk, hidden, and an old one. */
#include "tests/unit/store_rig.h"

#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "supervisor/front/project.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_other_version),	  WITH_STORE(test_no_database),
		WITH_STORE(test_hidden_folder),	  WITH_STORE(test_upgrade),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
