// SPDX-License-Identifier: Apache-2.0
/*
 * Removes the connections that sandboxes leave behind in the host's connection table. They would
 * stay there for minutes, and those that were never closed for days: although each sandbox keeps
 * within its bounds, many of them one after the other would fill the table. And the next sandbox
 * with the same address would be taken for the owner of its predecessor's connections.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include "sandbox/net.h"

#define CT_GET (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET)
#define CT_DELETE (NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_DELETE)

struct sweep {
	const uint8_t *used;
	struct nl_sock *deletes;
	int r;
};

static const struct nfgenmsg ipv4_head = {.nfgen_family = AF_INET, .version = NFNETLINK_V0};

static struct nl_msg *new_message(int type, int flags)
{
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags);

	if (msg && nlmsg_append(msg, (void *)&ipv4_head, sizeof(ipv4_head), NLMSG_ALIGNTO) == 0)
		return msg;
	nlmsg_free(msg);
	return NULL;
}

/* The index of the address that began the connection; 0 when it is not one of our sandboxes'. */
static uint32_t index_of(struct nlattr *tuple_attr)
{
	struct nlattr *tuple[CTA_TUPLE_MAX + 1], *ip[CTA_IP_MAX + 1];
	uint32_t index;

	if (!tuple_attr || nla_parse_nested(tuple, CTA_TUPLE_MAX, tuple_attr, NULL) < 0 ||
	    !tuple[CTA_TUPLE_IP] ||
	    nla_parse_nested(ip, CTA_IP_MAX, tuple[CTA_TUPLE_IP], NULL) < 0 || !ip[CTA_IP_V4_SRC])
		return 0;
	index = ntohl(nla_get_u32(ip[CTA_IP_V4_SRC])) - net_instance.subnet;
	return index >= NET_BLOCK && index <= NET_INDEX_MAX ? index : 0;
}

static int on_flow(struct nl_msg *in, void *arg)
{
	struct sweep *sweep = arg;
	struct nlattr *a[CTA_MAX + 1];
	struct nl_msg *out;
	uint32_t index;
	int r = -NLE_NOMEM;

	if (nlmsg_parse(nlmsg_hdr(in), sizeof(struct nfgenmsg), a, CTA_MAX, NULL) < 0)
		return NL_OK;
	index = index_of(a[CTA_TUPLE_ORIG]);
	if (!index || sweep->used[index])
		return NL_OK;
	out = new_message(CT_DELETE, 0);
	/* The id names this connection, and not another one that has taken its place. */
	if (out &&
	    nla_put(out, CTA_TUPLE_ORIG | NLA_F_NESTED, nla_len(a[CTA_TUPLE_ORIG]),
		    nla_data(a[CTA_TUPLE_ORIG])) == 0 &&
	    (!a[CTA_ZONE] ||
	     nla_put(out, CTA_ZONE, nla_len(a[CTA_ZONE]), nla_data(a[CTA_ZONE])) == 0) &&
	    (!a[CTA_ID] || nla_put(out, CTA_ID, nla_len(a[CTA_ID]), nla_data(a[CTA_ID])) == 0))
		r = nl_send_auto(sweep->deletes, out);
	if (r < 0)
		sweep->r = r;
	nlmsg_free(out);
	return NL_OK;
}

static int sweep_flows(struct nl_sock *dump, struct sweep *sweep)
{
	struct nl_msg *msg;
	int r = nl_connect(dump, NETLINK_NETFILTER);

	if (r == 0)
		r = nl_connect(sweep->deletes, NETLINK_NETFILTER);
	if (r < 0)
		return r;
	/* The kernel has done a deletion when sending it returns, so no answer is awaited. A
	 * connection that has ended meanwhile is no error. */
	nl_socket_disable_auto_ack(sweep->deletes);
	r = nl_socket_modify_cb(dump, NL_CB_VALID, NL_CB_CUSTOM, on_flow, sweep);
	msg = r == 0 ? new_message(CT_GET, NLM_F_DUMP) : NULL;
	if (!msg)
		return r < 0 ? r : -NLE_NOMEM;
	r = nl_send_auto(dump, msg);
	nlmsg_free(msg);
	if (r >= 0)
		r = nl_recvmsgs_default(dump);
	return r < 0 ? r : sweep->r;
}

int net_forget_flows(const uint8_t *used, struct err *e)
{
	struct nl_sock *dump = nl_socket_alloc();
	struct sweep sweep = {.used = used, .deletes = nl_socket_alloc()};
	int r = dump && sweep.deletes ? sweep_flows(dump, &sweep) : -NLE_NOMEM;

	nl_socket_free(dump);
	nl_socket_free(sweep.deletes);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, 0, "the connections of ended sandboxes: %s",
			       nl_geterror(r));
	return 0;
}
