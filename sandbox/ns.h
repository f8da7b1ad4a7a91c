/* SPDX-License-Identifier: Apache-2.0 */
/* The seven namespaces of a sandbox, and what they are called below /proc/PID/ns. */
#ifndef SANDBOX_NS_H
#define SANDBOX_NS_H

/* In the order in which a clone enters them, and in which their descriptors are sent. The user
 * namespace is the first: it gives the power for the rest. */
enum clone_ns {
	CLONE_NS_USER,
	CLONE_NS_MNT,
	CLONE_NS_IPC,
	CLONE_NS_UTS,
	CLONE_NS_NET,
	CLONE_NS_CGROUP,
	CLONE_NS_PID,
	CLONE_NS_N
};
extern const char *const ns_names[CLONE_NS_N]; /* ns.c */

#endif
