// SPDX-License-Identifier: Apache-2.0
/*
 * Requests to criu and its answers, in the format of criu's images/rpc.proto, each of them one
 * message of a socket. An answer is trusted as little as criu is.
 */
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "sandbox/criu.h"
#include "sandbox/protobuf.h"

/* Field numbers and values of rpc.proto. */
enum { REQ_TYPE = 1, REQ_OPTS = 2 };
enum { TYPE_DUMP = 1, TYPE_RESTORE = 2 };
enum {
	OPT_IMAGES_DIR_FD = 1,
	OPT_PID = 2,
	OPT_LOG_LEVEL = 9,
	OPT_MANAGE_CGROUPS = 24,
	OPT_INHERIT_FD = 27,
	OPT_MANAGE_CGROUPS_MODE = 34,
	OPT_EXTERNAL = 37,
	OPT_TIMEOUT = 45,
	OPT_NETWORK_LOCK = 64,
	OPT_UNPRIVILEGED = 67,
	OPT_IMAGES_DIR = 68,
	OPT_LEAVE_STOPPED = 69,
	OPT_LOG_TO_STDERR = 71,
};
enum { INHERIT_KEY = 1, INHERIT_FD = 2 };
enum { RESP_TYPE = 1, RESP_SUCCESS = 2, RESP_RESTORE = 4, RESP_ERRNO = 7 };
enum { RESTORE_PID = 1 };
#define CGROUPS_IGNORE 0
#define NETWORK_LOCK_SKIP 3
#define LOG_ERRORS 1

static void put_pipe(struct pb_out *opts, const struct criu_request *req, int i)
{
	char key[64];
	uint8_t buf[128];
	struct pb_out inherit = {.buf = buf, .size = sizeof(buf)};

	(void)snprintf(key, sizeof(key), "pipe:[%llu]", (unsigned long long)req->pipes[i]);
	if (req->dump) {
		pb_put_text(opts, OPT_EXTERNAL, key);
		return;
	}
	pb_put_text(&inherit, INHERIT_KEY, key);
	pb_put(&inherit, INHERIT_FD, (uint64_t)req->pipes_fd + (uint64_t)i);
	pb_put_bytes(opts, OPT_INHERIT_FD, buf, inherit.n);
}

static int send_request(int sock, const struct criu_request *req, struct err *e)
{
	uint8_t opts_buf[1024], buf[1100];
	struct pb_out opts = {.buf = opts_buf, .size = sizeof(opts_buf)};
	struct pb_out out = {.buf = buf, .size = sizeof(buf)};
	char images[32];

	/*
	 * criu opens the folder by its own descriptor's number. The field images_dir_fd cannot be
	 * used: criu would look that number up among the caller's descriptors in /proc, which are
	 * root's and closed to it.
	 */
	(void)snprintf(images, sizeof(images), "/proc/self/fd/%d", req->images_fd);
	pb_put(&opts, OPT_IMAGES_DIR_FD, UINT64_MAX); /* -1 */
	pb_put_text(&opts, OPT_IMAGES_DIR, images);
	pb_put(&opts, OPT_LOG_LEVEL, LOG_ERRORS);
	pb_put(&opts, OPT_LOG_TO_STDERR, 1);
	pb_put(&opts, OPT_MANAGE_CGROUPS, 0);
	pb_put(&opts, OPT_MANAGE_CGROUPS_MODE, CGROUPS_IGNORE);
	pb_put(&opts, OPT_NETWORK_LOCK, NETWORK_LOCK_SKIP);
	pb_put(&opts, OPT_UNPRIVILEGED, 1);
	for (int i = 0; i < req->n_pipes; i++)
		put_pipe(&opts, req, i);
	if (req->dump) {
		pb_put(&opts, OPT_PID, (uint64_t)req->pid);
		pb_put(&opts, OPT_TIMEOUT, req->timeout_s);
	} else {
		pb_put(&opts, OPT_LEAVE_STOPPED, 1);
	}
	pb_put(&out, REQ_TYPE, req->dump ? TYPE_DUMP : TYPE_RESTORE);
	pb_put_bytes(&out, REQ_OPTS, opts_buf, opts.n);
	if (opts.full || out.full)
		return err_set(e, ERR_INTERNAL, 0, "criu: a request of more than %zu bytes",
			       sizeof(buf));
	if (send(sock, buf, out.n, MSG_NOSIGNAL) != (ssize_t)out.n)
		return err_set(e, ERR_SYSTEM, errno, "criu has ended");
	return 0;
}

int criu_read_answer(const void *buf, size_t n, bool dump, pid_t *ret, struct err *e)
{
	const struct pb_in in = {buf, (const uint8_t *)buf + n};
	struct pb_field type, success, restore, pid, number = {0};

	if (pb_find(in, RESP_TYPE, PB_VARINT, &type) != 1 ||
	    type.value != (dump ? TYPE_DUMP : TYPE_RESTORE) ||
	    pb_find(in, RESP_SUCCESS, PB_VARINT, &success) != 1 ||
	    pb_find(in, RESP_ERRNO, PB_VARINT, &number) < 0)
		return err_set(e, ERR_SYSTEM, EPROTO,
			       "criu: its answer does not have the format of rpc.proto");
	if (!success.value) {
		(void)err_set(e, ERR_SYSTEM, (int)(number.value & 0xfff),
			      "criu: it says that it has failed");
		return -EBADMSG;
	}
	*ret = 0;
	if (dump)
		return 0;
	if (pb_find(in, RESP_RESTORE, PB_BYTES, &restore) != 1 ||
	    pb_find(restore.bytes, RESTORE_PID, PB_VARINT, &pid) != 1 || pid.value > INT32_MAX)
		return err_set(e, ERR_SYSTEM, EPROTO,
			       "criu: its answer does not have the format of rpc.proto");
	*ret = (pid_t)pid.value;
	return 0;
}

int criu_ask(int sock, const struct criu_request *req, pid_t *ret, struct err *e)
{
	uint8_t buf[4096];
	int r = send_request(sock, req, e);
	ssize_t n;

	if (r < 0)
		return r;
	do {
		n = recv(sock, buf, sizeof(buf), 0);
	} while (n < 0 && errno == EINTR);
	if (n <= 0)
		return err_set(e, ERR_SYSTEM, n < 0 ? errno : 0, "criu: %s",
			       n < 0 ? "it does not answer" : "it has ended without answering");
	return criu_read_answer(buf, (size_t)n, req->dump, ret, e);
}
