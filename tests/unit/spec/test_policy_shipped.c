// SPDX-License-Identifier: Apache-2.0
/* The shipped policies: what each decides about a call, and after how many instructions. */
#include "tests/unit/policy_rig.h"

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

/* What each of the three policies must decide about a call. */
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
	{"AF_INET TCP", SYS_socket, {2, 1, 6}, {ALLOW, ALLOW, EPERM_}},
	{"AF_INET TCP, flags", SYS_socket, {2, 1 | 02004000, 0}, {ALLOW, ALLOW, EPERM_}},
	{"AF_INET UDP", SYS_socket, {2, 2, 17}, {ALLOW, ALLOW, EPERM_}},
	{"AF_INET6 TCP", SYS_socket, {10, 1, 0}, {ALLOW, ALLOW, EPERM_}},
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
	{"SO_REUSEADDR", SYS_setsockopt, {3, 1, 2}, ALL(ALLOW)},
	{"SO_ATTACH_FILTER", SYS_setsockopt, {3, 1, 26}, ALL(EPERM_)},
	{"SO_ATTACH_REUSEPORT_EBPF", SYS_setsockopt, {3, 1, 52}, ALL(EPERM_)},
	{"UDP_ENCAP", SYS_setsockopt, {3, 17, 100}, {EPERM_, EPERM_, ALLOW}},
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
	{"PR_SET_SECCOMP", SYS_prctl, {22}, ALL(EPERM_)},
	{"PR_SET_MM", SYS_prctl, {35}, ALL(EPERM_)},
	{"PR_SCHED_CORE", SYS_prctl, {62}, ALL(EPERM_)},
	{"seccomp strict", SYS_seccomp, {0, 0}, ALL(ALLOW)},
	{"seccomp filter", SYS_seccomp, {1, 0}, ALL(EPERM_)},
	{"seccomp filter, TSYNC", SYS_seccomp, {1, 1}, ALL(EPERM_)},
	{"seccomp listener", SYS_seccomp, {1, 8}, ALL(EPERM_)},
	{"setrlimit core", SYS_setrlimit, {RLIMIT_CORE, 1}, ALL(EPERM_)},
	{"setrlimit core, high bits", SYS_setrlimit, {1ULL << 32 | RLIMIT_CORE, 1}, ALL(EPERM_)},
	{"setrlimit nofile", SYS_setrlimit, {RLIMIT_NOFILE, 1}, ALL(ALLOW)},
	{"prlimit64 core", SYS_prlimit64, {0, RLIMIT_CORE, 1}, ALL(EPERM_)},
	{"prlimit64 core, high address", SYS_prlimit64, {0, RLIMIT_CORE, 1ULL << 32}, ALL(EPERM_)},
	{"prlimit64 core, asked", SYS_prlimit64, {0, RLIMIT_CORE, 0, 1}, ALL(ALLOW)},
	{"prlimit64 nofile", SYS_prlimit64, {0, RLIMIT_NOFILE, 1}, ALL(ALLOW)},
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

/* Older kernels run the filter for every call, so the calls that are most frequent must be decided
 * soon. */
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

/* The policy of builds allows the same calls as the network policy, by the same filter, but has no
 * way out to a network. */
static void test_shipped_build(void **state)
{
	struct policy build = build_shipped("build"), net = build_shipped("network");

	(void)state;
	assert_int_equal(build.head.n_bpf, net.head.n_bpf);
	assert_memory_equal(build.bpf, net.bpf, net.head.n_bpf * sizeof(*net.bpf));
	assert_int_equal(build.head.net_mode, POLICY_NET_NONE);
	assert_int_equal(build.head.n_net_rules, 0);
	assert_int_equal(build.head.parked, 0);
	policy_clear(&build);
	policy_clear(&net);
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
	assert_true(metadata); /* it stands before any rule that allows something */
	assert_true(anywhere);
	policy_clear(&none);
	policy_clear(&net);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_shipped_decisions),
		cmocka_unit_test(test_shipped_paths_are_short),
		cmocka_unit_test(test_shipped_build),
		cmocka_unit_test(test_shipped_networks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
