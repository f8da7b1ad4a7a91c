// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/client.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "supervisor/front/serve/control.h"
#include "supervisor/front/serve/http/http.h"

static json_t *error_json(const struct err *e)
{
	/* A message with text that is not UTF-8 must not cost the client its answer. */
	json_t *text = json_string(e->msg);

	return json_pack("{s:b, s:s, s:o}", "ok", 0, "code", err_code_name(e->code), "error",
			 text ? text : json_string("the request holds text that is not UTF-8"));
}

static void client_send(struct client *c, json_t *reply)
{
	if (c->tag && reply)
		(void)json_object_set(reply, "tag", c->tag);
	conn_send(c->conn, reply);
}

/* Out of memory, the request ends while it is being answered: it must not say so to a waiter, which
 * its caller frees after the answer. */
static struct http_request *client_take_http(struct client *c)
{
	http_later(c->http, NULL, NULL);
	return TAKE_PTR(c->http);
}

void client_reply(struct client *c, json_t *reply)
{
	if (c->conn) {
		if (reply)
			(void)json_object_set_new(reply, "ok", json_true());
		client_send(c, reply);
	} else if (c->http) {
		if (c->shape && reply)
			reply = c->shape(c->http, reply);
		http_json(client_take_http(c), c->status ? c->status : 200, reply);
	} else {
		json_decref(reply);
	}
}

void client_reply_text(struct client *c, const char *text, size_t len)
{
	char *framed = NULL;
	int n;

	if (c->http) {
		http_text(client_take_http(c), c->status ? c->status : 200, "application/json",
			  text, len);
	} else if (c->conn) {
		/* What it begins with, in the place of its '{'. */
		n = c->tag ? asprintf(&framed, "{\"ok\":true,\"tag\":%lld,%.*s",
				      (long long)json_integer_value(c->tag), (int)len - 1, text + 1)
			   : asprintf(&framed, "{\"ok\":true,%.*s", (int)len - 1, text + 1);
		conn_send_text(c->conn, n < 0 ? NULL : framed, n < 0 ? 0 : (size_t)n);
		if (n >= 0)
			free(framed);
	}
}

void client_fail(struct client *c, const struct err *e)
{
	if (c->conn)
		client_send(c, error_json(e));
	else if (c->http)
		http_error(client_take_http(c), e);
}

static void http_gone(void *arg)
{
	waiter_gone(arg);
}

struct waiter *waiter_new(const struct client *c, struct err *e)
{
	struct waiter *w = calloc(1, sizeof(*w));

	if (!w) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot wait for the answer");
		return NULL;
	}
	w->client = *c;
	if (w->client.http) {
		http_later(w->client.http, http_gone, w);
	} else if (conn_wait(w->client.conn, w) < 0) {
		free(w);
		(void)err_set(e, ERR_LIMIT, 0, "this connection waits for too much already");
		return NULL;
	}
	(void)json_incref(w->client.tag);
	return w;
}

void waiter_attach(struct waiter *w, struct waiter **list)
{
	w->next = *list;
	w->pprev = list;
	if (w->next)
		w->next->pprev = &w->next;
	*list = w;
}

void waiter_gone(struct waiter *w)
{
	if (w->client.conn)
		conn_wait_no_more(w->client.conn, w);
	w->client.conn = NULL;
	w->client.http = NULL;
	if (w->pprev)
		waiter_free(w);
	else if (w->gone)
		w->gone(w->gone_arg);
}

void waiter_free(struct waiter *w)
{
	if (w->pprev) {
		*w->pprev = w->next;
		if (w->next)
			w->next->pprev = w->pprev;
	}
	if (w->client.conn)
		conn_wait_no_more(w->client.conn, w);
	/* The handler has failed and the server answers, or a handler's answer has begun: it must
	 * not tell what is freed that the client has gone. */
	if (w->client.http)
		http_later(w->client.http, NULL, NULL);
	json_decref(w->client.tag);
	free(w);
}

void waiter_end(struct waiter *w, json_t *reply, const struct err *e)
{
	if (!reply && e && e->code)
		client_fail(&w->client, e);
	else
		client_reply(&w->client, reply);
	waiter_free(w);
}

static void change_told(struct front *f, struct change *c, const struct err *error)
{
	struct waiter *w = OWNER(c, struct waiter, change);

	(void)f;
	if (error)
		json_decref(w->reply);
	waiter_end(w, error ? NULL : w->reply, error);
}

void waiter_end_when(struct waiter *w, struct change *change, json_t *reply)
{
	w->change = (struct change){.done = change_told};
	w->reply = reply;
	change_add_with(change, &w->change);
}

void waiter_end_all(struct waiter **list, json_t *reply, const struct err *e)
{
	while (*list)
		waiter_end(*list, reply ? json_copy(reply) : NULL, e);
	json_decref(reply);
}

void client_tell(int progress_fd, json_t *line)
{
	char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

	json_decref(line);
	if (text && progress_fd >= 0) {
		struct iovec iov[2] = {{text, strlen(text)}, {(char *)"\n", 1}};
		const struct msghdr msg = {.msg_iov = iov, .msg_iovlen = 2};

		(void)sendmsg(progress_fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	}
	free(text);
}
