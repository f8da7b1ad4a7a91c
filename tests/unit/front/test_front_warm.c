// SPDX-License-Identifier: Apache-2.0
/* Checkpoints: for whom the front asks the monitor to make them, and in which order. */
#include "tests/unit/front_rig.h"

#include "wire/warm_load.h"

static void warmed(struct rig *r, uint32_t tag, int status)
{
	union proto_msg m = {0};

	proto_init(&m, MON_WARMED);
	m.warmed.tag = tag;
	m.warmed.status = status;
	m.warmed.dump_us = 80500;
	m.warmed.bytes = 1 << 20;
	strcpy(m.warmed.key, "abc");
	strcpy(m.warmed.error, status < 0 ? "criu says no" : "");
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

/* A checkpoint is asked for once for each key, also by the front itself when the monitor says after
 * a task that it wants one. */
static void test_warm(void **state)
{
	static const char text[] = "{\"op\":\"warm\",\"image\":\"python\"}";
	struct rig *r = *state;
	int a, b, c;
	char id[TASK_ID_LEN + 1];
	union proto_msg m;
	json_t *reply;
	uint32_t tag;

	rig_start(r, true);
	a = rig_connect(r);
	b = rig_connect(r);
	c = rig_connect(r);
	rig_request(a, text);
	rig_expect(r, false, MON_WARM, &m, NULL);
	tag = m.warm.tag;
	assert_string_equal(m.warm.warm, "json\nre");
	assert_int_equal(m.warm.force, 0);
	assert_int_equal(m.warm.wish, WARM_FOR_OPERATOR);
	assert_int_equal(m.warm.limits.memory, 0);
	assert_memory_equal(m.warm.image, r->image, 32);
	rig_request(b, text);
	rig_request(c, "{\"op\":\"warm\",\"image\":\"python\",\"imports\":[],\"force\":true}");
	/* A request for another key does not wait for the first. */
	rig_expect(r, false, MON_WARM, &m, NULL);
	assert_string_equal(m.warm.warm, "");
	assert_int_equal(m.warm.force, 1);
	assert_true(rig_quiet(r->monitor, 30));
	warmed(r, tag, 0);
	for (int i = 0; i < 2; i++) {
		reply = rig_reply(i ? b : a);
		assert_string_equal(rig_text(reply, "key"), "abc");
		assert_true(json_real_value(json_object_get(reply, "dump_ms")) == 80.5);
		json_decref(reply);
	}
	warmed(r, m.warm.tag, -EIO);
	rig_expect_error(rig_reply(c), "system", "no checkpoint was made: criu says no");
	for (int i = 0; i < 2; i++) {
		(void)close(rig_run(r, RIG_CODE, id));
		rig_started(r, id, i ? WARM_FOR_NOBODY : WARM_FOR_IMAGE);
		rig_exited(r, id, VERDICT_OK, 0);
		rig_log_end(r, id);
		rig_expect(r, false, MON_FORGET, &m, NULL);
		if (i == 0) {
			rig_expect(r, false, MON_WARM, &m, NULL);
			assert_int_equal(m.warm.wish, WARM_FOR_IMAGE);
			assert_int_equal(m.warm.limits.memory, 64 << 20);
			warmed(r, m.warm.tag, -EAGAIN);
		}
		assert_true(rig_quiet(r->monitor, 30));
	}
	(void)close(a);
	(void)close(b);
	(void)close(c);
}

/* Ends a task of the project whose own list names one module. */
static void end_wanting(struct rig *r, const char *project, unsigned nr)
{
	char text[200], id[TASK_ID_LEN + 1];
	union proto_msg m;

	(void)snprintf(
		text, sizeof(text),
		"{\"op\":\"run\",\"image\":\"python\",\"project\":\"%s\",\"task\":{\"code\":\"x\","
		"\"warm\":{\"imports\":[\"m%u\"]}}}",
		project, nr);
	(void)close(rig_run(r, text, id));
	rig_started(r, id, WARM_FOR_TASK);
	rig_exited(r, id, VERDICT_OK, 0);
	rig_log_end(r, id);
	rig_expect(r, false, MON_FORGET, &m, NULL);
}

static uint32_t expect_warm(struct rig *r, const char *list, uint32_t owner)
{
	union proto_msg m;

	rig_expect(r, false, MON_WARM, &m, NULL);
	assert_string_equal(m.warm.warm, list);
	assert_int_equal(m.warm.wish, WARM_FOR_TASK);
	assert_int_equal(m.warm.owner, owner);
	return m.warm.tag;
}

static void create(struct rig *r, const char *name)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "{\"op\":\"project_create\",\"name\":\"%s\"}", name);
	json_decref(rig_call(r, text));
}

/* A project's lists leave room for the operator's, which come first; of too many that wait the
 * last are lost. */
static void test_warm_places(void **state)
{
	enum { RUN = WARM_OF_PROJECT_MAX, WAIT = 16, OF_OPERATOR = WARM_PLACES - RUN + 1 };
	struct rig *r = *state;
	uint32_t tags[RUN];
	char text[100], name[8];
	union proto_msg m;
	int conns[OF_OPERATOR + 1];

	rig_start(r, true);
	for (unsigned i = 0; i < RUN + WAIT + 2; i++) {
		end_wanting(r, "default", i);
		(void)snprintf(name, sizeof(name), "m%u", i);
		if (i < RUN)
			tags[i] = expect_warm(r, name, 0);
	}
	assert_true(rig_quiet(r->monitor, 30));
	for (unsigned i = 0; i < ARRAY_SIZE(conns); i++) {
		conns[i] = rig_connect(r);
		(void)snprintf(text, sizeof(text),
			       "{\"op\":\"warm\",\"image\":\"python\",\"imports\":[\"o%u\"]}", i);
		rig_request(conns[i], text);
		if (i < OF_OPERATOR)
			rig_expect(r, false, MON_WARM, &m, NULL);
	}
	(void)snprintf(name, sizeof(name), "o%u", OF_OPERATOR - 1);
	assert_string_equal(m.warm.warm, name);
	assert_true(rig_quiet(r->monitor, 30));
	/* The place that a task's list had is the operator's now. */
	warmed(r, tags[0], -EIO);
	rig_expect(r, false, MON_WARM, &m, NULL);
	(void)snprintf(name, sizeof(name), "o%u", OF_OPERATOR);
	assert_string_equal(m.warm.warm, name);
	/* The operator's lists end, and the place goes back to tasks' lists, the oldest first. */
	for (unsigned i = 0; i < WAIT; i++) {
		warmed(r, m.warm.tag, 0);
		rig_expect(r, false, MON_WARM, &m, NULL);
		(void)snprintf(name, sizeof(name), "m%u", RUN + i);
		assert_string_equal(m.warm.warm, name);
	}
	warmed(r, m.warm.tag, 0);
	assert_true(rig_quiet(r->monitor, 30));
	for (unsigned i = 0; i < ARRAY_SIZE(conns); i++)
		(void)close(conns[i]);
}

/* A project that has all the warm-ups that it may have, and as many more that wait, is in nobody's
 * way. */
static void test_warm_shares(void **state)
{
	enum { RUN = WARM_OF_PROJECT_MAX, WAIT = 16 };
	struct rig *r = *state;
	uint32_t tag;
	char name[8];

	rig_start(r, true);
	create(r, "b");
	create(r, "c");
	for (unsigned i = 0; i < RUN + WAIT; i++) {
		end_wanting(r, "default", i);
		(void)snprintf(name, sizeof(name), "m%u", i);
		if (i < RUN)
			(void)expect_warm(r, name, 0);
	}
	/* This includes a list that waits within the first project's share. */
	end_wanting(r, "b", RUN);
	(void)snprintf(name, sizeof(name), "m%u", RUN);
	tag = expect_warm(r, name, 1);
	end_wanting(r, "c", 100);
	(void)expect_warm(r, "m100", 2);
	/* A further list of the project needs one of the places that are left. */
	end_wanting(r, "b", 101);
	(void)expect_warm(r, "m101", 1);
	end_wanting(r, "c", 102);
	assert_true(rig_quiet(r->monitor, 30));
	warmed(r, tag, 0);
	(void)expect_warm(r, "m102", 2);
}

/* First warm-ups run while there is memory for one more; further ones leave some of it to others'
 * first. */
static void test_warm_memory(void **state)
{
	struct rig *r = *state;
	uint32_t tag;

	/* Warm-ups may use half of the memory, which is room for three with the policy's 64 MiB. */
	r->cfg.node_memory = 400ULL << 20;
	rig_start(r, true);
	create(r, "b");
	create(r, "c");
	create(r, "d");
	end_wanting(r, "default", 0);
	tag = expect_warm(r, "m0", 0);
	end_wanting(r, "default", 1);
	end_wanting(r, "default", 5);
	assert_true(rig_quiet(r->monitor, 30));
	end_wanting(r, "b", 2);
	(void)expect_warm(r, "m2", 1);
	end_wanting(r, "c", 3);
	(void)expect_warm(r, "m3", 2);
	end_wanting(r, "d", 4);
	assert_true(rig_quiet(r->monitor, 30));
	warmed(r, tag, 0);
	/* The oldest list that waits is next; the other lists of its project come after those of
	 * the others. */
	tag = expect_warm(r, "m1", 0);
	warmed(r, tag, 0);
	(void)expect_warm(r, "m4", 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_RIG(test_warm),
		WITH_RIG(test_warm_places),
		WITH_RIG(test_warm_shares),
		WITH_RIG(test_warm_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
