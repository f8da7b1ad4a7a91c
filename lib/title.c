// SPDX-License-Identifier: Apache-2.0
#include "lib/title.h"

#include <stdio.h>
#include <string.h>

static char *title_start;
static size_t title_size;

/* The kernel shows the memory of argv, so the title is written over it and over the environment
 * behind it. */
void title_init(int argc, char **argv, char **envp)
{
	char *end = argv[argc - 1] + strlen(argv[argc - 1]) + 1;

	for (char **e = envp; *e && *e == end; e++)
		end += strlen(*e) + 1;
	/* getenv (for instance sd_notify, of NOTIFY_SOCKET) has to find its texts elsewhere from
	 * now on. */
	for (char **e = envp; *e; e++) {
		char *copy = strdup(*e);

		if (copy)
			*e = copy;
	}
	title_start = argv[0];
	title_size = (size_t)(end - argv[0]);
}

void title_set(const char *name)
{
	/* Unit tests run roles without our main(). */
	if (!title_size)
		return;
	memset(title_start, 0, title_size);
	(void)snprintf(title_start, title_size, "sandboxd: %s", name);
}
