// SPDX-License-Identifier: Apache-2.0
/* Policies as people write them: how they are read, and how an error in one is named. */
#include "tests/unit/policy_rig.h"

static int build(const char *text, struct policy *ret, struct err *e)
{
	char *file = NULL;
	size_t len;
	int r = policy_json_build("p.json", text, strlen(text), NULL, "p", ret, &file, &len, e);

	free(file);
	return r;
}

static const struct {
	const char *text, *error;
} wrong[] = {
	{"", "p.json: the document is empty"},
	{"{}", "p.json: seccomp: is missing: a policy must say which syscalls it allows"},
	{"[]", "p.json: must be an object, not an array"},
	{"{\"seccomp\": null}", "p.json: seccomp: must be an object, not null"},
	{"{\"seccomp\": {}}", "p.json: seccomp.defaultAction: is missing"},
	{"{\"mounts\": [], " SECCOMP "}", "p.json: mounts: unknown key"},
	{"{\"name\": \"a b\", " SECCOMP "}", "p.json: name: must be a name"},
	{"{\"name\": \"../x\", " SECCOMP "}", "p.json: name: must be a name"},
	{"{\"name\": 1, " SECCOMP "}", "p.json: name: must be a string"},
	{"{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ALLOW\"}}",
	 "p.json: seccomp.syscalls: lists no syscall that applies here"},
	{"{\"seccomp\": {\"defaultAction\": \"ALLOW\"}}",
	 "p.json: seccomp.defaultAction: unknown action \"ALLOW\""},
	{"{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_NOTIFY\"}}",
	 "p.json: seccomp.defaultAction: SCMP_ACT_NOTIFY needs a supervising process"},
	{"{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 5000}}",
	 "p.json: seccomp.defaultErrnoRet: must be from 0 to 4095"},
	{"{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrno\": \"ENOSYS\"}}",
	 "p.json: seccomp.defaultErrno: needs the number too, as defaultErrnoRet"},
	{"{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"architectures\": "
	 "[\"SCMP_ARCH_AARCH64\"]}}",
	 "p.json: seccomp.architectures: lacks SCMP_ARCH_X86_64"},
	{"{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"listenerPath\": \"/x\", "
	 "\"syscalls\": [{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}}",
	 "p.json: seccomp.listenerPath: unknown key"},
	{"{\"limits\": {\"memory\": \"lots\"}, " SECCOMP "}",
	 "p.json: limits.memory: must be a size such as \"64M\" or 67108864"},
	{"{\"limits\": {\"memory\": \"1M\"}, " SECCOMP "}",
	 "p.json: limits.memory: must be from 16M to 4T bytes"},
	{"{\"limits\": {\"cpus\": -1}, " SECCOMP "}", "p.json: limits.cpus: must be from"},
	{"{\"limits\": {\"ram\": 1}, " SECCOMP "}", "p.json: limits.ram: unknown key"},
	{"{\"limits\": {\"max\": {\"pids\": 1}}, " SECCOMP "}",
	 "p.json: limits.max.pids: must be from 4 to"},
	{"{\"limits\": {\"pids\": 100, \"max\": {\"pids\": 50}}, " SECCOMP "}",
	 "p.json: limits.max.pids: is less than limits.pids"},
	{"{\"fork\": 4, " SECCOMP "}", "p.json: fork: must be an object, not a number"},
	{"{\"lasting\": 1, " SECCOMP "}", "p.json: lasting: must be true or false"},
	{"{\"fork\": {\"parked\": 9}, " SECCOMP "}", "p.json: fork.parked: must be from 0 to 8"},
	{"{\"fork\": {\"parked\": -1}, " SECCOMP "}", "p.json: fork.parked: must be from 0 to 8"},
	{"{\"fork\": {\"parked\": \"4\"}, " SECCOMP "}", "p.json: fork.parked: must be an integer"},
	{"{\"fork\": {\"ahead\": 4}, " SECCOMP "}", "p.json: fork.ahead: unknown key"},
	{"{\"network\": {}, " SECCOMP "}", "p.json: network.mode: is missing"},
	{"{\"network\": {\"mode\": \"host\"}, " SECCOMP "}",
	 "p.json: network.mode: must be \"none\" or \"egress\""},
	{"{\"network\": {\"mode\": \"none\", \"allow\": []}, " SECCOMP "}",
	 "p.json: network.allow: unknown key"},
	{"{\"network\": {\"mode\": \"none\", \"connections\": 5}, " SECCOMP "}",
	 "p.json: network.connections: unknown key"},
	{"{\"network\": {\"mode\": \"egress\", \"connections\": 0}, " SECCOMP "}",
	 "p.json: network.connections: must be from 1 to 65535"},
	{"{\"network\": {\"mode\": \"egress\", \"connections\": 65536}, " SECCOMP "}",
	 "p.json: network.connections: must be from 1 to 65535"},
	{"{\"network\": {\"mode\": \"egress\", \"connections_per_second\": 1.5}, " SECCOMP "}",
	 "p.json: network.connections_per_second: must be an integer"},
};

/* Each case is one member of an array of syscalls, at which the error's path begins. */
static const struct {
	const char *text, *error;
} wrong_rules[] = {
	{"[1]", "syscalls[0]: must be an object, not a number"},
	{"[{}]", "syscalls[0].action: is missing"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\"}]", "syscalls[0].names: is missing"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": []}]", "syscalls[0].names: is empty"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\", \"raed\"]}]",
	 "syscalls[0].names[1]: unknown syscall \"raed\""},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"name\": \"raed\"}]",
	 "syscalls[0].name: unknown syscall \"raed\""},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"name\": \"read\", \"names\": [\"read\"]}]",
	 "syscalls[0].name: cannot be given together with names"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [7]}]",
	 "syscalls[0].names[0]: must be a string, not a number"},
	{"[{\"action\": \"SCMP_ACT_TRACE\", \"names\": [\"read\"]}]",
	 "syscalls[0].action: SCMP_ACT_TRACE needs"},
	{"[{\"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": -1, \"names\": [\"read\"]}]",
	 "syscalls[0].errnoRet: must be from 0 to 4095"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\"], \"args\": [{}]}]",
	 "syscalls[0].args[0].index: is missing"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\"], \"args\": [{\"index\": 6, "
	 "\"value\": 1, \"op\": \"SCMP_CMP_EQ\"}]}]",
	 "syscalls[0].args[0].index: must be from 0 to 5"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\"], \"args\": [{\"index\": 1, "
	 "\"value\": -1, \"op\": \"SCMP_CMP_EQ\"}]}]",
	 "syscalls[0].args[0].value: must be from 0"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\"], \"args\": [{\"index\": 1, "
	 "\"value\": 1, \"op\": \"EQ\"}]}]",
	 "syscalls[0].args[0].op: unknown comparison \"EQ\""},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\"], \"includes\": {\"minKernel\": "
	 "\"new\"}}]",
	 "syscalls[0].includes.minKernel: must be a kernel version"},
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"read\"], \"arg\": []}]",
	 "syscalls[0].arg: unknown key"},
	/* A call that only other architectures have is skipped. */
	{"[{\"action\": \"SCMP_ACT_ALLOW\", \"names\": [\"chown32\"]}]",
	 "syscalls: lists no syscall that applies here"},
};

static const struct {
	const char *text, *error;
} wrong_networks[] = {
	{"{}", "allow[0].to: is missing"},
	{"{\"to\": \"10.0.0.0/33\"}", "allow[0].to: the prefix length must be from 0 to 32"},
	{"{\"to\": \"10.0.0.0/08\"}", "allow[0].to: the prefix length"},
	{"{\"to\": \"10.0.0.1/8\"}", "allow[0].to: has bits after its prefix of 8"},
	{"{\"to\": \"example.org\"}", "allow[0].to: must be an address or network"},
	{"{\"to\": \"1.2.3\"}", "allow[0].to: must be an address or network"},
	{"{\"to\": \"fe80::/10%eth0\"}", "allow[0].to: the prefix length"},
	{"{\"to\": \"any\", \"ports\": 0}", "allow[0].ports: must be a port"},
	{"{\"to\": \"any\", \"ports\": 65536}", "allow[0].ports: must be a port"},
	{"{\"to\": \"any\", \"ports\": \"90-80\"}", "allow[0].ports: must be a port"},
	{"{\"to\": \"any\", \"ports\": []}", "allow[0].ports: must be a port"},
	{"{\"to\": \"any\", \"ports\": [80, \"x\"]}", "allow[0].ports[1]: must be a port"},
	{"{\"to\": \"any\", \"proto\": \"icmp\"}", "allow[0].proto: must be"},
	{"{\"to\": \"any\", \"port\": 80}", "allow[0].port: unknown key"},
};

static void expect_error(const char *text, const char *error)
{
	struct policy p = {0};
	struct err e = {0};

	if (build(text, &p, &e) == 0)
		fail_msg("accepted: %s", text);
	assert_null(p.bpf);
	if (!strstr(e.msg, error))
		fail_msg("\"%s\" lacks \"%s\"", e.msg, error);
}

static void test_errors_name_the_path(void **state)
{
	char text[1024];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		expect_error(wrong[i].text, wrong[i].error);
	for (size_t i = 0; i < ARRAY_SIZE(wrong_rules); i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", "
			       "\"syscalls\": %s}}",
			       wrong_rules[i].text);
		expect_error(text, wrong_rules[i].error);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong_networks); i++) {
		(void)snprintf(text, sizeof(text),
			       "{\"network\": {\"mode\": \"egress\", \"allow\": [%s]}, " SECCOMP
			       "}",
			       wrong_networks[i].text);
		expect_error(text, wrong_networks[i].error);
	}
}

static void test_truncated_everywhere(void **state)
{
	static const char text[] = "{\"limits\": {\"pids\": 8}, \"fork\": {\"parked\": 2}, "
				   "\"network\": {\"mode\": \"none\"}, " SECCOMP "}";

	(void)state;
	for (size_t n = 0; n + 1 < sizeof(text); n++) {
		struct policy p = {0};
		struct err e = {0};
		char *file = NULL;
		size_t len;

		assert_true(policy_json_build("p.json", text, n, NULL, "p", &p, &file, &len, &e) <
			    0);
		assert_null(file);
	}
}

static void test_limits(void **state)
{
	struct policy p = {0};
	struct err e = {0};

	(void)state;
	assert_int_equal(build("{" SECCOMP "}", &p, &e), 0);
	assert_string_equal(p.head.name, "p");
	assert_int_equal(p.head.limits.memory, 320 << 20);
	assert_memory_equal(&p.head.limits, &p.head.limits_max, sizeof(p.head.limits));
	policy_clear(&p);
	assert_int_equal(
		build("{\"name\": \"own\", \"limits\": {\"memory\": \"64M\", \"cpus\": 0.25, "
		      "\"max\": {\"memory\": \"1G\"}}, " SECCOMP "}",
		      &p, &e),
		0);
	assert_string_equal(p.head.name, "own");
	assert_int_equal(p.head.limits.memory, 64 << 20);
	assert_int_equal(p.head.limits.cpu_milli, 250);
	assert_int_equal(p.head.limits_max.memory, 1 << 30);
	assert_int_equal(p.head.limits_max.cpu_milli, 250);
	policy_clear(&p);
}

static void expect_lasting(const char *text, unsigned lasting)
{
	struct policy p = {0};
	struct err e = {0};

	if (build(text, &p, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(p.head.lasting, lasting);
	policy_clear(&p);
}

/* No policy lets a run last that does not say so. */
static void test_lasting(void **state)
{
	(void)state;
	expect_lasting("{" SECCOMP "}", 0);
	expect_lasting("{\"lasting\": false, " SECCOMP "}", 0);
	expect_lasting("{\"lasting\": true, " SECCOMP "}", 1);
	expect_lasting("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": "
		       "[{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}",
		       0);
}

static void expect_parked(const char *text, unsigned parked)
{
	struct policy p = {0};
	struct err e = {0};

	if (build(text, &p, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(p.head.parked, parked);
	policy_clear(&p);
}

static void test_fork(void **state)
{
	(void)state;
	expect_parked("{" SECCOMP "}", 4);
	expect_parked("{\"fork\": {}, " SECCOMP "}", 4);
	expect_parked("{\"fork\": {\"parked\": 0}, " SECCOMP "}", 0);
	expect_parked("{\"fork\": {\"parked\": 8}, " SECCOMP "}", POLICY_PARKED_MAX);
	/* A policy that is only a container engine's profile. */
	expect_parked("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": "
		      "[{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}",
		      4);
}

static void test_network_rules(void **state)
{
	static const char text[] =
		"{\"network\": {\"mode\": \"egress\", \"dns\": true, "
		"\"allow\": [{\"to\": \"192.0.2.0/24\", \"ports\": [443, \"80-90\"], \"proto\": "
		"\"tcp\"}, {\"to\": \"2001:db8::1\"}, {\"to\": \"any\", \"ports\": \"53\"}], "
		"\"deny\": [{\"to\": \"192.0.2.1\"}]}, " SECCOMP "}";
	static const char *const want[] = {
		"any to 192.0.2.1/32",
		"tcp to 192.0.2.0/24 port 443",
		"tcp to 192.0.2.0/24 ports 80-90",
		"any to 2001:db8::1/128",
		"tcp to 0.0.0.0/0 port 53",
		"udp to 0.0.0.0/0 port 53",
		"tcp to ::/0 port 53",
		"udp to ::/0 port 53",
	};
	struct policy p = {0};
	struct err e = {0};
	char shown[128];

	(void)state;
	assert_int_equal(build(text, &p, &e), 0);
	assert_int_equal(p.head.dns, 1);
	assert_int_equal(p.head.n_net_rules, ARRAY_SIZE(want));
	for (size_t i = 0; i < ARRAY_SIZE(want); i++) {
		assert_string_equal(
			policy_network_format(&p.head.net_rules[i], shown, sizeof(shown)), want[i]);
		assert_int_equal(p.head.net_rules[i].allow, i > 0);
	}
	policy_clear(&p);
}

/* A policy that names no bound has the default one, also if it was compiled by a release that had
 * no such bound. */
static void test_network_connections(void **state)
{
	struct policy p = {0}, old = {0};
	char *file = NULL;
	struct err e = {0};
	size_t len;

	(void)state;
	assert_int_equal(build("{\"network\": {\"mode\": \"egress\", \"connections\": 7, "
			       "\"connections_per_second\": 3}, " SECCOMP "}",
			       &p, &e),
			 0);
	assert_int_equal(p.head.connections, 7);
	assert_int_equal(p.head.connections_per_s, 3);
	policy_clear(&p);
	assert_int_equal(
		policy_json_build("p.json", "{\"network\": {\"mode\": \"egress\"}, " SECCOMP "}",
				  strlen("{\"network\": {\"mode\": \"egress\"}, " SECCOMP "}"),
				  NULL, "p", &p, &file, &len, &e),
		0);
	assert_int_equal(p.head.connections, POLICY_CONNECTIONS);
	assert_int_equal(p.head.connections_per_s, POLICY_CONNECTIONS_PER_S);
	((struct policy_head *)file)->connections = 0;
	((struct policy_head *)file)->connections_per_s = 0;
	assert_int_equal(policy_parse(file, len, &old, &e), 0);
	assert_int_equal(old.head.connections, POLICY_CONNECTIONS);
	assert_int_equal(old.head.connections_per_s, POLICY_CONNECTIONS_PER_S);
	policy_clear(&old);
	/* A policy without a network has no connections to bound. */
	((struct policy_head *)file)->net_mode = POLICY_NET_NONE;
	((struct policy_head *)file)->connections = 1;
	assert_true(policy_parse(file, len, &old, &e) < 0);
	assert_int_equal(e.code, ERR_INPUT);
	policy_clear(&p);
	free(file);
}

/* A profile as container engines ship it, with the members that they add to the schema. */
static void test_container_profile(void **state)
{
	static const char text[] =
		"{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 1, \"defaultErrno\": "
		"\"EPERM\", \"archMap\": [{\"architecture\": \"SCMP_ARCH_X86_64\", "
		"\"subArchitectures\": [\"SCMP_ARCH_X86\"]}, {\"architecture\": "
		"\"SCMP_ARCH_RISCV64\", \"subArchitectures\": null}], \"flags\": "
		"[\"SECCOMP_FILTER_FLAG_LOG\"], \"syscalls\": ["
		"{\"names\": [\"read\", \"socketcall\", \"chown32\"], \"action\": "
		"\"SCMP_ACT_ALLOW\", \"args\": null, \"comment\": \"\", \"includes\": {}, "
		"\"excludes\": {}},"
		"{\"name\": \"write\", \"action\": \"SCMP_ACT_ALLOW\", \"args\": []},"
		"{\"names\": [\"ptrace\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": "
		"{\"minKernel\": \"4.8\"}},"
		"{\"names\": [\"kcmp\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": "
		"{\"minKernel\": \"99.0\"}},"
		"{\"names\": [\"mount\", \"clone\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": "
		"{\"caps\": [\"CAP_SYS_ADMIN\"]}},"
		"{\"names\": [\"clone\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{\"index\": "
		"0, "
		"\"value\": 2114060288, \"op\": \"SCMP_CMP_MASKED_EQ\"}], \"excludes\": {\"caps\": "
		"[\"CAP_SYS_ADMIN\"], \"arches\": [\"s390\", \"s390x\"]}},"
		"{\"names\": [\"arch_prctl\"], \"action\": \"SCMP_ACT_ALLOW\", \"includes\": "
		"{\"arches\": [\"amd64\", \"x32\"]}},"
		"{\"names\": [\"no_such_call_here\"], \"action\": \"SCMP_ACT_ALLOW\", "
		"\"includes\": "
		"{\"arches\": [\"arm\"]}},"
		"{\"names\": [\"clone3\"], \"action\": \"SCMP_ACT_ERRNO\", \"errnoRet\": 38, "
		"\"errno\": \"ENOSYS\"},"
		"{\"names\": [\"personality\"], \"action\": \"SCMP_ACT_ALLOW\", \"args\": "
		"[{\"index\": 0, \"value\": 0, \"op\": \"SCMP_CMP_EQ\"}, {\"index\": 0, \"value\": "
		"8, \"op\": \"SCMP_CMP_EQ\"}]}]}";
	struct policy p = {0};
	struct err e = {0};

	(void)state;
	if (build(text, &p, &e) < 0)
		fail_msg("%s", e.msg);
	assert_int_equal(p.head.net_mode, POLICY_NET_NONE);
	assert_int_equal(decide(&p, SYS_read, 0), ALLOW);
	assert_int_equal(decide(&p, SYS_write, 0), ALLOW);
	assert_int_equal(decide(&p, SYS_ptrace, 0), ALLOW);
	assert_int_equal(decide(&p, SYS_kcmp, 0), EPERM_);
	assert_int_equal(decide(&p, SYS_mount, 0), EPERM_);
	assert_int_equal(decide(&p, SYS_clone, 17), ALLOW);
	assert_int_equal(decide(&p, SYS_clone, 0x10000000), EPERM_);
	assert_int_equal(decide(&p, SYS_arch_prctl, 0), ALLOW);
	assert_int_equal(decide(&p, 435, 0), ENOSYS_);
	assert_int_equal(decide(&p, SYS_personality, 0), ALLOW);
	assert_int_equal(decide(&p, SYS_personality, 8), ALLOW);
	assert_int_equal(decide(&p, SYS_personality, 1), EPERM_);
	policy_clear(&p);
}

/* These calls are refused under every policy, whatever it says. */
static void test_guard(void **state)
{
	static const uint64_t namespaces[] = {CLONE_NEWNS,  CLONE_NEWCGROUP, CLONE_NEWUTS,
					      CLONE_NEWIPC, CLONE_NEWUSER,   CLONE_NEWPID,
					      CLONE_NEWNET};
	struct seccomp_data other = {.nr = SYS_clone3, .arch = AUDIT_ARCH_AARCH64};
	struct policy p = {0};
	struct err e = {0};

	(void)state;
	if (build("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{\"names\": [\"mount\"], "
		  "\"action\": \"SCMP_ACT_ERRNO\"}]}",
		  &p, &e) < 0)
		fail_msg("%s", e.msg);
	for (size_t i = 0; i < ARRAY_SIZE(namespaces); i++) {
		assert_int_equal(decide(&p, SYS_clone, namespaces[i] | 17), EPERM_);
		assert_int_equal(decide(&p, SYS_clone, ~0xffffffffULL | namespaces[i]), EPERM_);
	}
	assert_int_equal(decide(&p, SYS_clone, CLONE_VM | CLONE_VFORK | 17), ALLOW);
	assert_int_equal(decide(&p, SYS_clone3, 0), ENOSYS_);
	assert_int_equal(decide(&p, SYS_setrlimit, RLIMIT_CORE), EPERM_);
	assert_int_equal(decide(&p, SYS_setrlimit, RLIMIT_NOFILE), ALLOW);
	assert_int_equal(decide(&p, SYS_prlimit64, 0), ALLOW);
	assert_int_equal(decide(&p, SYS_read, CLONE_NEWUSER), ALLOW);
	/* A call of another architecture is refused, by the policy's action for it or by a kill. */
	assert_int_not_equal(bpf_sim(p.bpf, p.head.n_bpf, &other, NULL), ALLOW);
	policy_clear(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors_name_the_path),
		cmocka_unit_test(test_truncated_everywhere),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_lasting),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_network_rules),
		cmocka_unit_test(test_network_connections),
		cmocka_unit_test(test_container_profile),
		cmocka_unit_test(test_guard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
