// SPDX-License-Identifier: Apache-2.0
/*
 * From a list of rules to a BPF program, and into the kernel. libseccomp makes the
 * programs. It has one default action for a whole filter, though, while a policy
 * wants one for each syscall that is filtered by arguments (socket: these families,
 * else EPERM; but a number that nobody knows: ENOSYS). So such a syscall gets a small
 * program of its own, whose default is its rule without args, and the whole is
 *
 *	nr == A? jump to program A;  nr == B? ...;  main program;  program A;  program B
 *
 * Every program checks the architecture itself and every path in it ends in a RET.
 */
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/policy.h"

#define PROGRAMS_MAX 64

struct program {
	int nr;
	struct sock_filter *bpf;
	size_t n;
};

/* Numbers of x86-64 that libseccomp 2.5 does not know. */
static const struct {
	const char *name;
	int nr;
} newer[] = {
	{"uretprobe", 335},	    {"uprobe", 336},	       {"memfd_secret", 447},
	{"process_mrelease", 448},  {"futex_waitv", 449},      {"set_mempolicy_home_node", 450},
	{"cachestat", 451},	    {"fchmodat2", 452},	       {"map_shadow_stack", 453},
	{"futex_wake", 454},	    {"futex_wait", 455},       {"futex_requeue", 456},
	{"statmount", 457},	    {"listmount", 458},	       {"lsm_get_self_attr", 459},
	{"lsm_set_self_attr", 460}, {"lsm_list_modules", 461}, {"mseal", 462},
	{"setxattrat", 463},	    {"getxattrat", 464},       {"listxattrat", 465},
	{"removexattrat", 466},	    {"open_tree_attr", 467},   {"file_getattr", 468},
	{"file_setattr", 469},	    {"listns", 470},	       {"rseq_slice_yield", 471},
};

int seccomp_number(const char *name)
{
	int nr = seccomp_syscall_resolve_name(name);

	if (nr >= 0)
		return nr;
	for (size_t i = 0; i < ARRAY_SIZE(newer); i++)
		if (strcmp(newer[i].name, name) == 0)
			return newer[i].nr;
	return nr == __NR_SCMP_ERROR ? -ENOENT : -ENOTSUP;
}

static const char *syscall_name(int nr, char *buf, size_t size)
{
	_cleanup_free_ char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);

	(void)snprintf(buf, size, "%s", name ? name : "");
	for (size_t i = 0; i < ARRAY_SIZE(newer) && !name; i++)
		if (newer[i].nr == nr)
			(void)snprintf(buf, size, "%s", newer[i].name);
	if (!*buf)
		(void)snprintf(buf, size, "syscall %d", nr);
	return buf;
}

static void program_clear(struct program *p)
{
	free(p->bpf);
	p->bpf = NULL;
}

static bool same_args(const struct seccomp_rule *a, const struct seccomp_rule *b)
{
	if (a->n_args != b->n_args)
		return false;
	for (unsigned i = 0; i < a->n_args; i++)
		if (a->args[i].index != b->args[i].index || a->args[i].op != b->args[i].op ||
		    a->args[i].value != b->args[i].value ||
		    a->args[i].value_two != b->args[i].value_two)
			return false;
	return true;
}

/* The order of actions: of two for one condition the stricter one counts, as in the kernel. */
static unsigned strictness(uint32_t action)
{
	static const uint32_t order[] = {
		SCMP_ACT_ALLOW, SCMP_ACT_LOG,	      SCMP_ACT_ERRNO(0),
		SCMP_ACT_TRAP,	SCMP_ACT_KILL_THREAD, SCMP_ACT_KILL_PROCESS,
	};

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i] == (action & SECCOMP_RET_ACTION_FULL))
			return i;
	return ARRAY_SIZE(order);
}

/*
 * Profiles do list a call more than once. A rule is void when another one for the same condition is
 * stricter, or is as strict and comes earlier. A rule whose action is the default has no effect, as
 * in container engines, and so makes no other rule void either.
 */
static bool rule_void(const struct seccomp_profile *profile, size_t i, uint32_t default_action)
{
	const struct seccomp_rule *rule = &profile->rules[i];

	if (rule->action == default_action)
		return true;
	for (size_t k = 0; k < profile->n_rules; k++) {
		const struct seccomp_rule *other = &profile->rules[k];
		unsigned a, b;

		if (k == i || other->nr != rule->nr || other->action == default_action ||
		    !same_args(other, rule))
			continue;
		a = strictness(other->action);
		b = strictness(rule->action);
		if (a > b || (a == b && k < i))
			return true;
	}
	return false;
}

static int rule_add(scmp_filter_ctx ctx, const struct seccomp_rule *rule, struct err *e)
{
	struct scmp_arg_cmp args[6];
	char name[64];
	int r;

	for (unsigned i = 0; i < rule->n_args; i++)
		args[i] = (struct scmp_arg_cmp){
			.arg = rule->args[i].index,
			.op = (enum scmp_compare)rule->args[i].op,
			.datum_a = rule->args[i].value,
			.datum_b = rule->args[i].value_two,
		};
	r = seccomp_rule_add_exact_array(ctx, rule->action, rule->nr, rule->n_args, args);
	if (r < 0)
		return err_set(e, ERR_INPUT, -r, "%s: libseccomp refuses a rule",
			       syscall_name(rule->nr, name, sizeof(name)));
	return 0;
}

/* Exported through a memfd, because Debian 12's library does not have seccomp_export_bpf_mem. */
static int export_program(scmp_filter_ctx ctx, struct program *ret, struct err *e)
{
	_cleanup_free_ struct sock_filter *bpf = NULL;
	_cleanup_fd_ int fd = -1;
	struct stat st;
	int r;

	fd = memfd_create("bpf", MFD_CLOEXEC);
	if (fd < 0)
		return err_set(e, ERR_SYSTEM, errno, "memfd_create");
	r = seccomp_export_bpf(ctx, fd);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "seccomp_export_bpf");
	if (fstat(fd, &st) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		return err_set(e, ERR_SYSTEM, errno, "reading the compiled filter");
	if (st.st_size == 0 || (size_t)st.st_size % sizeof(*bpf) != 0)
		return err_set(e, ERR_INTERNAL, 0, "libseccomp made a filter of %lld bytes",
			       (long long)st.st_size);
	bpf = malloc((size_t)st.st_size);
	if (!bpf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "reading the compiled filter");
	r = util_read_all(fd, bpf, (size_t)st.st_size);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "reading the compiled filter");
	ret->n = (size_t)st.st_size / sizeof(*bpf);
	ret->bpf = TAKE_PTR(bpf);
	return 0;
}

static void ctx_release(scmp_filter_ctx *ctx)
{
	if (*ctx)
		seccomp_release(*ctx);
}

static int ctx_new(uint32_t default_action, scmp_filter_ctx *ret, struct err *e)
{
	scmp_filter_ctx ctx = seccomp_init(default_action);
	int r;

	if (!ctx)
		return err_set(e, ERR_INPUT, 0, "libseccomp does not take the default action 0x%x",
			       default_action);
	*ret = ctx;
	r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
	if (r == 0)
		r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
	if (r == 0 && seccomp_arch_native() != SCMP_ARCH_X86_64)
		r = -ENOTSUP;
	return r < 0 ? err_set(e, ERR_SYSTEM, -r, "setting up libseccomp") : 0;
}

/* The rule without args of a call that also has rules with args; else NULL. */
static const struct seccomp_rule *otherwise(const struct seccomp_profile *profile, int nr)
{
	const struct seccomp_rule *found = NULL;
	bool with_args = false;

	for (size_t i = 0; i < profile->n_rules; i++) {
		const struct seccomp_rule *rule = &profile->rules[i];

		if (rule->nr != nr)
			continue;
		if (rule->n_args)
			with_args = true;
		else if (!found && !rule_void(profile, i, profile->default_action))
			found = rule;
	}
	return with_args ? found : NULL;
}

/* The index of otherwise() for each rule, or -1, found once for each call. The caller frees it. */
static ssize_t *plan_new(const struct seccomp_profile *profile)
{
	ssize_t *plan = reallocarray(NULL, profile->n_rules + 1, sizeof(*plan));

	for (size_t i = 0; plan && i < profile->n_rules; i++) {
		const struct seccomp_rule *rest;
		size_t k = 0;

		while (profile->rules[k].nr != profile->rules[i].nr)
			k++;
		if (k < i) {
			plan[i] = plan[k];
			continue;
		}
		rest = otherwise(profile, profile->rules[i].nr);
		plan[i] = rest ? rest - profile->rules : -1;
	}
	return plan;
}

/*
 * Compiles the program for all calls that have no program of their own (nr -1), or the program of
 * one call. The latter has only the call's rules with args, because the rule without args is its
 * default.
 */
static int compile_program(const struct seccomp_profile *profile, const ssize_t *plan, int nr,
			   uint32_t default_action, struct program *ret, struct err *e)
{
	__attribute__((cleanup(ctx_release))) scmp_filter_ctx ctx = NULL;
	int r;

	r = ctx_new(default_action, &ctx, e);
	for (size_t i = 0; i < profile->n_rules && r == 0; i++) {
		const struct seccomp_rule *rule = &profile->rules[i];

		if (nr < 0 ? plan[i] >= 0 : rule->nr != nr || rule->n_args == 0)
			continue;
		if (!rule_void(profile, i, default_action))
			r = rule_add(ctx, rule, e);
	}
	if (r == 0)
		r = export_program(ctx, ret, e);
	ret->nr = nr;
	return r;
}

static int join_programs(const struct program *programs, size_t n, struct sock_filter **ret,
			 size_t *ret_n, struct err *e)
{
	_cleanup_free_ struct sock_filter *bpf = NULL;
	size_t head = n > 1 ? 1 + 2 * (n - 1) : 0, total = head, at;

	for (size_t i = 0; i < n; i++) {
		if (!programs[i].bpf)
			return err_set(e, ERR_INTERNAL, 0, "a program is missing");
		total += programs[i].n;
	}
	if (total > POLICY_BPF_MAX)
		return err_set(e, ERR_INPUT, 0,
			       "the rules compile to %zu BPF instructions, and the kernel takes "
			       "at most %d",
			       total, POLICY_BPF_MAX);
	bpf = reallocarray(NULL, total, sizeof(*bpf));
	if (!bpf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "compiling the filter");
	if (head)
		bpf[0] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS,
						      offsetof(struct seccomp_data, nr));
	at = head;
	for (size_t i = 0; i < n; i++) {
		if (i > 0) {
			size_t j = 2 * i; /* the jump, which comes behind its test */

			bpf[j - 1] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
								  (uint32_t)programs[i].nr, 0, 1);
			bpf[j] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA,
							      (uint32_t)(at - j - 1));
		}
		memcpy(bpf + at, programs[i].bpf, programs[i].n * sizeof(*bpf));
		at += programs[i].n;
	}
	*ret = TAKE_PTR(bpf);
	*ret_n = total;
	return 0;
}

int seccomp_compile(const struct seccomp_profile *profile, struct sock_filter **ret, size_t *ret_n,
		    struct err *e)
{
	_cleanup_free_ ssize_t *plan = plan_new(profile);
	struct program programs[PROGRAMS_MAX] = {0};
	size_t n = 0;
	int r;

	if (!plan)
		return err_set(e, ERR_SYSTEM, ENOMEM, "compiling the filter");
	r = compile_program(profile, plan, -1, profile->default_action, &programs[n++], e);
	for (size_t i = 0; i < profile->n_rules && r == 0; i++) {
		const struct seccomp_rule *rule = &profile->rules[i];

		if (plan[i] != (ssize_t)i)
			continue;
		if (n == ARRAY_SIZE(programs)) {
			r = err_set(e, ERR_INPUT, 0,
				    "more than %d syscalls have both a rule with args and one "
				    "without",
				    PROGRAMS_MAX - 1);
			break;
		}
		r = compile_program(profile, plan, rule->nr, rule->action, &programs[n++], e);
	}
	if (r == 0)
		r = join_programs(programs, n, ret, ret_n, e);
	for (size_t i = 0; i < n; i++)
		program_clear(&programs[i]);
	return r;
}

int seccomp_attach(const struct sock_filter *bpf, size_t n, struct err *e)
{
	struct sock_fprog prog = {.len = (unsigned short)n, .filter = (struct sock_filter *)bpf};

	if (n == 0 || n > POLICY_BPF_MAX)
		return err_set(e, ERR_INTERNAL, 0, "a seccomp filter of %zu instructions", n);
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &prog) < 0)
		return err_set(e, ERR_SYSTEM, errno, "seccomp: loading the filter");
	return 0;
}
