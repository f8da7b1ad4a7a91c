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
	const uint64_t left = gone < p->log_bytes ? p->log_bytes - gone : 0;

	return p->quota.kept_log_bytes && left > p->quota.kept_log_bytes;
}

static void forget(struct project *p, uint64_t bytes)
{
	p->log_bytes -= bytes < p->log_bytes ? bytes : p->log_bytes;
}

static int mark_gone(struct front *f, const struct kept_log *logs, unsigned n, struct err *e)
{
	int r = store_begin_slice(f->store, e);

	for (unsigned i = 0; r == 0 && i < n; i++)
		r = store_log_gone(f->store, logs[i].id, util_realtime_ns(), e);
	if (r == 0)
		r = store_commit(f->store, e);
	if (r < 0)
		store_rollback(f->store);
	return r;
}

/* Some of the oldest. 1: there are more that have to go. */
static int keep_some(struct front *f, struct project *p, struct err *e)
{
	struct kept_log logs[TURN_WRITE_ROWS];
	unsigned n = 0, going = 0;
	uint64_t gone = 0;
	int r;

	r = store_log_oldest(f->store, p->id, ARRAY_SIZE(logs), logs, &n, e);
	if (r < 0)
		return r;
	/*
	 * The file goes before its row says so: should this process die in between, the log is
	 * asked to be removed once more, and not forgotten on the disk. It frees a disk that is
	 * full, too, on which no row could be written.
	 */
	for (; going < n && is_over(p, gone); gone += logs[going++].bytes)
		if (!log_request(f, logs[going].id, LOG_DELETE))
			return err_set(e, ERR_UNAVAILABLE, 0, "the logger takes no more requests");
	r = mark_gone(f, logs, going, e);
	if (r < 0)
		return r;
	forget(p, gone);
	return n == ARRAY_SIZE(logs) && is_over(p, 0);
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
		p->log_keeps = false;
	free(k);
	return false;
}

static void keep_drop(struct front *f, struct work *w)
{
	struct project *p = project_by_id(f, ((struct keep *)w)->project);

	if (p)
		p->log_keeps = false;
	free(w);
}

static void keep(struct front *f, struct project *p)
{
	struct keep *k;

	if (p->log_keeps || !is_over(p, 0))
		return;
	k = calloc(1, sizeof(*k));
	if (!k)
		return;
	k->work = (struct work){.slice = keep_slice, .drop = keep_drop};
	memcpy(k->project, p->id, sizeof(k->project));
	p->log_keeps = true;
	turn_add(f, turn_holder(p), TURN_WORK, &k->work);
}

const struct listener log_keep_listener = {.project_changed = keep};

void log_keep_ended(struct front *f, const struct task *t)
{
	if (!t->project || !t->rec.log_disk)
		return;
	t->project->log_bytes += t->rec.log_disk;
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
		p->log_bytes = bytes;
	return 0;
}

int log_keep_load(struct front *f, struct err *e)
{
	int r = store_log_sums(f->store, add_sum, f, e);

	for (struct project *p = f->core->projects; r == 0 && p; p = p->next)
		keep(f, p);
	return r;
}

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
