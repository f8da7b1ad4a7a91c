// SPDX-License-Identifier: Apache-2.0
/* sandboxctl service run, data: a command in the surroundings of a service, and what is in its ~/data. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/service.h"

/* Of the run, for the handler of Ctrl-C. */
static char run_id[TASK_ID_LEN + 1];
static const char *socket_path;

/* The run is ended; what it still prints is shown, as its end. */
static void on_interrupt(int number)
{
	(void)number;
	if (*run_id && fork() == 0) {
		(void)execl("/proc/self/exe", "sandboxctl", "--socket", socket_path, "cancel",
			    run_id, NULL);
		_exit(125);
	}
}

static int copy(int from, int to)
{
	char buf[65536];

	for (;;) {
		ssize_t n = read(from, buf, sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return (int)n;
		if (util_write_all(to, buf, (size_t)n) < 0)
			return -1;
	}
}

/*
 * What goes in and comes out, by a process of its own: no sandbox has a descriptor of the terminal, nor
 * of a file of whoever asks. Closes sock.
 */
static pid_t begin_copy(int sock, bool out)
{
	_cleanup_fd_ int fd = sock;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid != 0)
		return pid;
	/* It ends with what it copies. */
	(void)signal(SIGINT, SIG_IGN);
	if (out)
		_exit(copy(fd, STDOUT_FILENO) < 0);
	(void)copy(STDIN_FILENO, fd);
	(void)shutdown(fd, SHUT_WR);
	_exit(0);
}

static int follow_run(struct ctl *ctl, struct err *e)
{
	struct log_client_options opts;
	struct follow f;
	int r;

	log_client_defaults(&opts);
	if (follow_init(&f, ctl, run_id, &opts) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot read the log");
	f.live = true;
	r = follow_copy(&f, e);
	follow_clear(&f);
	return r == -EPIPE ? 0 : r;
}

/* Steals request. An exit status. */
static int run_it(struct ctl *ctl, json_t *request, bool out)
{
	json_auto_t *reply = NULL, *ended = NULL;
	json_t *task = NULL;
	struct err e = {0};
	int pair[2], status = 0, r;
	pid_t copier;

	if (!request)
		return ctl_usage("service", "what is asked for must be UTF-8 text");
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
		json_decref(request);
		(void)err_set(&e, ERR_SYSTEM, errno, "socketpair");
		return ctl_fail(&e);
	}
	(void)signal(SIGPIPE, SIG_IGN);
	r = ctl_call(ctl, request, &pair[1], 1, &reply, &e);
	util_close_fd(&pair[1]);
	if (r < 0) {
		util_close_fd(&pair[0]);
		return ctl_fail(&e);
	}
	(void)snprintf(run_id, sizeof(run_id), "%s", ctl_text(reply, "id"));
	socket_path = ctl->socket_path;
	(void)signal(SIGINT, on_interrupt);
	copier = begin_copy(pair[0], out);
	r = follow_run(ctl, &e);
	if (r == 0)
		r = ctl_ask(ctl, json_pack("{s:s, s:s}", "op", "wait", "id", run_id), "task",
			    JSON_OBJECT, &ended, &task, &e);
	/* All that has come out is written; what would go in is wanted by nobody. */
	if (copier > 0 && !out)
		(void)kill(copier, SIGTERM);
	if (copier > 0 && waitpid(copier, &status, 0) == copier && out && r == 0 && status)
		r = err_set(&e, ERR_SYSTEM, EPIPE, "stdout");
	if (r < 0)
		return ctl_fail(&e);
	if (*ctl_text(task, "error"))
		ctl_say("%s", ctl_text(task, "error"));
	return ctl_task_exit_status(task);
}

/* Options in front of the first word that is none; *at is that word's place. An exit status. */
static int read_options(int argc, char **argv, struct service_options *o, int *at)
{
	*o = (struct service_options){.project = "default"};
	service_folder_app(o->own_app);
	for (*at = 1; *at < argc && argv[*at][0] == '-'; (*at)++) {
		const char **to = strcmp(argv[*at], "--project") == 0 ? &o->project
				  : strcmp(argv[*at], "--app") == 0   ? &o->app
								      : NULL;

		if (!to || *at + 1 >= argc)
			return ctl_usage("service", "%s does not take '%s'", argv[0], argv[*at]);
		*to = argv[++*at];
	}
	return 0;
}

int service_run(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	json_t *words;
	struct err e = {0};
	int at, status = read_options(argc, argv, &o, &at);

	if (status)
		return status;
	if (at >= argc)
		return ctl_usage("service", "run takes a service and a command");
	if (service_name_read(&o, argv[at++], &name, &e) < 0)
		return ctl_fail(&e);
	if (at < argc && strcmp(argv[at], "--") == 0)
		at++;
	if (at >= argc)
		return ctl_usage(
			"service",
			"run takes a command: there is no terminal for a shell of its own, "
			"but `run %s sh` reads lines from stdin",
			name.name);
	words = json_array();
	for (; at < argc; at++)
		json_array_append_new(words, json_string(argv[at]));
	return run_it(ctl,
		      json_pack("{s:s, s:s, s:s, s:s, s:s, s:o}", "op", "service_run", "project",
				o.project, "app", name.app, "service", name.name, "do", "run",
				"argv", words),
		      false);
}

int service_data(struct ctl *ctl, int argc, char **argv)
{
	struct service_options o;
	struct service_name name;
	struct err e = {0};
	bool out;
	int at, status;

	if (argc < 2 || (strcmp(argv[1], "export") != 0 && strcmp(argv[1], "import") != 0))
		return ctl_usage("service", "data takes export or import");
	out = strcmp(argv[1], "export") == 0;
	status = read_options(argc - 1, argv + 1, &o, &at);
	if (status)
		return status;
	if (at + 1 != argc - 1)
		return ctl_bad_count("service", argv[1], 1, 1);
	if (service_name_read(&o, argv[at + 1], &name, &e) < 0)
		return ctl_fail(&e);
	if (isatty(out ? STDOUT_FILENO : STDIN_FILENO))
		return ctl_usage("service",
				 out ? "data export writes a tar: name a file, as in > data.tar"
				     : "data import reads a tar: name a file, as in < data.tar");
	return run_it(ctl,
		      json_pack("{s:s, s:s, s:s, s:s, s:s}", "op", "service_run", "project",
				o.project, "app", name.app, "service", name.name, "do", argv[1]),
		      out);
}
