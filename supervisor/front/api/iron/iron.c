// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/api/iron/iron.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

bool iron_strict(const struct http_request *r)
{
	return strncmp(r->path, "/api/", 5) == 0;
}

int iron_project(const struct http_request *r, struct project **ret, struct err *e)
{
	/* That the token is good for it was seen by the server. */
	*ret = project_by_id(r->f, r->parts[0]);
	return *ret ? 0 : err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no such project");
}

int iron_code(const struct http_request *r, struct code **ret, struct err *e)
{
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res < 0)
		return res;
	*ret = code_by_id(p, r->parts[1]);
	return *ret ? 0 : err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no code with this id");
}

int iron_schedule(const struct http_request *r, struct schedule **ret, struct err *e)
{
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res < 0)
		return res;
	*ret = schedule_by_id(p, r->parts[1]);
	return *ret ? 0
		    : err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no schedule with this id");
}

int iron_task(const struct http_request *r, struct project **ret_project, struct task_record *ret,
	      struct err *e)
{
	int res = iron_project(r, ret_project, e);

	if (res == 0 && !util_is_id(r->parts[1]))
		res = err_set(e, ERR_NOT_FOUND, 0, "Not found: there is no task with this id");
	return res < 0 ? res : queue_get(r->f, *ret_project, r->parts[1], ret, e);
}

int iron_param(const struct http_request *r, const char *name, const char **ret, struct err *e)
{
	const char *text = http_param(r, name);

	if (text && !*text)
		return err_set(e, ERR_INPUT, 0, "%s: must not be empty: leave it out", name);
	if (text)
		*ret = text;
	return 0;
}

int iron_number(const struct http_request *r, const char *name, uint64_t min, uint64_t max,
		uint64_t *ret, struct err *e)
{
	const char *text = NULL;
	uint64_t n = 0;
	size_t len;
	int res = iron_param(r, name, &text, e);

	if (!text)
		return res;
	len = strspn(text, "0123456789");
	if (len > 0 && len < 19 && !text[len]) {
		n = strtoull(text, NULL, 10);
		if (n >= min && n <= max) {
			*ret = n;
			return 0;
		}
	}
	return err_set(e, ERR_INPUT, 0, "%s: must be a whole number from %llu to %llu", name,
		       (unsigned long long)min, (unsigned long long)max);
}

int iron_flag(const struct http_request *r, const char *name, bool *ret, struct err *e)
{
	const char *text = NULL;
	int res = iron_param(r, name, &text, e);

	*ret = text && (strcmp(text, "1") == 0 || strcmp(text, "true") == 0);
	return res;
}

int iron_page(const struct http_request *r, struct iron_page *ret, struct err *e)
{
	uint64_t page = 0, limit = IRON_PAGE;
	int res;

	res = iron_number(r, "page", 0, IRON_SKIP_MAX, &page, e);
	if (res == 0)
		res = iron_number(r, "per_page", 0, UINT32_MAX, &limit, e);
	if (res < 0)
		return res;
	/* As IronWorker: less than 1 is 1, more than 100 is 100. */
	limit = limit < 1 ? 1 : limit > IRON_PAGE_MAX ? IRON_PAGE_MAX : limit;
	page *= limit;
	ret->skip = (unsigned)(page > IRON_SKIP_MAX ? IRON_SKIP_MAX : page);
	ret->limit = (unsigned)limit;
	return 0;
}

void iron_message(struct http_request *r, const char *msg)
{
	http_json(r, 200, json_pack("{s:s}", "msg", msg));
}

void iron_fail(struct http_request *r, const struct err *e)
{
	http_error(r, e);
}

struct iron_later *iron_later_new(struct http_request *r, void *what, struct err *e)
{
	struct iron_later *later = calloc(1, sizeof(*later));

	if (!later) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot wait for the answer");
		return NULL;
	}
	later->r = r;
	later->f = r->f;
	later->what = what;
	return later;
}

static void client_gone(void *arg)
{
	struct iron_later *later = arg;

	later->r = NULL;
}

void iron_later_wait(struct iron_later *later)
{
	http_later(later->r, client_gone, later);
}

struct http_request *iron_later_take(struct iron_later *later)
{
	struct http_request *r = later->r;

	free(later);
	return r;
}

static int show_project(struct http_request *r, struct err *e)
{
	struct project *p = NULL;
	int res = iron_project(r, &p, e);

	if (res == 0)
		http_json(r, 200, json_pack("{s:s, s:s}", "id", p->id, "name", p->name));
	return res;
}

/* IronWorker's stacks are our images: what a code may name as "stack" or "image". */
static int stacks(struct http_request *r, struct err *e)
{
	int fd =
		openat(r->f->cfg.state_dirfd, "images/by-name", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	json_t *list = json_array();
	struct dirent *entry;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	(void)e;
	if (fd >= 0 && !dir)
		(void)close(fd);
	while (dir && (entry = readdir(dir)))
		if (util_is_name(entry->d_name))
			(void)json_array_append_new(list, json_string(entry->d_name));
	if (dir)
		(void)closedir(dir);
	http_json(r, 200, list);
	return 0;
}

#define P "/2/projects/{}"
const struct http_route http_routes_iron[] = {
	IRON_ROUTES(P),
	{"GET", P, HTTP_PROJECT, false, show_project},
	{"GET", P "/tasks", HTTP_PROJECT, false, iron_tasks},
	{"GET", P "/tasks/{}", HTTP_PROJECT, false, iron_task_get},
	{"GET", "/2/stacks", HTTP_TOKEN, false, stacks},
	{NULL, NULL, HTTP_OPEN, false, NULL},
};
