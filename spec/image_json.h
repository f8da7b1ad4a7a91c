/* SPDX-License-Identifier: Apache-2.0 */
/*
 * image.json, the description of an image as people write it:
 *
 *	{ "name", "description", "suite": a Debian release or "host",
 *	  "packages": Debian packages, "requirements": what pip installs, "build_packages": Debian
 *	  packages that are there while it does, and not in the image, "build_commands": lines for a
 *	  shell that run before it, with these packages, and write below /usr/local,
 *	  "interpreter": "/usr/bin/python3", "warm": {"imports": [modules]},
 *	  "policy": the default policy's name }
 *
 * and modules.json, what scripts/image-build found in an image that it built.
 */
#ifndef SPEC_IMAGE_JSON_H
#define SPEC_IMAGE_JSON_H

#include <jansson.h>

#include "lib/image.h"

#define IMAGE_JSON_MAX (256u << 10)
#define IMAGE_MODULES_MAX (4u << 20)

/*
 * Checks len bytes of an image.json and fills in name, interpreter, policy and warm of *ret; the
 * rest of *ret is zero. what: the document's name, for errors. *ret_doc: the whole document,
 * checked; the caller frees it.
 */
int image_json_read(const char *what, const char *text, size_t len, struct image_head *ret,
		    json_t **ret_doc, struct err *e);

/* The same for modules.json, {"python", "interpreter", "modules": [{"name", "version"}]}; it fills
 * in python_version. */
int image_modules_read(const char *what, const char *text, size_t len, struct image_head *ret,
		       json_t **ret_doc, struct err *e);

#endif
