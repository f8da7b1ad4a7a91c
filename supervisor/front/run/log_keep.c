// SPDX-License-Identifier: Apache-2.0
/*
 * The logs of ended tasks, by project: what they take on the disk is counted, and beyond the quota
 * "kept_log_bytes" the oldest go, in slices. The task stays, and says that its log has gone.
 */
#include "supervisor/front/run/log_keep.h"

#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/base/turn.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/store/query.h"

struct keep {
	struct work work;
	char project[PROJECT_ID_LEN + 1];
};

static bool is_over(const struct project *p, uint64_t gone)
{
	const uint64_t left = gone < p->logs->bytes ? p->logs->bytes - gone : 0;

	return p->quota.kept_log_bytes && left > p->quota.kept_log_bytes;
}

static void forget(struct project *p, uint64_t bytes)
{
	p->logs->bytes -= bytes < p->logs->bytes ? bytes : p->logs->bytes;
}

struct going {
	struct front *f;
	struct kept_log logs[TURN_WRITE_ROWS];
	unsigned n;
};

static int write_gone(void *arg, struct err *e)
{
	const struct going *g = arg;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < g->n; i++)
		r = store_log_gone(g->f->store, g->logs[i].id, util_realtime_ns(), e);
	return r;
}

/* Some of the oldest. 1: there are more that have to go. */
static int keep_some(struct front *f, struct project *p, struct err *e)
{
	struct going going = {.f = f};
	uint64_t gone = 0;
	unsigned n = 0;
	int r;

	r = store_log_oldest(f->store, p->id, ARRAY_SIZE(going.logs), going.logs, &n, e);
	if (r < 0)
		return r;
	/*
	 * The file goes before its row says so: should this process die in between, the log is
	 * asked to be removed once more, and not forgotten on the disk. It frees a disk that is
	 * full, too, on which no row could be written.
	 */
	for (; going.n < n && is_over(p, gone); gone += going.logs[going.n++].bytes)
		if (!log_request(f, going.logs[going.n].id, LOG_DELETE))
			return err_set(e, ERR_UNAVAILABLE, 0, "the logger takes no more requests");
	r = store_slice(f->store, write_gone, &going, e);
	if (r < 0)
		return r;
	forget(p, gone);
	return n == ARRAY_SIZE(going.logs) && is_over(p, 0);
}

static bool keep_slice(struct front *f, struct work *w)
{
	struct keep *k = (struct keep *)w;
	struct project *p = project_by_id(f, k->project);
	struct err e = {0};
	int r = p && is_over(p, 0) ? keep_some(f, p, &e) : 0;

	if (r > 0)
		return true;
	/* The next log that ends begins it again. */
	if (r < 0)
		msg_warn("old logs of the project %s are not removed: %s", p->name, e.msg);
	if (p)
		p->logs->going = false;
	free(k);
	return false;
}

static void keep_drop(struct front *f, struct work *w)
{
	struct project *p = project_by_id(f, ((struct keep *)w)->project);

	if (p)
		p->logs->going = false;
	free(w);
}

static void keep(struct front *f, struct project *p)
{
	struct keep *k;

	if (p->logs->going || !is_over(p, 0))
		return;
	k = calloc(1, sizeof(*k));
	if (!k)
		return;
	k->work = (struct work){.slice = keep_slice, .drop = keep_drop};
	memcpy(k->project, p->id, sizeof(k->project));
	p->logs->going = true;
	turn_add(f, turn_holder(p), TURN_WORK, &k->work);
}

void log_keep_ended(struct front *f, const struct task *t)
{
	if (!t->project || !t->rec.log_disk)
		return;
	t->project->logs->bytes += t->rec.log_disk;
	keep(f, t->project);
}

void log_keep_removed(struct front *f, const char *project, uint64_t bytes)
{
	struct project *p = project_by_id(f, project);

	if (p)
		forget(p, bytes);
}

static int add_sum(void *arg, const char *project, uint64_t bytes)
{
	struct project *p = project_by_id(arg, project);

	if (p)
		p->logs->bytes = bytes;
	return 0;
}

static int log_keep_load(struct front *f, struct err *e)
{
	int r = store_log_sums(f->store, add_sum, f, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		keep(f, p);
	return r;
}

static int attach(struct front *f, struct project *p)
{
	(void)f;
	p->logs = calloc(1, sizeof(*p->logs));
	return p->logs ? 0 : -ENOMEM;
}

static void free_logs(struct front *f, struct project *p)
{
	(void)f;
	free(p->logs);
}

static const struct part part = {.attach = attach, .free = free_logs};
static const struct listener listener = {.project_changed = keep};

const struct capability log_keep_capability = {
	.name = "logs", .load = log_keep_load, .listener = &listener, .part = &part};

int log_keep_check(const struct task_record *rec, const struct project *p, struct err *e)
{
	char may[32];

	if (!rec->log_gone)
		return 0;
	return err_set(
		e, ERR_NOT_FOUND, 0,
		"the log of the task %s is kept no longer: its project keeps %s of them, and "
		"the oldest go first (quota \"kept_log_bytes\")",
		rec->id,
		p && p->quota.kept_log_bytes
			? util_format_size(p->quota.kept_log_bytes, may, sizeof(may))
			: "some");
}
