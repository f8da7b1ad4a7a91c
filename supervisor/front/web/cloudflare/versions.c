// SPDX-License-Identifier: Apache-2.0
/* Versions and deployments of a worker, as wrangler lists, shows and makes them. */
#include <stdio.h>
#include <string.h>

#include "lib/timefmt.h"
#include "supervisor/front/web/cloudflare/cloudflare.h"

static json_t *annotations(const char *message, const char *tag, const char *by)
{
	return json_pack("{s:s*, s:s*, s:s*}", "workers/message", *message ? message : NULL,
			 "workers/tag", *tag ? tag : NULL, "workers/triggered_by", by);
}

static json_t *version_json(struct web_version *v)
{
	const struct web_version_row *row = &v->row;
	const char *author = v->worker->project->name;
	char created[TIMEFMT_MAX];

	(void)timefmt_print(row->created_ns, created);
	return json_pack("{s:s, s:i, s:{s:s, s:s, s:s, s:s, s:s, s:b}, s:o}", "id", row->id,
			 "number", (int)row->number, "metadata", "created_on", created,
			 "modified_on", created, "source", row->source, "author_id",
			 v->worker->project->id, "author_email", author, "has_preview", 0,
			 "annotations", annotations(row->message, row->tag, "upload"));
}

static int versions(struct call *c, struct err *e)
{
	struct web_version *v;
	struct web_worker *w;
	json_t *all;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	all = json_array();
	LIST_FOREACH(v, &w->versions, next)
		if (v->row.number)
			(void)json_array_append_new(all, version_json(v));
	call_reply(c, json_pack("{s:o}", "items", all));
	return 0;
}

static struct web_version *find_version(struct web_worker *w, const char *id, struct err *e)
{
	struct web_version *v = id ? web_version_find(w, id) : NULL;
	char shown[80];

	if (v && v->row.number)
		return v;
	(void)err_set(e, ERR_NOT_FOUND, 0, "%s has no version %s", w->row.name,
		      util_escape(id ? id : "", shown, sizeof(shown)));
	return NULL;
}

static int version(struct call *c, struct err *e)
{
	const char *id = call_string(c, "version", WEB_UUID_LEN);
	json_t *bindings, *one;
	struct web_worker *w;
	struct web_version *v;
	int r = cf_call_script(c, &w, e);

	if (r < 0)
		return r;
	v = find_version(w, id, e);
	if (!v)
		return -ENOENT;
	r = web_version_open(v, e);
	if (r < 0)
		return r;
	bindings = cf_bindings(c->f, v, e);
	if (!bindings)
		return -EIO;
	one = version_json(v);
	(void)json_object_set_new(
		one, "resources",
		json_pack("{s:o, s:{s:s, s:[s], s:s}, s:{s:s, s:O*, s:s}}", "bindings", bindings,
			  "script", "etag", v->row.id, "handlers", "fetch", "last_deployed_from",
			  v->row.source, "script_runtime", "compatibility_date", v->manifest.date,
			  "compatibility_flags", (json_t *)v->manifest.flags, "usage_model",
			  "standard"));
	call_reply(c, one);
	return 0;
}

static json_t *split_json(const struct web_deployment_row *d)
{
	json_t *all = json_array();

	(void)json_array_append_new(all, json_pack("{s:s, s:i}", "version_id", d->version_1,
						   "percentage",
						   *d->version_2 ? (int)d->percent_1 : 100));
	if (*d->version_2)
		(void)json_array_append_new(all, json_pack("{s:s, s:i}", "version_id", d->version_2,
							   "percentage", 100 - (int)d->percent_1));
	return all;
}

struct deployments {
	const struct web_worker *worker;
	json_t *all;
};

static int add_deployment(void *arg, const struct web_deployment_row *d)
{
	const struct deployments *x = arg;
	char created[TIMEFMT_MAX];

	return json_array_append_new(
		x->all,
		json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o}", "id", d->id, "source", d->source,
			  "strategy", "percentage", "author_email", x->worker->project->name,
			  "created_on", timefmt_print(d->created_ns, created), "annotations",
			  annotations(d->message, "", NULL), "versions", split_json(d)));
}

static int deployments(struct call *c, struct err *e)
{
	struct deployments x = {.all = json_array()};
	struct web_worker *w;
	int r = cf_call_script(c, &w, e);

	x.worker = w;
	if (r == 0)
		r = store_web_deployments(c->f->store, w->row.id, WEB_VERSIONS_MAX, add_deployment,
					  &x, e);
	if (r == 0)
		call_reply(c, json_pack("{s:O}", "deployments", x.all));
	json_decref(x.all);
	return r;
}

/* One of "versions": *ret_percent of 0 is as if it did not stand there. */
static int read_share(struct web_worker *w, const json_t *one, struct web_version **ret,
		      unsigned *ret_percent, struct err *e)
{
	const char *id = json_string_value(json_object_get(one, "version_id"));
	const json_t *number = json_object_get(one, "percentage");
	const double percent = json_number_value(number);

	if (!id || !json_is_number(number) || percent < 0 || percent > 100 ||
	    percent != (double)(unsigned)percent)
		return err_set(
			e, ERR_INPUT, 0,
			"versions: each must have \"version_id\" and \"percentage\", a whole "
			"number of 0 to 100");
	*ret_percent = (unsigned)percent;
	*ret = find_version(w, id, e);
	return *ret ? 0 : -ENOENT;
}

static int deploy(struct call *c, struct err *e)
{
	json_t *body = call_get(c, "body"), *list = json_object_get(body, "versions"), *one;
	const char *message = json_string_value(
		json_object_get(json_object_get(body, "annotations"), "workers/message"));
	struct web_version *of[WEB_SPLIT_MAX] = {NULL};
	unsigned percent[WEB_SPLIT_MAX] = {0}, n = 0, sum = 0;
	struct web_worker *w;
	size_t i;
	int r = cf_call_script(c, &w, e);

	if (r == 0 && (json_array_size(list) == 0 || json_array_size(list) > WEB_SPLIT_MAX))
		r = err_set(e, ERR_INPUT, 0, "versions: must be one version or two, not %zu",
			    json_array_size(list));
	if (r == 0 && message && strlen(message) > WEB_TEXT_MAX)
		r = err_set(e, ERR_INPUT, 0, "annotations: workers/message: is too long");
	if (r < 0)
		return r;
	json_array_foreach(list, i, one)
	{
		r = read_share(w, one, &of[n], &percent[n], e);
		if (r < 0)
			return r;
		sum += percent[n];
		n += percent[n] > 0;
	}
	if (sum != 100 || (n > 1 && of[0] == of[1]))
		return err_set(
			e, ERR_INPUT, 0,
			"versions: the percentages of different versions must be 100 together");
	return web_redeploy_begin(c, w, of[0], n > 1 ? of[1] : NULL, percent[0], message,
				  "wrangler", e);
}

static json_t *shape_deployed(const struct http_request *r, json_t *reply)
{
	json_t *one = json_pack("{s:O}", "id", json_object_get(reply, "deployment"));

	json_decref(reply);
	return cf_shape(r, one);
}

#define ROW .dialect = &cf_dialect, .shape = cf_shape
/* clang-format off */
static const struct verb verbs[] = {
	{NULL, "GET", CF_SCRIPT "/versions", WHO_PROJECT, versions, ROW},
	{NULL, "GET", CF_SCRIPT "/versions/{version}", WHO_PROJECT, version, ROW},
	{NULL, "GET", CF_SCRIPT "/deployments", WHO_PROJECT, deployments, ROW},
	{NULL, "POST", CF_SCRIPT "/deployments", WHO_PROJECT, deploy, .body = "body",
	 .dialect = &cf_dialect, .shape = shape_deployed},
	{0},
};
/* clang-format on */

const struct capability cloudflare_version_capability = {.name = "cloudflare versions",
							 .verbs = verbs};
