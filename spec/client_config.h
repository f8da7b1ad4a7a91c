/* SPDX-License-Identifier: Apache-2.0 */
/*
 * iron.json and the environment of IronWorker's clients: which project, by which token, where.
 * A source that is laid over another one replaces what it has itself. Keys that are not known
 * here are other clients' and of no interest.
 */
#ifndef SPEC_CLIENT_CONFIG_H
#define SPEC_CLIENT_CONFIG_H

#include "lib/util.h"

#define IRON_JSON_MAX (1u << 20) /* bytes */
#define IRON_PORT_DEFAULT 8080u

/* All text is checked: it can stand in a URL or a header as it is. "" and 0: not given. */
struct iron_config {
	char project_id[64 + 1];
	char token[512 + 1]; /* never printed */
	char host[255 + 1];  /* [::1] in brackets */
	char scheme[8];	     /* http or https */
	unsigned port;
	char token_from[256]; /* the source that the token is from, for errors */
};

/*
 * Lays a document over *c: its own keys, then those of its section "iron_worker"; and where
 * env is not NULL those of its section env, and of iron_worker in that. *ret_env is set when
 * there is such a section. what: the file's name in errors.
 */
int iron_json_read(const char *what, const char *text, size_t len, const char *env,
		   struct iron_config *c, bool *ret_env, struct err *e);
/* One value: key is project_id, token, host, port, scheme or protocol. what names the source. */
int iron_config_set(struct iron_config *c, const char *what, const char *key, const char *value,
		    struct err *e);
/* The defaults for what nothing has given; an error when there is no project or no token. */
int iron_config_end(struct iron_config *c, struct err *e);

#endif
