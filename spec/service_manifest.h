/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of a service's version: what a push has made of dotcloud.yml, or what whoever puts a
 * version by hand has written. What makes it may run in a sandbox of the project's own, so that it is
 * as hostile as any other input.
 *
 * One JSON object, with no other keys than these. A key that has nothing to say is left out; only the
 * first four are needed.
 *
 *	format		1
 *	app		[a-z0-9-], at most 40 characters, begins and ends with neither '-'
 *	name		[a-z0-9_], at most 16 characters: the service's
 *	type		"python", "python-worker", "custom", "static"
 *	approot		a folder below the package's folder code (".")
 *	processes	[{"name", "command"}]: lines for a shell. Of custom and python-worker at least one,
 *			unless there is an entry
 *	entry		"module:function" of the package, which is called in a process of its own
 *	environment	{"NAME": "text"}
 *	config		{"name": text, number, true or false}, which the type's runtime reads
 *	postinstall	a line for a shell, run in each replica before anything else
 *	ports		[{"name", "kind": "http", "tcp" or "udp", "give": "tcp" or "fd"}]; give: how requests
 *			of an http port come to the processes: by a port of loopback, or as a listening
 *			Unix socket
 *	health		{"path", "port", "interval_s", "timeout_s", "failures"}: a path of an http port that
 *			answers while the replica is well
 *	ready		"accept", "notify" or "started": how a replica's processes say that they serve
 *	instances	replicas, while nobody has scaled it (1)
 *	python		"2.7", the version of its own Python
 *	sandbox		{"image", "policy", "memory": bytes, "cpus", "start_s", "drain_s"}
 *	background	{"worker": module.name, "siblings": [names], "attempts", "limit_s", "backoff_s",
 *			"backoff_max_s"}: it is a background worker of atasker's, whose queue the front has;
 *			in place of processes and entry, of a python-worker without ports
 *	warnings	what the user is told
 */
#ifndef SPEC_SERVICE_MANIFEST_H
#define SPEC_SERVICE_MANIFEST_H

#include <jansson.h>

#include "lib/util.h"

#define SERVICE_MANIFEST_MAX (1u << 20) /* bytes of the document */
#define SERVICE_APP_MAX 40
#define SERVICE_NAME_MAX 16
#define SERVICE_PROCESSES_MAX 32
#define SERVICE_PORTS_MAX 16
#define SERVICE_ENV_MAX 200
#define SERVICE_ENV_NAME_MAX 128
#define SERVICE_ENV_TEXT_MAX (32u << 10)
#define SERVICE_CONFIG_MAX 64
#define SERVICE_COMMAND_MAX 4096
#define SERVICE_INSTANCES_MAX 1000
#define SERVICE_START_MAX 1800u /* seconds: postinstall has 10 minutes of it */
#define SERVICE_DRAIN_MAX 3600u

enum service_type {
	SERVICE_PYTHON,
	SERVICE_PYTHON_WORKER,
	SERVICE_CUSTOM,
	SERVICE_STATIC,
	SERVICE_TYPES
};

enum service_port_kind {
	SERVICE_PORT_HTTP,
	SERVICE_PORT_TCP,
	SERVICE_PORT_UDP,
	SERVICE_PORT_KINDS
};

/* Of a background worker. */
#define SERVICE_SIBLINGS_MAX 32
#define SERVICE_ATTEMPTS_MAX 1000
#define SERVICE_LIMIT_MAX 604800u /* seconds of one call of its executor */
struct service_background {
	bool is; /* else it is another service */
	uint32_t attempts, limit_s, backoff_s, backoff_max_s;
};

/* What pointers point to belongs to the manifest's document. */
struct service_port {
	const char *name;
	enum service_port_kind kind;
	bool as_fd;
};

struct service_manifest {
	json_t *doc; /* the whole document, checked */
	const char *app, *name, *approot, *python;
	enum service_type type;
	struct service_port ports[SERVICE_PORTS_MAX]; /* those of HTTP first */
	unsigned n_ports, n_http;
	const json_t *environment, *warnings; /* NULL: none */
	/* The rest is for the runtime, which gets the document. */
	const char *image, *policy; /* image may be NULL */
	uint64_t memory;	    /* 0: the policy's, as cpu_milli */
	uint32_t cpu_milli, start_s, drain_s, instances;
	struct service_background background;
};

/* what: the document's name, for errors. On an error *ret is cleared. */
int service_manifest_read(const char *what, const char *text, size_t len,
			  struct service_manifest *ret, struct err *e);
void service_manifest_clear(struct service_manifest *m);
#define _cleanup_service_manifest_ __attribute__((cleanup(service_manifest_clear)))

bool service_is_app(const char *s);
bool service_is_name(const char *s); /* of a service, and of a port */
/* Of a variable that a tenant sets: those that begin with DOTCLOUD_ are the node's to say. */
bool service_is_variable(const char *s);
const char *service_type_name(enum service_type type);

#endif
