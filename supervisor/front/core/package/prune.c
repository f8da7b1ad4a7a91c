// SPDX-License-Identifier: Apache-2.0
/*
 * What nobody uses goes, in a child: zips with their folders at once, and of the folders that came
 * with `run` the least recently used first. The child knows the tasks and workers of the moment that
 * it began in. What has come since then has set the time of what it uses (package.h).
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/dir.h"
#include "lib/msg.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/package.h"
#include "supervisor/front/core/worker.h"

/* One that was used a moment ago may be in a request that is not a task or worker yet. A zip is in
 * one only while some zip is being unpacked; else its time need only be before that of the child.
 */
#define YOUNG_S 600
#define YOUNG_ZIP_S 2
/* Nothing is unpacked for so long: who did was killed. */
#define UNPACK_S 3600

struct unused {
	char name[PACKAGE_NAME_MAX + 1];
	struct timespec used;
	uint64_t bytes;
};

static uint64_t tree_bytes(int at, const char *name);

static int add_bytes(int at, const char *name, void *bytes, struct err *e)
{
	(void)e;
	*(uint64_t *)bytes += tree_bytes(at, name);
	return 0;
}

/* It meets only what was unpacked here: PACKAGE_DEPTH_MAX bounds it. */
static uint64_t tree_bytes(int at, const char *name)
{
	_cleanup_fd_ int dir = -1;
	uint64_t bytes;
	struct stat st;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	/* Files are what runs out first where they are empty. */
	bytes = (uint64_t)st.st_blocks * 512;
	bytes = bytes < PACKAGE_BLOCK ? PACKAGE_BLOCK : bytes;
	if (!S_ISDIR(st.st_mode))
		return bytes;
	dir = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	(void)dir_each(dir, add_bytes, &bytes, NULL);
	return bytes;
}

static bool is_zip(const char *name)
{
	return strlen(name) == PACKAGE_NAME_MAX && strcmp(name + 64, PACKAGE_ZIP) == 0;
}

/* True for what is not a package, too: it is not ours to judge. */
static bool in_use(struct front *f, const char *name)
{
	uint8_t digest[32];
	char hex[65];

	if (strlen(name) != 64 && !is_zip(name))
		return true;
	(void)snprintf(hex, sizeof(hex), "%.64s", name);
	if (util_unhex(hex, 32, digest) < 0 || worker_uses_package(f, digest))
		return true;
	if (is_zip(name))
		return false;
	PART_WALK(f, part)
		if (part->uses_package && part->uses_package(f, digest))
			return true;
	return false;
}

static int older_first(const void *a, const void *b)
{
	const struct unused *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static bool is_unchanged(int packages, const char *name, const struct unused *u)
{
	struct stat st;

	return fstatat(packages, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       st.st_mtim.tv_sec == u->used.tv_sec && st.st_mtim.tv_nsec == u->used.tv_nsec;
}

/* The steps of package.h. */
static void take_away(int packages, const struct unused *u)
{
	char gone[PACKAGE_NAME_MAX + sizeof(PACKAGE_GONE)];
	char dead[PACKAGE_NAME_MAX + sizeof(PACKAGE_DEAD)];

	(void)snprintf(gone, sizeof(gone), PACKAGE_GONE "%s", u->name);
	(void)snprintf(dead, sizeof(dead), PACKAGE_DEAD "%s", u->name);
	if (!is_unchanged(packages, u->name, u) || renameat(packages, u->name, packages, gone) < 0)
		return;
	if (!is_unchanged(packages, gone, u) &&
	    renameat2(packages, gone, packages, u->name, RENAME_NOREPLACE) == 0)
		return;
	if (renameat(packages, gone, packages, dead) == 0)
		(void)dir_remove_tree(packages, dead);
}

struct pruning {
	struct front *f;
	uint64_t now;
	struct unused *list;
	size_t n, allocated;
	uint64_t total;
	unsigned young_zip_s;
};

/* True where nothing uses it and nothing has for so long; *ret is what take_away wants. */
static bool is_unused(struct front *f, const char *name, unsigned young_s, uint64_t now,
		      struct unused *ret)
{
	struct stat st;

	if (in_use(f, name) || fstatat(f->cfg.packages_dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (uint64_t)st.st_mtim.tv_sec + young_s > now)
		return false;
	*ret = (struct unused){.used = st.st_mtim};
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)PACKAGE_NAME_MAX, name);
	return true;
}

/* The zip, and before it the folder that it was unpacked to: alone that would be taken for one
 * that came with `run`. Where a task still has the folder, both stay. */
static void look_at_zip(struct front *f, const struct pruning *p, const char *name, uint64_t now)
{
	int packages = f->cfg.packages_dirfd;
	uint8_t zip[32], package[32];
	struct unused u, folder;
	char hex[65];

	if (!is_unused(f, name, p->young_zip_s, now, &u))
		return;
	(void)snprintf(hex, sizeof(hex), "%.64s", name);
	if (util_unhex(hex, 32, zip) < 0)
		return;
	package_zip_digest(zip, package);
	util_hex(package, 32, hex);
	if (is_unused(f, hex, p->young_zip_s, now, &folder))
		take_away(packages, &folder);
	if (faccessat(packages, hex, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		take_away(packages, &u);
}

static int look_at(int packages, const char *name, void *arg, struct err *e)
{
	struct pruning *p = arg;
	struct unused u;
	struct stat st;

	(void)e;
	if (strncmp(name, PACKAGE_TMP, strlen(PACKAGE_TMP)) == 0) {
		if (fstatat(packages, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (uint64_t)st.st_mtim.tv_sec + UNPACK_S <= p->now)
			(void)dir_remove_tree(packages, name);
		return 0;
	}
	if (is_zip(name)) {
		look_at_zip(p->f, p, name, p->now);
		return 0;
	}
	if (!is_unused(p->f, name, YOUNG_S, p->now, &u))
		return 0;
	if (p->n == p->allocated) {
		size_t want = p->allocated ? 2 * p->allocated : 64;
		struct unused *more = realloc(p->list, want * sizeof(*more));

		if (!more)
			return 0;
		p->list = more;
		p->allocated = want;
	}
	u.bytes = tree_bytes(packages, name);
	p->total += u.bytes;
	p->list[p->n++] = u;
	return 0;
}

static void prune(struct front *f)
{
	struct pruning p = {.f = f,
			    .now = util_realtime_ns() / SEC,
			    .young_zip_s = f->core->n_unpacking ? YOUNG_S : YOUNG_ZIP_S};
	int packages = f->cfg.packages_dirfd;

	(void)dir_each(packages, look_at, &p, NULL);
	if (p.n)
		qsort(p.list, p.n, sizeof(*p.list), older_first);
	for (size_t i = 0; i < p.n && p.total > f->cfg.packages_keep; i++) {
		take_away(packages, &p.list[i]);
		p.total -= p.list[i].bytes;
	}
	free(p.list);
}

static int prune_again(sd_event_source *s, uint64_t usec, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)usec;
	f->core->prune_timer = sd_event_source_disable_unref(f->core->prune_timer);
	package_prune(f);
	return 0;
}

static void prune_later(struct front *f)
{
	if (!f->core->prune_timer)
		(void)sd_event_add_time_relative(f->event, &f->core->prune_timer, CLOCK_MONOTONIC,
						 YOUNG_ZIP_S * SEC / 1000, 0, prune_again, f);
}

static bool anything_left(const struct front *f)
{
	const struct project *p = f->core->projects;

	while (p && !p->left_ns)
		p = p->next;
	return p;
}

/* A package that was left shortly before this pruning began is left to the next one. */
static int prune_ended(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)si;
	f->core->pruner = sd_event_source_disable_unref(f->core->pruner);
	for (struct project *p = f->core->projects; p; p = p->next)
		if (p->left_ns < f->core->pruning_ns)
			p->left_bytes = p->left_files = p->left_ns = 0;
	if (anything_left(f))
		prune_later(f);
	return 0;
}

static void prune_begin(struct front *f, const struct err *error)
{
	pid_t pid, parent = getpid();

	if (error) {
		msg_warn("unused packages are not removed: %s", error->msg);
		if (anything_left(f))
			prune_later(f);
		return;
	}
	f->core->pruning_ns =
		util_realtime_ns() -
		(f->core->n_unpacking ? YOUNG_S : YOUNG_ZIP_S + 1) * SEC; /* it rounds up */
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		worker_packages_sort(f);
		if (getppid() == parent)
			prune(f);
		_exit(0);
	}
	if (pid > 0 &&
	    sd_event_add_child(f->event, &f->core->pruner, pid, WEXITED, prune_ended, f) < 0)
		(void)waitpid(pid, NULL, 0);
}

void package_prune(struct front *f)
{
	struct err e = {0};

	if (f->core->pruner || f->core->worker_known)
		return;
	if (worker_packages_know(f, prune_begin, &e) < 0)
		msg_warn("unused packages are not removed: %s", e.msg);
}

void package_left(struct front *f, struct project *p, const struct package_size *size)
{
	uint64_t now = util_monotonic_ns();

	if (p && (size->bytes || size->files)) {
		p->left_bytes += size->bytes;
		p->left_files += size->files;
		p->left_ns = util_realtime_ns();
	}
	/* It reads the whole folder: not as often as somebody may upload what is refused. */
	if (f->core->left_pruned_ns && now < f->core->left_pruned_ns + YOUNG_ZIP_S * SEC) {
		prune_later(f);
		return;
	}
	f->core->left_pruned_ns = now;
	package_prune(f);
}

static void package_prune_clear(struct front *f)
{
	f->core->pruner = sd_event_source_disable_unref(f->core->pruner);
	f->core->prune_timer = sd_event_source_disable_unref(f->core->prune_timer);
}

/* What the last front left half done. Nothing else uses the packages yet. */
static int clean(int packages, const char *name, void *arg, struct err *e)
{
	const char *was = name + strlen(PACKAGE_GONE);

	(void)arg;
	(void)e;
	if (strncmp(name, PACKAGE_GONE, strlen(PACKAGE_GONE)) == 0) {
		/* EEXIST: its like has come in its place. */
		if (renameat2(packages, name, packages, was, RENAME_NOREPLACE) < 0)
			(void)dir_remove_tree(packages, name);
	} else if (strncmp(name, PACKAGE_TMP, strlen(PACKAGE_TMP)) == 0 ||
		   strncmp(name, PACKAGE_DEAD, strlen(PACKAGE_DEAD)) == 0) {
		(void)dir_remove_tree(packages, name);
	}
	return 0;
}

/* What a former front left half done. */
static int package_clean(struct front *f, struct err *e)
{
	(void)e;
	(void)dir_each(f->cfg.packages_dirfd, clean, NULL, NULL);
	return 0;
}

const struct capability package_capability = {
	.name = "packages", .load = package_clean, .clear = package_prune_clear};
