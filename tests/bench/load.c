/* SPDX-License-Identifier: Apache-2.0 */
/*
 * load [OPTION]... IMAGE TASK: runs the same task again and again, TASK being what a
 * task.json holds, and prints one JSON object about it.
 *
 *   --socket PATH    the daemon's control socket
 *   --at-once N      this many connections, each with one task at a time (1)
 *   --tasks N        end after so many
 *   --seconds N      submit nothing new after that
 *   --every-ms N     submit at this rate as long as a connection is free, not at once
 *   --hold           one task on each connection, in steps: see hold()
 *
 * One process and one thread for all connections: a sandboxctl for every task would be
 * most of what is measured. Nobody reads the tasks' output.
 */
#include <getopt.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

#define STALL_MS 10000 /* no task has started for so long: the others wait for their turn */

struct slot {
	struct ctl_conn conn;
	bool busy, started;
	uint64_t begin;
	char id[TASK_ID_LEN + 1];
};

struct load {
	struct ctl ctl;
	const char *image;
	json_t *request;
	unsigned at_once, n_busy, n_started;
	uint64_t tasks, seconds, every_ms;
	bool hold;
	struct slot *slots;
	struct pollfd *pfds;
	uint64_t submitted, late;
	/* for each task: [ms to the first bytecode, ms of the whole, mode, verdict] */
	json_t *ended;
	char warning[512];
};

static _Noreturn void die(const char *text)
{
	fprintf(stderr, "load: %s\n", text);
	exit(1);
}

static void join(struct load *l, unsigned i)
{
	struct err e = {0};

	if (ctl_connect(&l->ctl, &l->slots[i].conn, &e) < 0)
		die(e.msg);
	l->pfds[i] = (struct pollfd){l->slots[i].conn.fd, POLLIN, 0};
}

static void submit(struct load *l, struct slot *s)
{
	struct err e = {0};

	s->begin = util_monotonic_ns();
	s->busy = true;
	s->started = false;
	if (ctl_send(&s->conn, l->request, NULL, 0, &e) < 0)
		die(e.msg);
	l->n_busy++;
	l->submitted++;
}

static void take_end(struct load *l, struct slot *s, const json_t *task)
{
	const json_t *start = json_object_get(task, "start");
	json_t *sample =
		json_pack("[O?, f, O?, O?]", json_object_get(start, "ms"),
			  (double)(util_monotonic_ns() - s->begin) / 1e6,
			  json_object_get(start, "mode"), json_object_get(task, "verdict"));
	const char *warning = ctl_text(task, "warning");

	if (!sample || json_array_append_new(l->ended, sample) < 0)
		die("no memory");
	if (!*warning)
		warning = ctl_text(task, "error");
	if (*warning && !*l->warning)
		(void)snprintf(l->warning, sizeof(l->warning), "%s", warning);
	s->busy = false;
	l->n_busy--;
}

static void take_reply(struct load *l, struct slot *s, const json_t *reply)
{
	const char *event = ctl_text(reply, "event");
	struct err e = {0};

	if (json_object_get(reply, "tag")) /* the answer to a cancel */
		return;
	if (ctl_reply_check(reply, &e) < 0)
		die(e.msg);
	if (!strcmp(event, "accepted")) {
		(void)snprintf(s->id, sizeof(s->id), "%s", ctl_text(reply, "id"));
	} else if (!strcmp(event, "started")) {
		s->started = true;
		l->n_started++;
	} else if (!strcmp(event, "finished")) {
		take_end(l, s, json_object_get(reply, "task"));
	}
}

/* Waits for replies and takes all that have come; false when none came in time. */
static bool take_replies(struct load *l, int timeout_ms)
{
	int r, n = poll(l->pfds, l->at_once, timeout_ms);

	for (unsigned i = 0; n > 0 && i < l->at_once; i++) {
		struct slot *s = &l->slots[i];
		struct err e = {0};
		json_t *reply;

		if (!l->pfds[i].revents)
			continue;
		while ((r = ctl_read(&s->conn, &reply, &e)) > 0) {
			take_reply(l, s, reply);
			json_decref(reply);
		}
		if (r < 0 && s->busy)
			die(e.msg);
		/* The daemon closes connections that ask for nothing for two minutes. */
		if (r < 0) {
			ctl_close(&s->conn);
			join(l, i);
		}
	}
	return n > 0;
}

static void connect_all(struct load *l)
{
	l->slots = calloc(l->at_once, sizeof(*l->slots));
	l->pfds = calloc(l->at_once, sizeof(*l->pfds));
	if (!l->slots || !l->pfds)
		die("no memory");
	for (unsigned i = 0; i < l->at_once; i++)
		join(l, i);
}

static bool more(const struct load *l, uint64_t begin)
{
	return (!l->tasks || l->submitted < l->tasks) &&
	       (!l->seconds || util_monotonic_ns() - begin < l->seconds * 1000000000u);
}

/* Each connection gets its next task as soon as its last one has ended. */
static void run_through(struct load *l, uint64_t begin)
{
	do {
		for (unsigned i = 0; i < l->at_once && more(l, begin); i++)
			if (!l->slots[i].busy)
				submit(l, &l->slots[i]);
		(void)take_replies(l, -1);
	} while (l->n_busy > 0 || more(l, begin));
}

/* Submits by the clock, whatever has become of earlier tasks; a task for which no connection is
 * free is counted. */
static void run_by_clock(struct load *l, uint64_t begin)
{
	uint64_t every = l->every_ms * 1000000u, due = begin;
	unsigned i;

	while (l->n_busy > 0 || more(l, begin)) {
		uint64_t now = util_monotonic_ns();
		int left = -1;

		if (more(l, begin) && now >= due) {
			for (i = 0; i < l->at_once && l->slots[i].busy; i++)
				;
			if (i < l->at_once) {
				submit(l, &l->slots[i]);
				l->late += now - due > every;
				due += every;
			}
		} else if (more(l, begin)) {
			left = (int)((due - now) / 1000000u) + 1;
		}
		(void)take_replies(l, left);
	}
}

static void say_and_wait(const char *word, unsigned n)
{
	char line[16];

	printf("%s %u\n", word, n);
	if (fflush(stdout) != 0 || !fgets(line, sizeof(line), stdin))
		die("nobody says how to go on");
}

/*
 * For a caller that measures tasks which are just there. Prints "connected N"; at a line of stdin
 * submits the tasks; prints "started N" when they run, or as many of them as the daemon lets run;
 * at another line ends all of them.
 */
static void hold(struct load *l)
{
	struct err e = {0};

	say_and_wait("connected", l->at_once);
	for (unsigned i = 0; i < l->at_once; i++)
		submit(l, &l->slots[i]);
	while (l->n_started < l->at_once && l->n_busy == l->at_once && take_replies(l, STALL_MS))
		;
	if (l->n_busy < l->at_once)
		die(*l->warning ? l->warning : "a task that should stay has ended");
	say_and_wait("started", l->n_started);
	for (unsigned i = 0; i < l->at_once; i++) {
		json_t *cancel = json_pack("{s:s, s:s, s:b, s:i}", "op", "cancel", "id",
					   l->slots[i].id, "force", 1, "tag", 1);

		if (ctl_send(&l->slots[i].conn, cancel, NULL, 0, &e) < 0)
			die(e.msg);
		json_decref(cancel);
	}
	while (l->n_busy > 0)
		(void)take_replies(l, -1);
}

static bool parse_options(struct load *l, int argc, char **argv)
{
	enum { O_SOCKET = 256, O_AT_ONCE, O_TASKS, O_SECONDS, O_EVERY, O_HOLD };
	static const struct option options[] = {{"socket", required_argument, NULL, O_SOCKET},
						{"at-once", required_argument, NULL, O_AT_ONCE},
						{"tasks", required_argument, NULL, O_TASKS},
						{"seconds", required_argument, NULL, O_SECONDS},
						{"every-ms", required_argument, NULL, O_EVERY},
						{"hold", no_argument, NULL, O_HOLD},
						{NULL, 0, NULL, 0}};
	json_error_t error;
	json_t *task;
	int c;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		uint64_t n = optarg ? strtoull(optarg, NULL, 10) : 0;

		if (c == O_SOCKET)
			l->ctl.socket_path = optarg;
		else if (c == O_AT_ONCE)
			l->at_once = (unsigned)n;
		else if (c == O_TASKS)
			l->tasks = n;
		else if (c == O_SECONDS)
			l->seconds = n;
		else if (c == O_EVERY)
			l->every_ms = n;
		else if (c == O_HOLD)
			l->hold = true;
		else
			return false;
	}
	if (argc != optind + 2 || !l->at_once || (!l->tasks && !l->seconds && !l->hold))
		return false;
	task = json_loads(argv[optind + 1], JSON_REJECT_DUPLICATES, &error);
	if (!task)
		die(error.text);
	l->request = json_pack("{s:s, s:s, s:o}", "op", "run", "image", argv[optind], "task", task);
	return l->request != NULL;
}

int main(int argc, char **argv)
{
	struct load l = {.ctl = {.socket_path = getenv("SANDBOXD_SOCKET")}, .at_once = 1};
	uint64_t begin;
	json_t *result;

	if (!l.ctl.socket_path)
		l.ctl.socket_path = "/run/sandboxd/control.sock";
	if (!parse_options(&l, argc, argv)) {
		fputs("usage: load [--socket PATH] [--at-once N] [--tasks N] [--seconds N] "
		      "[--every-ms N] [--hold] IMAGE TASK\n",
		      stderr);
		return 2;
	}
	l.ended = json_array();
	connect_all(&l);
	begin = util_monotonic_ns();
	if (l.hold)
		hold(&l);
	else if (l.every_ms)
		run_by_clock(&l, begin);
	else
		run_through(&l, begin);
	result = json_pack("{s:f, s:I, s:s, s:o}", "seconds",
			   (double)(util_monotonic_ns() - begin) / 1e9, "late", (json_int_t)l.late,
			   "warning", l.warning, "tasks", l.ended);
	if (!result || json_dumpf(result, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9)) < 0)
		die("no memory");
	putchar('\n');
	return ferror(stdout) || fflush(stdout) != 0;
}
