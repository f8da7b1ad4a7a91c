// SPDX-License-Identifier: Apache-2.0
/*
 * A pool of network namespaces, each for one sandbox, which is filled when there is nothing else to
 * do; and the addresses of sandboxes with a way out.
 */
#include "sandbox/net.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/monitor/spawn/spawn.h"

/* How long after a sandbox's end its connections are forgotten, with those of all sandboxes that
 * end meanwhile: ten times as long as the last sweep took, so that sweeping a large table does not
 * cost more than a tenth of a processor, but at most SWEEP_LATEST_US. */
#define SWEEP_US 500000
#define SWEEP_SHARE 10
#define SWEEP_LATEST_US 5000000
#define TICK_US 2000000

static int on_idle(sd_event_source *s, void *arg)
{
	struct monitor *m = arg;
	struct err e = {0};

	if (m->n_netns < NETNS_POOL) {
		if (net_make_ns(&m->netns_pool[m->n_netns], &e) == 0) {
			m->n_netns++;
			return 0; /* one in a turn of the loop, so that a request is served first */
		}
		/* Sandboxes make their own then, and report what is wrong. */
		msg_warn("%s", e.msg);
	}
	return sd_event_source_set_enabled(s, SD_EVENT_OFF);
}

int netns_start(struct monitor *m, struct err *e)
{
	int r = sd_event_add_defer(m->event, &m->netns_src, on_idle, m);

	if (r >= 0)
		r = sd_event_source_set_priority(m->netns_src, SD_EVENT_PRIORITY_IDLE);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->netns_src, SD_EVENT_ON);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "monitor: event loop") : 0;
}

int netns_take(struct monitor *m)
{
	int fd = m->n_netns > 0 ? m->netns_pool[--m->n_netns] : -1;

	if (m->n_netns < NETNS_POOL / 2)
		(void)sd_event_source_set_enabled(m->netns_src, SD_EVENT_ON);
	return fd;
}

/*
 * Addresses are given out in turn. The kernel takes a network namespace and its interface away some
 * time after its last process has ended, and the next sandbox with an address must not get what was
 * sent to the last one.
 */
int net_take_index(struct monitor *m, struct policy_entry *p, uint32_t *ret, struct err *e)
{
	*ret = 0;
	if (p->policy.head.net_mode == POLICY_NET_NONE)
		return 0;
	for (uint32_t n = 0; n < NET_BLOCK; n++) {
		uint32_t i = p->net_block + (p->net_next + n) % NET_BLOCK;

		if (m->net_used[i] != NET_FREE)
			continue;
		m->net_used[i] = NET_USED;
		p->net_next = (i - p->net_block + 1) % NET_BLOCK;
		*ret = i;
		return 0;
	}
	return err_set(e, ERR_LIMIT, 0, "no free address for another sandbox with a network");
}

static void move_all(struct monitor *m, enum net_address from, enum net_address to)
{
	for (uint32_t i = 0; i <= NET_INDEX_MAX; i++)
		if (m->net_used[i] == from)
			m->net_used[i] = to;
}

static int forget_unused(struct monitor *m, struct err *e)
{
	move_all(m, NET_LEFT, NET_FREE);
	move_all(m, NET_FORGETTING, NET_FREE);
	return net_forget_flows(m->net_used, e);
}

static int sweep_in(struct monitor *m, uint64_t us);

static int on_swept(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct monitor *m = arg;
	const bool done = si->si_code == CLD_EXITED && si->si_status == 0;

	(void)s;
	m->net_sweep_child = sd_event_source_disable_unref(m->net_sweep_child);
	/* An address whose connections are not forgotten is not free: they would be taken for those
	 * of the next sandbox with the address. */
	move_all(m, NET_FORGETTING, done ? NET_FREE : NET_LEFT);
	m->net_sweep_us = (util_monotonic_ns() - m->net_sweep_began_ns) / 1000 * SWEEP_SHARE;
	if (!done || m->net_sweep_us > SWEEP_LATEST_US)
		m->net_sweep_us = SWEEP_LATEST_US;
	return memchr(m->net_used, NET_LEFT, NET_INDEX_MAX + 1) ? sweep_in(m, m->net_sweep_us) : 0;
}

/* Forgets connections in a child process, because a full table takes a while to read. */
static int on_sweep(sd_event_source *s, uint64_t usec, void *arg)
{
	struct monitor *m = arg;
	struct err e = {0};
	pid_t pid;
	int r;

	(void)s;
	(void)usec;
	m->net_sweep_timer = sd_event_source_disable_unref(m->net_sweep_timer);
	pid = fork();
	if (pid == 0) {
		r = forget_unused(m, &e);
		if (r < 0)
			msg_warn("%s; their addresses are not given to others", e.msg);
		_exit(r < 0);
	}
	if (pid < 0)
		return sweep_in(m, SWEEP_LATEST_US);
	m->net_sweep_began_ns = util_monotonic_ns();
	move_all(m, NET_LEFT, NET_FORGETTING);
	r = sd_event_add_child(m->event, &m->net_sweep_child, pid, WEXITED, on_swept, m);
	if (r == 0)
		return 0;
	/* Without the event source the child's end would not be seen, and the addresses would never
	 * be free again. */
	(void)waitpid(pid, NULL, 0);
	move_all(m, NET_FORGETTING, NET_LEFT);
	return sweep_in(m, SWEEP_LATEST_US);
}

static int sweep_in(struct monitor *m, uint64_t us)
{
	if (m->net_sweep_timer || m->net_sweep_child)
		return 0;
	if (us < SWEEP_US)
		us = SWEEP_US;
	return sd_event_add_time_relative(m->event, &m->net_sweep_timer, CLOCK_MONOTONIC, us, 0,
					  on_sweep, m);
}

static void sweep_soon(struct monitor *m)
{
	if (sweep_in(m, m->net_sweep_us) < 0)
		msg_err("the connections of ended sandboxes are not forgotten: no event source");
}

void net_put_index(struct box *b)
{
	if (b->run.net_index) {
		b->m->net_used[b->run.net_index] = NET_LEFT;
		sweep_soon(b->m);
	}
	b->run.net_index = 0;
}

/* Looks again at what the host forwards: routes change, and other programs change it too. */
static int on_tick(sd_event_source *s, uint64_t usec, void *arg)
{
	struct monitor *m = arg;
	struct err e = {0};
	int r = 0;

	for (struct policy_entry *p = m->policies; p && r == 0; p = p->next)
		if (p->net_block)
			r = net_forward_for(&p->policy, &m->net_forward, &e);
	if (r < 0)
		msg_warn("%s", e.msg);
	(void)sd_event_source_set_time(s, usec + TICK_US);
	return sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

int net_install(struct monitor *m, struct policy_entry *p, struct err *e)
{
	int r = net_install_policy(&p->policy, p->net_block, e);

	if (r < 0)
		return r;
	if (!m->net_tick) {
		r = net_forward_load(&m->net_forward, e);
		if (r == 0)
			r = net_set_uplinks(&m->net_forward, e);
		if (r < 0)
			return r;
		if (sd_event_add_time_relative(m->event, &m->net_tick, CLOCK_MONOTONIC, TICK_US,
					       TICK_US / 10, on_tick, m) < 0)
			return err_set(e, ERR_SYSTEM, 0, "monitor: event loop");
		/* The connections that an earlier monitor's sandboxes have left. */
		sweep_soon(m);
	}
	return net_forward_for(&p->policy, &m->net_forward, e);
}

void net_leave(struct monitor *m)
{
	bool installed = false;
	struct err e = {0};

	for (const struct policy_entry *p = m->policies; p; p = p->next)
		installed = installed || p->net_block;
	/* An earlier monitor may have changed the host. */
	if (!installed && net_forward_load(&m->net_forward, &e) < 0)
		msg_warn("%s", e.msg);
	installed = installed || m->net_forward.n;
	/* The rules are needed as long as a sandbox with a network lives. */
	if (!installed || memchr(m->net_used, NET_USED, NET_INDEX_MAX + 1))
		return;
	if (forget_unused(m, &e) < 0)
		msg_warn("%s", e.msg);
	net_forward_undo(&m->net_forward);
	net_remove_table();
}
