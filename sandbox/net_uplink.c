// SPDX-License-Identifier: Apache-2.0
/*
 * Forwarding on single interfaces of the host, for daemons and builds that need the same ones.
 *
 * FOLDER has an empty file for each interface and each program that needs it, which is called
 * COOKIE:PREFIX:INTERFACE: the network namespace, by a number that the kernel gives to no other one
 * before the next boot; how the names of that program's sandboxes' interfaces begin; what forwards.
 * That there is such a file means that the interface forwards because of us and not because the
 * host's owner wants it. When the last one is removed, forwarding is switched off.
 *
 * A program locks its own file as long as it lives. A file that nobody has locked is that of a
 * program that was killed or is being restarted, whose sandboxes may live on; once they are gone
 * too, the next program that starts or stops removes the file. All that is done to the files, and
 * to forwarding because of them, is done with the folder's own lock, which is held for no longer.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/dir.h"
#include "sandbox/net.h"

#define FOLDER "/run/sandboxd-network"

struct use {
	char prefix[sizeof(net_instance.prefix)], interface[IF_NAMESIZE];
};
#define COOKIE_MAX 20 /* digits */
#define USE_NAME_MAX (COOKIE_MAX + 1 + sizeof(net_instance.prefix) + IF_NAMESIZE)

int net_lock(const char *name, int *ret_folder, struct err *e)
{
	_cleanup_fd_ int folder = -1, fd = -1;

	if (mkdir(FOLDER, 0700) < 0 && errno != EEXIST)
		return err_set(e, ERR_SYSTEM, errno, "%s", FOLDER);
	folder = open(FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (folder < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s", FOLDER);
	fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s/%s", FOLDER, name);
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return err_set(e, ERR_SYSTEM, errno, "%s/%s: lock", FOLDER, name);
	if (ret_folder)
		*ret_folder = TAKE_FD(folder);
	return TAKE_FD(fd);
}

/* The lock of the folder, and which network namespace its holder is in. */
struct locked {
	int folder, lock;
	char netns[COOKIE_MAX + 2]; /* as names begin: "COOKIE:" */
};

static int locked_open(struct locked *ret, struct err *e)
{
	_cleanup_fd_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	uint64_t cookie;
	socklen_t len = sizeof(cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &len) < 0)
		return err_set(e, ERR_SYSTEM, errno, "the network namespace's cookie");
	(void)snprintf(ret->netns, sizeof(ret->netns), "%" PRIu64 ":", cookie);
	ret->lock = net_lock("lock", &ret->folder, e);
	return ret->lock < 0 ? ret->lock : 0;
}

static void locked_close(struct locked *l)
{
	util_close_fd(&l->folder);
	util_close_fd(&l->lock);
}
#define _cleanup_locked_ __attribute__((cleanup(locked_close)))
#define LOCKED_INIT                                                                                \
	{                                                                                          \
		.folder = -1, .lock = -1                                                           \
	}

static void use_format(const struct locked *l, const struct use *u, char name[USE_NAME_MAX])
{
	(void)snprintf(name, USE_NAME_MAX, "%s%s:%s", l->netns, u->prefix, u->interface);
}

/* False: not a file of this network namespace. */
static bool use_parse(const struct locked *l, const char *name, struct use *ret)
{
	const size_t skip = strlen(l->netns);
	const char *prefix = name + skip, *colon;

	if (strncmp(name, l->netns, skip) != 0)
		return false;
	colon = strchr(prefix, ':');
	if (!colon || (size_t)(colon - prefix) >= sizeof(ret->prefix) ||
	    strlen(colon + 1) >= sizeof(ret->interface))
		return false;
	(void)snprintf(ret->prefix, sizeof(ret->prefix), "%.*s", (int)(colon - prefix), prefix);
	(void)snprintf(ret->interface, sizeof(ret->interface), "%s", colon + 1);
	return true;
}

static struct use use_of_ours(const char *interface)
{
	struct use u;

	(void)snprintf(u.prefix, sizeof(u.prefix), "%s", net_instance.prefix);
	(void)snprintf(u.interface, sizeof(u.interface), "%s", interface);
	return u;
}

static bool is_ours(const struct use *u)
{
	return strcmp(u->prefix, net_instance.prefix) == 0;
}

struct search {
	const struct locked *l;
	const char *interface;
};

/* 1 ends the search. */
static int use_is_of(int folder, const char *name, void *arg, struct err *e)
{
	const struct search *s = arg;
	struct use u;

	(void)folder;
	(void)e;
	return use_parse(s->l, name, &u) && strcmp(u.interface, s->interface) == 0;
}

/* A folder that cannot be read counts as one in which the interface is used. */
static bool is_used(const struct locked *l, const char *interface)
{
	return dir_each(l->folder, use_is_of, &(struct search){l, interface}, NULL) != 0;
}

static int open_sysctl(const char *interface, int flags)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/ipv4/conf/%s/forwarding", interface);
	return open(path, flags | O_CLOEXEC);
}

int net_forwards(const char *interface)
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

int net_uplink_on(const char *interface, struct err *e)
{
	int r = switch_to(interface, true);

	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "forwarding on interface %s", interface) : 0;
}

static void use_end(const struct locked *l, const struct use *u)
{
	char name[USE_NAME_MAX];

	use_format(l, u, name);
	/* Where the host forwards from every interface by now, somebody else has asked for that: it
	 * stays. */
	if (unlinkat(l->folder, name, 0) == 0 && !is_used(l, u->interface) &&
	    net_forwards("all") == 0)
		(void)switch_to(u->interface, false);
}

static bool interface_begins_with(const char *prefix)
{
	struct if_nameindex *all = if_nameindex();
	bool yes = !all; /* the safe answer */

	for (const struct if_nameindex *i = all; i && i->if_index && !yes; i++)
		yes = strncmp(i->if_name, prefix, strlen(prefix)) == 0;
	if (all)
		if_freenameindex(all);
	return yes;
}

/* Whether the file's program has ended, and its last sandbox too. */
static bool is_abandoned(int folder, const char *name, const struct use *u)
{
	_cleanup_fd_ int fd = openat(folder, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);

	return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && !interface_begins_with(u->prefix);
}

/* Makes the file anew, because the lock of an old one may be held by a process that has inherited
 * it. */
static int use_begin(const struct locked *l, const char *interface, struct net_forward *f,
		     struct err *e)
{
	const struct use u = use_of_ours(interface);
	struct net_uplink *to = &f->uplinks[f->n];
	_cleanup_fd_ int fd = -1;
	char name[USE_NAME_MAX];

	if (f->n == NET_UPLINKS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "more than %d interfaces lead to what the policy allows: switch "
			       "forwarding on for all of them, sysctl net.ipv4.ip_forward=1",
			       NET_UPLINKS_MAX);
	use_format(l, &u, name);
	(void)unlinkat(l->folder, name, 0);
	fd = openat(l->folder, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
		return err_set(e, ERR_SYSTEM, errno, "%s/%s", FOLDER, name);
	(void)snprintf(to->name, sizeof(to->name), "%s", interface);
	to->fd = TAKE_FD(fd);
	f->n++;
	return 0;
}

int net_uplink_take(const char *interface, struct net_forward *f, struct err *e)
{
	_cleanup_locked_ struct locked l = LOCKED_INIT;
	int r = locked_open(&l, e), forwards;

	if (r < 0)
		return r;
	forwards = net_forwards(interface);
	/* There is no such interface any more, or it forwards because the host's owner wants it. */
	if (forwards < 0 || (forwards && !is_used(&l, interface)))
		return 0;
	r = use_begin(&l, interface, f, e);
	return r < 0 ? r : 1;
}

void net_uplink_drop(struct net_forward *f)
{
	_cleanup_locked_ struct locked l = LOCKED_INIT;
	struct net_uplink *last = &f->uplinks[--f->n];
	struct err ignored = {0};

	if (locked_open(&l, &ignored) == 0) {
		struct use u = use_of_ours(last->name);

		use_end(&l, &u);
	}
	util_close_fd(&last->fd);
}

/* Ends what nobody needs any more. keep: gets what a former process of ours has left; NULL: that
 * ends as well. */
static int sweep(const struct locked *l, struct net_forward *keep, struct err *e)
{
	_cleanup_dir_names_ struct dir_names names = {0};
	/* All names first, because files are made here. */
	int r = dir_names_read(l->folder, SIZE_MAX, &names);

	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "%s", FOLDER);
	for (size_t i = 0; i < names.n && r == 0; i++) {
		struct use u;

		if (!use_parse(l, names.names[i], &u))
			continue;
		if (is_ours(&u) && keep)
			r = use_begin(l, u.interface, keep, e);
		else if (is_ours(&u) || is_abandoned(l->folder, names.names[i], &u))
			use_end(l, &u);
	}
	return r;
}

static void forward_close(struct net_forward *f)
{
	while (f->n > 0)
		util_close_fd(&f->uplinks[--f->n].fd);
}

int net_forward_load(struct net_forward *f, struct err *e)
{
	_cleanup_locked_ struct locked l = LOCKED_INIT;
	int r = locked_open(&l, e);

	forward_close(f);
	return r < 0 ? r : sweep(&l, f, e);
}

void net_forward_undo(struct net_forward *f)
{
	_cleanup_locked_ struct locked l = LOCKED_INIT;
	struct err ignored = {0};

	if (locked_open(&l, &ignored) == 0)
		(void)sweep(&l, NULL, &ignored);
	forward_close(f);
}
