// SPDX-License-Identifier: Apache-2.0
/*
 * Templates: made when a checkpoint is used, bounded by the memory that they hold, rotated by
 * age and count, retired when idle, made again after a crash.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/monitor/fork/clone.h"

/* Bytes of a keeper's socket buffer. A request takes about 8000, as socket(7) counts them, so some
 * 500 can wait; the system's default has room for 27. A task whose request finds no room is
 * restored. */
#define KEEPER_QUEUE (4 << 20)
#define TICK_US 5000000
#define IDLE_NS (600 * SEC)
/* A template is made anew out of a new checkpoint after this time, or so many clones: all processes
 * that come out of one checkpoint have its address layout and its hash seed. */
#define AGE_NS (3600 * SEC)
#define FORKS_MAX 1000000
/* The pause after a failure. It doubles with each failure in a row, up to half a minute: then
 * trying costs a thousandth of a processor, and what has been mended meanwhile is still found
 * soon. */
#define RETRY_NS (1 * SEC)
#define RETRY_DOUBLINGS_MAX 5

struct template *template_find(struct monitor *m, const struct recipe *of)
{
	for (struct template *tpl = m->templates; tpl; tpl = tpl->next)
		if (tpl->state != TEMPLATE_RETIRED && recipe_is(&tpl->of, of))
			return tpl;
	return NULL;
}

static void template_forget(struct template *tpl)
{
	struct template **p = &tpl->m->templates;

	while (*p && *p != tpl)
		p = &(*p)->next;
	if (*p)
		*p = tpl->next;
	/* Tasks that run in its clones go on. */
	box_each(tpl->m, b)
	{
		struct clone *c = clone_of(b);

		if (c && c->template == tpl)
			c->template = NULL;
	}
	util_close_fd(&tpl->of.package_fd);
	free(tpl);
}

/* Frees a template of which nothing is left, unless its failure has to be remembered. */
static void template_forget_if_over(struct template *tpl)
{
	if (tpl->state == TEMPLATE_RETIRED && !tpl->keeper && !tpl->clones &&
	    util_monotonic_ns() >= tpl->retry_ns)
		template_forget(tpl);
}

void template_retire(struct template *tpl)
{
	if (tpl->state == TEMPLATE_RETIRED)
		return;
	tpl->state = TEMPLATE_RETIRED;
	tpl->io = sd_event_source_disable_unref(tpl->io);
	tpl->silence = sd_event_source_disable_unref(tpl->silence);
	pool_forget(tpl);
	/* The keeper sees the end of the socket, and ends with its last task. */
	util_close_fd(&tpl->sock);
	while (tpl->clones)
		clone_drop(tpl->clones, "the template was retired");
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

static uint64_t template_memory_of(const struct monitor *m, uint32_t owner)
{
	uint64_t sum = 0;

	for (const struct template *tpl = m->templates; tpl; tpl = tpl->next)
		sum += tpl->state != TEMPLATE_RETIRED && tpl->of.owner == owner ? tpl->memory : 0;
	return sum;
}

/*
 * The template that makes room for others: of the project whose templates hold most memory, the one
 * that was used longest ago. So a project with many lists of imports takes the places of its own
 * templates, not of other projects'. The keeper of a retired template may live on for its tasks; it
 * takes next to no memory, and is not counted.
 */
static struct template *template_find_victim(const struct monitor *m)
{
	struct template *victim = NULL;
	uint64_t most = 0;

	for (struct template *tpl = m->templates; tpl; tpl = tpl->next) {
		uint64_t of_owner;

		if (tpl->state == TEMPLATE_RETIRED)
			continue;
		of_owner = template_memory_of(m, tpl->of.owner);
		if (!victim || of_owner > most ||
		    (of_owner == most && tpl->used_mono_ns < victim->used_mono_ns)) {
			most = of_owner;
			victim = tpl;
		}
	}
	return victim;
}

/* Retires templates until there are at most n_max, and so many more bytes of memory fit. */
static void template_bound(struct monitor *m, unsigned n_max, uint64_t more)
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
		template_retire(template_find_victim(m));
	}
}

void template_make_room(struct monitor *m)
{
	template_bound(m, TEMPLATES_MAX - 1, TEMPLATE_MEMORY_GUESS);
}

/* Notes the memory of its own cgroup, and of those of the clones that wait for a task. */
static void template_measure(struct template *tpl)
{
	struct cgroup_usage usage = {0};

	if (!tpl->keeper || cgroup_usage(&tpl->keeper->cgroup, &usage) < 0)
		return;
	tpl->memory = usage.memory_now;
	for (const struct clone *c = tpl->clones; c; c = c->next)
		if (clone_is_spare(c) && cgroup_usage(&c->box.cgroup, &usage) == 0)
			tpl->memory += usage.memory_now;
}

static int template_begin(struct template *tpl, int package_fd, struct err *e)
{
	struct monitor *m = tpl->m;
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
	r = keeper_start(tpl, theirs, e);
	if (r < 0)
		return r;
	r = sd_event_add_io(m->event, &tpl->io, tpl->sock, EPOLLIN, on_answer, tpl);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "event loop") : 0;
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
		template_forget_if_over(tpl);
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
	if (template_begin(tpl, of->package_fd, &e) < 0)
		template_failed(tpl, e.msg);
}

void template_ended(struct template *tpl, const char *why)
{
	tpl->keeper = NULL;
	template_failed(tpl, why);
	template_forget_if_over(tpl);
}

/* Removes the cgroup of a keeper that an earlier monitor had started, once the keeper has ended. */
static void remove_stray(const char *name, void *arg)
{
	struct monitor *m = arg;
	struct cgroup cg;

	for (const struct template *tpl = m->templates; tpl; tpl = tpl->next)
		if (tpl->keeper && strcmp(tpl->keeper->cgroup.name, name) == 0)
			return;
	if (strncmp(name, KEEPER_GROUP, strlen(KEEPER_GROUP)) != 0 ||
	    cgroup_open(&m->cgroups, name, &cg, NULL) < 0)
		return;
	if (cgroup_remove(&cg) < 0)
		cgroup_close(&cg);
}

/* Marks the template's checkpoint as used. A fork reads nothing of the checkpoint, but the next
 * template is made of it. */
static void template_count_use(struct template *tpl)
{
	if (!tpl->keeper || tpl->used_ns == tpl->counted_ns)
		return;
	warm_used(tpl->m, tpl->keeper->key);
	tpl->counted_ns = tpl->used_ns;
}

/* The limits with the most memory of the last tasks. Until there have been as many tasks as clones
 * may wait, the policy's own limits are among them. Where no clone may wait, nothing is known, and
 * the limits are zeros. */
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
		template_count_use(tpl);
		if (tpl->state == TEMPLATE_READY)
			template_measure(tpl);
		if (tpl->state == TEMPLATE_READY && now - tpl->used_mono_ns > IDLE_NS)
			template_retire(tpl);
		else if (tpl->state == TEMPLATE_READY && (age > AGE_NS || tpl->forks > FORKS_MAX)) {
			struct limits most = most_of_recent(tpl);

			template_retire(tpl);
			/* A new checkpoint is made, and then a new template out of it. */
			start_warm_again(m, &tpl->of, &most);
		}
		template_forget_if_over(tpl);
	}
	template_bound(m, TEMPLATES_MAX, 0);
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

static void template_send_row(struct monitor *m, const struct template *tpl, uint32_t tag)
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
	row->parked = pool_count(tpl);
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

		/* A failed template that is only remembered is not listed. */
		if (!tpl->keeper || (retire && tpl->state == TEMPLATE_RETIRED))
			continue;
		if (retire && !req->all && strcmp(tpl->id, req->id) != 0)
			continue;
		if (retire)
			template_retire(tpl);
		template_send_row(m, tpl, req->tag);
	}
	if (req->verb == TEMPLATE_LIST)
		warm_list(m, req->tag);
	proto_init(&msg, MON_TEMPLATE);
	msg.template.tag = req->tag;
	msg.template.last = 1;
	monitor_to_front(m, &msg);
}

/* The monitor stops. Templates without a task are ended; the others are left to their keepers. */
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
