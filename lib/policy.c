// SPDX-License-Identifier: Apache-2.0
#include "lib/policy.h"
#include "lib/sha256.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define POLICY_SIZE_MAX (sizeof(struct policy_head) + POLICY_BPF_MAX * sizeof(struct sock_filter))

#define LOAD(member) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member))
#define LOAD_HIGH(member)                                                                          \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, member) + 4)
#define EQUAL(k, yes, no) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (k), (yes), (no))

/*
 * The beginning of every policy's filter, whatever the policy says. A clone cannot make namespaces.
 * clone3 returns ENOSYS, after which libc uses clone: its flags are in memory, where a filter
 * cannot see them. The limit of core dumps stays at 1: with 1 the kernel starts no core handler of
 * the host's, with 0 it would (sandbox/rlimit.c). Numbers of another architecture are left to the
 * policy's own filter.
 */
static const struct sock_filter guard[] = {
	LOAD(arch),
	EQUAL(AUDIT_ARCH_X86_64, 0, 17),
	LOAD(nr),
	EQUAL(SYS_clone3, 14, 0),
	EQUAL(SYS_clone, 0, 2),
	LOAD(args[0]),
	BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, POLICY_CLONE_NAMESPACES, 10, 12),
	EQUAL(SYS_setrlimit, 0, 2),
	LOAD(args[0]),
	EQUAL(RLIMIT_CORE, 7, 9),
	EQUAL(SYS_prlimit64, 0, 8),
	LOAD(args[1]),
	EQUAL(RLIMIT_CORE, 0, 6),
	LOAD(args[2]), /* the new limit; NULL: the call only reads the limit */
	EQUAL(0, 0, 2),
	LOAD_HIGH(args[2]),
	EQUAL(0, 2, 0),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
	BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
};

static int check_limits(const struct limits *l, const char *which, struct err *e)
{
	const enum limit_id bad = limits_beyond(l, NULL);

	if (bad == LIMIT_N)
		return 0;
	return err_set(e, ERR_INPUT, 0, "%s.%s is %llu, outside of %llu to %llu", which,
		       limit_table[bad].key, (unsigned long long)limit_get(l, bad),
		       (unsigned long long)limit_table[bad].min,
		       (unsigned long long)limit_table[bad].max);
}

static bool all_zero(const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (p[i])
			return false;
	return true;
}

static int check_net_rule(const struct policy_net_rule *rule, struct err *e)
{
	unsigned bits = rule->family == 4 ? 32 : 128;

	if (rule->family != 4 && rule->family != 6)
		return err_set(e, ERR_INPUT, 0, "address family %u", rule->family);
	if (rule->prefix > bits)
		return err_set(e, ERR_INPUT, 0, "prefix length %u", rule->prefix);
	if (rule->family == 4 && !all_zero(rule->addr + 4, sizeof(rule->addr) - 4))
		return err_set(e, ERR_INPUT, 0, "an IPv4 address of more than 4 bytes");
	if (rule->proto != POLICY_PROTO_ANY && rule->proto != POLICY_PROTO_TCP &&
	    rule->proto != POLICY_PROTO_UDP)
		return err_set(e, ERR_INPUT, 0, "protocol %u", rule->proto);
	if (rule->proto == POLICY_PROTO_ANY && (rule->port_min != 0 || rule->port_max != 65535))
		return err_set(e, ERR_INPUT, 0, "ports without a protocol");
	if (rule->allow > 1)
		return err_set(e, ERR_INPUT, 0, "verdict %u", rule->allow);
	if (rule->port_min > rule->port_max)
		return err_set(e, ERR_INPUT, 0, "ports %u to %u", rule->port_min, rule->port_max);
	return 0;
}

static int check_network(const struct policy_head *head, struct err *e)
{
	if (head->net_mode != POLICY_NET_NONE && head->net_mode != POLICY_NET_EGRESS)
		return err_set(e, ERR_INPUT, 0, "network mode %u", head->net_mode);
	if (head->n_net_rules > POLICY_NET_RULES_MAX)
		return err_set(e, ERR_INPUT, 0, "%u network rules", head->n_net_rules);
	if (head->dns > 1)
		return err_set(e, ERR_INPUT, 0, "dns is %u", head->dns);
	if (head->net_mode == POLICY_NET_NONE &&
	    (head->n_net_rules > 0 || head->dns || head->connections || head->connections_per_s))
		return err_set(e, ERR_INPUT, 0, "network rules without a network");
	for (uint32_t i = 0; i < head->n_net_rules; i++) {
		int r = check_net_rule(&head->net_rules[i], e);

		if (r < 0)
			return err_wrap(e, r, "network rule %u", i);
	}
	return 0;
}

static int check_head(const struct policy_head *head, size_t len, struct err *e)
{
	int r;

	if (head->magic != POLICY_MAGIC)
		return err_set(e, ERR_INPUT, 0, "not a compiled policy");
	if (head->version != POLICY_VERSION)
		return err_set(e, ERR_INPUT, 0,
			       "compiled by another version of sandboxd (%u, not %u): install it "
			       "again, as root: sandboxctl policy install --defaults, or FILE",
			       head->version, POLICY_VERSION);
	if (head->n_bpf == 0 || head->n_bpf > POLICY_BPF_MAX - ARRAY_SIZE(guard))
		return err_set(e, ERR_INPUT, 0, "a seccomp filter of %u instructions", head->n_bpf);
	if (head->size != len || len != sizeof(*head) + head->n_bpf * sizeof(struct sock_filter))
		return err_set(e, ERR_INPUT, 0, "has %zu bytes, and its header says otherwise",
			       len);
	if (strnlen(head->name, sizeof(head->name)) == sizeof(head->name) ||
	    !util_is_name(head->name))
		return err_set(e, ERR_INPUT, 0, "has no name in its header");
	if (head->parked > POLICY_PARKED_MAX)
		return err_set(e, ERR_INPUT, 0, "fork.parked is %u, more than %u", head->parked,
			       POLICY_PARKED_MAX);
	if (head->lasting > 1)
		return err_set(e, ERR_INPUT, 0, "lasting is %u, not 0 or 1", head->lasting);
	if (!all_zero(head->reserved, sizeof(head->reserved)))
		return err_set(e, ERR_INPUT, 0, "reserved bytes are set");
	r = check_limits(&head->limits, "limits", e);
	if (r == 0)
		r = check_limits(&head->limits_max, "limits.max", e);
	return r < 0 ? r : check_network(head, e);
}

int policy_parse(const void *buf, size_t len, struct policy *ret, struct err *e)
{
	_cleanup_free_ struct sock_filter *bpf = NULL;
	struct policy_head head;
	int r;

	if (len < sizeof(head))
		return err_set(e, ERR_INPUT, 0, "%zu bytes are too few for a compiled policy", len);
	memcpy(&head, buf, sizeof(head));
	r = check_head(&head, len, e);
	if (r < 0)
		return r;
	bpf = reallocarray(NULL, head.n_bpf + ARRAY_SIZE(guard), sizeof(*bpf));
	if (!bpf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "loading a policy");
	memcpy(bpf, guard, sizeof(guard));
	memcpy(bpf + ARRAY_SIZE(guard), (const char *)buf + sizeof(head), len - sizeof(head));
	head.n_bpf += ARRAY_SIZE(guard);
	if (sha256(buf, len, ret->id) < 0)
		return err_set(e, ERR_SYSTEM, 0, "SHA-256 failed");
	if (head.net_mode == POLICY_NET_EGRESS && !head.connections)
		head.connections = POLICY_CONNECTIONS;
	if (head.net_mode == POLICY_NET_EGRESS && !head.connections_per_s)
		head.connections_per_s = POLICY_CONNECTIONS_PER_S;
	ret->head = head;
	ret->bpf = TAKE_PTR(bpf);
	return 0;
}

int policy_load(int dirfd, const uint8_t id[32], struct policy *ret, struct err *e)
{
	_cleanup_free_ char *buf = NULL;
	_cleanup_fd_ int fd = -1;
	char hex[65], name[80];
	struct policy policy = {0};
	struct stat st;
	int r;

	util_hex(id, 32, hex);
	(void)snprintf(name, sizeof(name), "%s.bin", hex);
	fd = openat(dirfd, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	if (fd < 0)
		return err_set(e, errno == ENOENT ? ERR_NOT_FOUND : ERR_SYSTEM, errno, "policy %s",
			       hex);
	if (fstat(fd, &st) < 0)
		return err_set(e, ERR_SYSTEM, errno, "policy %s", hex);
	/* A user who can write the file can take the filter off every task. */
	if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
		return err_set(e, ERR_DENIED, 0,
			       "policy %s: not a regular file that only root can write", hex);
	if (st.st_size < 0 || (size_t)st.st_size > POLICY_SIZE_MAX)
		return err_set(e, ERR_INPUT, 0, "policy %s: %lld bytes are too many", hex,
			       (long long)st.st_size);
	buf = malloc((size_t)st.st_size + 1);
	if (!buf)
		return err_set(e, ERR_SYSTEM, ENOMEM, "policy %s", hex);
	r = util_read_all(fd, buf, (size_t)st.st_size);
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "policy %s", hex);
	r = policy_parse(buf, (size_t)st.st_size, &policy, e);
	if (r < 0)
		return err_wrap(e, r, "policy %s", hex);
	if (memcmp(policy.id, id, sizeof(policy.id)) != 0) {
		policy_clear(&policy);
		return err_set(e, ERR_INPUT, 0, "policy %s: its content is not what its name says",
			       hex);
	}
	*ret = policy;
	return 0;
}

void policy_clear(struct policy *p)
{
	free(p->bpf);
	*p = (struct policy){0};
}
