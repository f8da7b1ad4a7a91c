/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of workers: sealed by AES-256-GCM with the key in STATE/front/secret.key, and opened where a
 * run is given them. Which project, worker and name a secret is of is sealed along with it, so that a
 * row that was moved in the store opens nowhere else.
 *
 * A key is made at the first start. One that is missing while there are secrets, or is another one, is
 * kept as it is: nothing is sealed or opened until the right one is put back, or all secrets are
 * removed.
 */
#ifndef SUPERVISOR_FRONT_CORE_SECRET_H
#define SUPERVISOR_FRONT_CORE_SECRET_H

#include "supervisor/front/base/base.h"
#include "supervisor/front/base/capability.h"
#include "supervisor/front/store/secrets.h"

#define SECRET_KEY_BYTES 32
/* What a sealed value has beside the value's bytes: a version, a nonce, a tag. */
#define SECRET_SEAL_BYTES (1 + 12 + 16)

struct secret_key {
	uint8_t bytes[SECRET_KEY_BYTES];
	bool usable;
	char why[200]; /* it is not */
};

/* [A-Za-z_][A-Za-z0-9_]*, at most SECRET_NAME_MAX. */
bool secret_is_name(const char *s);
/* ERR_UNAVAILABLE: the key is not there, or not the right one. Where no secret is left, a new one is
 * made. */
int secret_key_check(struct front *f, struct err *e);
/* ret: of len + SECRET_SEAL_BYTES bytes. */
int secret_seal(struct front *f, const char *project, const char *worker, const char *name,
		const char *value, size_t len, uint8_t *ret, struct err *e);
/* All of a worker, as its version has them (store_secrets), as the text of a JSON object: {} where it has
 * none. The caller erases and frees it (secret_text_free). */
int secrets_open(struct front *f, const char *project, const char *worker, const char *version,
		 char **ret, size_t *ret_len, struct err *e);
void secret_text_free(char *text, size_t len);

extern const struct capability secret_capability;

#endif
