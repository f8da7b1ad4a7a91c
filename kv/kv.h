/* SPDX-License-Identifier: Apache-2.0 */
/* A file of keys and values of its own, for workers that run without a front that would keep them. */
#ifndef KV_KV_H
#define KV_KV_H

#include "kv/ask.h"

struct kv;
/* Made where it is not there, with the folder that is there. ":memory:" is no file. */
int kv_open(const char *path, struct kv **ret, struct err *e);
void kv_close(struct kv *kv); /* NULL: nothing */
/*
 * Answers what is asked of a namespace, which needs not be made before. What was put is in the file when
 * it is answered, whatever becomes of this process. head and body are the frame's; *reply was zeroed, and
 * is the caller's to clear.
 */
void kv_answer(struct kv *kv, const char *namespace, const json_t *head, const void *body,
	       size_t len, struct kv_reply *reply);

#endif
