// SPDX-License-Identifier: Apache-2.0
#include "wire/proto.h"

#include <stddef.h>
#include <string.h>

/* What a text field has to be. */
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
	{MON_START,   F_TO_M, sizeof(struct mon_start),   1, 5, {ID(mon_start), TEXT(mon_start, warm), TEXT(mon_start, script)}},
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

/* How many descriptors a message has because of flags in it; -1: a flag is neither 0 nor 1. */
static int fds_by_flags(enum proto_type type, const uint8_t *msg)
{
	uint8_t package, data = 0, input = 0, serve = 0;

	if (type == MON_START) {
		package = msg[offsetof(struct mon_start, has_package)];
		data = msg[offsetof(struct mon_start, has_data)];
		input = msg[offsetof(struct mon_start, has_input)];
		serve = msg[offsetof(struct mon_start, has_serve)];
	} else {
		package = msg[offsetof(struct mon_warm, has_package)];
	}
	return package > 1 || data > 1 || input > 1 || serve > 1 ? -1
								 : package + data + input + serve;
}

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
	if (row->type == MON_START || row->type == MON_WARM) {
		int more = fds_by_flags(row->type, buf);

		if (more < 0 || n_fds != row->fds_min + (unsigned)more)
			return -EPROTO;
	}
	if (n_fds < row->fds_min || n_fds > fds_max)
		return -EPROTO;
	for (size_t i = 0; i < FIELDS_MAX; i++)
		if (!field_valid(buf, &row->fields[i]))
			return -EPROTO;
	return 0;
}
