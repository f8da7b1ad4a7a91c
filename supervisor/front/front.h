/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front role: unprivileged (uid _sandboxd, no capabilities). It reads every byte
 * that a client sends, keeps all tasks and their history, and asks the monitor for
 * what needs root. It is killed and started again at any time without losing a task
 * that it had acknowledged.
 */
#ifndef SUPERVISOR_FRONT_H
#define SUPERVISOR_FRONT_H

#include <stdint.h>

/* All fds are borrowed: they live as long as the process. Zeros mean the defaults. */
struct front_config {
	int monitor_sock;	    /* SEQPACKET, non-blocking; ROLE_PEER brings the logger's */
	int listen_fd;		    /* the control socket, bound and listening */
	int state_dirfd;	    /* STATE: images/ and policies/ can be read */
	int front_dirfd;	    /* STATE/front: this role's own */
	int packages_dirfd;	    /* STATE/packages: this role's own, not searchable by others */
	int http_fd;		    /* the HTTP server's, listening; -1: none */
	int dashboard_dirfd;	    /* the web page's files; -1: none */
	unsigned http_rate;	    /* requests of a project, a second (20000) */
	unsigned running_max;	    /* tasks at a time (64) */
	unsigned queued_max;	    /* tasks that may wait for their turn (20000) */
	unsigned finished_keep;	    /* finished tasks that are kept (10000) */
	uint64_t package_bytes_max; /* one package, unpacked (1 GiB) */
	uint64_t packages_keep;	    /* bytes of unused packages that are kept (4 GiB) */
	uint64_t node_memory;	    /* bytes, of which warm-ups have a part (what there is) */
	uint64_t node_pids;	    /* processes and threads of all tasks (what there is) */
};

/* Runs until the monitor's socket closes: 0; else -errno with a message written. */
int front_main(const struct front_config *cfg);

#endif
