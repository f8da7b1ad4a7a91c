/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A policy as people write it, compiled to what the monitor reads. The document is
 *
 *	{ "name", "description",
 *	  "seccomp": linux.seccomp of the OCI runtime specification, required,
 *	  "limits": {"memory", "cpus", "pids", "disk", "timeout", "nofile", "log",
 *		     "max": {the same: what a task may ask for; default: the limits}},
 *	  "lasting": bool: its runs may be ones without a deadline, as instances of HTTP workers;
 *		     default: false,
 *	  "fork": {"parked": clones of a template that wait ahead of their tasks, 0 to
 *		   POLICY_PARKED_MAX; default: 4},
 *	  "network": {"mode": "none" or "egress", "dns": bool,
 *		      "allow": [{"to": CIDR, "ports": 443 or "80-90" or a list,
 *				 "proto": "tcp", "udp" or "any"}], "deny": [the same],
 *		      "connections": of one sandbox at a time, default: POLICY_CONNECTIONS,
 *		      "connections_per_second": that it may begin, default:
 *		      POLICY_CONNECTIONS_PER_S} }
 *
 * or a container engine's seccomp profile alone (a "defaultAction" at the top), which
 * gets the default limits and no network. Deny rules are tried before allow rules; what
 * no rule names is dropped.
 */
#ifndef SPEC_POLICY_JSON_H
#define SPEC_POLICY_JSON_H

#include <jansson.h>

#include "lib/json_strict.h"
#include "lib/policy.h"

#define POLICY_JSON_MAX (512u << 10) /* of a document */

/*
 * Compiles len bytes of text. what: the document's name, for errors. The policy gets the name name
 * when it is not NULL, else the document's, else fallback. The caller owns *ret (policy_clear), and
 * frees *ret_file, the ret_len bytes of the compiled file.
 */
int policy_json_build(const char *what, const char *text, size_t len, const char *name,
		      const char *fallback, struct policy *ret, char **ret_file, size_t *ret_len,
		      struct err *e);

/* policy_seccomp.c: reads the OCI schema and ends the reader. The caller frees ret->rules. */
int policy_seccomp_read(struct json_strict *s, struct seccomp_profile *ret);
/* policy_network.c: fills in the network part of head and ends the reader. */
int policy_network_read(struct json_strict *s, struct policy_head *head);
/* Writes a network rule as people read it: "tcp to 10.0.0.0/8 ports 80-90". Returns buf. */
char *policy_network_format(const struct policy_net_rule *rule, char *buf, size_t size);

#endif
