// SPDX-License-Identifier: Apache-2.0
/*
 * sandboxctl run: send one task, copy its output, end as it ends.
 *
 * Two threads: this one has the control connection and the signals, the other one
 * copies the log. Writing to a pipe or terminal that does not move may block for as
 * long as it likes; Ctrl-C must be heard all the same.
 */
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
#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/run_spec.h"

#define GRACE_NS 10000000000ULL	   /* from TERM to KILL */
#define LOG_WAIT_NS 30000000000ULL /* for the log's end, after the task's */

struct run {
	struct ctl *ctl;
	struct ctl_conn conn;
	char id[TASK_ID_LEN + 1]; /* "" until accepted */
	json_t *task;		  /* the ended task; NULL until then */
	bool detach;
	char warned[PROTO_TEXT_MAX];
	uint64_t give_up;     /* for the daemon to come back; 0 while connected */
	uint64_t kill_at;     /* 0: nobody asked to end the task */
	uint64_t log_late;    /* when the log's end is no longer waited for */
	int signal_fd, signo; /* the first signal that came */
	bool cancelled, forced;

	/* The copying thread's; read here after log_fd says that it has ended. */
	pthread_t copier;
	bool copying, log_ended;
	int log_fd, log_status; /* eventfd; 0, -EPIPE or -errno */
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

/* TERM, then KILL. Where the daemon is away the word is said again when it is back. */
static void ask_to_end(struct run *run, bool force)
{
	json_t *request;
	struct err e;

	if (!run->kill_at)
		run->kill_at = util_monotonic_ns() + GRACE_NS;
	run->cancelled = true;
	run->forced |= force;
	if (!*run->id || run->conn.fd < 0 || run->task)
		return;
	/* "tag": its answer is told from the task's end, which comes on this connection. */
	request = json_pack("{s:s, s:s, s:b, s:i}", "op", "cancel", "id", run->id, "force",
			    run->forced, "tag", 1);
	(void)ctl_send(&run->conn, request, NULL, 0, &e);
	json_decref(request);
}

/* 0, or the exit status when it is time to leave at once. */
static int take_signal(struct run *run)
{
	struct signalfd_siginfo info;

	if (read(run->signal_fd, &info, sizeof(info)) != sizeof(info))
		return 0;
	if (!run->signo)
		run->signo = (int)info.ssi_signo;
	if (run->task) /* only output that nobody takes is left */
		return 128 + run->signo;
	if (run->forced) {
		ctl_say("left task %s behind: it was told to end, and the daemon does not answer",
			*run->id ? run->id : "(not accepted yet)");
		return 128 + run->signo;
	}
	ask_to_end(run, run->cancelled);
	return 0;
}

/* At its start, and in the end once more with what has come to it. */
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
			return err_set(e, ERR_INTERNAL, 0, "the daemon's last word has no task");
	}
	return r;
}

/* The front was killed: the task goes on, and a new front knows it. */
static int lost_daemon(struct run *run, struct err *e)
{
	ctl_close(&run->conn);
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

/* The copier has ended: with the log, or because its output cannot be written. */
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

/* Milliseconds until the next thing that is due by the clock; -1 when nothing is. */
static int next_timeout(const struct run *run)
{
	uint64_t now = util_monotonic_ns(), at = UINT64_MAX;

	if (run->give_up)
		return CTL_RETRY_MS;
	if (run->task)
		at = run->log_late;
	else if (run->kill_at && !run->forced)
		at = run->kill_at;
	if (at == UINT64_MAX)
		return -1;
	return at > now ? (int)((at - now) / 1000000) + 1 : 0;
}

/* 0 when the task and its log have ended (or, detached, when it is accepted); 1 and *ret
 * when a signal ends us at once; -errno. */
static int run_loop(struct run *run, int *ret, struct err *e)
{
	int r;

	while (!run->task || run->copying) {
		struct pollfd pfd[] = {{run->signal_fd, POLLIN, 0},
				       {run->task ? -1 : run->conn.fd, POLLIN, 0},
				       {run->copying ? run->log_fd : -1, POLLIN, 0}};

		if (poll(pfd, ARRAY_SIZE(pfd), next_timeout(run)) < 0 && errno != EINTR)
			return err_set(e, ERR_SYSTEM, errno, "poll");
		if (pfd[0].revents) {
			*ret = take_signal(run);
			if (*ret)
				return 1;
		}
		if (pfd[2].revents)
			log_ended(run);
		r = 0;
		if (!run->task && run->conn.fd >= 0)
			r = read_replies(run, e);
		else if (!run->task)
			r = try_reconnect(run, e);
		if (r < 0 || (run->detach && *run->id))
			return r;
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

/* What a person should know of how it ended; nothing where its own status says all. */
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
		ctl_say("task %s: its disk of %.1f MiB was full", run->id,
			json_number_value(json_object_get(limits, "disk")) / (1 << 20));
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
	/* Who ended it knows how the task took it from its log, and scripts must see that it
	 * was ended, even where the task made an orderly 0 of it. */
	if (run->signo)
		return 128 + run->signo;
	if (run->log_ended && run->log_status == -EPIPE)
		return 128 + SIGPIPE;
	if (run->log_ended && run->log_status < 0)
		return err_exit_status(run->log_err.code);
	return ctl_task_exit_status(run->task);
}

/* A terminal, or 2>&1: then the task's two streams are one as well, and whatever it runs keeps the
 * order of its writing. */
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
	int r, fds[2];

	r = log ? follow_socket(&run->follow, &theirs, e) : 0;
	if (r == 0)
		r = ctl_connect(run->ctl, &run->conn, e);
	if (r < 0)
		return r;
	if (log)
		fds[n_fds++] = theirs;
	if (spec->package_fd >= 0)
		fds[n_fds++] = spec->package_fd;
	request = json_pack("{s:s, s:s, s:b, s:b, s:b, s:b}", "op", "run", "image", spec->image,
			    "detach", run->detach, "log", log, "package", spec->package_fd >= 0,
			    "together", log && is_one_file());
	if (!request)
		return err_set(e, ERR_INPUT, 0, "image: must be UTF-8 text");
	if (spec->project &&
	    json_object_set_new(request, "project", json_string(spec->project)) < 0) {
		json_decref(request);
		return err_set(e, ERR_INPUT, 0, "--project: must be UTF-8 text");
	}
	/* Its payload goes as it came. */
	task = task_spec_dump(spec->task);
	text = task ? json_raw_join("task", task, request) : NULL;
	json_decref(request);
	return ctl_send_text(&run->conn, text, fds, n_fds, e);
}

static int run_task(struct run *run, struct run_spec *spec)
{
	struct err e = {0};
	int status = 0, r;

	r = send_task(run, spec, &e);
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

int ctl_run(struct ctl *ctl, int argc, char **argv)
{
	struct run run = {.ctl = ctl, .conn = CTL_CONN_INIT, .signal_fd = -1, .log_fd = -1};
	struct log_client_options opts;
	struct run_spec spec;
	sigset_t signals;
	int status = run_spec_read(&spec, argc, argv);

	run.detach = spec.detach;
	log_client_defaults(&opts);
	if (status == 0 && follow_init(&run.follow, ctl, "", &opts) < 0)
		status = err_exit_status(ERR_SYSTEM);
	if (status == 0) {
		/* Until here Ctrl-C just ends us: nothing has been asked yet. A hang-up
		 * (SIGHUP) always does, and leaves the task to go on. */
		(void)sigemptyset(&signals);
		(void)sigaddset(&signals, SIGINT);
		(void)sigaddset(&signals, SIGTERM);
		(void)sigprocmask(SIG_BLOCK, &signals, NULL);
		run.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
		run.log_fd = eventfd(0, EFD_CLOEXEC);
		status = run_task(&run, &spec);
	}
	run_spec_clear(&spec);
	/* The copier may be blocked in a write that nobody takes: end under it, at once. */
	if (run.copying)
		_exit(status);
	ctl_close(&run.conn);
	json_decref(run.task);
	follow_clear(&run.follow);
	util_close_fd(&run.signal_fd);
	util_close_fd(&run.log_fd);
	return status;
}
