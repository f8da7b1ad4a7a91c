// SPDX-License-Identifier: Apache-2.0
#include "supervisor/ctl/dev/watch.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "supervisor/ctl/pack.h"

/* A file's making alone is no change: its content follows. */
#define EVENTS                                                                                     \
	(IN_CLOSE_WRITE | IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |   \
	 IN_MOVE_SELF | IN_ONLYDIR | IN_DONT_FOLLOW | IN_EXCL_UNLINK)

struct watched {
	int wd;
	char *path; /* owned */
};

struct watch {
	int fd;
	char *without; /* owned */
	struct watched *folders;
	size_t n;
};

static const char *find_path(const struct watch *w, int wd)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->folders[i].wd == wd)
			return w->folders[i].path;
	return NULL;
}

static void forget(struct watch *w, int wd)
{
	for (size_t i = 0; i < w->n; i++)
		if (w->folders[i].wd == wd) {
			free(w->folders[i].path);
			w->folders[i] = w->folders[--w->n];
			return;
		}
}

/* A folder that is watched already, by another name, has this one from now on. */
static int remember(struct watch *w, int wd, const char *path)
{
	char *copy = strdup(path);
	struct watched *more;

	forget(w, wd);
	more = copy ? realloc(w->folders, (w->n + 1) * sizeof(*more)) : NULL;
	if (!more) {
		free(copy);
		return -ENOMEM;
	}
	w->folders = more;
	w->folders[w->n++] = (struct watched){wd, copy};
	return 0;
}

static bool is_ignored(const struct watch *w, const char *path, const char *name)
{
	static const char *const patterns[] = {".git",	      ".hg",	      ".svn",	".wrangler",
					       "__pycache__", "node_modules", ".venv*", NULL};
	char real[PATH_MAX];

	for (const char *const *p = patterns; *p; p++)
		if (fnmatch(*p, name, 0) == 0)
			return true;
	return w->without && realpath(path, real) && strcmp(real, w->without) == 0;
}

static int fail(const char *path, int errnum, struct err *e)
{
	if (errnum == ENOSPC)
		return err_set(e, ERR_LIMIT, 0,
			       "%s: there are more folders than this user may watch: raise "
			       "/proc/sys/fs/inotify/max_user_watches",
			       path);
	if (errnum == EMFILE)
		return err_set(e, ERR_LIMIT, 0,
			       "%s: this user watches as many projects as may be: raise "
			       "/proc/sys/fs/inotify/max_user_instances",
			       path);
	return err_set(e, ERR_INPUT, errnum, "%s", path);
}

/* Watches a folder and those in it. One that has gone meanwhile is none. */
static int add(struct watch *w, const char *path, unsigned depth, struct err *e)
{
	_cleanup_dir_names_ struct dir_names names = {0};
	_cleanup_fd_ int dir =
		open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | (depth ? O_NOFOLLOW : 0));
	int wd, r;

	if (dir < 0 && depth && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
		return 0;
	if (dir < 0)
		return fail(path, errno, e);
	if (depth > PACK_DEPTH_MAX || (depth && pack_is_virtual_environment(dir)))
		return 0;
	wd = inotify_add_watch(w->fd, path, depth ? EVENTS : EVENTS & ~IN_DONT_FOLLOW);
	if (wd < 0)
		return depth && errno == ENOENT ? 0 : fail(path, errno, e);
	r = remember(w, wd, path);
	if (r == 0)
		r = dir_names_read(dir, PACK_ENTRIES_MAX, &names);
	if (r < 0)
		return fail(path, -r, e);
	for (size_t i = 0; i < names.n; i++) {
		char below[PATH_MAX];
		struct stat st;

		if (fstatat(dir, names.names[i], &st, AT_SYMLINK_NOFOLLOW) < 0 ||
		    !S_ISDIR(st.st_mode) ||
		    snprintf(below, sizeof(below), "%s/%s", path, names.names[i]) >=
			    (int)sizeof(below) ||
		    is_ignored(w, below, names.names[i]))
			continue;
		r = add(w, below, depth + 1, e);
		if (r < 0)
			return r;
	}
	return 0;
}

int watch_open(const char *folder, const char *without, struct watch **ret, struct err *e)
{
	struct watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return err_set(e, ERR_SYSTEM, ENOMEM, "%s", folder);
	w->fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	w->without = without ? strdup(without) : NULL;
	r = w->fd < 0 ? fail(folder, errno, e) : add(w, folder, 0, e);
	if (r < 0) {
		watch_close(w);
		return r;
	}
	*ret = w;
	return 0;
}

void watch_close(struct watch *w)
{
	if (!w)
		return;
	util_close_fd(&w->fd);
	for (size_t i = 0; i < w->n; i++)
		free(w->folders[i].path);
	free(w->folders);
	free(w->without);
	free(w);
}

int watch_fd(const struct watch *w)
{
	return w->fd;
}

/* Whether one event is a change; a folder that has come is watched from now on. */
static bool take(struct watch *w, const struct inotify_event *ev)
{
	const char *folder = find_path(w, ev->wd);
	char path[PATH_MAX];
	struct stat st;

	if (ev->mask & IN_Q_OVERFLOW) {
		/* Folders that have come may have been missed: they are the first one's, which is
		 * looked through again. */
		for (size_t i = 0; i < w->n; i++)
			(void)add(w, w->folders[i].path, 1, NULL);
		return true;
	}
	if (ev->mask & IN_IGNORED) {
		forget(w, ev->wd);
		return false;
	}
	if (!folder || !ev->len)
		return true;
	if (snprintf(path, sizeof(path), "%s/%s", folder, ev->name) >= (int)sizeof(path) ||
	    is_ignored(w, path, ev->name))
		return false;
	if ((ev->mask & IN_ISDIR) && (ev->mask & (IN_CREATE | IN_MOVED_TO)))
		/* What is in it may be what matters, and it may be gone again. */
		(void)add(w, path, 1, NULL);
	else if (ev->mask & IN_CREATE)
		/* A link has its content with its name; a file's is not written yet. */
		return lstat(path, &st) == 0 && (S_ISLNK(st.st_mode) || st.st_nlink > 1);
	return true;
}

bool watch_read(struct watch *w)
{
	char buf[16384] __attribute__((aligned(__alignof__(struct inotify_event))));
	bool changed = false;
	ssize_t n;

	while ((n = read(w->fd, buf, sizeof(buf))) > 0 || (n < 0 && errno == EINTR)) {
		for (ssize_t at = 0; at < n;) {
			const struct inotify_event *ev = (const void *)(buf + at);

			changed = take(w, ev) || changed;
			at += (ssize_t)(sizeof(*ev) + ev->len);
		}
	}
	return changed;
}
