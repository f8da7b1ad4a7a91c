// SPDX-License-Identifier: Apache-2.0
#include "lib/role_filter.h"

#include <seccomp.h>
#include <sys/prctl.h>

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
		rules[i].nr = seccomp_number(names[i]);
		if (rules[i].nr < 0)
			return err_set(e, ERR_INTERNAL, 0, "role's seccomp filter: no syscall %s",
				       names[i]);
	}
	/* Its flags are where no filter can look: the C library then makes its threads by clone. */
	rules[n_names].action = SCMP_ACT_ERRNO(ENOSYS);
	rules[n_names].nr = seccomp_number("clone3");
	if (rules[n_names].nr < 0)
		return err_set(e, ERR_INTERNAL, 0, "role's seccomp filter: no syscall clone3");
	r = seccomp_compile(&profile, &bpf, &n_bpf, e);
	if (r < 0)
		return r;
#ifdef SANITIZED
	/* The sanitizer's own runtime calls what it likes, its leak checker clones. */
	return 0;
#endif
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "no_new_privs");
	return seccomp_attach(bpf, n_bpf, e);
}
