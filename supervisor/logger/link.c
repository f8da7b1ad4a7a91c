// SPDX-License-Identifier: Apache-2.0
/* The sockets to the monitor and the front. */
#include <string.h>
#include <sys/epoll.h>

#include "lib/msg.h"
#include "supervisor/logger/internal.h"
#include "wire/chan.h"

#define MESSAGES_PER_TURN 32

static void due_remove_all(struct logger *l)
{
	struct log_task *next;

	for (struct log_task *t = l->due; t; t = next) {
		next = t->due_next;
		t->end_due = false;
		task_release(t);
	}
	l->due = NULL;
	l->due_tail = &l->due;
}

/* Ends that were still to be told are not lost: a new front asks for them by LOG_FINISH. */
static void link_front_close(struct logger *l)
{
	l->front_io = sd_event_source_disable_unref(l->front_io);
	util_close_fd(&l->front_sock);
	due_remove_all(l);
}

static int end_send(struct logger *l, const struct log_task *t)
{
	union proto_msg m = {0};
	struct log_end *end = &m.log_end;

	proto_init(&m, LOG_END);
	memcpy(end->id, t->id, sizeof(end->id));
	if (log_files_are_open(&t->files))
		log_files_totals(&t->files, &end->lines, &end->bytes, &end->dropped);
	end->disk = log_files_disk(&t->files);
	end->bytes += t->lost;
	end->dropped += t->lost;
	return proto_send(l->front_sock, &m, NULL, 0);
}

static void link_send_due(struct logger *l)
{
	while (l->due) {
		struct log_task *t = l->due;
		int r = end_send(l, t);

		if (r == -EAGAIN) {
			/* The front does not take what is sent to it, so nothing more is read from
			 * it either. */
			(void)sd_event_source_set_io_events(l->front_io, EPOLLOUT);
			return;
		}
		if (r < 0) {
			link_front_close(l);
			return;
		}
		l->due = t->due_next;
		if (!l->due)
			l->due_tail = &l->due;
		t->end_due = false;
		task_release(t);
	}
	if (l->front_io)
		(void)sd_event_source_set_io_events(l->front_io, EPOLLIN);
}

void link_end_due(struct log_task *t)
{
	struct logger *l = t->logger;

	if (l->front_sock < 0 || t->end_due)
		return;
	t->end_due = true;
	t->due_next = NULL;
	*l->due_tail = t;
	l->due_tail = &t->due_next;
	/* Sent later in this turn of the loop: sending frees tasks, and the caller still uses
	 * one. */
	(void)sd_event_source_set_enabled(l->due_defer, SD_EVENT_ONESHOT);
}

static int due_event(sd_event_source *source, void *userdata)
{
	(void)source;
	link_send_due(userdata);
	return 0;
}

static void handle_follow(struct logger *l, const struct log_follow *req, int fd)
{
	struct log_task *t = task_get(l, req->id);
	int r;

	if (!t) {
		util_close_fd(&fd);
		return;
	}
	/* The front knows that the task is over, so a log that has no end gets one. */
	if (!req->live && !t->ended)
		task_end_without_pipes(t);
	r = follower_new(t, fd, req);
	/* Nothing is logged about a bad descriptor of a client's: a client could fill the journal
	 * with that. */
	if (r == -EMFILE || r == -ENOMEM)
		msg_warn("log %s: no room for one more follower", t->id);
	task_release(t);
}

static void handle_finish(struct logger *l, const struct log_id *req)
{
	struct log_task *t = task_get(l, req->id);

	if (!t)
		return;
	task_end_without_pipes(t);
	task_release(t);
}

static void handle_delete(struct logger *l, const struct log_id *req)
{
	struct log_task *t = task_find(l, req->id);
	int r;

	if (t && task_has_pipes(t)) {
		t->delete_after = true;
		return;
	}
	/* Followers read on from files that they hold open, which stay until they are closed. */
	r = log_files_delete(l->logs_dirfd, req->id);
	if (r < 0)
		msg_err("log %s: cannot be deleted: %s", req->id, strerror(-r));
}

static void front_message(struct logger *l, const union proto_msg *m, int fds[PROTO_FDS_MAX])
{
	switch (m->h.type) {
	case LOG_FOLLOW:
		handle_follow(l, &m->log_follow, TAKE_FD(fds[0]));
		break;
	case LOG_FINISH:
		handle_finish(l, &m->log_id);
		break;
	case LOG_DELETE:
		handle_delete(l, &m->log_id);
		break;
	}
}

static int front_event(sd_event_source *io, int fd, uint32_t events, void *userdata)
{
	struct logger *l = userdata;
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n_fds;

	(void)io;
	if (events & EPOLLOUT)
		link_send_due(l);
	for (int i = 0; i < MESSAGES_PER_TURN && l->front_sock == fd && !l->due; i++) {
		int r = proto_recv(fd, ROLE_FRONT, ROLE_LOGGER, &m, fds, &n_fds);

		if (r == -EAGAIN)
			break;
		if (r == -EMFILE) {
			msg_err("front: no descriptor left for a follower (RLIMIT_NOFILE)");
			continue;
		}
		if (r < 0) {
			if (r == -EPROTO)
				msg_err("front: sent a message that its protocol does not allow; "
					"connection closed");
			link_front_close(l);
			break;
		}
		front_message(l, &m, fds);
	}
	return 0;
}

static void handle_open(struct logger *l, const struct log_open *req, int fds[PROTO_FDS_MAX])
{
	struct log_task *t = task_get(l, req->id);
	int r = t ? task_open(t, req->cap, req->ring != 0, TAKE_FD(fds[0]), TAKE_FD(fds[1]))
		  : -ENOMEM;

	if (r < 0)
		msg_err("log %s: %s", req->id, strerror(-r));
	if (!t || task_has_pipes(t))
		return;
	task_end(t);
	task_release(t);
}

static void monitor_message(struct logger *l, const union proto_msg *m, int fds[PROTO_FDS_MAX])
{
	int r;

	switch (m->h.type) {
	case LOG_OPEN:
		handle_open(l, &m->log_open, fds);
		break;
	case ROLE_PEER:
		link_front_close(l);
		l->front_sock = TAKE_FD(fds[0]);
		r = sd_event_add_io(l->event, &l->front_io, l->front_sock, EPOLLIN, front_event, l);
		if (r < 0) {
			msg_err("front: %s", strerror(-r));
			link_front_close(l);
		}
		break;
	}
}

static int monitor_event(sd_event_source *io, int fd, uint32_t events, void *userdata)
{
	struct logger *l = userdata;
	int fds[PROTO_FDS_MAX];
	union proto_msg m;
	unsigned n_fds;

	(void)io;
	(void)events;
	for (int i = 0; i < MESSAGES_PER_TURN; i++) {
		int r = proto_recv(fd, ROLE_MONITOR, ROLE_LOGGER, &m, fds, &n_fds);

		if (r == -EAGAIN)
			break;
		if (r == -EMFILE) {
			msg_err("monitor: no descriptor left for a task's pipes (RLIMIT_NOFILE)");
			continue;
		}
		if (r < 0) {
			/* When the monitor ends, the logger ends; bytes in flight stay in pipes and
			 * files. */
			if (r != -ECONNRESET)
				msg_err("monitor: %s", strerror(-r));
			return sd_event_exit(l->event, r == -ECONNRESET ? 0 : 1);
		}
		monitor_message(l, &m, fds);
		for (unsigned k = 0; k < n_fds; k++)
			util_close_fd(&fds[k]); /* those that the handler has not taken */
	}
	return 0;
}

void links_stop(struct logger *l)
{
	link_front_close(l);
	l->due_defer = sd_event_source_disable_unref(l->due_defer);
	l->monitor_io = sd_event_source_disable_unref(l->monitor_io);
}

int links_start(struct logger *l)
{
	int r;

	l->due_tail = &l->due;
	r = sd_event_add_io(l->event, &l->monitor_io, l->monitor_sock, EPOLLIN, monitor_event, l);
	if (r < 0)
		return r;
	/* The pipes of a task are taken before anybody's question about its log. */
	r = sd_event_source_set_priority(l->monitor_io, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		return r;
	r = sd_event_add_defer(l->event, &l->due_defer, due_event, l);
	if (r < 0)
		return r;
	return sd_event_source_set_enabled(l->due_defer, SD_EVENT_OFF);
}
