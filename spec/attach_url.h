/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The address of a database that an operator has, scheme://[login[:password]@]host[:port][/path], and what
 * an app is told of it: variables that begin with DOTCLOUD_NAME_KIND_.
 */
#ifndef SPEC_ATTACH_URL_H
#define SPEC_ATTACH_URL_H

#include <jansson.h>

#include "lib/util.h"

#define ATTACH_URL_MAX 1024u

/* Of a type of dotcloud.yml, as "postgresql": the word in the names of its variables, "SQL". NULL: there is
 * no such type. */
const char *attach_kind(const char *type);
/* {"DOTCLOUD_DB_SQL_HOST": "...", "..._PORT", "..._LOGIN", "..._PASSWORD", "..._URL"}; name: the service's.
 * Of a URL without a port that of the type is told. The caller owns *ret. */
int attach_variables(const char *name, const char *type, const char *url, json_t **ret,
		     struct err *e);
/* The same names with null: what is set by them goes. NULL: no such type, or out of memory. */
json_t *attach_nothing(const char *name, const char *type);

#endif
