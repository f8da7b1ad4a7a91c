// SPDX-License-Identifier: Apache-2.0
/*
 * What nobody uses goes, in a child: zips with their folders at once, and of the folders that came
 * with `run` the least recently used first. The child knows the tasks and codes of the moment that
 * it began in. What has come since then has set the time of what it uses (package.h).
 */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/msg.h"
#include "supervisor/front/core/code.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/core/package/package.h"

/* One that was used a moment ago may be in a request that is not a task or code yet. A zip is in
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

/* Both walks below meet only what package_extract made: PACKAGE_DEPTH_MAX bounds them. */
static DIR *open_dir(int at, const char *name)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (fd >= 0 && !dir)
		util_close_fd(&fd);
	return dir;
}

static bool is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

void package_remove(int at, const char *name)
{
	struct dirent *d;
	DIR *dir;

	if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
		return;
	dir = open_dir(at, name);
	if (!dir)
		return;
	while ((d = readdir(dir)))
		if (!is_dots(d->d_name))
			package_remove(dirfd(dir), d->d_name);
	(void)closedir(dir);
	(void)unlinkat(at, name, AT_REMOVEDIR);
}

static uint64_t tree_bytes(int at, const char *name)
{
	uint64_t bytes = 0;
	struct dirent *d;
	struct stat st;
	DIR *dir;

	if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	/* Files are what runs out first where they are empty. */
	bytes = (uint64_t)st.st_blocks * 512;
	bytes = bytes < PACKAGE_BLOCK ? PACKAGE_BLOCK : bytes;
	if (!S_ISDIR(st.st_mode))
		return bytes;
	dir = open_dir(at, name);
	while (dir && (d = readdir(dir)))
		if (!is_dots(d->d_name))
			bytes += tree_bytes(dirfd(dir), d->d_name);
	if (dir)
		(void)closedir(dir);
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
	if (util_unhex(hex, 32, digest) < 0 || code_uses_package(f, digest))
		return true;
	if (is_zip(name))
		return false;
	PART_WALK(f, part)
		if ((*part)->uses_package && (*part)->uses_package(f, digest))
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
		package_remove(packages, dead);
}

struct pruning {
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

static void look_at(struct front *f, struct pruning *p, const char *name, uint64_t now)
{
	int packages = f->cfg.packages_dirfd;
	struct unused u;
	struct stat st;

	if (strncmp(name, PACKAGE_TMP, strlen(PACKAGE_TMP)) == 0) {
		if (fstatat(packages, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    (uint64_t)st.st_mtim.tv_sec + UNPACK_S <= now)
			package_remove(packages, name);
		return;
	}
	if (is_zip(name)) {
		look_at_zip(f, p, name, now);
		return;
	}
	if (!is_unused(f, name, YOUNG_S, now, &u))
		return;
	if (p->n == p->allocated) {
		size_t want = p->allocated ? 2 * p->allocated : 64;
		struct unused *more = realloc(p->list, want * sizeof(*more));

		if (!more)
			return;
		p->list = more;
		p->allocated = want;
	}
	u.bytes = tree_bytes(packages, name);
	p->total += u.bytes;
	p->list[p->n++] = u;
}

static void prune(struct front *f)
{
	struct pruning p = {.young_zip_s = f->core->n_unpacking ? YOUNG_S : YOUNG_ZIP_S};
	int packages = f->cfg.packages_dirfd;
	uint64_t now = util_realtime_ns() / SEC;
	DIR *dir = open_dir(packages, ".");
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (!is_dots(d->d_name))
			look_at(f, &p, d->d_name, now);
	if (p.n)
		qsort(p.list, p.n, sizeof(*p.list), older_first);
	for (size_t i = 0; i < p.n && p.total > f->cfg.packages_keep; i++) {
		take_away(packages, &p.list[i]);
		p.total -= p.list[i].bytes;
	}
	if (dir)
		(void)closedir(dir);
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

/* What was left too short a time before this one began is another one's. */
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
		code_packages_sort(f);
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

	if (f->core->pruner || f->core->code_known)
		return;
	if (code_packages_know(f, prune_begin, &e) < 0)
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

void package_prune_clear(struct front *f)
{
	f->core->pruner = sd_event_source_disable_unref(f->core->pruner);
	f->core->prune_timer = sd_event_source_disable_unref(f->core->prune_timer);
}

/* Nobody else is there yet. */
static void clean(int packages, const char *name)
{
	const char *was = name + strlen(PACKAGE_GONE);

	if (strncmp(name, PACKAGE_GONE, strlen(PACKAGE_GONE)) == 0) {
		/* EEXIST: its like has come in its place. */
		if (renameat2(packages, name, packages, was, RENAME_NOREPLACE) < 0)
			package_remove(packages, name);
	} else if (strncmp(name, PACKAGE_TMP, strlen(PACKAGE_TMP)) == 0 ||
		   strncmp(name, PACKAGE_DEAD, strlen(PACKAGE_DEAD)) == 0) {
		package_remove(packages, name);
	}
}

void package_clean(struct front *f)
{
	DIR *dir = open_dir(f->cfg.packages_dirfd, ".");
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		clean(f->cfg.packages_dirfd, d->d_name);
	if (dir)
		(void)closedir(dir);
}
