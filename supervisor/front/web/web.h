/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP workers: what a project has deployed under a name, in versions, and the instances that serve
 * them. The edge (nginx) finds the instances by a table that this room keeps for it; where it finds
 * none it asks here, and one is started.
 *
 *	worker		a name of a project; its newest deployment says which versions serve
 *	version		what was built once: package, manifest, image, snapshot. It never changes
 *	instance	a replica (run/replica.h) of a version: one long-lived run at a time
 */
#ifndef SUPERVISOR_FRONT_WEB_WEB_H
#define SUPERVISOR_FRONT_WEB_WEB_H

#include <sys/queue.h>

#include "spec/worker_manifest.h"
#include "supervisor/front/api/verbs.h"
#include "supervisor/front/edge/edge.h"
#include "supervisor/front/edge/stats.h"
#include "supervisor/front/run/channel.h"
#include "supervisor/front/run/replica.h"
#include "supervisor/front/run/run.h"
#include "supervisor/front/run/source.h"
#include "supervisor/front/store/web.h"

/* Of a version, where its manifest does not say. */
#define WEB_INSTANCES_MAX 4u
#define WEB_CONCURRENCY 100u
#define WEB_TIMEOUT_S 60u /* until an answer begins, and between its pieces */
#define WEB_CRON_MAX WEB_CRON_LINE_MAX

extern const struct capability web_capability;

struct web_worker;
struct web_version;
struct web_result;
struct web_instance;

/* channel.c: one connection to the code of a sandbox, in frames (run/channel.h). */
struct web_channel {
	struct front *f;
	/* Of a run that serves: what it asks for is found by its run, and is what its version may. */
	struct idnode node; /* of web.channels, by run */
	const char *run;
	struct web_version *version;
	unsigned n_asks; /* that are not answered yet */
	struct channel line;
	/* As those of the line. */
	void (*take)(struct web_channel *c, const char *op, json_t *head);
	void (*ended)(struct web_channel *c, const char *why);
};
/* fd is taken, also on failure. */
int web_channel_open(struct front *f, struct web_channel *c, int fd, uint32_t body_max);
/* head is stolen. What cannot be sent ends the channel, later. */
void web_channel_send(struct web_channel *c, json_t *head, const void *body, size_t len);
/* body, which free(3) must take, is sent as it is, and taken. */
void web_channel_send_taken(struct web_channel *c, json_t *head, void *body, size_t len);
/* head NULL: out of memory. */
void web_channel_send_text(struct web_channel *c, const char *head, size_t head_len,
			   const void *body, size_t len);
/* Takes what has come already, before the channel is closed: the last words of a run that has ended. */
void web_channel_drain(struct web_channel *c);
/* ended is not called. */
void web_channel_close(struct web_channel *c);

/* Somebody waits until the edge has been told (web_edge_wait). */
struct web_told {
	LIST_ENTRY(web_told) next;
	struct timer late;
	const struct web_worker *worker; /* NULL: for the routes */
	void (*fn)(struct front *f, struct web_told *t);
};

/* Of a worker, in the place of what the manifests of its versions say. */
struct web_triggers {
	uint32_t what;		    /* WEB_TRIGGER_...; 0: nothing */
	uint64_t changed_ns;	    /* CLOCK_REALTIME */
	struct worker_manifest has; /* its routes and crons */
};

struct web_worker {
	LIST_ENTRY(web_worker) next; /* of its project */
	struct project *project;
	struct web_worker_row row;
	bool stored;			    /* else its first deploy is under way */
	LIST_HEAD(, web_version) versions;  /* the newest first */
	struct web_deployment_row in_force; /* number 0: nothing serves */
	bool redeploying;	     /* a deployment of versions that are there is being written */
	struct web_build *build;     /* a deploy that is under way */
	bool going;		     /* its removal is being written */
	LIST_HEAD(, web_cron) crons; /* of the deployment in force, the last one first */
	LIST_HEAD(, web_tail) tails; /* of those who look at it live (tail.h) */
	struct web_version *coming;  /* whose routes it has when what is being written is durable */
	struct web_triggers triggers;
	struct web_triggers *coming_triggers; /* that are being written, */
	struct change *triggering;	      /* by this */
	/* count.c */
	struct edge_counts edge; /* as they were told last, in this round */
	uint64_t edge_round;
	uint64_t wakes, restarts; /* since this front started */
};

struct web_version {
	LIST_ENTRY(web_version) next;
	struct web_worker *worker;
	struct web_version_row row;
	struct worker_manifest manifest; /* read from row.manifest while it serves; doc NULL: not */
	LIST_HEAD(, web_instance) instances;
	unsigned n_instances;
	struct web_door *door; /* request.c; NULL: nobody can ask it by one */
	LIST_HEAD(, web_request) requests;
	unsigned n_requests;
	struct edge_wakes wakes;      /* requests that wait for an instance */
	TAILQ_HEAD(, web_call) calls; /* the same without a request */
	bool goes;		      /* with the change that is written: it is one too many */
	bool snapshot_due; /* snapshot.c: whether there is a checkpoint is to be looked at */
	struct warm *snapshot_warm; /* that is being made anew; NULL: none */
	char *snapshot_error;	    /* owned; why there is none any more; NULL: there is one */
	char failure[ERR_MSG_MAX];  /* why its last instance ended before it was ready */
	char *traceback;	    /* owned: of that; NULL: there is none */
	uint64_t failed_ns;	    /* when; 0: it has not. CLOCK_MONOTONIC */
};

#define WEB_RATE_PERIODS 2u

/* project.web */
struct project_web {
	LIST_HEAD(, web_worker) workers;
	unsigned n;
	TAILQ_HEAD(, web_rate) rates[WEB_RATE_PERIODS]; /* rate.c */
	unsigned n_rates;
	LIST_HEAD(, web_fetch) fetches; /* service.c */
	unsigned n_fetches;
	uint64_t fetch_bytes;		       /* that they hold */
	LIST_HEAD(, web_namespace) namespaces; /* kv.c */
	uint64_t kv_bytes;		       /* that they take, with what is being written */
	uint64_t kv_expired;		       /* of them, what the removal under way takes away */
	unsigned n_kv_many;		       /* requests of many keys that are being written */
	unsigned n_requests;		       /* runs for single requests */
	struct package_size packages; /* what is counted of them in project.package_bytes */
};

struct web_instance {
	LIST_ENTRY(web_instance) next;
	struct front *f;
	struct web_version *version;
	struct replica replica;
	struct timer timer;	   /* the replica's, or while it is up: idle */
	char run[TASK_ID_LEN + 1]; /* "": it has none */
	int listen_fd;		   /* the run's socket until the run is started; else -1 */
	struct web_channel channel;
	uint64_t idle_ns;  /* CLOCK_MONOTONIC since when no request is in it; 0: some are */
	uint64_t served;   /* requests, as it says itself */
	uint64_t active;   /* of them, how many it has now */
	uint64_t began_ns; /* CLOCK_MONOTONIC when its run was asked for; 0: by an earlier front */
	uint64_t ready_ns; /* how long it took until it was ready; 0: it is not, or not known */
	TAILQ_HEAD(, web_call) calls; /* that it was sent and has not ended */
	unsigned n_calls;
	bool published; /* the edge is told of it */
	bool drains;	/* it is to be told to finish */
	bool stale;	/* its secrets are of before a change: it serves nobody, and is replaced */
};

/* A handler that is called without a request. Whoever wants it has it as a member, and frees that. */
struct web_call {
	TAILQ_ENTRY(web_call) next; /* of its instance; before it is sent, of its version */
	struct web_version *version;
	struct web_instance *instance; /* NULL: it waits for one */
	json_int_t id;
	const char *handler;	/* "scheduled", "test" */
	const char *entrypoint; /* of a class that is not the default one; NULL, "" */
	unsigned depth;		/* of workers that have called each other, to this one */
	char cron[WEB_CRON_MAX + 1];
	uint64_t time_ns; /* that it is for, CLOCK_REALTIME */
	uint64_t sent_ns;
	struct timer late;
	/* error NULL: the handler has returned, or raised. Called once. */
	void (*ended)(struct front *f, struct web_call *c, const struct web_result *result,
		      const struct err *error);
};

/* Over HTTP all of it is below this path. */
#define WEB_PATH "/api/projects/{project}/http"

#define WEB_BUCKETS 1024u /* a power of two */
#define WEB_RATE_BUCKETS 16384u
#define WEB_START_BUCKETS 11u
#define WEB_DEPLOY_STEPS 8u

/* Of a start mode: how long instances took until they were ready. */
struct web_starts {
	uint64_t n, sum_ns, buckets[WEB_START_BUCKETS];
};
struct web_start_bound {
	uint64_t ns;
	const char *le; /* as Prometheus writes it */
};
extern const struct web_start_bound web_start_bounds[WEB_START_BUCKETS];

struct web {
	struct idtable channels; /* by the runs that serve */
	struct idnode *buckets[WEB_BUCKETS];
	LIST_HEAD(, web_build) builds;
	LIST_HEAD(, web_served) served;		/* served.c */
	LIST_HEAD(, web_told) told;		/* edge.c */
	LIST_HEAD(, cf_session) asset_sessions; /* cloudflare/assets.c */
	LIST_HEAD(, tail_sock) tail_socks;	/* tail.c */
	LIST_HEAD(, cf_tail) cf_tails;		/* cloudflare/tail.c */
	/* kv.c */
	struct change expire;
	struct timer expire_timer;
	bool expire_more;
	uint64_t kv_large;  /* the last number of a value that is kept in pieces */
	unsigned n_kv_many; /* writes of several turns, of all projects */
	/* snapshot.c: when names of images and policies were changed last, and the next look */
	uint64_t images_ns, policies_ns, retried_ns;
	struct timer look_timer;
	/* count.c */
	struct web_count *count; /* NULL: there is no edge */
	struct web_starts starts[START_MODE_MAX];
	uint64_t deploys[WEB_DEPLOY_STEPS]; /* that have ended, by the last step (deploy.c) */
	struct idtable rates;		    /* rate.c */
	struct idnode *rate_buckets[WEB_RATE_BUCKETS];
	int assets_fd; /* STATE/assets; -1 */
	bool stopped;  /* the front ends; its instances go on */
};

/* model.c */
struct web_worker *web_worker_find(struct project *p, const char *name);
struct web_version *web_version_find(struct web_worker *w, const char *id);
/* Of any worker of the project; p NULL: none. */
struct web_version *web_version_by_id(struct project *p, const char *id);
/* Those that the deployment in force names: at most WEB_SPLIT_MAX. Returns how many. */
unsigned web_serving(struct web_worker *w, struct web_version *ret[WEB_SPLIT_MAX],
		     unsigned percent[WEB_SPLIT_MAX]);
bool web_version_serves(struct web_version *v);
/* One of those that serve, by percentage; NULL: none does. */
struct web_version *web_version_draw(struct web_worker *w);
/* That was written last; NULL: none was. */
struct web_version *web_version_newest(struct web_worker *w);
/* Reads row.manifest unless that was done. */
int web_version_open(struct web_version *v, struct err *e);
/* run_new of a version: wanted_by is followed by its id. */
struct task *web_run_of(const struct web_version *v, const char *run, const char *wanted_by);
struct web_worker *web_worker_new(struct project *p, const char *name);
struct web_version *web_version_new(struct web_worker *w);
void web_version_free(struct front *f, struct web_version *v);
void web_worker_free(struct front *f, struct web_worker *w);
/* It is not in the store any more: its instances end, and it is freed. */
void web_worker_remove(struct front *f, struct web_worker *w);
/* The deployment in force has changed: instances of what no longer serves are drained, and as many
 * started as the versions that serve want at least. */
void web_switch(struct front *f, struct web_worker *w);
/* The project's versions are other ones: what their packages take on the disk is counted anew. */
void web_packages_count(struct project *p);

/* instance.c */
/* What the module list of a snapshot begins with: the runtime of HTTP workers. */
#define WEB_WARM_MODULE "_sandboxd_http.warm"
extern const struct run_source web_source;
/* One more, which has to be wanted; NULL: ERR_LIMIT, the version has as many as it may. */
struct web_instance *web_instance_add(struct front *f, struct web_version *v, struct err *e);
void web_instance_want(struct web_instance *i, bool up);
/* Of those that a version has, how many are wanted: others finish what they have. */
unsigned web_version_wanted(const struct web_version *v);
/* The same of all versions of the project, and runs for single requests. */
unsigned web_project_wanted(const struct project *p);
/* Whether the quota "http_instances" has room for one more. */
bool web_project_has_room(const struct project *p);
/* Secrets are other ones now, of all the worker's versions or of one: instances that were told the old
 * ones get no more requests, and others are started in their places. */
void web_instances_replace(struct web_worker *w, const struct web_version *only);
/* It does not do what it was told: its run is ended. */
void web_instance_unwell(struct web_instance *i);
/* A call of it has ended: without others and without requests it is idle from now on. */
void web_instance_rests(struct web_instance *i);
/* How long a request or a call of the version may take; its manifest is open. */
uint32_t web_timeout_s(const struct web_version *v);
/* At once, whatever its run does. */
void web_instance_free(struct web_instance *i);
/* A request waits for an instance of the version: one is being started, or is from now on. */
int web_wake_version(struct front *f, struct web_version *v, struct err *e);
/* The edge knows which instances the worker has: those that it does not send to any more are told to
 * finish. */
void web_instances_drain(struct front *f, struct web_worker *w);
int web_warm_list(const struct web_version *v, enum web_snapshot kind, char *buf, size_t size,
		  struct err *e);
/* Those of before the front's restart, of the runs that the store says have not ended. */
void web_instances_load(struct front *f);

/* The first that its code hears: the secrets of the channel's worker, and whether somebody looks.
 * quiet: nobody waits to hear that it is ready. */
int web_hello(struct web_channel *c, bool quiet, struct err *e);
/* Why the version's code could not start, as the run says it: it is kept in version.failure. */
void web_take_failed(struct web_version *v, const json_t *head);
/* The job of a run that serves. */
int web_job(struct front *f, struct task *t, struct web_version *v, const char *isolation,
	    char **ret, struct err *e);

/* served.c: runs that belong to a client. */
extern const struct capability web_served_capability, web_served_build_capability;

/* request.c: isolation "request", a run for each request. */
extern const struct capability web_request_capability;
/* Requests that the edge sends to the door before it has answers: more than run wait there. */
#define WEB_DOOR_ROOM 1000
/* The version is reached by RUN/edge/v/ID.sock from now on. */
int web_door_open(struct front *f, struct web_version *v, struct err *e);
/* The edge sends it no more: it is closed when those that were on their way are through. */
void web_door_leave(struct front *f, struct web_version *v);
/* Whether they take requests depends on the project's instances, of which there are others now. */
void web_doors_watch(const struct project *p);
/* With all that is of it, at once. */
void web_requests_free(struct front *f, struct web_version *v);
/* A run of the version without a request, to see whether it starts: web_build_tried. */
int web_request_try(struct front *f, struct web_version *v, struct err *e);

/* Those that are under way say from now on what they print, or no more. */
void web_requests_tell_tail(struct web_version *v, bool on);

/* tail.c; tail.h has what a client asks of it */
extern const struct capability web_tail_capability;
bool web_is_tailed(const struct web_worker *w);
void web_channel_tell_tail(struct web_channel *c, bool on);
/* Code of the worker says how a request has ended, if somebody looks. */
void web_tail_event(struct web_worker *w, const char *version, const char *instance,
		    const json_t *head);
/* The worker goes: whoever looks is told. */
void web_tails_end(struct web_worker *w);

/* A run that serves, by its channel; NULL: there is none, or no more. */
struct web_channel *web_channel_of_run(struct front *f, const char *run);

/* binding.c: what code asks for by its bindings. */
/* False: the frame is about something else. */
bool web_binding_take(struct web_channel *c, const char *op, json_t *head);
/* Each ask gets one of them; the run may have gone. head is stolen, and gets the rest. */
void web_answer(struct front *f, const char *run, json_int_t id, json_t *head, const void *body,
		size_t len);
/* The same with a body that is taken (web_channel_send_taken). */
void web_answer_taken(struct front *f, const char *run, json_int_t id, json_t *head, void *body,
		      size_t len);
void web_answer_error(struct front *f, const char *run, json_int_t id, const char *type,
		      const char *message);

/* The code of a sandbox says how the handler has ended: texts that are not trusted. */
struct web_result {
	bool ok;
	const char *message, *traceback; /* of its exception; "" */
	const char *version, *instance;
	uint64_t took_ns;
};

/* call.c */
/* The version's manifest is open. Else than 0 there is no call, and ended is not called. */
int web_call_begin(struct front *f, struct web_version *v, struct web_call *c, struct err *e);
/* Those that wait for an instance of the version get this one; NULL: they hear why there is none. */
void web_calls_answer(struct front *f, struct web_version *v, struct web_instance *i,
		      const struct err *error);
void web_call_done(struct web_instance *i, const json_t *head);
/* The instance runs it since before the front's restart. */
void web_call_adopt(struct web_instance *i, struct web_call *c, json_int_t id);
/* Was started by an earlier front, and has not said yet what it does. */
bool web_instance_is_awaited(const struct web_instance *i);
/* Its run has ended. */
void web_calls_lost(struct web_instance *i);
/* The front ends: all of the version. */
void web_calls_over(struct front *f, struct web_version *v);

/* cron.c */
extern const struct capability web_cron_capability;
/* An instance of before the front's restart is ready, and still runs these calls of an earlier front:
 * their crons are under way. */
void web_crons_adopt(struct web_instance *i, const json_t *calls);
/* The deployment in force has changed, or was loaded. */
void web_crons_switch(struct front *f, struct web_worker *w);
void web_crons_free(struct web_worker *w);
json_t *web_crons_json(const struct web_worker *w);
/* The patterns of what serves. */
json_t *web_routes_json(struct web_worker *w);

/* snapshot.c */
extern const struct capability web_snapshot_capability;
/* A checkpoint of this kind, in the version's image as it is now, whose digest is told. NULL: an error. */
struct warm *web_snapshot_request(struct front *f, struct web_version *v, enum web_snapshot kind,
				  uint8_t image[32], struct err *e);
/* "ready", "waits", "being made", "missing": whether the version's instances start from it now. */
const char *web_snapshot_state(const struct web_version *v);

/* count.c: what /metrics and clients are told */
extern const struct capability web_count_capability;
/* Somebody looks: the edge is asked for what it has counted. */
void web_counts_look(struct front *f);
/* Tells it by tell, which ends the waiter, when the edge has answered or has not; perhaps at once. The worker may have
 * gone until then. */
typedef void (*web_looked_fn)(struct front *f, struct waiter *w, const char *project,
			      const char *name);
int web_counts_ask(struct front *f, struct waiter *w, const struct web_worker *of,
		   web_looked_fn tell, struct err *e);
json_t *web_counts_json(struct front *f, const struct web_worker *w);
/* It is ready. */
void web_counts_instance(struct front *f, const struct web_instance *i);

/* secrets.c */
extern const struct capability web_secret_capability;
/* ERR_INPUT where secrets that the manifest requires are not set, as this version has them (NULL: none);
 * ERR_UNAVAILABLE where those that are cannot be opened. */
int web_secrets_check(struct front *f, struct project *p, const struct worker_manifest *m,
		      const char *version, struct err *e);
/* Names of at most SECRET_NAME_MAX, and texts of at most SECRET_VALUE_MAX or null. */
int web_secrets_fit(json_t *secrets, struct err *e);
/* Within a change: sets those that are texts and removes those that are null, of an object that
 * web_secrets_fit has looked at: of a worker, or of one version of it alone. version NULL: of the worker. */
int web_secrets_write(struct front *f, const char *project, const char *worker, const char *version,
		      const json_t *secrets, struct err *e);
/* What they say is erased; secrets may be NULL. */
void web_secrets_free(json_t *secrets);
/* Adds a warning for each secret of the worker that a variable or a binding of the manifest hides. */
int web_secrets_warn(struct front *f, struct project *p, const struct worker_manifest *m,
		     const char *version, json_t *warnings, struct err *e);
/* A verb: sets each of an object's that is a text, and removes those that are null, at a time. Steals
 * reply, which is the answer. The caller has read what was given. */
int web_secrets_change(struct call *c, const char *worker, json_t *secrets, json_t *reply,
		       struct err *e);

/* kv.c */
extern const struct capability web_kv_capability;
struct web_namespace *web_kv_find(struct project *p, const char *id_or_title);
/* The namespaces that a version is bound to: those that are not there are made, written within the
 * change that writes the version, and are stored when that is durable. */
int web_kv_make_bound(const struct web_version *v, struct err *e);
int web_kv_write_bound(struct front *f, const struct web_version *v, struct err *e);
void web_kv_adopt_bound(const struct web_version *v);
void web_kv_ask(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		json_t *head);
void web_kv_free(struct project *p);

/* service.c */
void web_service_ask(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		     json_t *head);
/* What this run has asked other workers is not waited for any more; run NULL: any run of the project. */
/* A frame that belongs to what was asked: "piece", "took", "cancel". */
void web_service_take(struct web_channel *c, const char *op, const json_t *head);
void web_fetches_drop(struct project *p, const char *run);

/* rate.c */
void web_rate_ask(struct web_channel *c, const struct manifest_binding *b, json_int_t id,
		  json_t *head);
void web_rates_free(struct front *f, struct project *p);

/* assets.c */
void web_assets_start(struct front *f);
void web_assets_clear(struct front *f);
/* The edge can read those of the package from now on. */
int web_assets_take(struct front *f, const uint8_t package[32], struct err *e);
/* Unless another version has the package, they are the package's again. */
void web_assets_give(struct front *f, const uint8_t package[32]);
/* What the edge is told of a version's; by_worker: what a worker's own binding needs of that. NULL: it
 * has none. */
json_t *web_assets_json(const struct web_version *v, bool by_worker);

/* wake.c */
void web_wake_start(struct front *f);
/* All requests that wait for the version are answered: with an instance, or with why there is none. */
void web_wake_answer(struct front *f, struct web_version *v, struct web_instance *i,
		     const struct err *error);

/* deploy.c; deploy.h has what a client asks of it */
extern const struct capability web_build_capability;
/* An instance of a version that is being deployed is ready, or will not be. */
void web_build_instance(struct front *f, struct web_instance *i, const struct err *error);
/* The same of a version that has a run for each request. */
void web_build_tried(struct front *f, struct web_version *v, const struct err *error);

/* edge.c: what the edge is told. */
void web_edge_start(struct front *f);
/* Calls fn once, when the edge has what was put last of the worker, or of the routes (w NULL): possibly before
 * this returns. One that is away asks for everything when it is back, and is waited for no longer than
 * WEB_TOLD_WITHIN_NS. t is the caller's. */
void web_edge_wait(struct front *f, struct web_told *t, const struct web_worker *w,
		   void (*fn)(struct front *f, struct web_told *t));
/* fn is not called any more. t may be one that nobody has waited with. */
void web_edge_wait_end(struct front *f, struct web_told *t);
/* Nobody waits any longer: of the worker, which goes, or at all (w NULL). */
void web_edge_wait_no_more(struct front *f, const struct web_worker *w);
#define WEB_URL_MAX EDGE_URL_MAX
/* Where the worker answers, "http://NAME.PROJECT.DOMAIN:PORT"; "": nowhere. */
void web_edge_url(struct front *f, const struct web_worker *w, char *buf, size_t size);
/* All routes of all workers. */
void web_edge_hosts(struct front *f);
/* ERR_CONFLICT where another worker serves one of the routes, or another project a host of one. */
int web_edge_check_routes(struct front *f, const struct web_worker *of,
			  const struct manifest_route *routes, size_t n, struct err *e);
/* "PROJECT/NAME", as the edge calls it; NULL: there is none. */
struct web_worker *web_worker_by_key(struct front *f, const char *key);
void web_edge_worker(struct front *f, struct web_worker *w);
void web_edge_gone(struct front *f, const struct web_worker *w);

/* How long an answer waits until the edge has been told. */
#define WEB_TOLD_WITHIN_NS (5 * SEC)

/* verbs.c */
/* Reads "name" and "project", the last of what is read. */
int web_call_worker(struct call *c, struct web_worker **ret, struct err *e);
/* Whether the call's project may deploy here. */
int web_deploy_check(struct call *c, struct err *e);
/* Has these versions serve, by their percentages, and answers when the edge does so. second NULL: the
 * first alone. */
int web_redeploy_begin(struct call *c, struct web_worker *w, struct web_version *first,
		       struct web_version *second, unsigned percent_1, const char *message,
		       const char *source, struct err *e);
extern const struct verb web_verbs[];

/* triggers.c */
/* The routes and the crons that lead to the version when it serves: its worker's, else its own. */
const struct manifest_route *web_routes(const struct web_version *v, size_t *ret_n);
const json_t *web_crons(const struct web_version *v);
/* Sets them, and answers when they are durable and the edge is told: arrays as a manifest has them,
 * whose references are stolen; NULL: as it is. Steals reply, also on failure. */
int web_triggers_set(struct call *c, struct web_worker *w, json_t *routes, json_t *crons,
		     json_t *reply, struct err *e);
/* The same of whether it answers at NAME.PROJECT.DOMAIN. */
int web_triggers_set_hidden(struct call *c, struct web_worker *w, bool hidden, json_t *reply,
			    struct err *e);
int web_triggers_load(struct front *f, struct web_worker *w, struct err *e);
void web_triggers_clear(struct web_triggers *t);

#endif
