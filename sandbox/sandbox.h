/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task's sandbox, as the monitor starts it. sandbox_spawn() clones the
 * sandbox's init, which becomes PID 1 of a new pid namespace, builds the rest by
 * the ordered list in enter.c, starts the payload (pid 2) cold or out of a
 * checkpoint, gives up everything but CAP_KILL, and waits.
 *
 * The init is trusted: it runs this code and nothing else. The payload is not: it lives
 * in a user namespace, without capabilities, under seccomp. Cold or restored, that
 * namespace has the payload alone in it and owns none of the sandbox's others, which
 * are the initial one's, as the init is. Of a clone (template.h) it owns all six of them:
 * only so may a process without privileges join them. A capability that slipped into a
 * clone would be worth much more; inject_check_status() is there to see that none does.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <stdint.h>
#include <sys/types.h>

#include "lib/fdpass.h"
#include "lib/image.h"
#include "lib/limits.h"
#include "lib/policy.h"
#include "lib/util.h"
#include "sandbox/cgroup.h"

/*
 * Ids inside the sandbox, and where they are mapped on the host: each owner (a project, by
 * its slot) has a range of its own. One more is nobody's: what will be everybody's checkpoint
 * is dumped there, so that no tenant's code has those ids outside of its user namespace, where
 * the owner of the namespaces of all its copies would have them.
 */
#define SANDBOX_ID_BASE 2000000u
#define SANDBOX_ID_COUNT 65536u
#define SANDBOX_OWNERS_MAX OWNERS_MAX
#define SANDBOX_OWNER_SHARED SANDBOX_OWNERS_MAX
/* And one is of the images that are being built: what runs there is no project's. */
#define SANDBOX_OWNER_BUILD (SANDBOX_OWNERS_MAX + 1u)
_Static_assert((0xfffffffeu - SANDBOX_ID_BASE) / SANDBOX_ID_COUNT > SANDBOX_OWNER_BUILD,
	       "ids have 32 bits, and (uid_t)-1 is none");
#define SANDBOX_UID 1000u
#define SANDBOX_INIT_UID 999u
#define PAYLOAD_PID 2

/* owner <= SANDBOX_OWNER_BUILD, id < SANDBOX_ID_COUNT */
static inline uid_t sandbox_host_id(uint32_t owner, uid_t id)
{
	return SANDBOX_ID_BASE + owner * SANDBOX_ID_COUNT + id;
}

/* Where the init keeps what a new monitor wants back by pidfd_getfd(2). */
enum init_fd {
	INIT_FD_OUT = 3, /* read ends, never read by the init: they keep the pipes alive */
	INIT_FD_ERR,
	INIT_FD_STARTED,
	INIT_FD_RECORD, /* the run record, where the exit record is written */
	INIT_FD_REPORT, /* write end, struct report; closed once the payload runs */
	INIT_FD_WORK,	/* O_PATH of /work and /tmp: is one of them full? */
	INIT_FD_TMP,
	INIT_FD_STATUS, /* of a clone, whose parent is its template's keeper; else /dev/null */
	INIT_FD_GO,	/* write end, one byte lets the payload run; closed then */
	INIT_FD_COUNT
};

/* What the payload has open beside 0-2, and nothing else (fds.c). */
enum payload_fd {
	PAYLOAD_FD_GO = 3,
	PAYLOAD_FD_STARTED,
	PAYLOAD_FD_REPORT, /* close-on-exec */
	PAYLOAD_FD_COUNT
};

/*
 * RUN/tasks/ID: written by the monitor at offset 0 when the sandbox exists, and
 * by the init behind it when the payload has ended. Read back by the next monitor.
 */
#define RUN_RECORD_MAGIC 0x32524253u /* "SBR2" */
enum run_kind {
	RUN_TASK = 0,
	RUN_WARM,     /* a checkpoint in the making */
	RUN_TEMPLATE, /* has no record: it ends with its monitor and its last task */
	RUN_PARKED,   /* a clone without a task: has no record, ends with its monitor */
};
struct run_record {
	uint32_t magic;
	int32_t init_pid;    /* in the host's pid namespace */
	uint64_t init_start; /* clock ticks after boot: names the process for good */
	char boot_id[40];    /* of the kernel that ran it */
	char id[TASK_ID_LEN + 1];
	char cgroup[64];	     /* its name: the id, or what it was parked as */
	uint8_t mode, started, kind; /* kind: enum run_kind */
	uint32_t net_index;	     /* 0: none */
	uint64_t first_ns, started_realtime_ns;
	uint64_t deadline_ns; /* CLOCK_BOOTTIME */
	uint64_t log_cap;
	uint64_t out_ino, err_ino, started_ino; /* of the pipes that the init keeps */
	uint32_t killed_for;			/* enum verdict, written before the kill */
	int32_t payload_pid;			/* of a clone; 0: not known */
	uint64_t payload_start;
	uint32_t owner; /* whose id range it has */
	uint32_t pad;
};

/* What the monitor made of it, behind the exit record: the verdict survives it. */
#define FINAL_RECORD_MAGIC 0x31464253u /* "SBF1" */
#define FINAL_RECORD_OFFSET 2048
#define RUN_RECORD_SIZE 4096 /* all three */

#define EXIT_RECORD_MAGIC 0x31584253u /* "SBX1" */
#define EXIT_RECORD_OFFSET 1024
struct exit_record {
	uint32_t magic;
	int32_t wait_status;  /* of the payload, from waitpid */
	uint64_t finished_ns; /* CLOCK_REALTIME */
	uint32_t disk_full;
	uint32_t pad;
};
/* init.c: false as long as there is none. */
bool exit_record_read(int record_fd, struct exit_record *ret);

/* One write of this size on INIT_FD_REPORT (smaller than PIPE_BUF, so atomic). */
enum report_type {
	REPORT_FAILED = 1,     /* the sandbox could not be made; nothing of the user's ran */
	REPORT_FALLBACK,       /* the restore failed, a cold start follows */
	REPORT_BAD_CHECKPOINT, /* the same, or the template's end, by what is in the checkpoint */
	REPORT_VERIFIED,       /* the checkpoint's digests are right */
	REPORT_DUMPED,	       /* value: microseconds that the dump took */
};
struct report {
	uint32_t type;
	uint32_t pad;
	uint64_t value;
	char text[ERR_MSG_MAX];
};

#define SANDBOX_WRITABLE_MAX 8

enum sandbox_action { SANDBOX_COLD, SANDBOX_RESTORE, SANDBOX_DUMP, SANDBOX_TEMPLATE };

/* Everything is borrowed for the call; the child has its own copies of the fds. */
struct sandbox_spec {
	enum sandbox_action action;
	char id[TASK_ID_LEN + 1];
	uint32_t owner; /* whose id range it has */
	/* RESTORE, TEMPLATE: in whose range the process is until it is in its user namespace, as
	 * it was dumped: its owner's, or SANDBOX_OWNER_SHARED. */
	uint32_t checkpoint_owner;
	const struct policy *policy;
	const struct image_head *image;
	struct limits limits;
	const struct cgroup *cgroup;
	/* Detached mounts (rootfs_detach), each for this sandbox alone. */
	int rootfs_mount;
	int dev_mount;	   /* the device nodes (mounts_make_dev) */
	int package_mount; /* or -1: lower layer of /work */
	int proc_mount;	   /* of the sandbox's pid namespace; or -1: one is made */
	int heap_mount;	   /* the checkpoint's heap file, for RESTORE and DUMP; or -1 */
	int job_fd;	   /* the job's bytes, any offset */
	int out_r, out_w, err_r, err_w, started_r, started_w;
	int report_w, record_fd;
	int keeper_sock;   /* TEMPLATE: where template_park messages come from; or -1 */
	int status_r;	   /* a clone's init: its payload's wait status comes here; or -1 */
	int checkpoint_fd; /* directory, for RESTORE and DUMP */
	uint8_t checkpoint_key[32], image_digest[32];
	const struct checkpoint_inputs *checkpoint_inputs; /* DUMP: described in the manifest */
	bool verified; /* the monitor knows this very checkpoint's digests */
	const char *criu_path;
	const void *kdat; /* CRIU's kernel feature cache, made at start */
	size_t kdat_len;
	const char *root_dir;	 /* an empty directory to mount the new root on */
	uint32_t net_index;	 /* for POLICY_NET_EGRESS */
	int netns_fd;		 /* of net_make_ns, or -1: one is made */
	const char *resolv_conf; /* text or NULL */
	const char *script;	 /* beneath /work, or ""; see payload.c */
	/* COLD, while an image is built: this command in place of the interpreter, or NULL. In
	 * these folders of the image it may write, as far as the files' owners let it: each is a
	 * detached mount as those above, with its path in the image, which has no "/" in front. */
	const char *const *argv, *const *envp;
	struct sandbox_folder {
		const char *path;
		int mount;
	} writable[SANDBOX_WRITABLE_MAX];
	size_t n_writable;
	/* It is killed when the calling process ends, however that ends. */
	bool with_maker;
};

/*
 * Returns the init's pid and pidfd (caller closes). Blocks for one clone (about
 * 0.2 ms); everything else happens in the child and comes by the report pipe.
 */
int sandbox_spawn(const struct sandbox_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *e);

/* For an init: returns once the monitor has written the run record, or fails after about 3 s. */
int sandbox_wait_recorded(int record_fd, struct err *e);

/* init.c: the rest of the init's life after the payload runs. Does not return. -1: the
 * payload is nobody's child here (a clone), its end comes by INIT_FD_STATUS. */
void init_supervise(pid_t payload) __attribute__((noreturn));
/* Becomes id, as its user namespace says it: nobody else's there, and readable by nobody. */
int init_become(uid_t id, struct err *e);
/* The same, and gives up all but CAP_KILL. fds_move_init comes before it, init_go after it: no
 * payload has ever seen an init with more. */
int init_drop(uid_t id, struct err *e);
/* The byte on INIT_FD_GO. what: the start that would have been, for an error. */
int init_go(const char *what, struct err *e);

/* payload.c: start it cold (also to warm it for a dump). Runs in the init. ret_go: it waits, its
 * ids mapped, for a byte on this, the caller's to close; NULL for a dump, where it runs at once. */
int payload_start(const struct sandbox_spec *spec, pid_t *ret, int *ret_go, struct err *e);

/* The pieces that enter.c calls, one kernel feature a file. */
int ns_clone_init(int cgroup_fd, pid_t *ret_pid, int *ret_pidfd, struct err *e); /* 0 in child */
pid_t ns_clone_into(int cgroup_fd); /* fork, born in a cgroup of v2 unless -1 */
pid_t ns_clone_pid(pid_t want);	    /* fork with a chosen pid; needs the pid namespace's owner */
int ns_unshare_cgroup(struct err *e);
int ns_set_hostname(const char *name, struct err *e);
/* proc: a writable /proc (mounts_own_proc) of a pid namespace that sees the process as pid. */
int idmap_write(int proc, pid_t pid, uint32_t owner, struct err *e);
/*
 * What is below a detached mount, all of one owner's, is the payload's of the sandbox's owner
 * from now on, as this mount shows it; on disk nothing changes. *table: -1, or what an earlier
 * call for the same two owners has left there; the caller closes it when no more come.
 */
int idmap_mount(int mount, uint32_t owner, int *table, struct err *e);
/* userns.c: bounds for the caller's own user namespace, over which it has CAP_SYS_RESOURCE, where a
 * process's limits are none. proc: any writable /proc. */
int userns_bound(int proc, struct err *e);
/* One with these bounds and the owner's id map, for a process of maker's range to join, who owns
 * it. Nobody is in there. For an init that is root; *ret: the caller's to close. */
int userns_make(uint32_t maker, uint32_t owner, int *ret, struct err *e);
int rootfs_detach(int dir_fd, const char *what, int *ret, struct err *e);
int rootfs_mount(const struct sandbox_spec *spec, int *ret_root, struct err *e);
int rootfs_pivot(int root, struct err *e);
int mounts_make(const struct sandbox_spec *spec, int root, struct err *e);
/* The checkpoint's heap file, in /run. It cannot be mounted once it is removed. */
int mounts_heap(const struct sandbox_spec *spec, int root, struct err *e);
/* The job, for its payload, in this folder; owner: as the caller's user namespace says it. */
int mounts_put_job(const char *run, int job_fd, uid_t owner, struct err *e);
/* For the init of a sandbox that was made before it had a task: /etc/hosts has its host name. */
int mounts_put_hostname(const char *hostname, struct err *e);
/* A procfs of the caller's pid namespace, detached. -errno. */
int mounts_new_proc(void);
int mounts_make_dev(const char *dir, struct err *e);
/* The init's own /proc, which is writable: an fd, or -1 before mounts_make. A keeper has that of
 * the template's sandbox; what it forks has it too. */
int mounts_own_proc(void);
int caps_drop_bounding(struct err *e); /* needs CAP_SETPCAP */
int caps_drop_all(struct err *e);
int caps_keep_for_task(struct err *e);
int caps_keep_only_kill(struct err *e);
int rlimit_apply(const struct limits *limits, struct err *e);
/* Whether a process has no more than these. text: its file in /proc/PID/limits. */
int rlimit_check(const struct limits *limits, const char *text, struct err *e);
/* The daemon may be protected from the OOM killer; what it runs is not, and goes before the
 * init, which has to tell of it. Raising needs no privilege. */
int oom_expose(struct err *e);
/* Of a keeper, whose tasks would die with it: as far as it may. What it forks goes back to what
 * the keeper had before, which all inits have. */
void oom_protect(void);
int oom_unprotect(struct err *e);
/* Closes all others above stderr. The list may hold -1. */
int fds_keep(const int *fds, size_t n, struct err *e);
int fds_keep_spec(const struct sandbox_spec *spec, struct err *e);
/* To the numbers of enum init_fd, and no other is left. */
int fds_move_init(const struct sandbox_spec *spec, int go, struct err *e);
int fds_move_payload(const int fds[PAYLOAD_FD_COUNT], struct err *e);

#endif
