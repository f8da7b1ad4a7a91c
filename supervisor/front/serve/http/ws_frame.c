// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/serve/http/ws_frame.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define FIN 0x80u
#define RESERVED 0x70u
#define OPCODE 0x0fu
#define MASKED 0x80u
#define LENGTH 0x7fu
#define MASK_BYTES 4u
#define KEY_LEN 24 /* base64 of 16 bytes */
/* RFC 6455, 1.3. */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

static bool is_control(unsigned opcode)
{
	return opcode & 0x8u;
}

/* How many bytes the head has, of which two are there. */
static unsigned head_len(const uint8_t *head)
{
	const unsigned len = head[1] & LENGTH;

	return 2 + (len == 127 ? 8 : len == 126 ? 2 : 0) + (head[1] & MASKED ? MASK_BYTES : 0);
}

/* The first two bytes are there. */
static unsigned check_begin(const struct ws_in *in)
{
	const unsigned opcode = in->head[0] & OPCODE, len = in->head[1] & LENGTH;
	const bool fin = in->head[0] & FIN;

	/* No extension was agreed on that would give the reserved bits a meaning. */
	if (in->head[0] & RESERVED || !(in->head[1] & MASKED || in->may_be_plain))
		return WS_PROTOCOL;
	if (is_control(opcode))
		return opcode <= WS_PONG && fin && len <= WS_CONTROL_MAX ? 0 : WS_PROTOCOL;
	if (opcode > WS_BINARY || (opcode == WS_CONTINUATION) != in->in_message)
		return WS_PROTOCOL;
	return 0;
}

/* The head is whole. */
static unsigned read_len(struct ws_in *in)
{
	const unsigned len = in->head[1] & LENGTH, n = len == 127 ? 8 : len == 126 ? 2 : 0;

	in->len = len;
	in->got = 0;
	if (n > 0) {
		in->len = 0;
		for (unsigned i = 0; i < n; i++)
			in->len = in->len << 8 | in->head[2 + i];
		/* It is written as short as it can be. */
		if (in->len < (n == 2 ? 126 : 1u << 16) || in->len >> 63)
			return WS_PROTOCOL;
	}
	if (is_control(in->head[0] & OPCODE))
		return 0;
	if (in->len > WS_MESSAGE_MAX - in->message)
		return WS_TOO_BIG;
	in->message += in->len;
	return 0;
}

static void frame_end(struct ws_in *in, ws_control_fn fn, void *arg)
{
	const unsigned opcode = in->head[0] & OPCODE;

	in->n_head = 0;
	if (is_control(opcode)) {
		fn(arg, (enum ws_opcode)opcode, in->control, in->len);
		return;
	}
	in->in_message = !(in->head[0] & FIN);
	if (!in->in_message)
		in->message = 0;
}

/* Bytes of the payload; returns how many. */
static size_t take_payload(struct ws_in *in, const uint8_t *bytes, size_t len)
{
	static const uint8_t plain[MASK_BYTES];
	const uint8_t *mask =
		in->head[1] & MASKED ? in->head + head_len(in->head) - MASK_BYTES : plain;
	const size_t n = len < in->len - in->got ? len : (size_t)(in->len - in->got);

	if (is_control(in->head[0] & OPCODE))
		for (size_t i = 0; i < n; i++)
			in->control[in->got + i] = bytes[i] ^ mask[(in->got + i) % MASK_BYTES];
	in->got += n;
	return n;
}

unsigned ws_feed(struct ws_in *in, const uint8_t *bytes, size_t len, ws_control_fn fn, void *arg)
{
	size_t at = 0;
	unsigned status;

	while (at < len) {
		if (in->n_head < 2 || in->n_head < head_len(in->head)) {
			in->head[in->n_head++] = bytes[at++];
			status = in->n_head == 2 ? check_begin(in) : 0;
			if (!status && in->n_head >= 2 && in->n_head == head_len(in->head))
				status = read_len(in);
			if (status)
				return status;
			if (in->n_head < 2 || in->n_head < head_len(in->head) || in->len > 0)
				continue;
		} else {
			at += take_payload(in, bytes + at, len - at);
		}
		if (in->got == in->len)
			frame_end(in, fn, arg);
	}
	return 0;
}

unsigned ws_head(enum ws_opcode op, uint64_t len, uint8_t head[WS_HEAD_MAX])
{
	unsigned n = len < 126 ? 0 : len < 1u << 16 ? 2 : 8;

	head[0] = (uint8_t)(FIN | op);
	head[1] = (uint8_t)(n == 0 ? len : n == 2 ? 126 : 127);
	for (unsigned i = 0; i < n; i++)
		head[2 + i] = (uint8_t)(len >> 8 * (n - 1 - i));
	return 2 + n;
}

int ws_accept(const char *key, char ret[WS_ACCEPT_LEN + 1])
{
	unsigned char bytes[KEY_LEN], digest[EVP_MAX_MD_SIZE];
	char text[KEY_LEN + sizeof(ACCEPT_GUID)];
	unsigned len = 0;

	/* Sixteen bytes end in "==". */
	if (!key || strlen(key) != KEY_LEN || strcmp(key + KEY_LEN - 2, "==") != 0 ||
	    EVP_DecodeBlock(bytes, (const unsigned char *)key, KEY_LEN) < 0)
		return -EINVAL;
	(void)snprintf(text, sizeof(text), "%s%s", key, ACCEPT_GUID);
	if (EVP_Digest(text, strlen(text), digest, &len, EVP_sha1(), NULL) != 1)
		return -EIO;
	(void)EVP_EncodeBlock((unsigned char *)ret, digest, (int)len);
	return 0;
}

bool ws_list_has(const char *list, const char *word)
{
	const size_t len = strlen(word);

	while (list && *list) {
		const size_t n = strcspn(list, " \t,");

		if (n == len && strncasecmp(list, word, n) == 0)
			return true;
		list += n + strspn(list + n, " \t,");
	}
	return false;
}
