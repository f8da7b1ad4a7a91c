// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl run: sends one task, copies its output, and ends as the task ends.
 *
 * There are two threads: this one has the control connection and the signals, the other one copies
 * the log. A write to a pipe or terminal from which nobody reads may block for any time, and Ctrl-C
 * must work all the same.
 */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/stat.h>

#include "lib/json_raw.h"
#include "spec/task_spec.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/pack.h"
#include "supervisor/ctl/run.h"

/* The status for a script that does not exist, as of a shell; also the runtime's, where a folder
 * was sent. */
#define EXIT_NO_SCRIPT 127
#define PACK_NO_SCRIPT (-ENOEXEC)

const char ctl_run_help[] =
	"usage: sandboxctl run [OPTION]... IMAGE TASK.json|- [OPTION]... [-- ARG...]\n"
	"       sandboxctl run [OPTION]... IMAGE --code SOURCE [-- ARG...]\n\n"
	"      --code SOURCE     run this Python instead of a task.json\n"
	"      --start MODE      auto, cold, restore or fork\n"
	"      --payload JSON    the task's payload; @FILE reads it from a file\n"
	"      --policy NAME     the policy that confines it\n"
	"      --project NAME    the project that it is a task of, by name or id (default)\n"
	"      --label TEXT      shown by ps and inspect\n"
	"  -e, --env NAME=VALUE  one more environment variable; -e NAME takes this one's value\n"
	"      --timeout SECONDS, --memory SIZE, --disk SIZE, --cpus N, --pids N\n"
	"                        limits; a policy's maxima hold\n"
	"  -d, --detach          print the task's id and return at once\n"
	"      --json            print the ended task as JSON instead of its output\n"
	"  -- ARG...             the task's arguments, in place of task.json's\n\n"
	"Options go over what task.json says. \"dir\" is a folder beneath task.json's own and is\n"
	"sent along, but for virtual environments, links out of it, FIFOs, sockets and devices;\n"
	"without it only what \"exec\" names is: a script, or a folder with a __main__.py.\n\n"
	"The task's stdout goes to stdout and its stderr to stderr while it runs. Ctrl-C (or\n"
	"TERM) ends the task with TERM; again, or after 10 s, with KILL. When nobody reads the\n"
	"output any more the task is ended too.\n\n"
	"Exit status: the task's own; 128+n for signal n; 124 when its time was up; 137 when it\n"
	"was out of memory; 126 and 127 when its script cannot be run or is not there; 125 when\n"
	"sandboxctl or the daemon failed.\n";

/* An option that sets one member of the task; section NULL: a member of the task itself. */
static const struct member {
	const char *option, *section, *key;
	enum { MEMBER_TEXT, MEMBER_NUMBER } type;
} members[] = {
	{"start", NULL, "start", MEMBER_TEXT},
	{"policy", NULL, "policy", MEMBER_TEXT},
	{"label", NULL, "label", MEMBER_TEXT},
	{"timeout", "limits", "timeout", MEMBER_NUMBER},
	{"memory", "limits", "memory", MEMBER_TEXT},
	{"disk", "limits", "disk", MEMBER_TEXT},
	{"cpus", "limits", "cpus", MEMBER_NUMBER},
	{"pids", "limits", "pids", MEMBER_NUMBER},
};

/* getopt_long's values for options without a letter; those of the members come first. */
enum {
	OPT_MEMBER = 256,
	OPT_CODE = OPT_MEMBER + (int)ARRAY_SIZE(members),
	OPT_PAYLOAD,
	OPT_PROJECT
};

static const struct option options[] = {{"start", required_argument, NULL, OPT_MEMBER},
					{"policy", required_argument, NULL, OPT_MEMBER + 1},
					{"label", required_argument, NULL, OPT_MEMBER + 2},
					{"timeout", required_argument, NULL, OPT_MEMBER + 3},
					{"memory", required_argument, NULL, OPT_MEMBER + 4},
					{"disk", required_argument, NULL, OPT_MEMBER + 5},
					{"cpus", required_argument, NULL, OPT_MEMBER + 6},
					{"pids", required_argument, NULL, OPT_MEMBER + 7},
					{"code", required_argument, NULL, OPT_CODE},
					{"payload", required_argument, NULL, OPT_PAYLOAD},
					{"project", required_argument, NULL, OPT_PROJECT},
					{"env", required_argument, NULL, 'e'},
					{"detach", no_argument, NULL, 'd'},
					{0}};

void run_spec_clear(struct run_spec *spec)
{
	json_decref(spec->task);
	spec->task = NULL;
	util_close_fd(&spec->package_fd);
}

static int set_payload(json_t *task, const char *arg, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = strlen(arg);
	const char *json;
	size_t at = 0, from;
	int r;

	if (*arg == '@') {
		r = ctl_read_file(arg + 1, TASK_PAYLOAD_MAX, false, &text, &len, e);
		if (r < 0)
			return err_wrap(e, r, "--payload");
	}
	/* Blanks around the JSON do not belong to it. */
	json = text ? text : arg;
	from = strspn(json, " \t\r\n");
	at = from;
	r = json_raw_value(json, len, &at);
	if (r < 0 || at + strspn(json + at, " \t\r\n") != len)
		return err_set(e, ERR_INPUT, 0, "--payload: is not JSON from byte %zu on", at);
	(void)json_object_set_new(task, "payload", json_stringn(json + from, at - from));
	return 0;
}

/* A number, or else the word itself, which the task's parser then refuses by the field's name. */
static json_t *number_or_text(const char *arg)
{
	json_t *value = json_loads(arg, JSON_DECODE_ANY, NULL);

	if (json_is_number(value))
		return value;
	json_decref(value);
	return json_string(arg);
}

static json_t *section_of(json_t *task, const char *name)
{
	json_t *section = json_object_get(task, name);

	if (!section) {
		section = json_object();
		(void)json_object_set_new(task, name, section);
	}
	return section;
}

static int set_env(json_t *task, const char *arg, struct err *e)
{
	const char *equals = strchr(arg, '=');
	_cleanup_free_ char *name = equals ? strndup(arg, (size_t)(equals - arg)) : strdup(arg);
	const char *value = equals ? equals + 1 : getenv(arg);
	json_t *text = value ? json_string(value) : NULL, *env;

	if (!*arg || equals == arg)
		return err_set(e, ERR_INPUT, 0, "--env '%s': names no variable", arg);
	if (!value)
		return 0; /* as in other tools, a variable that is not set is not passed on */
	/* When "env" is not an object, the task's parser will say so. */
	env = section_of(task, "env");
	if (!name || !text || (json_object_set_new(env, name, text) < 0 && json_is_object(env)))
		return err_set(e, ERR_INPUT, 0, "--env %s: is not UTF-8 text", name ? name : "");
	return 0;
}

static int set_member(json_t *task, const struct member *m, const char *arg, struct err *e)
{
	json_t *value = m->type == MEMBER_NUMBER ? number_or_text(arg) : json_string(arg);

	if (!value)
		return err_set(e, ERR_INPUT, 0, "--%s: is not UTF-8 text", m->option);
	(void)json_object_set_new(m->section ? section_of(task, m->section) : task, m->key, value);
	return 0;
}

/* If an option has set the member that an error is about, makes the error name the option in place
 * of task.json. */
static void run_spec_blame(const struct run_spec *spec, struct err *e)
{
	char field[64];

	for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
		const struct member *m = &members[i];
		struct err said = *e;
		size_t n;

		n = (size_t)snprintf(field, sizeof(field),
				     "task.json: %s%s%s: ", m->section ? m->section : "",
				     m->section ? "." : "", m->key);
		if (!(spec->options & (1u << i)) || strncmp(said.msg, field, n) != 0)
			continue;
		(void)snprintf(e->msg, sizeof(e->msg), "--%s: %s", m->option, said.msg + n);
		return;
	}
}

static int set_args(json_t *task, int argc, char **argv, struct err *e)
{
	json_t *args = json_array();

	for (int i = 0; i < argc; i++)
		if (json_array_append_new(args, json_string(argv[i])) < 0) {
			json_decref(args);
			return err_set(e, ERR_INPUT, 0, "argument %d is not UTF-8 text", i + 1);
		}
	(void)json_object_set_new(task, "args", args);
	return 0;
}

/* Opens the folder to which paths in task.json are relative. */
static int open_base(const char *file, struct err *e)
{
	_cleanup_free_ char *copy = NULL;
	const char *base = ".";
	char *slash;
	int fd;

	if (file && strcmp(file, "-") != 0) {
		copy = strdup(file);
		slash = copy ? strrchr(copy, '/') : NULL;
		if (slash) {
			slash[slash == copy ? 1 : 0] = '\0';
			base = copy;
		}
	}
	fd = open(base, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return fd < 0 ? err_set(e, ERR_INPUT, errno, "%s", base) : fd;
}

static void say_left_out(const struct pack_left_out *l)
{
	if (*l->names)
		ctl_say("not sent along: %s%s", l->names, l->more ? " and more" : "");
}

/* file: task.json's, or NULL. */
static int pack_task(struct run_spec *spec, const char *file, struct err *e)
{
	_cleanup_task_spec_ struct task_spec parsed = {0};
	_cleanup_fd_ int base = -1, dir = -1;
	struct pack_left_out left_out;
	int r = task_spec_from_json(spec->task, &parsed, e);

	/* The daemon checks the task itself; this finds what is wrong before files are read. */
	if (r < 0)
		return r;
	if (!parsed.dir && parsed.kind != TASK_EXEC)
		return 0;
	if (parsed.dir && parsed.dir[0] == '/')
		return err_set(e, ERR_INPUT, 0,
			       "task.json: dir: must be a path relative to task.json's folder");
	base = open_base(file, e);
	if (base < 0)
		return base;
	if (!parsed.dir) {
		r = pack_exec(base, parsed.source, &spec->package_fd, &left_out, e);
		if (r == -EXDEV)
			return err_set(e, ERR_INPUT, 0,
				       "task.json: exec: %s leads out of task.json's folder",
				       parsed.source);
		if (r < 0)
			return err_wrap(e, r == -ENOENT ? PACK_NO_SCRIPT : r, "task.json: exec");
		say_left_out(&left_out);
		return 0;
	}
	dir = ctl_open_beneath(base, parsed.dir, O_RDONLY | O_DIRECTORY);
	if (dir < 0 && errno == EXDEV)
		return err_set(e, ERR_INPUT, 0,
			       "task.json: dir: %s leads out of task.json's folder: move task.json "
			       "to a folder that holds it",
			       parsed.dir);
	if (dir < 0)
		return err_set(e, ERR_INPUT, errno, "task.json: dir: %s", parsed.dir);
	r = pack_folder(dir, parsed.dir, &spec->package_fd, &left_out, e);
	if (r == 0)
		say_left_out(&left_out);
	return r;
}

/* Two passes over argv: the first finds out what there is, the second lays the options with values
 * over task.json, once that has been read. */
int run_spec_read(struct run_spec *ret, int argc, char **argv)
{
	_cleanup_free_ char *text = NULL;
	const char *code = NULL, *file = NULL;
	char **args = NULL; /* the words after "--", */
	int n_args = -1;    /* of which there may be none; -1: there is no "--" */
	int c, r = 0, status, end = argc;
	struct err e = {0};
	size_t len = 0;

	*ret = (struct run_spec){.package_fd = -1};
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			end = i;
			args = argv + i + 1;
			n_args = argc - i - 1;
			break;
		}
	while ((c = getopt_long(end, argv, "e:d", options, NULL)) != -1) {
		if (c == '?')
			return ctl_bad_option("run", argv);
		ret->detach |= c == 'd';
		if (c == OPT_CODE)
			code = optarg;
		if (c == OPT_PROJECT)
			ret->project = optarg;
	}
	if (optind >= end)
		return ctl_usage("run", "names no image");
	ret->image = argv[optind++];
	if (!code && optind >= end)
		return ctl_usage("run", "names no task.json (- for stdin), and has no --code");
	if (!code)
		file = argv[optind++];
	if (optind < end)
		return ctl_usage("run", "does not take '%s' (the task's arguments follow --)",
				 argv[optind]);

	if (code) {
		ret->task = json_pack("{s:s}", "code", code);
		if (!ret->task)
			r = err_set(&e, ERR_INPUT, 0, "--code: must be UTF-8 text");
	} else {
		r = ctl_read_file(file, TASK_SPEC_MAX, false, &text, &len, &e);
		if (r == 0)
			r = task_spec_load(text, len, &ret->task, &e);
		if (r == 0 && !json_is_object(ret->task))
			r = err_set(&e, ERR_INPUT, 0, "task.json: must be an object");
	}

	optind = 0; /* glibc starts again at 0; argv may have been permuted */
	while (r == 0 && (c = getopt_long(end, argv, "e:d", options, NULL)) != -1) {
		if (c == 'e')
			r = set_env(ret->task, optarg, &e);
		else if (c == OPT_PAYLOAD)
			r = set_payload(ret->task, optarg, &e);
		else if (c >= OPT_MEMBER && c < OPT_CODE) {
			r = set_member(ret->task, &members[c - OPT_MEMBER], optarg, &e);
			ret->options |= 1u << (c - OPT_MEMBER);
		}
	}
	if (r == 0 && n_args >= 0)
		r = set_args(ret->task, n_args, args, &e);
	if (r == 0)
		r = pack_task(ret, file, &e);
	if (r == 0)
		return 0;
	run_spec_blame(ret, &e);
	status = ctl_fail(&e);
	return r == PACK_NO_SCRIPT ? EXIT_NO_SCRIPT : status;
}

#define GRACE_NS (10 * SEC)    /* from TERM to KILL */
#define ANSWER_NS (2 * SEC)    /* for a daemon that lives to answer that a task is to end */
#define LOG_WAIT_NS (30 * SEC) /* for the log's end, after the task's */

struct run {
	struct ctl *ctl;
	struct ctl_conn conn;
	char id[TASK_ID_LEN + 1]; /* "" until accepted */
	json_t *task;		  /* the ended task; NULL before */
	bool detach;
	int input_fd; /* the caller's: a socket as the task's stdin, or -1 */
	char warned[PROTO_TEXT_MAX];
	uint64_t give_up;     /* when to stop waiting for the daemon; 0 while connected */
	uint64_t kill_at;     /* when KILL follows TERM; 0: nobody has asked to end the task */
	uint64_t log_late;    /* when the log's end is no longer waited for */
	uint64_t answer_by;   /* when a daemon that says nothing is left; 0: nothing was asked */
	int signal_fd, signo; /* the first signal that came */
	bool cancelled, forced;

	/* The copying thread's. This thread reads them after log_fd has said that the copier has
	 * ended. */
	pthread_t copier;
	bool copying, log_ended;
	int log_fd, log_status; /* log_fd: an eventfd; log_status: 0, -EPIPE or -errno */
	struct follow follow;
	struct err log_err;
};

static void *copy_log(void *arg)
{
	struct run *run = arg;
	uint64_t one = 1;

	run->log_status = follow_copy(&run->follow, &run->log_err);
	(void)util_write_all(run->log_fd, &one, sizeof(one));
	return NULL;
}

static int start_copier(struct run *run, struct err *e)
{
	int r;

	if (run->detach || run->ctl->json)
		return 0;
	(void)snprintf(run->follow.id, sizeof(run->follow.id), "%s", run->id);
	r = pthread_create(&run->copier, NULL, copy_log, run);
	if (r > 0)
		return err_set(e, ERR_SYSTEM, r, "cannot start a thread");
	run->copying = true;
	return 0;
}

/*
 * Asks the daemon to send TERM, or with force KILL. While the daemon is away nothing is sent; it is
 * asked again when it is back, or when it has accepted the task. A daemon that is stopped holds the
 * connection and says nothing, so before that it is asked for anything at all.
 */
static void ask_to_end(struct run *run, bool force)
{
	struct pollfd room = {.fd = run->conn.fd, .events = POLLOUT};
	json_t *request;
	struct err e;

	if (!run->kill_at)
		run->kill_at = util_monotonic_ns() + GRACE_NS;
	run->cancelled = true;
	run->forced |= force;
	if (run->conn.fd < 0 || run->task)
		return;
	if (!run->answer_by)
		run->answer_by = util_monotonic_ns() + ANSWER_NS;
	/* A daemon that takes nothing any more is not waited for here. */
	if (poll(&room, 1, 0) < 1)
		return;
	/* "tag" tells the answer from the task's end, which comes on the same connection. */
	if (*run->id)
		request = json_pack("{s:s, s:s, s:b, s:i}", "op", "cancel", "id", run->id, "force",
				    run->forced, "tag", 1);
	else
		request = json_pack("{s:s, s:i}", "op", "version", "tag", 1);
	(void)ctl_send(&run->conn, request, NULL, 0, &e);
	json_decref(request);
}

/* The exit status where the daemon does not answer. The front starts no task of a client that has
 * gone before it was accepted, and an accepted one it ends when it reads what was sent. */
static int leave(const struct run *run)
{
	if (*run->id)
		ctl_say("left task %s behind: it was told to end, and the daemon does not answer",
			run->id);
	else
		ctl_say("the daemon does not answer: it was told of the task, and drops it when it "
			"answers again");
	return 128 + (run->signo ? run->signo : SIGPIPE);
}

static bool read_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return false;
	if (!run->signo)
		run->signo = (int)info.ssi_signo;
	return true;
}

/* Returns 0, or the exit status with which to end at once. */
static int take_signal(struct run *run)
{
	if (!read_signal(run))
		return 0;
	if (run->task) /* only output that nobody reads is left */
		return 128 + run->signo;
	if (run->forced)
		return leave(run);
	ask_to_end(run, run->cancelled);
	return 0;
}

/* Prints a warning when the task starts, and at its end only what has been added to it. */
static void warn_once(struct run *run, const char *warning)
{
	size_t said = strlen(run->warned);

	if (strncmp(warning, run->warned, said) != 0)
		said = 0;
	(void)snprintf(run->warned, sizeof(run->warned), "%s", warning);
	warning += said;
	warning += strspn(warning, "; ");
	if (*warning)
		ctl_say("task %s: warning: %s", run->id, warning);
}

static int take_reply(struct run *run, const json_t *reply, struct err *e)
{
	const char *event = ctl_text(reply, "event");
	int r;

	run->answer_by = 0;
	if (json_object_get(reply, "tag"))
		return 0;
	r = ctl_reply_check(reply, e);
	if (r < 0)
		return r;
	if (!strcmp(event, "accepted")) {
		(void)snprintf(run->id, sizeof(run->id), "%s", ctl_text(reply, "id"));
		r = start_copier(run, e);
		if (run->cancelled)
			ask_to_end(run, run->forced);
	} else if (!strcmp(event, "started")) {
		warn_once(run, ctl_text(reply, "warning"));
	} else if (!strcmp(event, "finished")) {
		run->task = json_incref(json_object_get(reply, "task"));
		run->log_late = util_monotonic_ns() + LOG_WAIT_NS;
		if (!json_is_object(run->task))
			return err_set(e, ERR_INTERNAL, 0, "the daemon's last answer has no task");
	}
	return r;
}

/* Called when the front was killed: the task goes on, and the new front knows it. */
static int lost_daemon(struct run *run, struct err *e)
{
	ctl_close(&run->conn);
	run->answer_by = 0;
	if (!*run->id)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "the daemon went away before it accepted the task ('sandboxctl ps "
			       "--all' shows whether it did)");
	run->give_up = util_monotonic_ns() + CTL_RETRY_FOR_NS;
	return 0;
}

static int try_reconnect(struct run *run, struct err *e)
{
	json_t *request;
	int r = ctl_connect(run->ctl, &run->conn, e);

	if (r == 0) {
		request = json_pack("{s:s, s:s}", "op", "wait", "id", run->id);
		r = ctl_send(&run->conn, request, NULL, 0, e);
		json_decref(request);
	}
	if (r == 0) {
		run->give_up = 0;
		if (run->cancelled)
			ask_to_end(run, run->forced);
		return 0;
	}
	ctl_close(&run->conn);
	if (util_monotonic_ns() > run->give_up)
		return err_wrap(e, r, "task %s goes on without us ('sandboxctl logs -f %s')",
				run->id, run->id);
	return 0;
}

static int read_replies(struct run *run, struct err *e)
{
	json_t *reply;
	int r;

	while (!run->task && (r = ctl_read(&run->conn, &reply, e)) != 0) {
		if (r == -ECONNRESET)
			return lost_daemon(run, e);
		if (r < 0)
			return r;
		r = take_reply(run, reply, e);
		json_decref(reply);
		if (r < 0 || (run->detach && *run->id))
			return r;
	}
	return 0;
}

/* Called when the copier has ended: the log has, or the output cannot be written. */
static void log_ended(struct run *run)
{
	(void)pthread_join(run->copier, NULL);
	run->copying = false;
	run->log_ended = true;
	if (run->log_status == 0)
		return;
	if (run->log_status != -EPIPE)
		ctl_say("task %s: %s", run->id, run->log_err.msg);
	if (!run->task)
		ask_to_end(run, false);
}

/* How many milliseconds until the next thing that is due; -1: nothing is due. */
static int next_timeout(const struct run *run)
{
	uint64_t now = util_monotonic_ns(), at = UINT64_MAX;

	if (run->give_up)
		return CTL_RETRY_MS;
	if (run->task)
		at = run->log_late;
	else if (run->kill_at && !run->forced)
		at = run->kill_at;
	if (!run->task && run->answer_by && run->answer_by < at)
		at = run->answer_by;
	if (at == UINT64_MAX)
		return -1;
	return at > now ? (int)((at - now) / MSEC) + 1 : 0;
}

/* Returns 0 when the task and its log have ended (or, detached, when the task is accepted); 1, with
 * *ret, when a signal ends us at once; else -errno. */
static int run_loop(struct run *run, int *ret, struct err *e)
{
	int r;

	while (!run->task || run->copying) {
		struct pollfd pfd[] = {{run->signal_fd, POLLIN, 0},
				       {run->task ? -1 : run->conn.fd, POLLIN, 0},
				       {run->copying ? run->log_fd : -1, POLLIN, 0}};

		if (poll(pfd, ARRAY_SIZE(pfd), next_timeout(run)) < 0 && errno != EINTR)
			return err_set(e, ERR_SYSTEM, errno, "poll");
		if (pfd[2].revents)
			log_ended(run);
		r = 0;
		if (!run->task && run->conn.fd >= 0)
			r = read_replies(run, e);
		else if (!run->task)
			r = try_reconnect(run, e);
		if (r < 0 || (run->detach && *run->id))
			return r;
		/* After the answers that came before it. */
		if (pfd[0].revents) {
			*ret = take_signal(run);
			if (*ret)
				return 1;
		}
		if (!run->task && run->answer_by && util_monotonic_ns() >= run->answer_by) {
			*ret = leave(run);
			return 1;
		}
		if (run->kill_at && !run->forced && util_monotonic_ns() >= run->kill_at)
			ask_to_end(run, true);
		if (run->task && run->copying && util_monotonic_ns() >= run->log_late) {
			ctl_say("task %s: the end of its output has not come "
				"('sandboxctl logs %s')",
				run->id, run->id);
			return 0;
		}
	}
	return 0;
}

static void say_full_disk(const char *id, double bytes)
{
	if (bytes < 1 << 20)
		ctl_say("task %s: its disk of %.0f KiB was full", id, bytes / 1024);
	else
		ctl_say("task %s: its disk of %.1f MiB was full", id, bytes / (1 << 20));
}

/* Prints what a person should know about the task's end; nothing when the task's own status says
 * all. */
static void say_verdict(const struct run *run)
{
	const char *verdict = ctl_text(run->task, "verdict");
	const json_t *limits = json_object_get(run->task, "limits");
	const char *error = ctl_text(run->task, "error");
	json_int_t sig = json_integer_value(json_object_get(run->task, "signal"));

	if (!strcmp(verdict, "timeout"))
		ctl_say("task %s: timed out after %lld s", run->id,
			(long long)json_integer_value(json_object_get(limits, "timeout")));
	else if (!strcmp(verdict, "oom"))
		ctl_say("task %s: out of memory (its limit is %.0f MiB)", run->id,
			json_number_value(json_object_get(limits, "memory")) / (1 << 20));
	else if (!strcmp(verdict, "pids"))
		ctl_say("task %s: met its limit of %lld processes", run->id,
			(long long)json_integer_value(json_object_get(limits, "pids")));
	else if (!strcmp(verdict, "disk"))
		say_full_disk(run->id, json_number_value(json_object_get(limits, "disk")));
	else if (!strcmp(verdict, "signal"))
		ctl_say("task %s: ended by signal %lld (%s)", run->id, (long long)sig,
			strsignal((int)sig));
	else if (!strcmp(verdict, "cancelled"))
		ctl_say("task %s: cancelled", run->id);
	else if (!strcmp(verdict, "failed") || !strcmp(verdict, "lost"))
		ctl_say("task %s: %s: %s", run->id, verdict, error);
}

static int exit_status(struct run *run)
{
	warn_once(run, ctl_text(run->task, "warning"));
	if (!run->cancelled || strcmp(ctl_text(run->task, "verdict"), "cancelled") != 0)
		say_verdict(run);
	/* A script must see that the task was ended, even if the task made a 0 of it. A person sees
	 * in the log how the task has taken it. */
	if (run->signo)
		return 128 + run->signo;
	if (run->log_ended && run->log_status == -EPIPE)
		return 128 + SIGPIPE;
	if (run->log_ended && run->log_status < 0)
		return err_exit_status(run->log_err.code);
	return ctl_task_exit_status(run->task);
}

/* Whether our stdout and stderr are one file, as on a terminal or with 2>&1. Then the task's two
 * streams become one too, so that everything that it runs keeps the order of its writes. */
static bool is_one_file(void)
{
	struct stat out, err;

	return fstat(STDOUT_FILENO, &out) == 0 && fstat(STDERR_FILENO, &err) == 0 &&
	       out.st_dev == err.st_dev && out.st_ino == err.st_ino;
}

static int send_task(struct run *run, struct run_spec *spec, struct err *e)
{
	_cleanup_fd_ int theirs = -1;
	bool log = !run->detach && !run->ctl->json;
	_cleanup_free_ char *task = NULL, *text = NULL;
	unsigned n_fds = 0;
	json_t *request;
	int r, fds[3];

	r = log ? follow_socket(&run->follow, &theirs, e) : 0;
	if (r == 0)
		r = ctl_connect(run->ctl, &run->conn, e);
	if (r < 0)
		return r;
	if (log)
		fds[n_fds++] = theirs;
	if (spec->package_fd >= 0)
		fds[n_fds++] = spec->package_fd;
	if (run->input_fd >= 0)
		fds[n_fds++] = run->input_fd;
	request = json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "op", "run", "image", spec->image,
			    "detach", run->detach, "log", log, "package", spec->package_fd >= 0,
			    "together", log && is_one_file());
	if (!request)
		return err_set(e, ERR_INPUT, 0, "image: must be UTF-8 text");
	if (run->input_fd >= 0)
		(void)json_object_set_new(request, "input", json_true());
	if (spec->project &&
	    json_object_set_new(request, "project", json_string(spec->project)) < 0) {
		json_decref(request);
		return err_set(e, ERR_INPUT, 0, "--project: must be UTF-8 text");
	}
	/* The payload is sent as it came, byte for byte. */
	task = task_spec_dump(spec->task);
	text = task ? json_raw_join("task", task, request) : NULL;
	json_decref(request);
	return ctl_send_text(&run->conn, text, fds, n_fds, e);
}

static int run_task(struct run *run, struct run_spec *spec)
{
	struct err e = {0};
	int status = 0, r;

	run->conn.stop_fd = run->signal_fd;
	r = send_task(run, spec, &e);
	/* A signal came while the daemon took none of it: it has nothing to start. */
	if (r == -EINTR && read_signal(run))
		return leave(run);
	if (r == 0)
		r = run_loop(run, &status, &e);
	if (r > 0)
		return status;
	if (r < 0) {
		run_spec_blame(spec, &e);
		return ctl_fail(&e);
	}
	if (run->ctl->json) {
		json_t *id = json_pack("{s:s}", "id", run->id);

		status = ctl_print_json(run->detach ? id : run->task);
		json_decref(id);
		return status || run->detach ? status : exit_status(run);
	}
	if (run->detach) {
		puts(run->id);
		return ctl_flush(0);
	}
	return exit_status(run);
}

int ctl_run_with_input(struct ctl *ctl, int argc, char **argv, int input_fd)
{
	struct run run = {.ctl = ctl,
			  .conn = CTL_CONN_INIT,
			  .input_fd = input_fd,
			  .signal_fd = -1,
			  .log_fd = -1};
	struct log_client_options opts;
	struct run_spec spec;
	sigset_t signals;
	int status = run_spec_read(&spec, argc, argv);

	run.detach = spec.detach;
	log_client_defaults(&opts);
	if (status == 0 && follow_init(&run.follow, ctl, "", &opts) < 0)
		status = err_exit_status(ERR_SYSTEM);
	if (status == 0) {
		/* Until here Ctrl-C just ends this program, because nothing has been asked yet. A
		 * hang-up (SIGHUP) always does, and the task goes on. */
		(void)sigemptyset(&signals);
		(void)sigaddset(&signals, SIGINT);
		(void)sigaddset(&signals, SIGTERM);
		(void)sigprocmask(SIG_BLOCK, &signals, NULL);
		run.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
		run.log_fd = eventfd(0, EFD_CLOEXEC);
		status = run_task(&run, &spec);
	}
	run_spec_clear(&spec);
	/* The copier may be blocked in a write that nobody reads: it ends with the process, at
	 * once. */
	if (run.copying)
		_exit(status);
	ctl_close(&run.conn);
	json_decref(run.task);
	follow_clear(&run.follow);
	util_close_fd(&run.signal_fd);
	util_close_fd(&run.log_fd);
	return status;
}

int ctl_run(struct ctl *ctl, int argc, char **argv)
{
	return ctl_run_with_input(ctl, argc, argv, -1);
}
