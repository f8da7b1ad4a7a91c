// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl dev: an HTTP worker while it is written. It is built and run on the node as if it had been
 * deployed, but belongs to this command, which has the socket, the store of KV and the secrets, and looks
 * at the folder: what changes there is built, and served in place of what was there before.
 *
 *	a change	-> a build			(start_build, built)
 *	a build		-> an instance of it		(start_instance)
 *	it is ready	-> it is the one that serves; the one before finishes what it has
 *
 * Other workers, each of a folder of its own that is looked at, too, are what its bindings to services lead
 * to: they are asked by a door, on which connections wait as those of clients do.
 *
 * Connections wait from a change until its instance is ready. One that cannot be imported serves too, a
 * page that says why; a build that fails is answered for here. A change during a build is built next.
 */
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "kv/kv.h"
#include "lib/sha256.h"
#include "supervisor/ctl/dev/prepare.h"
#include "supervisor/ctl/dev/vars.h"
#include "supervisor/ctl/dev/watch.h"
#include "supervisor/ctl/serve/serve.h"

#define PORT_DEFAULT 8787u
#define STATE_DEFAULT ".wrangler/state"
#define STATE_FILE "kv.sqlite"
/* Who saves a file may save another one with it: a change is taken up when so much time has passed without
 * another, and in any case after the longer one. */
#define QUIET_NS (15 * MSEC)
#define QUIET_MAX_NS (150 * MSEC)
#define WAITING_MAX 1000u
#define LINES_AROUND 4u
#define PAGE_SOURCE_MAX (1u << 20)
#define WORKERS_MAX 16u

static const char dev_help[] =
	"usage: sandboxctl dev [DIR] [--port PORT] [--ip ADDRESS] [--env NAME] [-c FILE]...\n"
	"                      [--var KEY=VALUE]... [--persist-to DIR] [--test-scheduled]\n\n"
	"Runs the HTTP worker of DIR (.) while it is written, with its output, and a new one\n"
	"whenever a file of it changes. Ctrl-C ends it.\n\n"
	"  --port PORT       8787, or another one where that is taken\n"
	"  --ip ADDRESS      127.0.0.1; with 0.0.0.0 others can reach it too\n"
	"  --env NAME        the configuration's [env.NAME]\n"
	"  -c, --config FILE a configuration of another name; its folder is the project's. More\n"
	"                    of them, or folders, are workers that the first one has bindings to\n"
	"  --var K=V         a variable in place of the configuration's and of .dev.vars\n"
	"  --persist-to DIR  where KV is kept (DIR/.wrangler/state)\n"
	"  --test-scheduled  /__scheduled?cron=... calls the handler `scheduled`, as\n"
	"                    /cdn-cgi/local/scheduled?cron=... always does\n"
	"  --project NAME    whose worker it is (default)\n\n"
	".dev.vars, or where it is missing .env, has what is secret, NAME=VALUE a line.\n";

/* What a build has made, and the variables with it. */
struct version {
	unsigned n; /* who has it */
	struct serve_made *made;
	json_t *vars;
	uint8_t digest[SHA256_LEN];
};

struct instance {
	LIST_ENTRY(instance) next;
	struct dev *dev;
	struct version *version;
	struct serve_worker *worker;
	bool baseline; /* it was not asked for with what its source imports */
};

struct waiting {
	STAILQ_ENTRY(waiting) next;
	struct serve_conn *conn;
};

struct dev_command;

/* One worker, of a folder of its own. */
struct dev {
	struct dev_command *of;
	const char *dir, *config; /* as it was given: a folder, or its configuration; one of them */
	char label[64];		  /* before what is told of it; "": it is the one that is served */
	char folder[PATH_MAX], config_name[NAME_MAX + 1];
	int dirfd;
	/* By it other workers ask this one, whichever instance of it. */
	int door;
	struct serve_proxy *inner;
	char key[SERVE_KEY_LEN + 1];
	struct prepare *prepare;
	struct watch *watch;
	sd_event_source *changes;
	sd_event_source *quiet; /* set from a change until it is taken up */
	uint64_t changed_ns;	/* the first change that is not taken up; 0: there is none */
	uint64_t began_ns;	/* the change that is being built */

	struct serve_build *build; /* NULL: none is under way */
	bool again;		   /* something has changed since it began */
	bool indexed;		   /* it may ask pip's index */
	struct version *building;  /* its variables are there */
	struct version *version;   /* the newest */
	struct instance *current, *coming;
	LIST_HEAD(, instance) instances;
	STAILQ_HEAD(, waiting) waiting;
	unsigned n_waiting;
	char *page;		    /* why nothing could be built; NULL: it could */
	bool serves;		    /* something does, or has, if it was only a page */
	bool works;		    /* what served last was the worker itself */
	char *warned;		    /* the warnings that were said last */
	char files[DEV_VARS_FILES]; /* with variables, that were said last */
};

struct dev_command {
	struct ctl *ctl;
	/* Options */
	const char *project, *env, *ip, *persist;
	unsigned port; /* 0: any that is free */
	bool port_given, test_scheduled, trace;
	json_t *given; /* owned: --var */

	sd_event *loop;
	int state; /* the folder of the state, which is in that of the first worker */
	char url[256];
	struct kv *kv;
	struct serve_http *http;
	struct serve_proxy *proxy;
	struct dev workers[WORKERS_MAX]; /* the first one is served; others are asked by it */
	unsigned n_workers;
	bool ready; /* and it was told */
	bool quits;
	int status;
};

#define info(fmt, ...) ctl_line(stdout, "[wrangler:info] " fmt, __VA_ARGS__)

static struct version *version_new(void)
{
	struct version *v = calloc(1, sizeof(*v));

	if (v)
		v->n = 1;
	return v;
}

static void version_drop(struct version *v)
{
	if (!v || --v->n > 0)
		return;
	serve_made_free(v->made);
	json_decref(v->vars);
	free(v);
}

/* Connections */

static void connected(void *arg, int fd)
{
	serve_conn_give(arg, fd);
}

static void answer_page(struct dev *d, struct serve_conn *conn)
{
	serve_conn_answer(conn, "500 Internal Server Error", "text/plain;charset=UTF-8", d->page,
			  strlen(d->page));
}

static void release_waiting(struct dev *d)
{
	struct waiting *w;

	while ((w = STAILQ_FIRST(&d->waiting))) {
		struct serve_conn *conn = w->conn;

		STAILQ_REMOVE_HEAD(&d->waiting, next);
		d->n_waiting--;
		free(w);
		if (d->page)
			answer_page(d, conn);
		else if (d->current)
			serve_worker_connect(d->current->worker, connected, conn);
		else
			serve_conn_give(conn, -1);
	}
}

static void start_instance(struct dev *d, struct version *v);

/* Something newer is about to serve. */
static bool is_busy(const struct dev *d)
{
	return d->build || d->coming || d->changed_ns;
}

static void want(void *arg, struct serve_conn *conn)
{
	struct dev *d = arg;
	const bool busy = is_busy(d);
	struct waiting *w;

	if (!busy && d->page) {
		answer_page(d, conn);
		return;
	}
	if (!busy && d->current) {
		serve_worker_connect(d->current->worker, connected, conn);
		return;
	}
	w = d->n_waiting < WAITING_MAX ? calloc(1, sizeof(*w)) : NULL;
	if (!w) {
		serve_conn_give(conn, -1);
		return;
	}
	w->conn = conn;
	STAILQ_INSERT_TAIL(&d->waiting, w, next);
	d->n_waiting++;
	/* The last one has ended by itself. */
	if (!busy && d->version)
		start_instance(d, d->version);
	else if (!busy)
		release_waiting(d);
}

static bool all_serve(const struct dev_command *c)
{
	for (unsigned n = 0; n < c->n_workers; n++)
		if (!c->workers[n].serves)
			return false;
	return true;
}

/* Something serves, if it is only what shows why the worker does not work. The command is ready with the
 * first worker, which its address leads to: whoever waits for that line asks it. */
static void tell_serves(struct dev *d, bool works)
{
	const uint64_t took_ns = util_monotonic_ns() - d->began_ns;
	struct dev_command *c = d->of;
	const bool served = d->serves;

	d->serves = true;
	d->works = works;
	if (!c->ready && all_serve(c)) {
		c->ready = c->workers->works;
		if (c->ready)
			info("Ready on %s", c->url);
		else
			info("Not ready: %s shows what is wrong, until that is changed", c->url);
	} else if (served && d->began_ns && works) {
		info("%sLocal server updated and ready (%llu ms)", d->label,
		     (unsigned long long)(took_ns / MSEC));
	} else if (served && d->began_ns) {
		info("%sLocal server updated, and not ready: there is an error", d->label);
	}
	d->began_ns = 0;
	release_waiting(d);
}

static void set_page(struct dev *d, char *page)
{
	free(d->page);
	d->page = page;
}

/* The lines of a file of the project around one, the line itself marked. */
static void add_lines(FILE *out, int dirfd, const char *file, unsigned at)
{
	_cleanup_fd_ int fd = ctl_open_beneath(dirfd, file, O_RDONLY | O_NONBLOCK);
	_cleanup_free_ char *text = malloc(PAGE_SOURCE_MAX + 1);
	char *line = text, *end;
	ssize_t n = fd >= 0 && text ? read(fd, text, PAGE_SOURCE_MAX) : -1;
	unsigned number = 1;

	if (n <= 0)
		return;
	text[n] = '\0';
	fputc('\n', out);
	for (; number <= at + LINES_AROUND && *line; line = end + (*end == '\n'), number++) {
		end = line + strcspn(line, "\n");
		if (number + LINES_AROUND >= at)
			fprintf(out, "%c %5u  %.*s\n", number == at ? '>' : ' ', number,
				(int)(end - line), line);
	}
}

/* What a build has failed by, "FILE:LINE: ..." where it is known, and these lines. */
static char *make_page(const struct dev *d, const char *message)
{
	const size_t len = strcspn(message, ":");
	char file[NAME_MAX + 1], *text = NULL, *end;
	const unsigned long line = message[len] ? strtoul(message + len + 1, &end, 10) : 0;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	if (!out)
		return NULL;
	fprintf(out, "%s\n", message);
	if (len < sizeof(file) && line > 0 && line < UINT_MAX && *end == ':') {
		(void)snprintf(file, sizeof(file), "%.*s", (int)len, message);
		add_lines(out, d->dirfd, file, (unsigned)line);
	}
	(void)fclose(out);
	return text;
}

static void fail_change(struct dev *d, const struct err *error)
{
	ctl_say("%s%s", d->label, error->msg);
	set_page(d, make_page(d, error->msg));
	tell_serves(d, false);
}

/* Instances */

static void quit_if_done(struct dev_command *c)
{
	bool done = c->quits;

	for (unsigned n = 0; n < c->n_workers; n++)
		done = done && LIST_EMPTY(&c->workers[n].instances);
	if (done)
		(void)sd_event_exit(c->loop, c->status);
}

static struct serve_worker_spec spec_of(const struct dev *d, const struct version *v, json_t *job)
{
	return (struct serve_worker_spec){.inner_key = d->key,
					  .project = d->of->project,
					  .name = v->made->manifest.name,
					  .made = v->made,
					  .secrets = v->vars,
					  .kv = d->of->kv,
					  .job = job,
					  .trace = d->of->trace,
					  .outbound = true};
}

static void take_over(struct instance *i, bool works)
{
	struct dev *d = i->dev;
	struct instance *before = d->current;
	struct serve_worker_spec spec;

	if (d->coming != i)
		return;
	d->coming = NULL;
	d->current = i;
	set_page(d, NULL);
	if (before)
		serve_worker_drain(before->worker);
	spec = spec_of(d, i->version, NULL);
	prepare_for(d->prepare, &spec);
	tell_serves(d, works);
}

static void on_ready(void *arg, double import_ms)
{
	(void)import_ms;
	take_over(arg, true);
}

/* Its log has the traceback. */
static void on_failed(void *arg, const struct serve_failure *f)
{
	if (f->serves)
		take_over(arg, false);
}

/* How its interpreter was had: fork, restore, cold. */
static void on_started(void *arg, const char *mode, double ms)
{
	const struct instance *i = arg;

	if (!i->baseline && strcmp(mode, "cold") == 0)
		prepare_lost(i->dev->prepare);
	if (i->dev->of->trace)
		ctl_line(stderr, "sandboxctl: +%.1f ms %s", ms, mode);
}

static void on_event(void *arg, const json_t *head)
{
	const struct instance *i = arg;
	char method[64], target[2048], reason[128];

	if (strcmp(ctl_text(head, "op"), "request") != 0)
		return;
	(void)util_escape(ctl_text(head, "method"), method, sizeof(method));
	(void)util_escape(ctl_text(head, "target"), target, sizeof(target));
	(void)util_escape(ctl_text(head, "reason"), reason, sizeof(reason));
	info("%s%s %s %lld %s (%.0fms)", i->dev->label, method, target,
	     (long long)json_integer_value(json_object_get(head, "status")), reason,
	     json_number_value(json_object_get(head, "ms")));
}

/* What a binding to a service leads to. NULL: the ask was answered. */
static struct dev *service_of(struct dev_command *c, struct serve_ask *a)
{
	const struct manifest_binding *b = a->binding;
	struct dev *to = NULL;
	bool all_known = true;
	char text[ERR_MSG_MAX];

	for (unsigned n = 0; n < c->n_workers && !to; n++) {
		const struct version *v = c->workers[n].version;

		all_known = all_known && v;
		if (v && strcmp(v->made->manifest.name, b->target) == 0)
			to = &c->workers[n];
	}
	if (to && (!to->page || is_busy(to)))
		return to;
	if (to)
		(void)snprintf(text, sizeof(text),
			       "the binding %s leads to the worker %s, which cannot be built: %.*s",
			       b->name, b->target, (int)strcspn(to->page, "\n"), to->page);
	else if (!all_known)
		(void)snprintf(
			text, sizeof(text),
			"the binding %s leads to the worker %s, which has not been built yet",
			b->name, b->target);
	else
		(void)snprintf(text, sizeof(text),
			       "the binding %s leads to the worker %s, which does not run here: "
			       "give its folder, too, by one more -c",
			       b->name, b->target);
	serve_answer_error(a, "Error", text);
	return NULL;
}

/* fetch() goes out from this machine, wherever its user could go. */
static void on_ask(void *arg, struct serve_ask *a)
{
	struct instance *i = arg;
	struct dev_command *c = i->dev->of;
	json_auto_t *allow = json_pack("[s, s, s, s]", "public", "private", "local", "network");
	json_auto_t *deny = json_array();
	struct dev *to;

	if (!a->binding) {
		serve_http_network(c->http, a, allow, deny);
		return;
	}
	if (a->binding->type != BINDING_SERVICE) {
		serve_answer_error(a, "Error", "the worker has no assets.directory");
		return;
	}
	to = service_of(c, a);
	if (!to)
		return;
	if (strcmp(ctl_text(a->head, "method"), "scheduled") != 0)
		serve_http_worker(c->http, a, to->door, to->key);
	else if (to->current)
		serve_worker_scheduled(to->current->worker, a);
	else
		serve_answer_error(a, "Error", "the service's worker does not run: try again");
}

static void on_over(void *arg, const char *error, int exit_code)
{
	struct instance *i = arg;
	struct dev *d = i->dev;
	const bool was_coming = d->coming == i, was_current = d->current == i;
	char shown[ERR_MSG_MAX];
	struct err e = {0};

	d->coming = was_coming ? NULL : d->coming;
	d->current = was_current ? NULL : d->current;
	LIST_REMOVE(i, next);
	version_drop(i->version);
	free(i);
	if (d->of->quits) {
		quit_if_done(d->of);
		return;
	}
	(void)util_escape(error, shown, sizeof(shown));
	if (was_coming) {
		(void)err_set(&e, ERR_UNAVAILABLE, 0,
			      "the worker has ended before it was ready%s%s", *shown ? ": " : "",
			      shown);
		fail_change(d, &e);
	} else if (was_current) {
		ctl_say("%sthe worker has ended (exit status %d)%s%s: the next request starts it "
			"again",
			d->label, exit_code, *shown ? ": " : "", shown);
	}
}

static json_t *job_of(const struct dev *d, const struct version *v)
{
	return json_pack("{s:b, s:b, s:O*}", "dev", 1, "test_scheduled", d->of->test_scheduled,
			 "assets", json_object_get(v->made->manifest.doc, "assets"));
}

static void start_instance(struct dev *d, struct version *v)
{
	static const struct serve_worker_calls calls = {.ready = on_ready,
							.failed = on_failed,
							.ask = on_ask,
							.event = on_event,
							.started = on_started,
							.over = on_over};
	struct instance *i = calloc(1, sizeof(*i));
	json_auto_t *job = job_of(d, v);
	struct serve_worker_spec spec = spec_of(d, v, job);
	struct err e = {0};

	spec.baseline = !prepare_has(d->prepare, &spec);
	if (!i)
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "cannot start the worker");
	if (!i ||
	    serve_worker_start(d->of->ctl, d->of->loop, &spec, &calls, i, &i->worker, &e) < 0) {
		free(i);
		fail_change(d, &e);
		return;
	}
	i->dev = d;
	i->version = v;
	i->baseline = spec.baseline;
	v->n++;
	LIST_INSERT_HEAD(&d->instances, i, next);
	/* The one that was coming has been overtaken. */
	if (d->coming)
		serve_worker_end(d->coming->worker);
	d->coming = i;
}

/* Builds */

static void start_build(struct dev *d, bool indexed);

static void say_warnings(struct dev *d, const json_t *warnings)
{
	char *text = json_dumps(warnings ? warnings : json_null(), JSON_COMPACT | JSON_ENCODE_ANY);
	const json_t *warning;
	size_t n;

	if (text && (!d->warned || strcmp(text, d->warned) != 0))
		json_array_foreach(warnings, n, warning)
			ctl_say("%swarning: %s", d->label, json_string_value(warning));
	free(d->warned);
	d->warned = text;
}

static bool is_same(const struct version *a, const struct version *b)
{
	return a && b && memcmp(a->digest, b->digest, sizeof(a->digest)) == 0 &&
	       strcmp(a->made->text, b->made->text) == 0 && json_equal(a->vars, b->vars);
}

static void built(void *arg, const struct err *error)
{
	struct dev *d = arg;
	struct version *v = d->building;
	struct err e = {0};

	if (!error) {
		v->made = serve_build_take(d->build);
		if (!v->made || sha256_file(v->made->package_fd, v->digest) < 0) {
			(void)err_set(&e, ERR_SYSTEM, EIO, "the build's package");
			error = &e;
		}
	}
	d->building = NULL;
	d->build = NULL;
	if (d->again) {
		version_drop(v);
		start_build(d, false);
		return;
	}
	/* What has failed may have been that something is required that is not there. */
	if (error && !d->indexed) {
		version_drop(v);
		start_build(d, true);
		return;
	}
	if (error) {
		version_drop(v);
		fail_change(d, error);
		return;
	}
	say_warnings(d, v->made->manifest.warnings);
	if (d->current && !d->page && is_same(v, d->current->version)) {
		version_drop(v);
		d->began_ns = 0;
		release_waiting(d);
		return;
	}
	version_drop(d->version);
	d->version = v;
	start_instance(d, v);
}

static int fill_vars(struct dev *d, struct version *v, struct err *e)
{
	char files[DEV_VARS_FILES];
	int r = dev_vars_read(d->dirfd, d->of->env, &v->vars, files, e);

	if (r == 0 && *files && strcmp(files, d->files) != 0)
		ctl_say("%svariables of %s", d->label, files);
	if (r == 0)
		(void)snprintf(d->files, sizeof(d->files), "%s", files);
	/* Those of the command line go over all others, and are the first worker's. */
	if (r == 0 && d == d->of->workers && json_object_update(v->vars, d->of->given) < 0)
		r = err_set(e, ERR_SYSTEM, ENOMEM, "--var");
	return r;
}

/* What the newest version was built to; -1: there is none. */
static int package_of(const struct dev *d)
{
	return d->version ? d->version->made->package_fd : -1;
}

/* Most builds need no index: without one they are started faster, from a snapshot. */
static int begin_build(struct dev *d, bool indexed, struct err *e)
{
	struct serve_build_ask ask = {
		.project = d->of->project,
		.dir = d->folder,
		.keep_fd = package_of(d),
		/* One that reads no configuration fails, and the next one begins
				       * elsewhere. */
		.image = d->version && !indexed ? d->version->made->manifest.sandbox.image : NULL,
		.index = indexed,
		.done = built,
		.arg = d};
	int r;

	d->indexed = indexed;
	d->building = version_new();
	if (!d->building)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a build");
	r = fill_vars(d, d->building, e);
	if (r == 0) {
		ask.payload = json_pack("{s:b, s:s*, s:s*}", "keep", 1, "env", d->of->env, "file",
					*d->config_name ? d->config_name : NULL);
		r = serve_build_begin(d->of->ctl, d->of->loop, &ask, &d->build, e);
	}
	if (r < 0) {
		version_drop(d->building);
		d->building = NULL;
	}
	return r;
}

static void start_build(struct dev *d, bool indexed)
{
	struct err e = {0};

	d->again = false;
	if (begin_build(d, indexed, &e) < 0)
		fail_change(d, &e);
}

static int on_quiet(sd_event_source *s, uint64_t usec, void *arg)
{
	struct dev *d = arg;

	(void)s;
	(void)usec;
	if (!d->began_ns)
		d->began_ns = d->changed_ns;
	d->changed_ns = 0;
	if (d->build)
		d->again = true;
	else
		start_build(d, false);
	return 0;
}

static int on_change(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct dev *d = arg;
	const uint64_t now = util_monotonic_ns();
	uint64_t at;

	(void)s;
	(void)fd;
	(void)events;
	if (!watch_read(d->watch) || d->of->quits)
		return 0;
	if (!d->changed_ns)
		d->changed_ns = now;
	at = now + QUIET_NS < d->changed_ns + QUIET_MAX_NS ? now + QUIET_NS
							   : d->changed_ns + QUIET_MAX_NS;
	(void)sd_event_source_set_time(d->quiet, at / 1000);
	(void)sd_event_source_set_enabled(d->quiet, SD_EVENT_ONESHOT);
	return 0;
}

/* The command */

static int on_signal(sd_event_source *s, const struct signalfd_siginfo *si, void *arg)
{
	struct dev_command *c = arg;

	(void)s;
	(void)si;
	/* Who asks twice does not want to wait. */
	if (c->quits)
		return sd_event_exit(c->loop, c->status);
	c->quits = true;
	serve_proxy_stop(c->proxy);
	c->proxy = NULL;
	for (unsigned n = 0; n < c->n_workers; n++) {
		struct dev *d = &c->workers[n];
		struct instance *i;

		(void)sd_event_source_set_enabled(d->quiet, SD_EVENT_OFF);
		if (d->build)
			serve_build_cancel(d->build);
		d->build = NULL;
		LIST_FOREACH(i, &d->instances, next)
			serve_worker_end(i->worker);
	}
	quit_if_done(c);
	return 0;
}

/* Makes a folder, and those above it. */
static int make_folders(char *path)
{
	for (char *p = path + 1;; p++) {
		const char was = *p;

		if (was && was != '/')
			continue;
		*p = '\0';
		if (mkdir(path, 0777) < 0 && errno != EEXIST)
			return -errno;
		*p = was;
		if (!was)
			return 0;
	}
}

/* A project may be somebody else's, and what it has in the place of these be a link: SQLite would write to
 * what that leads to. */
static int check_state(const struct dev_command *c, const char *path, const char *real,
		       struct err *e)
{
	static const char *const names[] = {STATE_FILE, STATE_FILE "-wal", STATE_FILE "-shm",
					    STATE_FILE "-journal"};
	struct stat st;

	if (!c->persist && strcmp(path, real) != 0)
		return err_set(e, ERR_INPUT, 0,
			       "%s: leads elsewhere by a link: remove it, or use --persist-to",
			       path);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++)
		if (fstatat(c->state, names[i], &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    !S_ISREG(st.st_mode))
			return err_set(e, ERR_INPUT, 0, "%s/%s: is no plain file: remove it", path,
				       names[i]);
	return 0;
}

static int open_state(struct dev_command *c, char *real, struct err *e)
{
	char path[PATH_MAX], folder[PATH_MAX];
	int n, r;

	if (!c->persist && !realpath(c->workers[0].folder, folder))
		return err_set(e, ERR_INPUT, errno, "%s", c->workers[0].folder);
	n = c->persist ? snprintf(path, sizeof(path), "%s", c->persist)
		       : snprintf(path, sizeof(path), "%s/" STATE_DEFAULT, folder);
	r = n >= (int)sizeof(path) - (int)sizeof("/" STATE_FILE) ? -ENAMETOOLONG
								 : make_folders(path);

	if (r == 0 && !realpath(path, real))
		r = -errno;
	c->state = r < 0 ? -1 : open(real, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r == 0 && c->state < 0)
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_INPUT, -r, "%s", path);
	if (check_state(c, path, real, e) < 0)
		return -EINVAL;
	(void)strcat(path, "/" STATE_FILE);
	return kv_open(path, &c->kv, e);
}

static int find_folder(struct dev *d, struct err *e)
{
	const char *given = d->config ? d->config : d->dir, *name;
	char path[PATH_MAX];
	struct stat st;
	bool is_file;

	if (snprintf(path, sizeof(path), "%s", given) >= (int)sizeof(path))
		return err_set(e, ERR_INPUT, ENAMETOOLONG, "%s", given);
	if (stat(given, &st) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", given);
	is_file = d->config && !S_ISDIR(st.st_mode);
	if (is_file) {
		name = strrchr(given, '/');
		(void)snprintf(d->config_name, sizeof(d->config_name), "%s",
			       name ? name + 1 : given);
	}
	if (!realpath(is_file ? dirname(path) : path, d->folder))
		return err_set(e, ERR_INPUT, errno, "%s", given);
	d->dirfd = open(d->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (d->dirfd < 0 || (is_file && faccessat(d->dirfd, d->config_name, R_OK, 0) < 0))
		return err_set(e, ERR_INPUT, errno, "%s", given);
	if (!is_file && ctl_check_configured(d->dirfd, given, e) < 0)
		return -ENOENT;
	name = strrchr(d->folder, '/');
	if (d != d->of->workers)
		(void)snprintf(d->label, sizeof(d->label), "%.60s: ", name + 1);
	return 0;
}

static int begin_listening(struct dev_command *c, struct err *e)
{
	const char *ip = c->ip ? c->ip : "127.0.0.1";
	_cleanup_free_ char *url = NULL;
	char address[128];
	const char *colon;
	int fd, r;

	(void)snprintf(address, sizeof(address), strchr(ip, ':') ? "[%s]:%u" : "%s:%u", ip,
		       c->port);
	r = serve_listen(address, PORT_DEFAULT, &fd, &url, e);
	if (r == -EADDRINUSE && !c->port_given) {
		(void)snprintf(address, sizeof(address), strchr(ip, ':') ? "[%s]:0" : "%s:0", ip);
		r = serve_listen(address, PORT_DEFAULT, &fd, &url, e);
	}
	if (r < 0)
		return r;
	colon = strrchr(url, ':');
	if (c->ip || !colon)
		(void)snprintf(c->url, sizeof(c->url), "%s", url);
	else
		(void)snprintf(c->url, sizeof(c->url), "http://localhost%s", colon);
	return serve_proxy_start(c->loop, fd, want, c->workers, &c->proxy, e);
}

static int begin_loop(struct dev_command *c, struct err *e)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	sigset_t all;
	int r = sd_event_new(&c->loop);

	(void)sigemptyset(&all);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(&all, signals[i]);
	if (r >= 0)
		r = -pthread_sigmask(SIG_BLOCK, &all, NULL);
	for (size_t i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_event_add_signal(c->loop, NULL, signals[i], on_signal, c);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot begin") : 0;
}

/* A worker's folder is looked at, and what is in it is built. state: the folder of the state, in which nothing
 * is looked at. */
static int begin_worker(struct dev *d, const char *state, struct err *e)
{
	struct dev_command *c = d->of;
	char note[32] = "prepared.json";
	int fd, r;

	if (d != c->workers)
		(void)snprintf(note, sizeof(note), "prepared-%u.json", (unsigned)(d - c->workers));
	r = serve_key_make(d->key);
	if (r == 0)
		r = sd_event_add_time(c->loop, &d->quiet, CLOCK_MONOTONIC, 0, 1000, on_quiet, d);
	if (r >= 0)
		r = sd_event_source_set_enabled(d->quiet, SD_EVENT_OFF);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot begin");
	r = prepare_new(c->ctl, c->loop, c->state, note, &d->prepare, e);
	if (r == 0)
		r = serve_listen_door(&fd, &d->door, e);
	if (r == 0)
		r = serve_proxy_start(c->loop, fd, want, d, &d->inner, e);
	if (r == 0)
		r = watch_open(d->folder, state, &d->watch, e);
	if (r < 0)
		return r;
	r = sd_event_add_io(c->loop, &d->changes, watch_fd(d->watch), EPOLLIN, on_change, d);
	/* Before a connection that has come after it. */
	if (r >= 0)
		r = sd_event_source_set_priority(d->changes, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "cannot watch %s", d->folder);
	return 0;
}

static int begin(struct dev_command *c, struct err *e)
{
	char state[PATH_MAX];
	int r = 0;

	for (unsigned n = 0; n < c->n_workers && r == 0; n++)
		r = find_folder(&c->workers[n], e);
	if (r == 0)
		r = begin_loop(c, e);
	if (r == 0)
		r = serve_http_new(c->loop, &c->http, e);
	if (r == 0)
		r = open_state(c, state, e);
	for (unsigned n = 0; n < c->n_workers && r == 0; n++)
		r = begin_worker(&c->workers[n], state, e);
	if (r == 0)
		r = begin_listening(c, e);
	/* Without a daemon there is nothing to wait for. */
	for (unsigned n = 0; n < c->n_workers && r == 0; n++)
		r = begin_build(&c->workers[n], false, e);
	return r;
}

static void dev_clear(struct dev *d)
{
	release_waiting(d);
	version_drop(d->version);
	version_drop(d->building);
	prepare_free(d->prepare);
	watch_close(d->watch);
	if (d->inner)
		serve_proxy_stop(d->inner);
	free(d->page);
	free(d->warned);
	d->changes = sd_event_source_unref(d->changes);
	d->quiet = sd_event_source_unref(d->quiet);
	util_close_fd(&d->door);
	util_close_fd(&d->dirfd);
}

static void command_clear(struct dev_command *c)
{
	for (unsigned n = 0; n < c->n_workers; n++)
		dev_clear(&c->workers[n]);
	serve_http_free(c->http);
	kv_close(c->kv);
	json_decref(c->given);
	c->loop = sd_event_unref(c->loop);
	util_close_fd(&c->state);
}

static int add_var(struct dev_command *c, const char *text)
{
	const char *equals = strchr(text, '=');
	_cleanup_free_ char *key = NULL;

	if (!equals || equals == text)
		return ctl_usage("dev", "--var: '%s' is not KEY=VALUE", text);
	key = strndup(text, (size_t)(equals - text));
	if (!key || json_object_set_new(c->given, key, json_string(equals + 1)) < 0)
		return ctl_usage("dev", "--var: '%s' must be UTF-8", text);
	return 0;
}

static int read_port(struct dev_command *c, const char *text)
{
	char *end;
	const unsigned long port = strtoul(text, &end, 10);

	if (*end || end == text || port > 65535)
		return ctl_usage("dev", "--port: '%s' is not from 0 to 65535", text);
	c->port = (unsigned)port;
	c->port_given = true;
	return 0;
}

static int add_worker(struct dev_command *c, const char *dir, const char *config)
{
	struct dev *d = &c->workers[c->n_workers];

	if (c->n_workers >= WORKERS_MAX)
		return ctl_usage("dev", "%u workers at most: '%s'", WORKERS_MAX, config);
	*d = (struct dev){.of = c, .dir = dir, .config = config, .dirfd = -1, .door = -1};
	STAILQ_INIT(&d->waiting);
	c->n_workers++;
	return 0;
}

static int take_option(void *arg, int option, const char *value)
{
	struct dev_command *c = arg;

	switch (option) {
	case 'P':
		return read_port(c, value);
	case 'v':
		return add_var(c, value);
	case 'i':
		c->ip = value;
		break;
	case 'e':
		c->env = value;
		break;
	case 'c':
		return add_worker(c, NULL, value);
	case 's':
		c->persist = value;
		break;
	case 't':
		c->test_scheduled = true;
		break;
	default: /* 'p' */
		c->project = value;
	}
	return 0;
}

static int read_options(struct dev_command *c, int argc, char **argv)
{
	static const struct option options[] = {
		{"port", required_argument, NULL, 'P'},
		{"ip", required_argument, NULL, 'i'},
		{"env", required_argument, NULL, 'e'},
		{"config", required_argument, NULL, 'c'},
		{"var", required_argument, NULL, 'v'},
		{"persist-to", required_argument, NULL, 's'},
		{"test-scheduled", no_argument, NULL, 't'},
		{"project", required_argument, NULL, 'p'},
		{0},
	};
	int r = ctl_read_options("dev", argc, argv, ":c:", options, take_option, c);

	if (r == 0 && argc - optind > 1)
		return ctl_usage("dev", "one folder at most: '%s'", argv[optind + 1]);
	if (r == 0 && optind < argc && c->n_workers > 0)
		return ctl_usage("dev", "the folder is that of --config: leave '%s' away",
				 argv[optind]);
	if (r == 0 && c->n_workers == 0)
		r = add_worker(c, optind < argc ? argv[optind] : ".", NULL);
	return r;
}

int ctl_dev(struct ctl *ctl, int argc, char **argv)
{
	struct dev_command c = {.ctl = ctl,
				.project = "default",
				.port = PORT_DEFAULT,
				.state = -1,
				.given = json_object()};
	const char *trace = getenv("PYTHON_TRACE");
	struct err e = {0};
	int r;

	if (ctl_asks_help(argc, argv)) {
		fputs(dev_help, stdout);
		return ctl_flush(0);
	}
	c.trace = trace && strcmp(trace, "1") == 0;
	r = read_options(&c, argc, argv);
	if (r == 0) {
		r = begin(&c, &e);
		r = r < 0 ? ctl_fail(&e) : sd_event_loop(c.loop);
	}
	command_clear(&c);
	return ctl_flush(r < 0 ? 125 : r);
}
