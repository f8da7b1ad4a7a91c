// SPDX-License-Identifier: Apache-2.0
/* The channel (run/channel.h) of a run that serves or builds HTTP workers. */
#include "supervisor/front/web/web.h"

struct web_channel *web_channel_of_run(struct front *f, const char *run)
{
	return OWNER_OF(idtable_find(&f->web->channels, run), struct web_channel, node);
}

static void drop_fetches(struct web_channel *c)
{
	/* Nobody waits any more for what it has asked other workers. */
	if (c->run && *c->run)
		web_fetches_drop(c->version->worker->project, c->run);
}

static void line_take(struct channel *line, const char *op, json_t *head)
{
	struct web_channel *c = OWNER(line, struct web_channel, line);

	c->take(c, op, head);
}

static void line_ended(struct channel *line, const char *why)
{
	struct web_channel *c = OWNER(line, struct web_channel, line);

	drop_fetches(c);
	c->ended(c, why);
}

int web_channel_open(struct front *f, struct web_channel *c, int fd, uint32_t body_max)
{
	c->f = f;
	c->line.take = line_take;
	c->line.ended = line_ended;
	return channel_open(f, &c->line, fd, body_max);
}

void web_channel_send(struct web_channel *c, json_t *head, const void *body, size_t len)
{
	channel_send(&c->line, head, body, len);
}

void web_channel_send_text(struct web_channel *c, const char *head, size_t head_len,
			   const void *body, size_t len)
{
	channel_send_text(&c->line, head, head_len, body, len);
}

void web_channel_send_taken(struct web_channel *c, json_t *head, void *body, size_t len)
{
	channel_send_taken(&c->line, head, body, len);
}

void web_channel_drain(struct web_channel *c)
{
	channel_drain(&c->line);
}

void web_channel_close(struct web_channel *c)
{
	channel_close(&c->line);
	drop_fetches(c);
}
