// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/run_spec.h"

#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/json_raw.h"
#include "spec/task_spec.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/pack.h"

/* The script is not there: as a shell says it, and the runtime where a folder was sent. */
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

/* One option that sets one member; section is NULL for the task's own. */
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

/* getopt_long's values for options without a letter: members first. */
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
	/* What is around it is not of it. */
	json = text ? text : arg;
	from = strspn(json, " \t\r\n");
	at = from;
	r = json_raw_value(json, len, &at);
	if (r < 0 || at + strspn(json + at, " \t\r\n") != len)
		return err_set(e, ERR_INPUT, 0, "--payload: is no JSON from byte %zu on", at);
	(void)json_object_set_new(task, "payload", json_stringn(json + from, at - from));
	return 0;
}

/* A number where it is one; else the word itself, which the task's parser refuses with
 * the field's name. */
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
		return 0; /* as other tools do: a variable that is not set is not passed on */
	/* Where "env" is no object, the task's parser says so. */
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

void run_spec_blame(const struct run_spec *spec, struct err *e)
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

/* What the first pass over argv finds; options with values are laid over task.json in a
 * second pass, once it is read. */
struct words {
	const char *code, *file;
	int n_args; /* after "--"; -1 when there is none */
	char **args;
};

static int read_words(struct run_spec *spec, struct words *w, int argc, char **argv)
{
	int c, end = argc;

	w->n_args = -1;
	for (int i = 1; i < argc; i++)
		if (!strcmp(argv[i], "--")) {
			end = i;
			w->args = argv + i + 1;
			w->n_args = argc - i - 1;
			break;
		}
	while ((c = getopt_long(end, argv, "e:d", options, NULL)) != -1) {
		if (c == '?')
			return ctl_bad_option("run", argv);
		spec->detach |= c == 'd';
		if (c == OPT_CODE)
			w->code = optarg;
		if (c == OPT_PROJECT)
			spec->project = optarg;
	}
	if (optind >= end)
		return ctl_usage("run", "names no image");
	spec->image = argv[optind++];
	if (!w->code && optind >= end)
		return ctl_usage("run", "names no task.json (- for stdin), and has no --code");
	if (!w->code)
		w->file = argv[optind++];
	if (optind < end)
		return ctl_usage("run", "does not take '%s' (the task's arguments follow --)",
				 argv[optind]);
	return 0;
}

static int load_task(struct run_spec *spec, const struct words *w, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	if (w->code) {
		spec->task = json_pack("{s:s}", "code", w->code);
		return spec->task ? 0 : err_set(e, ERR_INPUT, 0, "--code: must be UTF-8 text");
	}
	r = ctl_read_file(w->file, TASK_SPEC_MAX, false, &text, &len, e);
	if (r == 0)
		r = task_spec_load(text, len, &spec->task, e);
	if (r == 0 && !json_is_object(spec->task))
		r = err_set(e, ERR_INPUT, 0, "task.json: must be an object");
	return r;
}

static int apply_options(struct run_spec *spec, const struct words *w, int argc, char **argv,
			 struct err *e)
{
	int c, r = 0, end = w->n_args < 0 ? argc : argc - w->n_args - 1;

	optind = 0; /* glibc: begin again, argv may have been permuted */
	while (r == 0 && (c = getopt_long(end, argv, "e:d", options, NULL)) != -1) {
		if (c == 'e')
			r = set_env(spec->task, optarg, e);
		else if (c == OPT_PAYLOAD)
			r = set_payload(spec->task, optarg, e);
		else if (c >= OPT_MEMBER && c < OPT_CODE) {
			r = set_member(spec->task, &members[c - OPT_MEMBER], optarg, e);
			spec->options |= 1u << (c - OPT_MEMBER);
		}
	}
	if (r == 0 && w->n_args >= 0)
		r = set_args(spec->task, w->n_args, w->args, e);
	return r;
}

/* The folder that task.json's paths are relative to. */
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

static int pack_task(struct run_spec *spec, const struct words *w, struct err *e)
{
	_cleanup_task_spec_ struct task_spec parsed = {0};
	_cleanup_fd_ int base = -1, dir = -1;
	struct pack_left_out left_out;
	int r = task_spec_from_json(spec->task, &parsed, e);

	/* The daemon judges for itself; this is to say what is wrong before files are read. */
	if (r < 0)
		return r;
	if (!parsed.dir && parsed.kind != TASK_EXEC)
		return 0;
	if (parsed.dir && parsed.dir[0] == '/')
		return err_set(e, ERR_INPUT, 0,
			       "task.json: dir: must be a path relative to task.json's folder");
	base = open_base(w->file, e);
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

int run_spec_read(struct run_spec *ret, int argc, char **argv)
{
	struct words w = {.file = "-"};
	struct err e = {0};
	int r, status;

	*ret = (struct run_spec){.package_fd = -1};
	r = read_words(ret, &w, argc, argv);
	if (r)
		return r;
	r = load_task(ret, &w, &e);
	if (r == 0)
		r = apply_options(ret, &w, argc, argv, &e);
	if (r == 0)
		r = pack_task(ret, &w, &e);
	if (r == 0)
		return 0;
	run_spec_blame(ret, &e);
	status = ctl_fail(&e);
	return r == PACK_NO_SCRIPT ? EXIT_NO_SCRIPT : status;
}
