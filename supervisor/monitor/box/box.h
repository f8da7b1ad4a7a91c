/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A box is what the monitor keeps of one sandbox. What the sandbox is for is the box's kind: a task
 * of the front's, the keeper of a template, a clone that was forked out of one, a warm-up. What all
 * kinds have in common is in struct box, and is done by box.c, which names no kind. What only one
 * kind has is in a struct of its own, which begins with the box, and is done by the functions of
 * the kind's row (struct box_kind).
 *
 * A box is in its monitor's table from box_new to box_free. A task's box is freed when the front
 * has forgotten the task (box_forget), any other when its sandbox has ended (box_discard).
 */
#ifndef SUPERVISOR_MONITOR_BOX_BOX_H
#define SUPERVISOR_MONITOR_BOX_BOX_H

#include <systemd/sd-event.h>

#include "lib/idtable.h"
#include "sandbox/cgroup.h"
#include "sandbox/sandbox.h"
#include "wire/proto.h"

struct box;
struct monitor;
struct recipe;

enum role_id { R_FRONT, R_LOGGER, R_N };

enum box_state {
	BOX_LIVES, /* its sandbox runs, or is being made */
	BOX_ENDED, /* its sandbox has ended; exit_msg says how, until the front has forgotten it */
	BOX_FORGOTTEN, /* nobody will ask for it; it is freed when its cgroup is removed */
};

/* One row for each kind. Where a function is NULL nothing is done. */
struct box_kind {
	size_t size;	   /* of the kind's struct, which begins with the box */
	enum run_kind run; /* the kind in the record of a new box */
	bool has_record;   /* in RUN/tasks, where the next monitor finds it */
	bool has_network;  /* its sandbox has the network of the policy, and not lo alone */
	bool has_deadline; /* it is killed at the deadline of its record */
	/* How its cgroup's name begins, if it is not a task's id that is in RUN/tasks too. */
	const char *group;
	bool outlives; /* its sandbox goes on without a monitor, until it ends by itself */
	/* Initializes what box_new does not know of: it has zeros in it. */
	void (*init)(struct box *b);
	/* Whether a record that an earlier monitor has left is of this kind. */
	bool (*owns)(const struct run_record *run);
	/* Goes on with a box whose record was found. runs: its init is alive, else it has ended.
	 * May free b. */
	int (*adopt)(struct box *b, bool runs, struct err *e);
	/* Whether it is a task's box: the front may kill and forget it by the task's id. */
	bool (*is_task)(const struct box *b);
	/* Tells a role what it has to know of the box: the role is new, or the box is. */
	void (*tell)(struct box *b, enum role_id role);
	/* Watches what only this kind has; part of box_watch. */
	int (*watch)(struct box *b);
	/* The init has sent a report that is not REPORT_FAILED. */
	void (*reported)(struct box *b, const struct report *r);
	/* These bytes have come by the started pipe; n is 0 at its end. May free b. */
	void (*said)(struct box *b, const char *text, size_t n);
	/* It is about to be killed; the reason is in its record. */
	void (*killed)(struct box *b);
	/* The init has ended. May free b. */
	void (*ended)(struct box *b);
	/* The box's descriptors and event sources are about to be closed: closes the kind's own. */
	void (*closed)(struct box *b);
	/* The box is about to be freed: frees what the kind has in it. */
	void (*clear)(struct box *b);
};

struct box {
	struct idnode node;
	struct monitor *m;
	const struct box_kind *kind;
	enum box_state state;
	char id[TASK_ID_LEN + 1];
	struct run_record run;
	pid_t pid;  /* of the init; 0 before there is one, and after its end */
	bool child; /* the init is a child of this process, which reaps it */
	int pidfd, record_fd, report_r, started_r, out_r, err_r;
	struct cgroup cgroup;
	sd_event_source *exit_src, *report_src, *started_src, *deadline_src, *remove_src;
	enum verdict killed_for; /* VERDICT_NONE: nobody killed it */
	bool failed;		 /* the sandbox could not be made: no user code has run */
	enum warm_for list;	 /* of a task: whose its list of warm imports is */
	enum warm_for want_warm; /* the same, if it would have used a checkpoint of that list */
	char warning[PROTO_TEXT_MAX], error[PROTO_TEXT_MAX];
	union proto_msg exit_msg;
	/* The checkpoint that it was restored from, or becomes. */
	uint8_t key[32], stamp[32];
	struct recipe *recipe; /* of that checkpoint; owned; its package_fd is -1; may be NULL */
};

struct box *box_find(struct monitor *m, const char *id);
struct box *box_next(const struct monitor *m, const struct box *b); /* as idtable_next */
/* Declares b and goes through all boxes. The body may free b, and no other box. */
/* NOLINTBEGIN(bugprone-macro-parentheses): b is the name of a variable */
#define box_each(m, b)                                                                             \
	for (struct box *b = box_next(m, NULL), *next_##b; b && (next_##b = box_next(m, b), true); \
	     b = next_##b)
/* NOLINTEND(bugprone-macro-parentheses) */
struct box *box_new(struct monitor *m, const struct box_kind *kind, const char *id);
void box_free(struct box *b); /* and takes it out of the table */
void box_rename(struct box *b, const char *id);

int box_watch(struct box *b, struct err *e);
int box_watch_deadline(struct box *b, struct err *e);
/* Makes the record, RUN/tasks/ID or a memory file, empty and as long as it will be. */
int box_open_record(struct box *b, struct err *e);
/* Writes into its record who it is. The time until its deadline begins now; 0: it has none. */
int box_record(struct box *b, uint32_t timeout_s, struct err *e);
int box_save_record(struct box *b);
/* Reads what has come by the started pipe. May free b, as the kind's function may. */
void box_hear(struct box *b);
void box_stop_hearing(struct box *b); /* closes the pipe */
void box_drain_reports(struct box *b);
void box_signal(const struct box *b, int sig); /* to its init, if there is one */
void box_kill(struct box *b, enum verdict why);
void box_term(struct box *b);
bool box_is_task(const struct box *b);
void box_forget(struct box *b);
/* Reaps the init, and closes all that was open for the sandbox but its record. */
void box_reap(struct box *b);
void box_remove_cgroup(struct box *b); /* once it is empty; frees b then, if it is forgotten */
/* Nobody will ask for it any more: frees it once its cgroup is removed. */
void box_discard(struct box *b);

/* task.c: a task of the front's, also one that runs in a clone */
extern const struct box_kind box_task;
/* The task's first bytecode has run: at the time of the stamp in text, or, where text is no stamp,
 * now. Tells the front; a second time it does nothing. */
void box_started(struct box *b, const char *text);
void box_send_pipes(struct box *b); /* to the logger */
void box_tell(struct box *b, enum role_id role);
/* Writes into exit_msg and the record how the sandbox has ended. */
void box_judge(struct box *b);
void box_ended(struct box *b); /* a task's: reaps it and tells the front how it has ended */
/* Tells the front of the end of a task that never had a sandbox. */
void box_fail_new(struct monitor *m, const char *id, enum verdict why);

/* adopt.c */
int adopt_all(struct monitor *m, struct err *e);
/* What the adopt of a task's box does. */
int adopt_task(struct box *b, bool runs, struct err *e);

#endif
