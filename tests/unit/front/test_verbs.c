// SPDX-License-Identifier: Apache-2.0
/* Each verb that has an op and a path gives the same answer or the same error by both sockets.
 * Also: how many descriptors may come with an op. */
#include "tests/unit/front_rig.h"
#include "tests/unit/http_dial.h"

#include "supervisor/front/api/verbs.h"

#define TASKS "/api/projects/" PROJECT_DEFAULT_ID "/tasks"
#define SHOP "/api/projects/$s"
#define NOBODY "ffffffffffffffffffffffff"

struct both {
	struct rig *r;
	uint16_t port;
	char token[TOKEN_LEN + 1]; /* a token with which an operator is let in */
	char task[TASK_ID_LEN + 1], shop[PROJECT_ID_LEN + 1];
};

static void listen_http(struct both *b)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);

	b->r->cfg.http_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(b->r->cfg.http_fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(b->r->cfg.http_fd, 16), 0);
	assert_int_equal(getsockname(b->r->cfg.http_fd, (struct sockaddr *)&addr, &len), 0);
	b->port = ntohs(addr.sin_port);
}

static int http_ask(const struct both *b, const char *method, const char *path, const char *body)
{
	char text[2048];
	int fd = http_dial(b->port);

	(void)snprintf(text, sizeof(text),
		       "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		       "Authorization: OAuth %s\r\nContent-Length: %zu\r\n\r\n%s",
		       method, path, b->token, strlen(body), body);
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	return fd;
}

/* Reads an answer and returns its body; NULL: the body is not an object. */
static json_t *http_hear(int fd, unsigned *ret_status)
{
	static char text[256 << 10];
	size_t n = 0;
	ssize_t got;
	char *at;

	do {
		rig_readable(fd);
		got = read(fd, text + n, sizeof(text) - 1 - n);
		assert_true(got >= 0);
		n += (size_t)got;
	} while (got > 0);
	text[n] = '\0';
	(void)close(fd);
	*ret_status = (unsigned)strtoul(text + strlen("HTTP/1.1 "), NULL, 10);
	at = strstr(text, "\r\n\r\n");
	assert_non_null(at);
	return json_loads(at + 4, JSON_REJECT_DUPLICATES, NULL);
}

/* Checks that both have the same keys, and values of the same types or, if `exact`, the same
 * values. */
static void assert_alike(const json_t *a, const json_t *b, bool exact, const char *what)
{
	const char *key;
	json_t *v;

	if (json_typeof(a) != json_typeof(b) || (exact && !json_equal(a, b)))
		fail_msg("%s: %s and %s", what, json_dumps(a, JSON_ENCODE_ANY),
			 json_dumps(b, JSON_ENCODE_ANY));
	if (json_is_object(a) && json_object_size(a) != json_object_size(b))
		fail_msg("%s: %s and %s", what, json_dumps(a, 0), json_dumps(b, 0));
	json_object_foreach((json_t *)a, key, v)
		assert_alike(v, json_object_get(b, key), exact, key);
}

/* Every member that sandboxctl gets of a task is in the HTTP answer too, which has more. */
static void assert_task_alike(const json_t *control, const json_t *http)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)control, key,
			    v) if (strcmp(key, "queue") != 0 &&
				   !json_equal(v, json_object_get(http, key)))
		fail_msg("%s differs", key);
}

static void assert_same_error(const json_t *control, const json_t *http, unsigned status,
			      const char *what)
{
	const char *worker = rig_text(control, "code");

	assert_string_equal(rig_text(control, "error"), rig_text(http, "msg"));
	for (int i = ERR_NONE + 1; i < ERR_CODE_MAX; i++)
		if (strcmp(err_code_name((enum err_code)i), worker) == 0)
			assert_int_equal(err_http_status((enum err_code)i), status);
	if (!*worker)
		fail_msg("%s: no code", what);
}

/* A verb and how it is asked by each of the two sockets. */
struct asked {
	const char *op, *input; /* its members, with a comma before them */
	const char *method, *path, *body;
	unsigned status; /* HTTP's */
	bool exact;	 /* the values are the same too */
};

/* Writes the text to `to`, with the task's id for $t and the shop's id for $s. */
static void fill(const struct both *b, const char *text, char *to, size_t size)
{
	size_t n = 0;

	for (; *text && n + 1 < size; text++) {
		if (*text == '$')
			n += (size_t)snprintf(to + n, size - n, "%s",
					      *++text == 't' ? b->task : b->shop);
		else
			to[n++] = *text;
	}
	assert_true(n < size);
	to[n] = '\0';
}

static const struct asked rows[] = {
	{"version", "", "GET", "/api/version", "", 200, true},
	{"projects", "", "GET", "/api/projects", "", 200, true},
	{"project_create", ",\"name\":\"c1\"", "POST", "/api/projects", "{\"name\":\"c2\"}", 201},
	{"project_create", ",\"name\":\"d1\",\"quota\":{\"images\":[\"none\"]}", "POST",
	 "/api/projects", "{\"name\":\"d2\",\"quota\":{\"images\":[\"none\"]}}", 201},
	{"project_create", "", "POST", "/api/projects", "", 400},
	{"project_create", ",\"name\":\"shop\"", "POST", "/api/projects", "{\"name\":\"shop\"}",
	 409},
	{"project_create", ",\"name\":null", "POST", "/api/projects", "{\"name\":null}", 400},
	{"project_create", ",\"name\":\"e\",\"quota\":{\"queued\":\"2\"}", "POST", "/api/projects",
	 "{\"name\":\"e\",\"quota\":{\"queued\":\"2\"}}", 400},
	{"project", ",\"project\":\"shop\"", "GET", SHOP, "", 200, true},
	{"project_quota", ",\"project\":\"shop\",\"quota\":{\"queued\":3}", "PUT", SHOP "/quota",
	 "{\"queued\":3}", 200, true},
	{"project_quota", ",\"project\":\"shop\",\"quota\":{\"queued\":-1}", "PUT", SHOP "/quota",
	 "{\"queued\":-1}", 400},
	{"project_quota", ",\"project\":\"shop\"", "PUT", SHOP "/quota", "", 400},
	{"project_quota", ",\"project\":\"" NOBODY "\",\"quota\":{}", "PUT",
	 "/api/projects/" NOBODY "/quota", "{}", 404},
	{"token_create", ",\"project\":\"shop\",\"label\":\"l\"", "POST", SHOP "/tokens",
	 "{\"label\":\"l\"}", 201},
	{"token_create", ",\"project\":\"shop\",\"operator\":true", "POST", SHOP "/tokens",
	 "{\"operator\":true}", 400},
	{"token_create", ",\"project\":\"shop\",\"operator\":1", "POST", SHOP "/tokens",
	 "{\"operator\":1}", 400},
	{"tokens", ",\"project\":\"shop\"", "GET", SHOP "/tokens", "", 200, true},
	{"token_revoke", ",\"project\":\"shop\",\"id\":\"" NOBODY "\"", "DELETE",
	 SHOP "/tokens/" NOBODY, "", 404},
	{"project_rm", ",\"project\":\"default\"", "DELETE", "/api/projects/" PROJECT_DEFAULT_ID,
	 "", 409},
	{"project_rm", ",\"project\":\"c1\"", "DELETE", SHOP, "", 200, true},
	{"cancel", ",\"id\":\"$t\"", "POST", TASKS "/$t/cancel", "", 200, true},
	{"cancel", ",\"id\":\"$t\",\"force\":true", "POST", TASKS "/$t/cancel?force=1", "", 200,
	 true},
	{"ps", ",\"status\":\"done\"", "GET", TASKS "?status=done", "", 400},
	{"ps", ",\"before\":\"x\"", "GET", TASKS "?before=x", "", 400},
	{"ps", ",\"from\":\"soon\"", "GET", TASKS "?from=soon", "", 400},
	{"template_retire", ",\"id\":\"x\"", "DELETE", "/api/templates/x", "", 400},
	{"warm", ",\"image\":\"none\"", "POST", "/api/images/none/warm", "{}", 404},
	{"warm", ",\"image\":\"python\",\"policy\":\"none\"", "POST", "/api/images/python/warm",
	 "{\"policy\":\"none\"}", 404},
	{"warm", ",\"image\":\"python\",\"imports\":[1]", "POST", "/api/images/python/warm",
	 "{\"imports\":[1]}", 400},
	{"warm", ",\"image\":\"python\",\"wait\":false", "POST", "/api/images/python/warm", "", 202,
	 true},
};

static void ask_both(const struct both *b, const struct asked *is)
{
	char text[1024], input[512], path[256];
	json_t *control, *http;
	unsigned status;

	fill(b, is->input, input, sizeof(input));
	fill(b, is->path, path, sizeof(path));
	(void)snprintf(text, sizeof(text), "{\"op\":\"%s\"%s}", is->op, input);
	control = rig_call(b->r, text);
	http = http_hear(http_ask(b, is->method, path, is->body), &status);
	if (status != is->status)
		fail_msg("%s: %u: %s", path, status, json_dumps(http, 0));
	if (json_is_false(json_object_get(control, "ok"))) {
		assert_same_error(control, http, status, text);
	} else {
		(void)json_object_del(control, "ok");
		assert_alike(control, http, is->exact, text);
	}
	json_decref(control);
	json_decref(http);
}

static int both_setup(void **state)
{
	struct both *b = calloc(1, sizeof(*b));
	union proto_msg m;
	json_t *reply;
	int conn;

	assert_int_equal(rig_setup((void **)&b->r), 0);
	listen_http(b);
	rig_start(b->r, true);
	reply = rig_call(b->r,
			 "{\"op\":\"token_create\",\"project\":\"default\",\"operator\":true}");
	(void)snprintf(b->token, sizeof(b->token), "%s", rig_text(reply, "token"));
	json_decref(reply);
	reply = rig_call(b->r, "{\"op\":\"project_create\",\"name\":\"shop\"}");
	(void)snprintf(b->shop, sizeof(b->shop), "%s", rig_text(reply, "id"));
	json_decref(reply);
	/* Makes a task that has ended. */
	conn = rig_run(b->r, RIG_CODE, b->task);
	rig_started(b->r, b->task, WARM_FOR_NOBODY);
	rig_exited(b->r, b->task, VERDICT_OK, 0);
	rig_log_end(b->r, b->task);
	rig_expect_event(conn, "started", NULL);
	rig_expect_event(conn, "finished", NULL);
	rig_expect(b->r, false, MON_FORGET, &m, NULL);
	(void)close(conn);
	*state = b;
	return 0;
}

static int both_teardown(void **state)
{
	struct both *b = *state;
	struct rig *r = b->r;

	(void)close(r->cfg.http_fd);
	free(b);
	return rig_teardown((void **)&r);
}

static void test_same_answers(void **state)
{
	struct both *b = *state;
	union proto_msg m;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		ask_both(b, &rows[i]);
	/* The warm-up was asked for twice, and is made once. */
	rig_expect(b->r, false, MON_WARM, &m, NULL);
	assert_true(rig_quiet(b->r->monitor, 30));
}

/* The control socket shows fewer members of a task than /api; those that it shows are the same. */
static void test_tasks(void **state)
{
	struct both *b = *state;
	json_t *control, *http;
	char path[128];
	unsigned status;

	control = rig_ask(b->r, "inspect", b->task);
	(void)snprintf(path, sizeof(path), TASKS "/%s", b->task);
	http = http_hear(http_ask(b, "GET", path, ""), &status);
	assert_int_equal(status, 200);
	assert_task_alike(json_object_get(control, "task"), http);
	assert_true(
		json_equal(json_object_get(control, "history"), json_object_get(http, "history")));
	json_decref(control);
	json_decref(http);
	control = rig_call(b->r, "{\"op\":\"ps\",\"status\":\"complete\"}");
	http = http_hear(http_ask(b, "GET", TASKS "?status=complete", ""), &status);
	assert_int_equal(json_array_size(json_object_get(control, "tasks")), 1);
	assert_task_alike(json_array_get(json_object_get(control, "tasks"), 0),
			  json_array_get(json_object_get(http, "tasks"), 0));
	assert_true(json_is_null(json_object_get(control, "before")));
	assert_true(json_is_null(json_object_get(http, "before")));
	json_decref(control);
	json_decref(http);
}

/* On the control socket a project may be named with a task: then it is that project's, or none. */
static void test_project_of_task(void **state)
{
	static const char *const ops[] = {"inspect", "wait", "cancel", "logs", "rm"};
	struct both *b = *state;
	json_t *reply;
	char text[256];

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"op\":\"%s\",\"id\":\"%s\",\"project\":\"shop\"}", ops[i],
			       b->task);
		rig_expect_error(rig_call(b->r, text), "not-found", "there is no task");
	}
	(void)snprintf(text, sizeof(text),
		       "{\"op\":\"inspect\",\"id\":\"%.8s\",\"project\":\"default\"}", b->task);
	reply = rig_call(b->r, text);
	assert_string_equal(rig_text(json_object_get(reply, "task"), "id"), b->task);
	json_decref(reply);
}

static uint32_t told_last(struct rig *r)
{
	union proto_msg m, last = {0};

	rig_expect(r, false, MON_TEMPLATES, &m, NULL);
	proto_init(&last, MON_TEMPLATE);
	last.template.tag = m.templates.tag;
	last.template.last = 1;
	assert_int_equal(proto_send(r->monitor, &last, NULL, 0), 0);
	return m.templates.tag;
}

/* An answer that has to wait for the monitor reaches the client that asked, by either socket. */
static void test_later(void **state)
{
	static const char *const asked[][3] = {
		{"{\"op\":\"templates\"}", "GET", "/api/templates"},
		{"{\"op\":\"template_retire\",\"id\":\"0123456789ab\"}", "DELETE",
		 "/api/templates/0123456789ab"},
	};
	struct both *b = *state;

	for (size_t i = 0; i < ARRAY_SIZE(asked); i++) {
		int conn = rig_connect(b->r), fd;
		json_t *control, *http;
		unsigned status;

		rig_request(conn, asked[i][0]);
		(void)told_last(b->r);
		control = rig_reply(conn);
		fd = http_ask(b, asked[i][1], asked[i][2], "");
		(void)told_last(b->r);
		http = http_hear(fd, &status);
		if (json_is_true(json_object_get(control, "ok"))) {
			(void)json_object_del(control, "ok");
			assert_alike(control, http, true, asked[i][0]);
		} else {
			assert_same_error(control, http, status, asked[i][0]);
		}
		json_decref(control);
		json_decref(http);
		(void)close(conn);
	}
}

/* A client of either socket that leaves before its answer disturbs nobody. */
static void test_gone(void **state)
{
	struct both *b = *state;
	json_t *reply;
	int conn = rig_connect(b->r), fd;

	rig_request(conn, "{\"op\":\"templates\"}");
	fd = http_ask(b, "GET", "/api/templates", "");
	(void)told_last(b->r);
	(void)close(conn);
	(void)close(fd);
	(void)told_last(b->r);
	reply = rig_call(b->r, "{\"op\":\"version\"}");
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
}

/* An answer that cannot be written is told as an error, and costs nobody else anything. */
static void test_no_answer(void **state)
{
	struct both *b = *state;
	union proto_msg m, warmed = {0};
	static const char want[] = "HTTP/1.1 500 ";
	char got[sizeof(want)] = "";
	json_t *reply;
	int fd;

	fd = http_ask(b, "POST", "/api/images/python/warm", "{\"wait\":true}");
	rig_expect(b->r, false, MON_WARM, &m, NULL);
	proto_init(&warmed, MON_WARMED);
	warmed.warmed.tag = m.warm.tag;
	/* It is no UTF-8, so it is no text of JSON. */
	strcpy(warmed.warmed.key, "\xff");
	assert_int_equal(proto_send(b->r->monitor, &warmed, NULL, 0), 0);
	rig_readable(fd);
	assert_int_equal(recv(fd, got, sizeof(want) - 1, MSG_WAITALL), sizeof(want) - 1);
	assert_string_equal(got, want);
	(void)close(fd);
	reply = rig_call(b->r, "{\"op\":\"version\"}");
	assert_true(json_is_true(json_object_get(reply, "ok")));
	json_decref(reply);
}

/* No verb gets more descriptors than it takes. */
static void test_fds(void **state)
{
	struct both *b = *state;
	char text[64], want[64];
	int fds[PROTO_FDS_MAX];

	for (int i = 0; i < PROTO_FDS_MAX; i++)
		fds[i] = STDERR_FILENO;
	for (const struct verb *v = control_capability.verbs; v->run; v++) {
		int conn;

		if (!v->op)
			continue;
		assert_true(v->fds_max < PROTO_FDS_MAX);
		conn = rig_connect(b->r);
		(void)snprintf(text, sizeof(text), "{\"op\":\"%s\"}", v->op);
		(void)snprintf(want, sizeof(want), "%s takes at most %u descriptors", v->op,
			       v->fds_max);
		rig_request_fds(conn, text, fds, v->fds_max + 1);
		rig_expect_error(rig_reply(conn), "input", want);
		(void)close(conn);
	}
}

static bool is_asked(const char *op)
{
	static const char *const others[] = {"ps", "inspect", "templates"};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		if (strcmp(rows[i].op, op) == 0)
			return true;
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strcmp(others[i], op) == 0)
			return true;
	return false;
}

/* The table itself: each op has one verb, each path one verb for each kind of caller, and this test
 * leaves none out. */
static void test_table(void **state)
{
	const struct front f = {.capabilities = front_capabilities};

	(void)state;
	for (const struct verb *v = control_capability.verbs; v->run; v++) {
		assert_true(v->op || v->path);
		assert_int_equal(!v->path, !v->method);
		if (v->op)
			assert_ptr_equal(verb_find(&f, v->op), v);
		if (v->op && v->path && !is_asked(v->op))
			fail_msg("%s is not asked by both sockets", v->op);
		if (v->path)
			assert_int_equal(v->who == WHO_PROJECT,
					 strncmp(v->path, "/api/projects/{project}", 23) == 0 &&
						 v->who != WHO_OPERATOR);
	}
	for (const struct verb *v = iron_capability.verbs; v->run; v++)
		assert_true(!v->op && strncmp(v->path, "/2/", 3) == 0);
	assert_null(verb_find(&f, "no-such-op"));
}

#define WITH_BOTH(test) cmocka_unit_test_setup_teardown(test, both_setup, both_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_same_answers), WITH_BOTH(test_project_of_task),
		WITH_BOTH(test_tasks),	      WITH_BOTH(test_later),
		WITH_BOTH(test_gone),	      WITH_BOTH(test_no_answer),
		WITH_BOTH(test_fds),	      cmocka_unit_test(test_table),
	};

	return cmocka_run_group_tests_name("verbs", tests, NULL, NULL);
}
