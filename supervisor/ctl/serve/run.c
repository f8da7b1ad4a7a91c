// SPDX-License-Identifier: Apache-2.0
/* One run of this command: its connection to the daemon, the channel to its code, and its log. */
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/fdpass.h"
#include "lib/json_raw.h"
#include "lib/json_strict.h"
#include "spec/task_spec.h"
#include "supervisor/ctl/follow.h"
#include "supervisor/ctl/serve/serve.h"

/* What is taken from one run before others have their turn. */
#define FRAMES_A_TURN 32u
/* Bytes that may wait for code that does not read them. */
#define OUT_MAX (64u << 20)
/* Nothing more is read of a run while so much of what it has asked for is not done, or was not taken by
 * it. */
#define HELD_MAX (32u << 20)
/* How long a run may go on after its channel. */
#define LOST_NS (2 * SEC)
/* How long the log's end is waited for after the run's. */
#define LOG_WAIT_NS (10 * SEC)

/* Has a thread of its own, because a write to a terminal may wait for any time. */
struct log_copy {
	struct follow follow;
	int done; /* an eventfd: the thread is over, and has let go of this */
};

struct want {
	STAILQ_ENTRY(want) next;
	served_connected done;
	void *arg;
};

struct served {
	struct ctl *ctl;
	sd_event *loop;
	struct served_calls calls;
	void *arg;
	char id[TASK_ID_LEN + 1];
	struct ctl_conn conn;
	sd_event_source *conn_io;
	int link;
	sd_event_source *link_io;
	STAILQ_HEAD(, want) wants;
	int channel; /* -1: it is not there yet, or no more */
	sd_event_source *channel_io;
	struct serve_in in;
	struct serve_out out;
	size_t held; /* served_hold */
	bool build, lost;
	bool ended;    /* nothing is told but over */
	bool finished; /* the run is over */
	char *error;   /* of the run */
	int exit_code;
	struct log_copy *log;
	sd_event_source *log_io; /* NULL: the log has ended */
	sd_event_source *later;	 /* the last step, or log_late */
};

const char *served_id(const struct served *s)
{
	return s->id;
}

static void want_all(struct served *s)
{
	while (!STAILQ_EMPTY(&s->wants)) {
		struct want *w = STAILQ_FIRST(&s->wants);

		STAILQ_REMOVE_HEAD(&s->wants, next);
		w->done(w->arg, -1);
		free(w);
	}
}

static void channel_close(struct served *s)
{
	s->channel_io = sd_event_source_disable_unref(s->channel_io);
	util_close_fd(&s->channel);
	serve_in_clear(&s->in);
	serve_out_clear(&s->out);
}

static void link_close(struct served *s)
{
	s->link_io = sd_event_source_disable_unref(s->link_io);
	util_close_fd(&s->link);
	want_all(s);
}

static int end_late(sd_event_source *source, uint64_t usec, void *arg)
{
	(void)source;
	(void)usec;
	served_end(arg);
	return 0;
}

/* Mostly the run is over, of which the daemon tells. One that goes on could not be told anything any
 * more. */
static void channel_lost(struct served *s)
{
	if (s->lost)
		return;
	s->lost = true;
	channel_close(s);
	if (!s->finished && !s->later)
		(void)sd_event_add_time_relative(s->loop, &s->later, CLOCK_MONOTONIC,
						 LOST_NS / 1000, 0, end_late, s);
}

static void log_free(struct log_copy *l)
{
	if (!l)
		return;
	follow_clear(&l->follow);
	util_close_fd(&l->done);
	free(l);
}

static void served_free(struct served *s)
{
	s->ended = true;
	log_free(s->log);
	channel_close(s);
	link_close(s);
	s->conn_io = sd_event_source_disable_unref(s->conn_io);
	ctl_close(&s->conn);
	s->log_io = sd_event_source_disable_unref(s->log_io);
	(void)sd_event_source_disable_unref(s->later);
	free(s->error);
	free(s);
}

static int tell_over(sd_event_source *source, uint64_t usec, void *arg)
{
	struct served *s = arg;
	const struct served_calls calls = s->calls;
	void *whose = s->arg;
	char *error = TAKE_PTR(s->error);
	const int code = s->exit_code;

	(void)source;
	(void)usec;
	served_free(s);
	calls.over(whose, error ? error : "", code);
	free(error);
	return 0;
}

static void over_in(struct served *s, uint64_t ns)
{
	s->later = sd_event_source_disable_unref(s->later);
	(void)sd_event_add_time_relative(s->loop, &s->later, CLOCK_MONOTONIC, ns / 1000, 1,
					 tell_over, s);
}

static bool is_full(const struct served *s)
{
	return s->held + s->out.bytes >= HELD_MAX;
}

/* 0; -ECONNRESET: it has closed its channel; -EPROTO: it has sent what is no frame. */
static int receive(struct served *s)
{
	for (unsigned n = 0; n < FRAMES_A_TURN && s->channel >= 0 && !is_full(s);) {
		json_auto_t *head = NULL;
		const char *op;
		struct err e = {0};
		int r = serve_in_recv(&s->in, s->channel);

		if (r < 0)
			return r == -EAGAIN ? 0 : r;
		if (r == 0)
			continue;
		if (json_strict_load("frame", s->in.head, s->in.head_len, SERVE_HEAD_MAX, &head,
				     &e) < 0)
			return -EPROTO;
		op = json_string_value(json_object_get(head, "op"));
		if (!op)
			return -EPROTO;
		if (!s->ended)
			s->calls.frame(s->arg, op, head, s->in.body, s->in.body_len);
		if (s->channel >= 0)
			serve_in_next(&s->in);
		n++;
	}
	return 0;
}

static void channel_watch(struct served *s)
{
	if (s->channel_io)
		(void)sd_event_source_set_io_events(
			s->channel_io, (is_full(s) ? 0 : EPOLLIN) | (s->out.first ? EPOLLOUT : 0));
}

void served_hold(struct served *s, size_t more, size_t less)
{
	s->held += more - less;
	channel_watch(s);
}

static int channel_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct served *s = arg;
	int r = 0;

	(void)source;
	(void)fd;
	if (events & EPOLLOUT && s->out.first && serve_out_send(&s->out, s->channel) < 0)
		r = -ECONNRESET;
	/* It would be told of again and again, with nothing to be done about it. */
	if (events & (EPOLLHUP | EPOLLERR) && is_full(s))
		r = -ECONNRESET;
	if (r == 0 && events & (EPOLLIN | EPOLLHUP | EPOLLERR))
		r = receive(s);
	if (r == 0)
		channel_watch(s);
	else if (r == -ECONNRESET)
		channel_lost(s);
	else
		served_end(s);
	return 0;
}

static void channel_open(void *arg, int fd)
{
	struct served *s = arg;

	if (fd < 0 || s->ended) {
		util_close_fd(&fd);
		channel_lost(s);
		return;
	}
	(void)fcntl(fd, F_SETFL, O_NONBLOCK);
	s->channel = fd;
	/* By this byte, which no HTTP client begins with, an instance knows its channel. */
	if ((!s->build && send(fd, "", 1, MSG_NOSIGNAL) != 1) ||
	    sd_event_add_io(s->loop, &s->channel_io, fd, EPOLLIN, channel_ready, s) < 0)
		channel_lost(s);
	else
		channel_watch(s);
}

void served_send(struct served *s, json_t *head, const void *body, size_t len)
{
	_cleanup_free_ char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;

	json_decref(head);
	if (s->lost || s->ended)
		return;
	if (!text || s->out.bytes > OUT_MAX ||
	    serve_out_add(&s->out, text, strlen(text), body, len) < 0)
		served_end(s); /* it does not read what it has asked for */
	else
		channel_watch(s);
}

void served_connect(struct served *s, served_connected done, void *arg)
{
	struct want *w = s->link >= 0 ? calloc(1, sizeof(*w)) : NULL;

	if (!w || send(s->link, "c", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1) {
		free(w);
		done(arg, -1);
		return;
	}
	*w = (struct want){.done = done, .arg = arg};
	STAILQ_INSERT_TAIL(&s->wants, w, next);
}

static int link_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct served *s = arg;
	struct want *w = STAILQ_FIRST(&s->wants);
	int given = -1, n = 1;
	char answer = 0;
	const ssize_t got = fds_receive(fd, &answer, 1, &given, &n, MSG_DONTWAIT);

	(void)source;
	(void)events;
	if (got == -EAGAIN)
		return 0;
	if (n != 1 || answer != '+')
		util_close_fd(&given);
	/* The run is over, of which the connection tells. */
	if (got <= 0 || !w) {
		util_close_fd(&given);
		link_close(s);
		return 0;
	}
	STAILQ_REMOVE_HEAD(&s->wants, next);
	w->done(w->arg, given);
	free(w);
	return 0;
}

/* The log. */

static void *copy_log(void *arg)
{
	struct log_copy *l = arg;
	const uint64_t one = 1;
	const int done = l->done;
	struct err e = {0};

	(void)follow_copy(&l->follow, &e);
	follow_clear(&l->follow);
	free(l);
	(void)util_write_all(done, &one, sizeof(one));
	return NULL;
}

static int log_ended(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct served *s = arg;

	(void)source;
	(void)events;
	s->log_io = sd_event_source_disable_unref(s->log_io);
	util_close_fd(&fd);
	if (s->finished)
		over_in(s, 0);
	return 0;
}

static int start_log(struct served *s)
{
	struct log_copy *l = TAKE_PTR(s->log);
	pthread_t thread = 0;
	int r;

	(void)snprintf(l->follow.id, sizeof(l->follow.id), "%s", s->id);
	r = sd_event_add_io(s->loop, &s->log_io, l->done, EPOLLIN, log_ended, s);
	if (r == 0)
		r = -pthread_create(&thread, NULL, copy_log, l);
	if (r < 0) {
		s->log_io = sd_event_source_disable_unref(s->log_io);
		log_free(l);
		return r;
	}
	(void)pthread_detach(thread);
	return 0;
}

/* The daemon. */

static bool is_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};

	return fd >= 0 && poll(&p, 1, 0) > 0;
}

/* The run is over. What it has said before that is taken first. */
static void finish(struct served *s, const char *error, int exit_code)
{
	if (s->finished)
		return;
	s->finished = true;
	s->error = strdup(error);
	s->exit_code = exit_code;
	while (!STAILQ_EMPTY(&s->wants) && is_readable(s->link))
		(void)link_ready(NULL, s->link, EPOLLIN, s);
	while (is_readable(s->channel) && !is_full(s) && receive(s) == 0)
		;
	channel_lost(s);
	link_close(s);
	over_in(s, s->log_io ? LOG_WAIT_NS : 0);
}

static void take_event(struct served *s, const json_t *reply)
{
	const char *event = ctl_text(reply, "event");
	const json_t *task = json_object_get(reply, "task"), *start;
	struct err e = {0};

	if (ctl_reply_check(reply, &e) < 0) {
		finish(s, e.msg, -1);
	} else if (strcmp(event, "accepted") == 0) {
		(void)snprintf(s->id, sizeof(s->id), "%s", ctl_text(reply, "id"));
		if (start_log(s) < 0)
			served_end(s);
	} else if (strcmp(event, "started") == 0 && !s->ended && s->calls.started) {
		start = json_object_get(reply, "start");
		s->calls.started(s->arg, ctl_text(start, "mode"),
				 json_number_value(json_object_get(start, "ms")));
	} else if (strcmp(event, "finished") == 0) {
		finish(s, ctl_text(task, "error"),
		       (int)json_integer_value(json_object_get(task, "exit_code")));
	}
}

static int conn_ready(sd_event_source *source, int fd, uint32_t events, void *arg)
{
	struct served *s = arg;
	struct err e = {0};
	json_t *reply;
	int r;

	(void)source;
	(void)fd;
	(void)events;
	while (!s->finished && (r = ctl_read(&s->conn, &reply, &e)) != 0) {
		if (r < 0) {
			/* Its runs end with the daemon's front. */
			finish(s, "the daemon went away", -1);
			break;
		}
		take_event(s, reply);
		json_decref(reply);
	}
	if (s->finished)
		(void)sd_event_source_set_enabled(s->conn_io, SD_EVENT_OFF);
	return 0;
}

void served_end(struct served *s)
{
	if (s->ended)
		return;
	s->ended = true;
	channel_close(s);
	link_close(s);
}

static int begin(struct served *s, const struct served_spec *spec, struct err *e)
{
	_cleanup_fd_ int log = -1, link = -1;
	_cleanup_free_ char *task = NULL, *text = NULL;
	struct log_client_options opts;
	json_auto_t *request = NULL;
	int pair[2], fds[4], r;

	log_client_defaults(&opts);
	/* Other runs and this command print there, too. */
	opts.out_turn = ctl_turn(STDOUT_FILENO);
	opts.err_turn = ctl_turn(STDERR_FILENO);
	s->log = calloc(1, sizeof(*s->log));
	if (!s->log)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot follow a log");
	s->log->done = eventfd(0, EFD_CLOEXEC);
	if (follow_init(&s->log->follow, s->ctl, "", &opts) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot follow a log");
	if (s->log->done < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
	s->link = pair[0];
	link = pair[1];
	r = follow_socket(&s->log->follow, &log, e);
	if (r == 0)
		r = ctl_connect(s->ctl, &s->conn, e);
	if (r < 0)
		return r;
	fds[0] = log;
	fds[1] = link;
	fds[2] = spec->package_fd;
	fds[3] = spec->input_fd;
	(void)lseek(spec->package_fd, 0, SEEK_SET);
	request = json_pack("{s:s, s:s, s:s, s:b}", "op", "serve", "project", spec->project,
			    "image", spec->image, "build", spec->build);
	task = task_spec_dump(spec->task);
	text = task && request ? json_raw_join("task", task, request) : NULL;
	r = ctl_send_text(&s->conn, text, fds, spec->input_fd < 0 ? 3 : 4, e);
	if (r < 0)
		return r;
	r = sd_event_add_io(s->loop, &s->conn_io, s->conn.fd, EPOLLIN, conn_ready, s);
	if (r == 0)
		r = sd_event_add_io(s->loop, &s->link_io, s->link, EPOLLIN, link_ready, s);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "cannot watch the daemon") : 0;
}

int served_start(struct ctl *ctl, sd_event *loop, const struct served_spec *spec,
		 const struct served_calls *calls, void *arg, struct served **ret, struct err *e)
{
	struct served *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot begin a run");
	*s = (struct served){.ctl = ctl,
			     .loop = loop,
			     .calls = *calls,
			     .arg = arg,
			     .build = spec->build,
			     .conn = CTL_CONN_INIT,
			     .link = -1,
			     .channel = -1,
			     .in.body_max = SERVE_BODY_MAX};
	STAILQ_INIT(&s->wants);
	r = begin(s, spec, e);
	if (r < 0) {
		served_free(s);
		return r;
	}
	*ret = s;
	/* A build's is given unasked. */
	if (spec->build) {
		struct want *w = calloc(1, sizeof(*w));

		if (w) {
			*w = (struct want){.done = channel_open, .arg = s};
			STAILQ_INSERT_TAIL(&s->wants, w, next);
		}
	} else {
		served_connect(s, channel_open, s);
	}
	return 0;
}
