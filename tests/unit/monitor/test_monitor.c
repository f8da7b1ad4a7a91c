// SPDX-License-Identifier: Apache-2.0
/* The monitor without free file descriptors: a descriptor that could not be opened fails like one
 * too many. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "supervisor/monitor/fork/template.h"
#include "supervisor/monitor/spawn/spawn.h"

#define NO_FD 100000

static struct monitor *new_monitor(void)
{
	struct monitor *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	assert_int_equal(idtable_init(&m->boxes, 64), 0);
	return m;
}

/* A role that reads nothing, and has been sent more than its socket's buffer takes. */
static void make_busy(struct role *role, struct monitor *m, int pair[2])
{
	union proto_msg msg = {0};

	assert_int_equal(proto_socketpair(pair), 0);
	chan_init(&role->chan, pair[0], false);
	proto_init(&msg, MON_READY);
	while (!role->chan.n_waiting)
		assert_int_equal(role_send(m, R_LOGGER, &msg, NULL, 0), 0);
}

static void test_message_kept(void **state)
{
	struct monitor *m = new_monitor();
	struct role *role = &m->roles[R_LOGGER];
	union proto_msg msg = {0};
	int pair[2], fds[2] = {STDIN_FILENO, STDOUT_FILENO};

	(void)state;
	make_busy(role, m, pair);
	proto_init(&msg, LOG_OPEN);
	assert_int_equal(role_send(m, R_LOGGER, &msg, fds, 2), 0);
	assert_true(role->chan.sock >= 0);
	/* The message could not be kept for the role. Its connection is closed, because only a new
	 * process of the role is told everything again. */
	fds[1] = NO_FD;
	assert_int_equal(role_send(m, R_LOGGER, &msg, fds, 2), -EBADF);
	assert_int_equal(role->chan.sock, -1);
	assert_int_equal(role->chan.n_waiting, 0);
	assert_int_equal(role_send(m, R_LOGGER, &msg, NULL, 0), -ENOTCONN);
	close(pair[1]);
	idtable_clear(&m->boxes);
	free(m);
}

/* A template contains its package: if the package's folder cannot be passed on, no template is
 * made. */
static void test_template_package(void **state)
{
	const struct recipe of = {.package = {1}, .package_fd = NO_FD, .warm = "app"};
	int log = memfd_create("log", MFD_CLOEXEC), err = dup(STDERR_FILENO);
	struct monitor *m = new_monitor();
	char text[1024] = "";

	(void)state;
	m->criu_works = true;
	m->images_fd = m->policies_fd = -1;
	dup2(log, STDERR_FILENO);
	template_want(m, &of);
	dup2(err, STDERR_FILENO);
	assert_true(pread(log, text, sizeof(text) - 1, 0) > 0);
	assert_non_null(strstr(text, "package: Bad file descriptor"));
	/* The template is kept in the list, so that it is tried again later. */
	assert_non_null(m->templates);
	assert_int_equal(m->templates->state, TEMPLATE_RETIRED);
	assert_int_equal(m->templates->of.package_fd, -1);
	assert_null(m->templates->keeper);
	free(m->templates);
	idtable_clear(&m->boxes);
	free(m);
	close(log);
	close(err);
}

/* Asks to start a task with this job. A task of this id exists already, so nothing follows after
 * the job was checked. */
static int start_with(struct monitor *m, int job_fd)
{
	struct mon_start req = {.id = "0123456789abcdef01234567"};
	int r = start_task(m, &req, &(struct start_fds){job_fd, -1, -1, -1, -1});

	close(job_fd);
	return r;
}

static int memory_file(off_t size, int seals)
{
	int fd = memfd_create("job", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, size), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* A sandbox's init reads the job as root, so the job must be a sealed memfd, and not a file that
 * only root could open. */
static void test_job_fd(void **state)
{
	const int all = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct monitor *m = new_monitor();
	struct box *b = box_new(m, &box_task, "0123456789abcdef01234567");
	int pipes[2];

	(void)state;
	assert_int_equal(start_with(m, memory_file(5, all)), 0);
	assert_int_equal(start_with(m, memory_file(JOB_BYTES_MAX, all)), 0);
	assert_int_equal(start_with(m, memory_file((off_t)JOB_BYTES_MAX + 1, all)), -EPROTO);
	assert_int_equal(start_with(m, memory_file(5, all & ~F_SEAL_WRITE)), -EPROTO);
	assert_int_equal(start_with(m, memory_file(5, all & ~F_SEAL_GROW)), -EPROTO);
	assert_int_equal(start_with(m, memory_file(5, all & ~F_SEAL_SHRINK)), -EPROTO);
	assert_int_equal(start_with(m, memory_file(5, F_SEAL_WRITE)), -EPROTO);
	assert_int_equal(start_with(m, open("/proc/self/stat", O_RDONLY | O_CLOEXEC)), -EPROTO);
	assert_int_equal(start_with(m, open("/etc/passwd", O_PATH | O_CLOEXEC)), -EPROTO);
	assert_int_equal(start_with(m, open("/", O_RDONLY | O_CLOEXEC)), -EPROTO);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(start_with(m, pipes[0]), -EPROTO);
	close(pipes[1]);
	box_free(b);
	idtable_clear(&m->boxes);
	free(m);
}

/* The same with this descriptor as the task's stdin. */
static int start_with_input(struct monitor *m, enum start_mode start, int input_fd)
{
	struct mon_start req = {
		.id = "0123456789abcdef01234567", .start = (uint8_t)start, .has_input = 1};
	int job_fd = memory_file(5, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	int r = start_task(m, &req, &(struct start_fds){job_fd, -1, -1, input_fd, -1});

	close(job_fd);
	return r;
}

/* A task's stdin may lead neither to a file nor into a network; a process that is restored or
 * cloned has its stdin already. */
static void test_input_fd(void **state)
{
	struct monitor *m = new_monitor();
	struct box *b = box_new(m, &box_task, "0123456789abcdef01234567");
	const int others[] = {
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
		open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC),
		open("/etc/passwd", O_RDONLY | O_CLOEXEC),
	};
	int pair[2], packets[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets), 0);
	assert_int_equal(start_with_input(m, START_COLD, pair[0]), 0);
	assert_int_equal(start_with_input(m, START_AUTO, pair[0]), -EPROTO);
	assert_int_equal(start_with_input(m, START_RESTORE, pair[0]), -EPROTO);
	assert_int_equal(start_with_input(m, START_FORK, pair[0]), -EPROTO);
	assert_int_equal(start_with_input(m, START_COLD, -1), -EPROTO);
	assert_int_equal(start_with_input(m, START_COLD, packets[0]), -EPROTO);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_true(others[i] >= 0);
		assert_int_equal(start_with_input(m, START_COLD, others[i]), -EPROTO);
		close(others[i]);
	}
	for (int i = 0; i < 2; i++) {
		close(pair[i]);
		close(packets[i]);
	}
	box_free(b);
	idtable_clear(&m->boxes);
	free(m);
}

static int start_with_serve(struct monitor *m, enum start_mode start, int serve_fd)
{
	struct mon_start req = {
		.id = "0123456789abcdef01234567", .start = (uint8_t)start, .has_serve = 1};
	int job_fd = memory_file(5, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	int r = start_task(m, &req, &(struct start_fds){job_fd, -1, -1, -1, serve_fd});

	close(job_fd);
	return r;
}

/* A folder that a run keeps is mounted before there is a task, so that no clone can have one. */
static void test_data_fd(void **state)
{
	struct monitor *m = new_monitor();
	struct box *b = box_new(m, &box_task, "0123456789abcdef01234567");
	int job_fd = memory_file(5, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
	int folder = open("/tmp", O_PATH | O_DIRECTORY | O_CLOEXEC);

	(void)state;
	for (enum start_mode mode = START_AUTO; mode < START_MODE_MAX; mode++) {
		struct mon_start req = {
			.id = "0123456789abcdef01234567", .start = (uint8_t)mode, .has_data = 1};

		assert_int_equal(
			start_task(m, &req, &(struct start_fds){job_fd, -1, folder, -1, -1}),
			mode == START_COLD || mode == START_RESTORE ? 0 : -EPROTO);
		assert_int_equal(start_task(m, &req, &(struct start_fds){job_fd, -1, -1, -1, -1}),
				 -EPROTO);
		req.has_data = 0;
		assert_int_equal(
			start_task(m, &req, &(struct start_fds){job_fd, -1, folder, -1, -1}),
			-EPROTO);
	}
	close(folder);
	close(job_fd);
	box_free(b);
	idtable_clear(&m->boxes);
	free(m);
}

/* A run lasts only where its policy says so, and has no more than the policy's limits. */
static void test_policy_allows(void **state)
{
	const struct limits limits = {64 << 20, 1 << 20, 1 << 20, 1000, 32, 60, 64};
	struct policy policy = {.head = {.name = "p", .limits_max = limits}};
	struct mon_start req = {.limits = limits};
	struct err e = {0};

	(void)state;
	assert_int_equal(start_check_policy(&req, &policy, &e), 0);
	req.no_deadline = 1;
	assert_true(start_check_policy(&req, &policy, &e) < 0);
	assert_string_equal(e.msg, "policy p: " POLICY_NOT_LASTING);
	policy.head.lasting = 1;
	assert_int_equal(start_check_policy(&req, &policy, &e), 0);
	req.limits.pids++;
	assert_true(start_check_policy(&req, &policy, &e) < 0);
}

/* A run is reached by a Unix stream socket that listens or is connected, in all start modes. One
 * that is neither could be connected to whatever listens beside the sandbox. */
static void test_serve_fd(void **state)
{
	struct monitor *m = new_monitor();
	struct box *b = box_new(m, &box_task, "0123456789abcdef01234567");
	int pair[2], packets[2], unix_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	const int others[] = {
		socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
		socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0),
		socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0),
		open("/etc/passwd", O_RDONLY | O_CLOEXEC),
	};
	struct sockaddr_un any = {.sun_family = AF_UNIX};

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, packets), 0);
	assert_int_equal(bind(unix_fd, (struct sockaddr *)&any, sizeof(sa_family_t)), 0);
	assert_int_equal(start_with_serve(m, START_COLD, unix_fd), -EPROTO);
	assert_int_equal(listen(unix_fd, 1), 0);
	for (enum start_mode mode = START_AUTO; mode < START_MODE_MAX; mode++) {
		assert_int_equal(start_with_serve(m, mode, pair[0]), 0);
		assert_int_equal(start_with_serve(m, mode, unix_fd), 0);
	}
	assert_int_equal(start_with_serve(m, START_COLD, -1), -EPROTO);
	assert_int_equal(start_with_serve(m, START_COLD, packets[0]), -EPROTO);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		assert_true(others[i] >= 0);
		assert_int_equal(start_with_serve(m, START_COLD, others[i]), -EPROTO);
		close(others[i]);
	}
	for (int i = 0; i < 2; i++) {
		close(pair[i]);
		close(packets[i]);
	}
	close(unix_fd);
	box_free(b);
	idtable_clear(&m->boxes);
	free(m);
}

/* The number of remembered stamps is bounded by the number of checkpoints; the latest ones are
 * kept. */
static void test_stamps(void **state)
{
	struct monitor *m = new_monitor();
	uint8_t key[32] = {0}, stamp[32] = {0};
	struct stamp_entry_cached *next;
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < 1000; i++) {
		key[0] = (uint8_t)i;
		key[1] = (uint8_t)(i >> 8);
		stamp_remember(m, key, stamp);
	}
	assert_memory_equal(m->stamps->key, key, sizeof(key));
	for (struct stamp_entry_cached *c = m->stamps; c; c = next, n++) {
		next = c->next;
		free(c);
	}
	assert_int_equal(n, CHECKPOINTS_MAX);
	idtable_clear(&m->boxes);
	free(m);
}

#define SHARED 10

static void make_templates(struct monitor *m, struct template *all[SHARED])
{
	for (unsigned i = 0; i < SHARED; i++) {
		struct template *tpl = calloc(1, sizeof(*tpl));

		assert_non_null(tpl);
		tpl->m = m;
		tpl->sock = -1;
		tpl->state = TEMPLATE_READY;
		tpl->memory = 10 << 20;
		tpl->used_mono_ns = 100 + i;
		tpl->of.owner = i < 2 ? 1 : 2;
		tpl->next = m->templates;
		m->templates = all[i] = tpl;
	}
}

/* A project with many import lists loses its own templates first, the oldest one first: as many as
 * the next template needs. */
static void test_template_shares(void **state)
{
	struct template *all[SHARED];
	struct monitor *m = new_monitor();

	(void)state;
	make_templates(m, all);
	m->node_memory = TEMPLATE_MEMORY_PART * ((SHARED * 10ULL << 20) + TEMPLATE_MEMORY_GUESS);
	template_make_room(m);
	for (unsigned i = 0; i < SHARED; i++)
		assert_int_equal(all[i]->state, TEMPLATE_READY);
	m->node_memory -= TEMPLATE_MEMORY_PART * (15ULL << 20);
	template_make_room(m);
	/* A second call retires nothing, because there is room now. */
	template_make_room(m);
	for (unsigned i = 0; i < SHARED; i++)
		assert_int_equal(all[i]->state,
				 i == 2 || i == 3 ? TEMPLATE_RETIRED : TEMPLATE_READY);
	/* A template that holds more memory than all templates of the other projects is alone the
	 * largest share. */
	all[1]->memory = 200 << 20;
	m->node_memory = TEMPLATE_MEMORY_PART * ((265ULL << 20) + TEMPLATE_MEMORY_GUESS);
	template_make_room(m);
	assert_int_equal(all[0]->state, TEMPLATE_RETIRED);
	assert_int_equal(all[1]->state, TEMPLATE_READY);
	/* If there is no room for even one template, all are retired. */
	m->node_memory = 0;
	template_make_room(m);
	for (unsigned i = 0; i < SHARED; i++) {
		assert_int_equal(all[i]->state, TEMPLATE_RETIRED);
		free(all[i]);
	}
	idtable_clear(&m->boxes);
	free(m);
}

/* Returns how many seconds after now (a time that the test chooses) a task of the recipe may ask
 * for a warm-up. */
static unsigned pause_s(struct monitor *m, const struct recipe *of, enum warm_for list,
			uint64_t now)
{
	for (unsigned s = 0; s < 1000; s++)
		if (warm_past_allows(m, of, list, now + s * SEC))
			return s;
	return 1000;
}

/* The monitors are kept until this program ends, as they are in the daemon, because what they
 * remember of warm-ups is never freed. */
static struct monitor *monitor_new(void)
{
	static struct monitor *all[8];
	static unsigned n;

	assert_true(n < ARRAY_SIZE(all));
	all[n] = calloc(1, sizeof(*all[n]));
	assert_non_null(all[n]);
	return all[n++];
}

/* After each failure the pause is longer; a success ends it. */
static void test_warm_past(void **state)
{
	const struct recipe of = {
		.package = {1}, .package_fd = STDIN_FILENO, .warm = "@module app"};
	const struct recipe plain = {.package_fd = -1, .warm = "json"};
	struct monitor *m = monitor_new();
	uint64_t now = 1000 * SEC;

	(void)state;
	assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), 0);
	assert_string_equal(warm_past_why(m, &of, WARM_FOR_TASK), "");
	for (unsigned i = 0; i < 12; i++) {
		warm_past_begin(m, &of, now);
		warm_past_end(m, &of, WARM_FOR_TASK, i ? "again" : "first", now);
		assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), i < 9 ? 1 << i : 512);
		now += 600 * SEC;
		assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), 0);
	}
	assert_string_equal(warm_past_why(m, &of, WARM_FOR_TASK), "again");
	assert_int_equal(pause_s(m, &plain, WARM_FOR_TASK, now), 0);
	warm_past_end(m, &of, WARM_FOR_TASK, "", now);
	assert_string_equal(warm_past_why(m, &of, WARM_FOR_TASK), "");
	assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), 0);
}

/* A recipe with another package or of another project is not affected by a failure. */
static void test_warm_past_of_others(void **state)
{
	const struct recipe of = {
		.owner = 1, .package = {1}, .package_fd = STDIN_FILENO, .warm = "@module app"};
	struct recipe changed = of, others = of;
	struct monitor *m = monitor_new();
	const uint64_t now = 1000 * SEC;

	(void)state;
	changed.package[0] = 2;
	others.owner = 2;
	for (unsigned i = 0; i < 12; i++) {
		warm_past_begin(m, &of, now);
		warm_past_end(m, &of, WARM_FOR_TASK, "broken", now);
	}
	assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), 512);
	/* A project whose folder changes with each task waits nevertheless between warm-ups. */
	assert_int_equal(pause_s(m, &changed, WARM_FOR_TASK, now), 1);
	assert_int_equal(pause_s(m, &others, WARM_FOR_TASK, now), 0);
	assert_string_equal(warm_past_why(m, &changed, WARM_FOR_TASK), "");
	assert_string_equal(warm_past_why(m, &others, WARM_FOR_TASK), "");
}

/* A task's list of the image's modules fails within that task's limits, so the failure counts for
 * its project only. A failure of the image's own list counts for everybody, and so does a
 * checkpoint that exists. */
static void test_warm_past_of_lists(void **state)
{
	const struct recipe one = {.owner = 1, .package_fd = -1, .warm = "json"};
	const struct recipe two = {.owner = 2, .package_fd = -1, .warm = "json"};
	const struct recipe pack = {
		.package = {1}, .package_fd = STDIN_FILENO, .warm = "@module app"};
	const struct recipe changed = {
		.package = {2}, .package_fd = STDIN_FILENO, .warm = "@module app"};
	struct monitor *m = monitor_new();
	const uint64_t now = 1000 * SEC;
	struct err e = {0};

	(void)state;
	/* One that only has to wait for its turn has not failed. */
	warm_past_begin(m, &pack, now);
	assert_int_equal(warm_past_check(m, &changed, WARM_FOR_TASK, now, &e), -EBUSY);
	assert_null(strstr(e.msg, "failed"));
	assert_int_equal(warm_past_check(m, &changed, WARM_FOR_TASK, now + SEC, &e), 0);
	warm_past_end(m, &pack, WARM_FOR_TASK, "too slow", now);
	assert_int_equal(warm_past_check(m, &pack, WARM_FOR_TASK, now, &e), -EAGAIN);
	assert_non_null(strstr(e.msg, "it has failed lately: too slow"));
	assert_int_equal(warm_past_check(m, &changed, WARM_FOR_TASK, now, &e), -EBUSY);
	warm_past_end(m, &one, WARM_FOR_TASK, "late", now);
	assert_int_equal(pause_s(m, &one, WARM_FOR_TASK, now), 1);
	assert_int_equal(pause_s(m, &two, WARM_FOR_TASK, now), 0);
	assert_int_equal(pause_s(m, &two, WARM_FOR_IMAGE, now), 0);
	warm_past_end(m, &one, WARM_FOR_IMAGE, "lost", now);
	assert_int_equal(pause_s(m, &two, WARM_FOR_IMAGE, now), 1);
	assert_string_equal(warm_past_why(m, &two, WARM_FOR_IMAGE), "lost");
	warm_past_end(m, &two, WARM_FOR_OPERATOR, "", now);
	assert_int_equal(pause_s(m, &one, WARM_FOR_TASK, now), 0);
	assert_int_equal(pause_s(m, &two, WARM_FOR_IMAGE, now), 0);
}

/* A checkpoint that was made but cannot be restored is not made again with each task, however well
 * its warm-ups end; a restore that succeeds ends that. A bad checkpoint of an image alone counts
 * for everybody. */
static void test_warm_past_bad(void **state)
{
	const struct recipe of = {
		.owner = 1, .package = {1}, .package_fd = STDIN_FILENO, .warm = "@module app"};
	const struct recipe plain = {.owner = 1, .package_fd = -1, .warm = "json"};
	struct recipe others = plain;
	struct monitor *m = monitor_new();
	uint64_t now = 1000 * SEC;

	(void)state;
	others.owner = 2;
	for (unsigned i = 0; i < 12; i++) {
		warm_past_bad(m, &of, "other registers", now);
		assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), i < 9 ? 1 << i : 512);
		now += 600 * SEC;
		warm_past_end(m, &of, WARM_FOR_TASK, "", now);
	}
	assert_non_null(strstr(warm_past_why(m, &of, WARM_FOR_TASK), "other registers"));
	assert_int_equal(pause_s(m, &others, WARM_FOR_TASK, now), 0);
	warm_past_good(m, &of);
	assert_string_equal(warm_past_why(m, &of, WARM_FOR_TASK), "");
	warm_past_bad(m, &of, "again", now);
	assert_int_equal(pause_s(m, &of, WARM_FOR_TASK, now), 1);
	warm_past_bad(m, &plain, "other registers", now);
	assert_int_equal(pause_s(m, &others, WARM_FOR_IMAGE, now), 1);
	assert_int_equal(pause_s(m, &others, WARM_FOR_TASK, now), 1);
}

/* The number of remembered failures is bounded: the oldest one of the project that has the most is
 * forgotten. */
static void test_warm_past_bounded(void **state)
{
	struct recipe many = {.owner = 1, .package_fd = -1, .warm = "a"};
	const struct recipe few = {.owner = 2, .package_fd = -1, .warm = "a"};
	struct monitor *m = monitor_new();
	const uint64_t now = 1000 * SEC;

	(void)state;
	warm_past_end(m, &few, WARM_FOR_TASK, "lost", now);
	for (unsigned i = 0; i < 300; i++) {
		many.image[0] = (uint8_t)i;
		many.image[1] = (uint8_t)(i >> 8);
		warm_past_end(m, &many, WARM_FOR_TASK, "x", now);
	}
	assert_string_equal(warm_past_why(m, &few, WARM_FOR_TASK), "lost");
	assert_string_equal(warm_past_why(m, &many, WARM_FOR_TASK), "x");
	many.image[0] = many.image[1] = 0;
	assert_string_equal(warm_past_why(m, &many, WARM_FOR_TASK), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_message_kept),
		cmocka_unit_test(test_template_package),
		cmocka_unit_test(test_job_fd),
		cmocka_unit_test(test_input_fd),
		cmocka_unit_test(test_serve_fd),
		cmocka_unit_test(test_data_fd),
		cmocka_unit_test(test_policy_allows),
		cmocka_unit_test(test_stamps),
		cmocka_unit_test(test_template_shares),
		cmocka_unit_test(test_warm_past),
		cmocka_unit_test(test_warm_past_of_others),
		cmocka_unit_test(test_warm_past_of_lists),
		cmocka_unit_test(test_warm_past_bad),
		cmocka_unit_test(test_warm_past_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
