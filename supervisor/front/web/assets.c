// SPDX-License-Identifier: Apache-2.0
/*
 * Where the edge finds the assets of versions: STATE/assets/<hex>, named by the package's SHA-256. It
 * is the package's own folder .sandboxd/assets, which is moved there while any version has the
 * package, and back when none does; so they are on the disk once, and go with the package. The edge's
 * user can read nothing else of it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/dir.h"
#include "lib/msg.h"
#include "supervisor/front/web/web.h"

#define FOLDER "assets"	   /* below STATE */
#define INSIDE ".sandboxd" /* of a package */
#define NAVIGATE_SINCE "2025-04-01"

/* The folder of the package that has them, as an fd; -errno. No link of the package is followed. */
static int open_inside(struct front *f, const char *hex)
{
	_cleanup_fd_ int package =
		openat(f->cfg.packages_dirfd, hex, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int fd = package < 0
			 ? -1
			 : openat(package, INSIDE, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static bool is_folder(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode);
}

int web_assets_take(struct front *f, const uint8_t package[32], struct err *e)
{
	const int to = f->web->assets_fd;
	_cleanup_fd_ int inside = -1;
	char hex[65];

	util_hex(package, 32, hex);
	if (to < 0)
		return err_set(e, ERR_UNAVAILABLE, 0,
			       "assets: the daemon has no folder for them: restart it");
	/* Another version has the same package. */
	if (is_folder(to, hex))
		return 0;
	inside = open_inside(f, hex);
	if (inside < 0 || !is_folder(inside, FOLDER))
		return err_set(e, ERR_INPUT, 0, "assets: the package has none");
	if (renameat2(inside, FOLDER, to, hex, RENAME_NOREPLACE) < 0)
		return err_set(e, ERR_SYSTEM, errno,
			       "assets: they cannot be moved from STATE/packages to STATE/assets");
	return 0;
}

/* Whether a version of any worker has the package. */
static bool is_had(struct front *f, const uint8_t package[32])
{
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;
		struct web_version *v;

		LIST_FOREACH(w, &p->web->workers, next)
			LIST_FOREACH(v, &w->versions, next)
				if (memcmp(v->row.package, package, 32) == 0)
					return true;
	}
	return false;
}

void web_assets_give(struct front *f, const uint8_t package[32])
{
	const int from = f->web->assets_fd;
	_cleanup_fd_ int inside = -1;
	char hex[65];

	util_hex(package, 32, hex);
	/* The next front goes on with what this one has. */
	if (f->web->stopped || from < 0 || !is_folder(from, hex) || is_had(f, package))
		return;
	inside = open_inside(f, hex);
	if (inside >= 0 && renameat2(from, hex, inside, FOLDER, RENAME_NOREPLACE) == 0)
		return;
	/* The package has gone, or has come anew. */
	if (dir_remove_tree(from, hex) < 0)
		msg_warn("STATE/assets/%s: cannot be removed", hex);
}

static int give_unused(int dirfd, const char *name, void *arg, struct err *e)
{
	uint8_t package[32];

	(void)dirfd;
	(void)e;
	if (strlen(name) == 64 && util_unhex(name, 32, package) == 0)
		web_assets_give(arg, package);
	return 0;
}

/* What was under way when the last front ended is undone, or done. */
void web_assets_start(struct front *f)
{
	f->web->assets_fd =
		openat(f->cfg.state_dirfd, FOLDER, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (f->web->assets_fd < 0)
		return;
	(void)dir_each(f->web->assets_fd, give_unused, f, NULL);
	for (struct project *p = f->core->projects; p; p = p->next) {
		struct web_worker *w;
		struct web_version *v;
		struct err e = {0};

		LIST_FOREACH(w, &p->web->workers, next)
			LIST_FOREACH(v, &w->versions, next)
				if (web_version_serves(v) && web_version_open(v, &e) == 0 &&
				    v->manifest.assets.directory &&
				    web_assets_take(f, v->row.package, &e) < 0)
					msg_err("HTTP worker %s: %s", w->row.name, e.msg);
	}
}

void web_assets_clear(struct front *f)
{
	util_close_fd(&f->web->assets_fd);
}

static bool has_flag(const struct worker_manifest *m, const char *flag)
{
	for (size_t i = 0; i < json_array_size(m->flags); i++)
		if (strcmp(json_string_value(json_array_get(m->flags, i)), flag) == 0)
			return true;
	return false;
}

/* Whether what stands in for missing files wins over the worker where a browser opens a page. */
static bool navigates(const struct worker_manifest *m)
{
	return !has_flag(m, "assets_navigation_has_no_effect") &&
	       (strcmp(m->date, NAVIGATE_SINCE) >= 0 ||
		has_flag(m, "assets_navigation_prefers_asset_serving"));
}

json_t *web_assets_json(const struct web_version *v, bool by_worker)
{
	const struct manifest_assets *a = &v->manifest.assets;
	char hex[65];
	json_t *o;

	if (!a->directory)
		return NULL;
	util_hex(v->row.package, 32, hex);
	o = json_pack("{s:s, s:s, s:s}", "path", hex, "html", a->html_handling, "missing",
		      a->not_found_handling);
	if (by_worker)
		return o;
	if (a->worker_first)
		(void)json_object_set(o, "run_worker_first", (json_t *)a->worker_first);
	else if (a->run_worker_first)
		(void)json_object_set_new(o, "run_worker_first", json_true());
	if (a->only)
		(void)json_object_set_new(o, "only", json_true());
	if (navigates(&v->manifest))
		(void)json_object_set_new(o, "navigate", json_true());
	return o;
}
