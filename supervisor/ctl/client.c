// SPDX-License-Identifier: Apache-2.0
/* Talks to the daemon: frames of JSON over the control socket (wire/proto.h). */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "supervisor/ctl/ctl.h"

#define CALL_TIMEOUT_MS 30000

int ctl_connect(struct ctl *ctl, struct ctl_conn *conn, struct err *e)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	_cleanup_fd_ int fd = -1;

	if (strlen(ctl->socket_path) >= sizeof(addr.sun_path))
		return err_set(e, ERR_USAGE, 0, "--socket %s: the path is longer than %zu bytes",
			       ctl->socket_path, sizeof(addr.sun_path) - 1);
	strcpy(addr.sun_path, ctl->socket_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "cannot make a socket");
	while (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) < 0) {
		if (errno == EINTR)
			continue;
		if (errno == EACCES || errno == EPERM)
			return err_set(e, ERR_DENIED, errno,
				       "%s: only root and members of the group sandboxd may ask "
				       "the daemon",
				       ctl->socket_path);
		return err_set(e, ERR_UNAVAILABLE, errno,
			       "no daemon answers at %s (systemctl start sandboxd, or sandboxd "
			       "--detach)",
			       ctl->socket_path);
	}
	*conn = (struct ctl_conn){.fd = TAKE_FD(fd), .stop_fd = conn->stop_fd};
	return 0;
}

void ctl_close(struct ctl_conn *conn)
{
	util_close_fd(&conn->fd);
	frame_clear(&conn->in);
}

int ctl_send(struct ctl_conn *conn, const json_t *request, const int *fds, unsigned n_fds,
	     struct err *e)
{
	_cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);

	return ctl_send_text(conn, text, fds, n_fds, e);
}

int ctl_send_text(struct ctl_conn *conn, const char *text, const int *fds, unsigned n_fds,
		  struct err *e)
{
	size_t len;
	int r;

	if (!text)
		return err_set(e, ERR_INTERNAL, ENOMEM, "cannot write the request as JSON");
	len = strlen(text);
	if (len > CONTROL_FRAME_MAX || n_fds > PROTO_FDS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the request has %zu bytes; the daemon takes at most %u", len,
			       CONTROL_FRAME_MAX);
	r = frame_send(conn->fd, text, len, fds, n_fds, conn->stop_fd);
	if (r < 0)
		return err_set(e, ERR_UNAVAILABLE, -r, "the daemon did not take the request");
	return 0;
}

static int take_reply(struct ctl_conn *conn, json_t **ret_reply, struct err *e)
{
	json_error_t error;
	json_t *reply = json_loadb(conn->in.body, conn->in.len, JSON_REJECT_DUPLICATES, &error);

	frame_clear(&conn->in);
	if (!json_is_object(reply)) {
		json_decref(reply);
		return err_set(e, ERR_INTERNAL, 0, "the daemon's answer is not a JSON object");
	}
	*ret_reply = reply;
	return 1;
}

int ctl_read(struct ctl_conn *conn, json_t **ret_reply, struct err *e)
{
	int r;

	while ((r = frame_recv(&conn->in, conn->fd)) == 0)
		;
	if (r == 1)
		return take_reply(conn, ret_reply, e);
	if (r == -EAGAIN)
		return 0;
	if (r == -EPROTO)
		return err_set(e, ERR_INTERNAL, 0,
			       "the daemon's answer is out of bounds (%zu bytes)", conn->in.len);
	if (r == -ENOMEM)
		return err_set(e, ERR_SYSTEM, ENOMEM, "the daemon's answer");
	(void)err_set(e, ERR_UNAVAILABLE, 0, "the daemon closed the connection before it answered");
	return -ECONNRESET;
}

/* Waits for the next whole answer; timeout_ms -1: without a limit. */
static int ctl_recv(struct ctl_conn *conn, int timeout_ms, json_t **ret_reply, struct err *e)
{
	uint64_t end = util_monotonic_ns() + (uint64_t)timeout_ms * MSEC;
	struct pollfd pfd = {.fd = conn->fd, .events = POLLIN};
	int r, left = timeout_ms;

	while ((r = ctl_read(conn, ret_reply, e)) == 0) {
		if (timeout_ms >= 0) {
			uint64_t now = util_monotonic_ns();

			left = now < end ? (int)((end - now) / MSEC) + 1 : 0;
		}
		r = poll(&pfd, 1, left);
		if (r < 0 && errno != EINTR)
			return err_set(e, ERR_SYSTEM, errno, "poll");
		if (r == 0)
			return err_set(e, ERR_UNAVAILABLE, ETIMEDOUT,
				       "the daemon did not answer within %d s", timeout_ms / 1000);
	}
	return r < 0 ? r : 0;
}

int ctl_reply_check(const json_t *reply, struct err *e)
{
	const char *code, *text;

	if (json_is_true(json_object_get(reply, "ok")))
		return 0;
	code = json_string_value(json_object_get(reply, "code"));
	text = json_string_value(json_object_get(reply, "error"));
	for (int i = ERR_NONE + 1; code && i < ERR_CODE_MAX; i++)
		if (!strcmp(code, err_code_name((enum err_code)i)))
			return err_set(e, (enum err_code)i, 0, "%s", text ? text : code);
	return err_set(e, ERR_INTERNAL, 0, "%s", text ? text : "the daemon's answer has no \"ok\"");
}

int ctl_call_once(struct ctl *ctl, const json_t *request, const int *fds, unsigned n_fds,
		  int timeout_ms, json_t **ret_reply, struct err *e)
{
	struct ctl_conn conn = CTL_CONN_INIT;
	int r = ctl_connect(ctl, &conn, e);

	if (r < 0)
		return r;
	r = ctl_send(&conn, request, fds, n_fds, e);
	if (r == -EPIPE)
		r = -ECONNRESET;
	if (r == 0)
		r = ctl_recv(&conn, timeout_ms, ret_reply, e);
	ctl_close(&conn);
	return r;
}

int ctl_ask(struct ctl *ctl, json_t *request, const char *key, json_type type, json_t **ret_reply,
	    json_t **ret, struct err *e)
{
	json_t *reply = NULL;
	int r = ctl_call(ctl, request, NULL, 0, &reply, e);

	if (r < 0)
		return r;
	*ret = json_object_get(reply, key);
	if (!*ret || json_typeof(*ret) != type) {
		json_decref(reply);
		return err_set(e, ERR_INTERNAL, 0, "the daemon's answer has no \"%s\"", key);
	}
	*ret_reply = reply;
	return 0;
}

int ctl_call(struct ctl *ctl, json_t *request, const int *fds, unsigned n_fds, json_t **ret_reply,
	     struct err *e)
{
	const char *op = ctl_text(request, "op");
	bool patient = !strcmp(op, "wait") || !strcmp(op, "warm");
	uint64_t give_up = 0;
	json_t *reply = NULL;
	int r;

	/* json_pack returns NULL for a word that is not UTF-8 text. */
	if (!request)
		return err_set(e, ERR_INPUT, 0, "what is asked for must be UTF-8 text");
	/*
	 * A front that was killed comes back within moments, on the same socket. Every op that
	 * comes through here may be asked twice.
	 */
	for (;;) {
		r = ctl_call_once(ctl, request, fds, n_fds, patient ? -1 : CALL_TIMEOUT_MS, &reply,
				  e);
		if (r == -ECONNRESET && (patient || !give_up))
			give_up = util_monotonic_ns() + CTL_RETRY_FOR_NS;
		if (!give_up || util_monotonic_ns() > give_up ||
		    (r != -ECONNRESET && r != -ECONNREFUSED && r != -ENOENT))
			break;
		(void)poll(NULL, 0, CTL_RETRY_MS);
	}
	if (r == 0)
		r = ctl_reply_check(reply, e);
	if (r == 0 && ret_reply)
		*ret_reply = json_incref(reply);
	json_decref(reply);
	json_decref(request);
	return r;
}
