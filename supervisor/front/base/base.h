/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What all of the front shares. It is six rooms, a folder each, of which one calls and reads only
 * those before it: base/, the loop's turn, and what a capability is; store/, rows in SQLite; core/, what
 * there is; run/, what happens; serve/, who asks; api/, what can be asked. front.c joins them.
 * What a room keeps for itself the rooms before it know by name alone.
 */
#ifndef SUPERVISOR_FRONT_BASE_BASE_H
#define SUPERVISOR_FRONT_BASE_BASE_H

#include <stdint.h>

#include <systemd/sd-event.h>

#include "lib/util.h"

/* All fds are borrowed: they live as long as the process. Zeros mean the defaults. */
struct front_config {
	int monitor_sock;    /* SEQPACKET, non-blocking; ROLE_PEER brings the logger's */
	int listen_fd;	     /* the control socket, bound and listening */
	int state_dirfd;     /* STATE: images/ and policies/ can be read */
	int front_dirfd;     /* STATE/front: this role's own */
	int packages_dirfd;  /* STATE/packages: this role's own, not searchable by others */
	int data_dirfd;	     /* STATE/data: the same; a folder for each service; 0: none */
	int http_fd;	     /* the HTTP server's, listening; -1: none */
	int dashboard_dirfd; /* the web page's files; -1: none */
	int edge_dirfd;	     /* RUN/edge: sockets between this role, the edge and instances; -1 */
	int api_fd; /* RUN/edge/api.sock, where the edge brings what is for the HTTP server; -1 */
	unsigned http_rate;	    /* requests of a project, a second (20000) */
	unsigned running_max;	    /* tasks at a time (64) */
	unsigned queued_max;	    /* tasks that may wait for their turn (20000) */
	unsigned finished_keep;	    /* finished tasks that are kept (10000) */
	uint64_t package_bytes_max; /* one package, unpacked (1 GiB) */
	uint64_t packages_keep;	    /* bytes of unused packages that are kept (4 GiB) */
	uint64_t node_memory;	    /* bytes, of which warm-ups have a part (what there is) */
	uint64_t node_pids;	    /* processes and threads of all tasks (what there is) */
};

struct front {
	struct front_config cfg;
	const struct capability *const *capabilities; /* NULL at its end; NULL: there are none */
	sd_event *event;
	uint64_t started_ns; /* CLOCK_REALTIME */
	struct turn *turn;   /* turn.c: works and timers */
	struct store *store;
	struct changes *changes;	   /* store/change.h */
	struct core *core;		   /* core/core.h */
	struct run *run;		   /* run/run.h */
	struct serve *serve;		   /* serve/serve.h */
	struct api *api;		   /* api/sync.h */
	struct web *web;		   /* web/web.h */
	struct services *services;	   /* service/service.h */
	struct backgrounds *background;	   /* background/background.h */
	struct edge *edge;		   /* edge/edge.c; NULL: there is none */
	struct edge_waiting *edge_waiting; /* edge/wake.c; NULL: there is no edge */
};

#endif
