/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's network namespace. Every one has lo up. POLICY_NET_EGRESS adds a
 * point-to-point veth pair, eth0 inside, routed on the host, with NAT and
 * the policy's rules by nftables (net_nft.c). Sandboxes never see one another.
 */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

#include <stdint.h>

#include "lib/policy.h"
#include "lib/util.h"

struct nl_sock;
struct net_host {
	struct nl_sock *sock; /* in the host's network namespace; NULL when not needed */
	int netns;	      /* of the host; -1 */
};

/*
 * What is this daemon's own on the host, so that two may run beside each other: an
 * IPv4 /16, the prefix of its interfaces' names, its nftables table. The cgroup
 * root's name decides: "sandboxd" has 10.213.0.0/16, others a hash of their name.
 * Set once, before any start.
 */
struct net_instance {
	uint32_t subnet; /* host order; the gateway is subnet + 1 */
	char prefix[8];	 /* "sbd5-" */
	char table[80];
};
extern struct net_instance net_instance;
void net_configure(const char *name);

#define NET_PREFIX_LEN 16
#define NET_INDEX_MAX 65533u
/* Each policy that has egress gets a block of this many addresses, so that its
 * rules are static and a start never runs nft. Block 0 is the gateway's. */
#define NET_BLOCK 2048u

/*
 * A network namespace with lo up, made ahead of time: the 0.5 ms that it takes is the
 * dearest step of a start. The caller is for that long in the new namespace, so it must
 * have one thread; it is back in its own on return, also on an error (else it aborts).
 */
int net_make_ns(int *ret_fd, struct err *e);
/* Enters one that net_make_ns made (single-use: the caller closes it), or a new one. */
int net_enter_ns(int fd, struct err *e);
/* lo, in the namespace that the caller is in. */
int net_up(struct err *e);
/* Of the caller's namespace, by a writable /proc: what the machine has for all of them. */
int net_limit(int proc, struct err *e);

/*
 * net_forward.c: the host's own interfaces that forward because we had them do so. Where the
 * host forwards anyway (net.ipv4.ip_forward), there are none, and nothing is changed.
 */
#define NET_UPLINKS_MAX 16
struct net_forward {
	unsigned n;
	char names[NET_UPLINKS_MAX][16]; /* IFNAMSIZ */
};
/* What a former monitor has in run_fd; none: empty. */
void net_forward_load(int run_fd, struct net_forward *ret);
/* Has those forward by which answers come to sandboxes of this policy. Idempotent, and to be
 * repeated: routes change. It is in run_fd before it is done. */
int net_forward_for(const struct policy *policy, int run_fd, struct net_forward *f, struct err *e);
/* They do not forward any more. */
void net_forward_undo(int run_fd, struct net_forward *f);
/* Calls fn with each IPv4 name server of the host's that a sandbox can reach. */
void net_each_name_server(void (*fn)(uint32_t host_order, void *arg), void *arg);

/*
 * net_claim.c: in place of net_configure() and all that a monitor does for a policy's network, for
 * the one sandbox of a program that is no daemon: an address, an interface's name and a table that
 * nobody else on this machine has, the policy's rules, and what has to forward.
 */
struct net_claim {
	uint32_t index; /* the sandbox's; 0: nothing is claimed */
	int number, folder, lock;
	struct net_forward forward;
};
#define NET_CLAIM_INIT                                                                             \
	{                                                                                          \
		.number = -1, .folder = -1, .lock = -1                                             \
	}
/* What *ret holds after a failure, too, is undone by net_claim_undo. */
int net_claim(const struct policy *policy, struct net_claim *ret, struct err *e);
void net_claim_undo(struct net_claim *c);

/* index 0: only lo. Else an address index in the policy's block. */
int net_open_host(uint32_t index, struct net_host *ret, struct err *e);
int net_setup(uint32_t index, struct net_host *host, struct err *e);
void net_close_host(struct net_host *host);

/*
 * net_nft.c, monitor: install the table and this policy's chain for its block of
 * addresses (nft is run once a policy). Idempotent.
 */
int net_install_policy(const struct policy *policy, uint32_t block, struct err *e);
/* The interfaces by which nothing is forwarded but to sandboxes; in place of those before. */
int net_set_uplinks(const struct net_forward *f, struct err *e);
void net_remove_table(void);
/* Those that are called prefix1 to prefixN, as far as they are there. */
void net_remove_tables(const char *prefix, unsigned n);

/*
 * net_flows.c: takes out of the host's connection table what was begun from addresses that are
 * not used. used: NET_INDEX_MAX + 1 flags. Takes as long as the whole table is to read.
 */
int net_forget_flows(const uint8_t *used, struct err *e);

#endif
