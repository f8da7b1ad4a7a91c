// SPDX-License-Identifier: Apache-2.0
/*
 * Forwarding on the host. The kernel forwards what comes in by an interface for which it is
 * switched on: for the sandboxes' own ones always (net.c), and here for those by which the
 * answers come. Not for all: the host is to be no router for its neighbours.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/route.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "sandbox/net.h"

#define STATE_FILE "net-forwarding"

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
		/* One on the host's loopback is out of a sandbox's reach. */
		if (server && inet_pton(AF_INET, server, &a) == 1 && ntohl(a.s_addr) >> 24 != 127)
			fn(ntohl(a.s_addr), arg);
	}
	if (conf)
		(void)fclose(conf);
}

static int open_sysctl(const char *interface, int flags)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", interface);
	return open(path, flags | O_CLOEXEC);
}

/* -errno for an interface that is gone. */
static int is_on(const char *interface)
{
	_cleanup_fd_ int fd = open_sysctl(interface, O_RDONLY);
	char c;

	if (fd < 0)
		return -errno;
	return read(fd, &c, 1) == 1 ? c != '0' : -EIO;
}

static int switch_to(const char *interface, bool on)
{
	_cleanup_fd_ int fd = open_sysctl(interface, O_WRONLY);

	return fd >= 0 && write(fd, on ? "1\n" : "0\n", 2) == 2 ? 0 : -errno;
}

static int save(int run_fd, const struct net_forward *f)
{
	char text[NET_UPLINKS_MAX * (sizeof(f->names[0]) + 1)] = "";
	size_t n = 0;

	for (unsigned i = 0; i < f->n; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\n", f->names[i]);
	return util_write_file_at(run_fd, STATE_FILE, 0600, text, n);
}

void net_forward_load(int run_fd, struct net_forward *ret)
{
	_cleanup_free_ char *text = NULL;
	char *name, *rest = NULL;
	size_t len;

	*ret = (struct net_forward){0};
	if (util_read_file_at(run_fd, STATE_FILE, sizeof(ret->names) * 2, &text, &len) < 0)
		return;
	for (name = strtok_r(text, "\n", &rest); name && ret->n < NET_UPLINKS_MAX;
	     name = strtok_r(NULL, "\n", &rest))
		if (strlen(name) < sizeof(ret->names[0]) && !strchr(name, '/'))
			(void)snprintf(ret->names[ret->n++], sizeof(ret->names[0]), "%s", name);
}

void net_forward_undo(int run_fd, struct net_forward *f)
{
	/* Where the host forwards by now whatever comes, somebody else wants that. */
	if (is_on("all") == 0)
		for (unsigned i = 0; i < f->n; i++)
			(void)switch_to(f->names[i], false);
	f->n = 0;
	(void)unlinkat(run_fd, STATE_FILE, 0);
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

/* Some address that the route leads to is one that the policy lets sandboxes out to. */
static bool is_wanted(const struct policy_head *head, struct prefix route)
{
	struct wanted w = {.route = route};

	if (head->dns)
		net_each_name_server(want_name_server, &w);
	/* Denials are first in the list. */
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

static int add_uplink(const char *name, int run_fd, struct net_forward *f, struct err *e)
{
	int r;

	/* The sandboxes' own ends, of any daemon's; and what forwards already. */
	if (strncmp(name, "sb", 2) == 0 || strcmp(name, "lo") == 0 || is_on(name) != 0)
		return 0;
	for (unsigned i = 0; i < f->n; i++)
		if (strcmp(f->names[i], name) == 0)
			return switch_to(name, true); /* somebody has switched it off */
	if (f->n == NET_UPLINKS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "more than %d interfaces lead to what the policy allows: switch "
			       "forwarding on for all of them, sysctl net.ipv4.ip_forward=1",
			       NET_UPLINKS_MAX);
	(void)snprintf(f->names[f->n++], sizeof(f->names[0]), "%s", name);
	/* First what keeps it from forwarding for others. */
	r = net_set_uplinks(f, e);
	if (r < 0)
		return r;
	r = save(run_fd, f);
	if (r == 0)
		r = switch_to(name, true);
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "forwarding on interface %s", name) : 0;
}

static int add_route(const struct policy_head *head, struct rtnl_route *route, int run_fd,
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
			r = add_uplink(name, run_fd, f, e);
	}
	return r;
}

int net_forward_for(const struct policy *policy, int run_fd, struct net_forward *f, struct err *e)
{
	struct nl_sock *sock = nl_socket_alloc();
	struct nl_cache *routes = NULL;
	int all = is_on("all"), r = 0;

	if (all < 0)
		r = err_set(e, ERR_SYSTEM, -all, "sysctl net.ipv4.ip_forward");
	/* The host forwards for others too, and not because of us: that is not in its way. */
	if (all > 0 && f->n) {
		f->n = 0;
		r = net_set_uplinks(f, e);
		(void)unlinkat(run_fd, STATE_FILE, 0);
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
			r = add_route(&policy->head, (struct rtnl_route *)o, run_fd, f, e);
		nl_cache_free(routes);
	}
	nl_socket_free(sock);
	return r;
}
