// SPDX-License-Identifier: Apache-2.0
/*
 * Background workers in a real front. The test plays the monitor, the runtime in the sandboxes, and the
 * worker's process, which is hostile in the last of them.
 */
#include "tests/unit/web_rig.h"

#include "lib/fdpass.h"
#include "wire/background.h"

#define WORKER_MANIFEST                                                                            \
	"{\"format\":1,\"app\":\"send-mail\",\"name\":\"worker\",\"type\":\"python-worker\","      \
	"\"ready\":\"notify\",\"background\":{\"worker\":\"mail.send\",\"attempts\":2,"            \
	"\"backoff_s\":0}}"
#define ASK_OF(op, more)                                                                           \
	"{\"op\":\"background_" op "\",\"project\":\"default\",\"worker\":\"send_mail\"" more "}"

struct replica_run {
	struct run run;
	int channel, listening, line;
};

static json_t *expect_ok(json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	return reply;
}

static struct replica_run start_replica(struct rig *r)
{
	struct replica_run i = {.run = expect_start(r), .line = -1};
	unsigned n = 1;
	char zero;

	rig_readable(i.run.serve);
	i.channel = accept4(i.run.serve, NULL, NULL, SOCK_CLOEXEC);
	assert_true(i.channel >= 0);
	rig_readable(i.channel);
	assert_int_equal(fds_recvv(i.channel, &zero, 1, &i.listening, &n, 0, NULL), 1);
	assert_int_equal(n, 1);
	json_decref(hear(i.channel));
	rig_started(r, i.run.id, WARM_FOR_NOBODY);
	say(i.channel, "{\"op\":\"ready\"}", NULL, 0);
	return i;
}

/* The front's connection to the worker's process. */
static void meet(struct replica_run *i)
{
	util_close_fd(&i->line);
	rig_readable(i->listening);
	i->line = accept4(i->listening, NULL, NULL, SOCK_CLOEXEC);
	assert_true(i->line >= 0);
}

static void begin_work(struct replica_run *i)
{
	json_t *o;

	meet(i);
	say(i->line, "{\"op\":\"hello\",\"kind\":\"queue\",\"window\":4,\"by_rank\":false}", NULL,
	    0);
	o = hear(i->line);
	assert_string_equal(rig_text(o, "op"), "go");
	json_decref(o);
}

static struct replica_run put(struct rig *r)
{
	const int conn = rig_connect(r), fd = tar("code/a", "x");
	struct replica_run i;

	rig_request_fds(
		conn,
		"{\"op\":\"service_put\",\"project\":\"default\",\"manifest\":" WORKER_MANIFEST "}",
		&fd, 1);
	(void)close(fd);
	i = start_replica(r);
	json_decref(expect_ok(rig_reply(conn)));
	(void)close(conn);
	begin_work(&i);
	return i;
}

static void leave(struct replica_run *i)
{
	util_close_fd(&i->line);
	util_close_fd(&i->listening);
	util_close_fd(&i->channel);
	util_close_fd(&i->run.serve);
}

/* Items of one frame: how many there are; the first one's numbers. 0: it is another frame. */
static unsigned hear_items_or_told(int line, uint64_t *id, uint32_t *attempt)
{
	json_t *o;
	unsigned n = 0;
	uint32_t len;

	memset(hear_body, 0, sizeof(hear_body));
	o = hear(line);
	if (strcmp(rig_text(o, "op"), "items") != 0) {
		json_decref(o);
		return 0;
	}
	json_decref(o);
	memcpy(id, hear_body, 8);
	memcpy(attempt, hear_body + 8, 4);
	/* Behind them are the items' bytes, which are short here: the frame ends with a NUL that is none. */
	for (const char *at = hear_body; at[25]; at += BACKGROUND_ITEM_HEAD + len, n++)
		memcpy(&len, at + 25, 4);
	return n;
}

static unsigned hear_items(int line, uint64_t *id, uint32_t *attempt)
{
	const unsigned n = hear_items_or_told(line, id, attempt);

	assert_true(n > 0);
	return n;
}

static void say_end(int line, uint64_t id, uint32_t attempt, uint8_t end)
{
	uint8_t body[15] = {0};

	memcpy(body, &id, 8);
	memcpy(body + 8, &attempt, 4);
	body[12] = end;
	say(line, "{\"op\":\"ends\",\"n\":1}", body, sizeof(body));
}

static void expect_told(int line)
{
	json_t *o = hear(line);

	assert_string_equal(rig_text(o, "op"), "told");
	json_decref(o);
}

static json_int_t of(struct rig *r, const char *key)
{
	json_t *reply = expect_ok(rig_call(r, ASK_OF("info", "")));
	const json_int_t n =
		json_integer_value(json_object_get(json_object_get(reply, "worker"), key));

	json_decref(reply);
	return n;
}

static void expect(struct rig *r, const char *key, json_int_t n)
{
	const uint64_t begin = util_monotonic_ns();

	while (of(r, key) != n)
		not_for_ever(begin);
}

static void test_items(void **state)
{
	struct rig *r = *state;
	struct replica_run i = put(r);
	uint32_t attempt, again;
	uint64_t id, other;

	json_decref(expect_ok(rig_call(r, ASK_OF("put", ",\"items\":[1,null]"))));
	assert_int_equal(hear_items(i.line, &id, &attempt), 2);
	assert_int_equal(attempt, 1);
	assert_int_equal(of(r, "held"), 2);
	say_end(i.line, id, attempt, BACKGROUND_DONE);
	expect_told(i.line);
	assert_int_equal(of(r, "done"), 1);
	/* Told twice, or with another attempt, it is none. */
	say_end(i.line, id, attempt, BACKGROUND_DONE);
	expect_told(i.line);
	say_end(i.line, id + 1, 7, BACKGROUND_DONE);
	expect_told(i.line);
	assert_int_equal(of(r, "done"), 1);
	/* Its process ends: the item has failed, and comes again. */
	begin_work(&i);
	assert_int_equal(hear_items(i.line, &other, &again), 1);
	assert_int_equal(other, id + 1);
	assert_int_equal(again, 2);
	assert_int_equal(of(r, "failed"), 1);
	say_end(i.line, other, 1, BACKGROUND_DONE);
	expect_told(i.line);
	assert_int_equal(of(r, "done"), 1);
	say_end(i.line, other, again, BACKGROUND_FAILED);
	expect_told(i.line);
	expect(r, "dead", 1);
	leave(&i);
}

/* A run that ends gives back what it had; what is put meanwhile waits. */
static void test_run_ends(void **state)
{
	struct rig *r = *state;
	struct replica_run i = put(r);
	uint32_t attempt;
	uint64_t id;

	json_decref(expect_ok(rig_call(r, ASK_OF("put", ",\"item\":\"x\""))));
	assert_int_equal(hear_items(i.line, &id, &attempt), 1);
	end_run(r, i.run.id, VERDICT_EXIT);
	leave(&i);
	expect(r, "ready", 1);
	json_decref(expect_ok(rig_call(r, ASK_OF("put", ",\"item\":\"y\""))));
	i = start_replica(r);
	begin_work(&i);
	assert_int_equal(hear_items(i.line, &id, &attempt), 2);
	/* Stopped, it gets no more, and keeps what it has until its run has ended. */
	json_decref(expect_ok(rig_call(r, ASK_OF("stop", ""))));
	json_decref(expect_ok(rig_call(r, ASK_OF("put", ",\"item\":\"z\""))));
	say_end(i.line, id, attempt, BACKGROUND_BACK);
	expect_told(i.line);
	end_run(r, i.run.id, VERDICT_OK);
	leave(&i);
	expect(r, "ready", 3);
	json_decref(expect_ok(rig_call(r, ASK_OF("start", ""))));
	i = start_replica(r);
	begin_work(&i);
	assert_int_equal(hear_items(i.line, &id, &attempt), 3);
	leave(&i);
}

static void test_refused(void **state)
{
	struct rig *r = *state;
	struct replica_run i = put(r);

	rig_expect_error(rig_call(r, ASK_OF("put", "")), "input", "item: must be given");
	rig_expect_error(rig_call(r, ASK_OF("put", ",\"items\":[]")), "input", "items: must be");
	rig_expect_error(rig_call(r, ASK_OF("trigger", "")), "input", "it is of the kind queue");
	rig_expect_error(rig_call(r, ASK_OF("retry", ",\"id\":5")), "not-found",
			 "there is no such dead letter");
	rig_expect_error(rig_call(r, "{\"op\":\"background_info\",\"project\":\"default\","
				     "\"worker\":\"send-mail\"}"),
			 "not-found", "there is no background worker send-mail");
	leave(&i);
}

/* What is no frame of ours ends the connection, and another one follows. */
static void test_hostile(void **state)
{
	static const struct {
		const char *head;
		unsigned char body[40];
		size_t len;
	} wrong[] = {
		{"{\"op\":\"hello\",\"kind\":\"queue\"}", {0}, 0}, /* twice */
		{"{\"op\":\"ends\",\"n\":1}", {1, 2, 3}, 3},
		{"{\"op\":\"ends\",\"n\":1}", {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0}, 15},
		{"{\"op\":\"put\",\"n\":1}", {1}, 1},
		{"{\"op\":\"put\",\"n\":1}", {0}, 0},
		{"{\"op\":\"put\",\"n\":1}",
		 {1, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f, 0, 0, 0, 0},
		 13}, /* inf */
		{"{\"op\":\"put\",\"n\":1}", {1, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255}, 13},
		{"no JSON", {0}, 0},
	};
	static const char *const odd[] = {
		"{\"op\":\"ran\",\"trigger\":99999999}",
		"{\"op\":\"ran\",\"trigger\":-1}",
		"{\"op\":\"tick\",\"tick\":-9223372036854775808}",
		"{\"op\":\"grid\",\"interval_ns\":-5}",
		"{\"op\":\"trigger\",\"to\":\"../x\"}",
		"{\"op\":\"trigger\"}",
		"{\"op\":\"unheard-of\"}",
	};
	struct rig *r = *state;
	struct replica_run i = put(r);
	uint32_t attempt;
	uint8_t byte;
	uint64_t id;
	json_t *o;

	for (size_t k = 0; k < ARRAY_SIZE(odd); k++)
		say(i.line, odd[k], NULL, 0);
	for (size_t k = 0; k < ARRAY_SIZE(wrong); k++) {
		say(i.line, wrong[k].head, wrong[k].body, wrong[k].len);
		while (recv(i.line, &byte, 1, 0) > 0)
			;
		begin_work(&i);
	}
	assert_int_equal(of(r, "ready"), 0);
	/* An error that is no UTF-8 is shown all the same, and an item that is no JSON. */
	say(i.line, "{\"op\":\"put\",\"n\":2}", "\0\0\0\0\0\0\0\0\0\2\0\0\0{\xff", 15);
	for (unsigned k = 0; k < 2; k++) {
		uint8_t end[17] = {0};

		do
			byte = (uint8_t)hear_items_or_told(i.line, &id, &attempt);
		while (!byte);
		memcpy(end, &id, 8);
		memcpy(end + 8, &attempt, 4);
		end[12] = BACKGROUND_FAILED;
		end[13] = 2;
		end[15] = 0xff;
		end[16] = 0x1b;
		say(i.line, "{\"op\":\"ends\",\"n\":3}", end, sizeof(end));
	}
	expect(r, "dead", 1);
	o = expect_ok(rig_call(r, ASK_OF("dead", "")));
	assert_string_equal(
		rig_text(json_array_get(json_object_get(o, "dead_letters"), 0), "error"),
		"\\xff\\x1b");
	json_decref(o);
	json_decref(expect_ok(rig_call(r, ASK_OF("put", ",\"item\":1"))));
	expect(r, "held", 1);
	leave(&i);
}

/* A front that was started again finds what the worker still has. */
static void test_restart(void **state)
{
	struct rig *r = *state;
	struct replica_run i = put(r);
	uint8_t held[12];
	uint32_t attempt, again;
	uint64_t id, other;
	union proto_msg m = {0};
	json_t *o;

	json_decref(expect_ok(rig_call(r, ASK_OF("put", ",\"items\":[1,2]"))));
	assert_int_equal(hear_items(i.line, &id, &attempt), 2);
	rig_kill(r);
	util_close_fd(&i.channel);
	rig_start(r, false);
	proto_init(&m, MON_RUNNING);
	memcpy(m.running.id, i.run.id, sizeof(m.running.id));
	m.running.mode = START_COLD;
	m.running.started = 1;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
	rig_send(r, MON_READY);
	rig_readable(i.run.serve);
	i.channel = accept4(i.run.serve, NULL, NULL, SOCK_CLOEXEC);
	rig_readable(i.channel);
	assert_int_equal(recv(i.channel, held, 1, 0), 1);
	json_decref(hear(i.channel));
	say(i.channel, "{\"op\":\"ready\"}", NULL, 0);
	meet(&i);
	/* It has the first one, and never got the second. */
	memcpy(held, &id, 8);
	memcpy(held + 8, &attempt, 4);
	say(i.line, "{\"op\":\"hello\",\"kind\":\"queue\",\"window\":4}", held, 12);
	o = hear(i.line);
	assert_string_equal(rig_text(o, "op"), "go");
	json_decref(o);
	assert_int_equal(hear_items(i.line, &other, &again), 1);
	assert_int_equal(other, id + 1);
	assert_int_equal(again, 2);
	assert_int_equal(of(r, "failed"), 0);
	say_end(i.line, id, attempt, BACKGROUND_DONE);
	expect_told(i.line);
	assert_int_equal(of(r, "done"), 1);
	leave(&i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_items),	WITH_WEB(test_run_ends), WITH_WEB(test_refused),
		WITH_WEB(test_hostile), WITH_WEB(test_restart),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
