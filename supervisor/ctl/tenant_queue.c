// SPDX-License-Identifier: Apache-2.0
/* The verbs by which a tenant asks for tasks: queue, schedule, update, retry. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "spec/task_spec.h"
#include "supervisor/ctl/tenant_verb.h"

const char tenant_queue_help[] =
	"usage: sandboxctl queue NAME [-p PAYLOAD | -f FILE] [OPTION]...\n\n"
	"Queues a task of the worker NAME and prints its id, once the task is durable.\n\n"
	"  -p, --payload TEXT       what the task gets; JSON as a rule\n"
	"  -f, --payload-file FILE  the same from a file; - is stdin\n"
	"      --priority N         0, 1 or 2: higher ones first (default: the worker's)\n"
	"      --timeout SECONDS    at most 3600, the default\n"
	"      --delay SECONDS      not before that\n"
	"      --label TEXT, --cluster TEXT\n"
	"      --wait               follow its log from the first line, and its retries; exit as\n"
	"                           the last attempt does; with --json, print that one and\n"
	"                           no log. Ctrl-C leaves the task alone\n" TENANT_HELP;
const char tenant_schedule_help[] =
	"usage: sandboxctl schedule NAME [-p PAYLOAD | -f FILE] [OPTION]...\n"
	"       sandboxctl update SCHEDULE [-p PAYLOAD | -f FILE] [OPTION]...\n\n"
	"Queues tasks of the worker NAME by the clock; prints the schedule's id. update changes\n"
	"what it names and leaves the rest; --cron takes the place of --run-every, and the other\n"
	"way round. Without either it is one task. 'sandboxctl cancel-schedule' ends one.\n\n"
	"      --cron LINE          as in crontab(5): \"*/5 * * * mon-fri\"; with six fields the\n"
	"                           first is seconds\n"
	"      --timezone ZONE      of --cron: Europe/Berlin (default: UTC)\n"
	"      --run-every SECONDS  instead of --cron\n"
	"      --run-times N        no more than that\n"
	"      --start-at TIME, --end-at TIME\n"
	"                           such as 2026-01-31T12:00:00Z\n"
	"  -p, -f, --priority, --timeout, --delay, --label, --cluster: see 'queue'\n" TENANT_HELP;
const char tenant_retry_help[] =
	"usage: sandboxctl retry TASK [--delay SECONDS] [--wait]\n\n"
	"Queues a task of the same worker and payload and prints its id.\n\n"
	"      --delay SECONDS      not before that\n"
	"      --wait               as of 'queue'\n" TENANT_HELP;

#define RUNS_MAX 1000000000LL

/* Each option sets one member of the request. */
static const struct field {
	const char *option, *key;
	long long max; /* a number from 0 to this; 0: the member is text */
	bool schedule; /* only for a schedule */
} fields[] = {
	{"priority", "priority", 2, false},
	{"timeout", "timeout", 3600, false},
	{"delay", "delay", 604800, false},
	{"label", "label", 0, false},
	{"cluster", "cluster", 0, false},
	{"cron", "cron", 0, true},
	{"timezone", "timezone", 0, true},
	{"run-every", "run_every", RUNS_MAX, true},
	{"run-times", "run_times", RUNS_MAX, true},
	{"start-at", "start_at", 0, true},
	{"end-at", "end_at", 0, true},
};

#define FIELD(N, NAME)                                                                             \
	{                                                                                          \
		NAME, required_argument, NULL, 256 + (N)                                           \
	}
enum { OPT_FIELD = 256, OPT_WAIT = OPT_FIELD + (int)ARRAY_SIZE(fields) };
static const struct option options[] = {FIELD(0, "priority"),
					FIELD(1, "timeout"),
					FIELD(2, "delay"),
					FIELD(3, "label"),
					FIELD(4, "cluster"),
					FIELD(5, "cron"),
					FIELD(6, "timezone"),
					FIELD(7, "run-every"),
					FIELD(8, "run-times"),
					FIELD(9, "start-at"),
					FIELD(10, "end-at"),
					{"wait", no_argument, NULL, OPT_WAIT},
					{"name", required_argument, NULL, 'n'},
					{"payload", required_argument, NULL, 'p'},
					{"payload-file", required_argument, NULL, 'f'},
					TENANT_OPTIONS,
					{0}};

/* What the command line asks for. */
struct ask {
	json_t *body; /* owned */
	const char *name;
	bool wait;
};

static int set_text(json_t *body, const char *key, const char *what, const char *text, size_t len,
		    struct err *e)
{
	json_t *value = json_stringn(text, len);

	if (!value)
		return err_set(e, ERR_INPUT, 0, "%s: must be UTF-8 text", what);
	(void)json_object_set_new(body, key, value);
	return 0;
}

static int set_payload_file(json_t *body, const char *path, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = ctl_read_file(path, TASK_PAYLOAD_MAX, true, &text, &len, e);

	if (r < 0)
		return err_wrap(e, r, "--payload-file");
	if (memchr(text, '\0', len))
		return err_set(e, ERR_INPUT, 0, "--payload-file: %s: has a NUL", path);
	return set_text(body, "payload", "--payload-file", text, len, e);
}

static int set_field(json_t *body, const struct field *f, const char *value, struct err *e)
{
	char what[32];
	long long n;
	int r;

	(void)snprintf(what, sizeof(what), "--%s", f->option);
	if (!f->max)
		return set_text(body, f->key, what, value, strlen(value), e);
	r = tenant_number(what, value, 0, f->max, &n, e);
	if (r == 0)
		(void)json_object_set_new(body, f->key, json_integer(n));
	return r;
}

/* Reads the options. 0, or the exit status. schedule: the request is about a schedule. */
static int read_ask(struct tenant *tenant, int argc, char **argv, bool schedule, const char *what,
		    struct ask *ask)
{
	struct err e = {0};
	int c, r = 0;

	ask->body = json_object();
	while (r == 0 && (c = getopt_long(argc, argv, "n:p:f:e:", options, NULL)) != -1) {
		const struct field *f = NULL;

		if (c >= OPT_FIELD && c < OPT_WAIT)
			f = &fields[c - OPT_FIELD];
		if (c == '?')
			return ctl_bad_option(tenant->verb, argv);
		if ((f && f->schedule && !schedule) || (c == OPT_WAIT && schedule))
			return ctl_usage(tenant->verb, "there is no option --%s here",
					 f ? f->option : "wait");
		if (tenant_option(tenant, c, optarg))
			continue;
		if (f)
			r = set_field(ask->body, f, optarg, &e);
		else if ((c == 'p' || c == 'f') && json_object_get(ask->body, "payload"))
			r = err_set(&e, ERR_USAGE, 0, "--payload, --payload-file: give one, once");
		else if (c == 'p')
			r = set_text(ask->body, "payload", "--payload", optarg, strlen(optarg), &e);
		else if (c == 'f')
			r = set_payload_file(ask->body, optarg, &e);
		else if (c == 'n')
			ask->name = optarg;
		ask->wait |= c == OPT_WAIT;
	}
	if (r < 0)
		return ctl_fail(&e);
	r = tenant_words(tenant->verb, argc, argv, ask->name ? 0 : 1, ask->name ? 0 : 1, what);
	if (r == 0 && !ask->name)
		ask->name = argv[optind];
	return r;
}

/* Reads the id in {"tasks": [{"id": ...}]}. */
static int take_id(const json_t *reply, const char *list, char id[TASK_ID_LEN + 1], struct err *e)
{
	const char *text = ctl_text(json_array_get(json_object_get(reply, list), 0), "id");

	if (!util_is_id(text))
		return err_set(e, ERR_INTERNAL, 0, "the answer names no id in \"%s\"", list);
	(void)snprintf(id, TASK_ID_LEN + 1, "%s", text);
	return 0;
}

static int print_id(const struct tenant *tenant, const char *id)
{
	json_auto_t *doc = NULL;

	if (tenant->ctl->json) {
		doc = json_pack("{s:s}", "id", id);
		return ctl_print_json(doc);
	}
	puts(id);
	return ctl_flush(0);
}

/* Called when a task was queued: prints that, or follows the task to its end. */
static int queued(struct tenant *tenant, const char *id, bool wait)
{
	json_auto_t *task = NULL;
	struct err e = {0};
	int r;

	if (!wait) {
		r = print_id(tenant, id);
		if (r == 0 && !tenant->ctl->json)
			ctl_say("queued ('sandboxctl log -f %s' follows it, 'sandboxctl status %s' "
				"tells how it is)",
				id, id);
		return r;
	}
	ctl_say("queued as %s", id);
	r = tenant_follow(tenant, id, true, &task, &e);
	if (r == -EPIPE)
		return 128 + SIGPIPE;
	if (r < 0)
		return ctl_fail(&e);
	if (tenant->ctl->json)
		(void)ctl_print_json(task);
	tenant_say_end(task);
	return ctl_flush(ctl_task_exit_status(task));
}

/* Asks the server for one thing of list, "tasks" or "schedules", and reads its id. Returns 0, or
 * the exit status. */
static int ask_one(struct tenant *tenant, int argc, char **argv, const char *list, struct ask *ask,
		   char *id)
{
	json_auto_t *reply = NULL;
	struct err e = {0};
	char path[16];
	int r = read_ask(tenant, argc, argv, strcmp(list, "schedules") == 0, "worker", ask);

	(void)snprintf(path, sizeof(path), "/%s", list);
	if (r == 0 && set_text(ask->body, "code_name", "the worker's name", ask->name,
			       strlen(ask->name), &e) < 0)
		r = ctl_fail(&e);
	if (r) {
		json_decref(ask->body);
		return r;
	}
	r = tenant_begin(tenant, &e);
	if (r < 0)
		json_decref(ask->body);
	else
		r = tenant_call(tenant, "POST", path, json_pack("{s:[o]}", list, ask->body), &reply,
				&e);
	if (r == 0)
		r = take_id(reply, list, id, &e);
	return r < 0 ? ctl_fail(&e) : 0;
}

int tenant_queue(struct tenant *tenant, int argc, char **argv)
{
	struct ask ask = {0};
	char id[TASK_ID_LEN + 1];
	int r = ask_one(tenant, argc, argv, "tasks", &ask, id);

	return r ? r : queued(tenant, id, ask.wait);
}

int tenant_schedule(struct tenant *tenant, int argc, char **argv)
{
	struct ask ask = {0};
	char id[TASK_ID_LEN + 1];
	int r = ask_one(tenant, argc, argv, "schedules", &ask, id);

	if (r)
		return r;
	r = print_id(tenant, id);
	if (r == 0 && !tenant->ctl->json)
		ctl_say("scheduled ('sandboxctl schedules' tells when it comes next, 'sandboxctl "
			"update %s' changes it, 'sandboxctl cancel-schedule %s' ends it)",
			id, id);
	return r;
}

int tenant_update(struct tenant *tenant, int argc, char **argv)
{
	struct ask ask = {0};
	json_auto_t *reply = NULL;
	struct err e = {0};
	char path[64];
	int r = read_ask(tenant, argc, argv, true, "schedule", &ask);

	if (r) {
		json_decref(ask.body);
		return r;
	}
	r = tenant_check_id(ask.name, "schedule's id", &e);
	if (r == 0 && json_object_size(ask.body) == 0)
		r = err_set(&e, ERR_USAGE, 0, "update: names nothing to change");
	if (r == 0)
		r = tenant_begin(tenant, &e);
	(void)snprintf(path, sizeof(path), "/schedules/%.24s", ask.name);
	if (r == 0)
		r = tenant_call(tenant, "PUT", path, json_incref(ask.body), &reply, &e);
	json_decref(ask.body);
	if (r < 0)
		return ctl_fail(&e);
	return tenant->ctl->json ? ctl_print_json(reply) : tenant_print_msg(reply);
}

int tenant_retry(struct tenant *tenant, int argc, char **argv)
{
	struct ask ask = {0};
	json_auto_t *reply = NULL;
	char path[64], id[TASK_ID_LEN + 1];
	struct err e = {0};
	int r = read_ask(tenant, argc, argv, false, "task", &ask);

	if (r) {
		json_decref(ask.body);
		return r;
	}
	r = tenant_check_id(ask.name, "task's id", &e);
	if (r == 0 && json_object_size(ask.body) > (json_object_get(ask.body, "delay") ? 1 : 0))
		r = err_set(&e, ERR_USAGE, 0,
			    "retry: takes only --delay and --wait; all else is the task's own "
			    "('sandboxctl queue' queues another)");
	if (r == 0)
		r = tenant_begin(tenant, &e);
	(void)snprintf(path, sizeof(path), "/tasks/%.24s/retry", ask.name);
	if (r == 0)
		r = tenant_call(tenant, "POST", path, json_incref(ask.body), &reply, &e);
	json_decref(ask.body);
	if (r == 0)
		r = take_id(reply, "tasks", id, &e);
	return r < 0 ? ctl_fail(&e) : queued(tenant, id, ask.wait);
}
