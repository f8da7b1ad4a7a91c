/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages between the three roles. Each pair of roles shares one SOCK_SEQPACKET socket. A
 * message is one struct of fixed size, and its descriptors are one SCM_RIGHTS. All integers are
 * native, because both ends are of one build; the version is checked so that a role that is left
 * from before an upgrade is refused. A message whose type, size, version or number of descriptors
 * is not in proto_table for that pair of roles is fatal to the role that has sent it: the receiver
 * closes the connection. A text field that has no NUL within its size makes the message one of
 * those.
 */
#ifndef WIRE_PROTO_H
#define WIRE_PROTO_H

#include <stdint.h>

#include "lib/image.h"
#include "lib/limits.h"
#include "lib/util.h"

#define PROTO_VERSION 1u
#define PROTO_FDS_MAX 5
#define PROTO_TEXT_MAX 512
#define JOB_BYTES_MAX (16u << 20)
#define TEMPLATE_ID_LEN 12 /* lower-case hex */

enum proto_type {
	/* front -> monitor */
	/* descriptors: the job (a sealed memfd of at most JOB_BYTES_MAX), [the package's folder,
	 * with has_package], [a socket, with has_input], [another, with has_serve] */
	MON_START = 1,
	MON_WARM, /* make a checkpoint; a descriptor of the package's folder, with has_package */
	MON_KILL,
	MON_FORGET,    /* the front has recorded the task's end durably */
	MON_TEMPLATES, /* list the templates, or retire some of them */
	/* monitor -> front */
	MON_STARTED = 32,
	MON_EXITED, /* sent again after a restart of the front, until MON_FORGET */
	MON_WARMED,
	MON_RUNNING, /* when a front has started: one for each running task, and then MON_READY */
	MON_READY,
	/* the answer to MON_TEMPLATES: one for each template, then one with `last` set */
	MON_TEMPLATE,
	/* monitor -> front, monitor -> logger: the other role is new; a descriptor of the socket to
	 * it */
	ROLE_PEER = 48,
	/* monitor -> logger */
	/* descriptors: the read ends of stdout and stderr. Sent again after a restart of the
	 * logger */
	LOG_OPEN = 64,
	/* front -> logger */
	LOG_FOLLOW = 80, /* descriptor: the follower's stream socket */
	LOG_FINISH,	 /* the task was never started, or has no pipes left: end its log */
	LOG_DELETE,
	/* logger -> front */
	/* both pipes have ended and everything is in the files; also the answer to LOG_FINISH. Sent
	 * again for a new front that follows or asks */
	LOG_END = 96,
};

struct proto_head {
	uint32_t version;
	uint16_t type, size; /* enum proto_type; bytes of the whole message */
};

/*
 * The lines of a warm list are: a module of the image; WARM_MODULE and a module of the package,
 * which makes the package a part of the checkpoint; WARM_REFUSE, which refuses random numbers to
 * modules of the package.
 */
#define WARM_MODULE "@module "
#define WARM_REFUSE "@entropy refuse"

struct mon_start {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t start; /* enum start_mode */
	/* the package's folder comes behind the job, as the lower layer of /work */
	uint8_t has_package;
	/* a connected Unix stream socket comes next, as the task's stdin; only with START_COLD */
	uint8_t has_input;
	/* a Unix stream socket, listening or connected, comes last, as the payload's descriptor
	 * PAYLOAD_FD_SERVE (sandbox/sandbox.h) */
	uint8_t has_serve;
	/* 1: it is not killed at a deadline, whatever the limits say; the policy has to allow it */
	uint8_t no_deadline;
	/* 1: of its log the last bytes are kept, and not the first ones */
	uint8_t ring_log;
	/* a folder of the front's own comes behind the package (or the job): it is /work/data, and
	 * may be written to. Not of a start that may be forked */
	uint8_t has_data;
	/* the owner whose id range the sandbox has: a project's slot, less than
	 * SANDBOX_OWNERS_MAX */
	uint32_t owner;
	uint32_t pad2;
	uint8_t image[32], policy[32], package[32];
	struct limits limits; /* never above the policy's limits_max */
	uint64_t received_ns; /* CLOCK_MONOTONIC when the request came */
	/* a warm list (WARM_MODULE); it is part of the checkpoint's key */
	char warm[IMAGE_WARM_MAX];
	/* The job's exec, which a cold start has the interpreter run directly; or "". */
	char script[256];
};

/* Who asked for a warm-up: it decides how long the warm-up may take, and which comes first. */
enum warm_for {
	WARM_FOR_NOBODY = 0,
	WARM_FOR_OPERATOR, /* the operator, by `image warm` */
	WARM_FOR_IMAGE,	   /* a task, of the list that its image names */
	WARM_FOR_TASK,	   /* a task, of a list of its own */
	WARM_FOR_MAX
};

struct mon_warm {
	struct proto_head h;
	uint32_t tag;  /* repeated in mon_warmed */
	uint8_t force; /* 1: also when there is a valid checkpoint */
	/* a module of the package is warmed, so the package is part of the checkpoint */
	uint8_t has_package;
	uint8_t wish; /* enum warm_for */
	uint8_t pad;
	/* the owner of the task, who alone may use a checkpoint that has parts of a package */
	uint32_t owner;
	uint32_t pad2;
	uint8_t image[32], policy[32], package[32];
	struct limits limits; /* the task's; zeros: the policy's */
	char warm[IMAGE_WARM_MAX];
};

enum kill_reason { KILL_CANCEL_TERM = 1, KILL_CANCEL_KILL };
struct mon_kill {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	/* enum kill_reason; TERM goes to the payload, KILL to all processes of the sandbox */
	uint8_t reason;
	uint8_t pad[6];
};

struct mon_forget {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t pad[7];
};

struct mon_started {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t mode; /* the mode in which the task was started */
	/* enum warm_for: a checkpoint of that list would speed up the next task */
	uint8_t want_warm;
	uint8_t pad[5];
	uint64_t first_ns;	      /* CLOCK_MONOTONIC at the first user bytecode */
	char warning[PROTO_TEXT_MAX]; /* why no faster mode was used, or "" */
};

struct mon_exited {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t verdict; /* enum verdict */
	uint8_t pad[6];
	int32_t wait_status; /* of the payload, as waitpid(2) gives it; -1: not known */
	uint32_t pad2;
	uint64_t cpu_us, memory_peak, finished_ns /* CLOCK_REALTIME */;
	char error[PROTO_TEXT_MAX];   /* the reason of VERDICT_FAILED and VERDICT_LOST */
	char warning[PROTO_TEXT_MAX]; /* what the verdict does not say, or "" */
};

struct mon_running {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t mode, started, pad[5];
	uint64_t first_ns, started_realtime_ns;
};

struct mon_warmed {
	struct proto_head h;
	uint32_t tag;
	/* 0 or -errno. Not now: -EAGAIN, for the last one has failed lately; -EBUSY, for it has to wait for
	 * its turn. */
	int32_t status;
	uint64_t dump_us, bytes;
	char key[65];	 /* hex */
	uint8_t existed; /* 1: nothing was done, because there was a valid checkpoint */
	uint8_t pad[6];
	char error[PROTO_TEXT_MAX];
};

enum template_verb { TEMPLATE_LIST = 0, TEMPLATE_RETIRE };
struct mon_templates {
	struct proto_head h;
	uint32_t tag; /* repeated in each mon_template */
	uint8_t verb; /* enum template_verb */
	uint8_t all;  /* 1: every template, and id is ignored */
	uint8_t pad[2];
	char id[TEMPLATE_ID_LEN + 1];
	uint8_t pad2[3];
};

/* RETIRED: the answer to TEMPLATE_RETIRE, or a template that is kept until the tasks forked from it
 * have ended. */
/* WARMING: not a template yet, but the warm-up that makes the checkpoint for it. */
enum template_state {
	TEMPLATE_MAKING = 0,
	TEMPLATE_READY,
	TEMPLATE_RETIRED,
	TEMPLATE_WARMING,
	TEMPLATE_STATE_MAX
};
struct mon_template {
	struct proto_head h;
	uint32_t tag;
	uint8_t last;  /* 1: the end of the answer; the rest is zero */
	uint8_t state; /* enum template_state */
	uint8_t pad[2];
	char id[TEMPLATE_ID_LEN + 1];
	uint8_t pad2[3];
	uint8_t image[32], policy[32];
	uint32_t parked, running; /* clones that wait for a task; clones that have one */
	uint64_t forks;		  /* tasks that were started from it */
	uint64_t created_ns, used_ns /* 0: never */; /* CLOCK_REALTIME */
	uint64_t memory_bytes;			     /* of the template's process, by its cgroup */
	uint32_t owner, pad4;			     /* the owner whose tasks are forked from it */
	char key[65];				     /* of the template's checkpoint, in hex */
	char policy_name[64];
	uint8_t pad3[7];
	char warm[IMAGE_WARM_MAX]; /* '\n'-separated imports */
};

struct proto_empty { /* MON_READY, ROLE_PEER */
	struct proto_head h;
};

struct log_open {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t ring; /* 1: beyond the cap the oldest bytes go, and not the newest */
	uint8_t pad[6];
	uint64_t cap; /* bytes that are kept of both streams together */
};

#define LOG_STREAM_OUT 1
#define LOG_STREAM_ERR 2
struct log_follow {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t streams; /* bit 0 stdout, bit 1 stderr */
	uint8_t follow;	 /* 1: until the log ends; 0: what is there now, and then an END frame */
	/* 1: the front knows that the task has not ended, so the logger waits for a log that it
	 * does not know */
	uint8_t live;
	uint8_t pad[4];
	uint64_t cursor;   /* the first index record to send: 0, or a frame's cursor + 1 */
	uint64_t since_ns; /* CLOCK_REALTIME; 0: all */
};

struct log_id { /* LOG_FINISH, LOG_DELETE */
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t pad[7];
};

struct log_end {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t pad[7];
	/* bytes: those that came; dropped: those of them that were not kept */
	uint64_t lines, bytes, dropped;
	/* bytes that the log's folder takes on the disk; 0: there is no log */
	uint64_t disk;
};

/*
 * What a follower's socket carries from the logger (or the front) to sandboxctl. The client writes
 * nothing and does not shut down its side: both would look like a client that has gone.
 */
enum log_frame_type {
	LOG_FRAME_OUT = 1,
	LOG_FRAME_ERR = 2,
	/* aux: bytes dropped; data: one uint64_t, the bytes kept until then */
	LOG_FRAME_DROPPED = 3,
	LOG_FRAME_END = 4, /* nothing follows; aux 1: the whole log has ended */
};
enum log_drop {
	LOG_DROP_LIMIT = 1,
	LOG_DROP_DISK = 2, /* the disk was full or failed */
	LOG_DROP_RING = 3, /* what comes before: the log keeps its last bytes */
};
#define LOG_FRAME_DATA_MAX 65536
struct log_frame {
	uint32_t len;	 /* bytes of data behind this header */
	uint8_t type;	 /* enum log_frame_type */
	uint8_t partial; /* 1: a reconnect or a since filter has cut a record */
	uint8_t reason;	 /* enum log_drop of a DROPPED frame, else 0 */
	uint8_t pad[1];
	uint64_t time_ns; /* CLOCK_REALTIME when the data came */
	uint64_t cursor;  /* index record of this frame */
	uint64_t aux;
};

enum proto_role { ROLE_MONITOR, ROLE_FRONT, ROLE_LOGGER };
union proto_msg {
	struct proto_head h;
	struct mon_start start;
	struct mon_warm warm;
	struct mon_kill kill;
	struct mon_forget forget;
	struct mon_templates templates;
	struct mon_started started;
	struct mon_exited exited;
	struct mon_running running;
	struct mon_warmed warmed;
	struct mon_template template;
	struct proto_empty empty;
	struct log_open log_open;
	struct log_follow log_follow;
	struct log_id log_id;
	struct log_end log_end;
};
/* Fills in version, type and, by the table, size. The caller has zeroed the message. */
void proto_init(union proto_msg *m, enum proto_type type);
/* Checks one received message, without any other effect (it is fuzzed): 0 or -EPROTO. */
int proto_check(const void *buf, size_t len, enum proto_role from, enum proto_role to,
		unsigned n_fds);

#endif
