// SPDX-License-Identifier: Apache-2.0
/* sandboxctl image: list, inspect, remove and warm images. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "lib/dir.h"
#include "supervisor/ctl/image.h"

static const char image_help[] =
	"usage: sandboxctl image build DIR|NAME... [--force]\n"
	"       sandboxctl image ls\n"
	"       sandboxctl image inspect NAME\n"
	"       sandboxctl image rm NAME...\n"
	"       sandboxctl image warm NAME [--policy P] [--imports a,b] [--force]\n\n"
	"build    make the image that DIR/image.json describes, or one that comes with sandboxd\n"
	"         (root); does nothing when it is up to date, unless --force is given\n"
	"ls       the installed images\n"
	"inspect  what is in an image: its Python and every module with its version\n"
	"rm       remove images that no task uses (root)\n"
	"warm     make the checkpoint that tasks of the image start from: with the policy and\n"
	"         the imports that the image names, or others\n";

/* Adds whether the image's runtime is the installed one to what image.json says. */
static void add_runtime(int images, struct image_entry *entry, char *others, size_t size)
{
	enum runtime runtime = runtime_of_image(images, entry->name);
	size_t len = strlen(others);

	if (runtime != RUNTIME_UNKNOWN)
		(void)json_object_set_new(
			entry->doc, "runtime",
			json_string(runtime == RUNTIME_CURRENT ? "current" : "other"));
	if (runtime == RUNTIME_OTHER)
		(void)snprintf(others + len, size - len, "%s%s", len ? " " : "", entry->name);
}

static int image_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *list = json_array();
	_cleanup_fd_ int images = -1, by_name = -1;
	_cleanup_dir_names_ struct dir_names names = {0};
	char others[512] = "";
	struct err e = {0};
	int status = 0;

	if (argc > 1)
		return ctl_usage("image", "ls takes no argument: '%s'", argv[1]);
	if (store_open(ctl, "images", false, &images, &e) < 0 ||
	    image_by_name(images, false, &by_name, &e) < 0)
		return ctl_fail(&e);
	(void)store_links(by_name, &names);
	if (!ctl->json)
		printf("%-16s %-12s  %-8s %7s  %8s  %s\n", "NAME", "DIGEST", "PYTHON", "MODULES",
		       "SIZE", "BUILT");
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_image_entry_ struct image_entry entry = {0};

		if (image_entry_read(images, names.names[i], &entry, &e) < 0) {
			status = ctl_fail(&e);
			continue;
		}
		add_runtime(images, &entry, others, sizeof(others));
		if (ctl->json) {
			json_array_append(list, entry.doc);
		} else {
			printf("%-16s %.12s  ", entry.name, entry.hex);
			ctl_print_cell(ctl_text(entry.doc, "python"), 8);
			printf(" %7zu  %5.0f MB  %.19sZ\n",
			       json_array_size(json_object_get(entry.doc, "modules")),
			       (double)json_integer_value(json_object_get(entry.doc, "size")) / 1e6,
			       ctl_text(entry.doc, "built_at"));
		}
	}
	if (ctl->json)
		(void)ctl_print_json(list);
	else if (*others)
		ctl_say("of another version of sandboxd, and as they were with that: %s; "
			"'sandboxctl image build' brings them up to date",
			others);
	return ctl_flush(status);
}

static void print_list(const char *name, const json_t *list)
{
	size_t i;
	json_t *item;

	if (json_array_size(list) == 0)
		return;
	printf("%-12s", name);
	json_array_foreach(list, i, item)
	{
		putchar(' ');
		ctl_print_text(json_is_string(item) ? json_string_value(item) : "?");
	}
	putchar('\n');
}

/* A module's name and version are text of whoever has made the module, so they are printed
 * escaped. */
static void print_module(const char *name, const char *version)
{
	ctl_print_cell(name, 24);
	putchar(' ');
	ctl_print_text(version);
	putchar('\n');
}

/* Prints the table of what a task can import without bringing it along. */
static void print_modules(const json_t *doc)
{
	size_t i;
	json_t *module;

	printf("\n%-24s %s\n", "MODULE", "VERSION");
	print_module("Python", ctl_text(doc, "python"));
	json_array_foreach(json_object_get(doc, "modules"), i, module)
		print_module(ctl_text(module, "name"), ctl_text(module, "version"));
}

static int image_inspect(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_image_entry_ struct image_entry entry = {0};
	_cleanup_fd_ int images = -1;
	char size[64], other[64] = "";
	struct err e = {0};

	if (argc != 2)
		return ctl_usage("image", "inspect takes one name");
	if (store_open(ctl, "images", false, &images, &e) < 0 ||
	    image_entry_read(images, argv[1], &entry, &e) < 0)
		return ctl_fail(&e);
	add_runtime(images, &entry, other, sizeof(other));
	if (ctl->json)
		return ctl_flush(ctl_print_json(entry.doc));
	(void)snprintf(size, sizeof(size), "%.1f MB in %lld files",
		       (double)json_integer_value(json_object_get(entry.doc, "size")) / 1e6,
		       (long long)json_integer_value(json_object_get(entry.doc, "files")));
	ctl_print_field("name", entry.name);
	ctl_print_field("digest", entry.hex);
	ctl_print_field("description", ctl_text(entry.doc, "description"));
	ctl_print_field("suite", ctl_text(entry.doc, "suite"));
	ctl_print_field("interpreter", ctl_text(entry.doc, "interpreter"));
	ctl_print_field("policy", ctl_text(entry.doc, "policy"));
	print_list("packages", json_object_get(entry.doc, "packages"));
	print_list("requirements", json_object_get(entry.doc, "requirements"));
	print_list("warm", json_object_get(json_object_get(entry.doc, "warm"), "imports"));
	ctl_print_field("size", size);
	ctl_print_field("built", ctl_text(entry.doc, "built_at"));
	if (*other)
		ctl_print_field("runtime", "of another version of sandboxd: build the image again");
	print_modules(entry.doc);
	return ctl_flush(0);
}

static int remove_one(struct ctl *ctl, int images, const char *name, struct err *e)
{
	_cleanup_image_entry_ struct image_entry entry = {0};
	_cleanup_fd_ int lock = -1, by_name = -1;
	int64_t tasks = 0;
	int r;

	r = image_lock(images, NULL, &lock, e);
	if (r == 0)
		r = image_by_name(images, false, &by_name, e);
	if (r == 0)
		r = image_entry_find(images, name, &entry, e);
	if (r < 0)
		return r;
	/* Without a daemon no task starts, and tasks that run keep the files open that they
	 * have. */
	r = image_tasks(ctl, entry.hex, &tasks, e);
	if (r < 0 && e->code != ERR_UNAVAILABLE)
		return r;
	if (tasks > 0)
		return err_set(e, ERR_CONFLICT, 0,
			       "image %s: %lld task%s on it; wait for the end or cancel", name,
			       (long long)tasks, tasks == 1 ? " runs" : "s run");
	if (unlinkat(by_name, name, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "image %s", name);
	return image_drop(ctl, images, entry.hex, e);
}

static int image_rm(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_fd_ int images = -1;
	struct err e = {0};
	int status = 0;

	if (argc < 2)
		return ctl_usage("image", "rm names no image");
	if (store_need_root("image rm", &e) < 0 ||
	    store_open(ctl, "images", false, &images, &e) < 0)
		return ctl_fail(&e);
	for (int i = 1; i < argc; i++) {
		if (argv[i][0] == '-')
			return ctl_usage("image", "there is no option '%s'", argv[i]);
		if (remove_one(ctl, images, argv[i], &e) < 0)
			status = ctl_fail(&e);
	}
	return status;
}

/* Turns "numpy,scipy.linalg" into ["numpy", "scipy.linalg"], and "" into an empty list. NULL: not
 * UTF-8 text. */
static json_t *split_imports(const char *text)
{
	json_t *list = json_array();

	while (*text) {
		size_t n = strcspn(text, ",");

		if (json_array_append_new(list, json_stringn(text, n)) < 0) {
			json_decref(list);
			return NULL;
		}
		text += n + (text[n] == ',');
	}
	return list;
}

static void report_warm(const char *name, const json_t *reply)
{
	const char *key = ctl_text(reply, "key");

	if (json_is_true(json_object_get(reply, "existed")))
		printf("%s: warm already (checkpoint %.12s)\n", name, key);
	else
		printf("%s: warm now (checkpoint %.12s, dumped in %.0f ms, %.1f MB)\n", name, key,
		       json_number_value(json_object_get(reply, "dump_ms")),
		       json_number_value(json_object_get(reply, "bytes")) / 1e6);
}

static int image_warm(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {{"policy", required_argument, NULL, 'p'},
						{"imports", required_argument, NULL, 'i'},
						{"force", no_argument, NULL, 'f'},
						{0}};
	const char *policy = NULL, *imports = NULL;
	json_auto_t *reply = NULL;
	json_t *request;
	struct err e = {0};
	bool force = false;
	int c;

	while ((c = getopt_long(argc, argv, "f", options, NULL)) != -1) {
		if (c == 'p')
			policy = optarg;
		else if (c == 'i')
			imports = optarg;
		else if (c == 'f')
			force = true;
		else
			return ctl_bad_option("image", argv);
	}
	if (optind + 1 != argc)
		return ctl_usage("image", "warm takes one image's name");
	request = json_pack("{s:s, s:s, s:b, s:s*}", "op", "warm", "image", argv[optind], "force",
			    force, "policy", policy);
	if (imports && json_object_set_new(request, "imports", split_imports(imports)) < 0) {
		json_decref(request);
		request = NULL; /* ctl_call makes an error of it */
	}
	if (ctl_call(ctl, request, NULL, 0, &reply, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		return ctl_flush(ctl_print_json(reply));
	report_warm(argv[optind], reply);
	return ctl_flush(0);
}

int ctl_image(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word verbs[] = {
		{"build", image_build},
		{"ls", image_ls},
		{"inspect", image_inspect},
		{"rm", image_rm},
		{"warm", image_warm},
		{"confine", image_confine, true}, /* only image-build uses it */
		{0},
	};

	return ctl_dispatch(ctl, "image", verbs, image_help, argc, argv);
}
