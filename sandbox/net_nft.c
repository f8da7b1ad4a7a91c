// SPDX-License-Identifier: Apache-2.0
/*
 * The host's side of egress, in one nftables table of our own. nft(8) itself writes it, once for
 * each policy (libnftables would take the same text). A start only takes an address of its policy's
 * block.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "sandbox/net.h"

static int run_nft(const char *text, struct err *e)
{
	static const char *const argv[] = {"nft", "-f", "-", NULL};
	static const char *const envp[] = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	int p[2], status, r;
	pid_t pid;

	if (pipe2(p, O_CLOEXEC) < 0)
		return err_set(e, ERR_SYSTEM, errno, "nft");
	pid = fork();
	if (pid == 0) {
		sigset_t none;

		(void)sigemptyset(&none);
		(void)sigprocmask(SIG_SETMASK, &none, NULL);
		if (dup2(p[0], STDIN_FILENO) >= 0)
			(void)util_exec("/usr/sbin/nft", argv, envp);
		_exit(127);
	}
	(void)close(p[0]);
	r = pid < 0 ? -errno : util_write_all(p[1], text, strlen(text));
	(void)close(p[1]);
	if (pid < 0 || waitpid(pid, &status, 0) != pid || r < 0)
		return err_set(e, ERR_SYSTEM, pid < 0 ? -r : EPIPE, "nft");
	if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
		return err_set(e, ERR_SYSTEM, 0,
			       "nft refused the rules (status %d); is nftables installed and does "
			       "the kernel have it?",
			       WIFEXITED(status) ? WEXITSTATUS(status) : -1);
	return 0;
}

static void format_address(uint32_t host_order, char *buf, socklen_t size)
{
	uint32_t be = htonl(host_order);

	(void)inet_ntop(AF_INET, &be, buf, size);
}

struct dns_rules {
	FILE *f;
	const char *chain;
};

/* The host's own name servers: a sandbox whose policy has "dns" may ask these and no others. */
static void write_name_server(uint32_t address, void *arg)
{
	const struct dns_rules *d = arg;
	char text[INET_ADDRSTRLEN];

	format_address(address, text, sizeof(text));
	(void)fprintf(d->f,
		      "add rule %s ip daddr %s meta l4proto { tcp, udp } th dport 53 accept\n",
		      d->chain, text);
}

static void write_rule(FILE *f, const char *chain, const struct policy_net_rule *r)
{
	char addr[INET6_ADDRSTRLEN];

	if (!inet_ntop(r->family == 6 ? AF_INET6 : AF_INET, r->addr, addr, sizeof(addr)))
		return;
	(void)fprintf(f, "add rule %s %s daddr %s/%u", chain, r->family == 6 ? "ip6" : "ip", addr,
		      r->prefix);
	if (r->port_min > 0 || r->port_max < 65535)
		(void)fprintf(f, "%s th dport %u-%u", r->proto ? "" : " meta l4proto { tcp, udp }",
			      r->port_min, r->port_max);
	if (r->proto)
		(void)fprintf(f, " meta l4proto %u", r->proto);
	(void)fprintf(f, " %s\n", r->allow ? "accept" : "drop");
}

/*
 * Written with "add", which leaves alone what exists already; the chains are flushed first, so that
 * a second call leaves the same rules as the first.
 */
static void write_base(FILE *f, const char *t, const char *subnet)
{
	const char *p = net_instance.prefix;

	(void)fprintf(f,
		      "add table inet %s\n"
		      "add chain inet %s forward { type filter hook forward priority 0; }\n"
		      "add chain inet %s input { type filter hook input priority 0; }\n"
		      "add chain inet %s post { type nat hook postrouting priority 100; }\n"
		      "add map inet %s policies { type ipv4_addr : verdict; flags interval; }\n"
		      "add chain inet %s egress\n"
		      "add set inet %s uplinks { type ifname; }\n"
		      "flush chain inet %s forward\nflush chain inet %s input\n"
		      "flush chain inet %s post\nflush chain inet %s egress\n",
		      t, t, t, t, t, t, t, t, t, t, t);
	(void)fprintf(
		f,
		"add rule inet %s forward iifname \"%s*\" oifname \"%s*\" drop\n"
		"add rule inet %s forward iifname \"%s*\" jump egress\n"
		"add rule inet %s forward oifname \"%s*\" ct state established,related accept\n"
		"add rule inet %s forward oifname \"%s*\" drop\n"
		/* What these interfaces let in is for sandboxes alone, of any daemon on this host,
		 * and for answers to connections that somebody else on this host has begun. */
		"add rule inet %s forward iifname @uplinks oifname != \"sb*\" "
		"ct state new,invalid,untracked drop\n"
		/* Sandboxes may not reach the host's own services. */
		"add rule inet %s input iifname \"%s*\" drop\n"
		"add rule inet %s egress ct state established,related accept\n"
		"add rule inet %s egress ip saddr vmap @policies\n"
		"add rule inet %s egress drop\n"
		"add rule inet %s post ip saddr %s/%u oifname != \"%s*\" masquerade\n",
		t, p, p, t, p, t, p, t, p, t, t, p, t, t, t, t, subnet, NET_PREFIX_LEN, p);
}

/*
 * What one sandbox may take of the connection table, which the whole host shares. Connections at a
 * time are counted by the kernel for each address. New ones a second are bounded as well, because a
 * connection that is over is not counted but stays in the table a while; that while is made short.
 */
static void write_bounds(FILE *f, const char *t, uint32_t block, const struct policy_head *head)
{
	static const char *const sets[] = {"connections", "rates"};

	(void)fprintf(f,
		      "add counter inet %s refused%u { comment \"new connections, policy %s\"; }\n"
		      "add ct timeout inet %s closed { protocol tcp; l3proto ip; "
		      "policy = { time_wait: 10, close: 10 }; }\n",
		      t, block, head->name, t);
	for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
		(void)fprintf(f,
			      "add set inet %s %s%u { type ipv4_addr; size %u; flags dynamic; }\n",
			      t, sets[i], block, NET_BLOCK);
	(void)fprintf(
		f,
		"add rule inet %s block%u ct state new add @rates%u { ip saddr limit rate over "
		"%u/second burst %u packets } counter name \"refused%u\" drop\n",
		t, block, block, head->connections_per_s, head->connections, block);
	(void)fprintf(
		f,
		"add rule inet %s block%u ct state new add @connections%u { ip saddr ct count "
		"over %u } counter name \"refused%u\" drop\n"
		"add rule inet %s block%u meta l4proto tcp ct timeout set \"closed\"\n",
		t, block, block, head->connections, block, t, block);
}

int net_install_policy(const struct policy *policy, uint32_t block, struct err *e)
{
	char first[INET_ADDRSTRLEN], last[INET_ADDRSTRLEN], subnet[INET_ADDRSTRLEN], chain[128],
		element[256];
	_cleanup_free_ char *text = NULL;
	const char *t = net_instance.table;
	size_t len = 0;
	FILE *f;
	int r;

	f = open_memstream(&text, &len);
	if (!f)
		return err_set(e, ERR_SYSTEM, ENOMEM, "nft");
	format_address(net_instance.subnet, subnet, sizeof(subnet));
	format_address(net_instance.subnet + block, first, sizeof(first));
	format_address(net_instance.subnet + block + NET_BLOCK - 1, last, sizeof(last));
	write_base(f, t, subnet);
	(void)snprintf(chain, sizeof(chain), "inet %s block%u", t, block);
	(void)fprintf(f, "add chain %s\nflush chain %s\n", chain, chain);
	write_bounds(f, t, block, &policy->head);
	if (policy->head.dns)
		net_each_name_server(write_name_server, &(struct dns_rules){f, chain});
	for (uint32_t i = 0; i < policy->head.n_net_rules; i++)
		write_rule(f, chain, &policy->head.net_rules[i]);
	(void)fprintf(f, "add rule %s drop\n", chain);
	if (fclose(f) != 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "nft");
	r = run_nft(text, e);
	if (r < 0)
		return r;
	/* A transaction of its own: in one with the chain, nft 1.0.6 looks for the chain before it
	 * has made it. */
	(void)snprintf(element, sizeof(element),
		       "add element inet %s policies { %s-%s : jump block%u }\n", t, first, last,
		       block);
	return run_nft(element, e);
}

int net_set_uplinks(const struct net_forward *f, struct err *e)
{
	char text[64 + NET_UPLINKS_MAX * 160];
	size_t n;

	n = (size_t)snprintf(text, sizeof(text), "flush set inet %s uplinks\n", net_instance.table);
	for (unsigned i = 0; i < f->n && n < sizeof(text); i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n,
				      "add element inet %s uplinks { \"%s\" }\n",
				      net_instance.table, f->uplinks[i].name);
	return run_nft(text, e);
}

void net_remove_table(void)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "add table inet %s\ndelete table inet %s\n",
		       net_instance.table, net_instance.table);
	(void)run_nft(text, NULL);
}

void net_remove_tables(const char *prefix, uint64_t numbers)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		return;
	for (unsigned i = 0; i < 64; i++)
		if (numbers & 1ull << i)
			(void)fprintf(f, "add table inet %s%u\ndelete table inet %s%u\n", prefix, i,
				      prefix, i);
	if (fclose(f) == 0)
		(void)run_nft(text, NULL);
}
