// SPDX-License-Identifier: Apache-2.0
/*
 * The verbs image and policy compute digests and compile filters, the tenant's verbs speak HTTP, deploy and
 * push start a package index as upload does, and serve and dev ask other servers. They need libcrypto, libseccomp and libcurl, with which every `sandboxctl run` would take
 * twice as long to start. So the same sources are linked twice: sandboxctl without these verbs, and
 * sandboxctl-full with them. This file executes sandboxctl-full in place of sandboxctl.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/ctl/ctl.h"

#define FULL "sandboxctl-full"

/* Executes dir/sandboxctl-full; returns only when that fails. */
static void try_exec(const char *dir, const char *below, char **argv)
{
	char path[PATH_MAX];

	if (snprintf(path, sizeof(path), "%s%s/" FULL, dir, below) < (int)sizeof(path))
		(void)execv(path, argv);
}

static int exec_full(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_free_ char **words = calloc((size_t)argc + 3, sizeof(*words));
	const char *libexec = getenv("SANDBOXD_LIBEXEC");
	char self[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", self, sizeof(self) - 1);
	struct err e;
	int n = 0;

	if (!words || setenv("SANDBOXD_SOCKET", ctl->socket_path, 1) < 0 ||
	    setenv("SANDBOXD_STATE", ctl->state_dir, 1) < 0) {
		(void)err_set(&e, ERR_SYSTEM, ENOMEM, "%s", argv[0]);
		return ctl_fail(&e);
	}
	words[n++] = (char *)"sandboxctl";
	if (ctl->json)
		words[n++] = (char *)"--json";
	for (int i = 0; i < argc; i++)
		words[n++] = argv[i];
	/* sandboxctl-full is beside this program in a build folder, and in libexec when it is
	 * installed. */
	if (len > 0) {
		self[len] = '\0';
		*strrchr(self, '/') = '\0';
		try_exec(self, "", words);
		try_exec(self, "/../libexec/sandboxd", words);
	}
	if (libexec)
		try_exec(libexec, "", words);
	try_exec(SANDBOXD_PREFIX, "/libexec/sandboxd", words);
	(void)err_set(&e, ERR_SYSTEM, errno, FULL " (of the same installation)");
	return ctl_fail(&e);
}

int ctl_image(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}

int ctl_policy(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}

int ctl_tenant(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}

int ctl_deploy(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}

int ctl_push(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}

int ctl_dev(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}

int ctl_serve(struct ctl *ctl, int argc, char **argv)
{
	return exec_full(ctl, argc, argv);
}
