/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A real front in a child process, with a real store, and an image and a policy in a state folder.
 * The test plays the monitor, the logger and sandboxctl.
 */
#ifndef TESTS_UNIT_FRONT_RIG_H
#define TESTS_UNIT_FRONT_RIG_H

#include "tests/unit/front_client.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "lib/image.h"
#include "lib/policy.h"

struct rig {
	struct front_config cfg;
	pid_t pid;
	int monitor, logger; /* the test's ends */
	char dir[32], socket[64];
	uint8_t image[32], policy[32];
};

static void rig_write(int dirfd, const char *name, const void *bytes, size_t len)
{
	int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(util_write_all(fd, bytes, len), 0);
	(void)close(fd);
}

static void rig_make_policy(struct rig *r, const char *name)
{
	struct {
		struct policy_head head;
		struct sock_filter bpf;
	} file = {.head = {.magic = POLICY_MAGIC,
			   .version = POLICY_VERSION,
			   .size = sizeof(file.head) + sizeof(file.bpf),
			   .n_bpf = 1,
			   .lasting = 1,
			   .limits = {64 << 20, 1 << 20, 1 << 20, 1000, 32, 60, 64},
			   .limits_max = {128 << 20, 2 << 20, 1 << 20, 2000, 64, 120, 128}}};
	char hex[65], path[160], link[80];

	(void)snprintf(file.head.name, sizeof(file.head.name), "%s", name);
	assert_int_equal(EVP_Digest(&file, file.head.size, r->policy, NULL, EVP_sha256(), NULL), 1);
	util_hex(r->policy, 32, hex);
	(void)snprintf(path, sizeof(path), "policies/%s.bin", hex);
	rig_write(r->cfg.state_dirfd, path, &file, file.head.size);
	(void)snprintf(path, sizeof(path), "%s.bin", hex);
	(void)snprintf(link, sizeof(link), "policies/%s", name);
	assert_int_equal(symlinkat(path, r->cfg.state_dirfd, link), 0);
}

static void rig_make_image(struct rig *r)
{
	struct image_head head = {.magic = IMAGE_MAGIC,
				  .version = IMAGE_VERSION,
				  .name = "python",
				  .interpreter = "/usr/bin/python3",
				  .policy = "default",
				  .warm = "json\nre",
				  .python_version = "3.11.2"};
	char hex[65], path[160], target[80];

	memset(r->image, 0xab, sizeof(r->image));
	util_hex(r->image, 32, hex);
	(void)snprintf(path, sizeof(path), "images/%s", hex);
	assert_int_equal(mkdirat(r->cfg.state_dirfd, path, 0755), 0);
	(void)snprintf(path, sizeof(path), "images/%s/rootfs", hex);
	assert_int_equal(mkdirat(r->cfg.state_dirfd, path, 0755), 0);
	(void)snprintf(path, sizeof(path), "images/%s/image.bin", hex);
	rig_write(r->cfg.state_dirfd, path, &head, sizeof(head));
	(void)snprintf(target, sizeof(target), "../%s", hex);
	assert_int_equal(symlinkat(target, r->cfg.state_dirfd, "images/by-name/python"), 0);
}

static int rig_subdir(struct rig *r, const char *name)
{
	int fd;

	assert_int_equal(mkdirat(r->cfg.state_dirfd, name, 0755), 0);
	fd = openat(r->cfg.state_dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	return fd;
}

static int RIG_UNUSED rig_setup(void **state)
{
	struct rig *r = calloc(1, sizeof(*r));
	struct sockaddr_un addr = {.sun_family = AF_UNIX};

	(void)umask(022);
	strcpy(r->dir, "/tmp/front-XXXXXX");
	assert_non_null(mkdtemp(r->dir));
	r->cfg.state_dirfd = open(r->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(r->cfg.state_dirfd >= 0);
	(void)close(rig_subdir(r, "images"));
	(void)close(rig_subdir(r, "images/by-name"));
	(void)close(rig_subdir(r, "policies"));
	r->cfg.front_dirfd = rig_subdir(r, "front");
	r->cfg.packages_dirfd = rig_subdir(r, "packages");
	rig_make_policy(r, "default");
	rig_make_image(r);
	(void)snprintf(r->socket, sizeof(r->socket), "%s/sock", r->dir);
	strcpy(addr.sun_path, r->socket);
	r->cfg.http_fd = r->cfg.dashboard_dirfd = r->cfg.edge_dirfd = -1;
	r->cfg.api_fd = -1;
	r->cfg.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_int_equal(bind(r->cfg.listen_fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(r->cfg.listen_fd, 128), 0);
	*state = r;
	return 0;
}

/* ready: the monitor says at once that it has no task. */
static void RIG_UNUSED rig_send(struct rig *r, enum proto_type type)
{
	union proto_msg m = {0};

	proto_init(&m, type);
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

static void RIG_UNUSED rig_start(struct rig *r, bool ready)
{
	int monitor[2];

	assert_int_equal(proto_socketpair(monitor), 0);
	fflush(NULL);
	r->pid = fork();
	assert_true(r->pid >= 0);
	if (r->pid == 0) {
		(void)close(monitor[0]);
		r->cfg.monitor_sock = monitor[1];
		/* The front's warnings are expected here and would hide the test's own output. */
		if (!getenv("FRONT_RIG_VERBOSE"))
			(void)dup2(open("/dev/null", O_WRONLY | O_CLOEXEC), STDERR_FILENO);
		exit(front_main(&r->cfg, front_capabilities) == 0 ? 0 : 1);
	}
	(void)close(monitor[1]);
	r->monitor = monitor[0];
	r->logger = rig_peer_new(r->monitor);
	if (ready)
		rig_send(r, MON_READY);
}

/* The front must end when its monitor does: with status 0, and not by a signal. */
static void rig_stop(struct rig *r)
{
	int status;

	if (!r->pid)
		return;
	(void)close(r->monitor);
	assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
	(void)close(r->logger);
	r->pid = 0;
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void RIG_UNUSED rig_kill(struct rig *r)
{
	assert_int_equal(kill(r->pid, SIGKILL), 0);
	assert_int_equal(waitpid(r->pid, NULL, 0), r->pid);
	(void)close(r->monitor);
	(void)close(r->logger);
	r->pid = 0;
}

static int RIG_UNUSED rig_teardown(void **state)
{
	struct rig *r = *state;
	char command[64];

	rig_stop(r);
	(void)close(r->cfg.state_dirfd);
	(void)close(r->cfg.front_dirfd);
	(void)close(r->cfg.packages_dirfd);
	(void)close(r->cfg.listen_fd);
	(void)snprintf(command, sizeof(command), "rm -rf %s", r->dir);
	assert_int_equal(system(command), 0); /* NOLINT: the test's own folder */
	free(r);
	return 0;
}

/* Receives the next message to the monitor or the logger, which must have this type. */
static void RIG_UNUSED rig_expect(struct rig *r, bool logger, enum proto_type type,
				  union proto_msg *m, int fds[PROTO_FDS_MAX])
{
	int mine[PROTO_FDS_MAX];
	unsigned n;

	rig_readable(logger ? r->logger : r->monitor);
	assert_int_equal(proto_recv(logger ? r->logger : r->monitor, ROLE_FRONT,
				    logger ? ROLE_LOGGER : ROLE_MONITOR, m, mine, &n),
			 0);
	assert_int_equal(m->h.type, type);
	for (unsigned i = 0; i < PROTO_FDS_MAX; i++) {
		if (fds)
			fds[i] = mine[i];
		else
			util_close_fd(&mine[i]);
	}
}

static int RIG_UNUSED rig_connect(struct rig *r)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	strcpy(addr.sun_path, r->socket);
	assert_int_equal(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

/* Sends a request on a connection of its own, and returns the answer. */
static json_t RIG_UNUSED *rig_call(struct rig *r, const char *text)
{
	int conn = rig_connect(r);
	json_t *reply;

	rig_request(conn, text);
	reply = rig_reply(conn);
	(void)close(conn);
	return reply;
}

/* Sends {"op": op, "id": id} and returns the answer. */
static json_t RIG_UNUSED *rig_ask(struct rig *r, const char *op, const char *id)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "{\"op\":\"%s\",\"id\":\"%s\"}", op, id);
	return rig_call(r, text);
}

static void RIG_UNUSED rig_expect_status(struct rig *r, const char *id, const char *status)
{
	json_t *reply = rig_ask(r, "inspect", id);

	assert_string_equal(rig_text(json_object_get(reply, "task"), "status"), status);
	json_decref(reply);
}

static void RIG_UNUSED rig_started(struct rig *r, const char *id, enum warm_for want_warm)
{
	union proto_msg m = {0};

	proto_init(&m, MON_STARTED);
	strcpy(m.started.id, id);
	m.started.mode = START_RESTORE;
	m.started.first_ns = util_monotonic_ns();
	m.started.want_warm = (uint8_t)want_warm;
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

static void RIG_UNUSED rig_exited(struct rig *r, const char *id, enum verdict verdict,
				  int wait_status)
{
	union proto_msg m = {0};

	proto_init(&m, MON_EXITED);
	strcpy(m.exited.id, id);
	m.exited.verdict = (uint8_t)verdict;
	m.exited.wait_status = wait_status;
	m.exited.cpu_us = 12500;
	m.exited.memory_peak = 4096;
	m.exited.finished_ns = util_realtime_ns();
	assert_int_equal(proto_send(r->monitor, &m, NULL, 0), 0);
}

static void RIG_UNUSED rig_log_end(struct rig *r, const char *id)
{
	union proto_msg m = {0};

	proto_init(&m, LOG_END);
	strcpy(m.log_end.id, id);
	m.log_end.lines = 3;
	m.log_end.bytes = 30;
	assert_int_equal(proto_send(r->logger, &m, NULL, 0), 0);
}

#define RIG_CODE "{\"op\":\"run\",\"image\":\"python\",\"task\":{\"code\":\"x\"}}"

/* Starts a run and waits for its MON_START. The connection is returned, for its events. */
static int RIG_UNUSED rig_run(struct rig *r, const char *text, char id[TASK_ID_LEN + 1])
{
	int conn = rig_connect(r);
	union proto_msg m;

	rig_request(conn, text);
	rig_expect(r, false, MON_START, &m, NULL);
	rig_expect_event(conn, "accepted", id);
	assert_string_equal(m.start.id, id);
	return conn;
}

#define WITH_RIG(test) cmocka_unit_test_setup_teardown(test, rig_setup, rig_teardown)

#endif
