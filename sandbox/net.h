/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's network namespace. In each of them lo is up. POLICY_NET_EGRESS adds a point-to-point
 * veth pair, called eth0 inside and routed on the host, with NAT and the policy's rules in nftables
 * (net_nft.c). Sandboxes cannot reach one another.
 *
 * All functions return 0 or -errno, and fill in a struct err where they take one. Addresses are
 * IPv4, in host order where a comment says so.
 */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

#include <stdint.h>

#include "lib/policy.h"
#include "lib/util.h"

struct nl_sock;
struct net_host {
	/* a netlink socket in the host's network namespace; NULL when not needed */
	struct nl_sock *sock;
	int netns; /* the host's network namespace; -1 when not needed */
};

/*
 * What on the host belongs to this daemon alone, so that two daemons can run beside each other: an
 * IPv4 /16, the prefix of its interfaces' names, its nftables table. The cgroup root's name
 * decides: "sandboxd" has 10.213.0.0/16, any other name an octet that is a hash of it. Set once,
 * before the first start.
 */
struct net_instance {
	uint32_t subnet; /* host order; the gateway is subnet + 1 */
	char prefix[8];	 /* for instance "sbd5-" */
	char table[80];
};
extern struct net_instance net_instance;
void net_configure(const char *name);

#define NET_PREFIX_LEN 16
#define NET_INDEX_MAX 65533u
/* Each policy that has egress gets a block of this many addresses, so that its rules name addresses
 * that never change and a start never runs nft. The gateway's address is in block 0. */
#define NET_BLOCK 2048u

/*
 * Makes a network namespace with lo up, ahead of time: this takes 0.5 ms, more than any other step
 * of a start. Meanwhile the calling process is in the new namespace, so it must have one thread. It
 * is back in its own namespace on return, also on an error; when it cannot go back, it aborts. The
 * caller closes *ret_fd.
 */
int net_make_ns(int *ret_fd, struct err *e);
/* Enters the namespace fd, which net_make_ns has made for one use and which the caller closes, or a
 * new one when fd is -1. */
int net_enter_ns(int fd, struct err *e);
/* Brings lo up, in the caller's namespace. */
int net_up(struct err *e);
/* Bounds what sandboxes in the caller's namespace take of tables that are the whole machine's.
 * proc: a writable /proc. */
int net_limit(int proc, struct err *e);

/*
 * net_uplink.c: the host's own interfaces that forward because this program needs it, and for how
 * long. Other daemons and builds in the same network namespace may need the same ones: what one of
 * them takes, it holds as long as it lives, and what the last one gives up stops forwarding. Who is
 * who is told by net_instance.
 */
#define NET_UPLINKS_MAX 16
struct net_forward {
	unsigned n;
	struct net_uplink {
		char name[16]; /* IFNAMSIZ */
		int fd;	       /* a locked file, which tells others that we need the interface */
	} uplinks[NET_UPLINKS_MAX];
};
/* Takes the lock of this name, which belongs to all daemons and builds of the machine, until the
 * returned descriptor is closed. ret_folder: where the file is; NULL when that is not wanted. */
int net_lock(const char *name, int *ret_folder, struct err *e);
/* Whether an interface, or "all", forwards; -errno when it does not exist. */
int net_forwards(const char *interface);
/* 1: the interface is now the last one of *f, and to be switched on; 0: nothing is to be done. */
int net_uplink_take(const char *interface, struct net_forward *f, struct err *e);
int net_uplink_on(const char *interface, struct err *e);
/* Gives up the last one of the list. */
void net_uplink_drop(struct net_forward *f);
/* The list becomes that of a former process of this program, which was killed or was replaced. */
int net_forward_load(struct net_forward *f, struct err *e);
/* Gives up all of them, also what net_forward_load would have taken. */
void net_forward_undo(struct net_forward *f);

/*
 * net_forward.c: has those interfaces forward by which answers come to sandboxes of this policy.
 * Where the host forwards anyway (net.ipv4.ip_forward) the list is empty, and nothing is changed.
 * May be called again and again; and has to be, because routes change.
 */
int net_forward_for(const struct policy *policy, struct net_forward *f, struct err *e);
/* Calls fn with each IPv4 name server in the host's resolv.conf that a sandbox can reach. */
void net_each_name_server(void (*fn)(uint32_t host_order, void *arg), void *arg);

/*
 * net_claim.c: a network for the one sandbox of a program that is not a daemon (a build). In place
 * of net_configure() and of what a monitor does for a policy's network, a claim gets an address, an
 * interface's name and a table that nobody else on this machine has, the policy's rules, and the
 * forwarding that they need.
 */
struct net_claim {
	uint32_t index; /* the sandbox's address in the subnet; 0: nothing is claimed */
	int number;
	struct net_forward forward;
};
#define NET_CLAIM_INIT                                                                             \
	{                                                                                          \
		.number = -1                                                                       \
	}
/* After a failure too, the caller undoes *ret by net_claim_undo. */
int net_claim(const struct policy *policy, struct net_claim *ret, struct err *e);
void net_claim_undo(struct net_claim *c);

/* index: an address of the policy's block; 0: the sandbox has only lo, and nothing is done. host is
 * for net_setup and the caller's to close by net_close_host. */
int net_open_host(uint32_t index, struct net_host *ret, struct err *e);
int net_setup(uint32_t index, struct net_host *host, struct err *e);
void net_close_host(struct net_host *host);

/*
 * net_nft.c, for the monitor: installs the table and the chain of this policy for its block of
 * addresses. It runs nft, once for each policy. May be called again.
 */
int net_install_policy(const struct policy *policy, uint32_t block, struct err *e);
/* Replaces the set of the interfaces by which nothing is forwarded except to sandboxes. */
int net_set_uplinks(const struct net_forward *f, struct err *e);
void net_remove_table(void);
/* Removes those tables that are called by the prefix and a number, for each bit of numbers. They
 * need not exist. */
void net_remove_tables(const char *prefix, uint64_t numbers);

/*
 * net_flows.c: removes connections from the host's connection table that were begun from addresses
 * of this daemon's subnet that are not used. used: NET_INDEX_MAX + 1 flags. Takes as long as
 * reading the whole table does.
 */
int net_forget_flows(const uint8_t *used, struct err *e);

#endif
