// SPDX-License-Identifier: Apache-2.0
/*
 * Templates: made when a checkpoint is used, bounded by the memory that they hold, rotated by
 * age and count, retired when idle, made again after a crash.
 */
#include "supervisor/monitor/fork/template.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/msg.h"

/* Bytes: some 500 requests wait for a keeper, each of about 8000 as socket(7) counts them; 27 fit
 * into the system's default. A task for which there is no more room is restored. */
#define KEEPER_QUEUE (4 << 20)
#define SECOND 1000000000ULL
#define TICK_US 5000000
#define IDLE_NS (600 * SECOND)
/* All that come out of one checkpoint have its address layout and hash seed. */
#define AGE_NS (3600 * SECOND)
#define FORKS_MAX 1000000
/* Twice as long after each failure in a row, up to half a minute: then a try costs a
 * thousandth of a processor, and what has been mended meanwhile is found soon. */
#define RETRY_NS (1 * SECOND)
#define RETRY_DOUBLINGS_MAX 5

struct template *template_find(struct monitor *m, const struct recipe *of)
{
	for (struct template *tpl = m->templates; tpl; tpl = tpl->next)
		if (tpl->state != TEMPLATE_RETIRED && recipe_is(&tpl->of, of))
			return tpl;
	return NULL;
}

static void forget(struct template *tpl)
{
	struct template **p = &tpl->m->templates;

	while (*p && *p != tpl)
		p = &(*p)->next;
	if (*p)
		*p = tpl->next;
	/* Its tasks go on without. */
	box_each(tpl->m, b) if (b->template == tpl) b->template = NULL;
	util_close_fd(&tpl->of.package_fd);
	free(tpl);
}

/* What is left of one that has failed is remembered until it may be tried again. */
static void forget_if_over(struct template *tpl)
{
	if (tpl->state == TEMPLATE_RETIRED && !tpl->keeper && !tpl->clones &&
	    util_monotonic_ns() >= tpl->retry_ns)
		forget(tpl);
}

void template_retire(struct template *tpl)
{
	if (tpl->state == TEMPLATE_RETIRED)
		return;
	tpl->state = TEMPLATE_RETIRED;
	tpl->io = sd_event_source_disable_unref(tpl->io);
	tpl->silence = sd_event_source_disable_unref(tpl->silence);
	pool_forget(tpl);
	/* Its keeper ends with its last task. */
	util_close_fd(&tpl->sock);
	clone_drop_all(tpl, "the template was retired");
}

void template_failed(struct template *tpl, const char *why)
{
	unsigned n = tpl->failures < RETRY_DOUBLINGS_MAX ? tpl->failures : RETRY_DOUBLINGS_MAX;

	if (tpl->state == TEMPLATE_RETIRED)
		return;
	msg_warn("template %s: %s", tpl->id, why);
	tpl->retry_ns = util_monotonic_ns() + (RETRY_NS << n);
	tpl->failures++;
	template_retire(tpl);
}

static int on_answer(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	(void)s;
	(void)fd;
	(void)events;
	clone_answer(arg);
	return 0;
}

static uint64_t memory_of(const struct monitor *m, uint32_t owner)
{
	uint64_t sum = 0;

	for (const struct template *tpl = m->templates; tpl; tpl = tpl->next)
		sum += tpl->state != TEMPLATE_RETIRED && tpl->of.owner == owner ? tpl->memory : 0;
	return sum;
}

/*
 * Of the project whose templates hold most the one that was used longest ago: with many lists it
 * takes its own templates' places, not other projects'. Its keeper may live on for its tasks, of
 * which there are as many as may run: without its template it takes next to nothing, and no room.
 */
static struct template *find_victim(const struct monitor *m)
{
	struct template *victim = NULL;
	uint64_t most = 0;

	for (struct template *tpl = m->templates; tpl; tpl = tpl->next) {
		uint64_t of_owner;

		if (tpl->state == TEMPLATE_RETIRED)
			continue;
		of_owner = memory_of(m, tpl->of.owner);
		if (!victim || of_owner > most ||
		    (of_owner == most && tpl->used_mono_ns < victim->used_mono_ns)) {
			most = of_owner;
			victim = tpl;
		}
	}
	return victim;
}

/* Retires until there are at most n, and more bytes of memory fit. */
static void bound(struct monitor *m, unsigned n_max, uint64_t more)
{
	const uint64_t budget = m->node_memory / TEMPLATE_MEMORY_PART;

	for (;;) {
		uint64_t sum = more;
		unsigned n = 0;

		for (const struct template *tpl = m->templates; tpl; tpl = tpl->next) {
			n += tpl->state != TEMPLATE_RETIRED;
			sum += tpl->state != TEMPLATE_RETIRED ? tpl->memory : 0;
		}
		if (n == 0 || (n <= n_max && sum <= budget))
			return;
		template_retire(find_victim(m));
	}
}

void template_make_room(struct monitor *m)
{
	bound(m, TEMPLATES_MAX - 1, TEMPLATE_MEMORY_GUESS);
}

/* Its own group, and those of the clones that wait. */
static void measure(struct template *tpl)
{
	struct cgroup_usage usage = {0};

	if (!tpl->keeper || cgroup_usage(&tpl->keeper->cgroup, &usage) < 0)
		return;
	tpl->memory = usage.memory_now;
	for (const struct box *b = tpl->clones; b; b = b->clone_next)
		if (!b->pending && cgroup_usage(&b->cgroup, &usage) == 0)
			tpl->memory += usage.memory_now;
}

static int begin(struct template *tpl, int package_fd, struct err *e)
{
	struct monitor *m = tpl->m;
	char name[TASK_ID_LEN + 1];
	uint8_t random[TEMPLATE_ID_LEN / 2];
	_cleanup_fd_ int theirs = -1;
	int queue = KEEPER_QUEUE, sk[2], r;

	if (getrandom(random, sizeof(random), 0) != (ssize_t)sizeof(random) ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sk) < 0)
		return err_set(e, ERR_SYSTEM, errno, "socket");
	tpl->sock = sk[0];
	theirs = sk[1];
	if (setsockopt(tpl->sock, SOL_SOCKET, SO_SNDBUFFORCE, &queue, sizeof(queue)) < 0)
		return err_set(e, ERR_SYSTEM, errno, "SO_SNDBUFFORCE");
	util_hex(random, sizeof(random), tpl->id);
	if (package_fd >= 0) {
		tpl->of.package_fd = fcntl(package_fd, F_DUPFD_CLOEXEC, 3);
		if (tpl->of.package_fd < 0)
			return err_set(e, ERR_SYSTEM, errno, "package");
	}
	(void)snprintf(name, sizeof(name), "template-%s", tpl->id);
	tpl->keeper = box_new(m, name);
	if (!tpl->keeper)
		return err_set(e, ERR_SYSTEM, ENOMEM, "template");
	tpl->keeper->template = tpl;
	r = policy_get(m, tpl->of.policy, &tpl->rules, e);
	if (r == 0)
		r = start_template(m, tpl->keeper, &tpl->of, theirs, e);
	if (r == 0) {
		r = sd_event_add_io(m->event, &tpl->io, tpl->sock, EPOLLIN, on_answer, tpl);
		if (r < 0)
			(void)err_set(e, ERR_SYSTEM, -r, "event loop");
	}
	if (r < 0 && tpl->keeper->pid <= 0) {
		box_free(tpl->keeper);
		tpl->keeper = NULL;
	}
	return r;
}

void template_want(struct monitor *m, const struct recipe *of)
{
	uint64_t now = util_monotonic_ns();
	struct template *tpl, *next;
	unsigned failures = 0;
	struct err e = {0};

	if (m->stopping || !m->criu_works || template_find(m, of))
		return;
	for (tpl = m->templates; tpl; tpl = next) {
		next = tpl->next;
		if (!recipe_is(&tpl->of, of))
			continue;
		if (tpl->retry_ns > now)
			return;
		if (tpl->failures > failures)
			failures = tpl->failures;
		forget_if_over(tpl);
	}
	template_make_room(m);
	tpl = calloc(1, sizeof(*tpl));
	if (!tpl)
		return;
	tpl->m = m;
	tpl->sock = -1;
	tpl->state = TEMPLATE_MAKING;
	tpl->failures = failures;
	tpl->memory = TEMPLATE_MEMORY_GUESS;
	tpl->created_ns = util_realtime_ns();
	tpl->begun_ns = tpl->used_mono_ns = now;
	tpl->of = *of;
	tpl->of.package_fd = -1;
	tpl->next = m->templates;
	m->templates = tpl;
	if (begin(tpl, of->package_fd, &e) < 0)
		template_failed(tpl, e.msg);
}

/* The keeper is gone, and with it all that came out of it. */
void template_ended(struct box *keeper)
{
	struct template *tpl = keeper->template;

	box_reap(keeper);
	if (tpl) {
		tpl->keeper = NULL;
		template_failed(tpl, keeper->error[0] ? keeper->error : "its keeper has ended");
		forget_if_over(tpl);
	}
	keeper->template = NULL;
	keeper->forgotten = true;
	box_remove_cgroup(keeper);
}

/* Of a keeper that an earlier monitor started, and that has ended by now. */
static void remove_stray(const char *name, void *arg)
{
	struct monitor *m = arg;
	struct cgroup cg;

	for (const struct template *tpl = m->templates; tpl; tpl = tpl->next)
		if (tpl->keeper && strcmp(tpl->keeper->cgroup.name, name) == 0)
			return;
	if (strncmp(name, "template-", 9) != 0 || cgroup_open(&m->cgroups, name, &cg, NULL) < 0)
		return;
	if (cgroup_remove(&cg) < 0)
		cgroup_close(&cg);
}

/* A fork reads nothing of the checkpoint, which is of use all the same: others like it come
 * out of that one. */
static void count_use(struct template *tpl)
{
	if (!tpl->keeper || tpl->used_ns == tpl->counted_ns)
		return;
	warm_used(tpl->m, tpl->keeper->key);
	tpl->counted_ns = tpl->used_ns;
}

/* Of the last tasks' limits those with the most memory. Until there were as many as may be parked
 * the policy's own count as some; where nothing is parked nothing is known, and these are zeros. */
static struct limits most_of_recent(const struct template *tpl)
{
	struct limits most = {0};

	for (unsigned i = 0; i < tpl->n_recent; i++)
		if (tpl->recent[i].limits.memory > most.memory)
			most = tpl->recent[i].limits;
	return most;
}

static int on_tick(sd_event_source *s, uint64_t usec, void *arg)
{
	struct monitor *m = arg;
	uint64_t now = util_monotonic_ns();
	struct template *tpl, *next;

	for (tpl = m->templates; tpl; tpl = next) {
		uint64_t age = now - tpl->begun_ns;

		next = tpl->next;
		count_use(tpl);
		if (tpl->state == TEMPLATE_READY)
			measure(tpl);
		if (tpl->state == TEMPLATE_READY && now - tpl->used_mono_ns > IDLE_NS)
			template_retire(tpl);
		else if (tpl->state == TEMPLATE_READY && (age > AGE_NS || tpl->forks > FORKS_MAX)) {
			struct limits most = most_of_recent(tpl);

			template_retire(tpl);
			/* A new checkpoint, and out of that a new template. */
			start_warm_again(m, &tpl->of, &most);
		}
		forget_if_over(tpl);
	}
	bound(m, TEMPLATES_MAX, 0);
	(void)cgroup_each(&m->cgroups, remove_stray, m);
	(void)sd_event_source_set_time(s, usec + TICK_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int template_start(struct monitor *m, struct err *e)
{
	int r = sd_event_add_time_relative(m->event, &m->template_tick, CLOCK_MONOTONIC, TICK_US,
					   TICK_US / 10, on_tick, m);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "monitor: event loop") : 0;
}

static void send_row(struct monitor *m, const struct template *tpl, uint32_t tag)
{
	union proto_msg msg = {0};
	struct mon_template *row = &msg.template;
	struct cgroup_usage usage = {0};

	proto_init(&msg, MON_TEMPLATE);
	row->tag = tag;
	row->state = (uint8_t)tpl->state;
	memcpy(row->id, tpl->id, sizeof(row->id));
	row->owner = tpl->of.owner;
	memcpy(row->image, tpl->of.image, 32);
	memcpy(row->policy, tpl->of.policy, 32);
	row->parked = clone_count(tpl);
	row->running = tpl->running;
	row->forks = tpl->forks;
	row->created_ns = tpl->created_ns;
	row->used_ns = tpl->used_ns;
	if (tpl->keeper) {
		(void)cgroup_usage(&tpl->keeper->cgroup, &usage);
		util_hex(tpl->keeper->key, 32, row->key);
	}
	row->memory_bytes = usage.memory_now;
	if (tpl->rules)
		(void)snprintf(row->policy_name, sizeof(row->policy_name), "%s",
			       tpl->rules->policy.head.name);
	memcpy(row->warm, tpl->of.warm, sizeof(row->warm));
	monitor_to_front(m, &msg);
}

void template_list(struct monitor *m, const struct mon_templates *req)
{
	union proto_msg msg = {0};

	for (struct template *tpl = m->templates; tpl; tpl = tpl->next) {
		bool retire = req->verb == TEMPLATE_RETIRE;

		/* What is only remembered is no template. */
		if (!tpl->keeper || (retire && tpl->state == TEMPLATE_RETIRED))
			continue;
		if (retire && !req->all && strcmp(tpl->id, req->id) != 0)
			continue;
		if (retire)
			template_retire(tpl);
		send_row(m, tpl, req->tag);
	}
	if (req->verb == TEMPLATE_LIST)
		warm_list(m, req->tag);
	proto_init(&msg, MON_TEMPLATE);
	msg.template.tag = req->tag;
	msg.template.last = 1;
	monitor_to_front(m, &msg);
}

/* At a stop. Templates without a task go now; the others are left to their keepers. */
void template_stop_all(struct monitor *m)
{
	for (struct template *tpl = m->templates; tpl; tpl = tpl->next) {
		struct box *b = tpl->keeper;

		if (b && b->pid > 0 && !tpl->running) {
			(void)kill(b->pid, SIGKILL);
			/* Everything in its pid namespace is gone when this returns. */
			(void)waitpid(b->pid, NULL, 0);
			b->pid = 0;
			(void)cgroup_remove_within(&b->cgroup, 100);
		}
		template_retire(tpl);
	}
}
