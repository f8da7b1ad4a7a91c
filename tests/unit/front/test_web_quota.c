// SPDX-License-Identifier: Apache-2.0
/* Quotas of HTTP workers, and their snapshots when images change, in a real front. The test plays the
 * monitor, the code in the sandboxes, and the edge. */
#include "tests/unit/web_rig.h"

#define NAMED(name, more)                                                                          \
	"{\"name\":\"" name "\",\"main\":\"entry\",\"main_file\":\"entry.py\","                    \
	"\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\"" more "}"

static void ok(json_t *reply)
{
	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	json_decref(reply);
}

static void set_quota(struct rig *r, const char *quota)
{
	char text[256];

	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"project_quota\",\"project\":\"default\",\"quota\":{%s}}", quota);
	ok(rig_call(r, text));
}

static json_int_t shown(struct rig *r, const char *key)
{
	json_t *p = rig_call(r, "{\"op\":\"project\",\"project\":\"default\"}");
	const json_t *n = json_object_get(p, key);
	const json_int_t value = json_integer_value(n);

	assert_true(json_is_integer(n));
	json_decref(p);
	return value;
}

static void expect_refused(struct rig *r, const char *code, const char *what, const char *says)
{
	const int conn = begin_deploy(r);

	build(r, code);
	rig_expect_error(rig_reply(conn), what, says);
	(void)close(conn);
}

static void test_workers(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i;

	set_quota(r, "\"http_workers\":1");
	i = deploy(r, "one", version);
	assert_int_equal(shown(r, "http_workers"), 1);
	assert_int_equal(shown(r, "http_instances"), 1);
	manifest = NAMED("other", "");
	expect_refused(
		r, "two", "limit",
		"the project has 1 HTTP workers, and its quota \"http_workers\" is 1: remove "
		"one (sandboxctl deploy rm)");
	manifest = MANIFEST;
	/* Another version of the one that is there is none more. */
	forget(&i);
	i = deploy(r, "two", version);
	forget(&i);
}

static size_t count_versions(struct rig *r)
{
	json_t *reply =
		rig_call(r, "{\"op\":\"web_versions\",\"project\":\"default\",\"name\":\"hello\"}");
	const size_t n = json_array_size(json_object_get(reply, "versions"));

	json_decref(reply);
	return n;
}

/* The oldest that serve nothing go; their packages do not count any more. */
static void test_versions(void **state)
{
	static const char *const code[] = {"one", "two", "three", "four", "five", "six"};
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	const uint64_t begin = util_monotonic_ns();
	struct instance i;
	json_int_t bytes = 0;

	for (size_t n = 0; n < ARRAY_SIZE(code); n++) {
		json_t *reply;

		if (n == 5)
			set_quota(r, "\"http_versions\":3");
		i = deploy(r, code[n], version);
		if (n == 0)
			bytes = shown(r, "package_bytes");
		if (n < 5) {
			assert_int_equal(count_versions(r), n + 1);
			assert_int_equal(shown(r, "package_bytes"), (json_int_t)(n + 1) * bytes);
			assert_int_equal(shown(r, "package_files"), n + 1);
		}
		if (n + 1 == ARRAY_SIZE(code))
			break;
		/* It ends, so that the next deploy finds it without an instance. */
		end_run(r, i.run.id, VERDICT_SIGNAL);
		forget(&i);
		for (reply = ls(r); json_array_size(json_object_get(reply, "instances")) > 0;
		     reply = ls(r)) {
			json_decref(reply);
			not_for_ever(begin);
		}
		json_decref(reply);
	}
	assert_true(bytes >= 4096);
	assert_int_equal(count_versions(r), 3);
	assert_int_equal(shown(r, "package_bytes"), 3 * bytes);
	expect_serves(r, version, 1);
	forget(&i);

	/* After a restart it is the same. */
	rig_kill(r);
	rig_start(r, true);
	assert_int_equal(shown(r, "package_bytes"), 3 * bytes);
	set_quota(r, "\"package_bytes\":16000");
	expect_refused(r, "seven", "limit",
		       "its quota \"package_bytes\" is 16000: remove workers or");
	assert_int_equal(count_versions(r), 3);
	/* What was refused is not counted. */
	assert_int_equal(shown(r, "package_bytes"), 3 * bytes);
	ok(rig_call(r, "{\"op\":\"web_rm\",\"project\":\"default\",\"name\":\"hello\"}"));
	assert_int_equal(shown(r, "package_bytes"), 0);
	assert_int_equal(shown(r, "package_files"), 0);
}

static int wake(struct rig *r, const char *version)
{
	return edge_ask(r, version);
}

/* One more than the quota is refused where all have something to do; one that has nothing makes room;
 * and a deploy may try one more. */
static void test_instances(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], want[128];
	const uint64_t begin = util_monotonic_ns();
	struct instance i, j;
	json_t *o;
	int edge;

	set_quota(r, "\"http_instances\":1");
	i = deploy(r, "one", version);
	say(i.channel, "{\"op\":\"load\",\"active\":1,\"served\":1}", NULL, 0);
	do {
		json_t *worker = ls(r);

		o = json_array_get(json_object_get(worker, "instances"), 0);
		edge = json_integer_value(json_object_get(o, "in_flight")) == 1;
		assert_string_equal(rig_text(o, "start_mode"), "restore");
		assert_true(json_is_number(json_object_get(o, "ready_ms")));
		json_decref(worker);
		not_for_ever(begin);
	} while (!edge);
	edge = wake(r, version);
	edge_expect(edge,
		    "ERR 503 the project's HTTP workers have 1 instances, as many as its quota "
		    "\"http_instances\" allows\n");
	(void)close(edge);
	/* It rests: it is let go for the one that is wanted. */
	say(i.channel, "{\"op\":\"load\",\"active\":0,\"served\":1}", NULL, 0);
	edge = wake(r, version);
	j = start_instance(r);
	o = hear(i.channel);
	assert_string_equal(rig_text(o, "op"), "drain");
	json_decref(o);
	say_ready(&j);
	(void)snprintf(want, sizeof(want), "OK i/%s.sock %s\n", j.run.id, j.run.id);
	edge_expect(edge, want);
	(void)close(edge);
	forget(&i);
	/* The version that is deployed has an instance before the one that serves lets go of its own. */
	i = deploy(r, "two", version);
	expect_serves(r, version, 3);
	assert_int_equal(shown(r, "http_instances"), 1);
	forget(&i);
	forget(&j);
}

#define PUT(id, key)                                                                               \
	"{\"op\":\"ask\",\"id\":" id ",\"binding\":\"KV\",\"method\":\"put\",\"key\":\"" key "\"}"

static void put(int channel, const char *head, size_t len, const char *error)
{
	static char value[4096];
	json_t *o;

	say(channel, head, value, len);
	o = hear(channel);
	assert_int_equal(json_is_true(json_object_get(o, "ok")), !error);
	if (error && !strstr(rig_text(o, "message"), error))
		fail_msg("%s", rig_text(o, "message"));
	json_decref(o);
}

/* What is counted is what is there: also after deletions, with a namespace, and after a restart. */
static void test_kv(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	json_t *o;

	set_quota(r, "\"kv_bytes\":\"4K\"");
	put(i.channel, PUT("1", "a"), 2000, NULL);
	put(i.channel, PUT("2", "b"), 2000, NULL);
	assert_int_equal(shown(r, "kv_bytes"), 4002);
	put(i.channel, PUT("3", "c"), 100,
	    "KV PUT failed: 507 the project's quota \"kv_bytes\" is 4K");
	/* In its own place it takes what it has more. */
	put(i.channel, PUT("4", "b"), 50, NULL);
	assert_int_equal(shown(r, "kv_bytes"), 2001 + 51);
	o = ask(i.channel,
		"{\"op\":\"ask\",\"id\":5,\"binding\":\"KV\",\"method\":\"delete\",\"key\":\"a\"}",
		"");
	json_decref(o);
	assert_int_equal(shown(r, "kv_bytes"), 51);
	rig_kill(r);
	rig_start(r, true);
	assert_int_equal(shown(r, "kv_bytes"), 51);
	ok(rig_call(r,
		    "{\"op\":\"web_kv_rm\",\"project\":\"default\",\"namespace\":\"hello-KV\"}"));
	assert_int_equal(shown(r, "kv_bytes"), 0);
	forget(&i);
}

static void test_hosts(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i;
	json_t *worker;

	set_quota(r, "\"hosts\":[\"*.shop.example\"]");
	manifest = NAMED("hello", ",\"routes\":[{\"pattern\":\"other.example/*\"}]");
	expect_refused(
		r, "one", "denied",
		"routes: other.example: the project default has routes of these hosts alone: "
		"*.shop.example");
	manifest = NAMED("hello", ",\"routes\":[{\"pattern\":\"a.shop.example/*\"}]");
	i = deploy(r, "one", version);
	worker = ls(r);
	assert_string_equal(json_string_value(json_array_get(json_object_get(worker, "routes"), 0)),
			    "a.shop.example/*");
	json_decref(worker);
	manifest = MANIFEST;
	forget(&i);
}

/* A variable that hides a secret is told. */
static void test_hidden(void **state)
{
	struct rig *r = *state;
	struct instance i;
	json_t *reply;
	int conn;

	ok(rig_call(r, "{\"op\":\"web_secret_set\",\"project\":\"default\",\"name\":\"hello\","
		       "\"secret\":\"TOKEN\",\"value\":\"x\"}"));
	manifest = NAMED("hello", ",\"bindings\":[{\"name\":\"TOKEN\",\"type\":\"plain_text\","
				  "\"text\":\"y\"}]");
	conn = begin_deploy(r);
	build(r, "one");
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_with(r, "{\"TOKEN\":\"x\"}");
	say_ready(&i);
	reply = rig_reply(conn);
	assert_non_null(
		strstr(json_string_value(json_array_get(json_object_get(reply, "warnings"), 0)),
		       "TOKEN hides the worker's secret of that name: 'sandboxctl secret rm hello "
		       "TOKEN'"));
	json_decref(reply);
	manifest = MANIFEST;
	(void)close(conn);
	forget(&i);
}

/* An instance that could not start is named, for its log has the traceback. */
static void test_log_is_named(void **state)
{
	struct rig *r = *state;
	const int conn = begin_deploy(r);
	struct instance i;
	char want[128];

	build(r, "one");
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_instance(r);
	say(i.channel,
	    "{\"op\":\"failed\",\"message\":\"NameError: x\",\"file\":\"entry.py\",\"line\":7}",
	    NULL, 0);
	forget(&i);
	end_run(r, i.run.id, VERDICT_EXIT);
	(void)snprintf(want, sizeof(want), "start: entry.py:7: NameError: x (sandboxctl logs %s)",
		       i.run.id);
	rig_expect_error(rig_reply(conn), "unavailable", want);
	(void)close(conn);
}

/* One that the monitor has put off is asked for again, and not given up for a lesser one. */
static void test_put_off(void **state)
{
	struct rig *r = *state;
	const int conn = begin_deploy(r);
	struct instance i;
	json_t *reply;

	build(r, "one");
	warmed(r, expect_warm(r, DEDICATED), -EAGAIN, "warm: it has failed lately: late");
	/* However often others of the project's have had their turn before it. */
	for (unsigned n = 0; n < 8; n++)
		warmed(r, expect_warm(r, DEDICATED), -EBUSY, "warm: another one has begun");
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_instance(r);
	say_ready(&i);
	reply = rig_reply(conn);
	assert_string_equal(rig_text(reply, "snapshot"), "dedicated");
	json_decref(reply);
	(void)close(conn);
	forget(&i);
}

/* A Python that has had its five years is told, and what its deploy has warned of. */
static void test_python(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i;
	json_t *reply, *v;

	i = deploy(r, "one", version);
	forget(&i);
	manifest =
		"{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","
		"\"compatibility_date\":\"2024-01-01\",\"python\":\"3.9\","
		"\"warnings\":[\"Python 3.8, which 2024-01-01 asks for, has had its five years\"]}";
	i = deploy(r, "two", version);
	manifest = MANIFEST;
	reply = rig_call(r, "{\"op\":\"web_versions\",\"project\":\"default\",\"name\":\"hello\"}");
	v = json_array_get(json_object_get(reply, "versions"), 0);
	assert_string_equal(rig_text(v, "python"), "3.9");
	assert_true(json_is_true(json_object_get(v, "python_ended")));
	assert_non_null(strstr(json_string_value(json_array_get(json_object_get(v, "warnings"), 0)),
			       "Python 3.8"));
	v = json_array_get(json_object_get(reply, "versions"), 1);
	assert_string_equal(rig_text(v, "python"), "3.11");
	json_decref(reply);
	forget(&i);
}

static void expect_snapshot(struct rig *r, const char *want, const char *error)
{
	json_t *reply =
		rig_call(r, "{\"op\":\"web_versions\",\"project\":\"default\",\"name\":\"hello\"}");
	const json_t *v = json_array_get(json_object_get(reply, "versions"), 0);

	assert_string_equal(rig_text(v, "snapshot_state"), want);
	if (!strstr(rig_text(v, "snapshot_error"), error))
		fail_msg("%s", rig_text(v, "snapshot_error"));
	json_decref(reply);
}

/* The image of the name "web" is another one from now on. */
static void new_image(struct rig *r, uint8_t byte, const char *python)
{
	struct image_head head = {.magic = IMAGE_MAGIC,
				  .version = IMAGE_VERSION,
				  .name = "web",
				  .interpreter = "/usr/bin/python3",
				  .policy = "default"};
	char hex[65], path[160];
	uint8_t digest[32];

	(void)snprintf(head.python_version, sizeof(head.python_version), "%s", python);
	memset(digest, byte, sizeof(digest));
	util_hex(digest, 32, hex);
	(void)snprintf(path, sizeof(path), "images/%s", hex);
	assert_int_equal(mkdirat(r->cfg.state_dirfd, path, 0755), 0);
	(void)snprintf(path, sizeof(path), "images/%s/rootfs", hex);
	assert_int_equal(mkdirat(r->cfg.state_dirfd, path, 0755), 0);
	(void)snprintf(path, sizeof(path), "images/%s/image.bin", hex);
	rig_write(r->cfg.state_dirfd, path, &head, sizeof(head));
	(void)snprintf(path, sizeof(path), "../%s", hex);
	assert_int_equal(symlinkat(path, r->cfg.state_dirfd, "images/by-name/.new"), 0);
	assert_int_equal(renameat(r->cfg.state_dirfd, "images/by-name/.new", r->cfg.state_dirfd,
				  "images/by-name/web"),
			 0);
}

static union proto_msg expect_anew(struct rig *r)
{
	int fds[PROTO_FDS_MAX];
	const union proto_msg m = expect_mon(r, MON_WARM, fds);

	for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
		util_close_fd(&fds[i]);
	assert_string_equal(m.warm.warm, DEDICATED);
	assert_int_equal(m.warm.force, 0);
	return m;
}

static void test_snapshot_anew(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance i = deploy(r, "one", version);
	const uint64_t begin = util_monotonic_ns();
	union proto_msg m;
	uint8_t digest[32];

	expect_snapshot(r, "ready", "");
	new_image(r, 0xcd, "3.11.9");
	m = expect_anew(r);
	memset(digest, 0xcd, sizeof(digest));
	assert_memory_equal(m.warm.image, digest, 32);
	expect_snapshot(r, "being made", "");
	warmed(r, m.warm.tag, 0, "");
	/* The answer to this comes after it. */
	expect_snapshot(r, "ready", "");

	/* At a start of the front, too; one that cannot be made is told. */
	forget(&i);
	rig_kill(r);
	rig_start(r, true);
	m = expect_anew(r);
	warmed(r, m.warm.tag, -EINVAL, "out of luck");
	/* Another channel brings the question: it is asked until the front has read the answer. */
	for (;;) {
		json_t *reply = rig_call(
			r, "{\"op\":\"web_versions\",\"project\":\"default\",\"name\":\"hello\"}");
		const json_t *v = json_array_get(json_object_get(reply, "versions"), 0);
		const bool made = strcmp(rig_text(v, "snapshot_state"), "being made") == 0;

		json_decref(reply);
		if (!made)
			break;
		not_for_ever(begin);
	}
	expect_snapshot(r, "missing", "out of luck");

	/* Packages of another Python would be there in vain. */
	new_image(r, 0xef, "3.13.1");
	for (;;) {
		json_t *reply = rig_call(
			r, "{\"op\":\"web_versions\",\"project\":\"default\",\"name\":\"hello\"}");
		const json_t *v = json_array_get(json_object_get(reply, "versions"), 0);
		const bool told = strstr(rig_text(v, "snapshot_error"), "out of luck") == NULL;

		json_decref(reply);
		if (told)
			break;
		not_for_ever(begin);
	}
	expect_snapshot(r, "missing",
			"the image web has Python 3.13.1 now, and the version was built for 3.11: "
			"deploy it again");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_WEB(test_workers),	     WITH_WEB(test_versions),
		WITH_WEB(test_instances),    WITH_WEB(test_kv),
		WITH_WEB(test_hosts),	     WITH_WEB(test_hidden),
		WITH_WEB(test_log_is_named), WITH_WEB(test_put_off),
		WITH_WEB(test_python),	     WITH_WEB(test_snapshot_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
