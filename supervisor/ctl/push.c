// SPDX-License-Identifier: Apache-2.0
/* sandboxctl push: the services of a dotcloud.yml, from a folder to replicas that serve. */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "spec/push_ignore.h"
#include "supervisor/ctl/pack.h"
#include "supervisor/ctl/pip_index.h"
#include "supervisor/ctl/progress.h"
#include "supervisor/ctl/service.h"

#define FILE_NAME "dotcloud.yml"
#define FILE_BYTES (64u << 10)
#define IGNORE_NAME ".dotcloudignore"
#define CONFIG_DIR ".dotcloud"
#define CONFIG_BYTES 65536

static const char push_help[] =
	"usage: sandboxctl push [DIR] [--app NAME] [--clean] [--python V] [--image IMAGE]\n"
	"                       [--policy P] [--message TEXT] [--project NAME]\n\n"
	"Sends DIR (that of the next dotcloud.yml, here or above), builds its services in\n"
	"sandboxes, and has new replicas take the places of the old ones. Until those of all\n"
	"services are ready, and where one cannot be, the old ones serve.\n\n"
	"  --app NAME      the app; without it that of .dotcloud/config, else the folder's name\n"
	"  --clean         not from what the last build has made, but from nothing\n"
	"  --python V      the Python of all services, such as 2.7 or 3.11\n"
	"  --image IMAGE   the image of all services\n"
	"  --policy P      the policy of all services (default)\n"
	"  --message TEXT  what 'service revisions' shows\n"
	"  --project NAME  whose it is (default)\n\n"
	"Not sent: *.pyc, .git, .hg, links that lead out of DIR, and what .dotcloudignore names\n"
	"(patterns as rsync's --exclude has them). Ctrl-C leaves the push under way.\n";

struct push_options {
	const char *dir, *project, *app, *python, *image, *policy, *message;
	bool clean;
};

static int take_option(void *arg, int option, const char *value)
{
	struct push_options *o = arg;

	switch (option) {
	case 'a':
		o->app = value;
		break;
	case 'c':
		o->clean = true;
		break;
	case 'y':
		o->python = value;
		break;
	case 'i':
		o->image = value;
		break;
	case 'l':
		o->policy = value;
		break;
	case 'm':
		o->message = value;
		break;
	default: /* 'p' */
		o->project = value;
	}
	return 0;
}

static int read_options(struct push_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{"app", required_argument, NULL, 'a'},
		{"clean", no_argument, NULL, 'c'},
		{"python", required_argument, NULL, 'y'},
		{"image", required_argument, NULL, 'i'},
		{"policy", required_argument, NULL, 'l'},
		{"message", required_argument, NULL, 'm'},
		{"project", required_argument, NULL, 'p'},
		{0},
	};
	int r = ctl_read_options("push", argc, argv, ":", options, take_option, o);

	if (r)
		return r;
	if (argc - optind > 1)
		return ctl_usage("push", "one folder at most: '%s'", argv[optind + 1]);
	if (optind < argc)
		o->dir = argv[optind];
	return 0;
}

/* The folder of the file: the one that was named, or the next one here or above. */
static int find_folder(const struct push_options *o, char path[PATH_MAX], struct err *e)
{
	char here[PATH_MAX], file[PATH_MAX + sizeof(FILE_NAME) + 1];

	if (!realpath(o->dir ? o->dir : ".", here))
		return err_set(e, ERR_INPUT, errno, "%s", o->dir ? o->dir : ".");
	memcpy(path, here, strlen(here) + 1);
	for (;;) {
		char *slash = strrchr(path, '/');

		(void)snprintf(file, sizeof(file), "%s/" FILE_NAME, path);
		if (access(file, F_OK) == 0)
			return 0;
		if (o->dir)
			return err_set(e, ERR_INPUT, 0, "%s: has no " FILE_NAME, o->dir);
		if (!slash || slash == path)
			return err_set(e, ERR_INPUT, 0,
				       "there is no " FILE_NAME " in %s, nor in a folder above",
				       here);
		*slash = '\0';
	}
}

static int own_app(int dir, char app[SERVICE_APP_BYTES])
{
	_cleanup_free_ char *text = NULL;
	json_auto_t *o = NULL;
	size_t len;
	int r = util_read_file_at(dir, CONFIG_DIR "/config", CONFIG_BYTES, &text, &len);

	if (r < 0)
		return r;
	o = json_loadb(text, len, 0, NULL);
	(void)snprintf(app, SERVICE_APP_BYTES, "%s", ctl_text(o, "app"));
	return *app ? 0 : -EINVAL;
}

/* The folder's name, as an app may be called: "My_Shop" is my-shop. "": it has nothing of one. */
static void app_of_folder(const char *path, char app[SERVICE_APP_BYTES])
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	size_t n = 0;

	for (; *name && n < 40; name++) {
		const char c = *name >= 'A' && *name <= 'Z' ? (char)(*name - 'A' + 'a') : *name;
		const bool plain = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (plain)
			app[n++] = c;
		else if (n > 0 && app[n - 1] != '-')
			app[n++] = '-';
	}
	while (n > 0 && app[n - 1] == '-')
		n--;
	app[n] = '\0';
}

/* The folder is the app's from now on. */
static void keep_app(int dir, const char *app)
{
	char had[SERVICE_APP_BYTES];
	_cleanup_fd_ int fd = -1;

	if (own_app(dir, had) == 0 && strcmp(had, app) == 0)
		return;
	(void)mkdirat(dir, CONFIG_DIR, 0777);
	fd = openat(dir, CONFIG_DIR "/config",
		    O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
	if (fd < 0 || dprintf(fd, "{\"app\": \"%s\"}\n", app) < 0)
		ctl_say("warning: " CONFIG_DIR "/config cannot be written: the next push from here "
			"needs --app %s",
			app);
}

static bool stays(void *arg, const char *path, bool is_folder)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	const size_t n = strlen(name);

	if (strcmp(name, ".git") == 0 || strcmp(name, ".hg") == 0 ||
	    strcmp(path, CONFIG_DIR) == 0 || (n >= 4 && strcmp(name + n - 4, ".pyc") == 0))
		return true;
	return push_ignore_has(arg, path, is_folder);
}

static int pack(int dir, const char *path, int *ret_fd, struct err *e)
{
	struct push_ignore *ignore = calloc(1, sizeof(*ignore));
	struct pack_left_out left_out;
	char *text = NULL;
	size_t len;
	int r;

	if (!ignore)
		return err_set(e, ERR_SYSTEM, ENOMEM, IGNORE_NAME);
	r = util_read_file_at(dir, IGNORE_NAME, PUSH_IGNORE_BYTES, &text, &len);
	if (r == 0)
		r = push_ignore_read(IGNORE_NAME, text, len, ignore, e);
	else
		r = r == -ENOENT ? 0 : err_set(e, ERR_INPUT, -r, IGNORE_NAME);
	if (r == 0)
		r = pack_chosen(dir, path, stays, ignore, ret_fd, &left_out, e);
	if (r == 0 && *left_out.names)
		ctl_say("not sent along: %s%s", left_out.names, left_out.more ? " and more" : "");
	push_ignore_clear(ignore);
	free(ignore);
	return r;
}

static char goes_on[256];

static void on_interrupt(int signal)
{
	(void)signal;
	(void)!write(STDERR_FILENO, goes_on, strlen(goes_on));
	_exit(130);
}

static void on_sent(void)
{
	(void)signal(SIGINT, on_interrupt);
}

static int ask(struct ctl *ctl, const struct push_options *o, const char *app, const char *text,
	       int archive, json_t **ret, struct err *e)
{
	struct pip_index index = PIP_INDEX_INIT;
	json_auto_t *told = NULL;
	json_t *request;
	int r = pip_index_begin(&index, &told, e);

	if (r < 0)
		return r;
	(void)snprintf(goes_on, sizeof(goes_on),
		       "\nsandboxctl: the push goes on: 'sandboxctl service ls %s' tells how far\n",
		       app);
	request = json_pack("{s:s, s:s, s:s, s:s, s:b, s:s*, s:s*, s:s*, s:s*, s:O*}", "op",
			    "service_push", "project", o->project, "app", app, "text", text,
			    "clean", o->clean, "python", o->python, "image", o->image, "policy",
			    o->policy, "message", o->message, "index", told);
	if (!request)
		r = err_set(e, ERR_INPUT, 0, FILE_NAME " and all options must be UTF-8 text");
	else
		r = progress_call(ctl, request, archive, &index,
				  "'sandboxctl service ls' tells what runs", on_sent, ret, e);
	pip_index_stop(&index);
	return r;
}

static void print_pushed(const json_t *reply)
{
	const json_t *item, *warning;
	size_t i, k;

	json_array_foreach(json_object_get(reply, "warnings"), i, warning)
		ctl_say("warning: %s", json_string_value(warning));
	json_array_foreach(json_object_get(reply, "services"), i,
			   item) json_array_foreach(json_object_get(item, "warnings"), k, warning)
		ctl_say("warning: %s: %s", ctl_text(item, "name"), json_string_value(warning));
	json_array_foreach(json_object_get(reply, "gone"), i, item)
		ctl_say("%s is no longer in " FILE_NAME " and goes on: 'sandboxctl service rm "
			"%s/%s' removes it",
			json_string_value(item), ctl_text(reply, "app"), json_string_value(item));
	json_array_foreach(json_object_get(reply, "services"), i, item)
		printf("%s/%s %s %s\n", ctl_text(item, "app"), ctl_text(item, "name"),
		       ctl_text(item, "revision"), ctl_text(item, "url"));
}

static int push(struct ctl *ctl, const struct push_options *o, json_t **ret, struct err *e)
{
	char path[PATH_MAX] = "", app[SERVICE_APP_BYTES] = "";
	_cleanup_fd_ int dir = -1, archive = -1;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r = find_folder(o, path, e);

	if (r < 0)
		return r;
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return err_set(e, ERR_INPUT, errno, "%s", path);
	if (o->app)
		(void)snprintf(app, sizeof(app), "%s", o->app);
	else if (own_app(dir, app) < 0)
		app_of_folder(path, app);
	if (!*app)
		return err_set(e, ERR_INPUT, 0, "%s: the folder's name is no app's: use --app NAME",
			       path);
	r = util_read_file_at(dir, FILE_NAME, FILE_BYTES, &text, &len);
	if (r < 0)
		return err_set(e, ERR_INPUT, -r, FILE_NAME);
	if (strlen(text) != len)
		return err_set(e, ERR_INPUT, 0, FILE_NAME ": has a NUL byte in it");
	r = pack(dir, path, &archive, e);
	if (r == 0)
		r = ask(ctl, o, app, text, archive, ret, e);
	if (r == 0)
		keep_app(dir, app);
	return r;
}

int ctl_push(struct ctl *ctl, int argc, char **argv)
{
	struct push_options o = {.project = "default"};
	json_auto_t *reply = NULL;
	struct err e = {0};
	int r;

	if (ctl_asks_help(argc, argv)) {
		fputs(push_help, stdout);
		return ctl_flush(0);
	}
	r = read_options(&o, argc, argv);
	if (r)
		return r;
	if (push(ctl, &o, &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	print_pushed(reply);
	return ctl_flush(0);
}
