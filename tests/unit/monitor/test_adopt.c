// SPDX-License-Identifier: Apache-2.0
/* What a new monitor does with the records that it finds: a process belongs to a task only if it is
 * the process that the record names, and an ended task is told of once, with the first verdict. */
#include <signal.h>
#include <sys/wait.h>

#include "supervisor/monitor/fork/clone.h"
#include "tests/unit/monitor_rig.h"

/* A process that is not a sandbox's init, and that must not be touched. */
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

	/* After the records adopt_all lists the cgroups, which do not exist here: its error does
	 * not matter. */
	(void)adopt_all(rig->m, &e);
}

static const struct mon_exited *told(struct monitor_rig *rig)
{
	struct box *b = box_find(rig->m, RIG_ID);

	assert_non_null(b);
	assert_int_equal(b->state, BOX_ENDED);
	assert_int_equal(b->exit_msg.h.type, MON_EXITED);
	return &b->exit_msg.exited;
}

/* A record whose pid is of another boot, or now belongs to another process. */
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

/* An incomplete or damaged record belongs to a task that never ran: it is removed, and nothing is
 * told. */
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
	/* A file whose name is not a task's id is left alone. */
	(void)close(record_new(rig->m, "README", &(struct run_record){0}));
	adopt(rig);
	assert_true(record_is_there(rig->m, "README"));
	assert_true(lives(pid));
	end(pid);
}

/* The task ended while there was no monitor: its init has written how. */
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
	/* The next monitor tells the same verdict, although the cgroup is gone by then. */
	box_free(box_find(rig->m, RIG_ID));
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_EXIT);
	assert_int_equal(told(rig)->finished_ns, 77);
}

/* A task that a former monitor had killed was cancelled, whatever else is known; a number that is
 * not a verdict counts as none. */
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

/* The front that asked for a warm-up is gone: its end is not told, and its address is not given
 * away until it is gone too. */
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
	/* An address that no sandbox can have is neither looked up nor given back. */
	run.kind = RUN_TASK;
	run.net_index = NET_INDEX_MAX + 1;
	(void)close(record_new(rig->m, RIG_ID, &run));
	adopt(rig);
	assert_int_equal(told(rig)->verdict, VERDICT_LOST);
}

/* The kind of a record: that of a warm-up is removed, that of a clone has a payload that a keeper
 * has made, and a record of an unknown kind, or of a kind that has no records, counts as a task's
 * and is told of. */
static void test_kinds(void **state)
{
	static const struct {
		uint8_t kind;
		int32_t payload_pid;
		const struct box_kind *want;
	} rows[] = {
		{RUN_TASK, 0, &box_task},	{RUN_TASK, 1, &box_task},
		{RUN_TASK, -5, &box_task},	{RUN_TASK, 2000000001, &box_clone},
		{RUN_TEMPLATE, 0, &box_task},	{RUN_PARKED, 2000000001, &box_task},
		{RUN_PARKED + 1, 0, &box_task}, {255, 2, &box_task},
	};
	struct monitor_rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct run_record run = record_of(2000000000, 1);
		struct box *b;

		run.kind = rows[i].kind;
		run.payload_pid = rows[i].payload_pid;
		(void)close(record_new(rig->m, RIG_ID, &run));
		adopt(rig);
		assert_int_equal(told(rig)->verdict, VERDICT_LOST);
		b = box_find(rig->m, RIG_ID);
		assert_ptr_equal(b->kind, rows[i].want);
		assert_true(box_is_task(b));
		box_free(b);
		assert_int_equal(unlinkat(rig->m->tasks_fd, RIG_ID, 0), 0);
	}
}

/* Makes a process that has two pipes at the descriptors at which a sandbox's init keeps its
 * payload's pipes. */
static pid_t init_with_pipes(struct run_record *run)
{
	int out[2], err[2];
	struct stat st;
	uint64_t start;
	pid_t pid;

	assert_int_equal(pipe(out), 0);
	assert_int_equal(pipe(err), 0);
	pid = fork();
	if (pid == 0) {
		/* The copies have high numbers, so that neither dup2 overwrites the other pipe. */
		const int high[2] = {fcntl(out[0], F_DUPFD, 100), fcntl(err[0], F_DUPFD, 100)};

		(void)dup2(high[0], INIT_FD_OUT);
		(void)dup2(high[1], INIT_FD_ERR);
		(void)pause();
		_exit(0);
	}
	assert_true(pid > 0);
	assert_int_equal(util_proc_start_time(pid, &start), 0);
	*run = record_of(pid, start);
	assert_int_equal(fstat(out[0], &st), 0);
	run->out_ino = st.st_ino;
	assert_int_equal(fstat(err[0], &st), 0);
	run->err_ino = st.st_ino;
	for (int i = 0; i < 2; i++) {
		(void)close(out[i]);
		(void)close(err[i]);
	}
	return pid;
}

/* A clone's task continues. A new monitor must assume that it has begun, so it is never started
 * again. Its payload is watched if it is the process that the record names. */
static void test_clone(void **state)
{
	struct monitor_rig *rig = *state;
	uint64_t payload_start;
	pid_t payload = bystander(&payload_start);
	struct run_record run;
	pid_t pid = init_with_pipes(&run);

	run.started = 1;
	run.deadline_ns = UINT64_MAX / 2;
	run.payload_pid = payload;
	for (int i = 0; i < 2; i++) {
		struct clone *c;

		run.payload_start = payload_start + (uint64_t)i;
		(void)close(record_new(rig->m, RIG_ID, &run));
		adopt(rig);
		c = clone_of(box_find(rig->m, RIG_ID));
		assert_non_null(c);
		assert_int_equal(c->state, CLONE_BEGUN);
		assert_int_equal(c->box.state, BOX_LIVES);
		assert_int_equal(c->payload_fd >= 0, i == 0);
		assert_true(c->box.out_r >= 0 && c->box.err_r >= 0);
		assert_non_null(c->box.deadline_src);
		box_free(&c->box);
		assert_int_equal(unlinkat(rig->m->tasks_fd, RIG_ID, 0), 0);
	}
	assert_true(lives(pid));
	end(pid);
	end(payload);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MONITOR(test_not_its_process), WITH_MONITOR(test_not_a_record),
		WITH_MONITOR(test_ended_meanwhile), WITH_MONITOR(test_killed_before),
		WITH_MONITOR(test_warm_up),	    WITH_MONITOR(test_kinds),
		WITH_MONITOR(test_clone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
