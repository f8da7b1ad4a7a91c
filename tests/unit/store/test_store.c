// SPDX-License-Identifier: Apache-2.0
/* The store with a real file: what was written is read again, also after a kill -9. */
#include "tests/unit/store_rig.h"

#include <signal.h>
#include <sys/wait.h>

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
	assert_int_equal(store_end(x->store, 0, &e), 0);
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
	assert_int_equal(store_task_load_active(x->store, collect, NULL, ids, &e), 0);
	assert_string_equal(ids, "23");
	ids[0] = '\0';
	/* Prefixes of an id that match no task, one task, and several. */
	assert_int_equal(store_task_find(x->store, "0001", found, &e), -ENOENT);
	assert_int_equal(store_task_find(x->store, "000000000000000000000004", found, &e), 0);
	assert_string_equal(found, "000000000000000000000004");
	assert_int_equal(store_task_find(x->store, "0000", found, &e), -EEXIST);
	/* The oldest ended tasks, beyond the number of the newest that are kept. */
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
	struct kept_log removed;
	struct task_record got;
	struct err e;
	int n = 0;

	insert(x, 6, TASK_COMPLETE);
	assert_int_equal(store_history(x->store, "000000000000000000000006", count_events, &n, &e),
			 0);
	assert_int_equal(n, 1);
	assert_int_equal(store_task_delete(x->store, "000000000000000000000006", &removed, &e), 0);
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
	(void)store_end(x->store, -ECANCELED, NULL);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), -ENOENT);
	(void)store_end(x->store, -ECANCELED, NULL); /* does nothing, because no change was begun */
	insert(x, 7, TASK_QUEUED);
	assert_int_equal(store_task_get(x->store, rec.id, &got, &e), 0);
	task_record_clear(&got);
	/* A task with an id that is in the store already. */
	assert_int_equal(store_begin(x->store, &e), 0);
	assert_true(store_task_insert(x->store, &rec, &e) < 0);
	assert_int_equal(e.code, ERR_UNAVAILABLE);
	assert_int_equal(store_end(x->store, -ECANCELED, NULL), -ECANCELED);
	insert(x, 8, TASK_QUEUED);
}

/* A child commits one task after the other, prints the id of each, and is killed at any moment. */
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

			if (store_open(x->fd, schemas, &x->store, &e) < 0)
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
			task_record_clear(&got);
		}
		/* One more task may have been written whose id was not printed yet. */
		next = told + 2;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_round_trip), WITH_STORE(test_lists), WITH_STORE(test_delete),
		WITH_STORE(test_rollback),   WITH_STORE(test_kill),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
