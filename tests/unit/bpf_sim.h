/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a seccomp filter on made-up calls: what the kernel would answer, and how soon. */
#ifndef TESTS_UNIT_BPF_SIM_H
#define TESTS_UNIT_BPF_SIM_H

#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <string.h>

/* The action, and the number of instructions in *ret_steps (may be NULL). 1 for a program
 * that leaves its own bounds or uses what seccomp does not have. */
static inline uint32_t bpf_sim(const struct sock_filter *bpf, size_t n,
			       const struct seccomp_data *data, unsigned *ret_steps)
{
	uint32_t a = 0, word;
	unsigned steps = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &bpf[pc];

		if (ret_steps)
			*ret_steps = ++steps;
		switch (f->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (f->k > sizeof(*data) - sizeof(word))
				return 1;
			memcpy(&word, (const char *)data + f->k, sizeof(word));
			a = word;
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= f->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += f->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= f->k ? f->jt : f->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += a & f->k ? f->jt : f->jf;
			break;
		case BPF_RET | BPF_K:
			return f->k;
		default:
			return 1;
		}
	}
	return 1;
}

static inline uint32_t bpf_sim_call(const struct sock_filter *bpf, size_t n, int nr,
				    const uint64_t args[6])
{
	struct seccomp_data data = {.nr = nr, .arch = AUDIT_ARCH_X86_64};

	memcpy(data.args, args, sizeof(data.args));
	return bpf_sim(bpf, n, &data, NULL);
}

#endif
