/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of workers, as they are kept: sealed (core/secret.h), by project, by the worker's name and by
 * their own. One store for workers of all kinds. Errors as in store.h.
 */
#ifndef SUPERVISOR_FRONT_STORE_SECRETS_H
#define SUPERVISOR_FRONT_STORE_SECRETS_H

#include "lib/util.h"

struct store;

#define SECRET_NAME_MAX 255
#define SECRET_VALUE_MAX (64u << 10) /* bytes */
#define SECRETS_MAX 128u	     /* of a worker */
#define SECRETS_BYTES_MAX (1u << 20) /* of a worker's values together */
#define SECRETS_PROJECT_MAX 10000u   /* of a project */

extern const struct schema secrets_schema; /* secrets, secret_changes, version_secrets */

/* What a row that is read points to is the statement's, for as long as fn runs. */
struct secret_row {
	const char *project, *worker, *name;
	uint64_t changed_ns; /* CLOCK_REALTIME */
	const void *sealed;
	size_t len;
};

/* Of a worker, by name, as this version has them; version NULL: as those have them that have none of
 * their own. Another return than 0 ends the walk. project NULL: all that there are. */
typedef int (*secret_fn)(void *arg, const struct secret_row *row);
int store_secrets(struct store *store, const char *project, const char *worker, const char *version,
		  secret_fn fn, void *arg, struct err *e);
/* When one of the worker's was last set or removed; 0: never. */
int store_secrets_changed(struct store *store, const char *project, const char *worker,
			  uint64_t *ret_ns, struct err *e);

/* Within a change, as all that writes. ERR_LIMIT where the worker or the project has enough. What is set
 * or removed of a worker takes the place of what its versions have of this name. */
int store_secret_put(struct store *store, const struct secret_row *row, struct err *e);
/* -ENOENT with ERR_NOT_FOUND: there is none of this name. */
int store_secret_delete(struct store *store, const char *project, const char *worker,
			const char *name, uint64_t now_ns, struct err *e);
/* Of one version, in the place of its worker's; sealed NULL: the version has none of this name. */
int store_version_secret_put(struct store *store, const char *version, const struct secret_row *row,
			     struct err *e);
/* to, which has none, gets what from has of its own. */
int store_version_secrets_copy(struct store *store, const char *from, const char *to,
			       struct err *e);
int store_version_secrets_delete(struct store *store, const char *version, struct err *e);
/* With those of its versions. worker NULL: of the whole project. */
int store_secrets_delete(struct store *store, const char *project, const char *worker,
			 struct err *e);

#endif
