/* SPDX-License-Identifier: Apache-2.0 */
/* Lines of /metrics, in Prometheus' text format; names are without "sandboxd_". */
#ifndef SUPERVISOR_FRONT_BASE_METRIC_H
#define SUPERVISOR_FRONT_BASE_METRIC_H

#include <stdint.h>
#include <stdio.h>

/* What stands before the values of one metric. type: "counter", "gauge" or "histogram". */
void metric_head(FILE *out, const char *name, const char *type, const char *help);
/* A metric of one value. */
void metric_one(FILE *out, const char *name, const char *type, const char *help, uint64_t value);
/* A label's value, without its quotes. */
void metric_label(FILE *out, const char *text);
/* A value of a metric that counts seconds. */
void metric_seconds(FILE *out, const char *name, uint64_t ns);

#endif
