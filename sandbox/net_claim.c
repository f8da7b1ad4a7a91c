// SPDX-License-Identifier: Apache-2.0
/*
 * A network for one sandbox without a daemon. Several may be claimed at a time, and daemons run
 * beside them: the numbers, and with them the addresses (10.212.0.0/16 is no daemon's), are
 * given out by the kernel; the host's interfaces that forward for all of them stop with the last.
 */
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "sandbox/net.h"

#define CLAIMS_MAX (NET_INDEX_MAX / NET_BLOCK)
#define TABLE_PREFIX "sandboxd-claim-"
#define TABLE TABLE_PREFIX "%u"

/* A socket's abstract name belongs to one network namespace, as interfaces and tables do, and goes
 * with the process that has it. -errno. */
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

/* The interface of a sandbox whose maker was killed is there until the kernel has ended both. */
static bool has_interface(uint32_t number)
{
	char name[IF_NAMESIZE];

	(void)snprintf(name, sizeof(name), "%s%u", net_instance.prefix, number * NET_BLOCK);
	return if_nametoindex(name) > 0;
}

static int take_number(struct net_claim *c, struct err *e)
{
	net_instance.subnet = 10u << 24 | 212u << 16;
	for (uint32_t i = 1; i <= CLAIMS_MAX; i++) {
		c->number = bind_number(i);
		if (c->number < 0 && c->number != -EADDRINUSE)
			return err_set(e, ERR_SYSTEM, -c->number, "network: socket");
		(void)snprintf(net_instance.prefix, sizeof(net_instance.prefix), "sbx%u-", i);
		if (c->number >= 0 && !has_interface(i)) {
			(void)snprintf(net_instance.table, sizeof(net_instance.table), TABLE, i);
			c->index = i * NET_BLOCK;
			return 0;
		}
		util_close_fd(&c->number);
	}
	return err_set(e, ERR_LIMIT, 0, "network: %u builds have one at this time; try again later",
		       CLAIMS_MAX);
}

/* What they all know of forwarding, of this network namespace; shared until the last one leaves. */
static int open_folder(struct net_claim *c, struct err *e)
{
	char path[64];
	struct stat st;

	if (stat("/proc/self/ns/net", &st) < 0)
		return err_set(e, ERR_SYSTEM, errno, "/proc/self/ns/net");
	(void)snprintf(path, sizeof(path), "/run/sandboxd-claims-%llu",
		       (unsigned long long)st.st_ino);
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	c->folder = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (c->folder < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", path);
	c->lock = openat(c->folder, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (c->lock < 0 || flock(c->lock, LOCK_SH) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s/lock", path);
	return 0;
}

int net_claim(const struct policy *policy, struct net_claim *c, struct err *e)
{
	int r = take_number(c, e);

	if (r == 0)
		r = open_folder(c, e);
	if (r == 0)
		r = net_install_policy(policy, c->index, e);
	if (r < 0)
		return r;
	net_forward_load(c->folder, &c->forward);
	r = net_set_uplinks(&c->forward, e);
	return r < 0 ? r : net_forward_for(policy, c->folder, &c->forward, e);
}

/* Connections that were begun from this address are not the next one's. */
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

void net_claim_undo(struct net_claim *c)
{
	if (c->index)
		forget_flows(c);
	if (c->lock >= 0 && flock(c->lock, LOCK_EX | LOCK_NB) == 0) {
		/* Another one may have switched it on, and left before. */
		net_forward_load(c->folder, &c->forward);
		net_forward_undo(c->folder, &c->forward);
		/* And one that was killed has left its table. */
		net_remove_tables(TABLE_PREFIX, CLAIMS_MAX);
	} else if (c->index) {
		net_remove_table();
	}
	c->index = 0;
	util_close_fd(&c->lock);
	util_close_fd(&c->folder);
	util_close_fd(&c->number);
}
