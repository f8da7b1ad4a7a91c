// SPDX-License-Identifier: Apache-2.0
#include "lib/role_filter.h"

#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "lib/policy.h"

#define ROLE_SYSCALLS_MAX 128

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define SANITIZED 1
#endif
#endif

int role_filter_load(const char *const *names, size_t n_names, struct err *e)
{
	struct seccomp_rule rules[ROLE_SYSCALLS_MAX] = {0};
	_cleanup_free_ struct sock_filter *bpf = NULL;
	struct seccomp_profile profile = {
		.default_action = SCMP_ACT_ERRNO(EPERM),
		.rules = rules,
		.n_rules = n_names + 1,
	};
	size_t n_bpf;
	int r;

	if (n_names >= ROLE_SYSCALLS_MAX)
		return err_set(e, ERR_INTERNAL, 0, "role's seccomp filter: %zu syscalls", n_names);
	for (size_t i = 0; i < n_names; i++) {
		rules[i].action = SCMP_ACT_ALLOW;
		if (strcmp(names[i], "socket:unix") == 0) {
			rules[i].nr = seccomp_number("socket");
			rules[i].n_args = 1;
			rules[i].args[0].op = SCMP_CMP_EQ;
			rules[i].args[0].value = AF_UNIX;
			continue;
		}
		rules[i].nr = seccomp_number(names[i]);
		if (rules[i].nr < 0)
			return err_set(e, ERR_INTERNAL, 0, "role's seccomp filter: no syscall %s",
				       names[i]);
	}
	/* clone3's flags are in memory, where no filter can look. After ENOSYS the C library makes
	 * threads by clone. */
	rules[n_names].action = SCMP_ACT_ERRNO(ENOSYS);
	rules[n_names].nr = seccomp_number("clone3");
	if (rules[n_names].nr < 0)
		return err_set(e, ERR_INTERNAL, 0, "role's seccomp filter: no syscall clone3");
	r = seccomp_compile(&profile, &bpf, &n_bpf, e);
	if (r < 0)
		return r;
#ifdef SANITIZED
	/* A sanitizer's runtime makes calls of its own, and its leak checker clones. */
	return 0;
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "no_new_privs");
	return seccomp_attach(bpf, n_bpf, e);
}
