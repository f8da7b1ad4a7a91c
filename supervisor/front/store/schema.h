/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The tables of one capability, and the steps by which they have become what they are. The store's
 * file says in its table `schema` which step each capability has had last. store_open runs the steps
 * that are missing, of all capabilities in one transaction, so that a file is brought over whole or
 * stays as it was. A step may name the tables of capabilities before its own in the list. One that
 * has been in a release is never changed: a further step is added.
 */
#ifndef SUPERVISOR_FRONT_STORE_SCHEMA_H
#define SUPERVISOR_FRONT_STORE_SCHEMA_H

#include <stdint.h>

#include "lib/util.h"

struct store;
struct table;

struct migration {
	uint32_t version; /* from 1, without a gap; 0 ends the array */
	/* Files were numbered as a whole (1 to 3) before each capability had steps of its own: the
	 * first such number that has this step in it; 0: the step is younger than that. */
	int since_file;
	const char *sql; /* statements with ';' between them, or NULL */
	/* Called after the statements; NULL: there is nothing that SQL alone cannot do. */
	int (*run)(struct store *store, struct err *e);
};

struct schema {
	const char *name; /* in the file: it is not changed either */
	const struct migration *steps;
	/* row.h: the columns of its tables as of the last step; NULL at the end. NULL: no table of
	 * it is read or written by rows. */
	const struct table *const *tables;
	/* Called when the file has all steps of all capabilities: compiles statements, counts rows.
	 * NULL: nothing is to be prepared. */
	int (*prepare)(struct store *store, struct err *e);
};

#endif
