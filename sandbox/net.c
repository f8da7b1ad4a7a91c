// SPDX-License-Identifier: Apache-2.0
#include "sandbox/net.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/inet.h>
#include <netlink/route/link/inet6.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/route.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/idtable.h"

#define VETH_TRIES 100 /* 2 s */

struct net_instance net_instance;

void net_configure(const char *name)
{
	uint32_t octet = 213;

	/* The default name has 10.213.0.0/16; all others share 10.128 to 10.207. */
	if (strcmp(name, "sandboxd") != 0)
		octet = 128 + id_hash(name) % 80;
	net_instance.subnet = 10u << 24 | octet << 16;
	(void)snprintf(net_instance.prefix, sizeof(net_instance.prefix), "sb%02x-", octet);
	(void)snprintf(net_instance.table, sizeof(net_instance.table), "%.64s", name);
}

static int nl_fail(struct err *e, int nl_error, const char *what)
{
	return err_set(e, ERR_SYSTEM, 0, "sandbox: network: %s: %s", what, nl_geterror(nl_error));
}

static int open_sock(struct nl_sock **ret, struct err *e)
{
	struct nl_sock *sock = nl_socket_alloc();
	int r;

	if (!sock)
		return err_set(e, ERR_SYSTEM, ENOMEM, "sandbox: network");
	r = nl_connect(sock, NETLINK_ROUTE);
	if (r < 0) {
		nl_socket_free(sock);
		return nl_fail(e, r, "netlink");
	}
	*ret = sock;
	return 0;
}

int net_open_host(uint32_t index, struct net_host *ret, struct err *e)
{
	*ret = (struct net_host){.netns = -1};
	if (!index)
		return 0;
	ret->netns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (ret->netns < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: network: the host's namespace");
	return open_sock(&ret->sock, e);
}

void net_close_host(struct net_host *host)
{
	if (host->sock)
		nl_socket_free(host->sock);
	host->sock = NULL;
	if (host->netns > 0)
		util_close_fd(&host->netns);
}

/* forward: packets that come in by the interface may leave by another one. */
static int link_up(struct nl_sock *sock, int ifindex, bool forward, struct err *e)
{
	struct rtnl_link *change = rtnl_link_alloc();
	int r = 0;

	if (!change)
		return err_set(e, ERR_SYSTEM, ENOMEM, "sandbox: network");
	rtnl_link_set_ifindex(change, ifindex);
	rtnl_link_set_flags(change, IFF_UP);
	if (forward)
		r = rtnl_link_inet_set_conf(change, IPV4_DEVCONF_FORWARDING, 1);
	if (r == 0)
		r = rtnl_link_change(sock, change, change, 0);
	rtnl_link_put(change);
	return r < 0 ? nl_fail(e, r, "interface up") : 0;
}

/*
 * Called before the interface is up. It keeps IPv6 from making a link-local address and a route to
 * all others: each address that is written to would take an entry of a table that the whole machine
 * shares (net.ipv6.neigh.default.gc_thresh3).
 */
static int no_ipv6(struct nl_sock *sock, int ifindex, struct err *e)
{
	struct rtnl_link *change = rtnl_link_alloc();
	int r;

	if (!change)
		return err_set(e, ERR_SYSTEM, ENOMEM, "sandbox: network");
	rtnl_link_set_ifindex(change, ifindex);
	r = rtnl_link_inet6_set_addr_gen_mode(change, IN6_ADDR_GEN_MODE_NONE);
	if (r == 0)
		r = rtnl_link_change(sock, change, change, 0);
	rtnl_link_put(change);
	/* A machine without IPv6 needs none of this. */
	return r < 0 && r != -NLE_AF_NOSUPPORT ? nl_fail(e, r, "interface without IPv6") : 0;
}

static struct nl_addr *ipv4(uint32_t host_order, int prefix)
{
	uint32_t be = htonl(host_order);
	struct nl_addr *a = nl_addr_build(AF_INET, &be, sizeof(be));

	if (a)
		nl_addr_set_prefixlen(a, prefix);
	return a;
}

static int add_address(struct nl_sock *sock, int ifindex, uint32_t address, struct err *e)
{
	struct nl_addr *a = ipv4(address, 32);
	struct rtnl_addr *ra = rtnl_addr_alloc();
	int r = -NLE_NOMEM;

	if (a && ra) {
		rtnl_addr_set_ifindex(ra, ifindex);
		r = rtnl_addr_set_local(ra, a);
		if (r == 0)
			r = rtnl_addr_add(sock, ra, 0);
	}
	if (ra)
		rtnl_addr_put(ra);
	if (a)
		nl_addr_put(a);
	return r < 0 ? nl_fail(e, r, "address") : 0;
}

/* Adds a route to dst by the gateway, or a direct one when gateway is 0. RTNH_F_ONLINK: the kernel
 * need not know a route to the gateway. */
static int add_route(struct nl_sock *sock, int ifindex, uint32_t dst, int prefix, uint32_t gateway,
		     struct err *e)
{
	struct rtnl_route *route = rtnl_route_alloc();
	struct rtnl_nexthop *hop = rtnl_route_nh_alloc();
	struct nl_addr *d = ipv4(dst, prefix), *g = gateway ? ipv4(gateway, 32) : NULL;
	int r = -NLE_NOMEM;

	if (route && hop && d && (g || !gateway)) {
		rtnl_route_nh_set_ifindex(hop, ifindex);
		if (g) {
			rtnl_route_nh_set_gateway(hop, g);
			rtnl_route_nh_set_flags(hop, RTNH_F_ONLINK);
		} else {
			rtnl_route_set_scope(route, RT_SCOPE_LINK);
		}
		rtnl_route_add_nexthop(route, hop);
		hop = NULL; /* the route owns it now */
		r = rtnl_route_set_dst(route, d);
		if (r == 0)
			r = rtnl_route_add(sock, route, 0);
	}
	if (hop)
		rtnl_route_nh_free(hop);
	if (route)
		rtnl_route_put(route);
	if (d)
		nl_addr_put(d);
	if (g)
		nl_addr_put(g);
	return r < 0 ? nl_fail(e, r, "route") : 0;
}

static int ifindex_of(struct nl_sock *sock, const char *name, struct err *e)
{
	struct rtnl_link *link = NULL;
	int r = rtnl_link_get_kernel(sock, 0, name, &link);

	if (r < 0)
		return nl_fail(e, r, name);
	r = rtnl_link_get_ifindex(link);
	rtnl_link_put(link);
	return r;
}

/* Makes the pair in one request: eth0 in this namespace, the other end on the host. */
static int add_veth(struct nl_sock *sock, const char *host_name, int host_netns, struct err *e)
{
	struct rtnl_link *link = rtnl_link_veth_alloc(), *peer;
	int r;

	if (!link)
		return err_set(e, ERR_SYSTEM, ENOMEM, "sandbox: network");
	rtnl_link_set_name(link, "eth0");
	peer = rtnl_link_veth_get_peer(link);
	rtnl_link_set_name(peer, host_name);
	rtnl_link_set_ns_fd(peer, host_netns);
	rtnl_link_put(peer);
	r = rtnl_link_add(sock, link, NLM_F_CREATE | NLM_F_EXCL);
	rtnl_link_put(link);
	if (r == -NLE_EXIST)
		return err_set(e, ERR_SYSTEM, EEXIST, "sandbox: network: %s", host_name);
	return r < 0 ? nl_fail(e, r, "veth pair") : 0;
}

static int setup_egress(struct nl_sock *sock, uint32_t index, struct net_host *host, struct err *e)
{
	const uint32_t address = net_instance.subnet + index;
	int inside, outside, r;
	char name[sizeof(net_instance.prefix) + 10]; /* within IFNAMSIZ for any index */

	(void)snprintf(name, sizeof(name), "%s%u", net_instance.prefix, index);
	/* A former interface of this name may still be there: a namespace ends some time after its
	 * last process. */
	for (int i = 0; i < VETH_TRIES; i++) {
		struct timespec nap = {0, 20000000};

		r = add_veth(sock, name, host->netns, e);
		if (r != -EEXIST)
			break;
		(void)nanosleep(&nap, NULL);
	}
	if (r < 0)
		return r;
	inside = ifindex_of(sock, "eth0", e);
	if (inside < 0)
		return inside;
	outside = ifindex_of(host->sock, name, e);
	if (outside < 0)
		return outside;
	/* The host's end of every pair has the gateway's address: packets are routed, not
	 * bridged. */
	r = add_address(host->sock, outside, net_instance.subnet + 1, e);
	if (r < 0)
		return r;
	r = no_ipv6(host->sock, outside, e);
	if (r < 0)
		return r;
	r = link_up(host->sock, outside, true, e);
	if (r < 0)
		return r;
	r = add_route(host->sock, outside, address, 32, 0, e);
	if (r < 0)
		return r;
	r = add_address(sock, inside, address, e);
	if (r < 0)
		return r;
	r = no_ipv6(sock, inside, e);
	if (r < 0)
		return r;
	r = link_up(sock, inside, false, e);
	if (r < 0)
		return r;
	return add_route(sock, inside, 0, 0, net_instance.subnet + 1, e);
}

int net_up(struct err *e)
{
	struct nl_sock *sock = NULL;
	int r = open_sock(&sock, e);

	if (r < 0)
		return r;
	/* lo is interface 1 in every new namespace. */
	r = link_up(sock, 1, false, e);
	nl_socket_free(sock);
	return r;
}

/*
 * A TCP connection that is over is kept for a minute, in a table of the whole machine and in memory
 * that no cgroup is charged for: by default up to 131,072 of them for each namespace.
 */
int net_limit(int proc, struct err *e)
{
	static const char most[] = "8192";
	_cleanup_fd_ int fd = openat(proc, "sys/net/ipv4/tcp_max_tw_buckets", O_WRONLY | O_CLOEXEC);

	return fd < 0 || write(fd, most, strlen(most)) < 0
		       ? err_set(e, ERR_SYSTEM, errno,
				 "sandbox: sysctl net.ipv4.tcp_max_tw_buckets")
		       : 0;
}

/* Makes the new namespace, and leaves the calling process in it. */
static int new_ns(struct err *e)
{
	_cleanup_fd_ int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
	int r;

	if (unshare(CLONE_NEWNET) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: network namespace");
	r = net_up(e);
	return r < 0 ? r : net_limit(proc, e);
}

int net_make_ns(int *ret_fd, struct err *e)
{
	_cleanup_fd_ int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	int r;

	if (home < 0)
		return err_set(e, ERR_SYSTEM, errno, "the host's network namespace");
	r = new_ns(e);
	*ret_fd = r == 0 ? open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC) : -1;
	if (r == 0 && *ret_fd < 0)
		r = err_set(e, ERR_SYSTEM, errno, "sandbox: network namespace");
	/* A monitor that cannot leave a sandbox's network must not go on. */
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return r;
}

int net_enter_ns(int fd, struct err *e)
{
	if (fd < 0)
		return new_ns(e);
	if (setns(fd, CLONE_NEWNET) < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: network namespace");
	return 0;
}

int net_setup(uint32_t index, struct net_host *host, struct err *e)
{
	struct nl_sock *sock = NULL;
	int r;

	if (!index)
		return 0;
	r = open_sock(&sock, e);
	if (r == 0)
		r = setup_egress(sock, index, host, e);
	if (sock)
		nl_socket_free(sock);
	return r;
}
