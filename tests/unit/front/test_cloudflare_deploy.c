// SPDX-License-Identifier: Apache-2.0
/*
 * Workers as wrangler uploads, deploys, routes, shows and removes them, over HTTP in a real front. The
 * test plays the monitor and the code in the sandboxes.
 */
#include <glob.h>

#include "supervisor/front/core/project.h"
#include "supervisor/front/serve/http/http.h"
#include "tests/unit/http_dial.h"
#include "tests/unit/web_rig.h"

#define SCRIPT "/workers/scripts/hello"
#define FORM "multipart/form-data; boundary=b"
#define PART(name) "--b\r\nContent-Disposition: form-data; name=\"" name "\""
#define FILE_PART(name) PART(name) "; filename=\"" name "\"\r\nContent-Type: text/x-python\r\n\r\n"
#define FIELD(name) PART(name) "\r\n\r\n"

static char token[TOKEN_LEN + 1], account[PROJECT_ID_LEN + 1];
static char answer[64 << 10];
static json_t *body;

static int cf_setup(void **state)
{
	json_t *reply;

	assert_int_equal(web_setup(state), 0);
	reply = rig_call(*state,
			 "{\"op\":\"token_create\",\"project\":\"default\",\"label\":\"x\"}");
	(void)snprintf(token, sizeof(token), "%s", rig_text(reply, "token"));
	json_decref(reply);
	reply = rig_call(*state, "{\"op\":\"projects\"}");
	(void)snprintf(account, sizeof(account), "%s",
		       rig_text(json_array_get(json_object_get(reply, "projects"), 0), "id"));
	json_decref(reply);
	return 0;
}

static int cf_teardown(void **state)
{
	json_decref(body);
	body = NULL;
	return web_teardown(state);
}

/* path: below the account. The connection is returned. */
static int begin(const char *method, const char *path, const char *type, const char *text)
{
	char head[1024];
	int fd = http_dial(web_port);

	(void)snprintf(
		head, sizeof(head),
		"%s /client/v4/accounts/%s%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
		"Authorization: Bearer %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
		method, account, path, token, type, strlen(text));
	assert_int_equal(util_write_all(fd, head, strlen(head)), 0);
	assert_int_equal(util_write_all(fd, text, strlen(text)), 0);
	return fd;
}

/* Returns the status; fd is taken. */
static unsigned finish(int fd)
{
	size_t n = 0;
	ssize_t got;

	do {
		rig_readable(fd);
		got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0);
		assert_true(got >= 0);
		n += (size_t)got;
	} while (got > 0);
	answer[n] = '\0';
	(void)close(fd);
	json_decref(body);
	body = json_loads(strstr(answer, "\r\n\r\n") + 4, 0, NULL);
	assert_non_null(body);
	return (unsigned)strtoul(answer + strlen("HTTP/1.1 "), NULL, 10);
}

static json_t *result(void)
{
	return json_object_get(body, "result");
}

static void expect(const char *method, const char *path, const char *text)
{
	if (finish(begin(method, path, "application/json", text)) != 200)
		fail_msg("%s %s: %s", method, path, answer);
	assert_true(json_is_true(json_object_get(body, "success")));
}

static void expect_error(unsigned status, int code, const char *words)
{
	json_t *error = json_array_get(json_object_get(body, "errors"), 0);

	if (strtoul(answer + strlen("HTTP/1.1 "), NULL, 10) != status ||
	    !strstr(rig_text(error, "message"), words))
		fail_msg("no \"%s\" in: %s", words, answer);
	assert_int_equal(json_integer_value(json_object_get(error, "code")), code);
}

#define METADATA(more)                                                                             \
	"{\"main_module\":\"entry.py\",\"compatibility_date\":\"2026-03-01\"," more "}"

/* An upload that becomes a version. method, path: PUT of the script, or POST of a version. */
static struct instance upload(struct rig *r, const char *method, const char *path,
			      const char *metadata, const char *secrets, const char *in_job,
			      char version[WEB_UUID_LEN + 1])
{
	char *form = NULL;
	struct instance i;
	struct run run;
	int fd;

	assert_true(asprintf(&form,
			     FIELD("metadata") "%s\r\n" FILE_PART("entry.py") "x = 1\r\n" FILE_PART(
				     "python_modules/a/b.py") "\r\n--b--\r\n",
			     metadata) > 0);
	fd = begin(method, path, FORM, form);
	free(form);
	/* As build(), but that the run's job is looked at. */
	run = expect_start(r);
	if (!strstr(run.job, in_job))
		fail_msg("no %s in: %s", in_job, run.job);
	{
		static char bytes[64 << 10];
		int package = tar("entry.py", "x = 1\n");
		ssize_t n = read(package, bytes, sizeof(bytes));

		(void)close(package);
		say(run.serve, "{\"op\":\"package\",\"last\":true}", bytes, (size_t)n);
	}
	say(run.serve, "{\"op\":\"manifest\"}", manifest, strlen(manifest));
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_OK);
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_with(r, secrets);
	say_ready(&i);
	if (finish(fd) != 200)
		fail_msg("%s", answer);
	(void)snprintf(version, WEB_UUID_LEN + 1, "%s", rig_text(result(), "id"));
	assert_int_equal(strlen(version), WEB_UUID_LEN);
	return i;
}

static void end_instance(struct rig *r, struct instance *i)
{
	json_t *drain = hear(i->channel);

	assert_string_equal(rig_text(drain, "op"), "drain");
	json_decref(drain);
	end_run(r, i->run.id, VERDICT_OK);
	forget(i);
}

static void test_uploads(void **state)
{
	struct rig *r = *state;
	char first[WEB_UUID_LEN + 1], second[WEB_UUID_LEN + 1], text[512];
	struct instance a, b;
	int fd;

	assert_int_equal(finish(begin("GET", "/workers/services/hello", "", "")), 404);
	expect_error(404, 10007, "hello");
	assert_int_equal(finish(begin("GET", SCRIPT "/deployments", "", "")), 404);
	expect_error(404, 10007, "hello");
	/* The binding KV is the manifest's that the build has sent. */
	a = upload(
		r, "PUT", SCRIPT "?excludeScript=true",
		METADATA("\"bindings\":[{\"name\":\"V\",\"type\":\"plain_text\",\"text\":\"t\"}],"
			 "\"annotations\":{\"workers/message\":\"m1\",\"workers/tag\":\"t1\"}"),
		"{}", "\"text\":\"t\"", first);
	assert_string_equal(rig_text(result(), "deployment_id"), first);
	expect_serves(r, first, 1);
	expect("GET", "/workers/services/hello", "");
	expect("GET", SCRIPT "/settings", "");
	assert_int_equal(json_array_size(json_object_get(result(), "bindings")), 2);
	/* A version that stays: what serves goes on. What is to be inherited is the newest one's, what is
	 * not named is kept by its type, and secrets are taken out. */
	b = upload(r, "POST", SCRIPT "/versions?bindings_inherit=strict",
		   METADATA("\"bindings\":[{\"name\":\"AI\",\"type\":\"inherit\"},"
			    "{\"name\":\"KEY\",\"type\":\"secret_text\",\"text\":\"hidden\"}],"
			    "\"keep_bindings\":[\"kv_namespace\"]"),
		   "{}",
		   "\"bindings\":[{\"name\":\"AI\",\"type\":\"ai\"},{\"name\":\"KV\",\"type\":\"kv_"
		   "namespace\",\"namespace_id\":\"",
		   second);
	assert_null(strstr(b.run.job, "hidden"));
	/* What serves goes on as it is: the secret is of the version that stays. */
	expect_serves(r, first, 2);
	end_instance(r, &b);
	expect("GET", SCRIPT "/secrets", "");
	assert_string_equal(rig_text(json_array_get(result(), 0), "name"), "KEY");
	expect("GET", SCRIPT "/versions?deployable=true", "");
	assert_int_equal(json_array_size(json_object_get(result(), "items")), 2);
	assert_string_equal(rig_text(json_array_get(json_object_get(result(), "items"), 0), "id"),
			    second);
	(void)snprintf(text, sizeof(text), SCRIPT "/versions/%s", first);
	expect("GET", text, "");
	assert_string_equal(rig_text(json_object_get(result(), "annotations"), "workers/tag"),
			    "t1");
	assert_string_equal(
		rig_text(json_object_get(json_object_get(result(), "resources"), "script_runtime"),
			 "compatibility_date"),
		"2026-03-01");
	(void)snprintf(text, sizeof(text),
		       "{\"versions\":[{\"version_id\":\"%s\",\"percentage\":100}]}", second);
	expect("POST", SCRIPT "/deployments", text);
	fd = edge_ask(r, second);
	b = start_with(r, "{\"KEY\":\"hidden\"}");
	say_ready(&b);
	edge_expect(fd, "OK ");
	end_instance(r, &a);
	forget(&b);
}

/* Metadata of one variable of so many bytes, and so many other bindings, behind so many blanks; the caller's. */
static char *metadata_of(size_t bytes, unsigned bindings, unsigned blanks)
{
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	assert_non_null(f);
	while (blanks--)
		(void)fputc(' ', f);
	(void)fputs(
		"{\"main_module\":\"entry.py\",\"compatibility_date\":\"2026-03-01\",\"bindings\":["
		"{\"name\":\"V\",\"type\":\"plain_text\",\"text\":\"",
		f);
	while (bytes--)
		(void)fputc('y', f);
	(void)fputs("\"}", f);
	while (bindings--)
		(void)fprintf(f, ",{\"name\":\"B%u\",\"type\":\"ai\"}", bindings);
	(void)fputs("]}", f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void refuse_metadata(char *metadata, const char *words)
{
	char *form = NULL;

	assert_true(asprintf(&form,
			     FIELD("metadata") "%s\r\n" FILE_PART("entry.py") "x = 1\r\n--b--\r\n",
			     metadata) > 0);
	free(metadata);
	assert_int_equal(finish(begin("PUT", SCRIPT, FORM, form)), 413);
	expect_error(413, 10027, words);
	free(form);
}

/* What is long is read by a thread, and is what the upload says; what is longer is refused by its name. */
static void test_long_metadata(void **state)
{
	char version[WEB_UUID_LEN + 1], *metadata = metadata_of(9, 0, 100u << 10);
	struct rig *r = *state;
	struct instance i;

	refuse_metadata(metadata_of(513u << 10, 0, 0), "metadata: 525");
	refuse_metadata(metadata_of(1, 3000, 0), "metadata: more than 8192 values");
	i = upload(r, "PUT", SCRIPT, metadata, "{}", "yyyyyyyy", version);
	forget(&i);
	free(metadata);
}

/* The version serves, by a new instance that is told these secrets. */
static struct instance serve_version(struct rig *r, const char *version, const char *secrets,
				     struct instance before)
{
	char text[512];
	struct instance i;
	int fd;

	(void)snprintf(text, sizeof(text),
		       "{\"versions\":[{\"version_id\":\"%s\",\"percentage\":100}]}", version);
	expect("POST", SCRIPT "/deployments", text);
	fd = edge_ask(r, version);
	i = start_with(r, secrets);
	say_ready(&i);
	edge_expect(fd, "OK ");
	(void)close(fd);
	end_instance(r, &before);
	return i;
}

/* The modules of the newest version as a form, whose boundary is returned; the text is the caller's. */
static char *read_content(char boundary[WEB_UUID_LEN + 1])
{
	int fd = begin("GET", SCRIPT "/content/v2", "", "");
	const char *at;
	size_t n = 0;
	ssize_t got;

	do {
		rig_readable(fd);
		got = recv(fd, answer + n, sizeof(answer) - 1 - n, 0);
		assert_true(got >= 0);
		n += (size_t)got;
	} while (got > 0);
	answer[n] = '\0';
	(void)close(fd);
	at = strstr(answer, "boundary=");
	if (!at || !strcasestr(answer, "\r\ncf-entrypoint: entry.py\r\n"))
		fail_msg("no form: %s", answer);
	(void)snprintf(boundary, WEB_UUID_LEN + 1, "%s", at + strlen("boundary="));
	return strdup(strstr(answer, "\r\n\r\n") + 4);
}

/* As older clients do it: what was read is sent again, with other metadata. Returns the status. */
static unsigned upload_content(const char *modules, const char *boundary, const char *metadata)
{
	char form[8192], type[100];

	(void)snprintf(type, sizeof(type), "multipart/form-data; boundary=%s", boundary);
	(void)snprintf(form, sizeof(form),
		       "--%s\r\nContent-Disposition: form-data; name=\"metadata\"\r\n\r\n%s\r\n%s",
		       boundary, metadata, modules);
	return finish(begin("POST", SCRIPT "/versions", type, form));
}

#define KEEPS(more)                                                                                \
	METADATA("\"keep_assets\":true,\"bindings\":[{\"name\":\"KV\",\"type\":\"inherit\"},"      \
		 "{\"name\":\"AI\",\"type\":\"inherit\"}" more)

/* Secrets of a version: it is the one before with these, nothing is built, and nothing that serves sees
 * them before it is deployed. */
static void test_version_secrets(void **state)
{
	struct rig *r = *state;
	char first[WEB_UUID_LEN + 1], ids[4][WEB_UUID_LEN + 1], boundary[WEB_UUID_LEN + 1],
		*modules;
	struct instance a = upload(r, "PUT", SCRIPT, METADATA("\"bindings\":[]"), "{}", "", first);

	expect("PATCH", "/workers/workers/hello/versions/latest",
	       "{\"env\":{\"A\":{\"type\":\"secret_text\",\"text\":\"1\"},"
	       "\"B\":{\"type\":\"secret_text\",\"text\":\"2\"}},"
	       "\"annotations\":{\"workers/message\":\"m2\"}}");
	(void)snprintf(ids[0], sizeof(ids[0]), "%s", rig_text(result(), "id"));
	assert_string_not_equal(ids[0], first);
	expect_serves(r, first, 1);
	/* Of the version that is the newest now; the other one has none. */
	expect("GET", SCRIPT "/secrets", "");
	assert_int_equal(json_array_size(result()), 2);
	/* One that goes, by what an older client sends: those that it does not name. */
	modules = read_content(boundary);
	assert_int_equal(upload_content(modules, boundary,
					KEEPS(",{\"name\":\"B\",\"type\":\"inherit\"}],"
					      "\"keep_bindings\":[\"secret_key\"]")),
			 200);
	(void)snprintf(ids[1], sizeof(ids[1]), "%s", rig_text(result(), "id"));
	free(modules);
	/* One more: the others stay. */
	modules = read_content(boundary);
	assert_int_equal(
		upload_content(modules, boundary,
			       KEEPS(",{\"name\":\"C\",\"type\":\"secret_text\",\"text\":\"3\"}],"
				     "\"keep_bindings\":[\"secret_key\",\"secret_text\"]")),
		200);
	(void)snprintf(ids[2], sizeof(ids[2]), "%s", rig_text(result(), "id"));
	expect("PATCH", "/workers/workers/hello/versions/latest", "{\"env\":{\"B\":null}}");
	(void)snprintf(ids[3], sizeof(ids[3]), "%s", rig_text(result(), "id"));
	/* What is not as it was read is no copy. */
	assert_non_null(strstr(modules, "x = 1"));
	*strstr(modules, "x = 1") = 'y';
	(void)upload_content(modules, boundary, KEEPS("]"));
	expect_error(400, 10021, "entry.py: is not as in version");
	*strstr(modules, "y = 1") = 'x';
	(void)upload_content(modules, boundary, METADATA("\"bindings\":[]"));
	expect_error(400, 10021, "only secrets are changed");
	memset(strstr(modules, ids[1]), '0', 8);
	(void)upload_content(modules, boundary, KEEPS("]"));
	expect_error(400, 10021, "no such version");
	free(modules);
	(void)finish(begin("PATCH", "/workers/workers/hello/versions/latest", "",
			   "{\"env\":{\"V\":{\"type\":\"plain_text\",\"text\":\"1\"}}}"));
	expect_error(400, 10021, "env: V: must be null or");
	(void)finish(begin("PATCH", "/workers/workers/none/versions/latest", "", "{\"env\":{}}"));
	expect_error(404, 10007, "none");

	a = serve_version(r, ids[3], "{\"C\":\"3\"}", a);
	a = serve_version(r, ids[0], "{\"A\":\"1\",\"B\":\"2\"}", a);
	a = serve_version(r, ids[1], "{\"B\":\"2\"}", a);
	forget(&a);
}

static void test_deployments(void **state)
{
	struct rig *r = *state;
	char first[WEB_UUID_LEN + 1], second[WEB_UUID_LEN + 1], text[512];
	struct instance a = upload(r, "PUT", SCRIPT, METADATA("\"bindings\":[]"), "{}", "", first),
			b;
	json_t *list;

	b = upload(r, "POST", SCRIPT "/versions", METADATA("\"bindings\":[]"), "{}", "", second);
	end_instance(r, &b);
	(void)snprintf(text, sizeof(text),
		       "{\"strategy\":\"percentage\",\"versions\":[{\"version_id\":\"%s\","
		       "\"percentage\":30},"
		       "{\"version_id\":\"%s\",\"percentage\":70}],\"annotations\":{\"workers/"
		       "message\":\"m\"}}",
		       second, first);
	expect("POST", SCRIPT "/deployments", text);
	expect("GET", SCRIPT "/deployments", "");
	list = json_object_get(result(), "deployments");
	assert_int_equal(json_array_size(list), 2);
	list = json_object_get(json_array_get(list, 0), "versions");
	assert_string_equal(rig_text(json_array_get(list, 0), "version_id"), second);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 0), "percentage")),
			 30);
	assert_int_equal(json_integer_value(json_object_get(json_array_get(list, 1), "percentage")),
			 70);
	/* What stands there with nothing does not serve. */
	(void)snprintf(text, sizeof(text),
		       "{\"versions\":[{\"version_id\":\"%s\",\"percentage\":0},"
		       "{\"version_id\":\"%s\",\"percentage\":100}]}",
		       second, first);
	expect("POST", SCRIPT "/deployments", text);
	expect_serves(r, first, 1);
	(void)finish(begin("POST", SCRIPT "/deployments", "", "{\"versions\":[]}"));
	expect_error(400, 10021, "one version or two");
	(void)finish(begin("POST", SCRIPT "/deployments", "",
			   "{\"versions\":[{\"version_id\":\"x\",\"percentage\":100}]}"));
	expect_error(404, 10007, "no version x");
	(void)snprintf(text, sizeof(text),
		       "{\"versions\":[{\"version_id\":\"%s\",\"percentage\":30.5}]}", first);
	(void)finish(begin("POST", SCRIPT "/deployments", "", text));
	expect_error(400, 10021, "a whole number");
	(void)snprintf(text, sizeof(text),
		       "{\"versions\":[{\"version_id\":\"%s\",\"percentage\":99}]}", first);
	(void)finish(begin("POST", SCRIPT "/deployments", "", text));
	expect_error(400, 10021, "100 together");
	expect("DELETE", "/workers/services/hello?force=false", "");
	assert_null(ls(r));
	forget(&a);
}

/* A worker of which no version has served yet, also after a restart. */
static void test_first_version(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1], text[256];
	struct instance a = upload(r, "POST", SCRIPT "/versions", METADATA("\"bindings\":[]"), "{}",
				   "", version);

	end_instance(r, &a);
	expect("GET", SCRIPT "/deployments", "");
	assert_int_equal(json_array_size(json_object_get(result(), "deployments")), 0);
	rig_kill(r);
	rig_start(r, true);
	expect("GET", SCRIPT "/deployments", "");
	assert_int_equal(json_array_size(json_object_get(result(), "deployments")), 0);
	expect("GET", "/workers/services/hello", "");
	(void)snprintf(text, sizeof(text),
		       "{\"versions\":[{\"version_id\":\"%s\",\"percentage\":100}]}", version);
	expect("POST", SCRIPT "/deployments", text);
	expect_serves(r, version, 0);
}

/* What is larger than is taken is told so, by the number that wrangler knows. */
static void test_large(void **state)
{
	const size_t len = HTTP_FORM_FIELDS_MAX + 1000;
	char *form = malloc(len + 200);
	size_t n = (size_t)sprintf(form, FIELD("metadata")); /* NOLINT: it has room */

	(void)state;
	memset(form + n, ' ', len);
	strcpy(form + n + len, "\r\n--b--");
	assert_int_equal(finish(begin("PUT", SCRIPT, FORM, form)), 413);
	expect_error(413, 10027, "1 MiB");
	free(form);
}

/* Routes and crons are set beside the versions, and stay with the worker. */
static void test_triggers(void **state)
{
	struct rig *r = *state;
	char version[WEB_UUID_LEN + 1];
	struct instance a =
		upload(r, "PUT", SCRIPT, METADATA("\"bindings\":[]"), "{}", "", version);
	json_t *worker;

	expect("PUT", SCRIPT "/routes",
	       "[{\"pattern\":\"example.com/"
	       "a*\",\"zone_name\":\"example.com\"},{\"pattern\":\"b.org/\"}]");
	expect("PUT", SCRIPT "/schedules", "[{\"cron\":\"0 3 * * *\"}]");
	expect("GET", SCRIPT "/routes", "");
	assert_int_equal(json_array_size(result()), 2);
	assert_string_equal(rig_text(json_array_get(result(), 0), "pattern"), "example.com/a*");
	expect("PUT", SCRIPT "/domains/records", "{\"origins\":[{\"hostname\":\"c.org\"}]}");
	expect("PUT", SCRIPT "/routes", "[{\"pattern\":\"d.org/*\"}]");
	expect("GET", SCRIPT "/routes", "");
	assert_int_equal(json_array_size(result()), 2);
	assert_string_equal(rig_text(json_array_get(result(), 0), "pattern"), "c.org/*");
	worker = ls(r);
	assert_string_equal(rig_text(json_array_get(json_object_get(worker, "crons"), 0), "cron"),
			    "0 3 * * *");
	json_decref(worker);
	(void)finish(begin("PUT", SCRIPT "/routes", "", "[{\"pattern\":\"*\"}]"));
	expect_error(400, 10021, "routes[1].pattern");
	(void)finish(begin("PUT", SCRIPT "/schedules", "", "[{\"cron\":\"x\"}]"));
	expect_error(400, 10021, "crons[0]");
	(void)finish(begin("PUT", SCRIPT "/schedules", "", "[7]"));
	expect_error(400, 10021, "crons[0]");
	/* Those that come at once are one after the other, and none takes another's back. */
	for (int i = 0; i < 5; i++) {
		char cron[64], want[32];
		int fds[3];

		(void)snprintf(want, sizeof(want), "%d 4 * * *", i);
		(void)snprintf(cron, sizeof(cron), "[{\"cron\":\"%s\"}]", want);
		fds[0] = begin("PUT", SCRIPT "/routes", "", "[{\"pattern\":\"e.org/*\"}]");
		fds[1] = begin("PUT", SCRIPT "/schedules", "", cron);
		fds[2] = begin("PUT", SCRIPT "/routes", "", "[{\"pattern\":\"f.org/*\"}]");
		for (int j = 0; j < 3; j++)
			assert_int_equal(finish(fds[j]), 200);
		expect("GET", SCRIPT "/schedules", "");
		assert_string_equal(
			rig_text(json_array_get(json_object_get(result(), "schedules"), 0), "cron"),
			want);
	}
	/* Where it answers beside its routes. */
	expect("GET", SCRIPT "/subdomain", "");
	assert_true(json_is_true(json_object_get(result(), "enabled")));
	expect("POST", SCRIPT "/subdomain", "{\"enabled\":false,\"previews_enabled\":true}");
	assert_true(json_is_false(json_object_get(result(), "enabled")));
	assert_true(json_is_false(json_object_get(result(), "previews_enabled")));
	(void)finish(begin("POST", SCRIPT "/subdomain", "", "{}"));
	expect_error(400, 10021, "enabled: must be true or false");
	/* After a restart they are what they were. */
	rig_kill(r);
	rig_start(r, true);
	expect("GET", "/workers/workers/hello", "");
	assert_true(
		json_is_false(json_object_get(json_object_get(result(), "subdomain"), "enabled")));
	expect("GET", SCRIPT "/routes", "");
	assert_int_equal(json_array_size(result()), 2);
	expect("GET", SCRIPT "/schedules", "");
	assert_int_equal(json_array_size(json_object_get(result(), "schedules")), 1);
	/* A configuration says all of them: this one has none. */
	forget(&a);
}

static void test_refused(void **state)
{
	struct rig *r = *state;
	static const struct {
		const char *form, *why;
		int code;
	} forms[] = {
		{FILE_PART("entry.py") "x\r\n--b--", "metadata: must be there"},
		{FIELD("metadata") "[]\r\n--b--", "metadata: must be an object"},
		{FIELD("metadata") "{\r\n--b--", "metadata"},
		{FIELD("metadata") METADATA("\"x\":1") "\r\n" FILE_PART("../entry.py") "\r\n--b--",
		 "entry.py"},
		{FIELD("metadata")
			 METADATA("\"x\":1") "\r\n" FILE_PART(".sandboxd/assets/x") "\r\n--b--",
		 "are taken"},
		{FIELD("metadata") METADATA("\"x\":1") "\r\n" FIELD("entry.py") "\r\n--b--",
		 "must be a file"},
		{FIELD("metadata") METADATA(
			 "\"bindings\":[{\"name\":\"X\",\"type\":\"inherit\"}]") "\r\n--b--",
		 "inherit binding 'X' is invalid", 10057},
		{FIELD("metadata") METADATA(
			 "\"bindings\":[{\"name\":\"X Y\",\"type\":\"secret_text\",\"text\":"
			 "\"a\"}]") "\r\n--b--",
		 "the secret X Y"},
		{FIELD("metadata") "{\"main_module\":\"a.js\"}\r\n" PART(
			 "a.js") "; filename=\"a.js\"\r\nContent-Type: "
				 "application/javascript+module\r\n\r\n"
				 "export default {}\r\n--b--",
		 "Python Workers alone"},
	};
	int fd;
	struct run run;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		(void)finish(begin("PUT", SCRIPT, FORM, forms[i].form));
		expect_error(400, forms[i].code ? forms[i].code : 10021, forms[i].why);
	}
	(void)finish(begin("PUT", SCRIPT, FORM, "--b\r\nx"));
	expect_error(400, 10013, "ends in the middle");
	/* What `secret put` uploads where there is no worker is none afterwards. */
	assert_int_equal(finish(begin("PUT", SCRIPT, FORM,
				      FIELD("metadata") "{\"main_module\":\"a.js\"}\r\n" PART(
					      "a.js") "; filename=\"a.js\"\r\nContent-Type: "
						      "application/javascript+module\r\n\r\n"
						      "export default { fetch() {} }\r\n--b--")),
			 200);
	assert_null(ls(r));
	/* Nor is one whose build fails; what it says has its place in front. */
	fd = begin("PUT", SCRIPT, FORM,
		   FIELD("metadata") METADATA("\"x\":1") "\r\n" FILE_PART("entry.py") "\r\n--b--");
	run = expect_start(r);
	say(run.serve,
	    "{\"op\":\"failed\",\"step\":\"read\",\"message\":\"startup\",\"file\":\"metadata\"}",
	    NULL, 0);
	(void)finish(fd);
	expect_error(400, 10021, "read: metadata: start-up");
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_EXIT);
	assert_null(ls(r));
}

/* b3(base64("hello") + "txt"), which is not "htm"'s. */
#define HELLO "f0b3413d4cabb000327fad369003d6a5"

/* The token of a session of these files, each {"hash", "size"}. */
static void begin_assets(const char *files, char jwt[TOKEN_LEN + 1])
{
	char text[1024];

	(void)snprintf(text, sizeof(text), "{\"manifest\":{%s}}", files);
	expect("POST", SCRIPT "/assets-upload-session", text);
	(void)snprintf(jwt, TOKEN_LEN + 1, "%s", rig_text(result(), "jwt"));
	assert_int_equal(strlen(jwt), TOKEN_LEN);
}

/* Sends one content by a session's token; returns the status. */
static unsigned send_asset(const char *jwt, const char *hash, const char *base64)
{
	char own[TOKEN_LEN + 1], form[1024];
	unsigned status;

	memcpy(own, token, sizeof(own));
	memcpy(token, jwt, sizeof(own));
	(void)snprintf(form, sizeof(form),
		       "--b\r\nContent-Disposition: form-data; name=\"%s\"; filename=\"%s\"\r\n"
		       "Content-Type: text/plain\r\n\r\n%s\r\n--b--",
		       hash, hash, base64);
	status = finish(begin("POST", "/workers/assets/upload?base64=true", FORM, form));
	memcpy(token, own, sizeof(own));
	return status;
}

/* What stands in a file of the only package that has it. */
static void expect_file(struct rig *r, const char *path, const char *content)
{
	char pattern[300], text[64] = "";
	glob_t found;
	FILE *in;

	(void)snprintf(pattern, sizeof(pattern), "%s/packages/[0-9a-f]*/%s", r->dir, path);
	assert_int_equal(glob(pattern, 0, NULL, &found), 0);
	assert_int_equal(found.gl_pathc, 1);
	in = fopen(found.gl_pathv[0], "re");
	assert_non_null(in);
	assert_non_null(fgets(text, sizeof(text), in));
	(void)fclose(in);
	globfree(&found);
	assert_string_equal(text, content);
}

static void test_assets(void **state)
{
	static const char files[] = "\"/a.txt\":{\"hash\":\"" HELLO "\",\"size\":5},"
				    "\"/deep/b.txt\":{\"hash\":\"" HELLO "\",\"size\":5}";
	struct rig *r = *state;
	char jwt[TOKEN_LEN + 1], form[1024];
	struct run run;
	int fd;

	begin_assets(files, jwt);
	/* A content that two files have is sent once. */
	assert_int_equal(json_array_size(json_object_get(result(), "buckets")), 1);
	assert_int_equal(json_array_size(json_array_get(json_object_get(result(), "buckets"), 0)),
			 1);
	/* The token is good for that alone. */
	assert_int_equal(
		send_asset("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", HELLO, "aGVsbG8="), 401);
	memcpy(form, token, sizeof(token));
	memcpy(token, jwt, sizeof(token));
	assert_int_equal(finish(begin("GET", "/workers/scripts", "", "")), 401);
	memcpy(token, form, sizeof(token));
	/* Before all is there, there is nothing to deploy with. */
	(void)snprintf(form, sizeof(form),
		       FIELD("metadata") METADATA(
			       "\"assets\":{\"jwt\":\"%s\",\"config\":"
			       "{\"_headers\":\"/*\"}}") "\r\n" FILE_PART("entry.py") "x\r\n--b--",
		       jwt);
	(void)finish(begin("PUT", SCRIPT, FORM, form));
	expect_error(400, 10021, "assets/a.txt was not uploaded");
	assert_int_equal(send_asset(jwt, HELLO, "aGVsbG8="), 200);
	assert_string_equal(rig_text(result(), "jwt"), jwt);
	assert_int_equal(send_asset(jwt, HELLO, "aGVsbG8="), 200);
	fd = begin("PUT", SCRIPT, FORM, form);
	run = expect_start(r);
	assert_null(strstr(run.job, jwt));
	expect_file(r, ".sandboxd/assets/a.txt", "hello");
	expect_file(r, ".sandboxd/assets/deep/b.txt", "hello");
	expect_file(r, ".sandboxd/assets/_headers", "/*");
	expect_file(r, "entry.py", "x");
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_EXIT);
	(void)finish(fd);
	expect_error(400, 10021, "build:");
	/* What is not what its hash says ends the session. */
	begin_assets(files, jwt);
	assert_int_equal(send_asset(jwt, HELLO, "aGVsbG8gaGVsbG8="), 400);
	expect_error(400, 10021, "its size is not");
	assert_int_equal(send_asset(jwt, HELLO, "aGVsbG8="), 401);
	begin_assets(files, jwt);
	assert_int_equal(send_asset(jwt, HELLO, "aGVsbG4="), 400);
	expect_error(400, 10021, "another hash");
	begin_assets(files, jwt);
	assert_int_equal(send_asset(jwt, HELLO, "aGV=bG8="), 400);
	expect_error(400, 10021, "base64");
	begin_assets(files, jwt);
	assert_int_equal(send_asset(jwt, "0123456789abcdef0123456789abcdef", "aGVsbG8="), 400);
	expect_error(400, 10021, "hash of no file");
	(void)finish(begin("POST", SCRIPT "/assets-upload-session", "",
			   "{\"manifest\":{\"/../x\":{\"hash\":\"" HELLO "\",\"size\":5}}}"));
	expect_error(400, 10021, "/../x: must be a path");
}

/* Files without a name, in which archives are, that the front has open. */
static unsigned archives_open(const struct rig *r)
{
	char text[64], target[300];
	unsigned n = 0;
	glob_t found;

	(void)snprintf(text, sizeof(text), "/proc/%d/fd/*", (int)r->pid);
	assert_int_equal(glob(text, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		const ssize_t len = readlink(found.gl_pathv[i], target, sizeof(target) - 1);

		target[len < 0 ? 0 : len] = '\0';
		n += strstr(target, "/packages/") && strstr(target, " (deleted)");
	}
	globfree(&found);
	return n;
}

#define UPLOADS 4 /* of a project at a time */

/* What is refused leaves nothing: its archive would take room for as long as the front runs. */
static void test_too_many(void **state)
{
	static const char form[] =
		FIELD("metadata") METADATA("\"x\":1") "\r\n" FILE_PART("entry.py") "\r\n--b--";
	struct rig *r = *state;
	struct run runs[UPLOADS];
	int fds[UPLOADS];
	for (unsigned i = 0; i < UPLOADS; i++) {
		fds[i] = begin("PUT", SCRIPT, FORM, form);
		runs[i] = expect_start(r);
	}
	for (unsigned i = 0; i < 5; i++)
		(void)finish(begin("PUT", SCRIPT, FORM, form));
	expect_error(413, 10027, "4 deploys of this project are under way");
	assert_int_equal(archives_open(r), 0);
	for (unsigned i = 0; i < UPLOADS; i++) {
		(void)close(runs[i].serve);
		end_run(r, runs[i].id, VERDICT_EXIT);
		(void)finish(fds[i]);
	}
}

/* More of everything than is done in one turn, or than there may be. */
static void test_much(void **state)
{
	struct rig *r = *state;
	char *text = NULL;
	struct run run;
	size_t size;
	FILE *out;
	int fd;

	out = open_memstream(&text, &size);
	(void)fprintf(out, FIELD("metadata") "{\"main_module\":\"entry.py\",\"annotations\":{"
					     "\"workers/message\":\"a");
	for (unsigned i = 0; i < 600; i++)
		(void)fprintf(out, "\xc3\xbc");
	(void)fprintf(out, "\"}}\r\n");
	for (unsigned i = 0; i < 150; i++)
		(void)fprintf(out, PART("%u.py") "; filename=\"%u.py\"\r\n\r\n%u\r\n", i, i, i);
	(void)fprintf(out, "--b--");
	assert_int_equal(fclose(out), 0);
	fd = begin("PUT", SCRIPT, FORM, text);
	free(text);
	run = expect_start(r);
	expect_file(r, "0.py", "0");
	expect_file(r, "149.py", "149");
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_EXIT);
	(void)finish(fd);
	expect_error(400, 10021, "build: it has ended without an answer");

	out = open_memstream(&text, &size);
	(void)fprintf(out, FIELD("metadata") "{\"main_module\":\"entry.py\",\"bindings\":[");
	for (unsigned i = 0; i < 257; i++)
		(void)fprintf(out, "%s{\"name\":\"A\",\"type\":\"inherit\"}", i ? "," : "");
	(void)fprintf(out, "]}\r\n" FILE_PART("entry.py") "\r\n--b--");
	assert_int_equal(fclose(out), 0);
	(void)finish(begin("PUT", SCRIPT, FORM, text));
	free(text);
	expect_error(400, 10021, "bindings: at most 256 are allowed");
}

/* The traceback of code that cannot be imported. */
static void test_traceback(void **state)
{
	struct rig *r = *state;
	int fd = begin("PUT", SCRIPT, FORM,
		       FIELD("metadata")
			       METADATA("\"x\":1") "\r\n" FILE_PART("entry.py") "\r\n--b--");
	struct instance i;

	build(r, "x = 1\n");
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_instance(r);
	say(i.channel,
	    "{\"op\":\"failed\",\"message\":\"ValueError: own\",\"file\":\"entry.py\",\"line\":3,"
	    "\"traceback\":\"Traceback:\\n  File \\\"entry.py\\\", line 3\\u001b\\nValueError: "
	    "own\\n\"}",
	    NULL, 0);
	end_run(r, i.run.id, VERDICT_EXIT);
	(void)finish(fd);
	expect_error(400, 10021, "start: entry.py:3: ValueError: own");
	expect_error(400, 10021, "\nTraceback:\n  File \"entry.py\", line 3?\nValueError: own\n");
	forget(&i);
	assert_null(ls(r));
	/* One that ends without a word is not worth another try either. */
	fd = begin("PUT", SCRIPT, FORM,
		   FIELD("metadata") METADATA("\"x\":1") "\r\n" FILE_PART("entry.py") "\r\n--b--");
	build(r, "x = 1\n");
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_instance(r);
	end_run(r, i.run.id, VERDICT_EXIT);
	(void)finish(fd);
	expect_error(400, 10021, "start: ");
	forget(&i);
}

#define WITH_CF(test) cmocka_unit_test_setup_teardown(test, cf_setup, cf_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_CF(test_uploads),	WITH_CF(test_long_metadata), WITH_CF(test_deployments),
		WITH_CF(test_triggers), WITH_CF(test_first_version), WITH_CF(test_large),
		WITH_CF(test_assets),	WITH_CF(test_refused),	     WITH_CF(test_traceback),
		WITH_CF(test_too_many), WITH_CF(test_much),	     WITH_CF(test_version_secrets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
