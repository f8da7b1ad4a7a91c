/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The words between the three roles. Each pair of roles shares one
 * SOCK_SEQPACKET socket: a message is one struct of fixed size, with its fds as
 * one SCM_RIGHTS. All integers are native (both ends are of one build; version is
 * checked so that a stale role after an upgrade is refused). A message whose
 * type, size, version or number of fds is not in proto_table for that pair of
 * roles is fatal to the role that sent it (the receiver drops the connection).
 * Text fields are NUL-terminated within their size, else the message is refused.
 */
#ifndef WIRE_PROTO_H
#define WIRE_PROTO_H

#include <stdint.h>

#include "lib/image.h"
#include "lib/limits.h"
#include "lib/util.h"

#define PROTO_VERSION 1u
#define PROTO_FDS_MAX 4
#define PROTO_TEXT_MAX 512
#define JOB_BYTES_MAX (16u << 20)
#define TEMPLATE_ID_LEN 12 /* lower-case hex */

enum proto_type {
	/* front -> monitor */
	MON_START =
		1, /* fds: job (sealed memfd of at most JOB_BYTES_MAX), [package dir when has_package] */
	MON_WARM, /* make a checkpoint; fd: package dir when has_package */
	MON_KILL,
	MON_FORGET,    /* the front has recorded this exit durably */
	MON_TEMPLATES, /* list the templates, or retire some of them */
	/* monitor -> front */
	MON_STARTED = 32,
	MON_EXITED, /* repeated after a front restart until MON_FORGET */
	MON_WARMED,
	MON_RUNNING, /* one for each running task when a front (re)starts, then: */
	MON_READY,
	MON_TEMPLATE, /* the answer to MON_TEMPLATES: one for each, then one that is `last` */
	/* monitor -> front, monitor -> logger: the other role is new; fd: the socket to it */
	ROLE_PEER = 48,
	/* monitor -> logger */
	LOG_OPEN = 64, /* fds: stdout, stderr read ends. Again after a logger restart */
	/* front -> logger */
	LOG_FOLLOW = 80, /* fd: the follower's stream socket */
	LOG_FINISH,	 /* this task never started or has no pipes: end its log */
	LOG_DELETE,
	/* logger -> front */
	LOG_END = 96, /* both pipes at EOF and everything on disk; also the answer to
			 LOG_FINISH. Repeated for a new front that follows or asks. */
};

struct proto_head {
	uint32_t version;
	uint16_t type, size; /* enum proto_type, whole message's bytes */
};

/*
 * A warm list is lines: an image's module; or WARM_MODULE and a module of the package,
 * which is then part of the checkpoint; or WARM_REFUSE, no entropy for those.
 */
#define WARM_MODULE "@module "
#define WARM_REFUSE "@entropy refuse"

struct mon_start {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t start;	     /* enum start_mode */
	uint8_t has_package; /* a dirfd follows the job: mounted as lower of /work */
	uint8_t pad[5];
	uint32_t owner; /* whose id range it has: the project's slot, < SANDBOX_OWNERS_MAX */
	uint32_t pad2;
	uint8_t image[32], policy[32], package[32];
	struct limits limits;	   /* only ever tighter than the policy's limits_max */
	uint64_t received_ns;	   /* CLOCK_MONOTONIC at the request's receipt */
	char warm[IMAGE_WARM_MAX]; /* warm list, see WARM_MODULE; part of the checkpoint's key */
	/* The job's exec, or "": a cold start then has the interpreter run it directly. */
	char script[256];
};

/* Whose wish a warm-up is: how long it may last, and what comes first. */
enum warm_for {
	WARM_FOR_NOBODY = 0,
	WARM_FOR_OPERATOR, /* image warm */
	WARM_FOR_IMAGE,	   /* a task's, of the list that its image names */
	WARM_FOR_TASK,	   /* a task's, of a list of its own */
	WARM_FOR_MAX
};

struct mon_warm {
	struct proto_head h;
	uint32_t tag;	     /* echoed in mon_warmed */
	uint8_t force;	     /* 1: even when a valid checkpoint is there */
	uint8_t has_package; /* a module of it is warmed: part of the checkpoint */
	uint8_t wish;	     /* enum warm_for */
	uint8_t pad;
	uint32_t owner; /* of the task that it is for: alone has what its package has a part in */
	uint32_t pad2;
	uint8_t image[32], policy[32], package[32];
	struct limits limits; /* of the task that it is for; zero: the policy's */
	char warm[IMAGE_WARM_MAX];
};

enum kill_reason { KILL_CANCEL_TERM = 1, KILL_CANCEL_KILL };
struct mon_kill {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t reason; /* enum kill_reason: TERM to the payload; KILL everything */
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
	uint8_t mode;	   /* the one that was really used */
	uint8_t want_warm; /* enum warm_for: a checkpoint would help the next task, and of what list */
	uint8_t pad[5];
	uint64_t first_ns;	      /* CLOCK_MONOTONIC at the first user bytecode */
	char warning[PROTO_TEXT_MAX]; /* "" or why a faster mode was not used */
};

struct mon_exited {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t verdict; /* enum verdict */
	uint8_t pad[6];
	int32_t wait_status; /* of the payload, as from waitpid; -1 when unknown */
	uint32_t pad2;
	uint64_t cpu_us, memory_peak, finished_ns /* CLOCK_REALTIME */;
	char error[PROTO_TEXT_MAX];   /* for VERDICT_FAILED and LOST: why */
	char warning[PROTO_TEXT_MAX]; /* "" or what the verdict does not say */
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
	int32_t status; /* 0 or -errno */
	uint64_t dump_us, bytes;
	char key[65];	 /* hex */
	uint8_t existed; /* 1: nothing was done, a valid one was there */
	uint8_t pad[6];
	char error[PROTO_TEXT_MAX];
};

enum template_verb { TEMPLATE_LIST = 0, TEMPLATE_RETIRE };
struct mon_templates {
	struct proto_head h;
	uint32_t tag; /* echoed in each mon_template */
	uint8_t verb; /* enum template_verb */
	uint8_t all;  /* 1: every template, and id is ignored */
	uint8_t pad[2];
	char id[TEMPLATE_ID_LEN + 1];
	uint8_t pad2[3];
};

/* RETIRED: its answer to TEMPLATE_RETIRE, or still there for the tasks that came out of it. */
/* WARMING: no template yet, but the warm-up whose checkpoint it will come out of. */
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
	uint32_t parked, running; /* clones that wait for a task; that have one */
	uint64_t forks;		  /* tasks that were started from it */
	uint64_t created_ns, used_ns /* 0: never */; /* CLOCK_REALTIME */
	uint64_t memory_bytes;			     /* of the template itself, by its cgroup */
	uint32_t owner, pad4;			     /* whose tasks are forked from it */
	char key[65];				     /* of its checkpoint, hex */
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
	uint8_t pad[7];
	uint64_t cap; /* bytes kept of both streams together */
};

#define LOG_STREAM_OUT 1
#define LOG_STREAM_ERR 2
struct log_follow {
	struct proto_head h;
	char id[TASK_ID_LEN + 1];
	uint8_t streams; /* bit 0 stdout, bit 1 stderr */
	uint8_t follow;	 /* 1: until the end; 0: what is there now, then end frame */
	uint8_t live;	 /* 1: the front knows that the task has not ended: an unknown id waits */
	uint8_t pad[4];
	uint64_t cursor;   /* first index record to send: 0, or a frame's cursor + 1 */
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
	uint64_t lines, bytes, dropped; /* bytes seen; dropped of them not kept */
	uint64_t disk;			/* what the log's folder takes on the disk; 0: none */
};

/*
 * What a follower's socket carries, from the logger (or front) to sandboxctl. The
 * client writes nothing and does not shut its side down: either looks like a hang-up.
 */
enum log_frame_type {
	LOG_FRAME_OUT = 1,
	LOG_FRAME_ERR = 2,
	LOG_FRAME_DROPPED = 3, /* aux = bytes dropped; data: one uint64_t, the bytes kept so far */
	LOG_FRAME_END = 4,     /* nothing more will come; aux = 1: the log has really ended */
};
enum log_drop { LOG_DROP_LIMIT = 1, LOG_DROP_DISK = 2 /* the disk was full or failed */ };
#define LOG_FRAME_DATA_MAX 65536
struct log_frame {
	uint32_t len;	 /* bytes of data that follow this head */
	uint8_t type;	 /* enum log_frame_type */
	uint8_t partial; /* 1: cut by a reconnect or a since filter in the middle of a record */
	uint8_t reason;	 /* enum log_drop of a DROPPED frame, else 0 */
	uint8_t pad[1];
	uint64_t time_ns; /* CLOCK_REALTIME of arrival */
	uint64_t cursor;  /* index record of this frame */
	uint64_t aux;
};

/*
 * proto.c. Send one message (size from its head) with n fds; 0 or -errno
 * (-EAGAIN when the peer does not read: SOCK_NONBLOCK sockets; keep what did not go).
 * Receive: *ret_size bytes into buf, fds into fds (all O_CLOEXEC; unused -1; the
 * caller owns them). 0, -EAGAIN, -ECONNRESET at EOF, -EPROTO for anything that
 * proto_table does not list for (from, to), -EMFILE when this process has no room for
 * the message's fds (which is then lost), with all fds closed.
 */
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
/* Fills in version, type and size by the table; the message should be zeroed first. */
void proto_init(union proto_msg *m, enum proto_type type);
int proto_send(int sock, const union proto_msg *m, const int *fds, unsigned n_fds);
int proto_recv(int sock, enum proto_role from, enum proto_role to, union proto_msg *m,
	       int fds[PROTO_FDS_MAX], unsigned *ret_n_fds);
/* Pure check of one received message (fuzzed): 0 or -EPROTO. */
int proto_check(const void *buf, size_t len, enum proto_role from, enum proto_role to,
		unsigned n_fds);
int proto_socketpair(int fds[2]); /* SEQPACKET, CLOEXEC, NONBLOCK, large buffers */

/*
 * The control socket between sandboxctl and front: SOCK_STREAM, frames of a
 * little-endian u32 length (at most CONTROL_FRAME_MAX) and a JSON object of that
 * length; fds ride on the first byte of a frame. Requests: {"op": ..., ...}; answers
 * {"ok": true, ...} or {"ok": false, "code": err_code_name, "error": text}.
 * The table of ops is in supervisor/front/serve/control.h.
 */
#define CONTROL_FRAME_MAX (8u << 20)

#endif
