// SPDX-License-Identifier: Apache-2.0
/* What the edge is told of services: where the replicas of each HTTP port listen. */
#include <stdio.h>
#include <string.h>

#include "lib/msg.h"
#include "supervisor/front/service/service.h"
#include "supervisor/front/web/web.h"

#define KEY_MAX (PROJECT_NAME_MAX + SERVICE_LABEL_MAX + 2)

int service_label(const struct service *s, unsigned port, const char *name,
		  char buf[SERVICE_LABEL_MAX + 1])
{
	int n = snprintf(buf, SERVICE_LABEL_MAX + 1, "%s%s%s-%s", port ? name : "", port ? "-" : "",
			 s->row.name, s->row.app);

	/* A host's name has no '_'. */
	for (char *c = buf; *c; c++)
		if (*c == '_')
			*c = '-';
	return n > (int)SERVICE_LABEL_MAX || *buf == '-' ? -EINVAL : 0;
}

/* The key of an HTTP port, "PROJECT/LABEL"; false: it has none. */
static bool key_of(const struct service *s, unsigned port, const char *name, char buf[KEY_MAX])
{
	char label[SERVICE_LABEL_MAX + 1];

	if (service_label(s, port, name, label) < 0)
		return false;
	(void)snprintf(buf, KEY_MAX, "%s/%s", s->project->name, label);
	return true;
}

static json_t *entry_of(struct service *s, struct service_version *v, unsigned port)
{
	json_t *instances = json_array();
	const struct service_replica *r;
	char number[16];

	LIST_FOREACH(r, &s->replicas, next) {
		char path[EDGE_SOCKET_MAX + 16];

		if (!service_replica_serves(r))
			continue;
		if (port)
			(void)snprintf(path, sizeof(path), "i/%s-%u.sock", r->run, port);
		else
			(void)snprintf(path, sizeof(path), "i/%s.sock", r->run);
		json_array_append_new(instances,
				      json_pack("{s:s, s:s}", "id", r->run, "path", path));
	}
	(void)snprintf(number, sizeof(number), "%u", v->row.number);
	return json_pack("{s:[{s:s, s:i, s:s, s:i, s:b, s:o}], s:i}", "versions", "id", number,
			 "percent", 100, "isolation", "instance", "room", (int)SERVICE_ROOM,
			 "turns", 1, "instances", instances, "timeout_s", (int)SERVICE_TIMEOUT_S);
}

static void put_port(struct front *f, struct service *s, struct service_version *v, unsigned port)
{
	const uint32_t rate = s->project->quota.http_rate;
	struct err e = {0};
	char key[KEY_MAX];
	json_t *entry;

	if (!key_of(s, port, v->manifest.ports[port].name, key))
		return;
	entry = entry_of(s, v, port);
	if (entry && rate)
		json_object_set_new(entry, "rate", json_integer(rate));
	if (edge_put_worker(f, key, entry, &e) < 0)
		msg_err("service %s: the edge is not told: %s", key, e.msg);
}

static bool has_key(const struct service *s, const struct service_version *v, const char *key)
{
	for (unsigned i = 0; i < v->manifest.n_http; i++) {
		char its[KEY_MAX];

		if (key_of(s, i, v->manifest.ports[i].name, its) && strcmp(its, key) == 0)
			return true;
	}
	return false;
}

/* Ports that earlier versions had. */
static void delete_others(struct front *f, struct service *s, const struct service_version *live)
{
	const struct service_version *v;

	LIST_FOREACH(v, &s->versions, next)
		for (unsigned i = 0; v->stored && i < v->manifest.n_http; i++) {
			char key[KEY_MAX];

			if (key_of(s, i, v->manifest.ports[i].name, key) && !has_key(s, live, key))
				edge_delete_worker(f, key);
		}
}

void service_edge_put(struct front *f, struct service *s)
{
	struct service_version *v = service_live(s);

	/* Of a service that is being put for the first time there is nothing to tell. */
	if (v && service_version_open(v, NULL) == 0) {
		for (unsigned i = 0; i < v->manifest.n_http; i++)
			put_port(f, s, v, i);
		delete_others(f, s, v);
	}
	if (service_edge_has(f, s))
		service_replicas_drain(s);
}

static void each_key(struct front *f, const struct service *s,
		     void (*fn)(struct front *f, const char *key, void *arg), void *arg)
{
	const struct service_version *v;

	/* An earlier version may have had other ports. */
	LIST_FOREACH(v, &s->versions, next)
		for (unsigned i = 0; i < v->manifest.n_http; i++) {
			char key[KEY_MAX];

			if (key_of(s, i, v->manifest.ports[i].name, key))
				fn(f, key, arg);
		}
}

static void delete_key(struct front *f, const char *key, void *arg)
{
	(void)arg;
	edge_delete_worker(f, key);
}

void service_edge_gone(struct front *f, const struct service *s)
{
	each_key(f, s, delete_key, NULL);
}

static void check_has(struct front *f, const char *key, void *arg)
{
	bool *has = arg;

	*has = *has && edge_has(f, key);
}

bool service_edge_has(struct front *f, struct service *s)
{
	bool has = true;

	each_key(f, s, check_has, &has);
	return has;
}

/* The service of the label, and which of its ports; NULL: there is none. */
static struct service *by_label(struct project *p, const char *label, unsigned *ret_port)
{
	struct service *s;

	LIST_FOREACH(s, &p->service->services, next) {
		struct service_version *v = service_live(s);

		if (!v || service_version_open(v, NULL) < 0)
			continue;
		for (unsigned i = 0; i < v->manifest.n_http; i++) {
			char its[SERVICE_LABEL_MAX + 1];

			if (service_label(s, i, v->manifest.ports[i].name, its) == 0 &&
			    strcmp(its, label) == 0) {
				*ret_port = i;
				return s;
			}
		}
	}
	return NULL;
}

int service_edge_check(struct front *f, struct service *s, const struct service_manifest *m,
		       struct err *e)
{
	(void)f;
	for (unsigned i = 0; i < m->n_http; i++) {
		char label[SERVICE_LABEL_MAX + 1];
		struct service *other;
		unsigned port;

		if (service_label(s, i, m->ports[i].name, label) < 0)
			return err_set(e, ERR_INPUT, 0,
				       "the address of its port %s would be %s, which no host's "
				       "name may be: use shorter names",
				       m->ports[i].name, label);
		other = by_label(s->project, label, &port);
		if (other && other != s)
			return err_set(e, ERR_CONFLICT, 0,
				       "the service %s/%s has the address %s already: use another "
				       "name",
				       other->row.app, other->row.name, label);
		if (web_worker_find(s->project, label))
			return err_set(e, ERR_CONFLICT, 0,
				       "the HTTP worker %s has the address of the service: use "
				       "another name",
				       label);
	}
	return 0;
}

void service_url(struct front *f, struct service *s, char *buf, size_t size)
{
	struct service_version *v = service_live(s);
	char label[SERVICE_LABEL_MAX + 1];

	/* Of one that is just being put it is known where it will answer. */
	if (!v)
		v = LIST_FIRST(&s->versions);
	buf[0] = '\0';
	if (v && service_version_open(v, NULL) == 0 && v->manifest.n_http &&
	    service_label(s, 0, "", label) == 0)
		edge_url(f, label, s->project->name, buf, size);
}

/* No replica of it is in the edge's table. */
static int wake(struct front *f, const char *project, const char *name, const char *version,
		struct edge_wakes **ret, struct err *e)
{
	struct project *p = project_find(f, project);
	const struct service_replica *r;
	struct service *s;
	unsigned port;

	(void)version;
	s = p && !p->going ? by_label(p, name, &port) : NULL;
	if (!s || s->going)
		return -ENOENT;
	LIST_FOREACH(r, &s->replicas, next)
		if (r->replica.wanted && r->replica.state != REPLICA_FAILED) {
			*ret = &s->wakes[port];
			return 0;
		}
	return err_set(e, ERR_UNAVAILABLE, 0, "no replica of the service runs");
}

/* What was put last of the key has reached the edge. */
static void told(struct front *f, const char *key)
{
	char project[PROJECT_NAME_MAX + 1];
	const char *slash = strchr(key, '/');
	struct service *s;
	struct project *p;
	unsigned port;

	if (!slash || slash - key > PROJECT_NAME_MAX)
		return;
	(void)snprintf(project, sizeof(project), "%.*s", (int)(slash - key), key);
	p = project_find(f, project);
	s = p ? by_label(p, slash + 1, &port) : NULL;
	if (!s || !service_edge_has(f, s))
		return;
	service_replicas_drain(s);
	service_roll_told(s);
}

/* For an HTTP worker that wants to be called so. */
static bool name_taken(struct front *f, struct project *p, const char *name, struct err *e)
{
	unsigned port;
	const struct service *s = by_label(p, name, &port);

	(void)f;
	if (s)
		(void)err_set(e, ERR_CONFLICT, 0,
			      "name: the service %s/%s answers at the address of a worker %s: use "
			      "another name",
			      s->row.app, s->row.name, name);
	return s != NULL;
}

void service_edge_start(struct front *f)
{
	edge_on_name(f, name_taken);
	edge_on_told(f, told);
	edge_on_wake(f, wake);
}
