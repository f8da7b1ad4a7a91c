// SPDX-License-Identifier: Apache-2.0
/* Talking to the daemon: frames of JSON over the control socket (wire/proto.h). */
#include <endian.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "lib/fdpass.h"
#include "supervisor/ctl/ctl.h"
#include "wire/proto.h"

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
	*conn = (struct ctl_conn){.fd = TAKE_FD(fd)};
	return 0;
}

void ctl_close(struct ctl_conn *conn)
{
	util_close_fd(&conn->fd);
	free(conn->body);
	*conn = (struct ctl_conn)CTL_CONN_INIT;
}

/* The fds ride on the frame's first bytes, so they go with the first sendmsg. */
static int send_frame(int sock, const char *text, size_t len, const int *fds, unsigned n_fds)
{
	uint32_t head = htole32((uint32_t)len);
	struct iovec iov[2] = {{&head, sizeof(head)}, {(void *)text, len}};
	ssize_t n;

	while (iov[0].iov_len + iov[1].iov_len > 0) {
		n = fds_sendv(sock, iov, 2, fds, n_fds, 0);
		if (n < 0)
			return (int)n;
		n_fds = 0;
		for (int i = 0; i < 2; i++) {
			size_t part = (size_t)n < iov[i].iov_len ? (size_t)n : iov[i].iov_len;

			iov[i].iov_base = (char *)iov[i].iov_base + part;
			iov[i].iov_len -= part;
			n -= (ssize_t)part;
		}
	}
	return 0;
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
	r = send_frame(conn->fd, text, len, fds, n_fds);
	if (r < 0)
		return err_set(e, ERR_UNAVAILABLE, -r, "the daemon did not take the request");
	return 0;
}

static int take_reply(struct ctl_conn *conn, json_t **ret_reply, struct err *e)
{
	json_error_t error;
	json_t *reply = json_loadb(conn->body, conn->size - sizeof(conn->head),
				   JSON_REJECT_DUPLICATES, &error);

	free(conn->body);
	conn->body = NULL;
	conn->got = conn->size = 0;
	if (!json_is_object(reply)) {
		json_decref(reply);
		return err_set(e, ERR_INTERNAL, 0, "the daemon's answer is not a JSON object");
	}
	*ret_reply = reply;
	return 1;
}

int ctl_read(struct ctl_conn *conn, json_t **ret_reply, struct err *e)
{
	for (;;) {
		bool in_head = conn->got < sizeof(conn->head);
		void *to = in_head ? (void *)(conn->head + conn->got)
				   : (void *)(conn->body + conn->got - sizeof(conn->head));
		size_t want = (in_head ? sizeof(conn->head) : conn->size) - conn->got;
		ssize_t n = recv(conn->fd, to, want, MSG_DONTWAIT);
		uint32_t len;

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (n <= 0) {
			(void)err_set(e, ERR_UNAVAILABLE, 0,
				      "the daemon closed the connection before it answered");
			return -ECONNRESET;
		}
		conn->got += (size_t)n;
		if (in_head && conn->got == sizeof(conn->head)) {
			memcpy(&len, conn->head, sizeof(len));
			len = le32toh(len);
			if (len < 2 || len > CONTROL_FRAME_MAX)
				return err_set(e, ERR_INTERNAL, 0,
					       "the daemon's answer is out of bounds (%u bytes)",
					       len);
			conn->size = sizeof(conn->head) + len;
			conn->body = malloc(len);
			if (!conn->body)
				return err_set(e, ERR_SYSTEM, ENOMEM, "the daemon's answer");
		}
		if (conn->size && conn->got == conn->size)
			return take_reply(conn, ret_reply, e);
	}
}

int ctl_recv(struct ctl_conn *conn, int timeout_ms, json_t **ret_reply, struct err *e)
{
	uint64_t end = util_monotonic_ns() + (uint64_t)timeout_ms * 1000000ULL;
	struct pollfd pfd = {.fd = conn->fd, .events = POLLIN};
	int r, left = timeout_ms;

	while ((r = ctl_read(conn, ret_reply, e)) == 0) {
		if (timeout_ms >= 0) {
			uint64_t now = util_monotonic_ns();

			left = now < end ? (int)((end - now) / 1000000) + 1 : 0;
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

	/* json_pack makes nothing of a word that is no text. */
	if (!request)
		return err_set(e, ERR_INPUT, 0, "what is asked for must be UTF-8 text");
	/*
	 * A front that is killed comes back within moments, on the same socket. All ops
	 * that come through here may be asked twice.
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
