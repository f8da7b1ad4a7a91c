// SPDX-License-Identifier: Apache-2.0
#include <sys/capability.h>
#include <sys/prctl.h>

#include "sandbox/sandbox.h"

int caps_drop_bounding(struct err *e)
{
	/* cap_get_bound returns -1 for a number beyond the last capability that this kernel
	 * knows. */
	for (cap_value_t c = 0; cap_get_bound(c) >= 0; c++)
		if (cap_drop_bound(c) < 0)
			return err_set(e, ERR_SYSTEM, errno, "sandbox: bounding set, capability %d",
				       (int)c);
	return 0;
}

static int set_caps(const cap_value_t *keep, int n, struct err *e)
{
	cap_t caps = cap_init(); /* all sets clear */
	int r = 0;

	if (!caps)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: capabilities");
	if ((n > 0 && (cap_set_flag(caps, CAP_PERMITTED, n, keep, CAP_SET) < 0 ||
		       cap_set_flag(caps, CAP_EFFECTIVE, n, keep, CAP_SET) < 0)) ||
	    cap_set_proc(caps) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "sandbox: capabilities");
	(void)cap_free(caps);
	return r;
}

/* Empties all five sets. The bounding set goes first, because that needs CAP_SETPCAP. */
int caps_drop_all(struct err *e)
{
	int r = caps_drop_bounding(e);

	if (r < 0)
		return r;
	if (cap_reset_ambient() < 0)
		return err_set(e, ERR_SYSTEM, errno, "sandbox: ambient capabilities");
	return set_caps(NULL, 0, e);
}

/* For a clone's init. These capabilities are over its own user namespace: CAP_SYS_ADMIN to set
 * the sandbox's host name, CAP_CHOWN to give the job's file to the payload. */
int caps_keep_for_task(struct err *e)
{
	static const cap_value_t keep[] = {CAP_KILL, CAP_CHOWN, CAP_SYS_ADMIN};

	return set_caps(keep, ARRAY_SIZE(keep), e);
}

/*
 * The init must end what its payload left behind, whatever uid that has. CAP_KILL reaches only
 * the processes of its own pid namespace (pid_namespaces(7)).
 */
int caps_keep_only_kill(struct err *e)
{
	static const cap_value_t keep[] = {CAP_KILL};

	/* The bounding set only matters at an exec, and no_new_privs takes its place there. */
	return set_caps(keep, 1, e);
}
