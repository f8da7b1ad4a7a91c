// SPDX-License-Identifier: Apache-2.0
/* The compiled file of a policy: which files are loaded, and which are refused. */
#include "tests/unit/policy_rig.h"

#include <sys/stat.h>

struct store {
	char path[64];
	int dirfd;
	char *file;
	size_t len;
	uint8_t id[32];
	char name[80];
};

static void store_write(struct store *s)
{
	assert_int_equal(util_write_file_at(s->dirfd, s->name, 0644, s->file, s->len), 0);
}

static int setup_store(void **state)
{
	struct store *s = calloc(1, sizeof(*s));
	struct policy p = {0};
	struct err e = {0};
	char hex[65];

	(void)snprintf(s->path, sizeof(s->path), "/tmp/test-policy-XXXXXX");
	assert_non_null(mkdtemp(s->path));
	s->dirfd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->dirfd >= 0);
	assert_int_equal(policy_json_build("p.json", "{" SECCOMP "}", strlen("{" SECCOMP "}"), NULL,
					   "p", &p, &s->file, &s->len, &e),
			 0);
	memcpy(s->id, p.id, sizeof(s->id));
	util_hex(s->id, sizeof(s->id), hex);
	(void)snprintf(s->name, sizeof(s->name), "%s.bin", hex);
	policy_clear(&p);
	store_write(s);
	*state = s;
	return 0;
}

static int teardown_store(void **state)
{
	struct store *s = *state;

	(void)unlinkat(s->dirfd, s->name, 0);
	(void)close(s->dirfd);
	(void)rmdir(s->path);
	free(s->file);
	free(s);
	return 0;
}

static void expect_refused(struct store *s, const char *error)
{
	struct policy p = {0};
	struct err e = {0};

	assert_true(policy_load(s->dirfd, s->id, &p, &e) < 0);
	assert_null(p.bpf);
	if (!strstr(e.msg, error))
		fail_msg("\"%s\" lacks \"%s\"", e.msg, error);
}

static void test_load(void **state)
{
	struct store *s = *state;
	struct policy p = {0};
	struct err e = {0};

	assert_int_equal(policy_load(s->dirfd, s->id, &p, &e), 0);
	assert_string_equal(p.head.name, "p");
	assert_memory_equal(p.id, s->id, 32);
	assert_int_equal(decide(&p, SYS_read, 0), ALLOW);
	assert_int_equal(decide(&p, SYS_write, 0), EPERM_);
	policy_clear(&p);
}

static void test_load_refuses(void **state)
{
	struct store *s = *state;
	char other[128];

	assert_int_equal(fchmodat(s->dirfd, s->name, 0664, 0), 0);
	expect_refused(s, "only root can write");
	assert_int_equal(fchmodat(s->dirfd, s->name, 0644, 0), 0);
	assert_int_equal(fchownat(s->dirfd, s->name, 1, 0, 0), 0);
	expect_refused(s, "only root can write");

	s->file[sizeof(struct policy_head)] ^= 1; /* the first instruction */
	store_write(s);
	expect_refused(s, "its content is not what its name says");
	s->file[sizeof(struct policy_head)] ^= 1;

	(void)snprintf(other, sizeof(other), "%s.real", s->name);
	store_write(s);
	assert_int_equal(renameat(s->dirfd, s->name, s->dirfd, other), 0);
	expect_refused(s, "No such file");
	assert_int_equal(symlinkat(other, s->dirfd, s->name), 0);
	expect_refused(s, "symbolic links");
	assert_int_equal(unlinkat(s->dirfd, s->name, 0), 0);
	assert_int_equal(mkfifoat(s->dirfd, s->name, 0644), 0);
	expect_refused(s, "only root can write");
	assert_int_equal(unlinkat(s->dirfd, other, 0), 0);
}

static void test_parse_bounds(void **state)
{
	struct store *s = *state;
	struct policy p = {0};
	struct policy_head *h = (struct policy_head *)s->file;
	const struct policy_head good = *h;
	struct err e = {0};

	for (size_t n = 0; n < s->len; n++)
		assert_true(policy_parse(s->file, n, &p, &e) < 0);
#define REFUSED(change)                                                                            \
	do {                                                                                       \
		change;                                                                            \
		assert_true(policy_parse(s->file, s->len, &p, &e) < 0);                            \
		assert_null(p.bpf);                                                                \
		*h = good;                                                                         \
	} while (0)
	REFUSED(h->magic++);
	REFUSED(h->version++);
	e = (struct err){0};
	REFUSED(h->version = 1);
	assert_non_null(strstr(e.msg, "another version of sandboxd (1, not 2)"));
	assert_non_null(strstr(e.msg, "sandboxctl policy install --defaults"));
	REFUSED(h->size--);
	REFUSED(h->n_bpf = 0);
	REFUSED(h->n_bpf = UINT32_MAX);
	REFUSED(h->n_bpf--);
	REFUSED(memset(h->name, 'a', sizeof(h->name)));
	REFUSED(h->name[0] = '\0');
	REFUSED(h->name[0] = '/');
	REFUSED(h->limits.memory = 0);
	REFUSED(h->limits.pids = UINT32_MAX);
	REFUSED(h->limits_max.timeout_s = 0);
	REFUSED(h->net_mode = 2);
	REFUSED(h->n_net_rules = POLICY_NET_RULES_MAX + 1);
	REFUSED(h->n_net_rules = 1);
	REFUSED(h->dns = 1);
	REFUSED(h->parked = POLICY_PARKED_MAX + 1);
	REFUSED(h->lasting = 2);
	REFUSED(h->reserved[0] = 1);
	REFUSED(h->reserved[sizeof(h->reserved) - 1] = 1);
	REFUSED(h->net_mode = 1; h->n_net_rules = 1; h->net_rules[0].family = 5);
	REFUSED(h->net_mode = 1; h->n_net_rules = 1; h->net_rules[0].family = 4;
		h->net_rules[0].prefix = 33);
	REFUSED(h->net_mode = 1; h->n_net_rules = 1; h->net_rules[0].family = 4;
		h->net_rules[0].port_min = 2; h->net_rules[0].port_max = 1);
	assert_int_equal(policy_parse(s->file, s->len, &p, &e), 0);
	policy_clear(&p);
}

#define WITH_STORE(test) cmocka_unit_test_setup_teardown(test, setup_store, teardown_store)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_STORE(test_load),
		WITH_STORE(test_load_refuses),
		WITH_STORE(test_parse_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
