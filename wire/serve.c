// SPDX-License-Identifier: Apache-2.0
#include "wire/serve.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/socket.h>

#include "lib/fdpass.h"

/* Memory grows with the bytes that arrive, whatever length was announced. */
#define FIRST_ALLOCATION 4096u
/* A buffer up to this size is kept for the next frame. */
#define KEPT_MAX (64u << 10)

/* Room for more of a part that is `len` long, of which `have` are there. One more byte is for a NUL. */
static int grow(void **part, size_t *size, size_t have, size_t len)
{
	size_t want;
	void *more;

	if (have < *size)
		return 0;
	want = MAX(*size * 2, (size_t)FIRST_ALLOCATION);
	want = MIN(want, len);
	more = realloc(*part, want + 1);
	if (!more)
		return -ENOMEM;
	*part = more;
	*size = want;
	return 0;
}

int serve_in_room(struct serve_in *in, void **ret, size_t *ret_len)
{
	const size_t head_end = SERVE_LENGTHS + (size_t)in->head_len;
	size_t have;
	int r;

	if (in->got < SERVE_LENGTHS) {
		*ret = in->lengths + in->got;
		*ret_len = SERVE_LENGTHS - in->got;
		return 0;
	}
	if (in->got < head_end) {
		have = in->got - SERVE_LENGTHS;
		r = grow((void **)&in->head, &in->head_size, have, in->head_len);
		if (r < 0)
			return r;
		*ret = in->head + have;
		*ret_len = MIN(in->head_size, (size_t)in->head_len) - have;
		return 0;
	}
	have = in->got - head_end;
	r = grow((void **)&in->body, &in->body_size, have, in->body_len);
	if (r < 0)
		return r;
	*ret = in->body + have;
	*ret_len = MIN(in->body_size, (size_t)in->body_len) - have;
	return 0;
}

static int take_lengths(struct serve_in *in)
{
	uint32_t le[2];

	memcpy(le, in->lengths, sizeof(le));
	in->head_len = le32toh(le[0]);
	in->body_len = le32toh(le[1]);
	if (in->head_len < 1 || in->head_len > SERVE_HEAD_MAX || in->body_len > in->body_max)
		return -EPROTO;
	return 0;
}

int serve_in_took(struct serve_in *in, size_t n)
{
	const bool had_lengths = in->got >= SERVE_LENGTHS;
	int r;

	in->got += n;
	if (in->got < SERVE_LENGTHS)
		return 0;
	if (!had_lengths) {
		r = take_lengths(in);
		if (r < 0)
			return r;
	}
	if (in->got < SERVE_LENGTHS + (size_t)in->head_len + in->body_len)
		return 0;
	in->head[in->head_len] = '\0';
	return 1;
}

static void give_back(void **part, size_t *size)
{
	if (*size <= KEPT_MAX)
		return;
	free(*part);
	*part = NULL;
	*size = 0;
}

void serve_in_next(struct serve_in *in)
{
	in->got = 0;
	in->head_len = in->body_len = 0;
	give_back((void **)&in->head, &in->head_size);
	give_back((void **)&in->body, &in->body_size);
}

void serve_in_clear(struct serve_in *in)
{
	free(in->head);
	free(in->body);
	*in = (struct serve_in){0};
}

int serve_in_recv(struct serve_in *in, int sock)
{
	size_t len;
	ssize_t n;
	void *to;
	int r = serve_in_room(in, &to, &len);

	if (r < 0)
		return r;
	do
		n = recv(sock, to, len, MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n < 0 ? -errno : -ECONNRESET;
	return serve_in_took(in, (size_t)n);
}

struct serve_piece {
	struct serve_piece *next;
	size_t len, sent;
	uint8_t *bytes; /* own, or taken, which is freed */
	void *taken;
	uint8_t own[];
};

/* It may have been a secret: what was sent is erased already. A body that was taken is none. */
static void piece_free(struct serve_piece *p)
{
	if (!p->taken && p->bytes)
		explicit_bzero(p->bytes + p->sent, p->len - p->sent);
	free(p->taken);
	free(p);
}

static void out_append(struct serve_out *out, struct serve_piece *p)
{
	if (!out->first)
		out->last = &out->first;
	*out->last = p;
	out->last = &p->next;
	out->bytes += p->len;
}

/* The lengths and the head, and room for so many bytes behind them. NULL: out of memory. */
static struct serve_piece *piece_new(const char *head, size_t head_len, size_t body_len,
				     size_t room)
{
	struct serve_piece *p = malloc(sizeof(*p) + SERVE_LENGTHS + head_len + room);
	const uint32_t le[2] = {htole32((uint32_t)head_len), htole32((uint32_t)body_len)};

	if (!p)
		return NULL;
	*p = (struct serve_piece){.len = SERVE_LENGTHS + head_len + room, .bytes = p->own};
	memcpy(p->bytes, le, sizeof(le));
	memcpy(p->bytes + SERVE_LENGTHS, head, head_len);
	return p;
}

int serve_out_add(struct serve_out *out, const char *head, size_t head_len, const void *body,
		  size_t body_len)
{
	struct serve_piece *p;

	if (head_len < 1 || head_len > SERVE_OUT_HEAD_MAX || body_len > SERVE_BODY_MAX)
		return -EMSGSIZE;
	p = piece_new(head, head_len, body_len, body_len);
	if (!p)
		return -ENOMEM;
	if (body_len > 0)
		memcpy(p->bytes + SERVE_LENGTHS + head_len, body, body_len);
	out_append(out, p);
	return 0;
}

int serve_out_take(struct serve_out *out, const char *head, size_t head_len, void *body,
		   size_t body_len)
{
	struct serve_piece *p, *rest;

	if (head_len < 1 || head_len > SERVE_OUT_HEAD_MAX || body_len > SERVE_BODY_MAX) {
		free(body);
		return -EMSGSIZE;
	}
	p = piece_new(head, head_len, body_len, 0);
	rest = malloc(sizeof(*rest));
	if (!p || !rest) {
		free(p);
		free(rest);
		free(body);
		return -ENOMEM;
	}
	*rest = (struct serve_piece){.len = body_len, .bytes = body, .taken = body};
	out_append(out, p);
	if (body_len > 0)
		out_append(out, rest);
	else
		piece_free(rest);
	return 0;
}

static void sent(struct serve_out *out, size_t n)
{
	struct serve_piece *p = out->first;

	if (p->taken)
		util_discard(p->bytes, p->sent, p->sent + n);
	else
		explicit_bzero(p->bytes + p->sent, n);
	p->sent += n;
	out->bytes -= n;
	if (p->sent < p->len)
		return;
	out->first = p->next;
	piece_free(p);
}

int serve_out_pass(struct serve_out *out, int sock, int fd)
{
	struct serve_piece *p = out->first;
	const struct iovec iov = {p->bytes + p->sent, p->len - p->sent};
	const ssize_t n = fds_sendv(sock, &iov, 1, &fd, 1, MSG_DONTWAIT);

	if (n < 0)
		return (int)n;
	sent(out, (size_t)n);
	return out->first ? 1 : 0;
}

int serve_out_send(struct serve_out *out, int sock)
{
	while (out->first) {
		const struct serve_piece *p = out->first;
		const ssize_t n = send(sock, p->bytes + p->sent, p->len - p->sent,
				       MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? 1 : -errno;
		sent(out, (size_t)n);
	}
	return 0;
}

void serve_out_clear(struct serve_out *out)
{
	while (out->first) {
		struct serve_piece *p = out->first;

		out->first = p->next;
		piece_free(p);
	}
	*out = (struct serve_out){0};
}
