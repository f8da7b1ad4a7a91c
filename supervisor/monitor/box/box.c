// SPDX-License-Identifier: Apache-2.0
/* What the monitor keeps of one sandbox, whatever that is for: made, found, freed. */
#include <stdio.h>
#include <string.h>

#include "supervisor/monitor/monitor.h"

struct box *box_find(struct monitor *m, const char *id)
{
	return ID_OWNER(idtable_find(&m->boxes, id), struct box, node);
}

struct box *box_next(const struct monitor *m, const struct box *b)
{
	return ID_OWNER(idtable_next(&m->boxes, b ? &b->node : NULL), struct box, node);
}

struct box *box_new(struct monitor *m, const char *id)
{
	struct box *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->m = m;
	(void)snprintf(b->id, sizeof(b->id), "%s", id);
	b->pidfd = b->record_fd = b->report_r = b->started_r = b->out_r = b->err_r = b->ctl =
		b->warm_package = b->payload_fd = -1;
	b->cgroup = (struct cgroup){.host = &m->cgroups, .unified = -1, .dirs = {-1, -1, -1, -1}};
	idtable_add(&m->boxes, &b->node, b->id);
	return b;
}

void box_rename(struct box *b, const char *id)
{
	idtable_remove(&b->m->boxes, &b->node);
	(void)snprintf(b->id, sizeof(b->id), "%s", id);
	idtable_add(&b->m->boxes, &b->node, b->id);
}

void box_free(struct box *b)
{
	idtable_remove(&b->m->boxes, &b->node);
	sd_event_source_disable_unref(b->exit_src);
	sd_event_source_disable_unref(b->report_src);
	sd_event_source_disable_unref(b->started_src);
	sd_event_source_disable_unref(b->deadline_src);
	sd_event_source_disable_unref(b->remove_src);
	sd_event_source_disable_unref(b->output_src);
	sd_event_source_disable_unref(b->held_src[0]);
	sd_event_source_disable_unref(b->held_src[1]);
	sd_event_source_disable_unref(b->held_timer);
	sd_event_source_disable_unref(b->begin_src);
	sd_event_source_disable_unref(b->payload_src);
	util_close_fd(&b->pidfd);
	util_close_fd(&b->payload_fd);
	util_close_fd(&b->record_fd);
	util_close_fd(&b->report_r);
	util_close_fd(&b->started_r);
	util_close_fd(&b->out_r);
	util_close_fd(&b->err_r);
	util_close_fd(&b->ctl);
	util_close_fd(&b->warm_package);
	free(b->warm_req);
	free(b->recipe);
	if (b->cgroup.host)
		cgroup_close(&b->cgroup);
	free(b);
}
