// SPDX-License-Identifier: Apache-2.0
#include "spec/service_manifest.h"

#include <string.h>

#include "lib/limits.h"
#include "spec/field.h"

#define PROCESS_NAME_MAX 32
#define PATH_TEXT_MAX 1024
#define ENTRY_TEXT_MAX 256
#define WARNINGS_MAX 100
#define WARNING_TEXT_MAX 4000
#define START_S 60u
#define DRAIN_S 30u

bool service_is_app(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "-", SERVICE_APP_MAX) && s[0] != '-' &&
	       s[strlen(s) - 1] != '-';
}

bool service_is_name(const char *s)
{
	return field_made_of(s, FIELD_LOWER FIELD_DIGITS "_", SERVICE_NAME_MAX);
}

bool service_is_variable(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_", SERVICE_ENV_NAME_MAX) &&
	       !strchr(FIELD_DIGITS, s[0]) && strncmp(s, "DOTCLOUD_", strlen("DOTCLOUD_")) != 0;
}

static bool is_process_name(const char *s)
{
	return field_made_of(s, FIELD_ALNUM "_.-", PROCESS_NAME_MAX) && s[0] != '-' && s[0] != '.';
}

/* Whether a path stays below the folder in which it begins. */
static bool is_inside(const char *path)
{
	if (*path == '\0' || *path == '/')
		return false;
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && strncmp(path, "..", n) == 0)
			return false;
		path += n;
		path += strspn(path, "/");
	}
	return true;
}

static bool is_entry(const char *s)
{
	const char *colon = strchr(s, ':');

	return colon && colon != s && colon[1] && !strchr(colon + 1, ':') &&
	       strspn(s, FIELD_ALNUM "_.:") == strlen(s) && s[0] != '_';
}

/* What stands in the first line of a request. */
static bool is_path(const char *s)
{
	if (*s != '/')
		return false;
	for (; *s; s++)
		if (*s <= ' ' || *s >= 0x7f)
			return false;
	return true;
}

const char *service_type_name(enum service_type type)
{
	static const char *const names[SERVICE_TYPES] = {"python", "python-worker", "custom",
							 "static"};

	return type < SERVICE_TYPES ? names[type] : "unknown";
}

/* One of the words, by its number; without where there is none. */
static unsigned read_word(struct json_strict *s, const char *key, const char *const *words,
			  unsigned n, unsigned without)
{
	const char *word = field_word(s, key, words, n, NULL);

	for (unsigned i = 0; word && i < n; i++)
		if (strcmp(word, words[i]) == 0)
			return i;
	return without;
}

static void read_head(struct json_strict *s, struct service_manifest *m)
{
	static const char *const types[SERVICE_TYPES] = {"python", "python-worker", "custom",
							 "static"};
	int64_t format;

	if (!json_strict_int(s, "format", 1, 1, &format))
		(void)json_strict_fail(s, "format", "is missing");
	m->app = field_string(
		s, "app", PATH_TEXT_MAX, true, service_is_app,
		"must have 1 to 40 of the characters a-z, 0-9 and '-', and neither begin "
		"nor end with '-', because it is a part of a host's name");
	m->name = field_string(s, "name", PATH_TEXT_MAX, true, service_is_name,
			       "must have 1 to 16 of the characters a-z, 0-9 and '_'");
	m->type = read_word(s, "type", types, SERVICE_TYPES, SERVICE_TYPES);
	if (m->type == SERVICE_TYPES)
		(void)json_strict_fail(s, "type", "is missing");
	m->approot = field_string(s, "approot", PATH_TEXT_MAX, false, is_inside,
				  "must be a folder below the one that was sent, without \"..\"");
	if (!m->approot)
		m->approot = ".";
	m->python = field_string(s, "python", 64, false, field_is_python,
				 "must be a version such as 3.11");
	m->instances = field_count(s, "instances", 1, SERVICE_INSTANCES_MAX, 1);
	(void)field_string(s, "postinstall", SERVICE_COMMAND_MAX, false, NULL, NULL);
}

/* module.name: the parts of a Python name, two at least. */
static bool is_worker(const char *s)
{
	size_t parts = 0;

	for (;;) {
		const size_t n = strspn(s, FIELD_ALNUM "_");

		if (n == 0 || strchr(FIELD_DIGITS, *s))
			return false;
		parts++;
		s += n;
		if (!*s)
			return parts >= 2;
		if (*s++ != '.')
			return false;
	}
}

static void read_background(struct json_strict *s, struct service_manifest *m)
{
	struct service_background *b = &m->background;
	struct json_strict in;
	json_t *list;

	if (!json_strict_object(s, "background", &in))
		return;
	b->is = true;
	(void)field_string(&in, "worker", ENTRY_TEXT_MAX, true, is_worker,
			   "must be a module and a worker in it, such as mail.send");
	list = json_strict_array(&in, "siblings", SERVICE_SIBLINGS_MAX);
	for (size_t i = 0; i < json_array_size(list); i++)
		(void)json_strict_item_string(&in, "siblings", i, ENTRY_TEXT_MAX);
	b->attempts = field_count(&in, "attempts", 1, SERVICE_ATTEMPTS_MAX, 5);
	b->limit_s = field_count(&in, "limit_s", 1, SERVICE_LIMIT_MAX, 3600);
	b->backoff_s = field_count(&in, "backoff_s", 0, SERVICE_LIMIT_MAX, 1);
	b->backoff_max_s = field_count(&in, "backoff_max_s", 0, SERVICE_LIMIT_MAX, 300);
	(void)json_strict_end(&in);
}

static void read_processes(struct json_strict *s, const struct service_manifest *m)
{
	json_t *list = json_strict_array(s, "processes", SERVICE_PROCESSES_MAX);
	const char *entry = field_string(s, "entry", ENTRY_TEXT_MAX, false, is_entry,
					 "must be module:function");

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct json_strict item;
		const char *name;

		if (!json_strict_item_object(s, "processes", i, &item))
			return;
		name = field_string(&item, "name", PATH_TEXT_MAX, true, is_process_name,
				    "must have 1 to 32 letters, digits, '_', '.' and '-'");
		(void)field_string(&item, "command", SERVICE_COMMAND_MAX, true, NULL, NULL);
		for (size_t j = 0; name && j < i; j++)
			if (strcmp(name, json_string_value(json_object_get(json_array_get(list, j),
									   "name"))) == 0)
				(void)json_strict_fail(&item, "name",
						       "another process has this name");
		if (json_strict_end(&item) < 0)
			return;
	}
	if (s->status == 0 && m->background.is &&
	    (entry || json_array_size(list) || m->type != SERVICE_PYTHON_WORKER))
		(void)json_strict_fail(s, "background",
				       "is in place of entry and processes, of the type "
				       "python-worker");
	if (s->status == 0 && !entry && !m->background.is && json_array_size(list) == 0 &&
	    (m->type == SERVICE_CUSTOM || m->type == SERVICE_PYTHON_WORKER))
		(void)json_strict_fail(s, "processes",
				       "must have at least one: a service of the "
				       "type %s does nothing else",
				       service_type_name(m->type));
}

/* {"NAME": "text"} */
static void read_environment(struct json_strict *s, struct service_manifest *m)
{
	json_t *all = json_strict_get(s, "environment"), *value;
	const char *name;

	if (!all)
		return;
	if (!json_is_object(all) || json_object_size(all) > SERVICE_ENV_MAX) {
		(void)json_strict_fail(s, "environment", "must be an object of at most %d texts",
				       SERVICE_ENV_MAX);
		return;
	}
	json_object_foreach(all, name, value)
	{
		if (!service_is_variable(name))
			(void)json_strict_fail(s, "environment",
					       "%.60s: must be a name of letters, digits and '_', "
					       "which does not begin with DOTCLOUD_",
					       name);
		else if (!json_is_string(value) || json_string_length(value) > SERVICE_ENV_TEXT_MAX)
			(void)json_strict_fail(s, "environment",
					       "%.60s: must be a text of at most %u bytes", name,
					       SERVICE_ENV_TEXT_MAX);
	}
	m->environment = all;
}

static void read_config(struct json_strict *s)
{
	json_t *all = json_strict_get(s, "config"), *value;
	const char *name;

	if (!all)
		return;
	if (!json_is_object(all) || json_object_size(all) > SERVICE_CONFIG_MAX) {
		(void)json_strict_fail(s, "config", "must be an object of at most %d values",
				       SERVICE_CONFIG_MAX);
		return;
	}
	json_object_foreach(all, name, value)
	{
		if (!field_made_of(name, FIELD_LOWER FIELD_DIGITS "_", 64))
			(void)json_strict_fail(s, "config",
					       "%.60s: must be a name of a-z, 0-9 and '_'", name);
		else if (!json_is_boolean(value) && !json_is_number(value) &&
			 (!json_is_string(value) ||
			  json_string_length(value) > SERVICE_COMMAND_MAX))
			(void)json_strict_fail(s, "config",
					       "%.60s: must be a text, a number, true or false",
					       name);
	}
}

static void read_port(struct json_strict *s, struct service_port *p)
{
	static const char *const kinds[SERVICE_PORT_KINDS] = {"http", "tcp", "udp"};
	static const char *const gives[] = {"tcp", "fd"};

	p->name = field_string(s, "name", PATH_TEXT_MAX, true, service_is_name,
			       "must have 1 to 16 of the characters a-z, 0-9 and '_'");
	p->kind = read_word(s, "kind", kinds, SERVICE_PORT_KINDS, SERVICE_PORT_KINDS);
	if (p->kind == SERVICE_PORT_KINDS)
		(void)json_strict_fail(s, "kind", "is missing");
	p->as_fd = read_word(s, "give", gives, 2, 0) == 1;
	if (s->status == 0 && p->as_fd && p->kind != SERVICE_PORT_HTTP)
		(void)json_strict_fail(s, "give", "is for http ports");
}

static void read_ports(struct json_strict *s, struct service_manifest *m)
{
	json_t *list = json_strict_array(s, "ports", SERVICE_PORTS_MAX);

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct service_port p = {0};
		struct json_strict item;
		unsigned at;

		if (!json_strict_item_object(s, "ports", i, &item))
			return;
		read_port(&item, &p);
		for (size_t j = 0; item.status == 0 && j < m->n_ports; j++)
			if (strcmp(m->ports[j].name, p.name) == 0)
				(void)json_strict_fail(&item, "name", "another port has this name");
		if (json_strict_end(&item) < 0)
			return;
		/* Behind those of HTTP, or the last one of them. */
		at = p.kind == SERVICE_PORT_HTTP ? m->n_http++ : m->n_ports;
		memmove(&m->ports[at + 1], &m->ports[at], (m->n_ports - at) * sizeof(p));
		m->ports[at] = p;
		m->n_ports++;
	}
	if (s->status == 0 && m->n_http == 0 &&
	    (m->type == SERVICE_PYTHON || m->type == SERVICE_STATIC))
		(void)json_strict_fail(s, "ports",
				       "must have one of the kind http: a service of the type %s "
				       "answers there",
				       service_type_name(m->type));
}

static void read_health(struct json_strict *s, const struct service_manifest *m)
{
	struct json_strict health;
	const char *port;
	bool is_there = false;

	if (!json_strict_object(s, "health", &health))
		return;
	(void)field_string(&health, "path", PATH_TEXT_MAX, true, is_path,
			   "must be a path such as \"/health\"");
	port = field_string(&health, "port", 64, false, service_is_name, "must be a port's name");
	(void)field_count(&health, "interval_s", 1, 3600, 10);
	(void)field_count(&health, "timeout_s", 1, 600, 5);
	(void)field_count(&health, "failures", 1, 100, 3);
	for (unsigned i = 0; i < m->n_http; i++)
		is_there |= !port || strcmp(m->ports[i].name, port) == 0;
	if (health.status == 0 && !is_there)
		(void)json_strict_fail(&health, "port", "must be one of the http ports");
	(void)json_strict_end(&health);
}

static void read_sandbox(struct json_strict *s, struct service_manifest *m)
{
	struct json_strict sandbox;
	double cpus;

	m->policy = "default";
	m->start_s = START_S;
	m->drain_s = DRAIN_S;
	if (!json_strict_object(s, "sandbox", &sandbox))
		return;
	m->image = field_string(&sandbox, "image", 63, false, util_is_name,
				"must be an image's name such as \"web\"");
	m->policy = field_string(&sandbox, "policy", 63, false, util_is_name,
				 "must be a policy's name such as \"default\"");
	if (!m->policy)
		m->policy = "default";
	(void)json_strict_size(&sandbox, "memory", LIMIT_MEMORY_MIN, LIMIT_MEMORY_MAX, &m->memory);
	if (json_strict_number(&sandbox, "cpus", LIMIT_CPU_MIN / 1000.0, LIMIT_CPU_MAX / 1000.0,
			       &cpus))
		m->cpu_milli = (uint32_t)(cpus * 1000 + 0.5);
	m->start_s = field_count(&sandbox, "start_s", 1, SERVICE_START_MAX, START_S);
	m->drain_s = field_count(&sandbox, "drain_s", 0, SERVICE_DRAIN_MAX, DRAIN_S);
	(void)json_strict_end(&sandbox);
}

static void read_rest(struct json_strict *s, struct service_manifest *m)
{
	static const char *const ready[] = {"accept", "notify", "started"};
	json_t *warnings = json_strict_array(s, "warnings", WARNINGS_MAX);

	for (size_t i = 0; i < json_array_size(warnings); i++)
		(void)json_strict_item_string(s, "warnings", i, WARNING_TEXT_MAX);
	m->warnings = warnings;
	(void)read_word(s, "ready", ready, ARRAY_SIZE(ready), 0);
}

int service_manifest_read(const char *what, const char *text, size_t len,
			  struct service_manifest *ret, struct err *e)
{
	struct json_strict top;
	int r;

	*ret = (struct service_manifest){0};
	r = json_strict_load(what, text, len, SERVICE_MANIFEST_MAX, &ret->doc, e);
	if (r == 0)
		r = json_strict_begin(&top, what, ret->doc, e);
	if (r == 0) {
		read_head(&top, ret);
		read_background(&top, ret);
		read_processes(&top, ret);
		read_environment(&top, ret);
		read_config(&top);
		read_ports(&top, ret);
		read_health(&top, ret);
		read_sandbox(&top, ret);
		read_rest(&top, ret);
		r = json_strict_end(&top);
	}
	if (r < 0)
		service_manifest_clear(ret);
	return r;
}

void service_manifest_clear(struct service_manifest *m)
{
	json_decref(m->doc);
	*m = (struct service_manifest){0};
}
