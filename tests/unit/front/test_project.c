// SPDX-License-Identifier: Apache-2.0
/* Quotas as JSON, and tokens: what opens which project, also after the store is read again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "spec/route_pattern.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/front.h"
#include "supervisor/front/run/log_keep.h"
#include "supervisor/front/run/schedule/schedule.h"
#include "supervisor/front/serve/serve.h"
#include "tests/unit/change_rig.h"

static void quota_is(const char *text, const struct quota *want)
{
	struct quota q = {1, 2, 3, 32 << 20, 5, 8192};
	json_auto_t *doc = json_loads(text, 0, NULL);
	struct err e = {0};

	assert_non_null(doc);
	if (quota_from_json("quota", doc, &q, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	assert_int_equal(q.running, want->running);
	assert_int_equal(q.queued, want->queued);
	assert_int_equal(q.schedules, want->schedules);
	assert_int_equal(q.memory, want->memory);
	assert_int_equal(q.package_bytes, want->package_bytes);
	assert_int_equal(q.log_bytes, want->log_bytes);
}

static void test_quota(void **state)
{
	(void)state;
	quota_is("{}", &(struct quota){1, 2, 3, 32 << 20, 5, 8192});
	quota_is("{\"running\": 0, \"log_bytes\": 0}", &(struct quota){0, 2, 3, 32 << 20, 5, 0});
	quota_is("{\"running\": 7, \"queued\": 8, \"schedules\": 9, \"memory\": \"1G\","
		 " \"package_bytes\": 10, \"log_bytes\": \"4K\"}",
		 &(struct quota){7, 8, 9, 1 << 30, 10, 4096});
	quota_is("{\"memory\": 16777216, \"running\": 1000000}",
		 &(struct quota){1000000, 2, 3, 16 << 20, 5, 8192});
}

static void test_quota_bad(void **state)
{
	static const struct {
		const char *text, *says;
	} bad[] = {
		{"[]", "quota: must be an object"},
		{"{\"fast\": 1}", "quota: fast: unknown key"},
		{"{\"running\": -1}", "quota: running: must be"},
		{"{\"running\": 1.5}", "quota: running: must be"},
		{"{\"running\": null}", "quota: running: must be"},
		{"{\"running\": \"4\"}", "quota: running: must be"},
		{"{\"running\": 1000001}", "quota: running: must be"},
		{"{\"queued\": 4294967296}", "quota: queued: must be"},
		{"{\"memory\": 16777215}", "quota: memory: must be 0, which is no bound, or at "
					   "least 16M"},
		{"{\"memory\": \"many\"}", "quota: memory: must be"},
		{"{\"memory\": -1}", "quota: memory: must be"},
		{"{\"log_bytes\": 4095}", "quota: log_bytes: must be 0"},
		{"{\"package_bytes\": \"99999T\"}", "quota: package_bytes: must be"},
		{"{\"running\": 9, \"memory\": 1}", "quota: memory"},
		{"{\"kept_log_bytes\": 65535}", "quota: kept_log_bytes: must be 0"},
		{"{\"package_files\": \"1K\"}", "quota: package_files: must be"},
		{"{\"policies\": \"default\"}", "quota: policies: must be"},
		{"{\"policies\": []}", "quota: policies: must name at least one"},
		{"{\"policies\": [\"default\", \"*\"]}", "quota: policies[1]: must be a name"},
		{"{\"policies\": [\"../x\"]}", "quota: policies[0]: must be a name"},
		{"{\"policies\": [\"a,b\"]}", "quota: policies[0]: must be a name"},
		{"{\"policies\": [1]}", "quota: policies[0]: must be"},
		{"{\"images\": [\"a\", \"b\", \"a\"]}", "quota: images[2]: is there twice"},
		{"{\"http_versions\": 1}", "quota: http_versions: must be 0"},
		{"{\"http_versions\": 1001}", "quota: http_versions: must be"},
		{"{\"http_workers\": \"5\"}", "quota: http_workers: must be"},
		{"{\"kv_bytes\": -1}", "quota: kv_bytes: must be"},
		{"{\"services\": 1001}", "quota: services: must be"},
		{"{\"service_versions\": 1}", "quota: service_versions: must be 0"},
		{"{\"hosts\": []}", "quota: hosts: must name at least one"},
		{"{\"hosts\": [\"a.example\", \"*\"]}", "quota: hosts[1]: must be a host"},
		{"{\"hosts\": [\"a.example/x\"]}", "quota: hosts[0]: must be a host"},
		{"{\"hosts\": [\"a.example:80\"]}", "quota: hosts[0]: must be a host"},
		{"{\"hosts\": [\"a.*.example\"]}", "quota: hosts[0]: must be a host"},
		{"{\"hosts\": [\"A.example\", \"a.example.\"]}", "quota: hosts[1]: is there twice"},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct quota q = {.running = 5};
		json_auto_t *doc = json_loads(bad[i].text, 0, NULL);
		struct err e = {0};

		assert_int_equal(quota_from_json("quota", doc, &q, &e), -EINVAL);
		assert_int_equal(e.code, ERR_INPUT);
		if (!strstr(e.msg, bad[i].says))
			fail_msg("%s: %s", bad[i].text, e.msg);
		/* A document with an error changes nothing. */
		assert_int_equal(q.running, 5);
	}
}

static void names_are(const char *text, const char *policies, const char *images)
{
	struct quota q = {.policies = "default,strict", .images = "iron"};
	json_auto_t *doc = json_loads(text, 0, NULL), *shown = NULL;
	struct err e = {0};

	if (quota_from_json("quota", doc, &q, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	assert_string_equal(q.policies, policies);
	assert_string_equal(q.images, images);
	/* The document that is shown can be given as input again, with the same result. */
	shown = quota_json(&q);
	assert_int_equal(quota_from_json("quota", shown, &q, &e), 0);
	assert_string_equal(q.policies, policies);
	assert_string_equal(q.images, images);
}

static void test_names(void **state)
{
	char names[63 * 20] = "", *at = names;
	json_auto_t *long_list = json_pack("{s:[]}", "policies");
	struct quota q = {0};
	struct err e = {0};

	(void)state;
	names_are("{}", "default,strict", "iron");
	names_are("{\"policies\": [\"*\"], \"images\": [\"a\", \"b-2.c\"]}", "", "a,b-2.c");
	names_are("{\"images\": [\"*\"], \"policies\": [\"network\"]}", "network", "");
	/* As many names as fit in the list, and one more. */
	for (int i = 0; i < 17; i++) {
		memset(at, 'a' + i, 62);
		(void)json_array_append_new(json_object_get(long_list, "policies"),
					    json_stringn(at, 62));
		at += 62;
		assert_int_equal(quota_from_json("quota", long_list, &q, &e), i < 16 ? 0 : -EINVAL);
	}
	assert_int_equal(strlen(q.policies), 16 * 63 - 1);
}

static void hosts_are(const char *text, const char *hosts)
{
	struct quota q = {.hosts = "before.example"};
	json_auto_t *doc = json_loads(text, 0, NULL), *shown = NULL;
	struct err e = {0};

	if (quota_from_json("quota", doc, &q, &e) < 0)
		fail_msg("%s: %s", text, e.msg);
	assert_string_equal(q.hosts, hosts);
	shown = quota_json(&q);
	assert_int_equal(quota_from_json("quota", shown, &q, &e), 0);
	assert_string_equal(q.hosts, hosts);
}

static void routes(struct front *f, const struct project *p, const char *route, const char *says)
{
	struct route_pattern pattern;
	struct err e = {0};
	int r;

	assert_int_equal(route_pattern_parse(route, false, &pattern, &e), 0);
	r = project_may_route(f, p, &pattern, &e);
	if (!says && r < 0)
		fail_msg("%s: %s", route, e.msg);
	if (!says)
		return;
	assert_true(r < 0);
	assert_int_equal(e.code, ERR_DENIED);
	if (!strstr(e.msg, says))
		fail_msg("%s: %s", route, e.msg);
}

/* A project has what its list names, and nobody else has that. */
static void test_hosts(void **state)
{
	struct project a = {.name = "a", .quota.hosts = "one.example,*.two.example"};
	struct project b = {.name = "b", .next = &a};
	struct core core = {.projects = &b};
	struct front f = {.core = &core};

	(void)state;
	hosts_are("{}", "before.example");
	hosts_are("{\"hosts\": [\"*\"]}", "");
	hosts_are("{\"hosts\": [\"One.Example\", \"*.two.example\"]}", "one.example,*.two.example");
	routes(&f, &a, "one.example/*", NULL);
	routes(&f, &a, "x.two.example/*", NULL);
	routes(&f, &a, "x.y.two.example", NULL);
	routes(&f, &a, "*.y.two.example/*", NULL);
	routes(&f, &a, "*.two.example/*", NULL);
	routes(&f, &a, "two.example/*",
	       "the project a has routes of these hosts alone: one.example");
	routes(&f, &a, "*.one.example/*", "project quota a hosts=");
	routes(&f, &a, "other.example/*", "alone");
	routes(&f, &b, "other.example/*", NULL);
	routes(&f, &b, "two.example/*", NULL);
	routes(&f, &b, "*.one.example/*", NULL);
	routes(&f, &b, "one.example/a", "one.example: this host is kept for another project");
	routes(&f, &b, "x.two.example/a", "kept for another");
	routes(&f, &b, "*.x.two.example/a", "kept for another");
	routes(&f, &b, "*.example/a", "kept for another");
}

static void may(const struct project *p, const char *policy, const char *image, const char *says)
{
	struct err e = {0};
	int r = project_may_name(p, policy, image, &e);

	if (!says) {
		assert_int_equal(r, 0);
		return;
	}
	assert_true(r < 0);
	assert_int_equal(e.code, ERR_DENIED);
	if (!strstr(e.msg, says))
		fail_msg("%s", e.msg);
}

/* Whole names, those of the list, and none that only looks like one. */
static void test_may_name(void **state)
{
	struct project p = {.name = "acme", .quota = {.policies = "default,strict"}};

	(void)state;
	may(&p, "default", "anything", NULL);
	may(&p, "strict", NULL, NULL);
	may(&p, "", "", NULL);
	may(&p, "network", NULL,
	    "policy: workers of the project acme may not name \"network\" (the operator can change "
	    "that: sandboxctl project quota acme policies=...); they may name default,strict");
	may(&p, "defaul", NULL, "\"defaul\"");
	may(&p, "default,strict", NULL, "\"default,strict\"");
	may(&p, "trict", NULL, "\"trict\"");
	may(&p, ",", NULL, "\",\"");
	strcpy(p.quota.images, "iron");
	may(&p, "default", "iron", NULL);
	may(&p, "default", "python", "image: workers of the project acme may not name \"python\"");
	p.quota.policies[0] = '\0';
	may(&p, "network", "iron", NULL);
}

static void test_bounds(void **state)
{
	struct project p = {.quota = {.log_bytes = 8192, .memory = 64 << 20}};
	struct limits l = {.log_bytes = 8193, .memory = 64 << 20};
	struct err e = {0};

	(void)state;
	project_bound_limits(&p, &l);
	assert_int_equal(l.log_bytes, 8192);
	l.log_bytes = 4096;
	project_bound_limits(&p, &l);
	assert_int_equal(l.log_bytes, 4096);
	assert_int_equal(project_check_memory(&p, &l, &e), 0);
	l.memory++;
	assert_true(project_check_memory(&p, &l, &e) < 0);
	assert_int_equal(e.code, ERR_LIMIT);
	p.quota = (struct quota){0};
	l.log_bytes = UINT64_MAX;
	project_bound_limits(&p, &l);
	assert_true(l.log_bytes == UINT64_MAX);
	assert_int_equal(project_check_memory(&p, &l, &e), 0);
}

/* As by `basenc --base64url`. */
static void test_token_format(void **state)
{
	uint8_t bytes[32];
	char text[TOKEN_LEN + 1];

	(void)state;
	memset(bytes, 0, sizeof(bytes));
	token_format(bytes, text);
	assert_string_equal(text, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
	memset(bytes, 0xff, sizeof(bytes));
	token_format(bytes, text);
	assert_string_equal(text, "__________________________________________8");
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(0xf8 + i);
	token_format(bytes, text);
	assert_string_equal(text, "-Pn6-_z9_v8AAQIDBAUGBwgJCgsMDQ4PEBESExQVFhc");
}

struct fixture {
	struct front *f;
	char dir[32];
	int fd;
};

/* This capability is cleared after all others. */
static void no_tokens(struct front *f)
{
	for (unsigned i = 0; i < PROJECT_BUCKETS; i++)
		assert_null(f->core->token_buckets[i]);
}

static const struct capability first = {.name = "first", .clear = no_tokens};

static void load(struct fixture *x)
{
	static const struct capability *const list[] = {&first,
							&project_capability,
							&package_capability,
							&worker_capability,
							&task_capability,
							&queue_capability,
							&schedule_capability,
							&log_keep_capability,
							NULL};
	const struct front_config cfg = {.front_dirfd = x->fd, .packages_dirfd = -1};
	struct err e = {0};

	x->f = front_new();
	if (front_begin(x->f, &cfg, list, &e) < 0)
		fail_msg("%s", e.msg);
}

static void unload(struct fixture *x)
{
	front_end(x->f);
}

static void on_removed(void *arg, const struct err *error)
{
	*(int *)arg = error ? -EIO : 0;
}

static int remove_project(struct fixture *x, const char *name)
{
	struct err e = {0};
	int r = 1;

	if (project_remove(x->f, project_find(x->f, name), false, on_removed, &r, &e) < 0)
		fail_msg("%s", e.msg);
	while (r == 1)
		assert_true(sd_event_run(x->f->event, UINT64_MAX) >= 0);
	return r;
}

static int setup(void **state)
{
	struct fixture *x = calloc(1, sizeof(*x));

	strcpy(x->dir, "/tmp/project-XXXXXX");
	assert_non_null(mkdtemp(x->dir));
	x->fd = open(x->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(x->fd >= 0);
	load(x);
	*state = x;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *x = *state;

	unload(x);
	(void)unlinkat(x->fd, "tasks.db", 0);
	(void)unlinkat(x->fd, "tasks.db-wal", 0);
	assert_int_equal(chdir("/"), 0);
	assert_int_equal(rmdir(x->dir), 0);
	(void)close(x->fd);
	free(x);
	return 0;
}

static struct project *make(struct fixture *x, const char *name, char token[TOKEN_LEN + 1])
{
	const struct quota quota = project_quota_default();
	const struct project *p = NULL;
	struct err e = {0};

	if (committed(x->f, project_create(x->f, name, &quota, token, &p, &e), &e) < 0)
		fail_msg("%s", e.msg);
	return project_find(x->f, name);
}

static const char *opens(struct fixture *x, const char *text, bool operator_wanted)
{
	bool for_all = !operator_wanted;
	const struct project *p = project_by_token(x->f, text, strlen(text), &for_all);

	assert_int_equal(for_all, operator_wanted);
	return p ? p->name : "nothing";
}

static void test_tokens(void **state)
{
	struct fixture *x = *state;
	char a[TOKEN_LEN + 1], b[TOKEN_LEN + 1], more[TOKEN_LEN + 1], all[TOKEN_LEN + 1], bad[64];
	struct project *p = make(x, "a", a);
	char id[PROJECT_ID_LEN + 1];
	const struct token *t;
	struct err e = {0};

	(void)make(x, "b", b);
	assert_string_equal(opens(x, a, false), "a");
	assert_string_equal(opens(x, b, false), "b");
	/* Every character of a token counts; a text that is longer, shorter or empty opens
	 * nothing. */
	for (int i = 0; i < TOKEN_LEN; i++) {
		strcpy(bad, a);
		bad[i] = (char)(bad[i] == 'A' ? 'B' : 'A');
		assert_string_equal(opens(x, bad, false), "nothing");
	}
	(void)snprintf(bad, sizeof(bad), "%s=", a);
	assert_string_equal(opens(x, bad, false), "nothing");
	bad[TOKEN_LEN - 1] = '\0';
	assert_string_equal(opens(x, bad, false), "nothing");
	assert_string_equal(opens(x, "", false), "nothing");
	assert_int_equal(committed(x->f, token_create(x->f, p, "more", false, more, &t, &e), &e),
			 0);
	strcpy(id, t->id);
	assert_int_equal(t->used_ns, 0);
	assert_string_equal(opens(x, more, false), "a");
	assert_true(t->used_ns > 0);
	assert_null(token_create(x->f, p, "", true, all, &t, &e));
	assert_int_equal(e.code, ERR_INPUT);
	p = project_by_id(x->f, PROJECT_DEFAULT_ID);
	assert_int_equal(committed(x->f, token_create(x->f, p, "", true, all, &t, &e), &e), 0);
	assert_string_equal(opens(x, all, true), "default");

	/* The tokens open the same projects after the store is read again. */
	unload(x);
	load(x);
	assert_string_equal(opens(x, a, false), "a");
	assert_string_equal(opens(x, more, false), "a");
	assert_string_equal(opens(x, all, true), "default");
	/* A token's id is not valid for another project. */
	assert_null(token_revoke(x->f, project_find(x->f, "b"), id, &e));
	assert_int_equal(e.code, ERR_NOT_FOUND);
	assert_int_equal(committed(x->f, token_revoke(x->f, project_find(x->f, "a"), id, &e), &e),
			 0);
	assert_string_equal(opens(x, more, false), "nothing");
	assert_string_equal(opens(x, a, false), "a");
	unload(x);
	load(x);
	assert_string_equal(opens(x, more, false), "nothing");
	/* All tokens of one project are revoked, as when its removal begins; this is permanent. */
	assert_int_equal(committed(x->f, token_revoke_all(x->f, project_find(x->f, "a"), &e), &e),
			 0);
	for (int i = 0; i < 2; i++) {
		assert_string_equal(opens(x, a, false), "nothing");
		assert_int_equal(project_find(x->f, "a")->n_tokens, 0);
		assert_string_equal(opens(x, b, false), "b");
		unload(x);
		load(x);
	}
}

/* A slot is not used again before all others were used. */
static void test_slots(void **state)
{
	struct fixture *x = *state;
	char token[TOKEN_LEN + 1];

	assert_int_equal(make(x, "a", token)->slot, 1);
	assert_int_equal(make(x, "b", token)->slot, 2);
	assert_int_equal(remove_project(x, "a"), 0);
	assert_int_equal(make(x, "c", token)->slot, 3);
	unload(x);
	load(x);
	assert_int_equal(make(x, "d", token)->slot, 4);
	x->f->core->slot_last = PROJECTS_MAX - 2;
	assert_int_equal(make(x, "e", token)->slot, PROJECTS_MAX - 1);
	/* Slot 0 is the default project's; slot 1 is free again. */
	assert_int_equal(make(x, "f", token)->slot, 1);
	assert_int_equal(make(x, "g", token)->slot, 5);
}

static void test_projects(void **state)
{
	struct fixture *x = *state;
	char token[TOKEN_LEN + 1], name[16];
	struct quota quota = {.running = 3,
			      .memory = 1 << 30,
			      .package_files = 7,
			      .kept_log_bytes = 1 << 20,
			      .policies = "strict",
			      .images = "a,b"};
	const struct project *made;
	struct project *p;
	unsigned n = 1;
	struct err e = {0};

	assert_int_equal(project_by_id(x->f, PROJECT_DEFAULT_ID)->slot, 0);
	assert_int_equal(project_find(x->f, "default")->quota.schedules, 100);
	for (int i = 300; i > 0; i--) {
		(void)snprintf(name, sizeof(name), "p%03d", i);
		p = make(x, name, token);
		assert_int_equal(p->slot, 301 - i);
		assert_ptr_equal(project_by_id(x->f, p->id), p);
	}
	assert_null(project_create(x->f, "p007", &quota, token, &made, &e));
	assert_int_equal(e.code, ERR_CONFLICT);
	assert_int_equal(committed(x->f,
				   project_set_quota(x->f, project_find(x->f, "p007"), &quota, &e),
				   &e),
			 0);
	unload(x);
	load(x);
	for (p = x->f->core->projects; p->next; p = p->next, n++)
		assert_true(strcmp(p->name, p->next->name) < 0);
	assert_int_equal(n, 301);
	p = project_find(x->f, "p007");
	assert_int_equal(p->slot, 294);
	assert_int_equal(p->quota.running, 3);
	assert_int_equal(p->quota.memory, 1 << 30);
	assert_int_equal(p->quota.schedules, 0);
	assert_memory_equal(&p->quota, &quota, sizeof(quota));
	assert_null(project_find(x->f, "p301"));
	/* A project that is made without quotas gets the defaults that every project should
	 * have. */
	p = project_find(x->f, "p008");
	assert_int_equal(p->quota.queued, 200000);
	assert_int_equal(p->quota.package_bytes, 4ULL << 30);
	assert_int_equal(p->quota.package_files, 400000);
	assert_int_equal(p->quota.kept_log_bytes, 1 << 30);
	assert_string_equal(p->quota.policies, "default,strict");
	assert_string_equal(p->quota.images, "");
	assert_int_equal(p->quota.http_workers, 500);
	assert_int_equal(p->quota.http_versions, 100);
	assert_int_equal(p->quota.kv_bytes, 1 << 30);
	assert_int_equal(p->quota.services, 100);
	assert_int_equal(p->quota.service_versions, 10);
	assert_true(p->quota.service_data_bytes == 1 << 30);
	assert_string_equal(p->quota.hosts, "");
	p = project_find(x->f, "p007");
	assert_null(project_by_id(x->f, "p007"));
	assert_ptr_equal(project_find(x->f, p->id), p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quota),
		cmocka_unit_test(test_quota_bad),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_may_name),
		cmocka_unit_test(test_hosts),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_token_format),
		cmocka_unit_test_setup_teardown(test_tokens, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_projects, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
