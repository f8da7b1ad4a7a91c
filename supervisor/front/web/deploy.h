/* SPDX-License-Identifier: Apache-2.0 */
/* What a client asks for by a deploy. */
#ifndef SUPERVISOR_FRONT_WEB_DEPLOY_H
#define SUPERVISOR_FRONT_WEB_DEPLOY_H

#include <jansson.h>

#include "supervisor/front/store/web.h"

struct front;
struct project;
struct waiter;
struct web_version;

/* The image in which configurations are read, and that of versions that name none. */
#define WEB_IMAGE_DEFAULT "web"

struct web_deploy {
	struct waiter *waiter; /* owned; NULL: it was answered, or its client has gone */
	int progress_fd;       /* owned: a stream socket that is told of each step; -1 */
	json_t *vars;	       /* owned: an object of strings; NULL: none */
	/* owned: what pip is told, and the socket of the package index that it asks; NULL and -1:
	 * there is none, and what the image lacks cannot be had */
	json_t *index;
	int index_fd;
	char *name, *env; /* owned; NULL: as the configuration says */
	char *file;	  /* owned: the configuration in the folder; NULL: one of the usual names */
	char *message, *tag; /* owned; NULL: none */
	char source[WEB_SOURCE_MAX + 1];
	bool dry_run; /* ends when the configuration is read */
	bool is_file; /* the archive is a file of the front's own */
	bool stays;   /* the version is kept, and what serves goes on: a deployment may follow */
	/* owned: what takes the place of a configuration in the folder, as the build reads it; NULL: the
	 * folder has one */
	json_t *metadata;
	/* owned: an object of texts that are set, and nulls of what is removed, with the version; where it
	 * stays they are the version's own. NULL: none */
	json_t *secrets;
};
#define WEB_DEPLOY_NONE ((struct web_deploy){.progress_fd = -1, .index_fd = -1})

/* Answers, if there is an answer, and frees. Steals the reference; reply and error NULL: nothing is
 * answered. */
void web_deploy_clear(struct web_deploy *d, json_t *reply, const struct err *error);
/* What the build reads in this image; config: what it has read in another one, or NULL. The caller
 * frees it. NULL: out of memory. */
char *web_deploy_payload(struct front *f, const struct project *p, const struct web_deploy *d,
			 const char *image, const char *config);
/* Takes what *ask has, on success, and archive_fd, a tar, in any case. The answer comes later. */
int web_deploy_begin(struct front *f, struct project *p, struct web_deploy *ask, int archive_fd,
		     struct err *e);
/* A version more that is as another one but for what *ask says: source, message, tag, and secrets. It
 * stays. metadata must be there, for no configuration comes with it. As web_deploy_begin. */
int web_deploy_copy(struct front *f, struct web_version *from, struct web_deploy *ask,
		    struct err *e);
/* Ends those of a project; p NULL: all. */
void web_builds_clear(struct front *f, const struct project *p);

/* [[name, version of its Python]]: those that the project's workers may have. */
json_t *web_images(struct front *f, const struct project *p);
/* The same of images whose names begin so. */
json_t *web_images_named(struct front *f, const struct project *p, const char *begin);
/* A random UUID (RFC 9562, version 4). */
void web_uuid(char ret[WEB_UUID_LEN + 1]);
const char *web_snapshot_name(enum web_snapshot kind); /* none baseline package dedicated */

#endif
