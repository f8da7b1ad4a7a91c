// SPDX-License-Identifier: Apache-2.0
// clang-format off
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
// clang-format on
#include <arpa/inet.h>
#include <fcntl.h>
#include <seccomp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "supervisor/policy_json.h"
#include "tests/unit/bpf_sim.h"

#define ALLOW SCMP_ACT_ALLOW
#define EPERM_ SCMP_ACT_ERRNO(1)
#define ENOSYS_ SCMP_ACT_ERRNO(38)
#define NOTHING SCMP_ACT_ERRNO(0)
#define SECCOMP                                                                                    \
	"\"seccomp\": {\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": "                      \
	"[{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"}]}"

static int build(const char *text, struct policy *ret, struct err *e)
{
	char *file = NULL;
	size_t len;
	int r = policy_json_build("p.json", text, strlen(text), NULL, "p", ret, &file, &len, e);

	free(file);
	return r;
}

static struct policy build_shipped(const char *name)
{
	struct policy p = {0};
	struct err e = {0};
	char path[64], *text, *file;
	size_t len, file_len;

	(void)snprintf(path, sizeof(path), "policies/%s.json", name);
	if (util_read_file_at(AT_FDCWD, path, POLICY_JSON_MAX, &text, &len) < 0)
		fail_msg("%s cannot be read; tests run in the top folder", path);
	if (policy_json_build(path, text, len, NULL, "x", &p, &file, &file_len, &e) < 0)
		fail_msg("%s", e.msg);
	assert_string_equal(p.head.name, name);
	free(text);
	free(file);
	return p;
}

enum { DEFAULT, NETWORK, STRICT, N_SHIPPED };
static const char *const shipped[N_SHIPPED] = {"default", "network", "strict"};

/* What must hold of a call under each of the three policies. */
static const struct {
	const char *what;
	long nr;
	uint64_t args[6];
	uint32_t want[N_SHIPPED];
} decisions[] = {
#define ALL(a)                                                                                     \
	{                                                                                          \
		a, a, a                                                                            \
	}
	{"read", SYS_read, {0}, ALL(ALLOW)},
	{"execve", SYS_execve, {0}, ALL(ALLOW)},
	{"futex", SYS_futex, {0}, ALL(ALLOW)},
	{"thread", SYS_clone, {0x3d0f00}, ALL(ALLOW)},
	{"fork", SYS_clone, {0x1200011}, ALL(ALLOW)},
	{"vfork by clone", SYS_clone, {0x4111}, ALL(ALLOW)},
	{"CLONE_NEWTIME", SYS_clone, {0x80 | 17}, ALL(EPERM_)},
	{"CLONE_NEWNS", SYS_clone, {0x00020000 | 17}, ALL(EPERM_)},
	{"CLONE_NEWCGROUP", SYS_clone, {0x02000000 | 17}, ALL(EPERM_)},
	{"CLONE_NEWUTS", SYS_clone, {0x04000000 | 17}, ALL(EPERM_)},
	{"CLONE_NEWIPC", SYS_clone, {0x08000000 | 17}, ALL(EPERM_)},
	{"CLONE_NEWUSER", SYS_clone, {0x10000000 | 17}, ALL(EPERM_)},
	{"CLONE_NEWPID", SYS_clone, {0x20000000 | 17}, ALL(EPERM_)},
	{"CLONE_NEWNET", SYS_clone, {0x40000000 | 17}, ALL(EPERM_)},
	{"all of them", SYS_clone, {0x7e020000 | 17}, ALL(EPERM_)},
	{"NEWUSER with high bits", SYS_clone, {0xff10000011}, ALL(EPERM_)},
	{"clone3", 435, {0}, ALL(ENOSYS_)},
	{"unshare", SYS_unshare, {0}, ALL(EPERM_)},
	{"setns", SYS_setns, {0}, ALL(EPERM_)},
	{"mount", SYS_mount, {0}, ALL(EPERM_)},
	{"umount2", SYS_umount2, {0}, ALL(EPERM_)},
	{"pivot_root", SYS_pivot_root, {0}, ALL(EPERM_)},
	{"chroot", SYS_chroot, {0}, ALL(EPERM_)},
	{"open_tree", 428, {0}, ALL(EPERM_)},
	{"move_mount", 429, {0}, ALL(EPERM_)},
	{"fsopen", 430, {0}, ALL(EPERM_)},
	{"fsconfig", 431, {0}, ALL(EPERM_)},
	{"fsmount", 432, {0}, ALL(EPERM_)},
	{"fspick", 433, {0}, ALL(EPERM_)},
	{"mount_setattr", 442, {0}, ALL(EPERM_)},
	{"open_tree_attr", 467, {0}, ALL(EPERM_)},
	{"open_by_handle_at", SYS_open_by_handle_at, {0}, ALL(EPERM_)},
	{"add_key", SYS_add_key, {0}, ALL(EPERM_)},
	{"request_key", SYS_request_key, {0}, ALL(EPERM_)},
	{"keyctl", SYS_keyctl, {0}, ALL(EPERM_)},
	{"bpf", SYS_bpf, {0}, ALL(EPERM_)},
	{"perf_event_open", SYS_perf_event_open, {0}, ALL(EPERM_)},
	{"io_uring_setup", 425, {0}, ALL(EPERM_)},
	{"io_uring_enter", 426, {0}, ALL(EPERM_)},
	{"io_uring_register", 427, {0}, ALL(EPERM_)},
	{"userfaultfd", SYS_userfaultfd, {0}, ALL(EPERM_)},
	{"ptrace", SYS_ptrace, {0}, ALL(EPERM_)},
	{"process_vm_readv", SYS_process_vm_readv, {0}, ALL(EPERM_)},
	{"process_vm_writev", SYS_process_vm_writev, {0}, ALL(EPERM_)},
	{"pidfd_getfd", 438, {0}, ALL(EPERM_)},
	{"kcmp", SYS_kcmp, {0}, ALL(EPERM_)},
	{"init_module", SYS_init_module, {0}, ALL(EPERM_)},
	{"finit_module", SYS_finit_module, {0}, ALL(EPERM_)},
	{"delete_module", SYS_delete_module, {0}, ALL(EPERM_)},
	{"kexec_load", SYS_kexec_load, {0}, ALL(EPERM_)},
	{"reboot", SYS_reboot, {0}, ALL(EPERM_)},
	{"swapon", SYS_swapon, {0}, ALL(EPERM_)},
	{"acct", SYS_acct, {0}, ALL(EPERM_)},
	{"settimeofday", SYS_settimeofday, {0}, ALL(EPERM_)},
	{"clock_settime", SYS_clock_settime, {0}, ALL(EPERM_)},
	{"quotactl", SYS_quotactl, {0}, ALL(EPERM_)},
	{"fanotify_init", SYS_fanotify_init, {0}, ALL(EPERM_)},
	{"syslog", SYS_syslog, {0}, ALL(EPERM_)},
	{"modify_ldt", SYS_modify_ldt, {0}, ALL(EPERM_)},
	{"a number that nobody knows", 10000, {0}, ALL(ENOSYS_)},
	{"a number of next year", 480, {0}, ALL(ENOSYS_)},
	{"sync", SYS_sync, {0}, ALL(NOTHING)},
	{"AF_UNIX", SYS_socket, {1, 1}, {ALLOW, ALLOW, EPERM_}},
	{"AF_UNIX, garbage above", SYS_socket, {1ULL << 40 | 1, 1}, {ALLOW, ALLOW, EPERM_}},
	{"AF_INET TCP", SYS_socket, {2, 1, 6}, {EPERM_, ALLOW, EPERM_}},
	{"AF_INET TCP, flags", SYS_socket, {2, 1 | 02004000, 0}, {EPERM_, ALLOW, EPERM_}},
	{"AF_INET UDP", SYS_socket, {2, 2, 17}, {EPERM_, ALLOW, EPERM_}},
	{"AF_INET6 TCP", SYS_socket, {10, 1, 0}, {EPERM_, ALLOW, EPERM_}},
	{"AF_INET raw", SYS_socket, {2, 3, 1}, ALL(EPERM_)},
	{"AF_INET raw, flags", SYS_socket, {2, 3 | 02004000, 1}, ALL(EPERM_)},
	{"AF_INET ping", SYS_socket, {2, 2, 1}, ALL(EPERM_)},
	{"AF_INET SCTP", SYS_socket, {2, 1, 132}, ALL(EPERM_)},
	{"AF_INET MPTCP", SYS_socket, {2, 1, 262}, ALL(EPERM_)},
	{"AF_INET type with high bits", SYS_socket, {2, 1ULL << 32 | 3, 0}, ALL(EPERM_)},
	{"NETLINK_ROUTE", SYS_socket, {16, 3, 0}, {EPERM_, ALLOW, EPERM_}},
	{"NETLINK_AUDIT", SYS_socket, {16, 3, 9}, ALL(EPERM_)},
	{"AF_ALG", SYS_socket, {38, 5, 0}, ALL(EPERM_)},
	{"AF_ALG with high bits", SYS_socket, {1ULL << 32 | 38, 5, 0}, ALL(EPERM_)},
	{"AF_VSOCK", SYS_socket, {40, 1, 0}, ALL(EPERM_)},
	{"AF_PACKET", SYS_socket, {17, 3, 0}, ALL(EPERM_)},
	{"AF_KEY", SYS_socket, {15, 3, 2}, ALL(EPERM_)},
	{"AF_XDP", SYS_socket, {44, 3, 0}, ALL(EPERM_)},
	{"family 0", SYS_socket, {0}, ALL(EPERM_)},
	{"a pair", SYS_socketpair, {1, 1, 0}, ALL(ALLOW)},
	{"a TIPC pair", SYS_socketpair, {30, 1, 0}, ALL(EPERM_)},
	{"connect", SYS_connect, {3}, {ALLOW, ALLOW, EPERM_}},
	{"FIONBIO", SYS_ioctl, {0, 0x5421}, ALL(ALLOW)},
	{"TIOCSTI", SYS_ioctl, {0, 0x5412}, ALL(EPERM_)},
	{"TIOCSTI with high bits", SYS_ioctl, {0, 0xdead00005412}, ALL(EPERM_)},
	{"TIOCLINUX", SYS_ioctl, {0, 0x541c}, ALL(EPERM_)},
	{"TIOCLINUX with high bits", SYS_ioctl, {0, 1ULL << 63 | 0x541c}, ALL(EPERM_)},
	{"personality 0", SYS_personality, {0}, ALL(ALLOW)},
	{"personality query", SYS_personality, {0xffffffff}, ALL(ALLOW)},
	{"personality query by -1", SYS_personality, {UINT64_MAX}, ALL(ALLOW)},
	{"ADDR_NO_RANDOMIZE", SYS_personality, {0x40000}, ALL(EPERM_)},
	{"PER_LINUX32", SYS_personality, {8}, ALL(EPERM_)},
	{"a FIFO", SYS_mknodat, {0, 0, 010600}, ALL(ALLOW)},
	{"a device", SYS_mknodat, {0, 0, 020600}, ALL(EPERM_)},
	{"a block device", SYS_mknod, {0, 060600}, ALL(EPERM_)},
	{"PR_SET_NAME", SYS_prctl, {15}, ALL(ALLOW)},
	{"PR_SET_SECCOMP", SYS_prctl, {22}, ALL(ALLOW)},
	{"PR_SET_MM", SYS_prctl, {35}, ALL(EPERM_)},
	{"PR_SCHED_CORE", SYS_prctl, {62}, ALL(EPERM_)},
	{"seccomp filter", SYS_seccomp, {1, 0}, ALL(ALLOW)},
	{"seccomp filter, TSYNC", SYS_seccomp, {1, 1}, ALL(ALLOW)},
	{"seccomp listener", SYS_seccomp, {1, 8}, ALL(EPERM_)},
	{"semget", SYS_semget, {0}, {ALLOW, ALLOW, EPERM_}},
#undef ALL
};

static void test_shipped_decisions(void **state)
{
	(void)state;
	for (int i = 0; i < N_SHIPPED; i++) {
		struct policy p = build_shipped(shipped[i]);

		for (size_t k = 0; k < ARRAY_SIZE(decisions); k++) {
			uint32_t got = bpf_sim_call(p.bpf, p.head.n_bpf, (int)decisions[k].nr,
						    decisions[k].args);

			if (got != decisions[k].want[i])
				fail_msg("%s: %s: 0x%x, not 0x%x", shipped[i], decisions[k].what,
					 got, decisions[k].want[i]);
		}
		policy_clear(&p);
	}
}

/* Older kernels run the filter for every call: what is called most must not take long. */
static void test_shipped_paths_are_short(void **state)
{
	static const int hot[] = {SYS_read,	  SYS_write,  SYS_futex,	SYS_mmap,
				  SYS_epoll_wait, SYS_openat, SYS_clock_gettime};

	(void)state;
	for (int i = 0; i < N_SHIPPED; i++) {
		struct policy p = build_shipped(shipped[i]);

		for (size_t k = 0; k < ARRAY_SIZE(hot); k++) {
			struct seccomp_data data = {.nr = hot[k], .arch = AUDIT_ARCH_X86_64};
			unsigned steps = 0;

			assert_int_equal(bpf_sim(p.bpf, p.head.n_bpf, &data, &steps), ALLOW);
			assert_in_range(steps, 1, 48);
		}
		policy_clear(&p);
	}
}

static void test_shipped_networks(void **state)
{
	struct policy none = build_shipped("default"), net = build_shipped("network");
	bool metadata = false, anywhere = false;

	(void)state;
	assert_int_equal(none.head.net_mode, POLICY_NET_NONE);
	assert_int_equal(net.head.net_mode, POLICY_NET_EGRESS);
	for (uint32_t i = 0; i < net.head.n_net_rules; i++) {
		const struct policy_net_rule *rule = &net.head.net_rules[i];

		if (!rule->allow && rule->addr[0] == 169 && rule->addr[1] == 254)
			metadata = !anywhere;
		anywhere |= rule->allow;
	}
	assert_true(metadata); /* and before any rule that allows */
	assert_true(anywhere);
	policy_clear(&none);
	policy_clear(&net);
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
	{"{\"fork\": {\"parked\": 9}, " SECCOMP "}", "p.json: fork.parked: must be from 0 to 8"},
	{"{\"fork\": {\"parked\": -1}, " SECCOMP "}", "p.json: fork.parked: must be from 0 to 8"},
	{"{\"fork\": {\"parked\": \"4\"}, " SECCOMP "}", "p.json: fork.parked: must be an integer"},
	{"{\"fork\": {\"ahead\": 4}, " SECCOMP "}", "p.json: fork.ahead: unknown key"},
	{"{\"network\": {}, " SECCOMP "}", "p.json: network.mode: is missing"},
	{"{\"network\": {\"mode\": \"host\"}, " SECCOMP "}",
	 "p.json: network.mode: must be \"none\" or \"egress\""},
	{"{\"network\": {\"mode\": \"none\", \"allow\": []}, " SECCOMP "}",
	 "p.json: network.allow: unknown key"},
};

/* Each is one member of an array of syscalls, and the error's path begins there. */
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
	/* A syscall that only other architectures have is none. */
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
	/* A container engine's profile alone. */
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

static uint32_t decide(const struct policy *p, int nr, uint64_t arg0)
{
	const uint64_t args[6] = {arg0};

	return bpf_sim_call(p->bpf, p->head.n_bpf, nr, args);
}

/* A profile as container engines ship them, with all that they add to the schema. */
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

/* ---- the compiled file ---- */

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped_decisions),
		cmocka_unit_test(test_shipped_paths_are_short),
		cmocka_unit_test(test_shipped_networks),
		cmocka_unit_test(test_errors_name_the_path),
		cmocka_unit_test(test_truncated_everywhere),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_fork),
		cmocka_unit_test(test_network_rules),
		cmocka_unit_test(test_container_profile),
		cmocka_unit_test_setup_teardown(test_load, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_load_refuses, setup_store, teardown_store),
		cmocka_unit_test_setup_teardown(test_parse_bounds, setup_store, teardown_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
