/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: a warmed interpreter on disk.
 *
 * STATE/checkpoints/             0700, root's
 * STATE/checkpoints/<key hex>/   0755, root's; criu's while the checkpoint is made
 *     *.img                      CRIU's own files; criu is given a descriptor of the folder
 *     heap                       the interpreter's memory; restored copies map it MAP_PRIVATE,
 *                                so that CRIU reads almost no pages
 *     manifest                   struct checkpoint_manifest, which the monitor checks
 *     manifest.json              the same for people
 *
 * criu runs inside the sandbox that it restores into: the sandbox's init starts it while the host's
 * files can still be reached, in the sandbox's pid, mount, network, ipc and uts namespaces. So criu
 * has no namespace and no mount to restore, only one process. criu runs as the unprivileged user
 * that this process is (criu.h).
 *
 * The digests say that a checkpoint is what was dumped. They do not say that it is harmless,
 * because the dumped process ran somebody's code. What has been restored is examined by what the
 * kernel says of it, while it is stopped, before its first instruction.
 *
 * Ownership: struct checkpoint_run owns its descriptors, the criu process and the trace of the
 * restored one; checkpoint_abort releases all of them. Errors: 0 or -errno and a struct err;
 * -EBADMSG has the meaning that is written at checkpoint_read.
 */
#ifndef SANDBOX_CHECKPOINT_H
#define SANDBOX_CHECKPOINT_H

#include <stdint.h>
#include <sys/types.h>

#include "sandbox/fork/inject.h"
#include "sandbox/sandbox.h"

#define CHECKPOINT_MAGIC 0x31434253u /* "SBC1" */
#define CHECKPOINT_VERSION 3u
#define CHECKPOINT_FILES_MAX 64
/* The processes of a sandbox in which a checkpoint is made or restored: the init, criu, and the
 * process that is dumped or restored. */
#define CHECKPOINT_PIDS 3
/* The mode of the heap file at the dump and at each restore, because criu compares it. The folder's
 * mode keeps other users out. */
#define HEAP_MODE 0644
#define CHECKPOINT_FILE_BYTES_MAX (1ULL << 32)

enum checkpoint_pipe { PIPE_GO, PIPE_OUT, PIPE_ERR, PIPE_STARTED, PIPE_N };

struct checkpoint_file {
	char name[64];
	uint64_t size;
	uint8_t sha256[32];
};

struct checkpoint_manifest {
	uint32_t magic, version, n_files, pad;
	uint8_t key[32];
	uint8_t image[32];
	char image_name[64], policy_name[64];
	char warm[IMAGE_WARM_MAX];
	char kernel[256], criu[64];
	uint64_t created_ns; /* CLOCK_REALTIME */
	/* inode numbers of the pipes at the dump, by which CRIU's files name them */
	uint64_t pipes[PIPE_N];
	struct checkpoint_file files[CHECKPOINT_FILES_MAX];
	uint8_t self[32]; /* SHA-256 of everything before this member */
};

/* What a checkpoint is valid for; its SHA-256 is the checkpoint's key and its folder's name. */
struct checkpoint_inputs {
	uint8_t image[32], runtime[32], policy[32], package[32];
	char warm[IMAGE_WARM_MAX];
	char kernel[256]; /* release and version, as uname(2) gives them */
	char cpu[64];	  /* hex digest of the CPU's model and features */
	char criu[64];	  /* the version that criu tells */
	/* the package's owner, when its code is in the checkpoint; else SANDBOX_OWNER_SHARED */
	uint32_t owner;
};
int checkpoint_key(const struct checkpoint_inputs *in, uint8_t ret[32], struct err *e);

/* One criu process that waits for its request, and what it has restored. */
struct checkpoint_run {
	int sock;
	pid_t criu;
	int go_w;
	int pids_max; /* the sandbox's limit of processes, open for writing */
	int log;      /* what criu writes as its log */
	int userns;   /* the user namespace that the restored process is to join; -1: none */
	/* the restored process, confined and still under trace; pid 0: there is none */
	struct tracee held;
	struct err broken; /* why criu did not start; checkpoint_restore fails with it */
};
#define CHECKPOINT_RUN_INIT                                                                        \
	(struct checkpoint_run)                                                                    \
	{                                                                                          \
		.sock = -1, .criu = -1, .go_w = -1, .log = -1, .userns = -1, .pids_max = -1        \
	}

/* checkpoint_launch.c, called by the sandbox's init. */
int checkpoint_launch(const struct sandbox_spec *spec, struct checkpoint_run *run, struct err *e);
/* Waits until criu and its libraries are loaded; after that the host's files are not needed. */
int checkpoint_wait_loaded(struct checkpoint_run *run, struct err *e);
/* checkpoint.c, also called by the sandbox's init. */
/*
 * Verifies the checkpoint unless spec->verified, restores it, and confines the process
 * (fork/inject.h), which stays stopped and traced by the caller. keep: for a template, which is
 * held in place of being confined; else NULL. *ret: the restored process. -EBADMSG: the checkpoint
 * is wrong and is to be removed.
 */
struct inject_template;
int checkpoint_restore(const struct sandbox_spec *spec, struct checkpoint_run *run,
		       struct inject_template *keep, pid_t *ret, struct err *e);
/* Ends the trace, so that the restored process runs; nothing to do when none was restored. Ending a
 * trace takes no privilege, so this is called after init_drop. A process that is what it should be
 * then waits for its byte (run->go_w). */
int checkpoint_let_go(const struct checkpoint_run *run, struct err *e);
/* Waits until the payload is parked, dumps it, which ends it, and seals the folder. *ret_us: the
 * microseconds that the dump took. */
int checkpoint_dump(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t payload,
		    uint64_t *ret_us, struct err *e);
/* Ends criu and everything that it had begun, after which the sandbox is as it was before the
 * restore. */
void checkpoint_abort(const struct sandbox_spec *spec, struct checkpoint_run *run);

/* checkpoint_files.c */
/* Reads and checks the manifest alone. -ENOENT: there is no checkpoint. -EBADMSG, here and below:
 * the checkpoint itself is wrong; any other error: it cannot be read just now. */
int checkpoint_read(int dir, const uint8_t key[32], struct checkpoint_manifest *ret, struct err *e);
/* Compares every file of the folder with the manifest: none is missing, none was added, none is a
 * link, and sizes and digests are right. About 1 ms for each MB on a processor without SHA
 * instructions. */
int checkpoint_verify(int dir, const struct checkpoint_manifest *m, struct err *e);
/*
 * Makes a digest of the folder's inode numbers, sizes, mtimes and ctimes. A folder that was
 * verified once and has the same stamp still has not been written to since: no system call sets a
 * ctime (inode(7)).
 */
int checkpoint_stamp(int dir, uint8_t ret[32], struct err *e);
/* Fills in the manifest's files and digests, writes manifest and manifest.json, and makes all files
 * read-only. */
int checkpoint_seal(int dir, struct checkpoint_manifest *m, struct err *e);

#endif
