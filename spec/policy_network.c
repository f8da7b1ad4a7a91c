// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "spec/policy_json.h"

static const char cidr_help[] = "must be an address or network such as \"192.0.2.0/24\", "
				"\"2001:db8::/32\" or \"any\"";

/* Whether all bits after the prefix are zero. */
static bool host_bits_zero(const uint8_t *addr, unsigned prefix, unsigned bits)
{
	for (unsigned i = prefix; i < bits; i++)
		if (addr[i / 8] & 0x80 >> i % 8)
			return false;
	return true;
}

static bool parse_prefix(const char *s, unsigned max, uint8_t *ret)
{
	size_t n = strspn(s, "0123456789");
	unsigned long v;

	if (n < 1 || n > 3 || s[n] != '\0' || (n > 1 && *s == '0'))
		return false;
	v = strtoul(s, NULL, 10);
	*ret = (uint8_t)v;
	return v <= max;
}

static int parse_cidr(struct json_strict *s, const char *text, struct policy_net_rule *rule)
{
	const char *slash = strchr(text, '/');
	char addr[INET6_ADDRSTRLEN];
	unsigned bits;

	if ((size_t)snprintf(addr, sizeof(addr), "%.*s",
			     (int)(slash ? slash - text : (ssize_t)strlen(text)),
			     text) >= sizeof(addr))
		return json_strict_fail(s, "to", "%s", cidr_help);
	if (inet_pton(AF_INET, addr, rule->addr) == 1)
		rule->family = 4;
	else if (inet_pton(AF_INET6, addr, rule->addr) == 1)
		rule->family = 6;
	else
		return json_strict_fail(s, "to", "%s", cidr_help);
	bits = rule->family == 4 ? 32 : 128;
	rule->prefix = (uint8_t)bits;
	if (slash && !parse_prefix(slash + 1, bits, &rule->prefix))
		return json_strict_fail(s, "to", "the prefix length must be from 0 to %u", bits);
	if (!host_bits_zero(rule->addr, rule->prefix, bits))
		return json_strict_fail(s, "to",
					"has bits after its prefix of %u; is another network "
					"meant?",
					rule->prefix);
	return 0;
}

static bool parse_port(const char *s, size_t n, uint16_t *ret)
{
	unsigned v = 0;

	if (n < 1 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		v = v * 10 + (unsigned)(s[i] - '0');
	}
	*ret = (uint16_t)v;
	return v >= 1 && v <= 65535;
}

/* Reads 443, "443" or "80-90". */
static bool parse_ports(const json_t *value, uint16_t *ret_min, uint16_t *ret_max)
{
	json_int_t v = json_integer_value(value);
	const char *s, *dash;

	if (json_is_integer(value)) {
		*ret_min = *ret_max = (uint16_t)v;
		return v >= 1 && v <= 65535;
	}
	if (!json_is_string(value))
		return false;
	s = json_string_value(value);
	dash = strchr(s, '-');
	if (!dash) {
		bool ok = parse_port(s, strlen(s), ret_min);

		*ret_max = *ret_min;
		return ok;
	}
	return parse_port(s, (size_t)(dash - s), ret_min) &&
	       parse_port(dash + 1, strlen(dash + 1), ret_max) && *ret_min <= *ret_max;
}

static void add_rule(struct json_strict *s, struct policy_head *head,
		     const struct policy_net_rule *rule)
{
	if (head->n_net_rules == POLICY_NET_RULES_MAX) {
		(void)json_strict_fail(s, NULL, "makes more than %d rules in all",
				       POLICY_NET_RULES_MAX);
		return;
	}
	head->net_rules[head->n_net_rules++] = *rule;
}

/* A port without a protocol is that port of TCP and of UDP. */
static void add_for_protocol(struct json_strict *s, struct policy_head *head,
			     struct policy_net_rule rule, bool ports)
{
	if (rule.proto != POLICY_PROTO_ANY || !ports) {
		add_rule(s, head, &rule);
		return;
	}
	rule.proto = POLICY_PROTO_TCP;
	add_rule(s, head, &rule);
	rule.proto = POLICY_PROTO_UDP;
	add_rule(s, head, &rule);
}

static void add_for_ports(struct json_strict *s, struct policy_head *head,
			  const struct policy_net_rule *rule)
{
	static const char help[] = "must be a port from 1 to 65535, a range such as \"80-90\", or "
				   "a list of those";
	json_t *ports = json_strict_get(s, "ports");
	struct policy_net_rule one = *rule;
	size_t n = json_is_array(ports) ? json_array_size(ports) : 1;

	if (!ports) {
		add_for_protocol(s, head, one, false);
		return;
	}
	if (n == 0)
		(void)json_strict_fail(s, "ports", "%s", help);
	for (size_t i = 0; i < n && s->status == 0; i++) {
		json_t *value = json_is_array(ports) ? json_array_get(ports, i) : ports;

		if (parse_ports(value, &one.port_min, &one.port_max))
			add_for_protocol(s, head, one, true);
		else if (json_is_array(ports))
			(void)json_strict_item_fail(s, "ports", i, "%s", help);
		else
			(void)json_strict_fail(s, "ports", "%s", help);
	}
}

static void read_proto(struct json_strict *s, struct policy_net_rule *rule)
{
	const char *proto = json_strict_string(s, "proto", 8);

	if (!proto || strcmp(proto, "any") == 0)
		rule->proto = POLICY_PROTO_ANY;
	else if (strcmp(proto, "tcp") == 0)
		rule->proto = POLICY_PROTO_TCP;
	else if (strcmp(proto, "udp") == 0)
		rule->proto = POLICY_PROTO_UDP;
	else
		(void)json_strict_fail(s, "proto", "must be \"tcp\", \"udp\" or \"any\"");
}

static void read_rule(struct json_strict *s, struct policy_head *head, bool allow)
{
	struct policy_net_rule rule = {.allow = allow, .port_max = 65535};
	const char *to = json_strict_string(s, "to", 64);

	read_proto(s, &rule);
	if (!to && s->status == 0)
		(void)json_strict_fail(s, "to", "is missing");
	if (!to || s->status < 0)
		return;
	if (strcmp(to, "any") == 0) {
		rule.family = 4;
		add_for_ports(s, head, &rule);
		rule.family = 6;
	} else {
		(void)parse_cidr(s, to, &rule);
	}
	if (s->status == 0)
		add_for_ports(s, head, &rule);
	(void)json_strict_end(s);
}

static void read_rules(struct json_strict *s, const char *key, struct policy_head *head, bool allow)
{
	json_t *list = json_strict_array(s, key, POLICY_NET_RULES_MAX);

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_strict item;

		if (json_strict_item_object(s, key, i, &item))
			read_rule(&item, head, allow);
	}
}

int policy_network_read(struct json_strict *s, struct policy_head *head)
{
	const char *mode = json_strict_string(s, "mode", 16);
	int64_t connections = POLICY_CONNECTIONS, per_s = POLICY_CONNECTIONS_PER_S;
	bool dns = false;

	if (!mode)
		return json_strict_fail(s, "mode", "is missing: \"none\" or \"egress\"");
	if (strcmp(mode, "none") == 0) {
		head->net_mode = POLICY_NET_NONE;
		/* Any other key is refused: a rule would look as if it had an effect. */
		return json_strict_end(s);
	}
	if (strcmp(mode, "egress") != 0)
		return json_strict_fail(s, "mode", "must be \"none\" or \"egress\"");
	head->net_mode = POLICY_NET_EGRESS;
	(void)json_strict_bool(s, "dns", &dns);
	head->dns = dns;
	(void)json_strict_int(s, "connections", 1, UINT16_MAX, &connections);
	(void)json_strict_int(s, "connections_per_second", 1, UINT16_MAX, &per_s);
	head->connections = (uint16_t)connections;
	head->connections_per_s = (uint16_t)per_s;
	read_rules(s, "deny", head, false);
	read_rules(s, "allow", head, true);
	return json_strict_end(s);
}

char *policy_network_format(const struct policy_net_rule *rule, char *buf, size_t size)
{
	const char *proto = rule->proto == POLICY_PROTO_TCP   ? "tcp"
			    : rule->proto == POLICY_PROTO_UDP ? "udp"
							      : "any";
	char addr[INET6_ADDRSTRLEN] = "?", ports[32] = "";

	(void)inet_ntop(rule->family == 4 ? AF_INET : AF_INET6, rule->addr, addr, sizeof(addr));
	if (rule->port_min == rule->port_max)
		(void)snprintf(ports, sizeof(ports), " port %u", rule->port_min);
	else if (rule->port_min != 0 || rule->port_max != 65535)
		(void)snprintf(ports, sizeof(ports), " ports %u-%u", rule->port_min,
			       rule->port_max);
	(void)snprintf(buf, size, "%s to %s/%u%s", proto, addr, rule->prefix, ports);
	return buf;
}
