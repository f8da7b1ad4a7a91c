/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration of IronWorker's clients (iron.json, the environment, options): which project,
 * by which token, where. Sources are laid one over the other, and each replaces the values that it
 * gives itself. Unknown keys belong to other clients and are skipped.
 *
 * struct client_config holds its text itself: nothing is to be freed. Functions return 0, or -errno
 * with *e as an error of the user's.
 */
#ifndef SPEC_CLIENT_CONFIG_H
#define SPEC_CLIENT_CONFIG_H

#include "lib/util.h"

#define CLIENT_CONFIG_MAX (1u << 20) /* of a file, in bytes */
#define CLIENT_PORT_DEFAULT 8080u

/* Every text is checked and can stand in a URL or a header as it is. "" and 0 mean: not given. */
struct client_config {
	char project_id[64 + 1];
	char token[512 + 1]; /* never printed */
	char host[255 + 1];  /* an IPv6 address in brackets: [::1] */
	char scheme[8];	     /* "http" or "https" */
	unsigned port;
	char token_from[256]; /* the source that gave the token, for errors */
};

/*
 * Lays a document over *c: its own keys, then those of its section "iron_worker"; where env is not
 * NULL, then those of its section called env and of "iron_worker" in that. *ret_env: whether there
 * is such a section. what: the file's name, for errors.
 */
int client_config_read(const char *what, const char *text, size_t len, const char *env,
		       struct client_config *c, bool *ret_env, struct err *e);
/* Sets one value. key: project_id, token, host, port, scheme or protocol. what: the source's name,
 * for errors. */
int client_config_set(struct client_config *c, const char *what, const char *key, const char *value,
		      struct err *e);
/* Fills in the defaults of what no source has given. An error when there is no project or no
 * token. */
int client_config_end(struct client_config *c, struct err *e);

#endif
