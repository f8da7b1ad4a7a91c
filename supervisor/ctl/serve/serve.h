/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `sandboxctl serve` and `sandboxctl dev` are made of: runs that belong to this command. The
 * command reads what the code of a sandbox says and answers what it asks for; all that comes from
 * there is hostile. One thread, which waits in an sd_event loop, has everything but the copying of
 * logs. No function here waits, and a callback may end whatever it belongs to.
 */
#ifndef SUPERVISOR_CTL_SERVE_SERVE_H
#define SUPERVISOR_CTL_SERVE_SERVE_H

#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "spec/worker_manifest.h"
#include "supervisor/ctl/ctl.h"
#include "wire/serve.h"

/* run.c: one run. */

struct served_spec {
	const char *project, *image;
	json_t *task; /* borrowed: as of task.json, but with the payload as a string of its JSON */
	bool build;   /* it has one connection, and ends by itself */
	int package_fd; /* a tar, of which the offset does not matter; the caller's */
	int input_fd;	/* a socket that becomes stdin, for a build; the caller's; -1: none */
};

struct served_calls {
	/* A frame has come: what it says is borrowed. */
	void (*frame)(void *arg, const char *op, json_t *head, const void *body, size_t len);
	/* mode: how the run was started; ms: how long that took. NULL: not told. */
	void (*started)(void *arg, const char *mode, double ms);
	/* The run is over, and all that it has printed was written out: the last that is heard of it,
	 * which has been freed. error: what the daemon says of that; "": nothing. */
	void (*over)(void *arg, const char *error, int exit_code);
};

struct served;
/* A connection to the run's socket, which becomes the callee's; or -1. */
typedef void (*served_connected)(void *arg, int fd);

/* The run begins, and its channel is asked for. Frames may be sent at once. */
int served_start(struct ctl *ctl, sd_event *loop, const struct served_spec *spec,
		 const struct served_calls *calls, void *arg, struct served **ret, struct err *e);
/* head is stolen. */
void served_send(struct served *s, json_t *head, const void *body, size_t len);
/* Of what the run has sent, so many bytes more are kept, or less: it is not read while there are many. */
void served_hold(struct served *s, size_t more, size_t less);
/* done is called once, before over at the latest. */
void served_connect(struct served *s, served_connected done, void *arg);
/* Kills it. Nothing is told any more but over. */
void served_end(struct served *s);
const char *served_id(const struct served *s); /* "": it was not accepted yet */

/* build.c: from a folder to the packages of workers. */

struct serve_made {
	struct worker_manifest manifest;
	char *text;	/* the manifest's */
	int package_fd; /* a tar; -1: it was a dry run */
	char *service;	/* its name in config.capnp; NULL: there is one worker alone */
};

struct serve_build_ask {
	const char *project;
	const char *dir; /* the folder that is sent along */
	json_t *payload; /* owned, once it has begun: what the build reads beside what is added here */
	bool index;	 /* pip's index of this machine may be asked */
	/* What the last build has made (serve_made.package_fd), out of which a build with "keep" takes what
	 * was resolved; -1: none. Without an index it is started with its modules imported. */
	int keep_fd;
	const char *
		image; /* in which it begins, as the last one has ended in it; NULL: the usual one */
	/* What a step has done; text is escaped. NULL: nobody wants to know. */
	void (*progress)(void *arg, const char *step, double ms, const char *text);
	/* The last; error NULL: the result can be had by serve_build_take until this returns. The
	 * build has been freed when it has returned. */
	void (*done)(void *arg, const struct err *error);
	void *arg;
};

struct serve_build;
int serve_build_begin(struct ctl *ctl, sd_event *loop, const struct serve_build_ask *ask,
		      struct serve_build **ret, struct err *e);
/* Within done: the caller's from then on, or NULL when there are no more. */
struct serve_made *serve_build_take(struct serve_build *b);
/* Within done: services and sockets of a config.capnp; borrowed. NULL: there are none. */
json_t *serve_build_services(struct serve_build *b);
/* done is not called. */
void serve_build_cancel(struct serve_build *b);
void serve_made_free(struct serve_made *m);

/* worker.c: a run that serves what a build has made. */

struct kv; /* kv/kv.h */
struct serve_worker;

/* What the worker's code asks for by a binding; binding NULL: by fetch(). It is answered once, also
 * when the run has gone, and is freed by that. */
struct serve_ask {
	LIST_ENTRY(serve_ask) next;		/* of its worker */
	struct serve_worker *worker;		/* NULL: the run has gone */
	const struct manifest_binding *binding; /* of worker */
	json_int_t id;
	json_t *head;
	uint8_t *body;
	size_t len;
};
/* head is stolen. */
void serve_answer(struct serve_ask *a, json_t *head, const void *body, size_t len);
/* type: "TypeError" or "Error". */
void serve_answer_error(struct serve_ask *a, const char *type, const char *message);

struct serve_failure {
	const char *message, *file, *traceback; /* as the code says it: not escaped; "" */
	json_int_t line;			/* 0: it is not known */
	bool serves; /* it goes on, and answers requests by why it has failed ("dev" in its job) */
};

struct serve_worker_calls {
	void (*ready)(void *arg, double import_ms);
	/* Its code cannot be imported; over follows, unless it serves all the same. */
	void (*failed)(void *arg, const struct serve_failure *f);
	/* Of a kind that nothing here answers: service, assets, fetch() (serve_worker_spec.outbound). */
	void (*ask)(void *arg, struct serve_ask *a);
	/* A request has ended: "event" with serve_worker_spec.tail, "request" with "dev" in its job. NULL:
	 * nobody wants to know. */
	void (*event)(void *arg, const json_t *head);
	/* NULL: not told. */
	void (*started)(void *arg, const char *mode, double ms);
	/* It serves no more; the last that is heard of it, which has been freed. */
	void (*over)(void *arg, const char *error, int exit_code);
};

/* By a key a worker knows a request of this command's from one of a client's. 0 or -errno. */
#define SERVE_KEY_LEN 32u
int serve_key_make(char key[SERVE_KEY_LEN + 1]);

struct serve_worker_spec {
	const char *inner_key; /* NULL: it has one of its own (serve_worker_key) */
	const char *project, *name;
	const struct serve_made *made; /* stays the caller's, for as long as the worker */
	json_t *secrets;	       /* an object of texts, or NULL; borrowed */
	struct kv *kv;		       /* borrowed; NULL: there is none */
	json_t *job;		       /* further keys of the run's job, or NULL; borrowed */
	bool trace, tail, outbound;
	/* It is started with what all workers of its image have imported ahead, which is ready most of the
	 * time, and not with what its own source names, which is prepared by its first run. */
	bool baseline;
};

/* The task of its run (served_spec.task), a new reference. NULL: out of memory. */
json_t *serve_worker_task(const struct serve_worker_spec *spec);
int serve_worker_start(struct ctl *ctl, sd_event *loop, const struct serve_worker_spec *spec,
		       const struct serve_worker_calls *calls, void *arg, struct serve_worker **ret,
		       struct err *e);
/* A connection, on which HTTP is spoken; it may be asked for before the worker is ready. */
void serve_worker_connect(struct serve_worker *w, served_connected done, void *arg);
/* Whether it has said, when it was ready, that it has the handler. */
bool serve_worker_has(const struct serve_worker *w, const char *handler);
/* In a request's X-Sandboxd-Key it has the worker take what other fields X-Sandboxd-... say for the
 * command's own. */
const char *serve_worker_key(const struct serve_worker *w);
/* Calls a handler, "scheduled" or "test"; ok false: what it has raised, not escaped, or why it could
 * not be called. Called once. */
typedef void (*serve_called)(void *arg, bool ok, const char *message, const char *traceback);
void serve_worker_call(struct serve_worker *w, const char *handler, const char *cron,
		       serve_called done, void *arg);
/* The same for another worker's ask of a binding to it, which is answered, and for which it must be
 * `scheduled`. */
void serve_worker_scheduled(struct serve_worker *w, struct serve_ask *a);
/* It finishes what it has, and ends. */
void serve_worker_drain(struct serve_worker *w);
/* Now. over follows. */
void serve_worker_end(struct serve_worker *w);

/* proxy.c: sockets of the caller's, whose connections are copied to workers. */

struct serve_proxy;
struct serve_conn; /* an accepted connection */

/* fd listens, and is taken, also on failure. want is called for each accepted connection, and is to
 * see to it that the connection is given or answered, once, then or later. */
int serve_proxy_start(sd_event *loop, int fd, void (*want)(void *arg, struct serve_conn *c),
		      void *arg, struct serve_proxy **ret, struct err *e);
/* fd: a worker's connection, which is taken; -1: the client is told that there is none. */
void serve_conn_give(struct serve_conn *c, int fd);
/* The command's own answer: "503 Service Unavailable", "text/html", ... */
void serve_conn_answer(struct serve_conn *c, const char *status, const char *type, const char *body,
		       size_t len);
/* Connections that were accepted go on until they end. */
void serve_proxy_stop(struct serve_proxy *p);
/* Reads "*:8080", "127.0.0.1:80", "[::1]:80", "localhost:0", "unix:PATH", and listens there. *ret_url,
 * if not NULL, is where that is, for people; the caller frees it. */
int serve_listen(const char *address, unsigned default_port, int *ret_fd, char **ret_url,
		 struct err *e);
/* Listens on a socket that has lost its name: only this process can connect to it, by
 * /proc/self/fd/DOOR. */
int serve_listen_door(int *ret_fd, int *ret_door, struct err *e);

/* http.c: what workers ask for by fetch() and by bindings to services. disk.c: files. */

struct serve_http;
int serve_http_new(sd_event *loop, struct serve_http **ret, struct err *e);
/* What is under way is given up: each ask is answered by an error. */
void serve_http_free(struct serve_http *h);
/* Each answers the ask, which is a `fetch`, later. door: of serve_listen_door, behind which a proxy has
 * connections to the worker. */
void serve_http_worker(struct serve_http *h, struct serve_ask *a, int door, const char *key);
/* address: HOST, HOST:PORT or unix:PATH. */
void serve_http_external(struct serve_http *h, struct serve_ask *a, const char *address, bool tls,
			 const char *certificate_host);
/* allow, deny: arrays of "public", "private", "local", "network" and networks such as "10.0.0.0/8". */
void serve_http_network(struct serve_http *h, struct serve_ask *a, const json_t *allow,
			const json_t *deny);
/* dirfd: the folder; nothing beside it is reached, whatever links there are in it. */
void serve_disk(struct serve_ask *a, int dirfd, bool writable, bool dotfiles);
/* The path of the ask's URL, percent-decoded: relative, without "." and ".."; "": the top. -EINVAL:
 * it is no path. Asks with another method than `fetch` are answered by it: -ECANCELED. */
int serve_ask_path(struct serve_ask *a, char *buf, size_t size);
/* Of an ask of another worker's; false: it was answered, because there are too many before it. */
bool serve_ask_depth(struct serve_ask *a, unsigned *ret);
const char *serve_media_type(const char *path);

#endif
