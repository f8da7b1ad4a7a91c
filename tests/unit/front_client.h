/* SPDX-License-Identifier: Apache-2.0 */
/* A connection to the front's control socket like sandboxctl's: requests and answers. */
#ifndef TESTS_UNIT_FRONT_CLIENT_H
#define TESTS_UNIT_FRONT_CLIENT_H

#include "tests/unit/role_rig.h"

#include <endian.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "lib/fdpass.h"
#include "supervisor/front/front.h"
#include "wire/frame.h"

static void RIG_UNUSED rig_request_fds(int conn, const char *text, const int *fds, unsigned n)
{
	uint32_t len = htole32((uint32_t)strlen(text));
	char *body = strdup(text);
	struct iovec iov[2] = {{&len, sizeof(len)}, {body, strlen(text)}};

	assert_int_equal(fds_sendv(conn, iov, 2, fds, n, 0), 4 + strlen(text));
	free(body);
}

static void RIG_UNUSED rig_request(int conn, const char *text)
{
	rig_request_fds(conn, text, NULL, 0);
}

static json_t RIG_UNUSED *rig_reply(int conn)
{
	uint32_t len;
	char *text;
	json_t *reply;

	rig_readable(conn);
	assert_int_equal(util_read_all(conn, &len, sizeof(len)), 0);
	len = le32toh(len);
	assert_true(len > 0 && len <= CONTROL_FRAME_MAX);
	text = malloc(len);
	assert_int_equal(util_read_all(conn, text, len), 0);
	reply = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	free(text);
	assert_true(json_is_object(reply));
	return reply;
}

static const char RIG_UNUSED *rig_text(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

/* The answer must be an error of this code, with a text that holds what. */
static void RIG_UNUSED rig_expect_error(json_t *reply, const char *worker, const char *what)
{
	assert_true(json_is_false(json_object_get(reply, "ok")));
	if (!strstr(rig_text(reply, "error"), what))
		fail_msg("\"%s\" does not say \"%s\"", rig_text(reply, "error"), what);
	assert_string_equal(rig_text(reply, "code"), worker);
	json_decref(reply);
}

static void RIG_UNUSED rig_expect_event(int conn, const char *event, char *id)
{
	json_t *reply = rig_reply(conn);

	if (!json_is_true(json_object_get(reply, "ok")))
		fail_msg("%s: %s", event, rig_text(reply, "error"));
	assert_string_equal(rig_text(reply, "event"), event);
	if (id)
		(void)snprintf(id, TASK_ID_LEN + 1, "%s", rig_text(reply, "id"));
	json_decref(reply);
}

#endif
