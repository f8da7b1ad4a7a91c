// SPDX-License-Identifier: Apache-2.0
/* The answers of a keeper, of which the monitor believes only what it can check, and which clone a
 * task gets. */
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "sandbox/fork/keeper.h"
#include "tests/unit/clone_rig.h"

#define TAG 7

/* A template whose keeper is played by this test. */
struct keeper_rig {
	struct template tpl;
	struct policy_entry rules;
	int sock;
};

static void keeper_begin(struct keeper_rig *k, struct monitor_rig *rig)
{
	int sk[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk), 0);
	memset(k, 0, sizeof(*k));
	k->sock = sk[1];
	k->tpl = (struct template){.m = rig->m,
				   .id = "rig",
				   .state = TEMPLATE_READY,
				   .sock = sk[0],
				   .of.package_fd = -1,
				   .rules = &k->rules};
}

static void keeper_end(struct keeper_rig *k)
{
	sd_event_source_disable_unref(k->tpl.io);
	sd_event_source_disable_unref(k->tpl.silence);
	sd_event_source_disable_unref(k->tpl.refill);
	util_close_fd(&k->tpl.sock);
	(void)close(k->sock);
}

/* A clone of that template. */
static struct clone *of_keeper(struct keeper_rig *k, struct monitor_rig *rig,
			       enum clone_state state)
{
	struct template unused;
	struct clone *c = clone_box(rig, &unused, state);

	c->template = &k->tpl;
	c->tag = TAG;
	c->next = k->tpl.clones;
	k->tpl.clones = c;
	return c;
}

static void answers(struct keeper_rig *k, uint32_t tag, int status, const int *fds, unsigned n)
{
	const struct template_answer a = {.tag = tag, .status = status, .text = "it cannot"};

	assert_int_equal(fds_send(k->sock, &a, sizeof(a), fds, (int)n, 0), 0);
	clone_answer(&k->tpl);
}

/* Makes two descriptors of one pipe; by the pipe's other end the test can see whether both were
 * closed. */
static void watched_pair(int fds[2], int *other)
{
	int p[2];

	assert_int_equal(pipe2(p, O_CLOEXEC), 0);
	fds[0] = p[1];
	fds[1] = fcntl(p[1], F_DUPFD_CLOEXEC, 3);
	*other = p[0];
}

static bool are_closed(int fds[2], int other)
{
	char c;

	(void)close(fds[0]);
	(void)close(fds[1]);
	assert_int_equal(fcntl(other, F_SETFL, O_NONBLOCK), 0);
	return read(other, &c, 1) == 0;
}

/* An answer for a clone that was not asked for, or that was answered already, does nothing, and its
 * descriptors are closed. */
static void test_not_asked_for(void **state)
{
	static const enum clone_state states[] = {CLONE_MADE, CLONE_READY};
	struct monitor_rig *rig = *state;
	struct keeper_rig k;
	int fds[2], other;

	keeper_begin(&k, rig);
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct clone *c = of_keeper(&k, rig, states[i]);

		watched_pair(fds, &other);
		answers(&k, TAG, 0, fds, 2);
		answers(&k, TAG, -1, NULL, 0);
		assert_int_equal(c->state, states[i]);
		assert_int_equal(c->payload_fd, -1);
		assert_true(are_closed(fds, other));
		(void)close(other);
		k.tpl.clones = NULL;
		gone(rig);
	}
	watched_pair(fds, &other);
	answers(&k, TAG, 0, fds, 2);
	assert_true(are_closed(fds, other));
	(void)close(other);
	assert_int_equal(k.tpl.state, TEMPLATE_READY);
	keeper_end(&k);
}

/* After a message that is not an answer the keeper is not listened to any more. */
static void test_form(void **state)
{
	struct monitor_rig *rig = *state;
	struct keeper_rig k;
	struct clone *c;

	keeper_begin(&k, rig);
	c = of_keeper(&k, rig, CLONE_ASKED);
	assert_true(sd_event_add_io(rig->m->event, &k.tpl.io, k.tpl.sock, EPOLLIN, NULL, NULL) >=
		    0);
	assert_int_equal(send(k.sock, "short", 5, 0), 5);
	clone_answer(&k.tpl);
	assert_null(k.tpl.io);
	assert_int_equal(c->state, CLONE_ASKED);
	/* When no message has come, nothing is done. */
	clone_answer(&k.tpl);
	assert_int_equal(c->state, CLONE_ASKED);
	keeper_end(&k);
}

/* A keeper says once that it holds its template; any other message without a tag counts as a
 * failure of the template. */
static void test_held(void **state)
{
	struct monitor_rig *rig = *state;
	struct keeper_rig k;

	for (int i = 0; i < 2; i++) {
		keeper_begin(&k, rig);
		k.tpl.state = TEMPLATE_MAKING;
		answers(&k, 0, i, NULL, 0);
		assert_int_equal(k.tpl.state, i == 0 ? TEMPLATE_READY : TEMPLATE_RETIRED);
		if (i == 0)
			answers(&k, 0, 0, NULL, 0);
		assert_int_equal(k.tpl.state, TEMPLATE_RETIRED);
		assert_int_equal(k.tpl.failures, 1);
		keeper_end(&k);
	}
}

/* If a clone cannot be made, its task is started in another way, once, and so are the tasks of the
 * other clones that the template was asked for. An answer of success without descriptors counts as
 * a failure. */
static void test_refused(void **state)
{
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (int status = -1; status <= 0; status++) {
		struct keeper_rig k;
		union proto_msg msg;

		keeper_begin(&k, rig);
		(void)of_keeper(&k, rig, CLONE_ASKED_FOR);
		answers(&k, TAG, status, NULL, 0);
		assert_null(k.tpl.clones);
		assert_int_equal(k.tpl.state, TEMPLATE_RETIRED);
		/* The other way fails here, because there are no images. */
		assert_int_equal(next(roles.front, ROLE_FRONT, &msg), MON_EXITED);
		assert_int_equal(msg.exited.verdict, VERDICT_FAILED);
		assert_int_equal(to_front(&roles), 0);
		assert_int_equal(to_logger(&roles), 0);
		assert_ptr_equal(box_find(rig->m, RIG_ID)->kind, &box_task);
		gone(rig);
		keeper_end(&k);
	}
	roles_end(rig->m, &roles);
}

static pid_t sleeper(int *pidfd)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)pause();
		_exit(0);
	}
	assert_true(pid > 0);
	*pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	assert_true(*pidfd >= 0);
	return pid;
}

/* A clone that will wait is watched; a clone that was made for a task gets the task at once, with
 * its record. The clone's cgroup does not exist here, so it cannot get the task's limits: it is
 * killed before the task can begin, and the task is started in another way when the clone has
 * ended, and not before. */
static void test_made(void **state)
{
	static const enum clone_state asked[] = {CLONE_ASKED, CLONE_ASKED_FOR};
	struct monitor_rig *rig = *state;
	struct roles roles = roles_begin(rig->m);

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		struct keeper_rig k;
		struct shell_task task;
		int fds[2], got[2] = {-1, -1}, n_got = 2, ctl[2];
		pid_t init = sleeper(&fds[0]), payload = sleeper(&fds[1]);
		struct clone *c;

		assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ctl), 0);
		keeper_begin(&k, rig);
		c = of_keeper(&k, rig, asked[i]);
		util_close_fd(&c->box.record_fd);
		c->ctl = ctl[0];
		answers(&k, TAG, 0, fds, 2);
		assert_int_equal(c->box.pid, init);
		assert_int_equal(c->box.run.payload_pid, payload);
		assert_non_null(c->box.exit_src);
		assert_non_null(c->late_src);
		if (asked[i] == CLONE_ASKED) {
			assert_int_equal(c->state, CLONE_MADE);
			assert_ptr_equal(k.tpl.clones, c);
			assert_int_equal(kill(init, SIGKILL), 0);
		} else {
			assert_int_equal(c->state, CLONE_GIVEN);
			assert_null(k.tpl.clones);
			assert_int_equal(k.tpl.running, 1);
			assert_int_equal(
				fds_receive(ctl[1], &task, sizeof(task), got, &n_got, MSG_DONTWAIT),
				(int)sizeof(task));
			assert_int_equal(n_got, 2);
			assert_string_equal(task.id, RIG_ID);
			assert_true(c->box.failed);
			assert_ptr_equal(box_find(rig->m, RIG_ID), &c->box);
		}
		assert_int_equal(to_front(&roles), 0);
		while (box_find(rig->m, RIG_ID) && clone_of(box_find(rig->m, RIG_ID)))
			assert_true(sd_event_run(rig->m->event, (uint64_t)-1) >= 0);
		assert_int_equal(k.tpl.running, 0);
		assert_int_equal(k.tpl.none_waits, asked[i] == CLONE_ASKED);
		assert_int_equal(to_front(&roles), asked[i] == CLONE_ASKED ? 0 : MON_EXITED);
		assert_int_equal(to_front(&roles), 0);
		assert_int_equal(waitpid(init, NULL, 0), init);
		assert_int_equal(kill(payload, SIGKILL), 0);
		assert_int_equal(waitpid(payload, NULL, 0), payload);
		for (int j = 0; j < 2; j++) {
			util_close_fd(&got[j]);
			(void)close(fds[j]);
		}
		(void)close(ctl[1]);
		gone(rig);
		keeper_end(&k);
	}
	roles_end(rig->m, &roles);
}

/* A task gets a waiting clone that has the same limits and package. */
static void test_taken(void **state)
{
	struct monitor_rig *rig = *state;
	struct clone_kind kind = {.limits = {.memory = 5, .pids = 5}, .package_fd = -1};
	struct keeper_rig k;

	keeper_begin(&k, rig);
	for (enum clone_state s = CLONE_NEW; s < CLONE_GIVEN_EARLY; s++) {
		struct clone *c = of_keeper(&k, rig, s);
		const bool waits = s == CLONE_MADE || s == CLONE_READY;

		c->limits = kind.limits;
		assert_ptr_equal(pool_take(&k.tpl, &kind), waits ? c : NULL);
		assert_int_equal(pool_count(&k.tpl), waits || s == CLONE_ASKED);
		c->package[0] = 1;
		assert_null(pool_take(&k.tpl, &kind));
		c->package[0] = 0;
		c->limits.memory++;
		assert_null(pool_take(&k.tpl, &kind));
		k.tpl.clones = NULL;
		gone(rig);
	}
	keeper_end(&k);
}

/* When the pool is closed, clones that wait are dropped, and clones that are being made are not. */
static void test_closed(void **state)
{
	struct monitor_rig *rig = *state;
	struct keeper_rig k;

	for (enum clone_state s = CLONE_ASKED; s < CLONE_GIVEN_EARLY; s++) {
		const bool waits = s == CLONE_MADE || s == CLONE_READY;

		keeper_begin(&k, rig);
		(void)of_keeper(&k, rig, s);
		pool_close(&k.tpl, "a test");
		assert_true(k.tpl.none_waits);
		assert_int_equal(k.tpl.clones == NULL, waits);
		assert_int_equal(box_find(rig->m, RIG_ID) == NULL, waits);
		gone(rig);
		keeper_end(&k);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_MONITOR(test_not_asked_for), WITH_MONITOR(test_form), WITH_MONITOR(test_held),
		WITH_MONITOR(test_refused),	  WITH_MONITOR(test_made), WITH_MONITOR(test_taken),
		WITH_MONITOR(test_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
