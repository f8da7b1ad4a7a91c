/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Background workers in the store: what a service that is one has beyond a service, and the items of
 * its queue. Errors as in store.h.
 *
 * An item is READY until it is given to a worker's process, HELD meanwhile, by the run that has it, and
 * gone when it is done. One that has failed is LATER until it is due again, or DEAD after so many
 * failures. Each time it is given away it has another attempt's number, by which its end is known.
 */
#ifndef SUPERVISOR_FRONT_STORE_BACKGROUND_H
#define SUPERVISOR_FRONT_STORE_BACKGROUND_H

#include "supervisor/front/store/projects.h"
#include "wire/background.h"

#define BACKGROUND_BOOT_MAX 36

extern const struct schema background_schema;

struct background_row {
	char service[PROJECT_ID_LEN + 1], project[PROJECT_ID_LEN + 1];
	uint64_t queue; /* by which items name it; never used again */
	bool stopped;
	uint64_t triggered,
		ran; /* how often it was triggered from outside; which of these it has had */
	/* When the grid of its interval began: CLOCK_REALTIME, and CLOCK_BOOTTIME of which boot. 0: it has none. */
	uint64_t grid_ns, grid_boot_ns, interval_ns;
	char boot[BACKGROUND_BOOT_MAX + 1];
	uint64_t tick;	       /* the last that has begun */
	uint64_t done, failed; /* items, and attempts, in all */
};

enum background_state {
	BACKGROUND_READY = 0,
	BACKGROUND_HELD,
	BACKGROUND_LATER,
	BACKGROUND_DEAD,
	BACKGROUND_STATES
};

struct background_item {
	uint64_t id;
	uint32_t attempt, failures;
	enum background_kind kind;
	double rank;
	uint64_t put_ns, due_ns; /* CLOCK_REALTIME */
	char *value;		 /* owned */
	size_t len;
	const char *error; /* of its last failure; to look at, of dead letters alone */
};

/* What has come of an item that was given away, and what that makes of it. */
struct background_settled {
	uint64_t id;
	char *error; /* owned; may be NULL */
	size_t len;  /* of its value; set when it is written, as the last three */
	uint32_t attempt;
	enum background_end end;
	enum background_state now;
	bool known; /* else it was not given away, or not with this attempt */
	bool gone;
};

struct background_rules {
	uint32_t attempts;   /* after so many failures it is dead */
	uint64_t backoff_ns; /* after the first failure; twice as long after each further one */
	uint64_t backoff_max_ns;
};

/* Counts of a queue's items. */
struct background_counts {
	uint64_t n[BACKGROUND_STATES], bytes;
};

typedef int (*background_fn)(void *arg, const struct background_row *row);
int store_background_load(struct store *store, background_fn fn, void *arg, struct err *e);
int store_background_counts(struct store *store, uint64_t queue, struct background_counts *ret,
			    struct err *e);
/* The highest number of a queue that was ever given. */
int store_background_last(struct store *store, uint64_t *ret, struct err *e);

/* Within a change, as all that follows but where it says otherwise. */
int store_background_put(struct store *store, const struct background_row *row, struct err *e);
/* All but what it counts. */
int store_background_update(struct store *store, const struct background_row *row, struct err *e);
int store_background_count(struct store *store, uint64_t queue, uint64_t done, uint64_t failed,
			   struct err *e);
/* Its items go by and by: store_background_sweep. */
int store_background_delete(struct store *store, const char *service, struct err *e);
int store_background_delete_project(struct store *store, const char *project, struct err *e);
/* At most so many rows of queues that were removed. 1: there are more. */
int store_background_sweep(struct store *store, unsigned rows, struct err *e);

/* Sets the items' ids. */
int store_background_add(struct store *store, uint64_t queue, struct background_item *items,
			 unsigned n, struct err *e);
/* Gives away at most max items and bytes of values, in the order of their ids, or by rank those below
 * `below`. ret has room for max; the caller frees their values, also after an error. */
int store_background_take(struct store *store, uint64_t queue, bool by_rank, double below,
			  const char *run, unsigned max, size_t max_bytes,
			  struct background_item *ret, unsigned *ret_n, struct err *e);
/* What a run has, without values, in the order in which it was given them, at most max. */
int store_background_held(struct store *store, uint64_t queue, const char *run, bool by_rank,
			  struct background_item *ret, unsigned max, unsigned *ret_n,
			  struct err *e);
int store_background_settle(struct store *store, uint64_t queue,
			    const struct background_rules *rules, uint64_t now_ns,
			    struct background_settled *all, unsigned n, struct err *e);
/* Those that are due are ready: at most max. */
int store_background_due(struct store *store, uint64_t queue, uint64_t now_ns, unsigned max,
			 uint64_t *ret_n, struct err *e);
/* Dead letters are ready, as if they had never failed; id 0: any, at most max. */
int store_background_retry(struct store *store, uint64_t queue, uint64_t id, unsigned max,
			   uint64_t *ret_n, struct err *e);

int store_background_dead_rm(struct store *store, uint64_t queue, uint64_t id, unsigned max,
			     uint64_t *ret_n, struct err *e);

/* Not within a change. When the next one is due; 0: none is. */
int store_background_next_due(struct store *store, uint64_t queue, uint64_t *ret, struct err *e);
typedef int (*background_item_fn)(void *arg, const struct background_item *item);
/* Dead letters with ids above after, at most max, by id. */
int store_background_dead(struct store *store, uint64_t queue, uint64_t after, unsigned max,
			  background_item_fn fn, void *arg, struct err *e);
typedef int (*background_holder_fn)(void *arg, uint64_t queue, const char *run);
/* All runs that have items. */
int store_background_holders(struct store *store, background_holder_fn fn, void *arg,
			     struct err *e);

#endif
