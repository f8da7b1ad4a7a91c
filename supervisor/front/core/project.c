// SPDX-License-Identifier: Apache-2.0
/* Projects: those that there are, and how they come and go. */
#include "supervisor/front/core/project.h"

#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "lib/json_strict.h"
#include "lib/limits.h"
#include "lib/sha256.h"
#include "supervisor/front/core/core.h"
#include "supervisor/front/store/chore.h"
#include "supervisor/front/store/projects.h"
#include "supervisor/front/store/schema.h"

/*
 * Tokens. Only their SHA-256 is kept: a token is 256 random bits, so that its hash needs
 * neither salt nor time, and is found by a table.
 */

static struct token **bucket(struct front *f, const uint8_t hash[32])
{
	return &f->core->token_buckets[(hash[0] | (unsigned)hash[1] << 8) % PROJECT_BUCKETS];
}

void token_format(const uint8_t bytes[32], char text[TOKEN_LEN + 1])
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	unsigned bits = 0, n_bits = 0, n = 0;

	for (int i = 0; i < 32; i++) {
		bits = bits << 8 | bytes[i];
		for (n_bits += 8; n_bits >= 6; n_bits -= 6)
			text[n++] = digits[bits >> (n_bits - 6) & 63];
	}
	text[n++] = digits[bits << (6 - n_bits) & 63];
	text[n] = '\0';
}

/* What is found by how a hash begins is a hash's beginning, which tells nothing of a token. */
struct project *project_by_token(struct front *f, const char *text, size_t len, bool *ret_operator)
{
	struct token *found = NULL;
	uint8_t hash[32];

	*ret_operator = false;
	if (len != TOKEN_LEN || sha256(text, len, hash) < 0)
		return NULL;
	for (struct token *t = *bucket(f, hash); t; t = t->hash_next)
		if (CRYPTO_memcmp(t->hash, hash, sizeof(hash)) == 0)
			found = t;
	if (!found)
		return NULL;
	found->used_ns = util_realtime_ns();
	*ret_operator = found->operator;
	return found->project;
}

/* A new one of p, in no list and not in the store; its text is in text alone. */
static struct token *token_new(struct project *p, const char *label, bool operator,
			       char text[TOKEN_LEN + 1], struct err *e)
{
	struct token *t = calloc(1, sizeof(*t));
	uint8_t bytes[32];

	if (!t || getrandom(bytes, sizeof(bytes), 0) != (ssize_t)sizeof(bytes)) {
		(void)err_set(e, ERR_SYSTEM, t ? errno : ENOMEM, "cannot make a token");
		free(t);
		return NULL;
	}
	t->project = p;
	t->operator= operator;
	t->created_ns = util_realtime_ns();
	(void)snprintf(t->label, sizeof(t->label), "%s", label);
	util_new_id(t->id);
	token_format(bytes, text);
	OPENSSL_cleanse(bytes, sizeof(bytes));
	if (sha256(text, TOKEN_LEN, t->hash) < 0) {
		(void)err_set(e, ERR_SYSTEM, EIO, "cannot make a token");
		util_free_ptr(&t);
	}
	return t;
}

static int token_insert(struct front *f, const struct token *t, const char *project, struct err *e)
{
	struct token_row row = {.operator= t->operator, .created_ns = t->created_ns };

	memcpy(row.id, t->id, sizeof(row.id));
	memcpy(row.project, project, sizeof(row.project));
	memcpy(row.label, t->label, sizeof(row.label));
	memcpy(row.hash, t->hash, sizeof(row.hash));
	return store_token_insert(f->store, &row, e);
}

/* Among its project's tokens: from now on it opens. */
static void token_add(struct front *f, struct token *t)
{
	struct token **at = &t->project->tokens, **in = bucket(f, t->hash);

	while (*at)
		at = &(*at)->next;
	*at = t;
	t->hash_next = *in;
	*in = t;
	t->project->n_tokens++;
}

/* Takes it out of memory, and frees it. */
static void token_drop(struct front *f, struct token *t)
{
	struct token **at = &t->project->tokens, **in = bucket(f, t->hash);

	while (*at != t)
		at = &(*at)->next;
	*at = t->next;
	while (*in != t)
		in = &(*in)->hash_next;
	*in = t->hash_next;
	t->project->n_tokens--;
	free(t);
}

static int token_check(const struct project *p, const char *label, bool operator, struct err * e)
{
	if (p->slot != 0 && operator)
		return err_set(e, ERR_INPUT, 0,
			       "operator: only the project \"%s\" has operators' tokens",
			       PROJECT_DEFAULT_NAME);
	if (p->going)
		return err_set(e, ERR_CONFLICT, 0, "the project %s is being removed", p->name);
	if (p->n_tokens >= PROJECT_TOKENS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "the project %s has %u tokens, the most that are possible: revoke "
			       "one",
			       p->name, p->n_tokens);
	if (strlen(label) > TOKEN_LABEL_MAX)
		return err_set(e, ERR_INPUT, 0, "label: at most %d bytes", TOKEN_LABEL_MAX);
	return 0;
}

/* A token that comes: it counts from now on, and opens when it is durable. */
struct token_making {
	struct change change;
	struct token *token; /* NULL: it is its project's, or was given up */
	char project[PROJECT_ID_LEN + 1];
};

static int making_write(struct front *f, struct change *c, struct err *e)
{
	const struct token_making *m = OWNER(c, struct token_making, change);

	const struct project *p = project_by_id(f, m->project);

	if (!p || p->going)
		return err_set(e, ERR_NOT_FOUND, 0, "the token's project is removed");
	return token_insert(f, m->token, m->project, e);
}

static void making_adopt(struct front *f, struct change *c, bool durable)
{
	struct token_making *m = OWNER(c, struct token_making, change);
	struct project *p = project_by_id(f, m->project);
	struct token *t = TAKE_PTR(m->token);

	if (p)
		p->n_tokens--;
	if (p && durable)
		token_add(f, t);
	else
		free(t);
}

static void making_done(struct front *f, struct change *c, const struct err *error)
{
	(void)f;
	(void)error;
	free(OWNER(c, struct token_making, change));
}

struct change *token_create(struct front *f, struct project *p, const char *label, bool operator,
			    char text[TOKEN_LEN + 1], const struct token **ret, struct err *e)
{
	struct token_making *m;

	if (token_check(p, label, operator, e) < 0)
		return NULL;
	m = calloc(1, sizeof(*m));
	if (!m) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a token");
		return NULL;
	}
	m->token = token_new(p, label, operator, text, e);
	if (!m->token) {
		free(m);
		return NULL;
	}
	m->change =
		(struct change){.write = making_write, .adopt = making_adopt, .done = making_done};
	memcpy(m->project, p->id, sizeof(m->project));
	p->n_tokens++;
	change_mark(f, &m->change, TURN_NOBODY, 0);
	*ret = m->token;
	return &m->change;
}

/* The token with that id, or all of the project's, on their way out. */
struct token_going {
	struct change change;
	char project[PROJECT_ID_LEN + 1], id[PROJECT_ID_LEN + 1]; /* "": all */
};

static int going_write(struct front *f, struct change *c, struct err *e)
{
	const struct token_going *g = OWNER(c, struct token_going, change);

	return *g->id ? store_token_delete(f->store, g->id, e)
		      : store_token_delete_all(f->store, g->project, e);
}

static void going_adopt(struct front *f, struct change *c, bool durable)
{
	const struct token_going *g = OWNER(c, struct token_going, change);
	struct project *p = durable ? project_by_id(f, g->project) : NULL;
	struct token *next;

	for (struct token *t = p ? p->tokens : NULL; t; t = next) {
		next = t->next;
		if (!*g->id || strcmp(t->id, g->id) == 0)
			token_drop(f, t);
	}
}

static void going_done(struct front *f, struct change *c, const struct err *error)
{
	if (!error)
		EVENT_TELL(f, token_revoked);
	free(OWNER(c, struct token_going, change));
}

static struct change *tokens_go(struct front *f, const struct project *p, const char *id,
				struct err *e)
{
	struct token_going *g = calloc(1, sizeof(*g));

	if (!g) {
		(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot revoke a token");
		return NULL;
	}
	g->change = (struct change){.write = going_write, .adopt = going_adopt, .done = going_done};
	memcpy(g->project, p->id, sizeof(g->project));
	(void)snprintf(g->id, sizeof(g->id), "%s", id);
	change_mark(f, &g->change, TURN_NOBODY, 0);
	return &g->change;
}

struct change *token_revoke(struct front *f, struct project *p, const char *id, struct err *e)
{
	const struct token *t = p->tokens;
	char shown[80];

	while (t && strcmp(t->id, id) != 0)
		t = t->next;
	if (t)
		return tokens_go(f, p, t->id, e);
	(void)err_set(e, ERR_NOT_FOUND, 0, "the project %s has no token %s", p->name,
		      util_escape(id, shown, sizeof(shown)));
	return NULL;
}

struct change *token_revoke_all(struct front *f, struct project *p, struct err *e)
{
	return tokens_go(f, p, "", e);
}

/* No project fills the disk before the operator has looked at it. */
#define DEFAULT_QUEUED 200000u
#define DEFAULT_PACKAGE_BYTES (4ULL << 30)
#define DEFAULT_PACKAGE_FILES 400000u
#define DEFAULT_KEPT_LOG_BYTES (1ULL << 30)
#define DEFAULT_HTTP_WORKERS 500u
#define DEFAULT_HTTP_VERSIONS 100u
#define DEFAULT_KV_BYTES (1ULL << 30)
#define DEFAULT_SERVICES 100u
#define DEFAULT_SERVICE_VERSIONS 10u
#define DEFAULT_SERVICE_DATA_BYTES (1ULL << 30)
#define DEFAULT_BACKGROUND_ITEMS 1000000u
#define DEFAULT_BACKGROUND_BYTES (1ULL << 30)

_Static_assert(PROJECTS_MAX <= OWNERS_MAX, "each slot has an id range");

struct project *project_by_id(struct front *f, const char *id)
{
	return OWNER_OF(idtable_find(&f->core->projects_by_id, id), struct project, node);
}

struct project *project_find(struct front *f, const char *id_or_name)
{
	struct project *p = project_by_id(f, id_or_name);

	/* No name looks like an id. */
	for (struct project *q = f->core->projects; !p && q; q = q->next)
		if (strcmp(q->name, id_or_name) == 0)
			p = q;
	return p;
}

/* It is in no list. */
static void project_free(struct front *f, struct project *p)
{
	PART_WALK(f, part)
		if (part->free)
			part->free(f, p);
	free(p);
}

/* Out of memory; the store is the caller's. */
static void drop(struct front *f, struct project *p)
{
	struct project **at = &f->core->projects;

	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	idtable_remove(&f->core->projects_by_id, &p->node);
	while (p->tokens)
		token_drop(f, p->tokens);
	project_free(f, p);
}

/* In no list yet. NULL: out of memory. */
static struct project *project_new(struct front *f, const struct project_row *row)
{
	struct project *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	memcpy(p->id, row->id, sizeof(p->id));
	memcpy(p->name, row->name, sizeof(p->name));
	p->slot = row->slot;
	p->created_ns = row->created_ns;
	p->quota = row->quota;
	PART_WALK(f, part)
		if (part->attach && part->attach(f, p) < 0) {
			project_free(f, p);
			return NULL;
		}
	return p;
}

/* In the order of names, in which they are listed. */
static void project_add(struct front *f, struct project *p)
{
	struct project **at = &f->core->projects;

	while (*at && strcmp((*at)->name, p->name) < 0)
		at = &(*at)->next;
	p->next = *at;
	*at = p;
	idtable_add(&f->core->projects_by_id, &p->node, p->id);
}

static int load_project(void *arg, const struct project_row *row)
{
	struct front *f = arg;
	struct project *p = project_new(f, row);

	if (!p)
		return -ENOMEM;
	project_add(f, p);
	if (row->slot > f->core->slot_last)
		f->core->slot_last = row->slot;
	return 0;
}

static int load_token(void *arg, const struct token_row *row)
{
	struct project *p = project_by_id(arg, row->project);
	struct token *t;

	/* Of a project that is gone: it opens nothing. */
	if (!p)
		return 0;
	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	memcpy(t->id, row->id, sizeof(t->id));
	memcpy(t->label, row->label, sizeof(t->label));
	memcpy(t->hash, row->hash, sizeof(t->hash));
	t->operator= row->operator;
	t->created_ns = row->created_ns;
	t->project = p;
	token_add(arg, t);
	return 0;
}

struct quota project_quota_default(void)
{
	return (struct quota){.queued = DEFAULT_QUEUED,
			      .schedules = SCHEDULES_MAX,
			      .package_bytes = DEFAULT_PACKAGE_BYTES,
			      .package_files = DEFAULT_PACKAGE_FILES,
			      .kept_log_bytes = DEFAULT_KEPT_LOG_BYTES,
			      .http_workers = DEFAULT_HTTP_WORKERS,
			      .http_versions = DEFAULT_HTTP_VERSIONS,
			      .kv_bytes = DEFAULT_KV_BYTES,
			      .services = DEFAULT_SERVICES,
			      .service_versions = DEFAULT_SERVICE_VERSIONS,
			      .service_data_bytes = DEFAULT_SERVICE_DATA_BYTES,
			      .background_items = DEFAULT_BACKGROUND_ITEMS,
			      .background_bytes = DEFAULT_BACKGROUND_BYTES,
			      .policies = "default,strict"};
}

static struct project_row new_project(const char *id, const char *name, uint32_t slot)
{
	struct project_row p = {.slot = slot, .created_ns = util_realtime_ns()};

	(void)snprintf(p.id, sizeof(p.id), "%s", id);
	(void)snprintf(p.name, sizeof(p.name), "%s", name);
	p.quota = project_quota_default();
	return p;
}

struct first_project {
	struct store *store;
	struct project_row row;
};

static int write_first(void *arg, struct err *e)
{
	const struct first_project *first = arg;

	return store_project_insert(first->store, &first->row, e);
}

/* What the store knows, and the default project, which is always there. */
static int project_load(struct front *f, struct err *e)
{
	struct first_project first = {f->store,
				      new_project(PROJECT_DEFAULT_ID, PROJECT_DEFAULT_NAME, 0)};
	int r = store_project_load(f->store, load_project, f, e);

	if (r == 0 && !project_by_id(f, PROJECT_DEFAULT_ID)) {
		r = store_slice(f->store, write_first, &first, e);
		if (r == 0)
			r = load_project(f, &first.row);
	}
	if (r == 0)
		r = store_token_load(f->store, load_token, f, e);
	return r == -ENOMEM ? err_set(e, ERR_SYSTEM, ENOMEM, "cannot load the projects") : r;
}

static void project_clear(struct front *f)
{
	while (f->core->projects)
		drop(f, f->core->projects);
}

/* The next one that is free, in turn: what is left of a project that was removed (a task that is
 * just ending, checkpoints) has its range, and is not to meet the next project. */
static uint32_t free_slot(const struct front *f)
{
	bool used[PROJECTS_MAX] = {false};
	uint32_t slot = f->core->slot_last;

	for (const struct project *p = f->core->projects; p; p = p->next)
		used[p->slot] = true;
	for (const struct project *p = f->core->coming; p; p = p->next)
		used[p->slot] = true;
	do
		slot = (slot + 1) % PROJECTS_MAX;
	while (used[slot]);
	return slot;
}

static int check_new(struct front *f, const char *name, struct err *e)
{
	const struct project *coming = f->core->coming;
	unsigned n = 0;
	char shown[80];

	if (!util_is_name(name))
		return err_set(e, ERR_INPUT, 0,
			       "name: \"%s\" is no project's name: use up to %d lower-case "
			       "letters, digits, '.', '_' and '-', the first a letter or a digit",
			       util_escape(name, shown, sizeof(shown)), PROJECT_NAME_MAX);
	if (util_is_id(name))
		return err_set(e, ERR_INPUT, 0, "name: %s looks like an id: use another name",
			       name);
	for (; coming && strcmp(coming->name, name) != 0; coming = coming->next)
		n++;
	if (coming || project_find(f, name))
		return err_set(e, ERR_CONFLICT, 0, "there is a project %s already", name);
	for (const struct project *p = f->core->projects; p; p = p->next)
		n++;
	if (n >= PROJECTS_MAX)
		return err_set(e, ERR_LIMIT, 0,
			       "there are %u projects, and no id range for one more: remove one",
			       n);
	return 0;
}

static struct project_row row_of(const struct project *p)
{
	struct project_row row = {.slot = p->slot, .created_ns = p->created_ns, .quota = p->quota};

	memcpy(row.id, p->id, sizeof(row.id));
	memcpy(row.name, p->name, sizeof(row.name));
	return row;
}

/* A project that comes: its name and its slot are taken, and it is found when it is durable. */
struct project_making {
	struct change change;
	struct project *project; /* of core.coming; then the front's, or freed */
	struct token *token;
};

static int project_write(struct front *f, struct change *c, struct err *e)
{
	const struct project_making *m = OWNER(c, struct project_making, change);
	const struct project_row row = row_of(m->project);
	int r = store_project_insert(f->store, &row, e);

	return r < 0 ? r : token_insert(f, m->token, m->project->id, e);
}

static void project_adopt(struct front *f, struct change *c, bool durable)
{
	struct project_making *m = OWNER(c, struct project_making, change);
	struct project **at = &f->core->coming;

	while (*at != m->project)
		at = &(*at)->next;
	*at = m->project->next;
	if (durable) {
		project_add(f, m->project);
		token_add(f, m->token);
	} else {
		project_free(f, m->project);
		free(m->token);
	}
}

static void project_done(struct front *f, struct change *c, const struct err *error)
{
	(void)f;
	(void)error;
	free(OWNER(c, struct project_making, change));
}

struct change *project_create(struct front *f, const char *name, const struct quota *quota,
			      char token[TOKEN_LEN + 1], const struct project **ret, struct err *e)
{
	struct project_making *m;
	struct project_row row;

	if (check_new(f, name, e) < 0)
		return NULL;
	util_new_id(row.id);
	row = new_project(row.id, name, free_slot(f));
	row.quota = *quota;
	m = calloc(1, sizeof(*m));
	if (m)
		m->project = project_new(f, &row);
	if (m && m->project)
		m->token = token_new(m->project, "first", false, token, e);
	if (!m || !m->token) {
		if (!m || !m->project)
			(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot make a project");
		else
			project_free(f, m->project);
		free(m);
		return NULL;
	}
	m->change = (struct change){
		.write = project_write, .adopt = project_adopt, .done = project_done};
	m->project->next = f->core->coming;
	f->core->coming = m->project;
	f->core->slot_last = row.slot;
	change_mark(f, &m->change, TURN_NOBODY, 0);
	*ret = m->project;
	return &m->change;
}

/* The quotas that the project is about to have: all who ask in one turn for others share it. */
struct quota_change {
	struct change change;
	char project[PROJECT_ID_LEN + 1];
	struct quota quota;
};

const struct quota *project_quota(const struct project *p)
{
	return p->quota_change ? &p->quota_change->quota : &p->quota;
}

static int quota_write(struct front *f, struct change *c, struct err *e)
{
	const struct quota_change *q = OWNER(c, struct quota_change, change);
	const struct project *p = project_by_id(f, q->project);
	struct project_row row;

	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "the project was removed");
	row = row_of(p);
	row.quota = q->quota;
	return store_project_update(f->store, &row, e);
}

static void quota_adopt(struct front *f, struct change *c, bool durable)
{
	const struct quota_change *q = OWNER(c, struct quota_change, change);
	struct project *p = project_by_id(f, q->project);

	if (!p)
		return;
	p->quota_change = NULL;
	if (durable)
		p->quota = q->quota;
}

static void quota_done(struct front *f, struct change *c, const struct err *error)
{
	struct quota_change *q = OWNER(c, struct quota_change, change);
	struct project *p = project_by_id(f, q->project);

	if (p && !error)
		EVENT_TELL(f, project_changed, p);
	free(q);
}

struct change *project_set_quota(struct front *f, struct project *p, const struct quota *quota,
				 struct err *e)
{
	struct quota_change *q = p->quota_change;

	if (!q) {
		q = calloc(1, sizeof(*q));
		if (!q) {
			(void)err_set(e, ERR_SYSTEM, ENOMEM, "cannot change the quotas");
			return NULL;
		}
		q->change = (struct change){
			.write = quota_write, .adopt = quota_adopt, .done = quota_done};
		memcpy(q->project, p->id, sizeof(q->project));
		p->quota_change = q;
		change_mark(f, &q->change, TURN_NOBODY, 0);
	}
	q->quota = *quota;
	return &q->change;
}

struct removal {
	struct chore chore;
	struct change revoked; /* its tokens open nothing any more, not after a restart either */
	char id[PROJECT_ID_LEN + 1];
	project_done_fn done;
	void *arg;
};

static void removal_end(struct front *f, struct chore *c, const struct err *error)
{
	struct removal *removal = OWNER(c, struct removal, chore);

	(void)f;
	removal->done(removal->arg, error);
	free(removal);
}

struct last_rows {
	struct front *f;
	struct project *p;
};

static int write_removal(void *arg, struct err *e)
{
	const struct last_rows *last = arg;
	int r = 0;

	PART_WALK(last->f, part)
		if (r == 0 && part->delete_project)
			r = part->delete_project(last->f, last->p, e);
	return r < 0 ? r : store_project_delete(last->f->store, last->p->id, e);
}

/* What is there of it goes piece by piece; the project itself is the last. 1: there is more. */
static int removal_slice(struct front *f, struct chore *c, struct err *e)
{
	struct project *p = project_by_id(f, OWNER(c, struct removal, chore)->id);
	struct last_rows last = {f, p};
	int r;

	if (!p)
		return err_set(e, ERR_NOT_FOUND, 0, "there is no such project");
	if (p->n_coming)
		return 1;
	PART_WALK(f, part) {
		r = part->remove ? part->remove(f, p, e) : 0;
		if (r != 0)
			return r;
	}
	r = store_slice(f->store, write_removal, &last, e);
	if (r < 0)
		return r;
	drop(f, p);
	package_prune(f);
	return 0;
}

static void removal_begin(struct front *f, struct change *c, const struct err *error)
{
	struct removal *removal = OWNER(c, struct removal, revoked);
	struct project *p = project_by_id(f, removal->id);

	if (p)
		p->going = !error;
	if (error)
		removal_end(f, &removal->chore, error);
	else
		chore_begin(f, &removal->chore, turn_holder(p));
}

int project_remove(struct front *f, struct project *p, bool force, project_done_fn done, void *arg,
		   struct err *e)
{
	struct removal *removal;
	struct change *revoked;
	int r;

	if (p->slot == 0)
		return err_set(e, ERR_CONFLICT, 0, "the default project cannot be removed");
	if (!force && !p->going)
		PART_WALK(f, part) {
			r = part->check_idle ? part->check_idle(f, p, e) : 0;
			if (r < 0)
				return r;
		}
	removal = calloc(1, sizeof(*removal));
	if (!removal)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot remove the project %s", p->name);
	*removal = (struct removal){
		.chore = {.slice = removal_slice, .end = removal_end}, .done = done, .arg = arg};
	memcpy(removal->id, p->id, sizeof(removal->id));
	removal->revoked = (struct change){.done = removal_begin};
	if (!p->n_tokens) {
		p->going = true;
		chore_begin(f, &removal->chore, turn_holder(p));
		return 0;
	}
	revoked = token_revoke_all(f, p, e);
	if (!revoked) {
		free(removal);
		return -ENOMEM;
	}
	p->going = true;
	change_add_with(revoked, &removal->revoked);
	return 0;
}

const struct capability project_capability = {.name = "projects",
					      .schema = &projects_schema,
					      .load = project_load,
					      .clear = project_clear};
