// SPDX-License-Identifier: Apache-2.0
/* A pool of single-use network namespaces, filled off the request path. */
#include "sandbox/net.h"
#include "supervisor/monitor.h"
#include "supervisor/msg.h"

static int on_idle(sd_event_source *s, void *arg)
{
	struct monitor *m = arg;
	struct err e = {0};

	if (m->n_netns < NETNS_POOL) {
		if (net_make_ns(&m->netns_pool[m->n_netns], &e) == 0) {
			m->n_netns++;
			return 0; /* one a turn: a request in between is served first */
		}
		/* Sandboxes make their own then, and say what is wrong. */
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
