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

/* A task that has not ended, or whose end is not in the store yet. */
struct task {
	struct task_record rec;
	struct idnode node; /* of run.tasks */
	struct task *dirty_next, *written_next;
	struct project *project; /* NULL: it is no more */
	struct code *code;	 /* NULL: it has none, or that is no more */
	struct queued *queued;	 /* while it waits for its turn */
	struct waiter *waiters;
	struct task_note *notes, **notes_tail;
	int package_fd;	       /* O_PATH, -1 when there is none */
	uint64_t received_ns;  /* CLOCK_MONOTONIC, as all below */
	uint64_t kill_at_ns;   /* when SIGKILL follows a cancel; 0: never */
	uint64_t exited_at_ns; /* when its end was known; 0: not yet */
	uint64_t log_asked_ns; /* when LOG_FINISH was sent last; 0: never */
	bool occupies;	       /* counted in front.n_running */
	bool known_to_monitor; /* since this front runs */
	enum warm_for want_warm;
	bool kill_sent;	      /* SIGKILL was asked for */
	uint64_t write_by_ns; /* its change may wait until then; 0: there is none such */
	bool is_new, dirty;   /* not in the store; in the list of changes to write */
	bool must_be; /* the next attempt of another: it is not given up when the disk fails */
	char retries[TASK_ID_LEN + 1]; /* the ended task that it repeats as somebody asked; or "" */
	submit_fn submitted;	       /* who waits for it to be durable */
	void *submitted_arg;
	int (*also)(void *arg, struct err *e); /* struct submit */
	void *also_arg;
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
	sd_event_source *committer;
	struct chan monitor, logger; /* link.c */
	bool ready;		     /* the monitor has said all that it knows (MON_READY) */
	struct idtable tasks;	     /* registry.c */
	struct idnode *task_buckets[TASK_BUCKETS];
	struct queue *queue;
	sd_event_source *clock;			  /* schedule_run.c: the wall clock is set */
	struct task_list dirty;			  /* changes to write of tasks that are known */
	struct project *fresh_first, *fresh_last; /* those that have new ones, in turns */
	unsigned n_fresh;			  /* new ones of all */
	unsigned n_put_off; /* turns since there is something to write, for more to come */
	unsigned n_running, n_finished;
	bool prunes;	      /* finished tasks beyond the bound are being removed */
	uint64_t retry_ns;    /* when a failed write is tried again */
	uint64_t prune_at_ns; /* CLOCK_MONOTONIC: packages, not before that */
	struct warm *warms;
	uint32_t warm_tag;
	struct template_ask *template_asks;
	uint32_t template_tag;
	struct api_stats *stats; /* api_stats.c; NULL: nothing has happened */
	struct metrics metrics;
};

/* registry.c: tasks in memory, by id. */
struct task *registry_new(const char *id);
void registry_add(struct front *f, struct task *t);
void registry_remove(struct front *f, struct task *t);	  /* and frees it, with its waiters */
void registry_free_task(struct front *f, struct task *t); /* one that was never added */
struct task *registry_find(struct front *f, const char *id);
/* A whole id out of an id or a unique prefix, in memory or in the store. */
int registry_resolve(struct front *f, const char *prefix, char ret[TASK_ID_LEN + 1], struct err *e);
void registry_each(struct front *f, void (*fn)(struct front *f, struct task *t, void *arg),
		   void *arg);

/* flow.c: what happens to a task, in the order of its life. */
int flow_accept(struct front *f, struct task *t, const struct task_spec *spec, struct err *e);
/* A task whose turn has come, and whose spec is in the record alone. */
void flow_dispatch(struct front *f, struct task *t);
void flow_started(struct front *f, const struct mon_started *m);
/* A task in memory that the monitor knows; NULL: none. One that waits by the store was asked for
 * by a front that died before it was written: it waits no more, and is not asked for again. */
struct task *flow_known(struct front *f, const char *id);
void flow_exited(struct front *f, const struct mon_exited *m);
void flow_log_end(struct front *f, const struct log_end *m);
/* What has happened to it until now is durable; t may be freed. */
void flow_written(struct front *f, struct task *t);
/* The disk does not take it. True: it is to be tried again; else t is freed. */
bool flow_not_written(struct front *f, struct task *t, const struct err *e);
/* Ends a task that has no process: its verdict is ours. */
void flow_end(struct front *f, struct task *t, enum verdict verdict, const char *error);
/* True when that changed anything. */
bool flow_cancel(struct front *f, struct task *t, bool force);
void flow_kill(struct front *f, const char *id, enum kill_reason reason);
void flow_forget(struct front *f, const char *id);
void flow_log_again(struct front *f); /* after a new logger has come */
void flow_tick(struct front *f, uint64_t now_ns);
/* Takes the slot of a running task. */
void flow_occupy(struct front *f, struct task *t, bool occupies);
/* The caller marks the change for the store. */
void flow_step(struct task *t, enum task_event event, const char *detail);

/* log.c: what is asked of the logger. */
/* LOG_FINISH or LOG_DELETE. False: the logger has not read for long, and takes no more. */
bool log_request(struct front *f, const char *id, enum proto_type type);
/* A log is written to fd, a stream socket, which is taken. */
int log_follow(struct front *f, const struct log_follow *what, int fd, struct err *e);

/* queue.c: what waits, and its turns (queue.h has what clients ask for). */
int queue_init(struct front *f);
void queue_clear(struct front *f);
/* It waits from now on. -ENOMEM. */
int queue_push(struct front *f, struct task *t);
/* The same for one that is in the store alone. */
int queue_push_stored(struct front *f, const struct task_record *rec);
/* It waits no more. */
void queue_remove(struct front *f, struct task *t);
/* The project's quotas leave room for one task more. limits: the task's, or NULL. */
bool queue_has_room(const struct front *f, const struct project *p, const struct limits *limits);
/* True where a new task of this project may start at once. */
bool queue_is_free(struct front *f, const struct project *p, const struct limits *limits);
/* Starts whose turn it is, as many as there are slots: some now, the others in the next turns. */
void queue_dispatch(struct front *f);
/* The same before the changes of this turn are written, however often it is wanted until then. */
void queue_dispatch_soon(struct front *f);
void queue_dispatch_now(struct front *f);
/* A task in memory: also one that waits, which is read back then. NULL: none. */
struct task *queue_wake(struct front *f, const char *id);
/* It is durable: what waits of it from now on is its entry. True when t is freed. */
bool queue_settle(struct front *f, struct task *t);
void queue_tick(struct front *f, uint64_t now_ns);
/* Cancels some of a lane that had come when queue_number was upto, in one slice of the store's;
 * their number, and whether there are more. */
int queue_cancel_some(struct front *f, struct lane *lane, uint64_t upto, uint64_t *ret_n,
		      bool *ret_more, struct err *e);
uint64_t queue_number(const struct front *f);
unsigned queue_length(const struct front *f);

/* Starts what a change of its worker lets start. */
extern const struct listener queue_listener;

/* task_part.c */
extern const struct part task_part;

/* queue_spec.c: what a code's task runs, by the revision it was queued with; fills the record too.
 */
int queue_spec(struct front *f, struct task *t, struct task_spec *ret, struct err *e);
/* queue_submit.c: a task more, as queue_submit makes it, unchecked; NULL: out of memory. */
struct task *queue_again(struct front *f, struct code *c, const struct submit *what);

/* queue_retry.c: the attempt that follows a failed one, if any; t has just ended. */
void queue_follow_up(struct front *f, struct task *t);

/* commit.c: changes are written together, at the end of a turn of the loop. */
int commit_init(struct front *f);
void commit_mark(struct front *f, struct task *t);
/* For what the monitor would tell again: it may wait for the task's next change. */
void commit_mark_later(struct front *f, struct task *t);
void commit_note(struct task *t, const char *event, const char *detail);
void commit_now(struct front *f);
/* One more task has ended: now and then old ones are removed, and packages that nobody uses. */
void commit_ended(struct front *f);
/* More new tasks of it are to be written than should be. */
bool commit_is_behind(const struct front *f, const struct project *p);
/* Removes tasks that have ended, at most TURN_WRITE_ROWS, their logs and their histories. slice: as
 * store_begin_slice. */
int commit_delete(struct front *f, char (*ids)[TASK_ID_LEN + 1], unsigned n, bool slice,
		  struct err *e);
/* The same, in slices, for those that store_task_oldest tells until there are none. done may be
 * NULL; it is told of the first failure. */
typedef void (*commit_pruned_fn)(struct front *f, void *arg, uint64_t n, const struct err *error);
int commit_prune(struct front *f, uint64_t keep, commit_pruned_fn done, void *arg, struct err *e);

/* recover.c: after a restart of the front, and with it of the links. */
int recover_load(struct front *f, struct err *e);
void recover_running(struct front *f, const struct mon_running *m);
void recover_ready(struct front *f);

/* warm.c */
/* Like `what`, which is copied; or the one that is to be made anyway. It is there until the event
 * "warmed"; its waiters are the caller's to add. NULL: ERR_LIMIT, too many wait. */
struct warm *warm_request(struct front *f, const struct warm *what, struct err *e);
void warm_background(struct front *f, const struct task *t);
void warm_done(struct front *f, const struct mon_warmed *m);
void warm_clear(struct front *f);

/* template.c */
/* done is called once, later: rows (borrowed), or error and NULL. */
typedef void (*template_fn)(void *arg, json_t *rows, const struct err *error);
/* id: NULL for a list, or to retire all. */
int template_ask(struct front *f, enum template_verb verb, const char *id, template_fn done,
		 void *arg, struct err *e);
json_t *template_imports_json(const char *warm); /* of '\n'-separated text */
void template_row(struct front *f, const struct mon_template *m);
/* Tells those who wait that there will be no answer. */
void template_clear(struct front *f);

#endif
