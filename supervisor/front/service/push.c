// SPDX-License-Identifier: Apache-2.0
/*
 * A push: from a folder with a dotcloud.yml to services that run.
 *
 *	read	a run of the project's own reads the file, and says which services there are
 *	build	for each of them a run, in the service's own image, over what its last build has made; it
 *		asks for the folder that was sent, a piece at a time, and sends a manifest and a package
 *	start	as many new replicas of each service as are wanted (roll.c); when those of all services are
 *		ready, all of them switch
 *
 * A step that fails ends it, and what served before goes on. The client hears of each step, and of what
 * the build prints, by a socket that it sends along. A client that goes away ends nothing: whoever
 * presses Ctrl-C has a push that goes on.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spec/job.h"
#include "supervisor/front/base/metric.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/service/service.h"
#include "supervisor/front/web/deploy.h"

#define WANTED_BY "service-build"
#define ENTRY "_sandboxd_push.build:main"
/* The operator's, for what pip installs, whatever policies the project may name. */
#define POLICY_BUILD "build"
#define READ_TIMEOUT_S 60u
#define BUILD_TIMEOUT_S 960u /* a build ends itself after 15 minutes, and says at which step */
#define BODY_MAX (1u << 20)
#define SOURCE_PIECE (256u << 10)
#define PACKAGE_FRAME (64u << 20) /* what a tar has beside the bytes of its files, at most */
#define PUSHES_MAX 2u		  /* of a project, at a time */
#define ITEMS_MAX 32u

enum push_step { PUSH_READ = 0, PUSH_BUILD, PUSH_START, PUSH_OVER };

static const char *const step_names[] = {"read", "build", "start", "over"};

/* One of the services of the file. */
struct push_item {
	struct service_push *push;
	char name[SERVICE_NAME_MAX + 1], image[64];
	json_t *plan;	/* owned: what its build is told */
	char *manifest; /* owned: what its build has made */
	int package_fd; /* an unlinked file with the package; -1 */
	uint64_t package_bytes;
	bool ready;    /* its new replicas are, and wait for those of the others */
	bool over;     /* its roll is */
	json_t *reply; /* owned: of its roll; NULL: it has failed, or is not over */
};

struct service_push {
	LIST_ENTRY(service_push) next;
	struct front *f;
	struct project *project; /* the push ends before that is freed */
	struct service_push_ask ask;
	enum push_step step;
	uint64_t began_ns; /* CLOCK_MONOTONIC: the step */
	struct push_item items[ITEMS_MAX];
	unsigned n_items, at;	   /* at: that is built */
	char run[TASK_ID_LEN + 1]; /* "": none is under way */
	char log[TASK_ID_LEN + 1]; /* the last one, whose log says what an error leaves out */
	int serve_fd;		   /* the run's end until it is started; -1 */
	struct channel channel;
	off_t sent;	   /* of the folder's archive, to this run */
	json_t *warnings;  /* owned: of the file */
	json_t *others;	   /* owned: services of the file that are not run here */
	struct err failed; /* of a roll, until it is told; code 0: none */
	struct timer again, free_later;
};

static void push_next(struct service_push *x);

void service_push_ask_clear(struct service_push_ask *a, json_t *reply, const struct err *error)
{
	if (a->waiter && (reply || error)) {
		waiter_end(a->waiter, reply, error);
	} else {
		json_decref(reply);
		if (a->waiter)
			waiter_free(a->waiter);
	}
	util_close_fd(&a->progress_fd);
	util_close_fd(&a->index_fd);
	util_close_fd(&a->archive_fd);
	json_decref(a->index);
	free(a->text);
	*a = SERVICE_PUSH_ASK_NONE;
}

/* The run that is under way ends, and nothing more is heard of it. */
static void drop_run(struct service_push *x)
{
	struct task *t = *x->run ? registry_find(x->f, x->run) : NULL;

	x->run[0] = '\0';
	channel_close(&x->channel);
	util_close_fd(&x->serve_fd);
	if (t)
		(void)flow_cancel(x->f, t, true);
}

static void push_free(struct service_push *x)
{
	timer_cancel(x->f, &x->again);
	timer_cancel(x->f, &x->free_later);
	service_rolls_leave(x->f, x->items, ITEMS_MAX * sizeof(x->items[0]));
	drop_run(x);
	service_push_ask_clear(&x->ask, NULL, NULL);
	for (unsigned i = 0; i < x->n_items; i++) {
		json_decref(x->items[i].plan);
		json_decref(x->items[i].reply);
		free(x->items[i].manifest);
		util_close_fd(&x->items[i].package_fd);
	}
	json_decref(x->warnings);
	json_decref(x->others);
	LIST_REMOVE(x, next);
	free(x);
}

static void free_now(struct front *f, struct timer *t)
{
	(void)f;
	push_free(OWNER(t, struct service_push, free_later));
}

/* Not at once: it may be in the middle of something of it. */
static void push_over(struct service_push *x)
{
	x->step = PUSH_OVER;
	timer_cancel(x->f, &x->again);
	timer_set(x->f, &x->free_later, util_monotonic_ns(), free_now);
}

static void push_fail(struct service_push *x, const struct err *error)
{
	struct err e = *error;

	if (x->step == PUSH_OVER)
		return;
	if (x->step == PUSH_BUILD && x->at < x->n_items)
		(void)err_wrap(&e, -1, "%s", x->items[x->at].name);
	(void)err_wrap(&e, -1, "%s", step_names[x->step]);
	x->f->services->pushed[1]++;
	service_push_ask_clear(&x->ask, NULL, &e);
	push_over(x);
}

/* start */

/* Services of the app that the file has no more: a push does not remove them. */
static json_t *gone_of(const struct service_push *x)
{
	json_t *gone = json_array();
	struct service *s;

	LIST_FOREACH(s, &x->project->service->services, next) {
		bool has = !s->stored || strcmp(s->row.app, x->ask.app) != 0;

		for (unsigned i = 0; i < x->n_items; i++)
			has |= strcmp(x->items[i].name, s->row.name) == 0;
		if (!has)
			json_array_append_new(gone, json_string(s->row.name));
	}
	return gone;
}

static void answer(struct service_push *x)
{
	json_t *all = json_array();

	for (unsigned i = 0; i < x->n_items; i++)
		json_array_append(all, x->items[i].reply);
	x->f->services->pushed[0]++;
	service_push_ask_clear(&x->ask,
			       json_pack("{s:s, s:o, s:O, s:o, s:O}", "app", x->ask.app, "services",
					 all, "warnings", x->warnings, "gone", gone_of(x), "others",
					 x->others),
			       NULL);
	push_over(x);
}

static void look(struct front *f, struct timer *t)
{
	struct service_push *x = OWNER(t, struct service_push, again);
	unsigned n_ready = 0, n_over = 0;

	if (x->step != PUSH_START) {
		push_next(x);
		return;
	}
	if (x->failed.code) {
		struct err other = {0};

		(void)err_set(&other, ERR_CONFLICT, 0, "another service of the push has failed");
		service_rolls_end(f, x->items, sizeof(x->items), &other);
		push_fail(x, &x->failed);
		return;
	}
	for (unsigned i = 0; i < x->n_items; i++) {
		n_ready += x->items[i].ready;
		n_over += x->items[i].over;
	}
	if (n_over == x->n_items)
		answer(x);
	else if (n_ready == x->n_items)
		service_rolls_switch(f, x->items, sizeof(x->items));
}

/* Not from within the roll that says something. */
static void look_soon(struct service_push *x)
{
	timer_set(x->f, &x->again, util_monotonic_ns(), look);
}

static void roll_ready(void *arg)
{
	struct push_item *item = arg;

	if (!item->ready)
		look_soon(item->push);
	item->ready = true;
}

static void roll_done(void *arg, json_t *reply, const struct err *error)
{
	struct push_item *item = arg;

	item->over = true;
	item->reply = json_incref(reply);
	json_decref(reply);
	if (error && !item->push->failed.code)
		item->push->failed = *error;
	if (item->push->step == PUSH_START)
		look_soon(item->push);
}

static void start_all(struct service_push *x)
{
	x->step = PUSH_START;
	for (unsigned i = 0; i < x->n_items && !x->failed.code; i++) {
		struct push_item *item = &x->items[i];
		struct service_ask ask = SERVICE_ASK_NONE;
		struct err e = {0};

		ask.progress_fd =
			x->ask.progress_fd < 0 ? -1 : fcntl(x->ask.progress_fd, F_DUPFD_CLOEXEC, 0);
		ask.manifest = TAKE_PTR(item->manifest);
		memcpy(ask.message, x->ask.message, sizeof(ask.message));
		(void)snprintf(ask.source, sizeof(ask.source), "push");
		ask.spooled = true;
		ask.ready = roll_ready;
		ask.done = roll_done;
		ask.arg = item;
		(void)lseek(item->package_fd, 0, SEEK_SET);
		if (service_put_begin(x->f, x->project, &ask, TAKE_FD(item->package_fd), NULL, &e) <
		    0) {
			ask.done = NULL;
			service_ask_clear(&ask, NULL, NULL);
			x->failed = e;
		}
	}
	look_soon(x);
}

/* What the runs say */

static void take_failed(struct service_push *x, const json_t *head)
{
	const char *message = json_string_value(json_object_get(head, "message"));
	const char *step = json_string_value(json_object_get(head, "step"));
	char shown[ERR_MSG_MAX], shown_step[64];
	struct err e = {0};

	(void)err_set(&e, ERR_INPUT, 0, "%s%s%s",
		      step ? util_escape(step, shown_step, sizeof(shown_step)) : "",
		      step ? ": " : "",
		      util_escape(message ? message : "it has failed", shown, sizeof(shown)));
	push_fail(x, &e);
}

static bool are_texts(const json_t *list)
{
	const json_t *item;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > 100)
		return false;
	json_array_foreach(list, i, item) if (!json_is_string(item)) return false;
	return true;
}

static int read_item(struct service_push *x, const json_t *o)
{
	struct push_item *item = &x->items[x->n_items];
	const char *name = json_string_value(json_object_get(o, "name"));
	const char *image = json_string_value(json_object_get(o, "image"));
	json_t *plan = json_object_get(o, "plan");

	if (!name || !service_is_name(name) || !image || !util_is_name(image) ||
	    strlen(image) >= sizeof(item->image) || !json_is_object(plan))
		return -EINVAL;
	for (unsigned i = 0; i < x->n_items; i++)
		if (strcmp(x->items[i].name, name) == 0)
			return -EINVAL;
	*item = (struct push_item){.push = x, .package_fd = -1, .plan = json_incref(plan)};
	(void)snprintf(item->name, sizeof(item->name), "%s", name);
	(void)snprintf(item->image, sizeof(item->image), "%s", image);
	x->n_items++;
	return 0;
}

/* The file is read: {"services": [{"name", "image", "plan"}], "warnings": [], "others": []}. */
static void take_services(struct service_push *x)
{
	json_auto_t *all = json_loadb((const char *)x->channel.in.body, x->channel.in.body_len,
				      JSON_REJECT_DUPLICATES, NULL);
	json_t *list = json_object_get(all, "services"), *o;
	struct err e = {0};
	size_t i;
	int r = 0;

	if (!json_is_array(list) || json_array_size(list) == 0 ||
	    json_array_size(list) > ITEMS_MAX || !are_texts(json_object_get(all, "warnings")) ||
	    !are_texts(json_object_get(all, "others")))
		r = -EINVAL;
	else
		json_array_foreach(list, i, o) if (r == 0) r = read_item(x, o);
	if (r < 0) {
		(void)err_set(&e, ERR_INPUT, 0,
			      "the run that reads the file does not say which "
			      "services there are");
		push_fail(x, &e);
		return;
	}
	x->warnings = json_incref(json_object_get(all, "warnings"));
	x->others = json_incref(json_object_get(all, "others"));
	x->step = PUSH_BUILD;
	look_soon(x);
}

static void take_manifest(struct service_push *x)
{
	_cleanup_service_manifest_ struct service_manifest m = {0};
	struct push_item *item = &x->items[x->at];
	struct err e = {0};

	item->manifest = strndup((const char *)x->channel.in.body, (size_t)x->channel.in.body_len);
	if (!item->manifest)
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "manifest");
	else if (item->package_fd < 0)
		(void)err_set(&e, ERR_INPUT, 0, "the build has sent no package");
	else if (service_manifest_read("manifest", item->manifest, strlen(item->manifest), &m,
				       &e) == 0 &&
		 (strcmp(m.app, x->ask.app) != 0 || strcmp(m.name, item->name) != 0))
		(void)err_set(&e, ERR_INPUT, 0, "the build has made a manifest of another service");
	if (e.code) {
		push_fail(x, &e);
		return;
	}
	x->at++;
	look_soon(x);
}

/* The next piece of the package. */
static void take_package(struct service_push *x)
{
	struct push_item *item = &x->items[x->at];
	const struct serve_in *in = &x->channel.in;
	struct err e = {0};
	int r;

	if (item->package_fd < 0)
		item->package_fd = package_spool(x->f);
	item->package_bytes += in->body_len;
	if (item->package_bytes > x->f->cfg.package_bytes_max + PACKAGE_FRAME) {
		(void)err_set(&e, ERR_LIMIT, 0, "the package has more than %llu bytes",
			      (unsigned long long)x->f->cfg.package_bytes_max);
		push_fail(x, &e);
		return;
	}
	r = item->package_fd < 0 ? item->package_fd
				 : util_write_all(item->package_fd, in->body, in->body_len);
	if (r < 0) {
		(void)err_set(&e, ERR_SYSTEM, -r, "package");
		push_fail(x, &e);
	}
}

/* The next piece of the folder that was sent; an empty one is behind the last. */
static void send_source(struct service_push *x)
{
	char *piece = malloc(SOURCE_PIECE);
	ssize_t n = piece ? pread(x->ask.archive_fd, piece, SOURCE_PIECE, x->sent) : -1;
	struct err e = {0};

	if (n < 0) {
		(void)err_set(&e, ERR_SYSTEM, errno, "the folder that was sent");
		free(piece);
		push_fail(x, &e);
		return;
	}
	x->sent += n;
	channel_send_taken(&x->channel, json_pack("{s:s}", "op", "source"), piece, (size_t)n);
}

static void push_take(struct channel *c, const char *op, json_t *head)
{
	struct service_push *x = OWNER(c, struct service_push, channel);
	const bool builds = x->step == PUSH_BUILD && x->at < x->n_items;

	/* Whoever has said all has nothing more to say. */
	if (x->step >= PUSH_START || timer_is_set(&x->again))
		return;
	if (strcmp(op, "progress") == 0)
		client_tell(x->ask.progress_fd, json_incref(head));
	else if (strcmp(op, "failed") == 0)
		take_failed(x, head);
	else if (strcmp(op, "services") == 0 && x->step == PUSH_READ)
		take_services(x);
	else if (strcmp(op, "more") == 0 && builds)
		send_source(x);
	else if (strcmp(op, "package") == 0 && builds)
		take_package(x);
	else if (strcmp(op, "manifest") == 0 && builds)
		take_manifest(x);
}

/* Its run is over, and all that it has sent was read. */
static void check_ended(struct service_push *x, const char *error)
{
	struct err e = {0};

	if (x->step >= PUSH_START || *x->run || x->channel.fd >= 0 || timer_is_set(&x->again))
		return;
	(void)err_set(&e, ERR_INPUT, 0, "%s: sandboxctl logs %s",
		      *error ? error : "it has ended without an answer", x->log);
	push_fail(x, &e);
}

static void push_channel_ended(struct channel *c, const char *why)
{
	(void)why;
	check_ended(OWNER(c, struct service_push, channel), "");
}

/* The runs */

static bool is_of(const struct task_record *rec)
{
	return strcmp(rec->wanted_by, WANTED_BY) == 0;
}

static struct service_push *of_run(struct front *f, const char *run)
{
	struct service_push *x;

	LIST_FOREACH(x, &f->services->pushes, next)
		if (strcmp(x->run, run) == 0)
			return x;
	return NULL;
}

static const char *image_of(const struct service_push *x)
{
	return x->step == PUSH_BUILD ? x->items[x->at].image : x->ask.read_image;
}

/* Those for services come first: of two with the same Python it is theirs that is chosen. */
static json_t *images_of(const struct service_push *x)
{
	json_t *all = web_images_named(x->f, x->project, SERVICE_IMAGE_SERVERS);
	json_auto_t *others = web_images(x->f, x->project);

	json_array_extend(all, others);
	return all;
}

/* The names of the variables that `service attach` has set, without what they are. */
static json_t *attached_of(const struct service_push *x)
{
	json_t *names = json_array(), *value;
	struct err e = {0};
	json_auto_t *env = service_app_env(x->f, x->project, x->ask.app, &e);
	const char *name;

	json_object_foreach(env, name, value) if (strncmp(name, "DOTCLOUD_", 9) == 0)
		json_array_append_new(names, json_string(name));
	return names;
}

/* The variables of the app are secrets, and come by the channel. */
static char *payload_of(struct service_push *x)
{
	json_auto_t *o = NULL;

	if (x->step == PUSH_READ)
		o = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s*, s:s*, s:s*}", "do", "read",
			      "app", x->ask.app, "project", x->project->name, "text", x->ask.text,
			      "images", images_of(x), "attached", attached_of(x), "python",
			      *x->ask.python ? x->ask.python : NULL, "image",
			      *x->ask.image ? x->ask.image : NULL, "policy",
			      *x->ask.policy ? x->ask.policy : NULL);
	else
		o = json_pack("{s:s, s:s, s:s, s:s, s:O, s:O*, s:b}", "do", "build", "app",
			      x->ask.app, "project", x->project->name, "image", image_of(x), "plan",
			      x->items[x->at].plan, "index", x->ask.index, "clean", x->ask.clean);
	return o ? json_dumps(o, JSON_COMPACT) : NULL;
}

static int push_job(struct front *f, struct task *t, char **ret, struct err *e)
{
	struct service_push *x = of_run(f, t->rec.id);
	struct task_spec spec = {.kind = TASK_ENTRY,
				 .source = (char *)ENTRY,
				 .has_warm = true,
				 .label = (char *)"push",
				 .limits.timeout_s = READ_TIMEOUT_S,
				 .limits_set = LIMIT_BIT(LIMIT_TIMEOUT),
				 .limits_lowered = LIMIT_BIT(LIMIT_TIMEOUT)};
	int r;

	if (!x)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this push any more");
	if (x->step == PUSH_BUILD) {
		spec.policy = (char *)POLICY_BUILD;
		spec.limits.timeout_s = BUILD_TIMEOUT_S;
		/* A task that has a socket as its stdin starts cold. */
		spec.start = START_COLD;
	}
	r = project_may_name(x->project, NULL, image_of(x), e);
	if (r == 0)
		r = source_fill(f, t, &spec, image_of(x), e);
	if (r < 0)
		return r;
	spec.payload = payload_of(x);
	if (!spec.payload)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot make the push's job");
	r = job_write(&spec, ret, e);
	free(spec.payload);
	return r;
}

static int push_serve(struct front *f, struct task *t, int *ret, struct err *e)
{
	struct service_push *x = of_run(f, t->rec.id);

	if (!x || x->serve_fd < 0)
		return err_set(e, ERR_NOT_FOUND, 0, "nobody waits for this push any more");
	*ret = TAKE_FD(x->serve_fd);
	return 0;
}

static void run_over(struct front *f, struct task *t)
{
	struct service_push *x = of_run(f, t->rec.id);

	if (!x)
		return;
	x->run[0] = '\0';
	/* It was not started: nothing will come. */
	if (x->serve_fd >= 0) {
		util_close_fd(&x->serve_fd);
		channel_close(&x->channel);
	}
	check_ended(x, t->rec.error);
}

static void add_urls(const struct service_push *x, json_t *all)
{
	for (unsigned i = 0; i < x->n_items; i++) {
		char label[SERVICE_NAME_MAX + SERVICE_APP_MAX + 2], url[EDGE_URL_MAX] = "";

		if (!json_is_true(json_object_get(x->items[i].plan, "http")))
			continue;
		(void)snprintf(label, sizeof(label), "%s-%s", x->items[i].name, x->ask.app);
		for (char *c = label; *c; c++)
			if (*c == '_')
				*c = '-';
		edge_url(x->f, label, x->project->name, url, sizeof(url));
		json_array_append_new(
			all, json_pack("{s:s, s:s}", "name", x->items[i].name, "url", url));
	}
}

/* Where the services of the file answer, also those that are not there yet. */
static json_t *urls_of(const struct service_push *x)
{
	json_t *all = json_array();

	add_urls(x, all);
	return all;
}

void service_push_peers(struct front *f, const struct service *s, json_t *all)
{
	const struct service_push *x;

	LIST_FOREACH(x, &f->services->pushes, next)
		if (x->project == s->project && x->step == PUSH_START &&
		    strcmp(x->ask.app, s->row.app) == 0)
			add_urls(x, all);
}

/* What the last build of the service has made, unless that is not wanted. */
static bool last_package(const struct service_push *x, uint8_t ret[32])
{
	const struct service_version *v;
	struct service *s = NULL;

	memset(ret, 0, 32);
	if (x->step == PUSH_BUILD && !x->ask.clean)
		s = service_find(x->project, x->ask.app, x->items[x->at].name);
	if (!s)
		return false;
	LIST_FOREACH(v, &s->versions, next)
		if (v->stored && strcmp(v->row.source, "push") == 0) {
			memcpy(ret, v->row.package, 32);
			return true;
		}
	return false;
}

static int start_run(struct service_push *x, struct err *e)
{
	struct front *f = x->f;
	json_t *env;
	uint8_t package[32];
	struct task *t;
	int pair[2], r;
	bool has_last;

	drop_run(x);
	x->sent = 0;
	has_last = last_package(x, package);
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
	x->serve_fd = pair[0];
	(void)fcntl(pair[1], F_SETFL, O_NONBLOCK);
	r = channel_open(f, &x->channel, pair[1], BODY_MAX);
	util_new_id(x->run);
	memcpy(x->log, x->run, sizeof(x->log));
	t = r < 0 ? NULL : run_new(x->project, x->run, WANTED_BY, package);
	if (!t) {
		x->run[0] = '\0';
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin the push");
	}
	t->rec.has_package = has_last;
	(void)snprintf(t->rec.label, sizeof(t->rec.label), "push");
	/* The next build may ask the same index. */
	if (x->step == PUSH_BUILD && x->ask.index_fd >= 0)
		t->input_fd = fcntl(x->ask.index_fd, F_DUPFD_CLOEXEC, 0);
	if (flow_accept(f, t) < 0) {
		x->run[0] = '\0';
		registry_free_task(f, t);
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin the push");
	}
	if (x->step == PUSH_BUILD) {
		env = service_app_env(f, x->project, x->ask.app, e);
		if (!env)
			return -EIO;
		channel_send(&x->channel,
			     json_pack("{s:s, s:o, s:o}", "op", "begin", "environment", env,
				       "services", urls_of(x)),
			     NULL, 0);
	}
	return 0;
}

static void push_next(struct service_push *x)
{
	struct err e = {0};

	if (x->step == PUSH_BUILD && x->at == x->n_items) {
		drop_run(x);
		start_all(x);
		return;
	}
	if (start_run(x, &e) < 0)
		push_fail(x, &e);
}

int service_push_begin(struct front *f, struct project *p, struct service_push_ask *ask,
		       struct err *e)
{
	struct service_push *x;
	struct stat st;
	unsigned n = 0;

	LIST_FOREACH(x, &f->services->pushes, next) {
		n += x->project == p;
		if (x->project == p && x->step != PUSH_OVER && strcmp(x->ask.app, ask->app) == 0)
			return err_set(e, ERR_CONFLICT, 0,
				       "another push of %s is under way: try again when it is over",
				       ask->app);
	}
	if (n >= PUSHES_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "%u pushes of this project are under way: try again later", n);
	/* It is read in turns of all else: from memory, or a disk. */
	if (fstat(ask->archive_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return err_set(e, ERR_INPUT, 0, "the folder must come as a file");
	if ((uint64_t)st.st_size > f->cfg.package_bytes_max + PACKAGE_FRAME)
		return err_set(e, ERR_LIMIT, 0, "the folder has more than %llu bytes",
			       (unsigned long long)f->cfg.package_bytes_max);
	x = calloc(1, sizeof(*x));
	if (!x)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a push");
	x->f = f;
	x->project = p;
	x->ask = *ask;
	*ask = SERVICE_PUSH_ASK_NONE;
	x->began_ns = util_monotonic_ns();
	x->serve_fd = -1;
	x->channel = (struct channel){.fd = -1, .take = push_take, .ended = push_channel_ended};
	LIST_INSERT_HEAD(&f->services->pushes, x, next);
	push_next(x);
	return 0;
}

void service_pushes_clear(struct front *f, const struct project *p)
{
	struct service_push *x, *next;
	struct err e = {0};

	(void)turn_over(&e);
	for (x = LIST_FIRST(&f->services->pushes); x; x = next) {
		next = LIST_NEXT(x, next);
		if (p && x->project != p)
			continue;
		service_push_ask_clear(&x->ask, NULL, &e);
		push_free(x);
	}
}

static const struct run_source push_source = {
	.name = WANTED_BY,
	.flags = RUN_SERVES,
	.is_of = is_of,
	.job = push_job,
	.serve = push_serve,
	.ended = run_over,
};

static void metrics(struct front *f, FILE *out)
{
	static const char name[] = "service_pushes_total";

	metric_head(out, name, "counter", "Pushes, by outcome; since this front started.");
	(void)fprintf(out,
		      "sandboxd_%s{outcome=\"ok\"} %llu\nsandboxd_%s{outcome=\"failed\"} %llu\n",
		      name, (unsigned long long)f->services->pushed[0], name,
		      (unsigned long long)f->services->pushed[1]);
}

/* What is under way when the front ends. */
static void clear(struct front *f)
{
	service_pushes_clear(f, NULL);
}

const struct capability service_push_capability = {
	.name = "service pushes", .source = &push_source, .metrics = metrics, .clear = clear};
