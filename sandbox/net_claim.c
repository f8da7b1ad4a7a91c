// SPDX-License-Identifier: Apache-2.0
/*
 * A network for one sandbox without a daemon. Several may be claimed at a time, and daemons run
 * beside them. The kernel gives out the numbers, and with them the addresses, which are of
 * 10.212.0.0/16, a subnet that no daemon has.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "sandbox/net.h"

#define CLAIMS_MAX (NET_INDEX_MAX / NET_BLOCK)
#define TABLE_PREFIX "sandboxd-claim-"
#define TABLE TABLE_PREFIX "%u"
#define PREFIX "sbx%u-"
/* Held while numbers are given out, and while the tables of free ones are removed. */
#define LOCK "claims"

/* Takes a number by binding a socket to an abstract name: like interfaces and nftables tables, the
 * name belongs to one network namespace, and it is given back when the process ends. Returns the
 * socket or -errno. */
static int bind_number(uint32_t number)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t n = (size_t)snprintf(name.sun_path + 1, sizeof(name.sun_path) - 1, TABLE, number);
	int ret;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&name,
			   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) < 0)
		return -errno;
	ret = fd;
	fd = -1;
	return ret;
}

/* When the process that claimed a number was killed, its sandbox's interface stays until the kernel
 * has ended both; until then the number is not free. */
static bool has_interface(uint32_t number)
{
	char name[IF_NAMESIZE];

	(void)snprintf(name, sizeof(name), PREFIX "%u", number, number * NET_BLOCK);
	return if_nametoindex(name) > 0;
}

static int take_number(struct net_claim *c, struct err *e)
{
	_cleanup_fd_ int lock = net_lock(LOCK, NULL, e);

	if (lock < 0)
		return lock;
	net_instance.subnet = 10u << 24 | 212u << 16;
	for (uint32_t i = 1; i <= CLAIMS_MAX; i++) {
		c->number = bind_number(i);
		if (c->number < 0 && c->number != -EADDRINUSE)
			return err_set(e, ERR_SYSTEM, -c->number, "network: socket");
		if (c->number >= 0 && !has_interface(i)) {
			(void)snprintf(net_instance.prefix, sizeof(net_instance.prefix), PREFIX, i);
			(void)snprintf(net_instance.table, sizeof(net_instance.table), TABLE, i);
			c->index = i * NET_BLOCK;
			return 0;
		}
		util_close_fd(&c->number);
	}
	return err_set(e, ERR_LIMIT, 0,
		       "network: %u builds have a network at this time; try again when one of them "
		       "has ended",
		       CLAIMS_MAX);
}

int net_claim(const struct policy *policy, struct net_claim *c, struct err *e)
{
	int r = take_number(c, e);

	if (r == 0)
		r = net_install_policy(policy, c->index, e);
	/* A claim of the same number whose process was killed. */
	if (r == 0)
		r = net_forward_load(&c->forward, e);
	if (r == 0)
		r = net_set_uplinks(&c->forward, e);
	return r < 0 ? r : net_forward_for(policy, &c->forward, e);
}

/* Takes the address's connections out of the host's table, so that its next owner does not inherit
 * them. */
static void forget_flows(const struct net_claim *c)
{
	_cleanup_free_ uint8_t *used = malloc(NET_INDEX_MAX + 1);
	struct err ignored = {0};

	if (!used)
		return;
	memset(used, 1, NET_INDEX_MAX + 1);
	used[c->index] = 0;
	(void)net_forget_flows(used, &ignored);
}

/* Gives the number back, and removes the tables of this claim and of those whose processes were
 * killed and whose sandboxes have ended. Nobody takes one of these numbers meanwhile. */
static void give_number(struct net_claim *c)
{
	struct err ignored = {0};
	_cleanup_fd_ int lock = net_lock(LOCK, NULL, &ignored);
	uint64_t numbers = 1ull << c->index / NET_BLOCK;

	_Static_assert(CLAIMS_MAX < 64, "numbers has a bit for each claim");
	for (uint32_t i = 1; lock >= 0 && i <= CLAIMS_MAX; i++) {
		_cleanup_fd_ int fd = bind_number(i);

		if (fd >= 0 && !has_interface(i))
			numbers |= 1ull << i;
	}
	net_remove_tables(TABLE_PREFIX, numbers);
	util_close_fd(&c->number);
	c->index = 0;
}

void net_claim_undo(struct net_claim *c)
{
	if (!c->index)
		return;
	forget_flows(c);
	net_forward_undo(&c->forward);
	give_number(c);
}
