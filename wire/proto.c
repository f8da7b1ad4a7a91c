// SPDX-License-Identifier: Apache-2.0
#include "wire/proto.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/fdpass.h"

/* Thousands of messages: each counts with the kernel's own bookkeeping beside it. */
#define PROTO_SOCKET_BUFFER (1 << 20)

/* What a text field must be. */
enum field_kind { FIELD_NONE = 0, FIELD_ID, FIELD_TEXT };

struct field {
	enum field_kind kind;
	uint16_t offset, size;
};

#define FIELDS_MAX 4
struct proto_row {
	enum proto_type type;
	enum proto_role from, to;
	uint16_t size;
	uint8_t fds_min, fds_max;
	struct field fields[FIELDS_MAX];
};

#define FIELD(k, s, member)                                                                        \
	{                                                                                          \
		k, offsetof(struct s, member), sizeof(((struct s *)NULL)->member)                  \
	}
#define ID(s) FIELD(FIELD_ID, s, id)
#define TEXT(s, member) FIELD(FIELD_TEXT, s, member)
#define F_TO_M ROLE_FRONT, ROLE_MONITOR
#define M_TO_F ROLE_MONITOR, ROLE_FRONT
#define M_TO_L ROLE_MONITOR, ROLE_LOGGER
#define F_TO_L ROLE_FRONT, ROLE_LOGGER
#define L_TO_F ROLE_LOGGER, ROLE_FRONT

/* clang-format off */
static const struct proto_row proto_table[] = {
	{MON_START,   F_TO_M, sizeof(struct mon_start),   1, 2, {ID(mon_start), TEXT(mon_start, warm), TEXT(mon_start, script)}},
	{MON_WARM,    F_TO_M, sizeof(struct mon_warm),    0, 1, {TEXT(mon_warm, warm)}},
	{MON_KILL,    F_TO_M, sizeof(struct mon_kill),    0, 0, {ID(mon_kill)}},
	{MON_FORGET,  F_TO_M, sizeof(struct mon_forget),  0, 0, {ID(mon_forget)}},
	{MON_TEMPLATES, F_TO_M, sizeof(struct mon_templates), 0, 0, {TEXT(mon_templates, id)}},
	{MON_STARTED, M_TO_F, sizeof(struct mon_started), 0, 0, {ID(mon_started), TEXT(mon_started, warning)}},
	{MON_EXITED,  M_TO_F, sizeof(struct mon_exited),  0, 0, {ID(mon_exited), TEXT(mon_exited, error), TEXT(mon_exited, warning)}},
	{MON_WARMED,  M_TO_F, sizeof(struct mon_warmed),  0, 0, {TEXT(mon_warmed, key), TEXT(mon_warmed, error)}},
	{MON_RUNNING, M_TO_F, sizeof(struct mon_running), 0, 0, {ID(mon_running)}},
	{MON_TEMPLATE, M_TO_F, sizeof(struct mon_template), 0, 0, {TEXT(mon_template, id), TEXT(mon_template, key), TEXT(mon_template, policy_name), TEXT(mon_template, warm)}},
	{MON_READY,   M_TO_F, sizeof(struct proto_empty), 0, 0, {}},
	{ROLE_PEER,   M_TO_F, sizeof(struct proto_empty), 1, 1, {}},
	{ROLE_PEER,   M_TO_L, sizeof(struct proto_empty), 1, 1, {}},
	{LOG_OPEN,    M_TO_L, sizeof(struct log_open),    2, 2, {ID(log_open)}},
	{LOG_FOLLOW,  F_TO_L, sizeof(struct log_follow),  1, 1, {ID(log_follow)}},
	{LOG_FINISH,  F_TO_L, sizeof(struct log_id),      0, 0, {ID(log_id)}},
	{LOG_DELETE,  F_TO_L, sizeof(struct log_id),      0, 0, {ID(log_id)}},
	{LOG_END,     L_TO_F, sizeof(struct log_end),     0, 0, {ID(log_end)}},
};
/* clang-format on */

static const struct proto_row *row_find(uint16_t type, enum proto_role from, enum proto_role to)
{
	for (size_t i = 0; i < ARRAY_SIZE(proto_table); i++)
		if (proto_table[i].type == type && proto_table[i].from == from &&
		    proto_table[i].to == to)
			return &proto_table[i];
	return NULL;
}

void proto_init(union proto_msg *m, enum proto_type type)
{
	m->h.version = PROTO_VERSION;
	m->h.type = (uint16_t)type;
	m->h.size = 0; /* an unknown type is refused by proto_send */
	for (size_t i = 0; i < ARRAY_SIZE(proto_table); i++)
		if (proto_table[i].type == type)
			m->h.size = proto_table[i].size;
}

static bool field_valid(const uint8_t *msg, const struct field *f)
{
	const char *text = (const char *)msg + f->offset;

	if (f->kind == FIELD_NONE)
		return true;
	if (!memchr(text, '\0', f->size))
		return false;
	return f->kind != FIELD_ID || util_is_id(text);
}

int proto_check(const void *buf, size_t len, enum proto_role from, enum proto_role to,
		unsigned n_fds)
{
	const struct proto_row *row;
	struct proto_head h;
	unsigned fds_max;

	if (len < sizeof(h))
		return -EPROTO;
	memcpy(&h, buf, sizeof(h));
	row = row_find(h.type, from, to);
	if (!row || h.version != PROTO_VERSION || h.size != len || row->size != len)
		return -EPROTO;
	fds_max = row->fds_max;
	/* The messages whose number of fds depends on what they say. */
	if (row->type == MON_START || row->type == MON_WARM) {
		uint8_t has_package =
			((const uint8_t *)buf)[row->type == MON_START
						       ? offsetof(struct mon_start, has_package)
						       : offsetof(struct mon_warm, has_package)];

		if (has_package > 1 || n_fds != row->fds_min + has_package)
			return -EPROTO;
	}
	if (n_fds < row->fds_min || n_fds > fds_max)
		return -EPROTO;
	for (size_t i = 0; i < FIELDS_MAX; i++)
		if (!field_valid(buf, &row->fields[i]))
			return -EPROTO;
	return 0;
}

int proto_send(int sock, const union proto_msg *m, const int *fds, unsigned n_fds)
{
	const struct iovec iov = {.iov_base = (void *)m, .iov_len = m->h.size};
	ssize_t n;

	if (n_fds > PROTO_FDS_MAX || m->h.size < sizeof(m->h) || m->h.size > sizeof(*m))
		return -EINVAL;
	n = fds_sendv(sock, &iov, 1, fds, n_fds, 0);
	return n < 0 ? (int)n : 0;
}

int proto_recv(int sock, enum proto_role from, enum proto_role to, union proto_msg *m,
	       int fds[PROTO_FDS_MAX], unsigned *ret_n_fds)
{
	unsigned n_fds = PROTO_FDS_MAX;
	int flags, r;
	ssize_t n;

	for (int i = 0; i < PROTO_FDS_MAX; i++)
		fds[i] = -1;
	*ret_n_fds = 0;
	n = fds_recvv(sock, m, sizeof(*m), fds, &n_fds, 0, &flags);
	if (n < 0)
		return (int)n;
	if (flags & MSG_TRUNC)
		r = -EPROTO;
	else if (flags & MSG_CTRUNC)
		/* Too many fds sent, or this process has no room for one more. */
		r = n_fds == PROTO_FDS_MAX ? -EPROTO : -EMFILE;
	else if (n == 0)
		r = -ECONNRESET;
	else
		r = proto_check(m, (size_t)n, from, to, n_fds);
	if (r < 0) {
		for (int i = 0; i < PROTO_FDS_MAX; i++)
			util_close_fd(&fds[i]);
		return r;
	}
	*ret_n_fds = n_fds;
	return 0;
}

int proto_socketpair(int fds[2])
{
	int size = PROTO_SOCKET_BUFFER;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	for (int i = 0; i < 2; i++)
		/* The forced form goes beyond wmem_max but needs CAP_NET_ADMIN. */
		if (setsockopt(fds[i], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size)) < 0)
			(void)setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}
