/* SPDX-License-Identifier: Apache-2.0 */
/*
 * multipart/form-data (RFC 7578), strictly, in pieces as they come. Nothing may stand before the first
 * part or behind the last one, a part has exactly one Content-Disposition with a name, and names have
 * no control characters; %22, %0A and %0D in them are what browsers write for '"' and line ends, of
 * which the latter two are refused.
 *
 *	r = multipart_begin(&m, content_type, &e);
 *	m.part = .., m.data = .., m.end = .., m.arg = ..;
 *	while (r == 0 && there is more)
 *		r = multipart_feed(&m, data, len, &e);
 *	if (r == 0)
 *		r = multipart_end(&m, &e);
 *
 * The functions that are called back return 0, or -errno with *e, by which the reading ends.
 */
#ifndef SPEC_MULTIPART_H
#define SPEC_MULTIPART_H

#include "lib/util.h"

#define MULTIPART_BOUNDARY_MAX 70
#define MULTIPART_HEAD_MAX 4096 /* bytes of a part's headers */
#define MULTIPART_NAME_MAX 480	/* of a part, and of its file */
#define MULTIPART_TYPE_MAX 127

struct multipart_part {
	const char *name;
	const char *file; /* NULL: the part is a field, and no file */
	const char *type; /* its Content-Type; "": it has none */
};

struct multipart {
	int (*part)(void *arg, const struct multipart_part *p, struct err *e);
	int (*data)(void *arg, const char *data, size_t len, struct err *e);
	int (*end)(void *arg, struct err *e);
	void *arg;

	/* The reader's own. */
	enum {
		MULTIPART_FIRST,
		MULTIPART_DATA,
		MULTIPART_BEHIND,
		MULTIPART_HEAD,
		MULTIPART_OVER
	} at;
	char delimiter[4 + MULTIPART_BOUNDARY_MAX + 1]; /* "\r\n--BOUNDARY" */
	size_t delimiter_len, matched;			/* of the delimiter, so far */
	size_t head_len;
	char head[MULTIPART_HEAD_MAX + 1];
};

/* Sets all but the functions and arg. 1: it is multipart/form-data; 0: it is of another type. */
int multipart_begin(struct multipart *m, const char *content_type, struct err *e);
int multipart_feed(struct multipart *m, const char *data, size_t len, struct err *e);
/* Nothing more comes. */
int multipart_end(const struct multipart *m, struct err *e);

#endif
