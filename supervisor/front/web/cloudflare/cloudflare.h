/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cloudflare's API as their program wrangler knows it, below CF_PATH: its rows, and how answers and
 * errors look there. What is done is what the verbs of this room do. An account is a project, a
 * script is an HTTP worker.
 */
#ifndef SUPERVISOR_FRONT_WEB_CLOUDFLARE_CLOUDFLARE_H
#define SUPERVISOR_FRONT_WEB_CLOUDFLARE_CLOUDFLARE_H

#include "supervisor/front/web/web.h"

#define CF_PATH "/client/v4"
#define CF_ACCOUNT CF_PATH "/accounts/{project}"
#define CF_SCRIPTS CF_ACCOUNT "/workers/scripts"
#define CF_SCRIPT CF_SCRIPTS "/{name}"

/* The JSON in a form's field: bytes, and values. What reads it is a thread where it is long; what is done
 * with it is the loop's. */
#define CF_FIELD_MAX (512u << 10)
#define CF_FIELD_VALUES_MAX 8192u
/* Reads it into a json_t, in that thread, and wipes the text: secrets may be in it, and nobody reads it
 * again. what: the field. */
int cf_field_read(const char *what, const char *text, size_t len, void **ret, struct err *e);

/* Numbers of errors that wrangler knows, or tells its user. */
enum cf_code {
	CF_NO_ROUTE = 7003,	   /* no such account, for this token */
	CF_AUTHENTICATION = 10000, /* wrangler asks what the token is good for */
	CF_NO_SCRIPT = 10007,	   /* wrangler takes it for a first deploy */
	CF_NO_KEY = 10009,
	CF_FAILED = 10013,
	CF_CONFLICT = 10014,
	CF_INVALID = 10021,   /* what the user wrote is wrong */
	CF_NOT_THERE = 10404, /* nothing here answers the request */
	CF_TOO_MUCH = 10027,  /* larger or more than is taken */
	CF_INHERIT = 10057,   /* a binding that is to be inherited is not there */
	CF_TOO_MANY = 10429,  /* requests: come again later */
};

extern const struct capability cloudflare_capability, cloudflare_kv_capability,
	cloudflare_secret_capability, cloudflare_script_capability, cloudflare_version_capability,
	cloudflare_upload_capability, cloudflare_asset_capability, cloudflare_settings_capability,
	cloudflare_tail_capability, cloudflare_copy_capability;

/* envelope.c */
extern const struct http_dialect cf_dialect, cf_asset_dialect;
/* A shape of a verb's (struct verb): the answer as it is, in the envelope. */
json_t *cf_shape(const struct http_request *r, json_t *reply);
/* The same of a thing without a result. */
json_t *cf_shape_none(const struct http_request *r, json_t *reply);
json_t *cf_error(enum cf_code code, const char *text);

/* scripts.c */
/* Reads "name" and "project", the last of what is read: a worker that has a version. */
int cf_call_script(struct call *c, struct web_worker **ret, struct err *e);
/* The newest of its versions that was written; NULL: there is none. Its manifest is open. */
struct web_version *cf_newest(struct web_worker *w);
/* Its bindings, with the names of its worker's secrets. NULL with *e. */
json_t *cf_bindings(struct front *f, struct web_version *v, struct err *e);
/* A binding of a manifest as it was uploaded. */
json_t *cf_binding(struct web_version *v, const struct manifest_binding *b);
/* What cf_error is to say CF_INHERIT of, at the beginning of an error's text. */
#define CF_INHERIT_TEXT "inherit binding"

/* upload.c: the answer of a deploy. */
json_t *cf_shape_version(const struct http_request *r, json_t *reply);
/* One of the "annotations" of an object, of at most so many bytes; the caller frees it. NULL: it has none. */
char *cf_annotation(const json_t *metadata, const char *key, size_t max);

/* copy.c */
/* A module that stands in the content of a version, with the version's id, beside those that it has. Who
 * uploads all of them again wants the version itself, with other secrets: its assets and what was installed
 * for it cannot be uploaded. */
#define CF_COPY ".sandboxd-version"
/* The version that the form means, which it has as it is but for its secrets; *ret NULL: the form has no such
 * module. */
int cf_copy_find(struct call *c, const char *worker, const json_t *metadata,
		 struct web_version **ret, struct err *e);

#endif
