// SPDX-License-Identifier: Apache-2.0
/*
 * Forwarding on the host. The kernel forwards a packet when forwarding is on for the interface that
 * it came in by. It is always on for the sandboxes' own interfaces (net.c); here it is switched on
 * for those by which answers come to sandboxes, as the host's routes say. Not for all interfaces: the host
 * must not become a router for its neighbours.
 */
#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>

#include "sandbox/net.h"

void net_each_name_server(void (*fn)(uint32_t host_order, void *arg), void *arg)
{
	FILE *conf = fopen("/etc/resolv.conf", "re");
	char line[512], *server, *save;
	struct in_addr a;

	while (conf && fgets(line, sizeof(line), conf)) {
		server = strtok_r(line, " \t\n", &save);
		if (!server || strcmp(server, "nameserver") != 0)
			continue;
		server = strtok_r(NULL, " \t\n", &save);
		/* A sandbox cannot reach a server on the host's loopback. */
		if (server && inet_pton(AF_INET, server, &a) == 1 && ntohl(a.s_addr) >> 24 != 127)
			fn(ntohl(a.s_addr), arg);
	}
	if (conf)
		(void)fclose(conf);
}

struct prefix {
	uint32_t address; /* host order */
	unsigned len;
};

static bool same_bits(uint32_t a, uint32_t b, unsigned len)
{
	return len == 0 || (a ^ b) >> (32 - len) == 0;
}

static bool overlap(struct prefix a, struct prefix b)
{
	return same_bits(a.address, b.address, a.len < b.len ? a.len : b.len);
}

static struct prefix prefix_of(const struct policy_net_rule *rule)
{
	uint32_t be;

	memcpy(&be, rule->addr, sizeof(be));
	return (struct prefix){ntohl(be), rule->prefix};
}

struct wanted {
	struct prefix route;
	bool yes;
};

static void want_name_server(uint32_t address, void *arg)
{
	struct wanted *w = arg;

	w->yes = w->yes || overlap(w->route, (struct prefix){address, 32});
}

/* Whether the route leads to an address that the policy lets sandboxes reach. */
static bool is_wanted(const struct policy_head *head, struct prefix route)
{
	struct wanted w = {.route = route};

	if (head->dns)
		net_each_name_server(want_name_server, &w);
	/* Denials come first in a policy's list. */
	for (uint32_t i = 0; i < head->n_net_rules && !w.yes; i++) {
		const struct policy_net_rule *rule = &head->net_rules[i];
		const struct prefix to = prefix_of(rule);

		if (rule->family != 4 || !overlap(route, to))
			continue;
		if (!rule->allow && rule->proto == POLICY_PROTO_ANY && to.len <= route.len)
			return false;
		w.yes = rule->allow;
	}
	return w.yes;
}

static int add_uplink(const char *name, struct net_forward *f, struct err *e)
{
	int r;

	/* Not the sandboxes' own ends, which may be another daemon's. */
	if (strncmp(name, "sb", 2) == 0 || strcmp(name, "lo") == 0)
		return 0;
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->uplinks[i].name, name) == 0) /* it may have been switched off */
			return net_forwards(name) == 0 ? net_uplink_on(name, e) : 0;
	r = net_uplink_take(name, f, e);
	if (r <= 0)
		return r;
	/* The rule that keeps the interface from forwarding for others has to be there first. */
	r = net_set_uplinks(f, e);
	if (r == 0)
		r = net_uplink_on(name, e);
	if (r < 0)
		net_uplink_drop(f);
	return r;
}

static int add_route(const struct policy_head *head, struct rtnl_route *route,
		     struct net_forward *f, struct err *e)
{
	struct nl_addr *dst = rtnl_route_get_dst(route);
	struct prefix to = {0};
	uint32_t be;
	int r = 0;

	if (rtnl_route_get_type(route) != RTN_UNICAST)
		return 0;
	if (dst && nl_addr_get_len(dst) == sizeof(be)) {
		memcpy(&be, nl_addr_get_binary_addr(dst), sizeof(be));
		to = (struct prefix){ntohl(be), nl_addr_get_prefixlen(dst)};
	}
	if (!is_wanted(head, to))
		return 0;
	for (int i = 0; i < rtnl_route_get_nnexthops(route) && r == 0; i++) {
		char name[IF_NAMESIZE];
		int index = rtnl_route_nh_get_ifindex(rtnl_route_nexthop_n(route, i));

		if (index > 0 && if_indextoname((unsigned)index, name))
			r = add_uplink(name, f, e);
	}
	return r;
}

int net_forward_for(const struct policy *policy, struct net_forward *f, struct err *e)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_cache *routes = NULL;
	int all = net_forwards("all"), r = 0;

	if (all < 0)
		r = err_set(e, ERR_SYSTEM, -all, "sysctl net.ipv4.ip_forward");
	/* The host forwards for others too, and not because of us: what we had added would be in
	 * its way. */
	if (all > 0 && f->n) {
		net_forward_undo(f);
		r = net_set_uplinks(f, e);
	}
	if (r == 0 && all == 0) {
		r = sock ? nl_connect(sock, NETLINK_ROUTE) : -NLE_NOMEM;
		if (r == 0)
			r = rtnl_route_alloc_cache(sock, AF_INET, 0, &routes);
		if (r < 0)
			r = err_set(e, ERR_SYSTEM, 0, "the host's routes: %s", nl_geterror(r));
	}
	if (routes) {
		for (struct nl_object *o = nl_cache_get_first(routes); o && r == 0;
		     o = nl_cache_get_next(o))
			r = add_route(&policy->head, (struct rtnl_route *)o, f, e);
		nl_cache_free(routes);
	}
	nl_socket_free(sock);
	return r;
}
