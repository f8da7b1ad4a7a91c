// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/channel.h"

#include <string.h>
#include <sys/epoll.h>

#include "lib/json_strict.h"

/* Bytes that may wait for code that does not read them; the answers to what it has asked are among
 * them, which are bounded by what it may ask at a time. */
#define OUT_MAX (64u << 20)
/* What is taken in one turn of the loop: others want their turns too. */
#define FRAMES_A_TURN 32u
#define BYTES_A_TURN (1u << 20)
/* Nothing more is read from code while so many bytes of what it has asked for are not done or wait to
 * be sent: so the front holds about one value of each channel, however many are asked for. */
#define HELD_MAX (1u << 20)

void channel_close(struct channel *c)
{
	c->io = sd_event_source_disable_unref(c->io);
	util_close_fd(&c->fd);
	serve_in_clear(&c->in);
	serve_out_clear(&c->out);
	c->held = 0;
}

static bool is_full(const struct channel *c)
{
	return c->held + c->out.bytes >= HELD_MAX;
}

static void channel_end(struct channel *c, const char *why)
{
	channel_close(c);
	c->ended(c, why);
}

static void watch(struct channel *c)
{
	(void)sd_event_source_set_io_events(c->io, (is_full(c) ? 0 : EPOLLIN) |
							   (c->out.first ? EPOLLOUT : 0));
}

void channel_send(struct channel *c, json_t *head, const void *body, size_t len)
{
	char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;

	json_decref(head);
	channel_send_text(c, text, text ? strlen(text) : 0, body, len);
	free(text);
}

void channel_send_text(struct channel *c, const char *head, size_t head_len, const void *body,
		       size_t len)
{
	if (c->fd < 0)
		return;
	if (!head || c->out.bytes > OUT_MAX ||
	    serve_out_add(&c->out, head, head_len, body, len) < 0)
		c->dead = true;
	/* From the loop: whoever calls this may be in the middle of something that ended() undoes. */
	(void)sd_event_source_set_io_events(c->io, (is_full(c) ? 0 : EPOLLIN) | EPOLLOUT);
}

void channel_send_taken(struct channel *c, json_t *head, void *body, size_t len)
{
	char *text = head ? json_dumps(head, JSON_COMPACT) : NULL;
	bool sent = false;

	json_decref(head);
	if (c->fd < 0 || !text || c->out.bytes > OUT_MAX)
		free(body);
	else
		sent = serve_out_take(&c->out, text, strlen(text), body, len) == 0;
	free(text);
	if (c->fd < 0)
		return;
	c->dead = c->dead || !sent;
	(void)sd_event_source_set_io_events(c->io, (is_full(c) ? 0 : EPOLLIN) | EPOLLOUT);
}

/* NULL: it is no frame of ours. *why is set. */
static json_t *read_head(const struct serve_in *in, const char **ret_op, const char **why)
{
	json_t *head = NULL;
	struct err e = {0};

	if (json_strict_load("frame", in->head, in->head_len, SERVE_HEAD_MAX, &head, &e) < 0) {
		*why = "it has sent a frame that is no JSON object";
		return NULL;
	}
	*ret_op = json_string_value(json_object_get(head, "op"));
	if (*ret_op)
		return head;
	json_decref(head);
	*why = "it has sent a frame without \"op\"";
	return NULL;
}

/* NULL: the channel goes on. Else why it ends. *ret_ended: it has been ended already. */
static const char *receive(struct channel *c, bool *ret_ended)
{
	const char *why = NULL, *op = NULL;
	size_t bytes = 0;

	for (unsigned n = 0; n < FRAMES_A_TURN && bytes < BYTES_A_TURN && !is_full(c);) {
		const size_t before = c->in.got;
		json_t *head;
		int r = serve_in_recv(&c->in, c->fd);

		bytes += c->in.got - before;
		if (r == -EAGAIN)
			return NULL;
		if (r == -ECONNRESET)
			return "it has closed the connection";
		if (r == -EPROTO)
			return "it has sent a frame that is too long";
		if (r < 0)
			return strerror(-r);
		if (r == 0)
			continue;
		head = read_head(&c->in, &op, &why);
		if (!head)
			return why;
		c->take(c, op, head);
		json_decref(head);
		*ret_ended = c->fd < 0;
		if (*ret_ended)
			return NULL;
		serve_in_next(&c->in);
		n++;
	}
	return NULL;
}

static int channel_ready(sd_event_source *s, int fd, uint32_t events, void *arg)
{
	struct channel *c = arg;
	const char *why = c->dead ? "it does not read what it has asked for" : NULL;
	bool ended = false;
	int r;

	(void)s;
	(void)fd;
	if (!why && (events & EPOLLOUT)) {
		r = serve_out_send(&c->out, c->fd);
		why = r < 0 ? "it has closed the connection" : NULL;
	}
	/* It would be told of again and again, with nothing to be done about it. */
	if (!why && (events & (EPOLLHUP | EPOLLERR)) && is_full(c))
		why = "it has closed the connection";
	if (!why && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		why = receive(c, &ended);
	if (ended)
		return 0;
	if (why)
		channel_end(c, why);
	else
		watch(c);
	return 0;
}

void channel_drain(struct channel *c)
{
	bool ended = false;

	if (c->fd >= 0)
		(void)receive(c, &ended);
}

int channel_open(struct front *f, struct channel *c, int fd, uint32_t body_max)
{
	int r;

	c->fd = fd;
	c->dead = false;
	c->in = (struct serve_in){.body_max = body_max};
	c->out = (struct serve_out){0};
	r = sd_event_add_io(f->event, &c->io, fd, EPOLLIN, channel_ready, c);
	if (r < 0)
		channel_close(c);
	return r;
}
