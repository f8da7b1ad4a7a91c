/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One task's sandbox, as the monitor starts it. sandbox_spawn() clones the sandbox's init, which
 * becomes PID 1 of a new pid namespace, builds the rest by the ordered list in enter.c, starts
 * the payload (pid 2) cold or out of a checkpoint, gives up every capability but CAP_KILL, and
 * waits.
 *
 * The init is trusted: it runs this code and nothing else. The payload is not trusted: it lives
 * in a user namespace, without capabilities, under seccomp. A payload that was started cold or
 * restored is alone in its user namespace, and that namespace owns none of the sandbox's other
 * namespaces: they belong to the initial user namespace, as the init does. The user namespace of
 * a clone (fork/keeper.h) owns the six other namespaces of its sandbox, because only then may a
 * process without privileges join them. A capability that slipped into a clone would therefore be
 * worth much more; inject_check_status() checks that none does.
 *
 * Ownership: what a function returns by a "ret" pointer is the caller's to close or free.
 * Descriptors that are passed in stay the caller's, unless a comment says otherwise. Errors: 0 or
 * -errno, and the caller's struct err is filled in once. Nothing here calls back.
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
 * Ids inside the sandbox, and where they are mapped on the host: each owner (a project, by its
 * slot) has a range of its own. One more range belongs to no project: a process whose checkpoint
 * every project may use is dumped with ids of that range. If it were dumped with ids of one
 * project's range, that project's code would be the owner of the namespaces of all copies.
 */
#define SANDBOX_ID_BASE 2000000u
#define SANDBOX_ID_COUNT 65536u
#define SANDBOX_OWNERS_MAX OWNERS_MAX
#define SANDBOX_OWNER_SHARED SANDBOX_OWNERS_MAX
/* Another range belongs to the images that are being built: what runs in a build is no
 * project's. */
#define SANDBOX_OWNER_BUILD (SANDBOX_OWNERS_MAX + 1u)
_Static_assert((0xfffffffeu - SANDBOX_ID_BASE) / SANDBOX_ID_COUNT > SANDBOX_OWNER_BUILD,
	       "ids have 32 bits, and (uid_t)-1 is none");
#define SANDBOX_UID 1000u
#define SANDBOX_INIT_UID 999u
/* Of SANDBOX_OWNER_BUILD alone: what serves a build its package index, outside of any sandbox. */
#define SANDBOX_INDEX_UID 998u
#define PAYLOAD_PID 2

/* owner <= SANDBOX_OWNER_BUILD, id < SANDBOX_ID_COUNT */
static inline uid_t sandbox_host_id(uint32_t owner, uid_t id)
{
	return SANDBOX_ID_BASE + owner * SANDBOX_ID_COUNT + id;
}

/* Where the init keeps the descriptors that a new monitor fetches from it by pidfd_getfd(2). */
enum init_fd {
	INIT_FD_OUT = 3, /* read ends, which the init never reads: they keep the pipes alive */
	INIT_FD_ERR,
	INIT_FD_STARTED,
	INIT_FD_RECORD, /* the run record; the init writes the exit record into it */
	INIT_FD_REPORT, /* write end, for struct report; closed once the payload runs */
	/* O_PATH of /work and /tmp: at the end the init looks whether one of them is full */
	INIT_FD_WORK,
	INIT_FD_TMP,
	/* tells how a clone ended, whose parent is its template's keeper; else /dev/null */
	INIT_FD_STATUS,
	INIT_FD_GO, /* write end: one byte lets the payload run, then it is closed */
	INIT_FD_COUNT
};

/* The payload's descriptors beside 0 to 2; it has no others (fds.c). */
enum payload_fd {
	PAYLOAD_FD_GO = 3,
	PAYLOAD_FD_STARTED,
	/* of a run that serves: its socket, by which it is reached. The number is free in others,
	 * and in what is dumped. */
	PAYLOAD_FD_SERVE,
	PAYLOAD_FD_REPORT, /* close-on-exec */
	PAYLOAD_FD_COUNT
};

/*
 * The file RUN/tasks/ID has three parts with one writer each. The monitor writes struct
 * run_record at offset 0 when the sandbox exists; the init writes struct exit_record behind it
 * when the payload has ended; the monitor writes its verdict at FINAL_RECORD_OFFSET. The next
 * monitor reads all three back.
 */
#define RUN_RECORD_MAGIC 0x32524253u /* "SBR2" */
enum run_kind {
	RUN_TASK = 0,
	RUN_WARM,     /* a sandbox in which a checkpoint is made */
	RUN_TEMPLATE, /* a keeper: it has no record, and ends with its monitor and its last task */
	/* a clone that waits for a task: it has no record, and ends with its monitor */
	RUN_PARKED,
};
struct run_record {
	uint32_t magic;
	int32_t init_pid; /* as the host's pid namespace numbers it */
	/* clock ticks after boot: with the pid, the only name that is never used again */
	uint64_t init_start;
	char boot_id[40]; /* of the kernel that the sandbox ran under */
	char id[TASK_ID_LEN + 1];
	/* the cgroup's name: the task's id, or the name that a parked clone's cgroup was made
	 * with */
	char cgroup[64];
	uint8_t mode, started, kind; /* kind: enum run_kind */
	/* the sandbox's address in the daemon's subnet; 0: it has none */
	uint32_t net_index;
	uint64_t first_ns, started_realtime_ns;
	uint64_t deadline_ns; /* CLOCK_BOOTTIME; 0: there is none */
	uint64_t log_cap;
	uint64_t out_ino, err_ino, started_ino; /* of the pipes that the init keeps */
	/* enum verdict: why the monitor kills the sandbox, written before it does */
	uint32_t killed_for;
	int32_t payload_pid; /* of a clone; 0: not known */
	uint64_t payload_start;
	uint32_t owner;	  /* the owner whose id range the sandbox has */
	uint8_t ring_log; /* 1: the last bytes of its log are kept, and not the first ones */
	uint8_t pad[3];
};

/* The verdict, which the monitor writes behind the exit record so that the next monitor finds
 * it. */
#define FINAL_RECORD_MAGIC 0x31464253u /* "SBF1" */
#define FINAL_RECORD_OFFSET 2048
#define RUN_RECORD_SIZE 4096 /* of the three parts together */

#define EXIT_RECORD_MAGIC 0x31584253u /* "SBX1" */
#define EXIT_RECORD_OFFSET 1024
struct exit_record {
	uint32_t magic;
	int32_t wait_status;  /* of the payload, as waitpid(2) gives it */
	uint64_t finished_ns; /* CLOCK_REALTIME */
	uint32_t disk_full;
	uint32_t pad;
};
/* init.c. False while the init has written no exit record. */
bool exit_record_read(int record_fd, struct exit_record *ret);

/* One report is one write on INIT_FD_REPORT; it is smaller than PIPE_BUF and so atomic
 * (pipe(7)). */
enum report_type {
	REPORT_FAILED = 1, /* the sandbox could not be made; no code of the user's has run */
	REPORT_FALLBACK,   /* the restore failed, a cold start follows */
	/* as REPORT_FALLBACK or REPORT_FAILED; the fault is in the checkpoint */
	REPORT_BAD_CHECKPOINT,
	REPORT_VERIFIED, /* the checkpoint's files have the digests that its manifest says */
	REPORT_DUMPED,	 /* value: microseconds that the dump took */
};
struct report {
	uint32_t type;
	uint32_t pad;
	uint64_t value;
	char text[ERR_MSG_MAX];
};

#define SANDBOX_WRITABLE_MAX 8

enum sandbox_action { SANDBOX_COLD, SANDBOX_RESTORE, SANDBOX_DUMP, SANDBOX_TEMPLATE };

/* What sandbox_spawn() needs. The caller lends all of it for the call; the child has copies of
 * its own of the descriptors. */
struct sandbox_spec {
	enum sandbox_action action;
	char id[TASK_ID_LEN + 1];
	uint32_t owner; /* the owner whose id range the sandbox has */
	/* RESTORE, TEMPLATE: in whose id range the process was dumped, and is until it has been
	 * moved into its user namespace: its own owner's, or SANDBOX_OWNER_SHARED. */
	uint32_t checkpoint_owner;
	const struct policy *policy;
	const struct image_head *image;
	struct limits limits;
	const struct cgroup *cgroup;
	/* Detached mounts (rootfs_detach), made for this sandbox alone. */
	int rootfs_mount;
	int dev_mount;	   /* the device nodes (mounts_make_dev) */
	int package_mount; /* the lower layer of /work; -1: there is no package */
	int data_mount;	   /* is /work/data, and may be written to; 0, -1: there is none */
	int proc_mount;	   /* a proc file system of the sandbox's pid namespace; -1: one is made */
	int heap_mount;	   /* RESTORE, DUMP: the checkpoint's heap file; else -1 */
	/* the job's bytes; they are read from offset 0, whatever the descriptor's offset */
	int job_fd;
	int input_fd; /* COLD: the payload's stdin, a socket; -1: that is /dev/null */
	int serve_fd; /* COLD, RESTORE: the payload's PAYLOAD_FD_SERVE; -1: it has none */
	int out_r, out_w, err_r, err_w, started_r, started_w;
	int report_w, record_fd;
	int keeper_sock; /* TEMPLATE: the socket on which struct template_park comes; else -1 */
	/* a clone's init: the payload's wait status comes by this pipe; else -1 */
	int status_r;
	int checkpoint_fd; /* RESTORE, DUMP: the checkpoint's folder */
	uint8_t checkpoint_key[32], image_digest[32];
	const struct checkpoint_inputs *checkpoint_inputs; /* DUMP: written into the manifest */
	bool verified; /* the monitor has verified this checkpoint before, and it has not changed */
	const char *criu_path;
	const void *kdat; /* CRIU's cache of kernel features, made when the daemon starts */
	size_t kdat_len;
	const char *root_dir; /* an empty directory to mount the new root on */
	/* POLICY_NET_EGRESS: the sandbox's address in the subnet; else 0 */
	uint32_t net_index;
	int netns_fd;		 /* a namespace of net_make_ns; -1: one is made */
	const char *resolv_conf; /* text of /etc/resolv.conf, or NULL */
	/* a path below /work, or ""; see exec_interpreter() in payload.c */
	const char *script;
	/* COLD, while an image is built: this command is executed in place of the interpreter;
	 * NULL at other times. The command may write to these folders of the image, as far as the
	 * files' owners let it. Each folder is a detached mount like those above; its path in the
	 * image has no "/" in front. */
	const char *const *argv, *const *envp;
	struct sandbox_folder {
		const char *path;
		int mount;
	} writable[SANDBOX_WRITABLE_MAX];
	size_t n_writable;
	/* The sandbox is killed when the calling process ends, in whatever way that ends. */
	bool with_maker;
};

/*
 * Returns the init's pid and pidfd; the caller closes the pidfd and reaps the init. Blocks for
 * one clone (about 0.2 ms); everything else happens in the child, which tells its outcome by the
 * report pipe.
 */
int sandbox_spawn(const struct sandbox_spec *spec, pid_t *ret_pid, int *ret_pidfd, struct err *e);

/* init.c: the rest of the init's life, once the payload runs. Does not return. payload -1: the
 * payload is a clone and so not this process's child; its end is told by INIT_FD_STATUS. */
void init_supervise(pid_t payload) __attribute__((noreturn));
/* Returns 0 once the monitor has written the run record, or fails after about 3 s. */
int init_wait_recorded(int record_fd, struct err *e);
/* The calling process becomes the user id, a number of its own user namespace. The id is used by
 * no other process in there, and nobody may read the process's memory through /proc. */
int init_become(uid_t id, struct err *e);
/* As init_become, and gives up every capability but CAP_KILL. It is called between fds_move_init
 * and init_go, so that no payload ever runs beside an init with more privilege. */
int init_drop(uid_t id, struct err *e);
/* Writes the byte on INIT_FD_GO for which the payload waits. what: names the start, for an
 * error. */
int init_go(const char *what, struct err *e);

/* payload.c: called by the init to start the payload cold, also when it is to be dumped. *ret:
 * the payload's pid. ret_go: the payload waits, with its ids mapped, until a byte is written to
 * *ret_go, which the caller closes. NULL for a dump: then the payload runs at once. */
int payload_start(const struct sandbox_spec *spec, pid_t *ret, int *ret_go, struct err *e);

/* The pieces that enter.c calls; a file of its own for each kernel feature. */
/* returns 0 in the child */
int ns_clone_init(int cgroup_fd, pid_t *ret_pid, int *ret_pidfd, struct err *e);
/* fork, with the child born in this cgroup (v2); -1: in the caller's */
pid_t ns_clone_into(int cgroup_fd);
/* fork with a chosen pid; wants privilege over the pid namespace */
pid_t ns_clone_pid(pid_t want);
int ns_unshare_cgroup(struct err *e);
int ns_set_hostname(const char *name, struct err *e);
/* Writes the id map of the process's user namespace. proc: a writable /proc (mounts_own_proc) of
 * a pid namespace in which the process is called pid. */
int idmap_write(int proc, pid_t pid, uint32_t owner, struct err *e);
/*
 * Has a detached mount, all of whose files one owner has, show them as files of the sandbox's
 * user of this owner. Nothing changes on disk. *table: -1 at first; the call leaves a descriptor
 * there, which serves further calls with the same two owners and which the caller closes after
 * the last.
 */
int idmap_mount(int mount, uint32_t owner, int *table, struct err *e);
/* The same for a user of the host, once, and for reading only. folder: its name in messages. */
int idmap_mount_read_only(int mount, uid_t shown, const char *folder, struct err *e);
/* userns.c: sets bounds of the caller's own user namespace for resources that no rlimit bounds;
 * the caller has CAP_SYS_RESOURCE over it. proc: any writable /proc. */
int userns_bound(int proc, struct err *e);
/* Makes a user namespace with these bounds and the owner's id map, in which no process lives. A
 * process with ids of maker's range owns it and may join it. For an init that is root; the caller
 * closes *ret. */
int userns_make(uint32_t maker, uint32_t owner, int *ret, struct err *e);
int rootfs_detach(int dir_fd, const char *what, int *ret, struct err *e);
int rootfs_mount(const struct sandbox_spec *spec, int *ret_root, struct err *e);
int rootfs_pivot(int root, struct err *e);
int mounts_make(const struct sandbox_spec *spec, int root, struct err *e);
/* Mounts the checkpoint's heap file on /run/heap. A file that was removed cannot be mounted. */
int mounts_heap(const struct sandbox_spec *spec, int root, struct err *e);
/* Copies the job into the folder run, for the payload to read. owner: its user, a number of the
 * caller's user namespace. */
int mounts_put_job(const char *run, int job_fd, uid_t owner, struct err *e);
/* For the init of a sandbox that was made before it had a task: writes the host name to
 * /etc/hosts. */
int mounts_put_hostname(const char *hostname, struct err *e);
/* Returns a descriptor of a detached proc file system of the caller's pid namespace, or
 * -errno. */
int mounts_new_proc(void);
int mounts_make_dev(const char *dir, struct err *e);
/* The init's own /proc, which is writable: a descriptor that stays this file's, or -1 before
 * mounts_make. A keeper has the one of its template's sandbox, and so has what the keeper
 * forks. */
int mounts_own_proc(void);
int caps_drop_bounding(struct err *e); /* needs CAP_SETPCAP */
int caps_drop_all(struct err *e);
int caps_keep_for_task(struct err *e);
int caps_keep_only_kill(struct err *e);
int rlimit_apply(const struct limits *limits, struct err *e);
/* RLIMIT_NOFILE, soft and hard, as rlimit_apply sets it: for a process that is injected into. */
int rlimit_nofile(const struct limits *limits, uint64_t ret[2], struct err *e);
/* Fails when a process's limits are higher than these. text: the content of its
 * /proc/PID/limits. */
int rlimit_check(const struct limits *limits, const char *text, struct err *e);
/* Makes the caller a process that the OOM killer takes before the daemon, which may be protected
 * from it, and before the sandbox's init, which has to tell how the payload ended. Raising the
 * score needs no privilege. */
int oom_expose(struct err *e);
/* For a keeper, with which its tasks would die: protects it from the OOM killer as far as it may.
 * What a keeper forks calls oom_unprotect, and so has the score that the keeper, like every init,
 * had before. */
void oom_protect(void);
int oom_unprotect(struct err *e);
/* Closes every descriptor above 2 that is not in the list. The list may hold -1. */
int fds_keep(const int *fds, size_t n, struct err *e);
int fds_keep_spec(const struct sandbox_spec *spec, struct err *e);
/* Moves the descriptors to the numbers of enum init_fd, and closes all others. */
int fds_move_init(const struct sandbox_spec *spec, int go, struct err *e);
/* fds: by the payload's numbers; -1: it has none of that number. */
int fds_move_payload(const int fds[PAYLOAD_FD_COUNT], struct err *e);

#endif
