/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tenant's verbs share: the project that iron.json names, and requests about it over HTTP.
 * These verbs need neither root nor the control socket, and work from another machine.
 */
#ifndef SUPERVISOR_CTL_TENANT_H
#define SUPERVISOR_CTL_TENANT_H

#include <curl/curl.h>
#include <getopt.h>

#include "lib/text.h"
#include "spec/client_config.h"
#include "supervisor/ctl/ctl.h"
#include "wire/sse.h"

#define TENANT_REPLY_MAX (64u << 20) /* of an answer, in bytes */

/* The options that say which project; every verb has them. */
enum {
	TENANT_OPT_CONFIG = 1000,
	TENANT_OPT_PROJECT,
	TENANT_OPT_TOKEN,
	TENANT_OPT_HOST,
	TENANT_OPT_PORT
};
#define TENANT_OPTIONS                                                                             \
	{"config", required_argument, NULL, TENANT_OPT_CONFIG},                                    \
		{"env", required_argument, NULL, 'e'},                                             \
		{"project-id", required_argument, NULL, TENANT_OPT_PROJECT},                       \
		{"token", required_argument, NULL, TENANT_OPT_TOKEN},                              \
		{"host", required_argument, NULL, TENANT_OPT_HOST},                                \
	{                                                                                          \
		"port", required_argument, NULL, TENANT_OPT_PORT                                   \
	}

struct tenant {
	struct ctl *ctl;
	const char *verb;
	/* From the command line and the caller's, except token, which is ours. NULL: not given. */
	const char *config, *env, *project_id, *host, *port;
	char *token;
	struct client_config c;
	CURL *curl;
	char token_header[640];
	char error[CURL_ERROR_SIZE];
};
#define TENANT_INIT(CTL, VERB)                                                                     \
	{                                                                                          \
		.ctl = (CTL), .verb = (VERB)                                                       \
	}
void tenant_clear(struct tenant *tenant);
#define _cleanup_tenant_ __attribute__((cleanup(tenant_clear)))

/* tenant_config.c */
/* Takes an option of TENANT_OPTIONS, and returns true; false for any other. A token is overwritten
 * in argv, where ps(1) would show it. */
bool tenant_option(struct tenant *tenant, int c, char *value);
/* Reads the configuration, and prepares for requests. */
int tenant_begin(struct tenant *tenant, struct err *e);
/* Reads a number of the command line, from min to max. what: its name for errors, such as
 * "--priority". */
int tenant_number(const char *what, const char *text, long long min, long long max, long long *ret,
		  struct err *e);

/* http_client.c. Paths begin with "/", and all text in them has to be escaped. */
/* Escapes s for a path or a query; the caller frees it. */
char *tenant_escape(struct tenant *tenant, const char *s);
/*
 * One request under /api/projects/ID, or under the root for a path that begins with "//". The
 * reference to body is taken (NULL: no body). 0, with the answer's JSON in *ret (which may be
 * NULL), whose reference is the caller's; else *e, as the server or this side has said. A server
 * that is busy (503, 429) has kept nothing of the request, and is asked again for half a minute.
 */
int tenant_call(struct tenant *tenant, const char *method, const char *path, json_t *body,
		json_t **ret, struct err *e);
/* The same, with the answer's bytes passed to fn as they come; when fn returns anything but 0, the
 * request ends and returns that. header: one more header, or NULL. -ECONNRESET: the connection
 * broke. */
typedef int (*tenant_body_fn)(void *arg, const char *bytes, size_t len);
int tenant_stream(struct tenant *tenant, const char *path, const char *header, tenant_body_fn fn,
		  void *arg, struct err *e);
/* Uploads data (JSON, whose reference is taken) and the zip in zip_fd; shows a progress bar on a
 * terminal. */
int tenant_upload(struct tenant *tenant, json_t *data, int zip_fd, uint64_t size, json_t **ret,
		  struct err *e);

/*
 * tenant_follow.c: follows a task's log live to its end; with retries, then those of its later
 * attempts. *ret_task: the last attempt's object, whose reference is the caller's. -EPIPE: nobody
 * reads our output any longer.
 */
int tenant_follow(struct tenant *tenant, const char *id, bool retries, json_t **ret_task,
		  struct err *e);
/* Writes a task's text as it is, or on a terminal with control characters escaped. 0 or -errno. */
int tenant_write_text(int fd, struct log_text *t, const char *text, size_t len);

/* tenant_worker.c */

/* Checks that an id can be part of a path. */
int tenant_check_id(const char *id, const char *of, struct err *e);
/* Checks the number of words; the options end at optind. A missing or needless word is printed as
 * "sandboxctl VERB: ...". */
int tenant_words(const char *verb, int argc, char **argv, int min, int max, const char *what);

#define TENANT_HELP                                                                                \
	"  -e, --env ENV       this section of iron.json\n"                                        \
	"  --config FILE, --project-id ID, --token TOKEN, --host HOST, --port PORT\n"              \
	"                      which project, last of all that is looked at: ~/.iron.json, "       \
	"IRON_*,\n"                                                                                \
	"                      IRON_WORKER_* (PROJECT_ID TOKEN HOST PORT), ./iron.json, "          \
	"--config\n"

#endif
