// SPDX-License-Identifier: Apache-2.0
/* What follows the end of a code's task: another attempt, or none any more. */
#include <string.h>

#include "supervisor/front/run/run.h"

static bool has_failed(const struct task_record *rec)
{
	return rec->verdict != VERDICT_OK && rec->verdict != VERDICT_CANCELLED;
}

/* The attempt that follows, or NULL. */
static struct task *next_attempt(struct front *f, struct task *t)
{
	/* In one transaction with the end that it follows: both are in the list of changes. */
	struct submit s = {.priority = -1, .retry_of = &t->rec, .must_be = true};
	/* Not the task's fault: it is at least once, however few retries its code has. */
	bool lost = t->rec.verdict == VERDICT_LOST && t->rec.attempt < QUEUE_LOST_MAX;

	if (!t->code || t->code->going || !t->rec.spec || (!lost && !t->rec.retries_left))
		return NULL;
	s.delay_s = lost ? 0 : t->rec.retries_delay_s;
	return queue_again(f, t->code, &s);
}

void queue_follow_up(struct front *f, struct task *t)
{
	struct task *next;

	/* Cancelled when it had failed already, and was not over: that is its end too. */
	if (!*t->rec.code || !has_failed(&t->rec) || t->rec.cancel_ns)
		return;
	next = next_attempt(f, t);
	if (!next) {
		t->rec.dead_letter = 1;
		commit_note(t, "dead letter", "");
		return;
	}
	if (t->rec.verdict != VERDICT_LOST)
		next->rec.retries_left = t->rec.retries_left - 1;
	memcpy(t->rec.retry, next->rec.id, sizeof(t->rec.retry));
	commit_note(t, "retry", next->rec.id);
	turn_tick_at(f, util_monotonic_ns());
}
