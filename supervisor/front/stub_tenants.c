#include "supervisor/front/internal.h"
#include "supervisor/front/schedule.h"
#include <string.h>
int project_load(struct front *f, struct err *e)
{
	(void)e;
	struct project *p = calloc(1, sizeof *p);
	strcpy(p->id, PROJECT_DEFAULT_ID);
	strcpy(p->name, "default");
	f->projects = p;
	return 0;
}
void project_clear(struct front *f)
{
	(void)f;
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
int schedule_load(struct front *f, struct err *e)
{
	(void)f;
	(void)e;
	return 0;
}
void schedule_end_code(struct front *f, struct project *p, const char *n)
{
	(void)f;
	(void)p;
	(void)n;
}
