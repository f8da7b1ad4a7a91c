#include "supervisor/front/internal.h"
#include "supervisor/front/schedule.h"
#include <stdio.h>
#include <string.h>
static void mk(struct front *f, const char *n, int c)
{
	struct project *q = calloc(1, sizeof *q);
	snprintf(q->name, sizeof q->name, "%s", n);
	memset(q->id, c, 24);
	q->next = f->projects;
	f->projects = q;
}
int project_load(struct front *f, struct err *e)
{
	(void)e;
	mk(f, "default", '0');
	mk(f, "a", '7');
	mk(f, "b", '8');
	return 0;
}
void project_clear(struct front *f)
{
	while (f->projects) {
		struct project *p = f->projects;

		f->projects = p->next;
		schedule_free_all(p);
		code_free_all(p);
		free(p);
	}
}
struct project *project_by_id(struct front *f, const char *id)
{
	for (struct project *p = f->projects; p; p = p->next)
		if (!strcmp(p->id, id))
			return p;
	return NULL;
}
void project_bound_limits(const struct project *p, struct limits *l)
{
	(void)p;
	(void)l;
}
struct project *project_find(struct front *f, const char *n)
{
	for (struct project *p = f->projects; p; p = p->next)
		if (!strcmp(p->name, n))
			return p;
	return NULL;
}
int project_create(struct front *f, const char *name, const struct quota *q,
		   char token[TOKEN_LEN + 1], struct project **ret, struct err *e)
{
	(void)e;
	(void)q;
	token[0] = 0;
	*ret = project_find(f, name);
	return 0;
}
