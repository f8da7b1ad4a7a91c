/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: a warmed interpreter on disk.
 *
 * STATE/checkpoints/             root only, 0700
 * STATE/checkpoints/<key hex>/   0755, while it is made criu's
 *     *.img                      CRIU's own files; criu is given an fd of the folder
 *     heap                       the interpreter's memory, which restored copies map
 *                                MAP_PRIVATE: CRIU reads almost no pages
 *     manifest                   struct checkpoint_manifest, what the monitor checks
 *     manifest.json              the same for people
 *
 * criu runs inside the sandbox that it restores into: it is started by the sandbox's
 * init while the host's files can still be reached, in the sandbox's pid, mount,
 * network, ipc and uts namespaces. So there is no namespace and no mount for it to
 * restore, only one process. It is that process's own unprivileged user (criu.h).
 *
 * The digests say that a checkpoint is what was dumped, not that this is harmless: the
 * dumped process was somebody's. What it has been made into is looked at while it is
 * stopped, before its first instruction, by what the kernel says of it.
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
/* The init, criu, and the one process that is dumped or restored. */
#define CHECKPOINT_PIDS 3
/* The same at the dump and at each restore, for criu compares: the folder keeps others out. */
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
	uint64_t created_ns;	/* CLOCK_REALTIME */
	uint64_t pipes[PIPE_N]; /* inode numbers at the dump: CRIU's names for the pipes */
	struct checkpoint_file files[CHECKPOINT_FILES_MAX];
	uint8_t self[32]; /* SHA-256 of everything before it */
};

/* What a checkpoint is valid for; its SHA-256 is the key and the folder's name. */
struct checkpoint_inputs {
	uint8_t image[32], runtime[32], policy[32], package[32];
	char warm[IMAGE_WARM_MAX];
	char kernel[256]; /* uname release and version */
	char cpu[64];	  /* hex digest of the CPU's model and features */
	char criu[64];	  /* criu's own version text */
	uint32_t owner;	  /* of the package, whose code is in it; else SANDBOX_OWNER_SHARED */
};
int checkpoint_key(const struct checkpoint_inputs *in, uint8_t ret[32], struct err *e);

/* One criu process, waiting for its request. */
struct checkpoint_run {
	int sock;
	pid_t criu;
	int go_w;
	int pids_max;	    /* of the sandbox's group: how many processes it may have */
	int log;	    /* what criu says */
	int userns;	    /* that the restored process is to join; or -1 */
	struct tracee held; /* restored, confined, under trace still; no pid: there is none */
	struct err broken;  /* criu did not start: checkpoint_restore fails with this */
};
#define CHECKPOINT_RUN_INIT                                                                        \
	(struct checkpoint_run)                                                                    \
	{                                                                                          \
		.sock = -1, .criu = -1, .go_w = -1, .log = -1, .userns = -1, .pids_max = -1        \
	}

/* checkpoint_launch.c, called by the sandbox's init. */
int checkpoint_launch(const struct sandbox_spec *spec, struct checkpoint_run *run, struct err *e);
/* Until criu and its libraries are loaded: the host's files are needed no more. */
int checkpoint_wait_loaded(struct checkpoint_run *run, struct err *e);
/* checkpoint.c, called by the same. */
/*
 * Verifies unless spec->verified, restores, confines (inject.h), and leaves it stopped, under trace
 * by the caller; a template is not confined. -EBADMSG: the checkpoint is not right, and is to be
 * removed.
 */
struct inject_template;
int checkpoint_restore(const struct sandbox_spec *spec, struct checkpoint_run *run,
		       struct inject_template *keep, pid_t *ret, struct err *e);
/* What was restored runs: as the trace's end takes no privilege, after init_drop. Nothing to do for
 * what was not. It waits for its byte (run->go_w) then, if it is what it should be. */
int checkpoint_let_go(const struct checkpoint_run *run, struct err *e);
/* Waits until the payload is parked, dumps it (it is gone then), seals the folder. */
int checkpoint_dump(const struct sandbox_spec *spec, struct checkpoint_run *run, pid_t payload,
		    uint64_t *ret_us, struct err *e);
/* Ends criu and whatever it had begun; the sandbox is as clean as before. */
void checkpoint_abort(const struct sandbox_spec *spec, struct checkpoint_run *run);

/* checkpoint_files.c */
/* Reads and checks the manifest alone. -ENOENT when there is no checkpoint; -EBADMSG, here and
 * below, where what is wrong is the checkpoint, not that it cannot be read just now. */
int checkpoint_read(int dir, const uint8_t key[32], struct checkpoint_manifest *ret, struct err *e);
/* Every file of the folder against the manifest: none missing, none added, no links,
 * sizes and digests right. About 1 ms per MB without SHA instructions. */
int checkpoint_verify(int dir, const struct checkpoint_manifest *m, struct err *e);
/*
 * A digest over the folder's inode numbers, sizes, mtimes and ctimes. A folder that
 * was verified once and has the same stamp has not been written to since: ctime
 * cannot be set (inode(7)).
 */
int checkpoint_stamp(int dir, uint8_t ret[32], struct err *e);
/* Fills in files and digests, writes manifest and manifest.json, makes all read-only. */
int checkpoint_seal(int dir, struct checkpoint_manifest *m, struct err *e);

#endif
