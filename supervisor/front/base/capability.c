// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/base/capability.h"

int capability_load_all(struct front *f, struct err *e)
{
	for (const struct capability *const *c = f->capabilities; *c; c++) {
		int r = (*c)->load ? (*c)->load(f, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

int capability_start_all(struct front *f, struct err *e)
{
	for (const struct capability *const *c = f->capabilities; *c; c++) {
		int r = (*c)->start ? (*c)->start(f, e) : 0;

		if (r < 0)
			return r;
	}
	return 0;
}

void capability_stop_all(struct front *f)
{
	for (const struct capability *const *c = f->capabilities; *c; c++)
		if ((*c)->stop)
			(*c)->stop(f);
}

static unsigned count(const struct front *f)
{
	unsigned n = 0;

	while (f->capabilities[n])
		n++;
	return n;
}

void capability_turn_all(struct front *f)
{
	for (unsigned n = count(f); n-- > 0;)
		if (f->capabilities[n]->turn)
			f->capabilities[n]->turn(f);
}

void capability_clear_all(struct front *f)
{
	for (unsigned n = count(f); n-- > 0;)
		if (f->capabilities[n]->clear)
			f->capabilities[n]->clear(f);
}

char *capability_metrics(struct front *f, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	for (const struct capability *const *c = f->capabilities; *c; c++)
		if ((*c)->metrics)
			(*c)->metrics(f, out);
	if (fclose(out) != 0)
		util_free_ptr(&text);
	return text;
}
