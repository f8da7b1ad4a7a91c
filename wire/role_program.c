// SPDX-License-Identifier: Apache-2.0
#include "wire/role_program.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "lib/msg.h"
#include "lib/title.h"

static bool is_monitors_socket(int fd)
{
	int type;
	socklen_t len = sizeof(type);

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) == 0 && type == SOCK_SEQPACKET;
}

void role_begin(const char *name, int argc, char **argv, char **envp, unsigned *numbers,
		int n_numbers, int *fds, int n)
{
	/* Both ends of the protocol must be of one version. */
	if (argc != 2 + n_numbers || strcmp(argv[1], SANDBOXD_VERSION) != 0 ||
	    !is_monitors_socket(ROLE_FD_FIRST)) {
		(void)fprintf(stderr,
			      "sandboxd-%s " SANDBOXD_VERSION
			      ": a part of sandboxd, which executes it; not to be called by hand\n",
			      name);
		exit(125);
	}
	for (int i = 0; i < n; i++) {
		fds[i] = ROLE_FD_FIRST + i;
		if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) < 0)
			fds[i] = -1;
	}
	/* The numbers are the monitor's and have been checked by it. They are read now, because the
	 * title is written over them. */
	for (int i = 0; i < n_numbers; i++)
		numbers[i] = (unsigned)strtoul(argv[2 + i], NULL, 10);
	/* As it is after a change of user: no other process of this user may read this one's
	 * memory. */
	(void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
	title_init(argc, argv, envp);
	title_set(name);
	msg_init(name);
}
