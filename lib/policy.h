/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled policy: what the monitor reads. JSON policies are for people; the
 * operator's command compiles them (policy_build) into one small root-owned file,
 * STATE/policies/ID.bin, whose ID is the SHA-256 of the file, in hex.
 * STATE/policies/NAME.json keeps the source, STATE/policies/NAME is a symlink to
 * ID.bin, replaced atomically.
 */
#ifndef LIB_POLICY_H
#define LIB_POLICY_H

#include <linux/filter.h>
#include <sched.h>
#include <stdint.h>

#include "lib/limits.h"
#include "lib/util.h"

#define POLICY_MAGIC 0x31584253u /* "SBX1" */
#define POLICY_VERSION 2u
#define POLICY_NAME_MAX 64
#define POLICY_NET_RULES_MAX 64
#define POLICY_PARKED_MAX 8
#define POLICY_CONNECTIONS 1024
#define POLICY_CONNECTIONS_PER_S 100
#define POLICY_BPF_MAX 4096 /* BPF_MAXINSNS */
/* The flags of clone(2) that make namespaces. CLONE_NEWTIME is not among them, because clone(2)
 * reads that bit as part of the exit signal's number. */
#define POLICY_CLONE_NAMESPACES                                                                    \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

enum policy_net_mode {
	POLICY_NET_NONE = 0, /* a network namespace of its own with lo up, and nothing else */
	POLICY_NET_EGRESS,   /* a veth pair with NAT; the rules below in their order, then drop */
};

enum policy_net_proto { POLICY_PROTO_ANY = 0, POLICY_PROTO_TCP = 6, POLICY_PROTO_UDP = 17 };

/* One egress rule. addr is in network order; an IPv4 address is in its first four bytes. */
struct policy_net_rule {
	uint8_t family; /* 4 or 6 */
	uint8_t prefix;
	uint8_t proto;		     /* enum policy_net_proto */
	uint8_t allow;		     /* 1: accept; 0: drop */
	uint16_t port_min, port_max; /* 0 and 65535: any port */
	uint8_t addr[16];
};

/* The file's header, of fixed size; n_bpf struct sock_filter follow it, and nothing else. */
struct policy_head {
	uint32_t magic, version, size /* of the whole file */, n_bpf;
	char name[POLICY_NAME_MAX];
	struct limits limits;	  /* for a task that names none */
	struct limits limits_max; /* what a task may ask for at most */
	uint32_t net_mode, n_net_rules;
	uint8_t dns;	/* 1: the sandbox gets the host's resolv.conf */
	uint8_t parked; /* how many clones of a template wait for a task, 0 to POLICY_PARKED_MAX */
	/* For a sandbox with egress: how many connections it may have at a time, and how many it
	 * may begin a second. 0 in a file that was compiled before there was such a bound means the
	 * default. */
	uint16_t connections, connections_per_s;
	/* 1: a run may be one that lasts, with no deadline, where the front has a use for that. 0,
	 * also in a file that was compiled before there was such a run: it may not. */
	uint8_t lasting;
	uint8_t reserved[1];
	struct policy_net_rule net_rules[POLICY_NET_RULES_MAX];
};

/* Why a run that lasts is refused; a policy's name comes before it. */
#define POLICY_NOT_LASTING                                                                         \
	"a run without a deadline needs \"lasting\": true in the policy's file; install it then"

struct policy {
	struct policy_head head;
	/* head.n_bpf instructions, among them those that every policy has; ours */
	struct sock_filter *bpf;
	uint8_t id[32]; /* SHA-256 of the file */
};

/*
 * Opens STATE/policies/<hex id>.bin below dirfd. Checks owner (root), mode (nobody else may write),
 * size, magic, version and every bound, and that id is the SHA-256 of the content. Fails closed.
 * The caller owns *ret (policy_clear).
 */
int policy_load(int dirfd, const uint8_t id[32], struct policy *ret, struct err *e);
void policy_clear(struct policy *p);
/* The same checks on a file's bytes; the id is computed. */
int policy_parse(const void *buf, size_t len, struct policy *ret, struct err *e);

/* The list of rules that spec/policy_seccomp.c makes of an OCI seccomp profile. */
struct seccomp_arg {
	uint8_t index; /* 0-5 */
	uint8_t op;    /* enum scmp_compare of libseccomp */
	uint64_t value, value_two;
};
struct seccomp_rule {
	int nr;		 /* libseccomp's number (native or pseudo) */
	uint32_t action; /* SCMP_ACT_* */
	unsigned n_args;
	struct seccomp_arg args[6];
};
struct seccomp_profile {
	uint32_t default_action;
	struct seccomp_rule *rules; /* the caller's */
	size_t n_rules;
};

/*
 * seccomp.c. Compiles rules to BPF with libseccomp, with binary tree optimisation, for native
 * x86-64 only: calls of any other architecture and numbers of x32 kill the process. A rule without
 * args says what happens to its call when none of the call's rules with args matches. The caller
 * frees *ret.
 */
int seccomp_compile(const struct seccomp_profile *profile, struct sock_filter **ret, size_t *ret_n,
		    struct err *e);
/*
 * Loads a filter, as the last step before exec; needs no_new_privs or CAP_SYS_ADMIN. (The name
 * seccomp_load is libseccomp's.)
 */
int seccomp_attach(const struct sock_filter *bpf, size_t n, struct err *e);
/*
 * The number of a system call, by libseccomp's table, then by our own table of newer calls.
 * -ENOENT: nobody knows the name; -ENOTSUP: another architecture has it.
 */
int seccomp_number(const char *name);

#endif
