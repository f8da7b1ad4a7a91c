// SPDX-License-Identifier: Apache-2.0
/* The store's file: one of another version, one that is not a database, one on a full disk, one
 * behind a folder that cannot be searched, and an old one. */
#include "tests/unit/store_rig.h"

#include <sqlite3.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "supervisor/front/core/project.h"
#include "supervisor/front/store/priv.h"
#include "supervisor/front/store/projects.h"

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
	assert_true(store_open(x->fd, schemas, &store, &e) < 0);
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
	assert_true(store_open(x->fd, schemas, &store, &e) < 0);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	/* A file that is a symlink is refused too. */
	assert_int_equal(unlink("tasks.db"), 0);
	assert_int_equal(symlink("/etc/passwd", "tasks.db"), 0);
	assert_true(store_open(x->fd, schemas, &store, &e) < 0);
}

/* On a file system of 1 MiB writes fail with a clear error, and work again when there is space. */
static void test_full_disk(void **state)
{
	struct task_record rec = make(1, TASK_QUEUED), got;
	char payload[4096], dir[] = "/tmp/store-XXXXXX", first[TASK_ID_LEN + 1];
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
	assert_int_equal(store_open(fd, schemas, &store, &e), 0);
	memset(payload, 'x', sizeof(payload) - 1);
	payload[sizeof(payload) - 1] = '\0';
	rec.payload = payload;
	for (n = 1; r == 0 && n < 2000; n++) {
		(void)snprintf(rec.id, sizeof(rec.id), "%024x", n);
		r = store_begin(store, &e);
		if (r == 0)
			r = store_end(store, store_task_insert(store, &rec, &e), &e);
	}
	assert_true(r < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	(void)snprintf(first, sizeof(first), "%024x", 1);
	assert_int_equal(store_task_get(store, first, &got, &e), 0);
	task_record_clear(&got);
	assert_int_equal(store_task_get(store, rec.id, &got, &e), -ENOENT);
	assert_int_equal(mount("tmpfs", dir, "tmpfs", MS_REMOUNT, "size=8m"), 0);
	assert_int_equal(store_begin(store, &e), 0);
	assert_int_equal(store_task_insert(store, &rec, &e), 0);
	assert_int_equal(store_end(store, 0, &e), 0);
	store_free(store);
	(void)close(fd);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(umount2(dir, MNT_DETACH), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* The store is opened by its folder's descriptor, so that no folder above has to be searchable. */
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
		_exit(store_open(fd, schemas, &store, &e) == 0 ? 0 : 3);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	(void)unlinkat(x->fd, "front/tasks.db", 0);
	(void)unlinkat(x->fd, "front/tasks.db-wal", 0);
	assert_int_equal(unlinkat(x->fd, "front", AT_REMOVEDIR), 0);
}

/* The file of a release that had no projects and no workers. */
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
	assert_int_equal(store_open(x->fd, schemas, &x->store, &e), 0);
	assert_int_equal(store_task_get(x->store, "000000000000000000000001", &got, &e), 0);
	assert_string_equal(got.project, PROJECT_DEFAULT_ID);
	assert_string_equal(got.label, "old");
	assert_string_equal(got.error, "e");
	assert_string_equal(got.worker, "");
	assert_int_equal(got.limits.nofile, 19);
	/* A task of the operator: the text that it has in place of a job is validated when the task
	 * is started. */
	assert_string_equal(got.job, "{\"code\":\"x\"}");
	assert_string_equal(got.payload, "");
	task_record_clear(&got);
	insert(x, 2, TASK_QUEUED);
	reopen(x);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	assert_same(&got, rec);
}

struct loaded {
	struct project_row rows[8];
	unsigned n;
};

static int add_project(void *arg, const struct project_row *row)
{
	struct loaded *l = arg;

	l->rows[l->n++ % 8] = *row;
	return 0;
}

static const struct project_row *named(const struct loaded *l, const char *name)
{
	for (unsigned i = 0; i < l->n; i++)
		if (strcmp(l->rows[i].name, name) == 0)
			return &l->rows[i];
	fail_msg("no project %s", name);
	return NULL;
}

/* A file of a release in which projects had no lists of what they may name: the projects keep the
 * policies that they name, get no bound that they did not have, and the size of their logs on the
 * disk is known. */
static void test_upgrade_names(void **state)
{
	static const char older[] =
		"DROP TABLE schema; DROP INDEX tasks_log;"
		"ALTER TABLE tasks DROP COLUMN log_disk; ALTER TABLE tasks DROP COLUMN log_gone;"
		"ALTER TABLE tasks DROP COLUMN together; ALTER TABLE tasks DROP COLUMN job; "
		"ALTER TABLE tasks DROP COLUMN wanted_by;"
		"ALTER TABLE tasks RENAME COLUMN payload TO spec;"
		"ALTER TABLE projects DROP COLUMN http_workers;"
		"ALTER TABLE projects DROP COLUMN http_versions;"
		"ALTER TABLE projects DROP COLUMN http_instances;"
		"ALTER TABLE projects DROP COLUMN http_rate;"
		"ALTER TABLE projects DROP COLUMN kv_bytes;"
		"ALTER TABLE projects DROP COLUMN hosts;"
		"ALTER TABLE projects DROP COLUMN services;"
		"ALTER TABLE projects DROP COLUMN service_replicas;"
		"ALTER TABLE projects DROP COLUMN service_versions;"
		"ALTER TABLE projects DROP COLUMN service_data_bytes;"
		"ALTER TABLE projects DROP COLUMN background_items;"
		"ALTER TABLE projects DROP COLUMN background_bytes;"
		"ALTER TABLE projects DROP COLUMN package_files;"
		"ALTER TABLE projects DROP COLUMN kept_log_bytes;"
		"ALTER TABLE projects DROP COLUMN policies;"
		"ALTER TABLE projects DROP COLUMN images;"
		"INSERT INTO projects VALUES ('1', 'plain', 1, 1, 0, 9, 100, 0, 0, 0),"
		" ('2', 'wide', 2, 1, 0, 0, 100, 0, 0, 0), ('3', 'many', 3, 1, 0, 0, 100, 0, 0, 0);"
		"INSERT INTO codes VALUES ('a', '1', 'a', 1, 0, 1, 1, NULL, NULL),"
		" ('b', '2', 'b', 2, 0, 1, 1, NULL, NULL), ('c', '3', 'c', 1, 0, 1, 1, NULL, NULL);"
		"INSERT INTO revisions VALUES ('a', 1, 'x', 1, '{\"policy\":\"\"}'),"
		" ('b', 1, 'x', 1, '{\"policy\":\"network\"}'),"
		" ('b', 2, 'x', 1, '{\"policy\":\"strict\"}'), ('b', 3, 'x', 1, '{}'),"
		" ('b', 4, 'x', 1, '{\"policy\":\"network\"}');"
		"WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 60)"
		" INSERT INTO revisions SELECT 'c', i, 'x', 1, "
		"'{\"policy\":\"a-long-name-of-a-policy-'"
		" || i || '\"}' FROM n;"
		"PRAGMA user_version = 2";
	struct fixture *x = *state;
	struct task_record rec = make(1, TASK_COMPLETE), got;
	struct loaded all = {0};
	struct err e = {0};
	sqlite3 *db;

	insert(x, 1, TASK_COMPLETE);
	store_free(x->store);
	x->store = NULL;
	assert_int_equal(sqlite3_open("tasks.db", &db), SQLITE_OK);
	if (sqlite3_exec(db, older, NULL, NULL, NULL) != SQLITE_OK ||
	    sqlite3_exec(db, "UPDATE tasks SET log_known = 1, log_bytes = 9000, log_dropped = 800",
			 NULL, NULL, NULL) != SQLITE_OK)
		fail_msg("%s", sqlite3_errmsg(db));
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	if (store_open(x->fd, schemas, &x->store, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(store_project_load(x->store, add_project, &all, &e), 0);
	assert_int_equal(all.n, 3);
	assert_string_equal(named(&all, "plain")->quota.policies, "default,strict");
	assert_int_equal(named(&all, "plain")->quota.queued, 9);
	assert_int_equal(named(&all, "plain")->quota.kept_log_bytes, 0);
	assert_string_equal(named(&all, "wide")->quota.policies, "default,strict,network");
	assert_string_equal(named(&all, "wide")->quota.images, "");
	/* A project that names more policies than the list holds may name all. */
	assert_string_equal(named(&all, "many")->quota.policies, "");
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	/* A worker's task keeps the payload that the task is given. */
	assert_string_equal(got.job, "");
	assert_string_equal(got.payload, rec.payload);
	task_record_clear(&got);
	assert_int_equal(got.log_disk, 12288 + 8192);
	assert_int_equal(got.log_gone, 0);
	reopen(x);
}

/* A row that holds what its struct cannot be is an error, not another row. */
static void test_damaged_row(void **state)
{
	static const char *const damages[] = {
		"state = 4294967296", /* it is not 0, "queued" */
		"exit_code = 4294967296",    "attempt = -2147483649",
		"cancel_ns = 'soon'",	     "created_ns = 1.5",
		"payload = x'00'",	     "payload = 'a' || char(0) || 'b'",
		"label = 'a' || char(0)",    "error = x'ff'",
		"code = printf('%300d', 1)", "image_digest = 'a text of bytes, as many: 32    '",
		"package = x'00'",	     "verdict = 99",
	};
	struct fixture *x = *state;
	const struct task_record rec = make(1, TASK_ERROR);
	struct task_record got;
	char sql[160];
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(damages); i++) {
		insert(x, 1, TASK_ERROR);
		(void)snprintf(sql, sizeof(sql), "UPDATE tasks SET %s", damages[i]);
		assert_int_equal(sqlite3_exec(x->store->db, sql, NULL, NULL, NULL), SQLITE_OK);
		e = (struct err){0};
		if (store_task_get(x->store, rec.id, &got, &e) >= 0 || e.code != ERR_INTERNAL)
			fail_msg("%s", damages[i]);
		assert_int_equal(sqlite3_exec(x->store->db, "DELETE FROM tasks", NULL, NULL, NULL),
				 SQLITE_OK);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_other_version),	  WITH_STORE(test_no_database),
		WITH_STORE(test_hidden_folder),	  WITH_STORE(test_upgrade),
		WITH_STORE(test_upgrade_names),	  WITH_STORE(test_damaged_row),
		cmocka_unit_test(test_full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
