// SPDX-License-Identifier: Apache-2.0
/* sandboxctl: global options, the table of verbs, and how they speak. */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

static int ctl_help(struct ctl *ctl, int argc, char **argv);

static const struct ctl_verb verbs[] = {
	{"run", "run one task now: its output live, its exit status returned", ctl_run,
	 ctl_run_help},
	{"logs", "print or follow a task's output", ctl_logs, ctl_logs_help},
	{"ps", "list the tasks that run, or all", ctl_ps,
	 "usage: sandboxctl ps [--all|-a] [--quiet|-q] [--json]\n\n"
	 "  -a, --all    finished tasks too\n"
	 "  -q, --quiet  ids only\n"},
	{"inspect", "everything that is known about tasks", ctl_inspect,
	 "usage: sandboxctl inspect ID... [--json]\n\n"
	 "ID is a task's id or the first characters (four or more) of one. --json prints one\n"
	 "object; of several tasks, an object a line.\n"},
	{"wait", "wait until tasks have ended", ctl_wait,
	 "usage: sandboxctl wait ID... [--json]\n\n"
	 "Prints each task's exit status on a line. The exit status is the last task's.\n"},
	{"cancel", "end tasks: TERM, or KILL with --force", ctl_cancel,
	 "usage: sandboxctl cancel ID... [--force|-f]\n\n"
	 "Sends TERM to the task's first process. With --force everything in the sandbox is\n"
	 "killed at once. Returns as soon as the daemon has done it; see 'wait'.\n"},
	{"rm", "forget ended tasks and their logs", ctl_rm,
	 "usage: sandboxctl rm ID...\n\n"
	 "Tasks that have not ended are refused: cancel them first.\n"},
	{"image", "build, list, inspect, warm and remove images", ctl_image, NULL},
	{"policy", "list, show, check and install policies", ctl_policy, NULL},
	{"template", "list, inspect and retire the templates that tasks are forked from",
	 ctl_template, NULL},
	{"project", "create, list, bound and remove projects, and their tokens", ctl_project, NULL},
	{"deploy", "deploy an HTTP worker, list, roll back and remove them", ctl_deploy, NULL},
	{"dev", "run an HTTP worker while it is written", ctl_dev, NULL},
	{"serve", "run HTTP workers in the foreground, by a config.capnp", ctl_serve, NULL},
	{"tail", "what an HTTP worker does, live", ctl_tail, ctl_tail_help},
	{"secret", "set, list and remove the secrets of an HTTP worker", ctl_secret, NULL},
	{"kv", "keys and values of HTTP workers", ctl_kv, NULL},
	{"push", "build the services of a dotcloud.yml, and run them", ctl_push, NULL},
	{"service", "what runs for good: list, restart, roll back, logs, variables", ctl_service,
	 NULL},
	{"scale", "how many replicas a service has, and their memory", ctl_scale, NULL},
	{"background", "background workers: up, put items, trigger, stop, dead letters",
	 ctl_background, NULL},
	{"url", "where services answer", ctl_url, NULL},
	{"open", "open a service in a browser", ctl_open, NULL},
	{"upload", "upload a worker: NAME.worker and what it names", ctl_tenant, NULL},
	{"install", "make the package that upload would send, and keep it", ctl_tenant, NULL},
	{"queue", "queue a task of a worker, durably", ctl_tenant, NULL},
	{"schedule", "queue tasks of a worker by the clock", ctl_tenant, NULL},
	{"update", "change a schedule", ctl_tenant, NULL},
	{"retry", "queue a task once more", ctl_tenant, NULL},
	{"log", "print or follow a queued task's output", ctl_tenant, NULL},
	{"status", "how a queued task is", ctl_tenant, NULL},
	{"cancel-task", "cancel a project's tasks by its token", ctl_tenant, NULL},
	{"cancel-schedule", "end schedules", ctl_tenant, NULL},
	{"cancel-all", "cancel the waiting tasks of a worker", ctl_tenant, NULL},
	{"info", "what is known of a worker", ctl_tenant, NULL},
	{"pause", "keep a worker's tasks in its queue", ctl_tenant, NULL},
	{"resume", "start a paused worker's tasks again", ctl_tenant, NULL},
	{"webhook", "the URL that queues a task of a worker", ctl_tenant, NULL},
	{"stacks", "the images that workers can run on", ctl_tenant, NULL},
	{"rm-worker", "remove a worker, its revisions and schedules", ctl_tenant, NULL},
	{"workers", "list a project's workers", ctl_tenant, NULL},
	/* IronWorker's word for a worker; not listed. */
	{"rm-code", NULL, ctl_tenant, NULL},
	{"codes", NULL, ctl_tenant, NULL},
	{"tasks", "list a project's tasks", ctl_tenant, NULL},
	{"dead-letters", "list the tasks that have failed for good", ctl_tenant, NULL},
	{"schedules", "list a project's schedules", ctl_tenant, NULL},
	{"doctor", "what this host offers, what is missing, what to do", ctl_doctor,
	 ctl_doctor_help},
	{"version", "this command's and the daemon's version", ctl_version,
	 "usage: sandboxctl version [--json]\n\nExits 0 only when the daemon answers.\n"},
	{"help", "help for a verb", ctl_help, "usage: sandboxctl help [VERB]\n"},
};

static const struct ctl_verb *find_verb(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (!strcmp(verbs[i].name, name))
			return &verbs[i];
	return NULL;
}

static void print_overview(FILE *to)
{
	fputs("usage: sandboxctl [--socket PATH] [--state DIR] [--json] VERB ...\n\n", to);
	for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
		if (verbs[i].summary)
			fprintf(to, "  %-15s  %s\n", verbs[i].name, verbs[i].summary);
	fputs("\nGlobal options may stand before or after the verb:\n"
	      "  --socket PATH  the daemon's control socket (SANDBOXD_SOCKET;\n"
	      "                 /run/sandboxd/control.sock)\n"
	      "  --state DIR    the daemon's state folder (SANDBOXD_STATE; /var/lib/sandboxd)\n"
	      "  --json         JSON instead of text\n"
	      "  --help, --version\n\n"
	      "Exit status: the task's own for run, wait and --wait; 125 when sandboxctl or the "
	      "daemon\n"
	      "could not do what was asked; else 0.\n",
	      to);
}

static int print_verb_help(struct ctl *ctl, const struct ctl_verb *verb)
{
	char *argv[] = {(char *)verb->name, (char *)"--help", NULL};

	if (!verb->help)
		return verb->run(ctl, 2, argv);
	fputs(verb->help, stdout);
	return ctl_flush(0);
}

static int ctl_help(struct ctl *ctl, int argc, char **argv)
{
	const struct ctl_verb *verb;

	if (argc < 2) {
		print_overview(stdout);
		return ctl_flush(0);
	}
	verb = find_verb(argv[1]);
	if (!verb)
		return ctl_usage(NULL, "there is no verb '%s'", argv[1]);
	if (argc > 2)
		return ctl_usage("help", "does not take '%s': 'sandboxctl help %s' has all of %s",
				 argv[2], argv[1], argv[1]);
	return print_verb_help(ctl, verb);
}

/* Reads "--name VALUE" or "--name=VALUE" at argv[*i]. 1, with *ret; 0: it is another word; -EINVAL:
 * the value is missing. */
static int take_value(const char *name, int argc, char **argv, int *i, const char **ret)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) != 0)
		return 0;
	if (argv[*i][n] == '=') {
		*ret = argv[*i] + n + 1;
		return 1;
	}
	if (argv[*i][n] != '\0')
		return 0;
	if (*i + 1 >= argc)
		return -EINVAL;
	*ret = argv[++*i];
	return 1;
}

struct globals {
	bool help, version;
};

/* Takes the global options out of argv, wherever they are before "--". */
static int take_globals(struct ctl *ctl, int *argc, char **argv, struct globals *g)
{
	static const char *const names[] = {"--socket", "--state"};
	const char **const values[] = {&ctl->socket_path, &ctl->state_dir};
	int n = 1, i;

	for (i = 1; i < *argc && strcmp(argv[i], "--") != 0; i++) {
		int r = 0;

		for (size_t k = 0; k < ARRAY_SIZE(names) && r == 0; k++) {
			r = take_value(names[k], *argc, argv, &i, values[k]);
			if (r < 0 || (r > 0 && !**values[k]))
				return ctl_usage(NULL, "%s needs a value", names[k]);
		}
		if (r > 0)
			continue;
		if (!strcmp(argv[i], "--json"))
			ctl->json = true;
		else if (!strcmp(argv[i], "--help") || (!strcmp(argv[i], "-h") && n <= 2))
			g->help = true;
		else if (!strcmp(argv[i], "--version") && n == 1)
			g->version = true;
		else
			argv[n++] = argv[i];
	}
	while (i < *argc)
		argv[n++] = argv[i++];
	argv[n] = NULL;
	*argc = n;
	return 0;
}

/*
 * Refuses an empty word, for every verb: it is what a variable becomes that a script has not set,
 * and never means "not given". Words behind "--" are the task's.
 */
static int check_empty(int argc, char **argv)
{
	for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
		const char *equals = strncmp(argv[i], "--", 2) == 0 ? strchr(argv[i], '=') : NULL;

		if (equals && !equals[1])
			return ctl_usage(NULL, "%.*s: must not be empty: leave it out",
					 (int)(equals - argv[i]), argv[i]);
		if (!*argv[i] && i > 1 && argv[i - 1][0] == '-')
			return ctl_usage(NULL, "%s: must not be empty: leave it out", argv[i - 1]);
		if (!*argv[i])
			return ctl_usage(NULL, "word %d, behind '%s', is empty", i, argv[i - 1]);
	}
	return 0;
}

static const char *env_or(const char *name, const char *otherwise)
{
	const char *value = getenv(name);

	return value && *value ? value : otherwise;
}

int main(int argc, char **argv)
{
	struct ctl ctl = {
		.socket_path = env_or("SANDBOXD_SOCKET", "/run/sandboxd/control.sock"),
		.state_dir = env_or("SANDBOXD_STATE", "/var/lib/sandboxd"),
	};
	const struct ctl_verb *verb;
	struct globals g = {0};
	int r;

	/* A closed pipe must be an error of the write that meets it and not end this program,
	 * because `run` still has a task to cancel. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)setvbuf(stderr, NULL, _IOLBF, 0);
	opterr = 0;
	r = take_globals(&ctl, &argc, argv, &g);
	if (r == 0)
		r = check_empty(argc, argv);
	if (r)
		return r;
	if (g.version) {
		puts("sandboxctl " SANDBOXD_VERSION);
		return ctl_flush(0);
	}
	if (argc < 2) {
		print_overview(g.help ? stdout : stderr);
		return g.help ? ctl_flush(0) : err_exit_status(ERR_USAGE);
	}
	verb = find_verb(argv[1]);
	if (!verb)
		return ctl_usage(NULL, "there is no %s '%s'", *argv[1] == '-' ? "option" : "verb",
				 argv[1]);
	if (g.help) {
		char *words[] = {argv[1], argc > 2 ? argv[2] : (char *)"--help", (char *)"--help",
				 NULL};

		/* For `image build --help`: a verb with several help texts answers itself. */
		return verb->help ? print_verb_help(&ctl, verb)
				  : verb->run(&ctl, argc > 2 ? 3 : 2, words);
	}
	return verb->run(&ctl, argc - 1, argv + 1);
}
