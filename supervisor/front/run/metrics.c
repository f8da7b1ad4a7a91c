// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/run/metrics.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

#include "supervisor/front/run/run.h"

/* Upper bounds in microseconds, and as Prometheus writes them; the last one is all. */
static const struct {
	uint64_t us;
	const char *le;
} buckets[METRICS_BUCKETS] = {
	{500, "0.0005"}, {1000, "0.001"}, {2000, "0.002"}, {3000, "0.003"},	 {5000, "0.005"},
	{10000, "0.01"}, {20000, "0.02"}, {50000, "0.05"}, {100000, "0.1"},	 {250000, "0.25"},
	{500000, "0.5"}, {1000000, "1"},  {5000000, "5"},  {UINT64_MAX, "+Inf"},
};

static void on_started(struct front *f, struct task *t)
{
	const uint32_t mode = t->rec.start_mode;
	const uint64_t us = t->rec.start_us;

	/* 0: it is not known. */
	if (mode >= START_MODE_MAX || us == 0)
		return;
	f->run->metrics.starts[mode].n++;
	f->run->metrics.starts[mode].sum_us += us;
	for (unsigned i = 0; i < METRICS_BUCKETS; i++)
		if (us <= buckets[i].us)
			f->run->metrics.starts[mode].buckets[i]++;
}

static void on_over(struct front *f, struct task *t)
{
	const struct task_record *rec = &t->rec;

	if (rec->verdict < VERDICT_MAX)
		f->run->metrics.verdicts[rec->verdict]++;
	if (!rec->log_known)
		return;
	f->run->metrics.log_lines += rec->log_lines;
	f->run->metrics.log_bytes += rec->log_bytes;
	f->run->metrics.log_dropped += rec->log_dropped;
}

const struct listener metrics_listener = {.started = on_started, .over = on_over};

void metrics_answered(struct front *f, unsigned status)
{
	if (status < METRICS_STATUS_MAX)
		f->run->metrics.answers[status]++;
}

void metrics_logger_started(struct front *f)
{
	f->run->metrics.logger_starts++;
}

/* Of a turn of the loop, as above. */
static const struct {
	uint64_t ns;
	const char *le;
} turn_buckets[METRICS_TURN_BUCKETS] = {
	{100000, "0.0001"}, {500000, "0.0005"}, {1000000, "0.001"},   {2000000, "0.002"},
	{5000000, "0.005"}, {20000000, "0.02"}, {UINT64_MAX, "+Inf"},
};

void metrics_turn(struct front *f, uint64_t ns)
{
	f->run->metrics.turns.n++;
	f->run->metrics.turns.sum_ns += ns;
	if (ns > f->run->metrics.turns.most_ns)
		f->run->metrics.turns.most_ns = ns;
	for (unsigned i = 0; i < METRICS_TURN_BUCKETS; i++)
		if (ns <= turn_buckets[i].ns)
			f->run->metrics.turns.buckets[i]++;
}

static void head(FILE *out, const char *name, const char *type, const char *help)
{
	(void)fprintf(out, "# HELP sandboxd_%s %s\n# TYPE sandboxd_%s %s\n", name, help, name,
		      type);
}

static void one(FILE *out, const char *name, const char *type, const char *help, uint64_t value)
{
	head(out, name, type, help);
	(void)fprintf(out, "sandboxd_%s %llu\n", name, (unsigned long long)value);
}

/* What a label's value may not hold as it is. */
static void label_value(FILE *out, const char *text)
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

/* `what` is "queued" or "running". */
static void by_project(FILE *out, struct front *f, const char *name, const char *help, bool queued)
{
	head(out, name, "gauge", help);
	for (const struct project *p = f->core->projects; p; p = p->next) {
		(void)fprintf(out, "sandboxd_%s{project=\"", name);
		label_value(out, p->name);
		(void)fprintf(out, "\"} %u\n", queued ? p->n_queued : p->n_running);
	}
}

static void write_queue(FILE *out, struct front *f)
{
	struct queue_counts counts = {0};

	queue_counts(f, &counts);
	head(out, "tasks", "gauge", "Tasks that have not ended, by state.");
	(void)fprintf(out,
		      "sandboxd_tasks{state=\"queued\"} %llu\n"
		      "sandboxd_tasks{state=\"delayed\"} %llu\n"
		      "sandboxd_tasks{state=\"preparing\"} %llu\n"
		      "sandboxd_tasks{state=\"running\"} %llu\n",
		      (unsigned long long)counts.queued, (unsigned long long)counts.delayed,
		      (unsigned long long)counts.preparing, (unsigned long long)counts.running);
	by_project(out, f, "project_queued_tasks", "Tasks of a project that wait.", true);
	by_project(out, f, "project_running_tasks", "Tasks of a project that have a slot.", false);
	one(out, "running_tasks_limit", "gauge", "Tasks at a time that this node runs at most.",
	    f->cfg.running_max);
}

static void write_starts(FILE *out, const struct metrics *m)
{
	static const char name[] = "task_start_seconds";

	head(out, name, "histogram",
	     "From a task's request to its first user bytecode, by start mode; since this front "
	     "started.");
	for (unsigned i = 0; i < START_MODE_MAX; i++) {
		const char *mode = start_mode_name((enum start_mode)i);

		if (i == START_AUTO)
			continue;
		for (unsigned b = 0; b < METRICS_BUCKETS; b++)
			(void)fprintf(out, "sandboxd_%s_bucket{mode=\"%s\",le=\"%s\"} %llu\n", name,
				      mode, buckets[b].le,
				      (unsigned long long)m->starts[i].buckets[b]);
		(void)fprintf(out,
			      "sandboxd_%s_sum{mode=\"%s\"} %llu.%06llu\n"
			      "sandboxd_%s_count{mode=\"%s\"} %llu\n",
			      name, mode, (unsigned long long)m->starts[i].sum_us / 1000000,
			      (unsigned long long)m->starts[i].sum_us % 1000000, name, mode,
			      (unsigned long long)m->starts[i].n);
	}
}

static void write_ends(FILE *out, const struct metrics *m)
{
	head(out, "task_verdicts_total", "counter",
	     "Tasks that have ended, by verdict; since this front started.");
	for (unsigned i = VERDICT_NONE + 1; i < VERDICT_MAX; i++)
		(void)fprintf(out, "sandboxd_task_verdicts_total{verdict=\"%s\"} %llu\n",
			      verdict_name((enum verdict)i), (unsigned long long)m->verdicts[i]);
	one(out, "log_lines_total", "counter",
	    "Lines of the logs of ended tasks; since this front started.", m->log_lines);
	one(out, "log_bytes_total", "counter",
	    "Bytes of the logs of ended tasks; since this front started.", m->log_bytes);
	one(out, "log_dropped_bytes_total", "counter",
	    "Bytes of them that were not kept; since this front started.", m->log_dropped);
}

static void seconds(FILE *out, const char *name, uint64_t ns)
{
	(void)fprintf(out, "sandboxd_%s %llu.%09llu\n", name, (unsigned long long)(ns / SEC),
		      (unsigned long long)(ns % SEC));
}

static void write_turns(FILE *out, struct front *f)
{
	static const char name[] = "front_turn_seconds", most[] = "front_turn_longest_seconds";
	const struct metrics *m = &f->run->metrics;

	head(out, name, "histogram",
	     "Processor time of one turn of the front's loop, in which nobody else is served; "
	     "since this front started.");
	for (unsigned i = 0; i < METRICS_TURN_BUCKETS; i++)
		(void)fprintf(out, "sandboxd_%s_bucket{le=\"%s\"} %llu\n", name, turn_buckets[i].le,
			      (unsigned long long)m->turns.buckets[i]);
	seconds(out, "front_turn_seconds_sum", m->turns.sum_ns);
	(void)fprintf(out, "sandboxd_%s_count %llu\n", name, (unsigned long long)m->turns.n);
	head(out, most, "gauge", "The longest of them; since this front started.");
	seconds(out, most, m->turns.most_ns);
	one(out, "front_works_waiting", "gauge",
	    "Requests and long works that wait for a turn of the front's loop.", turn_waiting(f));
}

static void write_http(FILE *out, const struct front *f, const struct metrics_http *http)
{
	head(out, "http_responses_total", "counter",
	     "Answers by HTTP status; since this front started.");
	for (unsigned i = 0; i < METRICS_STATUS_MAX; i++)
		if (f->run->metrics.answers[i])
			(void)fprintf(out, "sandboxd_http_responses_total{code=\"%u\"} %llu\n", i,
				      (unsigned long long)f->run->metrics.answers[i]);
	one(out, "http_connections", "gauge", "Open HTTP connections.", http->connections);
	one(out, "http_log_streams", "gauge", "Logs that are being read over HTTP.",
	    http->log_streams);
}

static uint64_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n > 3 ? n - 3 : 0; /* ".", ".." and its own */
}

static uint64_t resident_bytes(void)
{
	unsigned long long size = 0, resident = 0;
	FILE *in = fopen("/proc/self/statm", "re");

	if (!in)
		return 0;
	if (fscanf(in, "%llu %llu", &size, &resident) != 2) /* NOLINT(cert-err34-c) */
		resident = 0;
	(void)fclose(in);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void write_roles(FILE *out, struct front *f)
{
	head(out, "build_info", "gauge", "The version that runs; always 1.");
	(void)fprintf(out, "sandboxd_build_info{version=\"" SANDBOXD_VERSION "\"} 1\n");
	head(out, "role_up", "gauge", "1 when the front is connected to the role, or is it.");
	(void)fprintf(out,
		      "sandboxd_role_up{role=\"front\"} 1\n"
		      "sandboxd_role_up{role=\"monitor\"} %d\n"
		      "sandboxd_role_up{role=\"logger\"} %d\n",
		      f->run->monitor.sock >= 0 && f->run->ready, f->run->logger.sock >= 0);
	head(out, "role_restarts_total", "counter",
	     "Times that another logger came; since this front started.");
	(void)fprintf(out, "sandboxd_role_restarts_total{role=\"logger\"} %llu\n",
		      (unsigned long long)f->run->metrics.logger_starts -
			      (f->run->metrics.logger_starts > 0));
	head(out, "role_start_time_seconds", "gauge", "Unix time at which the role started.");
	(void)fprintf(out, "sandboxd_role_start_time_seconds{role=\"front\"} %llu.%03llu\n",
		      (unsigned long long)(f->started_ns / SEC),
		      (unsigned long long)(f->started_ns % SEC / MSEC));
	head(out, "role_resident_memory_bytes", "gauge", "Memory of the role.");
	(void)fprintf(out, "sandboxd_role_resident_memory_bytes{role=\"front\"} %llu\n",
		      (unsigned long long)resident_bytes());
	head(out, "role_open_fds", "gauge", "Open descriptors of the role.");
	(void)fprintf(out, "sandboxd_role_open_fds{role=\"front\"} %llu\n",
		      (unsigned long long)count_fds());
}

char *metrics_text(struct front *f, const struct metrics_http *http, size_t *ret_len)
{
	char *text = NULL;
	FILE *out = open_memstream(&text, ret_len);

	if (!out)
		return NULL;
	write_queue(out, f);
	write_starts(out, &f->run->metrics);
	write_ends(out, &f->run->metrics);
	write_turns(out, f);
	write_http(out, f, http);
	write_roles(out, f);
	if (fclose(out) != 0)
		util_free_ptr(&text);
	return text;
}
