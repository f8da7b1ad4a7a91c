// SPDX-License-Identifier: Apache-2.0
/* sandboxctl policy: list, show, check and install policies. */
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/dir.h"
#include "spec/policy_json.h"
#include "spec/task_spec.h"
#include "supervisor/ctl/ctl.h"
#include "supervisor/ctl/policy.h"
#include "supervisor/ctl/state_dir.h"

static const char policy_help[] =
	"usage: sandboxctl policy ls\n"
	"       sandboxctl policy show NAME\n"
	"       sandboxctl policy check FILE...\n"
	"       sandboxctl policy install FILE... [--name NAME]\n"
	"       sandboxctl policy install --defaults\n\n"
	"ls       the installed policies; ID is of the compiled file\n"
	"show     an installed policy's source\n"
	"check    compile a policy and say what is in it, or what is wrong with it\n"
	"install  compile a policy and put it in its place (root); a policy of the same name is\n"
	"         replaced for the tasks that start from then on. --defaults installs those\n"
	"         that come with sandboxd\n";

/* A compiled policy, and the text that it was compiled from. */
struct policy_source {
	struct policy policy;
	char *text, *file;
	size_t text_len, file_len;
};

static void source_clear(struct policy_source *s)
{
	policy_clear(&s->policy);
	free(s->text);
	free(s->file);
}
#define _cleanup_source_ __attribute__((cleanup(source_clear)))

/* Turns "dir/web.json" into "web". */
static void name_of_file(const char *path, char *buf, size_t size)
{
	const char *base = strrchr(path, '/');
	size_t n;

	(void)snprintf(buf, size, "%s", base ? base + 1 : path);
	n = strlen(buf);
	if (n > 5 && strcmp(buf + n - 5, ".json") == 0)
		buf[n - 5] = '\0';
}

static int source_read(const char *path, const char *name, struct policy_source *ret, struct err *e)
{
	char fallback[256];
	int r;

	name_of_file(path, fallback, sizeof(fallback));
	r = store_read_file(path, POLICY_JSON_MAX, &ret->text, &ret->text_len, e);
	if (r < 0)
		return r;
	return policy_json_build(path, ret->text, ret->text_len, name, fallback, &ret->policy,
				 &ret->file, &ret->file_len, e);
}

static json_t *network_json(const struct policy_head *head)
{
	json_t *rules = json_array();
	char text[128];

	for (uint32_t i = 0; i < head->n_net_rules; i++)
		json_array_append_new(
			rules,
			json_pack("{s:b, s:s}", "allow", head->net_rules[i].allow, "rule",
				  policy_network_format(&head->net_rules[i], text, sizeof(text))));
	return json_pack("{s:s, s:b, s:i, s:i, s:o}", "mode",
			 head->net_mode == POLICY_NET_EGRESS ? "egress" : "none", "dns", head->dns,
			 "connections", head->connections, "connections_per_second",
			 head->connections_per_s, "rules", rules);
}

static json_t *policy_json(const struct policy *p)
{
	char hex[65];

	util_hex(p->id, sizeof(p->id), hex);
	return json_pack("{s:s, s:s, s:o, s:o, s:b, s:{s:i}, s:o, s:{s:I}}", "name", p->head.name,
			 "id", hex, "limits", task_limits_json(&p->head.limits), "limits_max",
			 task_limits_json(&p->head.limits_max), "lasting", p->head.lasting, "fork",
			 "parked", p->head.parked, "network", network_json(&p->head), "seccomp",
			 "instructions", (json_int_t)p->head.n_bpf);
}

/* Writes limits as "320M 1 cpu 64 pids ...". */
static void format_limits(const struct limits *l, char *buf, size_t size)
{
	(void)snprintf(buf, size, "%lluM memory, %g cpus, %u pids, %lluM disk, %u s",
		       (unsigned long long)(l->memory >> 20), l->cpu_milli / 1000.0, l->pids,
		       (unsigned long long)(l->disk >> 20), l->timeout_s);
}

static void print_summary(const struct policy *p)
{
	char hex[65], limits[128], rule[128];

	util_hex(p->id, sizeof(p->id), hex);
	printf("  name     %s\n  id       %s\n", p->head.name, hex);
	format_limits(&p->head.limits, limits, sizeof(limits));
	printf("  limits   %s\n", limits);
	format_limits(&p->head.limits_max, limits, sizeof(limits));
	printf("  at most  %s\n", limits);
	printf("  lasting  %s\n", p->head.lasting ? "yes" : "no");
	printf("  fork     %u parked\n", p->head.parked);
	printf("  seccomp  %u BPF instructions\n", p->head.n_bpf);
	printf("  network  %s%s\n", p->head.net_mode == POLICY_NET_EGRESS ? "egress" : "none",
	       p->head.dns ? ", dns" : "");
	if (p->head.net_mode == POLICY_NET_EGRESS)
		printf("           at most %u connections, %u new ones a second\n",
		       p->head.connections, p->head.connections_per_s);
	for (uint32_t i = 0; i < p->head.n_net_rules; i++)
		printf("           %s %s\n", p->head.net_rules[i].allow ? "allow" : "deny ",
		       policy_network_format(&p->head.net_rules[i], rule, sizeof(rule)));
}

static int policy_check(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *list = json_array();
	int status = 0;

	if (argc < 2)
		return ctl_usage("policy", "check names no file");
	for (int i = 1; i < argc; i++) {
		_cleanup_source_ struct policy_source source = {0};
		struct err e = {0};
		int r = source_read(argv[i], NULL, &source, &e);

		if (r < 0) {
			int failed = ctl->json ? err_exit_status(e.code) : ctl_fail(&e);

			status = failed;
		}
		if (ctl->json) {
			json_array_append_new(
				list, json_pack("{s:s, s:b, s:s?, s:o?}", "file", argv[i], "ok",
						r == 0, "error", r < 0 ? e.msg : NULL, "policy",
						r < 0 ? NULL : policy_json(&source.policy)));
		} else if (r == 0) {
			ctl_print_text(argv[i]);
			printf(": OK\n");
			print_summary(&source.policy);
		}
	}
	if (ctl->json)
		(void)ctl_print_json(argc == 2 ? json_array_get(list, 0) : list);
	return ctl_flush(status);
}

/* Writes ID.bin, then NAME.json, then the symlink NAME: a reader gets the old policy or the new
 * one, and all of it. */
static int install_source(int dirfd, const struct policy_source *source, struct err *e)
{
	char hex[65], bin[80], json[80];
	const char *name = source->policy.head.name;
	int r;

	util_hex(source->policy.id, sizeof(source->policy.id), hex);
	(void)snprintf(bin, sizeof(bin), "%s.bin", hex);
	(void)snprintf(json, sizeof(json), "%s.json", name);
	r = util_write_file_at(dirfd, bin, 0644, source->file, source->file_len);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "installing policy %s", name);
	r = util_write_file_at(dirfd, json, 0644, source->text, source->text_len);
	if (r == 0)
		r = store_link(dirfd, name, bin);
	if (r == 0 && fsync(dirfd) < 0)
		r = -errno;
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "installing policy %s", name) : 0;
}

static int install_file(struct ctl *ctl, int dirfd, const char *path, const char *name,
			json_t *list)
{
	_cleanup_source_ struct policy_source source = {0};
	struct err e = {0};
	char hex[65], old[80] = "";
	bool same;

	if (source_read(path, name, &source, &e) < 0)
		return ctl_fail(&e);
	util_hex(source.policy.id, sizeof(source.policy.id), hex);
	same = readlinkat(dirfd, source.policy.head.name, old, sizeof(old) - 1) >= 64 &&
	       strncmp(old, hex, 64) == 0;
	/* Installed again although it is the same, because the installed one may be damaged. */
	if (install_source(dirfd, &source, &e) < 0)
		return ctl_fail(&e);
	if (ctl->json)
		json_array_append_new(list, policy_json(&source.policy));
	else
		printf("policy %s: %s (%.12s)\n", source.policy.head.name,
		       same ? "up to date" : "installed", hex);
	return 0;
}

static int install_defaults(struct ctl *ctl, int dirfd, json_t *list)
{
	char dir[PATH_MAX], path[PATH_MAX + 256];
	_cleanup_dir_names_ struct dir_names names = {0};
	_cleanup_fd_ int fd = -1;
	int r, status = 0, done = 0;

	(void)snprintf(dir, sizeof(dir), "%s/policies", store_share_dir());
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : dir_names_read(fd, SIZE_MAX, &names);
	if (r < 0) {
		ctl_say("%s: %s; is sandboxd installed, or SANDBOXD_SHARE set?", dir, strerror(-r));
		return err_exit_status(ERR_NOT_FOUND);
	}
	for (size_t i = 0; i < names.n; i++) {
		const char *name = names.names[i];
		size_t len = strlen(name);

		if (len <= 5 || name[0] == '.' || strcmp(name + len - 5, ".json") != 0)
			continue;
		(void)snprintf(path, sizeof(path), "%s/%s", dir, name);
		r = install_file(ctl, dirfd, path, NULL, list);
		status = r ? r : status;
		done++;
	}
	if (done > 0)
		return status;
	ctl_say("%s: there is no policy in it", dir);
	return err_exit_status(ERR_NOT_FOUND);
}

static int policy_install(struct ctl *ctl, int argc, char **argv)
{
	static const struct option options[] = {
		{"name", required_argument, NULL, 'n'}, {"defaults", no_argument, NULL, 'd'}, {0}};
	json_auto_t *list = json_array();
	_cleanup_fd_ int dirfd = -1;
	const char *name = NULL;
	bool defaults = false;
	struct err e = {0};
	int c, status = 0;

	while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (c == 'n')
			name = optarg;
		else if (c == 'd')
			defaults = true;
		else
			return ctl_bad_option("policy", argv);
	}
	if (defaults ? optind < argc || name : optind >= argc)
		return ctl_usage("policy", "install takes files, or --defaults alone");
	if (name && (optind + 1 != argc || !util_is_name(name)))
		return ctl_usage("policy",
				 "--name takes one file and a name of lower-case letters, "
				 "digits, '.', '_' and '-'");
	if (store_need_root("policy install", &e) < 0 ||
	    store_open(ctl, "policies", true, &dirfd, &e) < 0)
		return ctl_fail(&e);
	if (defaults)
		status = install_defaults(ctl, dirfd, list);
	for (int i = optind; i < argc; i++) {
		int r = install_file(ctl, dirfd, argv[i], name, list);

		status = r ? r : status;
	}
	if (ctl->json)
		(void)ctl_print_json(list);
	return ctl_flush(status);
}

/* Loads an installed policy by its name. */
static int load_installed(int dirfd, const char *name, struct policy *ret, struct err *e)
{
	char target[128];
	uint8_t id[32];
	ssize_t n;
	int r;

	if (!util_is_name(name))
		return err_set(e, ERR_INPUT, 0, "'%s' is not a policy's name", name);
	n = readlinkat(dirfd, name, target, sizeof(target) - 1);
	if (n < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM,
			       errno == ENOENT ? 0 : errno,
			       "there is no policy %s; 'sandboxctl policy ls' lists them", name);
	target[n] = '\0';
	if (n != 68 || strcmp(target + 64, ".bin") != 0)
		return err_set(e, ERR_INPUT, 0, "policy %s: its link is broken; install it again",
			       name);
	target[64] = '\0';
	if (util_unhex(target, 32, id) < 0)
		return err_set(e, ERR_INPUT, 0, "policy %s: its link is broken; install it again",
			       name);
	r = policy_load(dirfd, id, ret, e);
	/* Not ERR_NOT_FOUND, which a name has that was never installed: this operator has installed
	 * a policy of this name. */
	if (r < 0 && e->code == ERR_NOT_FOUND)
		return err_set(e, ERR_INPUT, 0,
			       "policy %s: what it was compiled to is gone; install it again",
			       name);
	return r < 0 ? err_wrap(e, r, "policy %s", name) : 0;
}

int policy_find(struct ctl *ctl, const char *name, struct policy *ret, struct err *e)
{
	_cleanup_source_ struct policy_source shipped = {0};
	_cleanup_fd_ int dirfd = -1;
	char path[PATH_MAX];
	int r = store_open(ctl, "policies", false, &dirfd, e);

	if (r == 0)
		r = load_installed(dirfd, name, ret, e);
	if (r == 0 || e->code != ERR_NOT_FOUND)
		return r;
	(void)snprintf(path, sizeof(path), "%s/policies/%s.json", store_share_dir(), name);
	r = source_read(path, name, &shipped, e);
	if (r < 0 && e->code == ERR_NOT_FOUND)
		return err_set(e, ERR_NOT_FOUND, 0,
			       "there is no policy %s, neither installed nor in %s/policies: as "
			       "root, sandboxctl policy install FILE",
			       name, store_share_dir());
	if (r < 0)
		return r;
	*ret = shipped.policy;
	shipped.policy = (struct policy){0};
	return 0;
}

static void print_row(const struct policy *p)
{
	char hex[65], limits[128];

	util_hex(p->id, sizeof(p->id), hex);
	format_limits(&p->head.limits, limits, sizeof(limits));
	printf("%-16s %.12s  %-7s %6u  %s\n", p->head.name, hex,
	       p->head.net_mode == POLICY_NET_EGRESS ? "egress" : "none", p->head.parked, limits);
}

static int policy_ls(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *list = json_array();
	_cleanup_fd_ int dirfd = -1;
	_cleanup_dir_names_ struct dir_names names = {0};
	struct err e = {0};
	int status = 0, r;

	if (argc > 1)
		return ctl_usage("policy", "ls takes no argument: '%s'", argv[1]);
	if (store_open(ctl, "policies", false, &dirfd, &e) < 0)
		return ctl_fail(&e);
	r = store_links(dirfd, &names);
	if (r < 0) {
		(void)err_set(&e, ERR_SYSTEM, -r, "%s/policies", ctl->state_dir);
		return ctl_fail(&e);
	}
	if (!ctl->json)
		printf("%-16s %-12s  %-7s %6s  %s\n", "NAME", "ID", "NETWORK", "PARKED", "LIMITS");
	for (size_t i = 0; i < names.n; i++) {
		struct policy p = {0};

		if (load_installed(dirfd, names.names[i], &p, &e) < 0)
			status = ctl_fail(&e);
		else if (ctl->json)
			json_array_append_new(list, policy_json(&p));
		else
			print_row(&p);
		policy_clear(&p);
	}
	if (ctl->json)
		(void)ctl_print_json(list);
	return ctl_flush(status);
}

static int policy_show(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_free_ char *text = NULL;
	json_auto_t *doc = NULL, *out = NULL;
	_cleanup_fd_ int dirfd = -1;
	struct policy p = {0};
	struct err e = {0};
	char file[80];
	size_t len;
	int r;

	if (argc != 2)
		return ctl_usage("policy", "show takes one name");
	if (store_open(ctl, "policies", false, &dirfd, &e) < 0 ||
	    load_installed(dirfd, argv[1], &p, &e) < 0)
		return ctl_fail(&e);
	(void)snprintf(file, sizeof(file), "%s.json", argv[1]);
	r = util_read_file_at(dirfd, file, POLICY_JSON_MAX, &text, &len);
	if (r < 0)
		(void)err_set(&e, ERR_SYSTEM, -r, "policy %s: its source", argv[1]);
	else if (ctl->json)
		r = json_strict_load(file, text, len, POLICY_JSON_MAX, &doc, &e);
	out = ctl->json && r == 0 ? policy_json(&p) : NULL;
	policy_clear(&p);
	if (r < 0)
		return ctl_fail(&e);
	if (out) {
		(void)json_object_set(out, "source", doc);
		return ctl_flush(ctl_print_json(out));
	}
	(void)fwrite(text, 1, len, stdout);
	return ctl_flush(0);
}

int ctl_policy(struct ctl *ctl, int argc, char **argv)
{
	static const struct ctl_word verbs[] = {
		{"ls", policy_ls},
		{"show", policy_show},
		{"check", policy_check},
		{"install", policy_install},
		{0},
	};

	return ctl_dispatch(ctl, "policy", verbs, policy_help, argc, argv);
}
