/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who wants runs, and what becomes of them. Everything between a run's start and its exit is the
 * same for all; what differs is how its job is made when its turn has come, and what follows its
 * end. A run's source is told by its record (source_of), and so is the same after a restart.
 *
 * The operator's `run` is one, and the queue is one: it starts what clients have queued, the next
 * attempts of that, and what schedules queue (rec.schedule says whose it is). A warm-up has no
 * record; who wants those are the tasks that it would have helped (warm_capability).
 */
#ifndef SUPERVISOR_FRONT_RUN_SOURCE_H
#define SUPERVISOR_FRONT_RUN_SOURCE_H

#include "spec/task_spec.h"
#include "supervisor/front/store/task.h"

struct front;
struct task;

/* A tenant has named its image and its policy: they are held against the lists of its project. */
#define RUN_BY_TENANT 1u
/* It is reached by a socket, which `serve` gives. */
#define RUN_SERVES 2u
/*
 * The store never hears of it: it is worth nothing once whoever has asked for it has gone. It waits
 * for no disk, is in no list and no history of tasks that have ended, and its log goes with it. A
 * front that is restarted ends it.
 */
#define RUN_NOT_RECORDED 4u
/* It lasts until it is ended: limits.timeout does not count. Its policy has to allow it. */
#define RUN_NO_DEADLINE 8u
/* Of its log the last limits.log bytes are kept, and not the first ones. */
#define RUN_RING_LOG 16u

struct run_source {
	const char *name;
	unsigned flags;
	/* The record is of a run that this source wanted. */
	bool (*is_of)(const struct task_record *rec);
	/* Its turn has come: *ret is what it runs, as job_write makes it (the caller frees it), and
	 * the record has what the monitor is told (image, policy, limits, warm list, package). May
	 * be asked again, for a run that waits on. -errno: it ends without having been started. */
	int (*job)(struct front *f, struct task *t, char **ret, struct err *e);
	/* With RUN_SERVES: *ret is the socket that becomes its SERVE_FD (a Unix stream socket that
	 * listens, or is connected), which is closed when the monitor has it. Asked for each time
	 * that the run is about to be started: a start that the monitor did not get is repeated. */
	int (*serve)(struct front *f, struct task *t, int *ret, struct err *e);
	/* *ret is a folder of the front's own, which becomes /work/data in its sandbox; -1: it has none.
	 * It is closed when the monitor has it. Not of a run that may be forked. */
	int (*data)(struct front *f, struct task *t, int *ret, struct err *e);
	/* Its end is known, and about to be written: what this changes is written with it. NULL:
	 * nothing follows. */
	void (*ended)(struct front *f, struct task *t);
};

extern const struct run_source operator_source; /* sandboxctl run */
extern const struct run_source queue_source;	/* tasks of workers */

/* That of the capability whose it is. */
const struct run_source *source_of(const struct front *f, const struct task_record *rec);

/* The record's image, policy, limits, warm list and start mode, by the names as they stand now.
 * image: its name; the policy's is the spec's or, where that has none, the image's. ERR_DENIED
 * where a tenant may not name them. */
int source_fill(struct front *f, struct task *t, const struct task_spec *spec, const char *image,
		struct err *e);

#endif
