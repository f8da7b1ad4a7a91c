/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The manifest of an HTTP worker's version: what a build run (images/runtime/http/_sandboxd_deploy)
 * makes of wrangler.toml, wrangler.json, config.capnp or an upload's metadata. The build runs in a
 * sandbox of the project's own, so that what it says is as hostile as any other input.
 *
 * One JSON object, with no other keys than these. A key that has nothing to say is left out; only
 * the first five are needed.
 *
 *	name			[a-z0-9-], at most 63 characters: it is a part of a host's name
 *	main, main_file		the module that is imported, and its file in the package's root
 *	compatibility_date	"2026-04-21"
 *	python			"3.13", the version of the image's Python
 *	compatibility_flags	["python_workers"]
 *	bindings		[{"name", "type", ...}], see binding_table
 *	secrets_required	names of secrets that have to be set before the version can serve
 *	crons			["0 * * * *"], of five fields
 *	routes			[{"pattern", "zone_name", "custom_domain"}], see route_pattern.h
 *	assets			{"directory": below the package's root, "binding", "html_handling",
 *				"not_found_handling", "run_worker_first": true, false or globs,
 *				"only": true where the worker has no code of its own}
 *	sandbox			{"isolation": "instance" or "request", "image", "policy", "min", "max",
 *				"concurrency", "max_age_s", "max_requests", "memory": bytes, "cpus",
 *				"timeout_s", "snapshot": "dedicated", "package", "baseline" or
				"none", the most that its instances may be started from,
				"start": "auto", "restore" or "cold", the fastest way that they may}
 *	imports			modules of the image that a package snapshot imports
 *	package_imports		and those of the package's python_modules, after them
 *	requirements		[{"name", "version", "from": "image" or "package"}]
 *	warnings		what the user is told
 *	tag, message		of the version
 */
#ifndef SPEC_WORKER_MANIFEST_H
#define SPEC_WORKER_MANIFEST_H

#include <jansson.h>

#include "lib/util.h"
#include "spec/route_pattern.h"

#define MANIFEST_MAX (1u << 20) /* bytes of the document */
#define MANIFEST_NAME_MAX 63
#define MANIFEST_ENTRYPOINT_MAX 100
#define MANIFEST_FLAGS_MAX 64
#define MANIFEST_BINDINGS_MAX 128
#define MANIFEST_TEXT_MAX (128u << 10) /* bytes of a variable's text */
#define MANIFEST_CRONS_MAX 32
#define MANIFEST_ROUTES_MAX 64
#define MANIFEST_GLOBS_MAX 100
#define MANIFEST_REQUIREMENTS_MAX 1000
#define MANIFEST_WARNINGS_MAX 100
/* All imports, each with a '\n' or NUL, those of the package with MANIFEST_IMPORT_EXTRA besides: with
 * the modules of our own they have to fit into a warm list, which has a word before the latter. */
#define MANIFEST_IMPORTS_BYTES 768
#define MANIFEST_IMPORT_EXTRA 8
#define MANIFEST_INSTANCES_MAX 1000
#define MANIFEST_REQUESTS 100 /* at a time, of isolation "request", where max is not given */
#define MANIFEST_CONCURRENCY_MAX 10000
#define MANIFEST_AGE_MAX 2592000u  /* seconds: 30 days */
#define MANIFEST_TIMEOUT_MAX 3600u /* seconds of one request */

/* The types of bindings. Those from BINDING_QUEUE on belong to what is not there yet: a manifest may
 * have them, and their use fails in the worker. */
enum binding_type {
	BINDING_PLAIN_TEXT,
	BINDING_JSON,
	BINDING_SECRET_TEXT,
	BINDING_KV,
	BINDING_SERVICE,
	BINDING_ASSETS,
	BINDING_RATELIMIT,
	BINDING_VERSION_METADATA,
	BINDING_DATA,
	BINDING_QUEUE,
	BINDING_WORKFLOW,
	BINDING_D1,
	BINDING_R2,
	BINDING_DURABLE_OBJECT,
	BINDING_ANALYTICS,
	BINDING_MEMORY_CACHE,
	BINDING_AI,
	BINDING_VECTORIZE,
	BINDING_IMAGES,
	BINDING_BROWSER,
	BINDING_HYPERDRIVE,
	BINDING_MTLS,
	BINDING_SECRETS_STORE,
	BINDING_OTHER,
	BINDING_N
};

struct binding_row {
	const char *type; /* in JSON */
	bool served;
	/* Keys beside "name" and "type" whose values are strings; NULL ends them. The first is the
	 * binding's target. */
	const char *keys[4];
	bool need_target;
};
extern const struct binding_row binding_table[BINDING_N];
enum binding_type binding_type_of(const char *type); /* BINDING_N: there is none */

/* What pointers point to belongs to the manifest's document. */
struct manifest_binding {
	enum binding_type type;
	const char *name;
	/* The text, the namespace's id, the service, ...; NULL where the manifest names none: a KV
	 * namespace without one is the worker's own. */
	const char *target;
	const char *entrypoint;	  /* of a service; NULL: its default */
	uint32_t limit, period_s; /* of a rate limit */
	const json_t *object;	  /* the binding as it stands in the manifest */
};

struct manifest_route {
	struct route_pattern pattern;
	bool custom_domain;
	const char *zone; /* NULL: none is named */
};

struct manifest_assets {
	const char *directory; /* relative, without ".."; NULL: there are no assets */
	const char *binding;   /* NULL: none */
	const char *html_handling, *not_found_handling;
	bool run_worker_first;	    /* for all paths */
	bool only;		    /* nothing runs: main stands for what is not there */
	const json_t *worker_first; /* an array of globs, or NULL */
};

/* The words of sandbox.snapshot, in their order. */
enum manifest_snapshot {
	MANIFEST_SNAPSHOT_NONE = 0,
	MANIFEST_SNAPSHOT_BASELINE,
	MANIFEST_SNAPSHOT_PACKAGE,
	MANIFEST_SNAPSHOT_DEDICATED,
	MANIFEST_SNAPSHOT_MAX
};

/* The words of sandbox.start, in their order. */
enum manifest_start {
	MANIFEST_START_AUTO = 0,
	MANIFEST_START_RESTORE,
	MANIFEST_START_COLD,
	MANIFEST_START_MAX
};

/* 0: the manifest does not say. */
struct manifest_sandbox {
	bool by_request;	    /* isolation "request" */
	const char *image, *policy; /* names; image may be NULL */
	uint32_t min, max, concurrency, max_age_s, max_requests, cpu_milli, timeout_s;
	uint64_t memory;
	enum manifest_snapshot snapshot;
	enum manifest_start start;
};

struct worker_manifest {
	json_t *doc; /* the whole document, checked */
	const char *name, *main, *main_file, *date, *python, *tag, *message;
	const json_t *flags, *secrets_required, *crons, *requirements,
		*warnings; /* arrays or NULL */
	/* with '\n' between the names */
	char imports[MANIFEST_IMPORTS_BYTES], package_imports[MANIFEST_IMPORTS_BYTES];
	struct manifest_binding *bindings;
	size_t n_bindings;
	struct manifest_route *routes;
	size_t n_routes;
	struct manifest_assets assets;
	struct manifest_sandbox sandbox;
};

/* what: the document's name, for errors. On an error *ret is cleared. */
int worker_manifest_read(const char *what, const char *text, size_t len,
			 struct worker_manifest *ret, struct err *e);
void worker_manifest_clear(struct worker_manifest *m);
#define _cleanup_manifest_ __attribute__((cleanup(worker_manifest_clear)))

/* Whether s can be an HTTP worker's name. */
bool worker_manifest_is_name(const char *s);

#endif
