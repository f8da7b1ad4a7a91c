// SPDX-License-Identifier: Apache-2.0
/* What a new monitor makes of the records that it finds: a process is taken for a task's only when
 * it is the one of the record, and what ended is told once, with the first verdict. */
#include <signal.h>
#include <sys/wait.h>

#include "tests/unit/monitor_rig.h"

/* A process that is not a sandbox's init, and that nothing may happen to. */
static pid_t bystander(uint64_t *start)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(util_proc_start_time(pid, start), 0);
	return pid;
}

static bool lives(pid_t pid)
{
	return waitpid(pid, NULL, WNOHANG) == 0;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static struct run_record record_of(pid_t pid, uint64_t start)
{
	struct run_record run = {.magic = RUN_RECORD_MAGIC,
				 .init_pid = pid,
				 .init_start = start,
				 .boot_id = "this-boot",
				 .id = RIG_ID,
				 .cgroup = RIG_ID,
				 .kind = RUN_TASK};

	return run;
}

static void adopt(struct monitor_rig *rig)
{
	struct err e = {0};

	/* The cgroups are listed afterwards, of which there are none here. */
	(void)adopt_all(rig->m, &e);
}

static const struct mon_exited *told(struct monitor_rig *rig)
{
	struct box *b = box_find(rig->m, RIG_ID);

	assert_non_null(b);
	assert_true(b->exited);
	assert_int_equal(b->exit_msg.h.type, MON_EXITED);
	return &b->exit_msg.exited;
}

/* A pid of another boot, or one that another process has got since. */
static void test_not_its_process(void **state)
{
	struct monitor_rig *rig = *state;
	uint64_t start;
	pid_t pid = bystander(&start);
	struct run_record run;

	for (int i = 0; i < 2; i++) {
		run = record_of(pid, start);
		if (i == 0)
			strcpy(run.boot_id, "last-boot");
		else
			run.init_start++;
		(void)close(record_new(rig->m, RIG_ID, &run));
		adopt(rig);
		assert_int_equal(told(rig)->verdict, VERDICT_LOST);
		assert_int_equal(box_find(rig->m, RIG_ID)->pidfd, -1);
		box_free(box_find(rig->m, RIG_ID));
		assert_int_equal(unlinkat(rig->m->tasks_fd, RIG_ID, 0), 0);
	}
	assert_true(lives(pid));
	end(pid);
}

/* One that is not whole is of a task that never ran: it goes, and nothing is told. */
static void test_not_a_record(void **state)
{
	struct monitor_rig *rig = *state;
	uint64_t start;
	pid_t pid = bystander(&start);

	for (int i = 0; i < 4; i++) {
		struct run_record run = record_of(pid, start);
		int fd;

		if (i == 0)
			run.magic++;
		else if (i == 1)
			run.id[0] = 'f';
		else if (i == 2)
			memset(run.cgroup, 'x', sizeof(run.cgroup));
		fd = record_new(rig->m, RIG_ID, &run);
		if (i == 3)
			assert_int_equal(ftruncate(fd, sizeof(run) - 1), 0);
		(void)close(fd);
		adopt(rig);
		assert_null(box_find(rig->m, RIG_ID));
		assert_false(record_is_there(rig->m, RIG_ID));
	}
	/* What has another name than a task's is nobody's. */
	(void)close(record_new(rig->m, "README", &(struct run_record){0}));
	adopt(rig);
	assert_true(record_is_there(rig->m, "README"));
	assert_true(lives(pid));
	end(pid);
}

/* It ended while no monitor was there: its init has written how. */
static void test_ended_meanwhile(void **state)
{
	const struct exit_record x = {
		.magic = EXIT_RECORD_MAGIC, .wait_status = 3 << 8, .finished_ns = 77};
	struct run_record run = record_of(2000000000, 1);
	struct monitor_rig *rig = *state;
	int fd = record_new(rig->m, RIG_ID, &run);

	assert_int_equal(pwrite(fd, &x, sizeof(x), EXIT_RECORD_OFFSET), sizeof(x));
	(void)close(fd);
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_EXIT);
	assert_int_equal(told(rig)->wait_status, 3 << 8);
	assert_int_equal(told(rig)->finished_ns, 77);
	/* The next monitor says the same, though its cgroup would tell nothing any more. */
	box_free(box_find(rig->m, RIG_ID));
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_EXIT);
	assert_int_equal(told(rig)->finished_ns, 77);
}

/* Whom a former monitor had killed was cancelled, whatever else is known; and a number that is no
 * verdict is none. */
static void test_killed_before(void **state)
{
	struct monitor_rig *rig = *state;
	struct run_record run = record_of(2000000000, 1);

	run.killed_for = VERDICT_TIMEOUT;
	(void)close(record_new(rig->m, RIG_ID, &run));
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_TIMEOUT);
	box_free(box_find(rig->m, RIG_ID));
	assert_int_equal(unlinkat(rig->m->tasks_fd, RIG_ID, 0), 0);
	run.killed_for = 1000;
	(void)close(record_new(rig->m, RIG_ID, &run));
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_LOST);
}

/* A warm-up's asker is gone: it is not told of, and its address is not given away meanwhile. */
static void test_warm_up(void **state)
{
	struct monitor_rig *rig = *state;
	struct run_record run = record_of(2000000000, 1);

	run.kind = RUN_WARM;
	run.net_index = 5;
	(void)close(record_new(rig->m, RIG_ID, &run));
	adopt(rig);
	assert_null(box_find(rig->m, RIG_ID));
	assert_false(record_is_there(rig->m, RIG_ID));
	/* One that no sandbox can have is neither looked up nor given back. */
	run.kind = RUN_TASK;
	run.net_index = NET_INDEX_MAX + 1;
	(void)close(record_new(rig->m, RIG_ID, &run));
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_LOST);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MONITOR(test_not_its_process), WITH_MONITOR(test_not_a_record),
		WITH_MONITOR(test_ended_meanwhile), WITH_MONITOR(test_killed_before),
		WITH_MONITOR(test_warm_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
