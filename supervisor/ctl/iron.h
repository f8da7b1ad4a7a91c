/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tenant's verbs share: the project that iron.json names, and requests to it over
 * HTTP. They need neither root nor the control socket, and work from another machine.
 */
#ifndef SUPERVISOR_CTL_IRON_H
#define SUPERVISOR_CTL_IRON_H

#include <curl/curl.h>
#include <getopt.h>

#include "lib/text.h"
#include "spec/client_config.h"
#include "supervisor/ctl/ctl.h"
#include "wire/sse.h"

#define IRON_REPLY_MAX (64u << 20) /* bytes of an answer */

/* The options that say which project; every verb takes them. */
enum { IRON_OPT_CONFIG = 1000, IRON_OPT_PROJECT, IRON_OPT_TOKEN, IRON_OPT_HOST, IRON_OPT_PORT };
#define IRON_OPTIONS                                                                               \
	{"config", required_argument, NULL, IRON_OPT_CONFIG},                                      \
		{"env", required_argument, NULL, 'e'},                                             \
		{"project-id", required_argument, NULL, IRON_OPT_PROJECT},                         \
		{"token", required_argument, NULL, IRON_OPT_TOKEN},                                \
		{"host", required_argument, NULL, IRON_OPT_HOST},                                  \
	{                                                                                          \
		"port", required_argument, NULL, IRON_OPT_PORT                                     \
	}

struct iron {
	struct ctl *ctl;
	const char *verb;
	/* Of the command line; borrowed, but for token: NULL is not given. */
	const char *config, *env, *project_id, *host, *port;
	char *token;
	struct iron_config c;
	CURL *curl;
	char token_header[640];
	char error[CURL_ERROR_SIZE];
};
#define IRON_INIT(CTL, VERB)                                                                       \
	{                                                                                          \
		.ctl = (CTL), .verb = (VERB)                                                       \
	}
void iron_clear(struct iron *iron);
#define _cleanup_iron_ __attribute__((cleanup(iron_clear)))

/* iron_config.c */
/* Takes an option of IRON_OPTIONS: true. A token is blanked where ps(1) would show it. */
bool iron_option(struct iron *iron, int c, char *value);
/* Reads the configuration and makes ready for requests. */
int iron_begin(struct iron *iron, struct err *e);
/* A number of the command line between min and max; what: "--priority". */
int iron_number(const char *what, const char *text, long long min, long long max, long long *ret,
		struct err *e);

/* http_client.c. Paths begin with "/"; all text in them must be escaped. */
/* s escaped for a path or a query; owned by the caller. */
char *iron_escape(struct iron *iron, const char *s);
/*
 * One request under /api/projects/ID (or from the root, for a path that begins with "//").
 * Steals body (NULL: none). 0 with the answer's JSON in *ret (may be NULL), which is the
 * caller's; else *e as the server or this side put it. A server that is busy (503, 429) is
 * asked again for half a minute: then nothing was kept.
 */
int iron_call(struct iron *iron, const char *method, const char *path, json_t *body, json_t **ret,
	      struct err *e);
/* The same with the answer's bytes given to fn as they come; what it returns other than 0
 * ends it and is returned. header: one more, or NULL. -ECONNRESET: the connection broke. */
typedef int (*iron_body_fn)(void *arg, const char *bytes, size_t len);
int iron_stream(struct iron *iron, const char *path, const char *header, iron_body_fn fn, void *arg,
		struct err *e);
/* Uploads: data (JSON, stolen) and the zip in fd, with a progress bar on a terminal. */
int iron_upload(struct iron *iron, json_t *data, int zip_fd, uint64_t size, json_t **ret,
		struct err *e);

/*
 * iron_follow.c: the live log of a task to its end, and with retries of those that follow it.
 * *ret_task: the last one's object, the caller's. -EPIPE when nobody reads our output any more.
 */
int iron_follow(struct iron *iron, const char *id, bool retries, json_t **ret_task, struct err *e);
/* A task's text: as it is, but for control characters on a terminal. 0 or -errno. */
int iron_write_text(int fd, struct log_text *t, const char *text, size_t len);

/* iron_code.c */
/* A code's object by its name or id, the caller's. */
int iron_find_code(struct iron *iron, const char *name, json_t **ret, struct err *e);

/* An id as it stands in a path; else an error that says so. */
int iron_check_id(const char *id, const char *of, struct err *e);
/* "sandboxctl VERB: ..." for a missing or needless word; the options begin at optind. */
int iron_words(const char *verb, int argc, char **argv, int min, int max, const char *what);

#define IRON_HELP                                                                                  \
	"  -e, --env ENV       this section of iron.json\n"                                        \
	"  --config FILE, --project-id ID, --token TOKEN, --host HOST, --port PORT\n"              \
	"                      which project, last of all that is looked at: ~/.iron.json, "       \
	"IRON_*,\n"                                                                                \
	"                      IRON_WORKER_* (PROJECT_ID TOKEN HOST PORT), ./iron.json, "          \
	"--config\n"

#endif
