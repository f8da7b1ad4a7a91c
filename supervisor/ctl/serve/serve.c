// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl serve: a whole configuration in the foreground. Its workers run in sandboxes; sockets,
 * folders and servers that they are given are this command's, which opens them as its caller and
 * answers for them. Nothing of it lasts longer than the command.
 */
#include <fcntl.h>
#include <getopt.h>
#include <libgen.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "kv/kv.h"
#include "lib/dir.h"
#include "lib/text.h"
#include "supervisor/ctl/serve/serve.h"

#define SOCKETS_MAX 64u
#define OVERRIDES_MAX 64u
/* A worker that has served and has ended is started again after so long. */
#define AGAIN_NS (1 * SEC)
#define END_NS (5 * SEC)
#define NAMES_MAX 10000u

static const char serve_help[] =
	"usage: sandboxctl serve [OPTION]... [CONFIG.capnp|DIR] [CONSTANT]\n"
	"       sandboxctl serve --test [OPTION]... [CONFIG.capnp|DIR] [CONSTANT]\n\n"
	"Runs all services of a configuration of workerd's, or the worker of a folder with a\n"
	"wrangler.toml, in the foreground, until Ctrl-C. What workers print is printed as it "
	"comes.\n\n"
	"  -s, --socket-addr NAME=ADDR     where a socket listens, in place of the "
	"configuration's\n"
	"  -d, --directory-path NAME=PATH  the folder of a disk\n"
	"  -e, --external-addr NAME=ADDR   the address of an external server\n"
	"      --test          call each worker's handler `test`, and end: 1 when one has failed\n"
	"      --verbose       say what is done\n"
	"      --kv FILE       keep KV in this file; without it KV ends with the command\n"
	"      --project NAME  the project whose sandboxes and images are used (default)\n\n"
	"ADDR is HOST:PORT, *:PORT or unix:PATH. With PYTHON_TRACE=1 each import, step of a start\n"
	"and call of a handler is written to stderr, with milliseconds.\n";

struct override {
	char *name;
	const char *value;
};

struct overrides {
	struct override list[OVERRIDES_MAX];
	unsigned n;
};

struct serve_command;

struct service {
	LIST_ENTRY(service) next;
	struct serve_command *of;
	char *name;
	enum { SERVICE_WORKER, SERVICE_NETWORK, SERVICE_EXTERNAL, SERVICE_DISK } kind;
	json_t *what; /* as the build tells it */
	struct serve_made *made;
	struct serve_worker *worker; /* NULL: it does not run */
	json_t *secrets;
	bool ready, was_ready, tested;
	uint64_t test_ns, give_up_ns;
	sd_event_source *again;
	int dirfd;
	/* Of a worker: by which others ask it. */
	int door;
	struct serve_proxy *inner;
};

struct listener {
	char *name, *url;
	struct service *to;
	int fd; /* until connections are taken */
	struct serve_proxy *proxy;
};

struct serve_command {
	struct ctl *ctl;
	sd_event *loop;
	const char *project, *constant, *kv_path;
	struct overrides sockets, disks, externals;
	bool test, verbose, trace, ending;
	int status;
	struct serve_build *build;
	struct serve_http *http;
	struct kv *kv;
	LIST_HEAD(, service) services;
	struct listener listeners[SOCKETS_MAX];
	unsigned n_listeners, n_failed, n_passed, n_testing;
	uint64_t began_ns;
};

static void begin_worker(struct service *s);

static void trace(const struct serve_command *c, const char *name, const char *what, double ms)
{
	if (c->trace || c->verbose)
		ctl_line(stderr, "sandboxctl: +%.1f ms %s%s%s (%.1f ms)",
			 (double)(util_monotonic_ns() - c->began_ns) / 1e6, name, *name ? ": " : "",
			 what, ms);
}

static int end_late(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	return sd_event_exit(((struct serve_command *)arg)->loop, 0);
}

static bool has_runs(const struct serve_command *c)
{
	const struct service *s;

	LIST_FOREACH(s, &c->services, next)
		if (s->worker)
			return true;
	return false;
}

/* The command ends when all runs have. */
static void check_ended(struct serve_command *c)
{
	if (c->ending && !has_runs(c))
		(void)sd_event_exit(c->loop, 0);
}

static void end(struct serve_command *c, int status)
{
	struct service *s;

	if (c->ending)
		return;
	c->ending = true;
	c->status = status;
	if (c->build)
		serve_build_cancel(TAKE_PTR(c->build));
	for (unsigned i = 0; i < c->n_listeners; i++)
		if (c->listeners[i].proxy)
			serve_proxy_stop(TAKE_PTR(c->listeners[i].proxy));
	LIST_FOREACH(s, &c->services, next) {
		s->again = sd_event_source_disable_unref(s->again);
		if (s->worker)
			serve_worker_end(s->worker);
	}
	(void)sd_event_add_time_relative(c->loop, NULL, CLOCK_MONOTONIC, END_NS / 1000, 0, end_late,
					 c);
	check_ended(c);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *arg)
{
	struct serve_command *c = arg;

	(void)source;
	if (c->ending)
		return sd_event_exit(c->loop, 0);
	end(c, c->build || c->test ? 128 + (int)info->ssi_signo : 0);
	return 0;
}

static struct service *find_service(struct serve_command *c, const char *name)
{
	struct service *s;

	LIST_FOREACH(s, &c->services, next)
		if (strcmp(s->name, name) == 0)
			return s;
	return NULL;
}

static const char *overridden(const struct overrides *o, const char *name, const char *other)
{
	for (unsigned i = 0; i < o->n; i++)
		if (strcmp(o->list[i].name, name) == 0)
			return o->list[i].value;
	return other;
}

/* What workers ask for. */

static void ask_network(struct serve_command *c, struct serve_ask *a, const json_t *what)
{
	json_auto_t *internet = json_pack("{s:[s], s:[]}", "allow", "public", "deny");
	const json_t *rules = what ? what : internet;

	serve_http_network(c->http, a, json_object_get(rules, "allow"),
			   json_object_get(rules, "deny"));
}

static void ask_external(struct serve_command *c, struct serve_ask *a, const struct service *to)
{
	const json_t *what = json_object_get(to->what, "external");
	const char *address = overridden(&c->externals, to->name, ctl_text(what, "address"));

	serve_http_external(c->http, a, address, strcmp(ctl_text(what, "scheme"), "https") == 0,
			    ctl_text(what, "certificate_host"));
}

static void worker_ask(void *arg, struct serve_ask *a)
{
	struct service *from = arg, *to;
	struct serve_command *c = from->of;
	const char *name = a->binding ? a->binding->target : ctl_text(from->what, "outbound");
	const json_t *disk;

	if (a->binding && a->binding->type != BINDING_SERVICE) {
		serve_answer_error(a, "Error", "the worker has no assets.directory");
		return;
	}
	if (!name || !*name)
		name = "internet";
	to = find_service(c, name);
	if (!to && strcmp(name, "internet") == 0) {
		ask_network(c, a, NULL);
		return;
	}
	if (!to) {
		serve_answer_error(a, "Error", "there is no such service here");
		return;
	}
	switch (to->kind) {
	case SERVICE_WORKER:
		if (!to->worker)
			serve_answer_error(a, "Error", "the service's worker does not run");
		else if (strcmp(ctl_text(a->head, "method"), "scheduled") == 0)
			serve_worker_scheduled(to->worker, a);
		else
			serve_http_worker(c->http, a, to->door, serve_worker_key(to->worker));
		break;
	case SERVICE_NETWORK:
		ask_network(c, a, json_object_get(to->what, "network"));
		break;
	case SERVICE_EXTERNAL:
		ask_external(c, a, to);
		break;
	case SERVICE_DISK:
		disk = json_object_get(to->what, "disk");
		serve_disk(a, to->dirfd, json_is_true(json_object_get(disk, "writable")),
			   json_is_true(json_object_get(disk, "dotfiles")));
		break;
	}
}

/* Clients. */

static void connected(void *arg, int fd)
{
	serve_conn_give(arg, fd);
}

static void worker_wanted(void *arg, struct serve_conn *conn)
{
	struct service *s = arg;

	if (s->worker)
		serve_worker_connect(s->worker, connected, conn);
	else
		serve_conn_give(conn, -1);
}

static bool all_ready(const struct serve_command *c)
{
	const struct service *s;

	LIST_FOREACH(s, &c->services, next)
		if (s->kind == SERVICE_WORKER && !s->was_ready)
			return false;
	return true;
}

/* Connections that have come while the workers started are taken now. */
static void open_doors(struct serve_command *c)
{
	struct err e = {0};

	for (unsigned i = 0; i < c->n_listeners; i++) {
		struct listener *l = &c->listeners[i];

		if (l->proxy)
			continue;
		if (serve_proxy_start(c->loop, TAKE_FD(l->fd), worker_wanted, l->to, &l->proxy,
				      &e) < 0) {
			end(c, ctl_fail(&e));
			return;
		}
		ctl_line(stderr, "Ready on %s (%s)", l->url ? l->url : "?", l->name);
	}
}

/* Tests. */

static void check_tested(struct serve_command *c)
{
	if (c->n_testing > 0)
		return;
	if (c->n_passed + c->n_failed == 0) {
		ctl_say("no worker of the configuration has a handler `test`");
		end(c, 1);
		return;
	}
	ctl_line(stdout, "%u passed, %u failed", c->n_passed, c->n_failed);
	end(c, c->n_failed ? 1 : 0);
}

static void tested(void *arg, bool ok, const char *message, const char *traceback)
{
	struct service *s = arg;
	struct serve_command *c = s->of;
	const double ms = (double)(util_monotonic_ns() - s->test_ns) / 1e6;
	char shown[ERR_MSG_MAX];

	c->n_testing--;
	/* Its traceback is in the worker's log, which is printed as it comes. */
	(void)traceback;
	ctl_line(stdout, "[ %s ] %s (%.1f ms)%s%s", ok ? "PASS" : "FAIL", s->name, ms,
		 ok ? "" : ": ", ok ? "" : util_escape(message, shown, sizeof(shown)));
	c->n_passed += ok;
	c->n_failed += !ok;
	if (!c->ending)
		check_tested(c);
}

static void begin_tests(struct serve_command *c)
{
	struct service *s;

	LIST_FOREACH(s, &c->services, next)
		c->n_testing += s->worker && serve_worker_has(s->worker, "test");
	LIST_FOREACH(s, &c->services, next) {
		if (!s->worker || s->tested || !serve_worker_has(s->worker, "test"))
			continue;
		s->tested = true;
		s->test_ns = util_monotonic_ns();
		serve_worker_call(s->worker, "test", NULL, tested, s);
	}
	check_tested(c);
}

/* Workers. */

static void worker_ready(void *arg, double import_ms)
{
	struct service *s = arg;
	struct serve_command *c = s->of;
	const bool first = !s->was_ready;

	s->ready = s->was_ready = true;
	trace(c, s->name, "ready", import_ms);
	if (!first || c->ending || !all_ready(c))
		return;
	if (c->test)
		begin_tests(c);
	else
		open_doors(c);
}

static void worker_failed(void *arg, const struct serve_failure *f)
{
	const struct service *s = arg;
	char message[ERR_MSG_MAX], file[300];

	(void)util_escape(f->message, message, sizeof(message));
	(void)util_escape(f->file, file, sizeof(file));
	if (*f->file && f->line)
		ctl_say("%s: %s:%lld: %s", s->name, file, (long long)f->line, message);
	else
		ctl_say("%s: %s", s->name, message);
}

static void worker_started(void *arg, const char *mode, double ms)
{
	const struct service *s = arg;
	char text[64];

	(void)snprintf(text, sizeof(text), "started by %s", mode);
	trace(s->of, s->name, text, ms);
}

static int begin_again(sd_event_source *source, uint64_t usec, void *arg)
{
	struct service *s = arg;

	(void)source;
	(void)usec;
	s->again = sd_event_source_disable_unref(s->again);
	begin_worker(s);
	return 0;
}

static void begin_later(struct service *s)
{
	(void)sd_event_add_time_relative(s->of->loop, &s->again, CLOCK_MONOTONIC, AGAIN_NS / 1000,
					 0, begin_again, s);
}

static void worker_over(void *arg, const char *error, int exit_code)
{
	struct service *s = arg;
	struct serve_command *c = s->of;
	char shown[ERR_MSG_MAX];

	s->worker = NULL;
	if (c->ending) {
		check_ended(c);
		return;
	}
	if (*error)
		(void)util_escape(error, shown, sizeof(shown));
	else
		(void)snprintf(shown, sizeof(shown), "its worker has ended (%d)", exit_code);
	if (s->ready)
		s->give_up_ns = util_monotonic_ns() + CTL_RETRY_FOR_NS;
	/* Its code cannot be imported, or it cannot be started at all. */
	if (!s->was_ready || c->test || util_monotonic_ns() >= s->give_up_ns) {
		if (*error || s->ready)
			ctl_say("%s: %s", s->name, shown);
		end(c, 1);
		return;
	}
	ctl_say("%s: %s, and is started again", s->name, shown);
	s->ready = false;
	begin_later(s);
}

static void begin_worker(struct service *s)
{
	static const struct serve_worker_calls calls = {.ready = worker_ready,
							.failed = worker_failed,
							.ask = worker_ask,
							.started = worker_started,
							.over = worker_over};
	struct serve_command *c = s->of;
	const json_t *assets = json_object_get(s->made->manifest.doc, "assets");
	json_auto_t *job = json_pack("{s:O*}", "assets", assets);
	const struct serve_worker_spec spec = {.project = c->project,
					       .name = s->name,
					       .made = s->made,
					       .secrets = s->secrets,
					       .kv = c->kv,
					       .job = job,
					       .trace = c->trace,
					       .outbound = true};
	struct err e = {0};
	int fd;

	if (s->door < 0 && (serve_listen_door(&fd, &s->door, &e) < 0 ||
			    serve_proxy_start(c->loop, fd, worker_wanted, s, &s->inner, &e) < 0)) {
		end(c, ctl_fail(&e));
		return;
	}
	if (serve_worker_start(c->ctl, c->loop, &spec, &calls, s, &s->worker, &e) == 0)
		return;
	/* A daemon that is restarted is waited for. */
	if (e.code == ERR_UNAVAILABLE && s->was_ready && util_monotonic_ns() < s->give_up_ns)
		begin_later(s);
	else
		end(c, ctl_fail(&e));
}

/* The configuration. */

static void service_free(struct service *s)
{
	LIST_REMOVE(s, next);
	s->again = sd_event_source_disable_unref(s->again);
	serve_made_free(s->made);
	json_decref(s->what);
	json_decref(s->secrets);
	util_close_fd(&s->dirfd);
	util_close_fd(&s->door);
	if (s->inner)
		serve_proxy_stop(s->inner);
	free(s->name);
	free(s);
}

static struct service *add_service(struct serve_command *c, const char *name)
{
	struct service *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->of = c;
	s->dirfd = s->door = -1;
	s->name = strdup(name);
	s->secrets = json_object();
	LIST_INSERT_HEAD(&c->services, s, next);
	return s;
}

/* Variables of the command's own environment that bindings are made of. */
static void fill_secrets(struct service *s)
{
	const json_t *value;
	const char *binding;

	json_object_foreach(json_object_get(s->what, "environment"), binding, value)
	{
		const char *text = getenv(json_string_value(value));

		if (!text)
			ctl_say("warning: %s: the variable %s of the binding %s is not set",
				s->name, json_string_value(value), binding);
		else
			(void)json_object_set_new(s->secrets, binding, json_string(text));
	}
}

static int read_service(struct serve_command *c, json_t *what, struct err *e)
{
	static const char *const kinds[] = {"worker", "network", "external", "disk"};
	const char *kind = ctl_text(what, "kind"), *path;
	struct service *s = add_service(c, ctl_text(what, "name"));

	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "services");
	s->what = json_incref(what);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(kind, kinds[i]) == 0)
			s->kind = i;
	if (s->kind == SERVICE_DISK) {
		path = overridden(&c->disks, s->name,
				  ctl_text(json_object_get(what, "disk"), "path"));
		s->dirfd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (s->dirfd < 0)
			return err_set(e, ERR_INPUT, errno, "the disk %s: %s", s->name, path);
	}
	fill_secrets(s);
	return 0;
}

/* Of what names no socket, as a wrangler.toml. */
static const char by_default[] = "localhost:8080";

static int read_socket(struct serve_command *c, const char *name, const char *address,
		       struct service *to, struct err *e)
{
	struct listener *l = &c->listeners[c->n_listeners];
	int r;

	if (c->n_listeners >= SOCKETS_MAX || !to)
		return err_set(e, ERR_INPUT, 0,
			       "the socket %s: there are too many, or it leads nowhere", name);
	address = overridden(&c->sockets, name, address);
	if (!*address)
		return err_set(e, ERR_INPUT, 0, "the socket %s has no address: give -s %s=ADDR",
			       name, name);
	l->fd = -1;
	r = serve_listen(address, 80, &l->fd, &l->url, e);
	/* Nobody has asked for this port. */
	if (r == -EADDRINUSE && address == by_default)
		r = serve_listen("localhost:0", 80, &l->fd, &l->url, e);
	if (r == -EADDRINUSE)
		return err_set(e, ERR_INPUT, 0,
			       "the socket %s: %s: is in use already: give it another address by "
			       "-s %s=HOST:PORT",
			       name, address, name);
	if (r < 0)
		return err_wrap(e, r, "the socket %s", name);
	l->name = strdup(name);
	l->to = to;
	c->n_listeners++;
	return 0;
}

static void print_warnings(const struct serve_made *m)
{
	const json_t *warning;
	char shown[1024];
	size_t i;

	json_array_foreach(m->manifest.warnings, i, warning) ctl_say(
		"warning: %s", util_escape(json_string_value(warning), shown, sizeof(shown)));
}

static int read_config(struct serve_command *c, struct err *e)
{
	const json_t *told = serve_build_services(c->build), *socket;
	struct serve_made *m;
	json_t *what;
	size_t i;
	int r = 0;

	json_array_foreach(json_object_get(told, "services"), i, what) if (r == 0) r =
		read_service(c, what, e);
	while (r == 0 && (m = serve_build_take(c->build))) {
		/* A wrangler.toml has one worker, and no more. */
		struct service *s =
			m->service ? find_service(c, m->service) : add_service(c, m->manifest.name);

		print_warnings(m);
		if (!s || s->kind != SERVICE_WORKER || s->made) {
			serve_made_free(m);
			return err_set(e, ERR_INPUT, 0, "the build has made what nobody asked for");
		}
		s->made = m;
	}
	if (r == 0 && !told && !c->test)
		r = read_socket(c, "http", by_default, LIST_FIRST(&c->services), e);
	json_array_foreach(json_object_get(told, "sockets"), i, socket) if (r == 0 && !c->test) r =
		read_socket(c, ctl_text(socket, "name"), ctl_text(socket, "address"),
			    find_service(c, ctl_text(socket, "service")), e);
	return r;
}

static void built(void *arg, const struct err *error)
{
	struct serve_command *c = arg;
	struct service *s;
	struct err e = {0};
	int r = error ? ctl_fail(error) : 0;

	if (!r && read_config(c, &e) < 0)
		r = ctl_fail(&e);
	c->build = NULL;
	LIST_FOREACH(s, &c->services, next)
		if (!r && s->kind == SERVICE_WORKER && !s->made)
			r = 1;
	if (r) {
		end(c, r);
		return;
	}
	LIST_FOREACH(s, &c->services, next)
		if (s->kind == SERVICE_WORKER && !c->ending)
			begin_worker(s);
}

static void build_progress(void *arg, const char *step, double ms, const char *text)
{
	const struct serve_command *c = arg;
	char what[ERR_MSG_MAX + 80];

	(void)snprintf(what, sizeof(what), "%s: %s", step, text);
	trace(c, "build", what, ms);
}

/* Options. */

static int add_override(struct overrides *o, const char *option, const char *text)
{
	const char *equals = strchr(text, '=');

	if (!equals || equals == text || o->n >= OVERRIDES_MAX)
		return ctl_usage("serve", "%s: '%s' is not NAME=VALUE", option, text);
	o->list[o->n].name = strndup(text, (size_t)(equals - text));
	o->list[o->n].value = equals + 1;
	return o->list[o->n++].name ? 0 : 125;
}

static int take_option(void *arg, int option, const char *value)
{
	struct serve_command *c = arg;

	switch (option) {
	case 's':
		return add_override(&c->sockets, "-s", value);
	case 'd':
		return add_override(&c->disks, "-d", value);
	case 'e':
		return add_override(&c->externals, "-e", value);
	case 'k':
		c->kv_path = value;
		break;
	case 'p':
		c->project = value;
		break;
	case 't':
		c->test = true;
		break;
	case 'v':
		c->verbose = true;
		break;
	default: /* workerd wants "experimental" said for Python */
		break;
	}
	return 0;
}

static int read_options(struct serve_command *c, const char **path, int argc, char **argv)
{
	static const struct option options[] = {{"socket-addr", required_argument, NULL, 's'},
						{"directory-path", required_argument, NULL, 'd'},
						{"external-addr", required_argument, NULL, 'e'},
						{"test", no_argument, NULL, 't'},
						{"verbose", no_argument, NULL, 'v'},
						{"experimental", no_argument, NULL, 'x'},
						{"kv", required_argument, NULL, 'k'},
						{"project", required_argument, NULL, 'p'},
						{0}};
	int r = ctl_read_options("serve", argc, argv, ":s:d:e:", options, take_option, c);

	if (r == 0 && argc - optind > 2)
		r = ctl_usage("serve", "a configuration and a constant at most: '%s'",
			      argv[optind + 2]);
	if (r == 0 && optind < argc)
		*path = argv[optind++];
	if (r == 0 && optind < argc)
		c->constant = argv[optind];
	return r;
}

/* The folder that is sent along, and what is in it. */
static int read_path(const struct serve_command *c, const char *path, char **ret_dir,
		     json_t **ret_payload, struct err *e)
{
	_cleanup_free_ char *copy = strdup(path), *other = strdup(path);
	const char *file = "config.capnp";
	struct stat st;
	bool capnp;

	*ret_dir = NULL;
	if (!copy || !other)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	if (stat(path, &st) < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	if (S_ISDIR(st.st_mode)) {
		_cleanup_fd_ int dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

		*ret_dir = strdup(path);
		/* Where there are both, the folder is a project of wrangler's. */
		capnp = faccessat(dir, file, F_OK, 0) == 0 &&
			faccessat(dir, "wrangler.toml", F_OK, 0) < 0 &&
			faccessat(dir, "wrangler.jsonc", F_OK, 0) < 0 &&
			faccessat(dir, "wrangler.json", F_OK, 0) < 0;
	} else {
		file = basename(copy);
		*ret_dir = strdup(dirname(other));
		capnp = strncmp(file, "wrangler.", 9) != 0;
	}
	if (!*ret_dir)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", path);
	if (!capnp && c->constant)
		return err_set(e, ERR_INPUT, 0, "%s: a constant is of a config.capnp", c->constant);
	*ret_payload =
		capnp ? json_pack("{s:{s:s, s:s*}}", "serve", "file", file, "constant", c->constant)
		      : json_object();
	return *ret_payload ? 0 : err_set(e, ERR_INPUT, 0, "%s: must be UTF-8", path);
}

static int watch_signals(struct serve_command *c)
{
	static const int signals[] = {SIGINT, SIGTERM};
	sigset_t set;
	int r = 0;

	(void)sigemptyset(&set);
	for (unsigned i = 0; i < ARRAY_SIZE(signals); i++)
		(void)sigaddset(&set, signals[i]);
	(void)sigprocmask(SIG_BLOCK, &set, NULL);
	for (unsigned i = 0; r >= 0 && i < ARRAY_SIZE(signals); i++)
		r = sd_event_add_signal(c->loop, NULL, signals[i], on_signal, c);
	return r;
}

/* Whether the build may have to ask an index: starting one takes longer than all the rest. */
static bool wants_index(const char *path, const json_t *payload)
{
	static const char *const files[] = {"requirements.txt", "pyproject.toml"};
	const json_t *serve = json_object_get(payload, "serve");
	_cleanup_fd_ int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), file = -1;
	_cleanup_dir_names_ struct dir_names names = {0};
	char text[PATH_MAX];
	ssize_t n;

	if (!serve || dir < 0 || dir_names_read(dir, NAMES_MAX, &names) < 0)
		return true;
	for (unsigned i = 0; i < ARRAY_SIZE(files); i++) {
		if (faccessat(dir, files[i], F_OK, 0) == 0)
			return true;
		/* Beside a worker's main. */
		for (size_t at = 0; at < names.n; at++) {
			(void)snprintf(text, sizeof(text), "%s/%s", names.names[at], files[i]);
			if (faccessat(dir, text, F_OK, 0) == 0)
				return true;
		}
	}
	/* A binding or a module of the configuration's. */
	file = openat(dir, ctl_text(serve, "file"), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	while (file >= 0 && (n = read(file, text, sizeof(text))) > 0)
		if (memmem(text, (size_t)n, "equirement", 10))
			return true;
	return false;
}

static int begin(struct serve_command *c, const char *path, struct err *e)
{
	struct serve_build_ask ask = {.project = c->project,
				      .keep_fd = -1,
				      .progress = build_progress,
				      .done = built,
				      .arg = c};
	_cleanup_free_ char *dir = NULL;
	int r = read_path(c, path, &dir, &ask.payload, e);

	if (r == 0)
		r = kv_open(c->kv_path ? c->kv_path : ":memory:", &c->kv, e);
	if (r == 0)
		r = serve_http_new(c->loop, &c->http, e);
	ask.dir = dir;
	ask.index = r == 0 && wants_index(dir, ask.payload);
	if (r == 0)
		r = serve_build_begin(c->ctl, c->loop, &ask, &c->build, e);
	if (r < 0)
		json_decref(ask.payload);
	return r;
}

static void command_clear(struct serve_command *c)
{
	struct overrides *const all[] = {&c->sockets, &c->disks, &c->externals};

	serve_http_free(c->http);
	while (!LIST_EMPTY(&c->services))
		service_free(LIST_FIRST(&c->services));
	for (unsigned i = 0; i < c->n_listeners; i++) {
		const char *url = c->listeners[i].url;

		if (url && strncmp(url, "unix:", 5) == 0)
			(void)unlink(url + 5);
		util_close_fd(&c->listeners[i].fd);
		free(c->listeners[i].name);
		free(c->listeners[i].url);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		for (unsigned n = 0; n < all[i]->n; n++)
			free(all[i]->list[n].name);
	kv_close(c->kv);
	(void)sd_event_unref(c->loop);
}

int ctl_serve(struct ctl *ctl, int argc, char **argv)
{
	struct serve_command c = {
		.ctl = ctl, .project = "default", .began_ns = util_monotonic_ns()};
	const char *path = ".", *traced = getenv("PYTHON_TRACE");
	struct rlimit files;
	struct err e = {0};
	int r;

	if (ctl_asks_help(argc, argv)) {
		fputs(serve_help, stdout);
		return ctl_flush(0);
	}
	c.trace = traced && *traced && strcmp(traced, "0") != 0;
	r = read_options(&c, &path, argc, argv);
	if (r)
		return r;
	/* Each connection of a client's takes two descriptors. */
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if (sd_event_new(&c.loop) < 0 || watch_signals(&c) < 0)
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "cannot make a loop");
	else if (begin(&c, path, &e) == 0)
		(void)sd_event_loop(c.loop);
	if (e.code)
		c.status = ctl_fail(&e);
	/* Threads that copy logs may be in a write that nobody reads. */
	(void)fflush(stdout);
	r = c.status;
	if (!c.ending || has_runs(&c))
		_exit(r);
	command_clear(&c);
	return ctl_flush(r);
}
