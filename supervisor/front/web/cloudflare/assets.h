/* SPDX-License-Identifier: Apache-2.0 */
/* Files that wrangler uploads before a worker, and archives in which they and the worker's are. */
#ifndef SUPERVISOR_FRONT_WEB_CLOUDFLARE_ASSETS_H
#define SUPERVISOR_FRONT_WEB_CLOUDFLARE_ASSETS_H

#include "supervisor/front/web/cloudflare/cloudflare.h"

#define CF_ASSETS ".sandboxd/assets" /* where a build finds them */
#define CF_BLOCK 512		     /* of an archive */

/* upload.c: what stands before a file in a pax archive (pax(1)): the file's path, of at most
 * MULTIPART_NAME_MAX bytes, and its head. */
void cf_archive_gap(char gap[HTTP_FORM_GAP], const char *path, uint64_t size);
/* assets.c: the session with this token, whose files must all be there. NULL: *e is set. The caller gives it
 * back. */
struct cf_session;
struct cf_session *cf_session_take(struct front *f, const struct project *p, const char *script,
				   const char *token, struct err *e);
void cf_session_give(struct cf_session *s);
/* How far a session's files were copied: so many of them, and so many bytes of the next one. */
struct cf_copied {
	size_t files;
	uint64_t bytes;
};
/* Copies what may be copied in one turn of the loop to an archive's end, which is moved. 1: there is more;
 * 0: all is there; -errno. */
int cf_session_copy(const struct cf_session *s, struct cf_copied *at, int fd, uint64_t *end,
		    struct err *e);
/* The project of a session's token; NULL: there is no session of it. */
struct project *cf_asset_holder(struct front *f, const char *token);

#endif
