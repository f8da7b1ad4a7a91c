/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Services: what a project wants to run for good.
 *
 *	service		a name of an app of a project; the wish for some replicas of its live version
 *	version		what was put once: package, manifest, image. It never changes
 *	replica		a place, counted from 0, that has one long-lived run at a time (run/replica.h)
 *
 * A replica's run is reached by sockets in the edge's folder, which the front makes before the run is
 * there: one by which the front alone talks to the runtime in the sandbox, the channel, and one for each
 * HTTP port, which the runtime is given by the channel. The edge finds those of the replicas that are
 * up in a table that is kept for it here.
 *
 * What changes the replicas of a service (a version, variables, memory, a restart) is a roll: as many
 * new ones are started beside the old ones, and when all of them are ready the edge is told, and the
 * old ones finish what they have. A roll that fails changes nothing.
 */
#ifndef SUPERVISOR_FRONT_SERVICE_SERVICE_H
#define SUPERVISOR_FRONT_SERVICE_SERVICE_H

#include <sys/queue.h>

#include "spec/service_manifest.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/edge/edge.h"
#include "supervisor/front/run/channel.h"
#include "supervisor/front/run/replica.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/run/source.h"
#include "supervisor/front/store/service.h"

/* Of a manifest that names none: without servers, with those of Python 3, with those of Python 2.7. */
#define SERVICE_IMAGE_DEFAULT "web"
#define SERVICE_IMAGE_SERVERS "service"
#define SERVICE_IMAGE_27 "web27"
/* Requests of a replica at a time: those that it does not take wait in its sockets. */
#define SERVICE_ROOM 1024u
#define SERVICE_TIMEOUT_S 60u /* until an answer begins, and between its pieces */
#define SERVICE_LABEL_MAX 63u /* of a host's name */
#define SERVICE_BUCKETS 256u  /* a power of two */
#define SERVICE_OUTPUT_MAX 4096u

extern const struct capability service_capability, service_roll_capability;
extern const struct capability service_push_capability, service_once_capability;

struct background;
struct background_line;
struct service_wish;
struct service_roll;
struct service_push;
struct service_once;

struct service_version {
	LIST_ENTRY(service_version) next; /* of its service, the newest first */
	struct service *service;
	struct service_version_row row;
	bool stored;			  /* else its first roll is under way */
	struct service_manifest manifest; /* doc NULL: not read yet (service_version_open) */
	unsigned n_replicas;
	bool goes; /* with the change that is written: it is one too many */
};

struct service {
	LIST_ENTRY(service) next; /* of its project */
	struct project *project;
	struct service_row row;
	bool stored; /* else its first version is being put */
	bool going;  /* its removal is being written */
	LIST_HEAD(, service_version) versions;
	LIST_HEAD(, service_replica) replicas;
	struct service_roll *roll;	      /* that is under way */
	struct service_wish *wish;	      /* a change of it that is being written */
	uint64_t generation, last_generation; /* of the replicas that serve; that was given last */
	struct edge_wakes wakes[SERVICE_PORTS_MAX]; /* requests that wait, by its HTTP ports */
	char failure[ERR_MSG_MAX];     /* why a replica ended before it was ready, last */
	uint64_t restarts;	       /* runs that have ended while they were wanted */
	struct background *background; /* service_hooks' own; NULL: it is no background worker */
};

struct service_replica {
	LIST_ENTRY(service_replica) next;
	struct front *f;
	struct service *service;
	struct service_version *version;
	unsigned number;
	uint64_t generation; /* of service.generation */
	struct replica replica;
	struct timer timer;
	char run[TASK_ID_LEN + 1];  /* "": it has none */
	char last[TASK_ID_LEN + 1]; /* the run before that */
	int listen_fd;		    /* the channel's, until the run is started; else -1 */
	struct idnode node;	    /* of services.channels, by run */
	struct channel channel;
	char stage[16]; /* what its runtime does: "postinstall", ... */
	char failure[ERR_MSG_MAX];
	char *output;	   /* owned; the last that a hook has printed; NULL: nothing */
	uint64_t began_ns; /* CLOCK_MONOTONIC when its run was asked for; 0: by an earlier front */
	uint64_t ready_ns; /* how long it took until it was ready; 0: it is not, or not known */
	unsigned restarts;
	bool drains;		      /* it is to be told to finish */
	struct background_line *line; /* service_hooks' own */
};

/* project.service */
struct project_service {
	LIST_HEAD(, service) services;
	unsigned n;
	struct package_size packages; /* what is counted of them in project.package_bytes */
};

/* What a capability behind this one (background/) adds to services that are its own; it sets itself. */
struct service_hooks {
	/* A version is about to be written whose manifest has "background"; and within that transaction. */
	int (*begin)(struct front *f, struct service *s, struct err *e);
	int (*write)(struct front *f, struct service *s, struct err *e);
	void (*adopt)(struct front *f, struct service *s); /* that is durable */
	/* Within the transaction that removes the service. */
	int (*remove)(struct front *f, const struct service *s, struct err *e);
	/* No replica is wanted, whatever the version says. */
	bool (*is_stopped)(const struct service *s);
	void (*replica)(struct service_replica *r);  /* its state may be another one */
	void (*run_over)(struct service_replica *r); /* it is about to lose its run */
	void (*free)(struct service *s);
};

struct services {
	const struct service_hooks *hooks; /* NULL: there is none */
	struct idtable channels;	   /* replicas by the runs that they have */
	struct idnode *buckets[SERVICE_BUCKETS];
	LIST_HEAD(, service_roll) rolls;
	LIST_HEAD(, service_push) pushes;
	LIST_HEAD(, service_once) onces;
	uint64_t rolled[2], pushed[2]; /* that have ended: well, and not */
	bool stopped;		       /* the front ends; its replicas go on */
};

/* model.c */
struct service *service_find(struct project *p, const char *app, const char *name);
struct service *service_by_id(struct front *f, const char *id);
struct service *service_new(struct project *p, const char *app, const char *name);
void service_free(struct front *f, struct service *s);
struct service_version *service_version_new(struct service *s);
void service_version_free(struct service_version *v);
/* By its number; NULL: there is none. */
struct service_version *service_version_of(struct service *s, uint32_t number);
struct service_version *service_live(struct service *s);
/* Reads row.manifest unless that was done. */
int service_version_open(struct service_version *v, struct err *e);
/* How many replicas it wants of a version, whose manifest is open. */
unsigned service_instances(const struct service *s, const struct service_version *v);
/* The replicas that are wanted of all services of the project. */
unsigned service_project_wanted(const struct project *p);
/* Starts and ends replicas until those are there that the service wants. */
void service_settle(struct front *f, struct service *s);
void service_packages_count(struct project *p);
/* "down", "stopped", "rolling", "up", "degraded", "failed" */
const char *service_state(struct service *s);

/* replica.c */
extern const struct run_source service_source;
struct service_replica *service_replica_new(struct front *f, struct service_version *v,
					    unsigned number, uint64_t generation);
void service_replica_want(struct service_replica *r, bool up);
/* At once; its run is killed. */
void service_replica_drop(struct service_replica *r);
/* At once, and its run goes on: the front ends. */
void service_replica_free(struct service_replica *r);
bool service_replica_serves(const struct service_replica *r);
/* The edge knows which replicas the service has: those that it sends to no more are told to finish. */
void service_replicas_drain(struct service *s);
/* Its run is killed, and it is started again. */
void service_replica_kill(struct service_replica *r);
/* The socket of a background worker's run. */
void service_replica_background_name(const char *run, char buf[EDGE_SOCKET_MAX]);
/* Those of before the front's restart. */
void service_replicas_load(struct front *f);
/* The services of its app, with their URLs: a list. */
json_t *service_peers(struct front *f, struct service *s);
/* The folder ~/data of the service with this id. *ret -1: the front keeps none. */
int service_data_open(struct front *f, const char *id, int *ret, struct err *e);

/* edge.c */
void service_edge_start(struct front *f);
/* The edge is told of its replicas that serve. */
void service_edge_put(struct front *f, struct service *s);
void service_edge_gone(struct front *f, const struct service *s);
bool service_edge_has(struct front *f, struct service *s);
/* What stands before the project in the host of an HTTP port: SVC-APP, or PORT-SVC-APP. -EINVAL: too
 * long for a host's name. */
int service_label(const struct service *s, unsigned port, const char *name,
		  char buf[SERVICE_LABEL_MAX + 1]);
/* ERR_CONFLICT where another service of the project, or an HTTP worker, has one of its addresses. */
int service_edge_check(struct front *f, struct service *s, const struct service_manifest *m,
		       struct err *e);
/* Where its first HTTP port answers; "": nowhere. */
void service_url(struct front *f, struct service *s, char *buf, size_t size);

/* wish.c: a change of what is stored of a service. */
struct service_wish {
	struct change change;
	struct service *service;
	struct service_row row;	     /* as it will be */
	struct service_version *put; /* NULL: no version is new */
	bool remove;
	/* It is durable, and memory is so; or why not. Frees the wish, or has it in what it frees. */
	void (*done)(struct front *f, struct service_wish *w, const struct err *error);
};
/* ERR_CONFLICT where another one is being written. The caller has filled service, row and done. */
int service_wish_begin(struct front *f, struct service_wish *w, struct err *e);

/* roll.c */
struct service_ask {
	struct waiter *waiter; /* owned; NULL: it was answered, or its client has gone */
	int progress_fd;       /* owned: a stream socket that is told of each step; -1 */
	char *manifest;	       /* owned; of a new version */
	bool spooled;	       /* the archive is a file of package_spool */
	char revision[SERVICE_REVISION_MAX + 1]; /* "": one is made */
	char message[SERVICE_MESSAGE_MAX + 1], source[SERVICE_SOURCE_MAX + 1];
	/* Of a roll that is one of several, in place of a waiter; NULL: it is by itself. ready: its
	 * replicas are, and wait for service_rolls_switch; it may be called again. done: it is over; it
	 * steals the reply, which is NULL with an error. */
	void (*ready)(void *arg);
	void (*done)(void *arg, json_t *reply, const struct err *error);
	void *arg;
};
#define SERVICE_ASK_NONE ((struct service_ask){.progress_fd = -1})
/* Answers, if there is an answer, and frees. Steals the reference. */
void service_ask_clear(struct service_ask *a, json_t *reply, const struct err *error);
/* A new version, whose package is in a tar, or is there already (archive_fd -1, package). Takes what *ask has, on
 * success, and archive_fd in any case. The answer comes later. */
int service_put_begin(struct front *f, struct project *p, struct service_ask *ask, int archive_fd,
		      const struct unpacked *package, struct err *e);
/* The same of a version that is there: it is live when its replicas are ready. row: what else of the
 * service's row is changed with it; NULL: nothing. */
int service_roll_begin(struct front *f, struct service_version *v, struct service_ask *ask,
		       const struct service_row *row, struct err *e);
/* The row that the service's replicas are made for: that of the roll, where it is of one. */
const struct service_row *service_row_for(const struct service_replica *r);
/* A replica of a roll is ready, or will not be. */
void service_roll_replica(struct service_replica *r, bool ready);
/* Its replica says how far it is. */
void service_roll_stage(struct service_replica *r);
void service_roll_told(struct service *s);
void service_rolls_clear(struct front *f, const struct project *p);
/* Of those whose arg lies in these bytes: all switch whose replicas are ready; those end that have not
 * switched; none tells any more what becomes of it. */
void service_rolls_switch(struct front *f, const void *args, size_t size);
void service_rolls_end(struct front *f, const void *args, size_t size, const struct err *error);
void service_rolls_leave(struct front *f, const void *args, size_t size);

/* push.c */
struct service_push_ask {
	struct waiter *waiter; /* owned; NULL: it was answered, or its client has gone */
	int progress_fd;       /* owned: a stream socket that is told of each step; -1 */
	int archive_fd;	       /* owned: the folder, a tar in a file */
	json_t *index;	       /* owned: what pip is told; NULL: there is no index */
	int index_fd;	       /* owned: the socket of the package index; -1 */
	char *text;	       /* owned: of dotcloud.yml */
	char app[SERVICE_APP_MAX + 1];
	char python[16], image[64], policy[64]; /* of the command line; "": as the file says */
	char read_image[64];			/* in which the file is read */
	char message[SERVICE_MESSAGE_MAX + 1];
	bool clean; /* nothing of the last build is gone on with */
};
#define SERVICE_PUSH_ASK_NONE                                                                      \
	((struct service_push_ask){.progress_fd = -1, .archive_fd = -1, .index_fd = -1})
/* Answers, if there is an answer, and frees. Steals the reference. */
void service_push_ask_clear(struct service_push_ask *a, json_t *reply, const struct err *error);
/* Takes what *ask has, on success. The answer comes later. */
int service_push_begin(struct front *f, struct project *p, struct service_push_ask *ask,
		       struct err *e);
/* Adds the services of a push of the same app that starts, which may not be there yet, with their URLs. */
void service_push_peers(struct front *f, const struct service *s, json_t *all);
/* Ends those of a project; p NULL: all. */
void service_pushes_clear(struct front *f, const struct project *p);

/* once.c */
/* A run of the version's by hand. begin: an object with "do" and what belongs to it, whose reference is
 * stolen; input_fd: its stdin, taken; -1. The version's manifest is open. */
int service_once_begin(struct front *f, struct service_version *v, json_t *begin, int input_fd,
		       char ret_run[TASK_ID_LEN + 1], struct err *e);

/* verbs.c */
extern const struct verb service_verbs[];
/* The answer of a call that has a service rolled, with its progress to the first descriptor that came along; or
 * removed. row: as service_roll_begin has it. */
int service_call_roll(struct call *c, struct service_version *v, const struct service_row *row,
		      struct err *e);
int service_call_rm(struct call *c, struct service *s, struct err *e);
/* The variables that are set for the app, an object; NULL: out of memory. */
json_t *service_env(struct front *f, const struct service *s);
json_t *service_app_env(struct front *f, const struct project *p, const char *app, struct err *e);
json_t *service_json(struct front *f, struct service *s);

#endif
