// SPDX-License-Identifier: Apache-2.0
#include "sandbox/criu.h"

#include <grp.h>
#include <sys/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "sandbox/sandbox.h"

/* criu keeps its own descriptors right below the soft limit, and a high limit costs it a large
 * table. */
#define CRIU_NOFILE 1024

static const cap_value_t only = CAP_CHECKPOINT_RESTORE;

/* Called before the bounding set is emptied: a capability that is not in the set cannot be made
 * inheritable. */
static int make_inheritable(struct err *e)
{
	cap_t caps = cap_get_proc();
	int r = 0;

	if (!caps || cap_set_flag(caps, CAP_INHERITABLE, 1, &only, CAP_SET) < 0 ||
	    cap_set_proc(caps) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "criu: CAP_CHECKPOINT_RESTORE");
	(void)cap_free(caps);
	return r;
}

/* An ambient capability stays when a file without capabilities is executed. */
static int keep_only(struct err *e)
{
	cap_t caps = cap_init();
	int r = 0;

	if (!caps || cap_set_flag(caps, CAP_PERMITTED, 1, &only, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_EFFECTIVE, 1, &only, CAP_SET) < 0 ||
	    cap_set_flag(caps, CAP_INHERITABLE, 1, &only, CAP_SET) < 0 || cap_set_proc(caps) < 0 ||
	    cap_set_ambient(only, CAP_SET) < 0)
		r = err_set(e, ERR_SYSTEM, errno, "criu: CAP_CHECKPOINT_RESTORE");
	(void)cap_free(caps);
	return r;
}

int criu_become(uid_t id, const struct limits *limits, struct err *e)
{
	struct rlimit nofile;
	int r = oom_expose(e);

	if (r < 0)
		return r;
	r = rlimit_apply(limits, e);
	if (r < 0)
		return r;
	r = make_inheritable(e);
	if (r < 0)
		return r;
	r = caps_drop_bounding(e);
	if (r < 0)
		return r;
	if (getrlimit(RLIMIT_NOFILE, &nofile) == 0 && nofile.rlim_cur > CRIU_NOFILE) {
		nofile.rlim_cur = CRIU_NOFILE;
		(void)setrlimit(RLIMIT_NOFILE, &nofile);
	}
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setgroups(0, NULL) < 0 ||
	    setresgid(id, id, id) < 0 || setresuid(id, id, id) < 0)
		return err_set(e, ERR_SYSTEM, errno, "criu: user %u", id);
	r = keep_only(e);
	if (r < 0)
		return r;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return err_set(e, ERR_SYSTEM, errno, "criu: no_new_privs");
	return criu_attach_filter(e);
}
