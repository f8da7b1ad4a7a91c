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
/* Flags of clone(2), which takes no CLONE_NEWTIME: that bit is one of its signal's number. */
#define POLICY_CLONE_NAMESPACES                                                                    \
	(CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |             \
	 CLONE_NEWPID | CLONE_NEWNET)

enum policy_net_mode {
	POLICY_NET_NONE = 0, /* an empty network namespace, lo up */
	POLICY_NET_EGRESS,   /* a veth pair, NAT, rules below in order, then drop */
};

enum policy_net_proto { POLICY_PROTO_ANY = 0, POLICY_PROTO_TCP = 6, POLICY_PROTO_UDP = 17 };

/* One egress rule. addr is network order; IPv4 only in the first four bytes. */
struct policy_net_rule {
	uint8_t family; /* 4 or 6 */
	uint8_t prefix;
	uint8_t proto;		     /* enum policy_net_proto */
	uint8_t allow;		     /* 1 accept, 0 drop */
	uint16_t port_min, port_max; /* 0-65535; 0,65535 is any */
	uint8_t addr[16];
};

/* Fixed-size head of the file; n_bpf struct sock_filter follow it, nothing else. */
struct policy_head {
	uint32_t magic, version, size /* of the whole file */, n_bpf;
	char name[POLICY_NAME_MAX];
	struct limits limits;	  /* defaults for a task that names none */
	struct limits limits_max; /* what a task may ask for at most */
	uint32_t net_mode, n_net_rules;
	uint8_t dns;	/* 1: the host's resolv.conf is given to the sandbox */
	uint8_t parked; /* clones of a template that wait for a task, 0 to POLICY_PARKED_MAX */
	/* Of a sandbox with egress: how many connections it may have at a time, and begin a second.
	 * 0 in the file of a policy that was compiled before there was a bound: the default. */
	uint16_t connections, connections_per_s;
	uint8_t reserved[2];
	struct policy_net_rule net_rules[POLICY_NET_RULES_MAX];
};

struct policy {
	struct policy_head head;
	struct sock_filter *bpf; /* head.n_bpf instructions, with those that all have; owned */
	uint8_t id[32];		 /* SHA-256 of the file */
};

/*
 * Opens STATE/policies/<hex id>.bin beneath dirfd, checks owner (root), mode (not
 * writable by others), size, magic, version, every bound, and that the content's
 * SHA-256 is the id. Fails closed.
 */
int policy_load(int dirfd, const uint8_t id[32], struct policy *ret, struct err *e);
void policy_clear(struct policy *p);
/* The same checks on a file's bytes, but for the id, which is computed. */
int policy_parse(const void *buf, size_t len, struct policy *ret, struct err *e);

/* The rule list that the JSON front end makes out of an OCI seccomp profile. */
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
	struct seccomp_rule *rules; /* owned by the caller */
	size_t n_rules;
};

/*
 * seccomp.c. Compile to BPF by libseccomp (native x86-64 only; any other
 * architecture and x32 numbers: KILL_PROCESS; binary tree optimisation). A rule
 * without args is what happens to its syscall when none of the rules with args for
 * the same syscall matches. *ret is malloc'ed.
 */
int seccomp_compile(const struct seccomp_profile *profile, struct sock_filter **ret, size_t *ret_n,
		    struct err *e);
/*
 * Load a filter: needs no_new_privs or CAP_SYS_ADMIN, last step before exec. (The
 * name seccomp_load is libseccomp's.)
 */
int seccomp_attach(const struct sock_filter *bpf, size_t n, struct err *e);
/*
 * A syscall's number: by libseccomp's table, then by our own of newer ones. -ENOENT
 * for a name that nobody knows, -ENOTSUP for one of another architecture.
 */
int seccomp_number(const char *name);

#endif
