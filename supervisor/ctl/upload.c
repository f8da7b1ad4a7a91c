// SPDX-License-Identifier: Apache-2.0
/* sandboxctl upload and install. */
#include "supervisor/ctl/upload.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/tenant_verb.h"

const char tenant_upload_help[] =
	"usage: sandboxctl upload NAME [OPTION]...\n\n"
	"Uploads the worker that NAME.worker describes, or NAME.py by itself, as a new revision "
	"of\n"
	"the worker NAME. Paths in NAME.worker are relative to its own folder:\n\n"
	"  exec \"hello.py\"               what is run\n"
	"  file \"data.csv\", \"to\"         a file, into the folder to/\n"
	"  dir \"lib\", \"to\"               a folder. .git, iron.json, .env and the like are left "
	"out\n"
	"  zip \"more.zip\", \"to\"          what is in an archive\n"
	"  pip \"six==1.16.0\"             installed on the node, by the image's own Python\n"
	"  requirements \"requirements.txt\"\n"
	"  remote_build_command \"make\"   run in the package's folder, in the build sandbox\n"
	"  set_env \"NAME\", \"VALUE\"\n"
	"  name, runtime, stack\n\n"
	"Options hold for this revision: one that is not given has its default again.\n"
	"  -n, --name NAME         the worker's name (default: NAME.worker's)\n"
	"  -c, --worker-config FILE\n"
	"                          what the worker finds in CONFIG_FILE. (-c 5 is\n"
	"                          --max-concurrency 5, as for IronWorker's Ruby command)\n"
	"  --max-concurrency N     no more of its tasks at a time\n"
	"  -r, --retries N         how often a task that failed is tried again: at most 10\n"
	"  --retries-delay SECONDS\n"
	"  -p, --default-priority N\n"
	"  --image NAME            what it runs on (default: iron; 'sandboxctl stacks' lists "
	"them)\n"
	"  --policy NAME           what confines it (default: the image's)\n"
	"  --find-links DIR        pip installs from the archives in DIR, and asks no index\n"
	"  --build-policy NAME     what confines pip (default: build, or default with "
	"--find-links)\n" TENANT_HELP;
const char tenant_install_help[] =
	"usage: sandboxctl install NAME [-o FILE.zip] [OPTION]...\n\n"
	"Makes the package that 'sandboxctl upload NAME' would send, pips and all, and keeps it "
	"in\n"
	"FILE.zip (default: NAME.zip in this folder). Options are those of upload.\n";

enum { OPT_CONCURRENCY = 256, OPT_DELAY, OPT_IMAGE, OPT_POLICY, OPT_LINKS, OPT_BUILD_POLICY };
static const struct option options[] = {
	{"name", required_argument, NULL, 'n'},
	{"worker-config", required_argument, NULL, 'c'},
	{"max-concurrency", required_argument, NULL, OPT_CONCURRENCY},
	{"retries", required_argument, NULL, 'r'},
	{"retries-delay", required_argument, NULL, OPT_DELAY},
	{"default-priority", required_argument, NULL, 'p'},
	{"image", required_argument, NULL, OPT_IMAGE},
	{"policy", required_argument, NULL, OPT_POLICY},
	{"find-links", required_argument, NULL, OPT_LINKS},
	{"build-policy", required_argument, NULL, OPT_BUILD_POLICY},
	{"output", required_argument, NULL, 'o'},
	TENANT_OPTIONS,
	{0}};

static int set_number(struct upload *u, const char *key, const char *what, const char *value,
		      long long max, struct err *e)
{
	long long n;
	int r = tenant_number(what, value, 0, max, &n, e);

	if (r == 0)
		(void)json_object_set_new(u->data, key, json_integer(n));
	return r;
}

static int set_config(struct upload *u, const char *path, struct err *e)
{
	_cleanup_free_ char *text = NULL;
	json_t *value;
	size_t len;
	int r = ctl_read_file(path, 64u << 10, true, &text, &len, e);

	if (r < 0 || !text)
		return err_wrap(e, r, "--worker-config");
	value = memchr(text, '\0', len) ? NULL : json_stringn(text, len);
	if (!value)
		return err_set(e, ERR_INPUT, 0, "--worker-config: %s: must be UTF-8 text", path);
	(void)json_object_set_new(u->data, "config", value);
	return 0;
}

static int add_links(struct upload *u, const char *folder, struct err *e)
{
	if (u->build.n_find_links >= PIP_FIND_LINKS_MAX)
		return err_set(e, ERR_USAGE, 0, "--find-links: at most %d", PIP_FIND_LINKS_MAX);
	u->build.find_links[u->build.n_find_links++] = folder;
	return 0;
}

static int take_option(struct upload *u, int c, const char *value, struct err *e)
{
	switch (c) {
	case 'n':
		u->name = value;
		return 0;
	case 'o':
		u->output = value;
		return 0;
	case 'c':
		if (*value && strspn(value, "0123456789") == strlen(value))
			return set_number(u, "max_concurrency", "-c", value, 10000, e);
		return set_config(u, value, e);
	case OPT_CONCURRENCY:
		return set_number(u, "max_concurrency", "--max-concurrency", value, 10000, e);
	case 'r':
		return set_number(u, "retries", "--retries", value, 10, e);
	case OPT_DELAY:
		return set_number(u, "retries_delay", "--retries-delay", value, 86400, e);
	case 'p':
		return set_number(u, "default_priority", "--default-priority", value, 2, e);
	case OPT_IMAGE:
		u->build.image = value;
		return upload_set_text(u, "image", "--image", value, e);
	case OPT_POLICY:
		return upload_set_text(u, "policy", "--policy", value, e);
	case OPT_LINKS:
		return add_links(u, value, e);
	default:
		u->build.policy = value;
		return 0;
	}
}

static int read_options(struct tenant *tenant, struct upload *u, int argc, char **argv)
{
	struct err e = {0};
	int c, r;

	u->data = json_object();
	while ((c = getopt_long(argc, argv, "n:c:r:p:o:e:", options, NULL)) != -1) {
		if (c == '?')
			return ctl_bad_option(tenant->verb, argv);
		if (!tenant_option(tenant, c, optarg) && take_option(u, c, optarg, &e) < 0)
			return ctl_fail(&e);
	}
	if (u->output && strcmp(tenant->verb, "install") != 0)
		return ctl_usage(tenant->verb, "there is no option -o here");
	/* `upload -n NAME` without a word, as IronWorker's command accepts it. */
	if (optind >= argc && u->name) {
		u->word = u->name;
		return 0;
	}
	r = tenant_words(tenant->verb, argc, argv, 1, 1, "worker");
	if (r == 0)
		u->word = argv[optind];
	return r;
}

static int print_uploaded(struct tenant *tenant, const struct upload *u, const json_t *reply)
{
	const char *name = ctl_text(u->data, "name"), *id = ctl_text(reply, "id");
	json_int_t rev = json_integer_value(json_object_get(reply, "rev"));
	json_auto_t *doc = NULL;

	if (tenant->ctl->json) {
		doc = json_pack("{s:s, s:s, s:I}", "id", id, "name", name, "revision", rev);
		return ctl_print_json(doc);
	}
	ctl_print_text(name);
	printf("  id %s  revision %lld\n", id, (long long)rev);
	ctl_say("uploaded ('sandboxctl queue %s --wait' runs it, 'sandboxctl info %s' tells all of "
		"it)",
		name, name);
	return ctl_flush(0);
}

/* A stack that is not an image here is no error, because old workers name all kinds of stacks. Of those
 * that stand for an image of another name, the one is named that could be built. */
static void warn_stack(struct tenant *tenant, const struct upload *u)
{
	const char *stack = ctl_text(u->data, "stack"), *image = worker_stack_image(stack);
	json_auto_t *stacks = NULL;
	struct err ignored = {0};
	json_t *name;
	size_t i;

	if (!*stack || u->build.image ||
	    tenant_call(tenant, "GET", "//2/stacks", NULL, &stacks, &ignored) < 0)
		return;
	json_array_foreach(stacks, i, name)
	{
		if (json_string_value(name) && strcmp(json_string_value(name), image) == 0)
			return;
	}
	if (image == stack)
		ctl_say("stack \"%s\" is not an image here ('sandboxctl stacks' lists them): it "
			"runs on iron",
			stack);
	else
		ctl_say("stack \"%s\" is the image %s, which is not here ('sandboxctl image build' "
			"of its folder makes it): it runs on iron",
			stack, image);
}

int tenant_upload_verb(struct tenant *tenant, int argc, char **argv)
{
	_cleanup_upload_ struct upload u = {.base = -1};
	json_auto_t *reply = NULL;
	_cleanup_fd_ int zip = -1;
	struct err e = {0};
	uint64_t size = 0;
	int r = read_options(tenant, &u, argc, argv);

	if (r)
		return r;
	/* Before anything is built, it must be known where it is sent. */
	if (tenant_begin(tenant, &e) < 0)
		return ctl_fail(&e);
	u.build.project = tenant->c.project_id;
	r = upload_prepare(tenant, &u, &zip, &size);
	if (r)
		return r;
	warn_stack(tenant, &u);
	if (tenant_upload(tenant, json_incref(u.data), zip, size, &reply, &e) < 0)
		return ctl_fail(&e);
	return print_uploaded(tenant, &u, reply);
}

/* Copies the zip to a file, which is new or replaced as a whole. */
static int keep_zip(const char *path, int zip, uint64_t size, struct err *e)
{
	_cleanup_fd_ int to = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	char buf[65536];
	int r = to < 0 ? -errno : 0;

	while (r == 0 && size > 0) {
		size_t n = size < sizeof(buf) ? (size_t)size : sizeof(buf);

		r = util_read_all(zip, buf, n);
		if (r == 0)
			r = util_write_all(to, buf, n);
		size -= n;
	}
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "%s", path) : 0;
}

int tenant_install(struct tenant *tenant, int argc, char **argv)
{
	_cleanup_upload_ struct upload u = {.base = -1};
	_cleanup_free_ char *path = NULL;
	_cleanup_fd_ int zip = -1;
	struct err e = {0};
	uint64_t size = 0;
	char text[24];
	int r = read_options(tenant, &u, argc, argv);

	if (r == 0)
		r = upload_prepare(tenant, &u, &zip, &size);
	if (r)
		return r;
	if (u.output)
		path = strdup(u.output);
	else if (asprintf(&path, "%s.zip", ctl_text(u.data, "name")) < 0)
		path = NULL;
	if (!path)
		return err_exit_status(ERR_SYSTEM);
	if (keep_zip(path, zip, size, &e) < 0)
		return ctl_fail(&e);
	if (tenant->ctl->json)
		return ctl_print_json(u.data);
	ctl_format_size(text, sizeof(text), (double)size);
	ctl_print_text(path);
	printf("  %s\n", text);
	return ctl_flush(0);
}
