/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox's network namespace. Every one has lo up. POLICY_NET_EGRESS adds a
 * point-to-point veth pair: eth0 inside, "sbxN" on the host, routed, with NAT and
 * the policy's rules by nftables (net_nft.c). Sandboxes never see one another.
 */
#ifndef SANDBOX_NET_H
#define SANDBOX_NET_H

#include <stdint.h>

#include "sandbox/policy.h"
#include "sandbox/util.h"

struct nl_sock;
struct net_host {
	struct nl_sock *sock; /* in the host's network namespace; NULL when not needed */
	int netns;	      /* of the host; -1 */
};

/* Addresses: NET_SUBNET_BASE + index, one each; the gateway is index 0 plus 1. */
#define NET_SUBNET_BASE 0x0ad50000u /* 10.213.0.0/16 */
#define NET_SUBNET_PREFIX 16
#define NET_GATEWAY (NET_SUBNET_BASE + 1)
#define NET_INDEX_FIRST 2u
#define NET_INDEX_MAX 65533u
/* Each policy that has egress gets a block of this many addresses, so that its
 * rules are static and a start never runs nft. */
#define NET_BLOCK 2048u

int net_open_host(const struct policy *policy, struct net_host *ret, struct err *e);
int net_setup(const struct policy *policy, uint32_t index, struct net_host *host, struct err *e);
void net_close_host(struct net_host *host);

/*
 * net_nft.c, monitor: install the table and this policy's chain for its block of
 * addresses (nft is run once a policy), and turn on forwarding. Idempotent.
 */
int net_install_policy(const struct policy *policy, uint32_t block, struct err *e);
int net_remove_table(struct err *e);

#endif
