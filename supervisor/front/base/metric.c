// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/base/metric.h"

#include "supervisor/front/base/base.h"

void metric_head(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP sandboxd_%s %s\n# TYPE sandboxd_%s %s\n", name, help, name,
		      type);
}

void metric_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	metric_head(out, name, type, help);
	(void)fprintf(out, "sandboxd_%s %llu\n", name, (unsigned long long)value);
}

/* What a label's value may not hold as it is. */
void metric_label(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			(void)fputc('\\', out);
		if (*text == '\n')
			(void)fputs("\\n", out);
		else
			(void)fputc(*text, out);
	}
}

void metric_seconds(FILE *out, const char *name, uint64_t ns)
{
	(void)fprintf(out, "sandboxd_%s %llu.%09llu\n", name, (unsigned long long)(ns / SEC),
		      (unsigned long long)(ns % SEC));
}
