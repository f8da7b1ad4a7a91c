// SPDX-License-Identifier: Apache-2.0
/* Every event in every state: what is allowed, and that nothing else changes anything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "supervisor/front/run/task.h"

#define NO (-1)

/* Rows: the state before; columns: the event, in the order of enum task_event. */
static const int matrix[TASK_STATE_MAX][TASK_EVENT_MAX] = {
	/*                  dispatch        requeue      started       complete       error
	 * cancelled       killed       timeout */
	[TASK_QUEUED] = {TASK_PREPARING, NO, NO, NO, TASK_ERROR, TASK_CANCELLED, NO, NO},
	[TASK_PREPARING] = {NO, TASK_QUEUED, TASK_RUNNING, TASK_COMPLETE, TASK_ERROR,
			    TASK_CANCELLED, TASK_KILLED, TASK_TIMEOUT},
	[TASK_RUNNING] = {NO, NO, NO, TASK_COMPLETE, TASK_ERROR, TASK_CANCELLED, TASK_KILLED,
			  TASK_TIMEOUT},
	[TASK_COMPLETE] = {NO, NO, NO, NO, NO, NO, NO, NO},
	[TASK_ERROR] = {NO, NO, NO, NO, NO, NO, NO, NO},
	[TASK_CANCELLED] = {NO, NO, NO, NO, NO, NO, NO, NO},
	[TASK_KILLED] = {NO, NO, NO, NO, NO, NO, NO, NO},
	[TASK_TIMEOUT] = {NO, NO, NO, NO, NO, NO, NO, NO},
};

static void test_matrix(void **state)
{
	(void)state;
	for (int s = 0; s < TASK_STATE_MAX; s++) {
		for (int ev = 0; ev < TASK_EVENT_MAX; ev++) {
			struct task_record rec = {.state = (uint32_t)s}, want = rec;
			int r = task_step(&rec, (enum task_event)ev);

			if (matrix[s][ev] == NO) {
				assert_int_equal(r, -EPROTO);
			} else {
				assert_int_equal(r, 0);
				want.state = (uint32_t)matrix[s][ev];
			}
			assert_memory_equal(&rec, &want, sizeof(rec));
		}
	}
}

static void test_unknown(void **state)
{
	struct task_record rec = {.state = TASK_RUNNING};

	(void)state;
	assert_int_equal(task_step(&rec, TASK_EVENT_MAX), -EPROTO);
	rec.state = TASK_STATE_MAX;
	assert_int_equal(task_step(&rec, TASK_EV_ERROR), -EPROTO);
	assert_int_equal(rec.state, TASK_STATE_MAX);
}

static void test_names(void **state)
{
	static const char *const names[] = {"queued", "preparing", "running", "complete",
					    "error",  "cancelled", "killed",  "timeout"};

	(void)state;
	for (int s = 0; s < TASK_STATE_MAX; s++) {
		assert_string_equal(task_state_name((enum task_state)s), names[s]);
		assert_int_equal(task_state_parse(names[s]), s);
		assert_int_equal(task_state_final((enum task_state)s), s > TASK_RUNNING);
	}
	assert_int_equal(task_state_parse("done"), -EINVAL);
	assert_string_equal(task_state_name(TASK_STATE_MAX), "unknown");
	assert_string_equal(task_event_name(TASK_EVENT_MAX), "unknown");
}

/* Wait statuses as the kernel makes them. */
#define EXITED(worker) ((worker) << 8)
#define SIGNALED(sig) (sig)

static void test_verdicts(void **state)
{
	static const struct {
		enum verdict verdict;
		int wait_status, exit_code, signal;
		enum task_event event;
	} cases[] = {
		{VERDICT_OK, EXITED(0), 0, 0, TASK_EV_COMPLETE},
		{VERDICT_EXIT, EXITED(3), 3, 0, TASK_EV_ERROR},
		{VERDICT_EXIT, EXITED(255), 255, 0, TASK_EV_ERROR},
		{VERDICT_SIGNAL, SIGNALED(SIGABRT), 134, SIGABRT, TASK_EV_KILLED},
		{VERDICT_SIGNAL, SIGNALED(SIGSEGV) | 0x80, 139, SIGSEGV, TASK_EV_KILLED},
		{VERDICT_TIMEOUT, SIGNALED(SIGKILL), 124, SIGKILL, TASK_EV_TIMEOUT},
		{VERDICT_TIMEOUT, EXITED(0), 124, 0, TASK_EV_TIMEOUT},
		{VERDICT_OOM, SIGNALED(SIGKILL), 137, SIGKILL, TASK_EV_ERROR},
		{VERDICT_OOM, EXITED(1), 137, 0, TASK_EV_ERROR},
		{VERDICT_PIDS, EXITED(1), 1, 0, TASK_EV_ERROR},
		{VERDICT_DISK, EXITED(1), 1, 0, TASK_EV_ERROR},
		{VERDICT_CANCELLED, SIGNALED(SIGTERM), 143, SIGTERM, TASK_EV_CANCELLED},
		{VERDICT_CANCELLED, SIGNALED(SIGKILL), 137, SIGKILL, TASK_EV_CANCELLED},
		{VERDICT_CANCELLED, EXITED(0), 0, 0, TASK_EV_CANCELLED},
		{VERDICT_CANCELLED, -1, 143, 0, TASK_EV_CANCELLED},
		{VERDICT_FAILED, -1, 125, 0, TASK_EV_ERROR},
		{VERDICT_LOST, -1, 125, 0, TASK_EV_ERROR},
		{VERDICT_EXIT, -1, 125, 0, TASK_EV_ERROR},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(task_exit_code(cases[i].verdict, cases[i].wait_status),
				 cases[i].exit_code);
		assert_int_equal(task_exit_signal(cases[i].wait_status), cases[i].signal);
		assert_int_equal(task_verdict_event(cases[i].verdict), cases[i].event);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_matrix),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_verdicts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
