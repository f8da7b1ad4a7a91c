// SPDX-License-Identifier: Apache-2.0
/* Packages that nobody uses go, the least recently used first, in a child. */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "supervisor/front/internal.h"
#include "supervisor/front/package.h"

#define NAME_LEN 64
/* One that was used a moment ago may be in a request that is not a task yet. */
#define YOUNG_S 600

struct unused {
	char name[NAME_LEN + 1];
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
	bytes = (uint64_t)st.st_blocks * 512;
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

struct use {
	const uint8_t *digest;
	bool used;
};

static void check_use(struct front *f, struct task *t, void *arg)
{
	struct use *use = arg;

	(void)f;
	use->used |= t->rec.has_package && memcmp(t->rec.package, use->digest, 32) == 0;
}

static bool in_use(struct front *f, const char *name)
{
	uint8_t digest[32];
	struct use use = {.digest = digest};

	if (strlen(name) != NAME_LEN || util_unhex(name, 32, digest) < 0)
		return true; /* not a package: not ours to judge */
	registry_each(f, check_use, &use);
	return use.used;
}

static int older_first(const void *a, const void *b)
{
	const struct unused *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

static void take_away(int packages, const struct unused *u)
{
	char gone[NAME_LEN + 8];
	struct stat st;

	if (fstatat(packages, u->name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
	    st.st_mtim.tv_sec != u->used.tv_sec || st.st_mtim.tv_nsec != u->used.tv_nsec)
		return;
	(void)snprintf(gone, sizeof(gone), ".gone-%s", u->name);
	if (renameat(packages, u->name, packages, gone) < 0)
		return;
	/* Somebody came to use it in between: package_open sets the time first. */
	if (fstatat(packages, gone, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (st.st_mtim.tv_sec != u->used.tv_sec || st.st_mtim.tv_nsec != u->used.tv_nsec) &&
	    renameat2(packages, gone, packages, u->name, RENAME_NOREPLACE) == 0)
		return;
	package_remove(packages, gone);
}

static void prune(struct front *f)
{
	int packages = f->cfg.packages_dirfd;
	struct unused *list = NULL;
	size_t n = 0, allocated = 0;
	uint64_t total = 0, now = util_realtime_ns() / SEC;
	DIR *dir = open_dir(packages, ".");
	struct dirent *d;

	while (dir && (d = readdir(dir))) {
		struct stat st;

		if (is_dots(d->d_name) || in_use(f, d->d_name) ||
		    fstatat(packages, d->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    (uint64_t)st.st_mtim.tv_sec + YOUNG_S > now)
			continue;
		if (n == allocated) {
			struct unused *more;

			allocated = allocated ? 2 * allocated : 64;
			more = realloc(list, allocated * sizeof(*list));
			if (!more)
				break;
			list = more;
		}
		list[n].bytes = tree_bytes(packages, d->d_name);
		list[n].used = st.st_mtim;
		memcpy(list[n].name, d->d_name, NAME_LEN + 1);
		total += list[n++].bytes;
	}
	if (n)
		qsort(list, n, sizeof(*list), older_first);
	for (size_t i = 0; i < n && total > f->cfg.packages_keep; i++) {
		take_away(packages, &list[i]);
		total -= list[i].bytes;
	}
	if (dir)
		(void)closedir(dir);
	free(list);
}

static int prune_ended(sd_event_source *s, const siginfo_t *si, void *arg)
{
	struct front *f = arg;

	(void)s;
	(void)si;
	f->pruner = sd_event_source_disable_unref(f->pruner);
	return 0;
}

void package_prune(struct front *f)
{
	pid_t pid, parent = getpid();

	if (f->pruner)
		return;
	pid = fork();
	if (pid == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() == parent)
			prune(f);
		_exit(0);
	}
	if (pid > 0 && sd_event_add_child(f->event, &f->pruner, pid, WEXITED, prune_ended, f) < 0)
		(void)waitpid(pid, NULL, 0);
}

void package_clean(struct front *f)
{
	DIR *dir = open_dir(f->cfg.packages_dirfd, ".");
	struct dirent *d;

	while (dir && (d = readdir(dir)))
		if (strncmp(d->d_name, ".tmp-", 5) == 0 || strncmp(d->d_name, ".gone-", 6) == 0)
			package_remove(f->cfg.packages_dirfd, d->d_name);
	if (dir)
		(void)closedir(dir);
}
