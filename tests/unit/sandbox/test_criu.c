// SPDX-License-Identifier: Apache-2.0
/* The messages to criu, criu's answers, and the seccomp filters of criu and of a process that is
 * dumped. */
#include <linux/filter.h>
#include <linux/prctl.h>
#include <linux/ptrace.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "lib/policy.h"
#include "sandbox/checkpoint_internal.h"
#include "sandbox/criu.h"
#include "sandbox/protobuf.h"
#include "tests/unit/bpf_sim.h"

static uint32_t call(const struct sock_filter *bpf, size_t n, int nr, uint64_t a, uint64_t b,
		     uint64_t c, uint64_t d)
{
	const uint64_t args[6] = {a, b, c, d};

	return bpf_sim_call(bpf, n, nr, args);
}

#define DENIED(e) (SECCOMP_RET_ERRNO | (e))

static void test_own_filter(void **state)
{
	static const int never[] = {
		SYS_mount,	    SYS_unshare,	   SYS_setns,	    SYS_bpf,	 SYS_keyctl,
		SYS_reboot,	    SYS_open_by_handle_at, SYS_userfaultfd, SYS_fsmount, SYS_syslog,
		SYS_io_uring_setup, SYS_kexec_load};
	struct sock_filter bpf[CRIU_FILTER_MAX];
	struct seccomp_data other = {.nr = SYS_read, .arch = AUDIT_ARCH_I386};
	size_t n;

	(void)state;
	criu_filter(bpf, &n);
	assert_in_range(n, 1, CRIU_FILTER_MAX);
	for (size_t i = 0; i < ARRAY_SIZE(never); i++)
		assert_int_equal(call(bpf, n, never[i], 0, 0, 0, 0), DENIED(EPERM));
	assert_int_equal(call(bpf, n, SYS_read, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_clone3, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_clone, SIGCHLD | CLONE_VM, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_clone, SIGCHLD | CLONE_NEWUSER, 0, 0, 0), DENIED(EPERM));
	assert_int_equal(call(bpf, n, SYS_clone, ~0ULL << 32 | CLONE_NEWNET, 0, 0, 0),
			 DENIED(EPERM));
	assert_int_equal(call(bpf, n, SYS_read | 0x40000000, 0, 0, 0, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(bpf_sim(bpf, n, &other, NULL), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(call(bpf, n, SYS_socket, AF_UNIX, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_socket, AF_ALG, 0, 0, 0), DENIED(EPERM));
	assert_int_equal(call(bpf, n, SYS_socket, AF_PACKET, 0, 0, 0), DENIED(EPERM));
	/* criu is told that these calls have succeeded, but they are not made. */
	assert_int_equal(call(bpf, n, SYS_ptrace, PTRACE_SETOPTIONS, 2, 0,
			      PTRACE_O_SUSPEND_SECCOMP | PTRACE_O_TRACESYSGOOD),
			 DENIED(0));
	assert_int_equal(call(bpf, n, SYS_ptrace, PTRACE_SETOPTIONS, 2, 0, PTRACE_O_TRACESYSGOOD),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_ptrace, PTRACE_SECCOMP_GET_FILTER, 2, 0, 0),
			 DENIED(ENOENT));
	assert_int_equal(call(bpf, n, SYS_ptrace, PTRACE_SEIZE, 2, 0, 0), SECCOMP_RET_ALLOW);
}

static void test_warm_filter(void **state)
{
	/* A policy that refuses every call, with an errno of its own. */
	const struct sock_filter no = BPF_STMT(BPF_RET | BPF_K, DENIED(42));
	struct seccomp_data other = {.nr = SYS_mmap, .arch = AUDIT_ARCH_I386};
	struct sock_filter *bpf = NULL, *big = calloc(POLICY_BPF_MAX, sizeof(*big));
	struct err e = {0};
	size_t n = 0;

	(void)state;
	assert_int_equal(criu_warm_filter(&no, 1, &bpf, &n, &e), 0);
	assert_int_equal(call(bpf, n, SYS_vmsplice, 0, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_socket, AF_UNIX, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_socket, AF_INET, 0, 0, 0), DENIED(42));
	assert_int_equal(call(bpf, n, SYS_setfsuid, (uint32_t)-1, 0, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_setfsuid, 0, 0, 0, 0), DENIED(42));
	assert_int_equal(call(bpf, n, SYS_prctl, PR_CAPBSET_READ, 1, 0, 0), SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, 0, 0),
			 SECCOMP_RET_ALLOW);
	assert_int_equal(call(bpf, n, SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 0, 0),
			 DENIED(42));
	assert_int_equal(call(bpf, n, SYS_prctl, PR_SET_DUMPABLE, 0, 0, 0), DENIED(42));
	assert_int_equal(call(bpf, n, SYS_clone, 0, 0, 0, 0), DENIED(42));
	assert_int_equal(call(bpf, n, SYS_ptrace, 0, 0, 0, 0), DENIED(42));
	/* This holds also for a call of another architecture. */
	assert_int_equal(bpf_sim(bpf, n, &other, NULL), DENIED(42));
	free(bpf);
	assert_non_null(big);
	assert_true(criu_warm_filter(big, POLICY_BPF_MAX, &bpf, &n, &e) < 0);
	assert_non_null(strstr(e.msg, "there are no checkpoints"));
	free(big);
}

/* type RESTORE, success, restore { pid }; and the same of a dump. */
static const uint8_t restored[] = {1 << 3, 2, 2 << 3, 1, 4 << 3 | 2, 2, 1 << 3, 77};
static const uint8_t dumped[] = {1 << 3, 1, 2 << 3, 1, 3 << 3 | 2, 2, 1 << 3, 0};

static void test_answer(void **state)
{
	uint8_t refused[] = {1 << 3, 2, 2 << 3, 0, 7 << 3, 22}, bent[sizeof(restored)];
	struct err e = {0};
	pid_t pid;

	(void)state;
	assert_int_equal(criu_read_answer(restored, sizeof(restored), false, &pid, &e), 0);
	assert_int_equal(pid, 77);
	assert_int_equal(criu_read_answer(dumped, sizeof(dumped), true, &pid, &e), 0);
	/* An answer to another type of request. */
	assert_true(criu_read_answer(dumped, sizeof(dumped), false, &pid, &e) < 0);
	assert_int_equal(criu_read_answer(refused, sizeof(refused), false, &pid, &e), -EBADMSG);
	assert_non_null(strstr(e.msg, "Invalid argument"));
	for (size_t i = 0; i < sizeof(restored); i++)
		assert_true(criu_read_answer(restored, i, false, &pid, &e) < 0);
	for (size_t i = 0; i < sizeof(restored); i++) {
		memcpy(bent, restored, sizeof(bent));
		bent[i] |= 0x80;
		assert_true(criu_read_answer(bent, sizeof(bent), false, &pid, &e) < 0);
	}
}

/* Reads the request as criu does, and checks that it says what was meant. */
static void test_request(void **state)
{
	const uint64_t pipes[] = {5, 1ULL << 40};
	const struct criu_request req = {
		.images_fd = 8, .pipes = pipes, .n_pipes = 2, .pipes_fd = 4};
	struct pb_field type, opts, f;
	struct err e = {0};
	uint8_t buf[4096];
	int sk[2], n, keys = 0;
	struct pb_in in;
	pid_t pid;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sk), 0);
	/* The answer waits in the socket before the question is sent. */
	assert_int_equal(send(sk[1], restored, sizeof(restored), 0), sizeof(restored));
	assert_int_equal(criu_ask(sk[0], &req, &pid, &e), 0);
	assert_int_equal(pid, 77);
	n = (int)recv(sk[1], buf, sizeof(buf), 0);
	assert_true(n > 0);
	in = (struct pb_in){buf, buf + n};
	assert_int_equal(pb_find(in, 1, PB_VARINT, &type), 1);
	assert_int_equal(type.value, 2);
	assert_int_equal(pb_find(in, 2, PB_BYTES, &opts), 1);
	assert_int_equal(pb_find(opts.bytes, 1, PB_VARINT, &f), 1);
	assert_int_equal((int64_t)f.value, -1);
	assert_int_equal(pb_find(opts.bytes, 68, PB_BYTES, &f), 1);
	assert_memory_equal(f.bytes.at, "/proc/self/fd/8", strlen("/proc/self/fd/8"));
	assert_int_equal(pb_find(opts.bytes, 67, PB_VARINT, &f), 1);
	assert_int_equal(f.value, 1);
	assert_int_equal(pb_find(opts.bytes, 69, PB_VARINT, &f), 1);
	assert_int_equal(f.value, 1);
	while ((n = pb_next(&opts.bytes, &f)) > 0)
		keys += f.number == 27;
	assert_int_equal(n, 0);
	assert_int_equal(keys, 2);
	/* The other end has closed the socket. */
	(void)close(sk[1]);
	assert_true(criu_ask(sk[0], &req, &pid, &e) < 0);
	(void)close(sk[0]);
}

static void test_image(void **state)
{
	/* magic, magic, length; tc { old mode }, thread_core { uid of its creds; mode } */
	uint8_t image[] = {0x19,       0x43, 0x56,	  0x54, 0x47,	    0x38, 0x05,	   0x55,
			   12,	       0,    0,		  0,	3 << 3 | 2, 2,	  11 << 3, 2,
			   5 << 3 | 2, 6,    10 << 3 | 2, 2,	1 << 3,	    7,	  11 << 3, 2};
	uint8_t copy[sizeof(image)], want[sizeof(image)];
	struct err e = {0};

	(void)state;
	memcpy(want, image, sizeof(want));
	want[15] = want[23] = 0;
	memcpy(copy, image, sizeof(copy));
	assert_int_equal(checkpoint_image_unfiltered(copy, sizeof(copy), &e), 0);
	assert_memory_equal(copy, want, sizeof(want));
	for (size_t n = 0; n < sizeof(image); n++) {
		memcpy(copy, image, sizeof(copy));
		assert_true(checkpoint_image_unfiltered(copy, n, &e) < 0);
	}
	/* The image has no seccomp mode, another mode, or two of them. */
	memcpy(copy, image, sizeof(copy));
	copy[22] = 12 << 3;
	assert_true(checkpoint_image_unfiltered(copy, sizeof(copy), &e) < 0);
	memcpy(copy, image, sizeof(copy));
	copy[23] = 3;
	assert_true(checkpoint_image_unfiltered(copy, sizeof(copy), &e) < 0);
	memcpy(copy, image, sizeof(copy));
	copy[12] = 5 << 3 | 2;
	assert_true(checkpoint_image_unfiltered(copy, sizeof(copy), &e) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_filter), cmocka_unit_test(test_warm_filter),
		cmocka_unit_test(test_answer),	   cmocka_unit_test(test_request),
		cmocka_unit_test(test_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
