/* SPDX-License-Identifier: Apache-2.0 */
/* A front with HTTP workers: the test plays the monitor, the code in the sandboxes, and the edge. */
#ifndef TESTS_UNIT_WEB_RIG_H
#define TESTS_UNIT_WEB_RIG_H

#include "tests/unit/front_rig.h"

#include <archive.h>
#include <archive_entry.h>
#include <netinet/in.h>

#include "supervisor/front/store/web.h"
#include "wire/serve.h"

#define MANIFEST                                                                                   \
	"{\"name\":\"hello\",\"main\":\"entry\",\"main_file\":\"entry.py\","                       \
	"\"compatibility_date\":\"2026-03-01\",\"python\":\"3.11\",\"imports\":[\"json\"],"        \
	"\"package_imports\":[\"own\",\"own.x\"],"                                                 \
	"\"bindings\":[{\"name\":\"KV\",\"type\":\"kv_namespace\"},"                               \
	"{\"name\":\"AI\",\"type\":\"ai\"}]}"

static const char *manifest = MANIFEST; /* that the next build sends */

#define DEDICATED "_sandboxd_http.warm\n" WARM_MODULE "entry\n" WARM_REFUSE
#define PACKAGE "_sandboxd_http.warm\njson\n" WARM_MODULE "own\n" WARM_MODULE "own.x"

static uint16_t web_port; /* of the front's HTTP server */

static int RIG_UNUSED web_setup(void **state)
{
	struct sockaddr_in addr = {.sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(addr);
	struct rig *r;
	char target[80], hex[65];

	assert_int_equal(rig_setup(state), 0);
	r = *state;
	r->cfg.edge_dirfd = rig_subdir(r, "edge");
	(void)close(rig_subdir(r, "edge/i"));
	(void)close(rig_subdir(r, "edge/v"));
	(void)close(rig_subdir(r, "assets"));
	r->cfg.http_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(r->cfg.http_fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(r->cfg.http_fd, 16), 0);
	assert_int_equal(getsockname(r->cfg.http_fd, (struct sockaddr *)&addr, &len), 0);
	web_port = ntohs(addr.sin_port);
	util_hex(r->image, 32, hex);
	(void)snprintf(target, sizeof(target), "../%s", hex);
	assert_int_equal(symlinkat(target, r->cfg.state_dirfd, "images/by-name/web"), 0);
	rig_start(r, true);
	return 0;
}

static int RIG_UNUSED web_teardown(void **state)
{
	(void)close(((struct rig *)*state)->cfg.edge_dirfd);
	(void)close(((struct rig *)*state)->cfg.http_fd);
	return rig_teardown(state);
}

#define WITH_WEB(test) cmocka_unit_test_setup_teardown(test, web_setup, web_teardown)

/* A tar with one file. */
static int RIG_UNUSED tar(const char *name, const char *content)
{
	int fd = memfd_create("tar", MFD_CLOEXEC);
	struct archive *a = archive_write_new();
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)strlen(content));
	assert_int_equal(archive_write_set_format_ustar(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, content, strlen(content)), strlen(content));
	assert_int_equal(archive_write_free(a), ARCHIVE_OK);
	archive_entry_free(entry);
	assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
	return fd;
}

/* Frames, from the side of the code in a sandbox. */

static void RIG_UNUSED say(int sock, const char *head, const void *body, size_t len)
{
	const uint32_t lengths[2] = {htole32((uint32_t)strlen(head)), htole32((uint32_t)len)};

	assert_int_equal(util_write_all(sock, lengths, sizeof(lengths)), 0);
	assert_int_equal(util_write_all(sock, head, strlen(head)), 0);
	assert_int_equal(util_write_all(sock, body, len), 0);
}

/* The next frame's head; its body is in hear_body, with a NUL. */
static char hear_body[4096];

static json_t *RIG_UNUSED hear(int sock)
{
	uint32_t lengths[2];
	char head[4096];
	json_t *o;

	rig_readable(sock);
	assert_int_equal(util_read_all(sock, lengths, sizeof(lengths)), 0);
	assert_true(le32toh(lengths[0]) < sizeof(head) && le32toh(lengths[1]) < sizeof(hear_body));
	assert_int_equal(util_read_all(sock, head, le32toh(lengths[0])), 0);
	assert_int_equal(util_read_all(sock, hear_body, le32toh(lengths[1])), 0);
	hear_body[le32toh(lengths[1])] = '\0';
	o = json_loadb(head, le32toh(lengths[0]), 0, NULL);
	assert_non_null(o);
	return o;
}

/* A step of the test: a deploy's connection, and the run that the front wants next. */
struct run {
	char id[TASK_ID_LEN + 1];
	char job[4096];
	int serve; /* the descriptor that it is given */
};

/* The next message to the monitor, which must be of this type; those that only tell it to end or
 * to forget a run are passed over. */
static union proto_msg RIG_UNUSED expect_mon(struct rig *r, enum proto_type type,
					     int fds[PROTO_FDS_MAX])
{
	union proto_msg m;
	unsigned n;

	do {
		rig_readable(r->monitor);
		assert_int_equal(proto_recv(r->monitor, ROLE_FRONT, ROLE_MONITOR, &m, fds, &n), 0);
		/* A front that was started again asks for the snapshots of what serves. */
		for (unsigned i = 0; m.h.type != type && i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
	} while (m.h.type == MON_FORGET || m.h.type == MON_KILL ||
		 (m.h.type == MON_WARM && type != MON_WARM));
	assert_int_equal(m.h.type, type);
	return m;
}

static struct run RIG_UNUSED expect_start(struct rig *r)
{
	struct run run = {.serve = -1};
	int fds[PROTO_FDS_MAX];
	const union proto_msg m = expect_mon(r, MON_START, fds);

	assert_int_equal(m.start.has_package, 1);
	assert_int_equal(m.start.has_serve, 1);
	memcpy(run.id, m.start.id, sizeof(run.id));
	assert_true(pread(fds[0], run.job, sizeof(run.job) - 1, 0) > 0);
	util_close_fd(&fds[0]);
	util_close_fd(&fds[1]);
	run.serve = fds[2];
	return run;
}

static uint32_t RIG_UNUSED expect_warm(struct rig *r, const char *list)
{
	int fds[PROTO_FDS_MAX];
	const union proto_msg m = expect_mon(r, MON_WARM, fds);

	for (unsigned i = 0; i < PROTO_FDS_MAX; i++)
		util_close_fd(&fds[i]);
	assert_string_equal(m.warm.warm, list);
	return m.warm.tag;
}

static void RIG_UNUSED end_run(struct rig *r, const char *id, enum verdict verdict)
{
	rig_exited(r, id, verdict, 0);
	rig_log_end(r, id);
}

static int RIG_UNUSED begin_deploy(struct rig *r)
{
	int conn = rig_connect(r), fd = tar("wrangler.toml", "name = \"hello\"\n");

	rig_request_fds(conn, "{\"op\":\"deploy\",\"project\":\"default\",\"source\":\"test\"}",
			&fd, 1);
	(void)close(fd);
	return conn;
}

/* The build has sent what it has made. */
static void RIG_UNUSED build(struct rig *r, const char *code)
{
	struct run run = expect_start(r);
	static char bytes[64 << 10];
	ssize_t n;
	int fd = tar("entry.py", code);

	assert_non_null(strstr(run.job, "_sandboxd_deploy.build:main"));
	say(run.serve, "{\"op\":\"progress\",\"step\":\"read\",\"ms\":1.5}", NULL, 0);
	n = read(fd, bytes, sizeof(bytes));
	/* In two pieces. */
	say(run.serve, "{\"op\":\"package\",\"last\":false}", bytes, 700);
	say(run.serve, "{\"op\":\"package\",\"last\":true}", bytes + 700, (size_t)n - 700);
	say(run.serve, "{\"op\":\"manifest\"}", manifest, strlen(manifest));
	(void)close(fd);
	(void)close(run.serve);
	end_run(r, run.id, VERDICT_OK);
}

static void RIG_UNUSED warmed(struct rig *r, uint32_t tag, int status, const char *error)
{
	union proto_msg m = {0};

	proto_init(&m, MON_WARMED);
	m.warmed.tag = tag;
	m.warmed.status = status;
	(void)snprintf(m.warmed.error, sizeof(m.warmed.error), "%s", error);
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

/* Accepts the front's channel on the instance's socket, and reads what it says first: the worker's
 * secrets, which must be these. */
static int RIG_UNUSED accept_secrets(int listen_fd, const char *want)
{
	json_t *hello, *secrets, *wanted = json_loads(want, 0, NULL);
	char zero = 1;
	int sock;

	rig_readable(listen_fd);
	sock = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(sock >= 0);
	assert_int_equal(util_read_all(sock, &zero, 1), 0);
	assert_int_equal(zero, 0);
	hello = hear(sock);
	assert_string_equal(rig_text(hello, "op"), "hello");
	secrets = json_object_get(hello, "secrets");
	assert_true(json_is_object(secrets));
	assert_true(json_equal(secrets, wanted));
	json_decref(hello);
	json_decref(wanted);
	return sock;
}

static int RIG_UNUSED accept_channel(int listen_fd)
{
	return accept_secrets(listen_fd, "{}");
}

/* Of a loop that asks until something has come: fails where it never does. begin: of the loop. */
static void RIG_UNUSED not_for_ever(uint64_t begin_ns)
{
	assert_true(util_monotonic_ns() - begin_ns < RIG_WAIT_MS * MSEC);
	(void)usleep(1000);
}

struct instance {
	struct run run;
	int channel;
};

static struct instance RIG_UNUSED start_with(struct rig *r, const char *secrets)
{
	struct instance i = {.run = expect_start(r)};

	assert_non_null(strstr(i.run.job, "_sandboxd_http.instance:main"));
	i.channel = accept_secrets(i.run.serve, secrets);
	rig_started(r, i.run.id, WARM_FOR_NOBODY);
	return i;
}

static struct instance RIG_UNUSED start_instance(struct rig *r)
{
	return start_with(r, "{}");
}

static void RIG_UNUSED say_ready(const struct instance *i)
{
	say(i->channel, "{\"op\":\"ready\",\"import_ms\":1.0,\"handlers\":[\"fetch\"]}", NULL, 0);
}

/* A whole deploy. *version is its id. */
static struct instance RIG_UNUSED deploy_with(struct rig *r, const char *code, const char *secrets,
					      char version[WEB_UUID_LEN + 1])
{
	int conn = begin_deploy(r);
	struct instance i;
	json_t *reply;

	build(r, code);
	warmed(r, expect_warm(r, DEDICATED), 0, "");
	i = start_with(r, secrets);
	say_ready(&i);
	reply = rig_reply(conn);
	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s", rig_text(reply, "error"));
	assert_string_equal(rig_text(reply, "name"), "hello");
	assert_string_equal(rig_text(reply, "snapshot"), "dedicated");
	(void)snprintf(version, WEB_UUID_LEN + 1, "%s", rig_text(reply, "version"));
	assert_int_equal(strlen(version), WEB_UUID_LEN);
	json_decref(reply);
	(void)close(conn);
	return i;
}

static struct instance RIG_UNUSED deploy(struct rig *r, const char *code,
					 char version[WEB_UUID_LEN + 1])
{
	return deploy_with(r, code, "{}", version);
}

static json_t *RIG_UNUSED ls(struct rig *r)
{
	json_t *reply = rig_call(r, "{\"op\":\"web_ls\",\"project\":\"default\"}");
	json_t *worker = json_array_get(json_object_get(reply, "workers"), 0);

	json_incref(worker);
	json_decref(reply);
	return worker;
}

static void RIG_UNUSED expect_serves(struct rig *r, const char *version, size_t n_instances)
{
	json_t *worker = ls(r);
	const json_t *versions = json_object_get(worker, "versions");

	assert_int_equal(json_array_size(versions), 1);
	assert_string_equal(rig_text(json_array_get(versions, 0), "version"), version);
	assert_int_equal(json_array_size(json_object_get(worker, "instances")), n_instances);
	json_decref(worker);
}

static void RIG_UNUSED forget(struct instance *i)
{
	util_close_fd(&i->channel);
	util_close_fd(&i->run.serve);
}

static RIG_UNUSED json_t *ask(int channel, const char *head, const char *body)
{
	say(channel, head, body, strlen(body));
	return hear(channel);
}

/* The edge, which has no instance for a request. */
static int RIG_UNUSED edge_ask(struct rig *r, const char *version)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char line[128];

	(void)snprintf(name.sun_path, sizeof(name.sun_path), "%s/edge/wake.sock", r->dir);
	assert_int_equal(connect(fd, (struct sockaddr *)&name, sizeof(name)), 0);
	(void)snprintf(line, sizeof(line), "WAKE default/hello %s r1\n", version);
	assert_int_equal(util_write_all(fd, line, strlen(line)), 0);
	return fd;
}

static void RIG_UNUSED edge_expect(int fd, const char *want)
{
	char got[512] = "";

	rig_readable(fd);
	assert_true(read(fd, got, sizeof(got) - 1) > 0);
	if (strncmp(got, want, strlen(want)) != 0)
		fail_msg("\"%s\" is not \"%s\"", got, want);
}

#endif
