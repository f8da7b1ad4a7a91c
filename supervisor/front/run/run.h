/* SPDX-License-Identifier: Apache-2.0 */
/* What happens: tasks, their queue, their logs, warm-ups, and what the other roles are asked. */
#ifndef SUPERVISOR_FRONT_RUN_RUN_H
#define SUPERVISOR_FRONT_RUN_RUN_H

#include <jansson.h>

#include "lib/idtable.h"
#include "spec/task_spec.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/run/link.h"
#include "supervisor/front/run/metrics.h"
#include "supervisor/front/run/queue/queue.h"
#include "supervisor/front/run/task.h"
#include "supervisor/front/store/change.h"

#define CANCEL_GRACE_NS (10 * SEC) /* from SIGTERM to SIGKILL */
#define TASK_BUCKETS 4096u	   /* a power of two */

struct waiter;

/* A line of history that is not in the store yet. */
struct task_note {
	struct task_note *next;
	uint64_t time_ns;
	const char *event; /* a constant */
	char detail[];
};

/* What waits, by priority, oldest first; all of it, also what is delayed, as it came; and how much
 * of the same runs. queue.c's. */
struct lane {
	struct queued *head[LANE_PRIORITIES], *tail[LANE_PRIORITIES];
	struct queued *first, *last;
	uint32_t n_queued, n_running; /* n_queued: with those that are delayed */
};

/* project.run: what the queue has of a project. */
struct project_run {
	struct lane lane;	      /* of the tasks that have no worker: sandboxctl run */
	uint32_t n_queued, n_running; /* with those of its workers */
	uint64_t queued_bytes;	      /* of what waits, its payloads */
	uint64_t running_memory;      /* bytes, the sum of their limits */
	uint64_t running_pids;	      /* the same */
	uint64_t served;	      /* when it got its last slot: a counter, not a time */
	bool full;		      /* no other task of it starts before one ends */
};

/* worker.run: the same of a worker. */
struct worker_run {
	struct lane lane;
	unsigned cancelling; /* queue_cancel_all: none of it starts meanwhile */
};

/* A task that has not ended, or whose end is not in the store yet. */
struct task {
	struct task_record rec;
	struct idnode node;	 /* of run.tasks */
	struct change change;	 /* task.c: its row, with its notes */
	struct project *project; /* NULL: it was removed */
	struct worker *worker;	 /* NULL: it has none, or that was removed */
	struct queued *queued;	 /* while it waits for its turn */
	struct waiter *waiters;
	struct task_note *notes, **notes_tail;
	unsigned n_written;    /* of the notes, in the transaction that is tried */
	int package_fd;	       /* O_PATH, -1 when there is none */
	int input_fd;	       /* its client's socket, its stdin; -1. Lost with this front */
	uint64_t received_ns;  /* CLOCK_MONOTONIC, as all below */
	uint64_t exited_at_ns; /* when its end was known; 0: not yet */
	struct timer kill;     /* when SIGKILL follows a cancel */
	struct timer log_end;  /* when its log's end is asked for, while it is not known */
	struct timer write_by; /* its change may wait until then */
	bool occupies;	       /* counted in front.n_running */
	bool known_to_monitor; /* since this front runs */
	bool damaged; /* its row is: it is not started, nor tried again, and written only when it ends */
	enum warm_for want_warm;
	bool kill_sent;	 /* SIGKILL was asked for */
	bool ends;	 /* it is over, which is written when the task itself is durable */
	bool unrecorded; /* RUN_NOT_RECORDED; its change counts as stored, and is never marked */
	bool untold;	 /* of those: it is in run.untold */
	struct task *next_untold;
};

/* A checkpoint to make. */
struct warm {
	struct warm *next;
	struct waiter *waiters;
	uint32_t tag;
	enum warm_for wish;
	bool sent; /* in the monitor's hands */
	bool force;
	bool has_package; /* a module of it is warmed */
	uint32_t owner;	  /* the project's slot */
	uint8_t image[32], policy[32], package[32];
	struct limits limits; /* of the task that it is for */
	uint64_t memory; /* that it may use: the policy's default, or the task's where higher */
	char imports[IMAGE_WARM_MAX];
};

struct run {
	struct chan monitor, logger; /* link.c */
	bool ready;		     /* the monitor has said all that it knows (MON_READY) */
	struct idtable tasks;	     /* task.c */
	struct idnode *task_buckets[TASK_BUCKETS];
	struct queue *queue;
	sd_event_source *clock; /* schedule/run.c: the wall clock is set */
	unsigned n_running, n_finished;
	struct task *untold, *untold_last; /* unrecorded ones to whom something has happened */
	unsigned n_untold;
	bool prunes;	      /* finished tasks beyond the bound are being removed */
	uint64_t prune_at_ns; /* CLOCK_MONOTONIC: packages, not before that */
	struct warm *warms;
	uint32_t warm_tag;
	struct template_ask *template_asks;
	uint32_t template_tag;
	struct api_stats *stats; /* api_stats.c; NULL: nothing has happened */
	struct metrics metrics;
};

/* task.c: tasks in memory, by id. */
struct task *registry_new(const char *id);
void registry_add(struct front *f, struct task *t);
void registry_remove(struct front *f, struct task *t);	  /* and frees it, with its waiters */
void registry_free_task(struct front *f, struct task *t); /* one that was never added */
struct task *registry_find(struct front *f, const char *id);
/* A whole id out of an id or a unique prefix, in memory or in the store. */
int registry_resolve(struct front *f, const char *prefix, char ret[TASK_ID_LEN + 1], struct err *e);
void registry_each(struct front *f, void (*fn)(struct front *f, struct task *t, void *arg),
		   void *arg);

/* What happens to a task, in the order of its life. */
/* The record of a run that lasts or builds, of which the caller has made the id, for a project's
 * package. It is the caller's until flow_accept takes it. NULL: out of memory. */
struct task *run_new(struct project *p, const char *id, const char *wanted_by,
		     const uint8_t package[32]);
/* A new task, whose record is filled, waits for its turn from now on, and is written at the end of
 * this turn. -ENOMEM, -ENOENT (its project was removed): it is the caller's still. */
int flow_accept(struct front *f, struct task *t);
/* A task whose turn has come. */
void flow_dispatch(struct front *f, struct task *t);
void flow_started(struct front *f, const struct mon_started *m);
/* Finds a task that the monitor says it has; NULL: there is none. A task that waits, by what the store
 * says, was sent to the monitor by a front that died before it could write that: the task is taken out
 * of the queue, and is not sent again. */
struct task *flow_known(struct front *f, const char *id);
/* The same of one in memory. */
void flow_runs(struct front *f, struct task *t);
void flow_exited(struct front *f, const struct mon_exited *m);
void flow_log_end(struct front *f, const struct log_end *m);
/* Ends a task that has no process: its verdict is ours. */
void flow_end(struct front *f, struct task *t, enum verdict verdict, const char *error);
/* True when that changed anything. */
bool flow_cancel(struct front *f, struct task *t, bool force);
void flow_kill(struct front *f, const char *id, enum kill_reason reason);
/* SIGKILL follows if the task has not ended by then. */
void flow_kill_after(struct front *f, struct task *t, uint64_t ns);
void flow_log_again(struct front *f); /* after a new logger has come */
/* Takes the slot of a running task. */
void flow_occupy(struct front *f, struct task *t, bool occupies);
/* The caller marks the change for the store. */
void flow_step(struct task *t, enum task_event event, const char *detail);

/* What is asked of the logger. */
/* Sends LOG_FINISH or LOG_DELETE. False: too many requests wait for a logger that does not read. */
bool log_request(struct front *f, const char *id, enum proto_type type);
/* A log is written to fd, a stream socket, which is taken. */
int log_follow(struct front *f, const struct log_follow *what, int fd, struct err *e);

/* queue.c: what waits, and its turns (queue.h has what clients ask for). */
/* Puts the task into the queue. -ENOMEM. */
int queue_push(struct front *f, struct task *t);
/* The same for one that is in the store alone. */
int queue_push_stored(struct front *f, const struct task_record *rec);
/* Takes the task out of the queue; one that is not in it is left alone. */
void queue_remove(struct front *f, struct task *t);
/* The project's quotas leave room for one task more. limits: the task's, or NULL. */
bool queue_has_room(const struct front *f, const struct project *p, const struct limits *limits);
/* A step of the turn's end: starts whose turn it is, as many as there are slots and one turn has
 * time for. */
void queue_dispatch(struct front *f);
/* Something may be able to start that was not: it is looked for at the end of this turn. */
void queue_dispatch_soon(struct front *f);
/* A task in memory: also one that waits, which is read back then. NULL: none. */
struct task *queue_wake(struct front *f, const char *id);
/* It is durable: what waits of it from now on is its entry. True when t is freed. */
bool queue_settle(struct front *f, struct task *t);
/* Cancels some of a lane that had come when queue_number was upto, in one slice of the store's;
 * their number, and whether there are more. */
int queue_cancel_some(struct front *f, struct lane *lane, uint64_t upto, uint64_t *ret_n,
		      bool *ret_more, struct err *e);
uint64_t queue_number(const struct front *f);
unsigned queue_length(const struct front *f);

extern const struct capability queue_capability;

/* task_part.c */
extern const struct capability task_capability;

/* queue/submit.c: a task more, as queue_submit makes it, unchecked; NULL: out of memory. must: it is
 * written with what is known (change.h). */
struct task *queue_again(struct front *f, struct worker *c, const struct submit *what, bool must);

/* A task's row and its history, which are one change (store/change.h). */
/* They are written at the end of this turn. */
void commit_mark(struct front *f, struct task *t);
/* They are written with the task's next change, or after 200 ms: for what the monitor would tell
 * again if the front died before that. */
void commit_mark_later(struct front *f, struct task *t);
/* A step of the turn's end: what has happened to unrecorded tasks is told as if it were written. */
void commit_unrecorded(struct front *f);
/* A line of the task's history, written when the task is. */
void commit_note(struct task *t, const char *event, const char *detail);

/* task_part.c: tasks that have ended are removed. */
/* One more task has ended: now and then old ones are removed, and packages that nobody uses. */
void commit_ended(struct front *f);
/* Removes tasks that have ended, at most TURN_WRITE_ROWS, their logs and their histories, in one slice
 * (store_slice). */
int commit_delete(struct front *f, char (*ids)[TASK_ID_LEN + 1], unsigned n, struct err *e);
/* Removes one that has ended, its log and its history, at the end of this turn: the change is marked,
 * and others may go with it. NULL: out of memory. */
struct change *commit_remove(struct front *f, const char *id, struct err *e);
/* Is told how many tasks were removed, and of the first failure. */
typedef void (*commit_pruned_fn)(struct front *f, void *arg, uint64_t n, const struct err *error);
/* Removes, in slices, those that store_task_oldest tells until there are none. done may be NULL. */
int commit_prune(struct front *f, uint64_t keep, commit_pruned_fn done, void *arg, struct err *e);

/* recover.c: after a restart of the front, and with it of the links. */
int recover_load(struct front *f, struct err *e);
void recover_running(struct front *f, const struct mon_running *m);
/* Says that t, whose row is damaged, is in memory with what could be read of it. */
void recover_damaged(struct task *t, const struct err *damage);
void recover_ready(struct front *f);

/* warm.c */
/* Like `what`, which is copied; or the one that is to be made anyway. It is there until the event
 * "warmed"; its waiters are the caller's to add. NULL: ERR_LIMIT, too many wait. */
struct warm *warm_request(struct front *f, const struct warm *what, struct err *e);
/* Asks for a checkpoint where a task that has ended could not start as fast as it might have. */
extern const struct capability warm_capability;
void warm_done(struct front *f, const struct mon_warmed *m);

/* template.c */
/* done is called once, later: rows (borrowed), or error and NULL. */
typedef void (*template_fn)(void *arg, json_t *rows, const struct err *error);
/* id: NULL for a list, or to retire all. */
int template_ask(struct front *f, enum template_verb verb, const char *id, template_fn done,
		 void *arg, struct err *e);
json_t *template_imports_json(const char *warm); /* of '\n'-separated text */
void template_row(struct front *f, const struct mon_template *m);
extern const struct capability template_capability;

#endif
