// SPDX-License-Identifier: Apache-2.0
#include "supervisor/front/core/secret.h"

#include <ctype.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/msg.h"
#include "supervisor/front/core/core.h"

#define KEY_FILE "secret.key"
#define NONCE_BYTES 12
#define TAG_BYTES 16
#define SEAL_VERSION 1

bool secret_is_name(const char *s)
{
	size_t n = 0;

	if (!s || isdigit((unsigned char)*s))
		return false;
	for (; s[n]; n++)
		if (n >= SECRET_NAME_MAX ||
		    (!isascii(s[n]) || (!isalnum((unsigned char)s[n]) && s[n] != '_')))
			return false;
	return n > 0;
}

static void random_bytes(void *buf, size_t len)
{
	while (getrandom(buf, len, 0) != (ssize_t)len)
		;
}

/* What is sealed along with a value: three texts with a NUL behind each. */
#define BOUND_MAX (PROJECT_ID_LEN + 256 + SECRET_NAME_MAX + 3)
static int bound_to(char buf[BOUND_MAX], const char *project, const char *worker, const char *name)
{
	return snprintf(buf, BOUND_MAX, "%.*s%c%.255s%c%.*s%c", PROJECT_ID_LEN, project, 0, worker,
			0, SECRET_NAME_MAX, name, 0);
}

int secret_seal(struct front *f, const char *project, const char *worker, const char *name,
		const char *value, size_t len, uint8_t *ret, struct err *e)
{
	EVP_CIPHER_CTX *x = EVP_CIPHER_CTX_new();
	uint8_t *nonce = ret + 1, *text = nonce + NONCE_BYTES;
	char bound[BOUND_MAX];
	const int bound_len = bound_to(bound, project, worker, name);
	int n, r = secret_key_check(f, e);

	*ret = SEAL_VERSION;
	random_bytes(nonce, NONCE_BYTES);
	if (r == 0 && (!x ||
		       EVP_EncryptInit_ex(x, EVP_aes_256_gcm(), NULL, f->core->secret_key.bytes,
					  nonce) != 1 ||
		       EVP_EncryptUpdate(x, NULL, &n, (uint8_t *)bound, bound_len) != 1 ||
		       EVP_EncryptUpdate(x, text, &n, (const uint8_t *)value, (int)len) != 1 ||
		       EVP_EncryptFinal_ex(x, text + len, &n) != 1 ||
		       EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_GCM_GET_TAG, TAG_BYTES, text + len) != 1))
		r = err_set(e, ERR_SYSTEM, 0, "the secret %s cannot be sealed", name);
	EVP_CIPHER_CTX_free(x);
	return r;
}

/* ret: of row->len bytes. *ret_len: of the value. -EBADMSG: the key is not the one by which it was
 * sealed, or the row was changed. */
static int unseal(const uint8_t key[SECRET_KEY_BYTES], const struct secret_row *row, char *ret,
		  size_t *ret_len)
{
	char bound[BOUND_MAX];
	const int bound_len = bound_to(bound, row->project, row->worker, row->name);
	const uint8_t *nonce = (const uint8_t *)row->sealed + 1, *text = nonce + NONCE_BYTES;
	EVP_CIPHER_CTX *x;
	uint8_t tag[TAG_BYTES];
	int n, r = 0;

	if (row->len < SECRET_SEAL_BYTES || row->len > SECRET_VALUE_MAX + SECRET_SEAL_BYTES ||
	    *(const uint8_t *)row->sealed != SEAL_VERSION)
		return -EBADMSG;
	*ret_len = row->len - SECRET_SEAL_BYTES;
	memcpy(tag, text + *ret_len, sizeof(tag));
	x = EVP_CIPHER_CTX_new();
	if (!x)
		return -ENOMEM;
	if (EVP_DecryptInit_ex(x, EVP_aes_256_gcm(), NULL, key, nonce) != 1 ||
	    EVP_DecryptUpdate(x, NULL, &n, (const uint8_t *)bound, bound_len) != 1 ||
	    EVP_DecryptUpdate(x, (uint8_t *)ret, &n, text, (int)*ret_len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(x, EVP_CTRL_GCM_SET_TAG, TAG_BYTES, tag) != 1 ||
	    EVP_DecryptFinal_ex(x, (uint8_t *)ret + *ret_len, &n) != 1)
		r = -EBADMSG;
	EVP_CIPHER_CTX_free(x);
	return r;
}

/* A JSON object that grows. Where it is moved, the place where it was is erased. */
struct text {
	struct front *f;
	char *bytes;
	size_t len, size;
	struct err *e;
};

void secret_text_free(char *text, size_t len)
{
	if (text)
		explicit_bzero(text, len);
	free(text);
}

static int text_room(struct text *t, size_t more)
{
	size_t size = t->size ? t->size : 256;
	char *bytes;

	while (size < t->len + more)
		size *= 2;
	if (size == t->size)
		return 0;
	bytes = malloc(size);
	if (!bytes)
		return err_set(t->e, ERR_SYSTEM, ENOMEM, "cannot read the secrets");
	if (t->len)
		memcpy(bytes, t->bytes, t->len);
	secret_text_free(t->bytes, t->len);
	t->bytes = bytes;
	t->size = size;
	return 0;
}

/* There is room. The value is UTF-8, which was seen to when it came. */
static void text_add_string(struct text *t, const char *s, size_t len)
{
	static const char hex[] = "0123456789abcdef";

	t->bytes[t->len++] = '"';
	for (size_t i = 0; i < len; i++) {
		const unsigned char c = (unsigned char)s[i];

		if (c < 0x20) {
			memcpy(t->bytes + t->len, "\\u00", 4);
			t->bytes[t->len + 4] = hex[c >> 4];
			t->bytes[t->len + 5] = hex[c & 15];
			t->len += 6;
			continue;
		}
		if (c == '"' || c == '\\')
			t->bytes[t->len++] = '\\';
		t->bytes[t->len++] = (char)c;
	}
	t->bytes[t->len++] = '"';
}

static int add_secret(void *arg, const struct secret_row *row)
{
	struct text *t = arg;
	char *value;
	size_t len = 0;
	int r = secret_key_check(t->f, t->e);

	if (r < 0)
		return r;
	value = calloc(1, row->len + 1);
	if (!value)
		return err_set(t->e, ERR_SYSTEM, ENOMEM, "cannot read the secrets");
	r = unseal(t->f->core->secret_key.bytes, row, value, &len);
	if (r < 0)
		r = err_set(t->e, ERR_UNAVAILABLE, 0,
			    "the secret %s of %s cannot be opened: set it anew", row->name,
			    row->worker);
	else
		r = text_room(t, strlen(row->name) + 8 + 6 * len);
	if (r == 0) {
		if (t->len > 1)
			t->bytes[t->len++] = ',';
		text_add_string(t, row->name, strlen(row->name));
		t->bytes[t->len++] = ':';
		text_add_string(t, value, len);
	}
	secret_text_free(value, row->len);
	return r;
}

int secrets_open(struct front *f, const char *project, const char *worker, const char *version,
		 char **ret, size_t *ret_len, struct err *e)
{
	struct text t = {.f = f, .e = e};
	int r = text_room(&t, 2);

	if (r < 0 || !t.bytes)
		return r;
	t.bytes[t.len++] = '{';
	r = store_secrets(f->store, project, worker, version, add_secret, &t, e);
	if (r == 0)
		r = text_room(&t, 1);
	if (r < 0) {
		secret_text_free(t.bytes, t.len);
		return r;
	}
	t.bytes[t.len++] = '}';
	*ret = t.bytes;
	*ret_len = t.len;
	return 0;
}

/* The key. */

/* Whether there is a secret, and whether the key opens it. */
struct trial {
	const uint8_t *key; /* NULL: it is not tried */
	bool any, opens;
};

static int try_secret(void *arg, const struct secret_row *row)
{
	struct trial *t = arg;
	char *value = malloc(row->len + 1);
	size_t len;

	if (!value)
		return -ENOMEM;
	t->any = true;
	t->opens = t->key && unseal(t->key, row, value, &len) == 0;
	secret_text_free(value, row->len);
	return 1;
}

/* It is durable before anything is sealed by it. */
static int key_make(struct front *f, struct err *e)
{
	struct secret_key *k = &f->core->secret_key;
	_cleanup_fd_ int fd = -1;
	int r;

	random_bytes(k->bytes, sizeof(k->bytes));
	(void)unlinkat(f->cfg.front_dirfd, KEY_FILE ".new", 0);
	fd = openat(f->cfg.front_dirfd, KEY_FILE ".new",
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
	r = fd < 0 ? -errno : util_write_all(fd, k->bytes, sizeof(k->bytes));
	if (r == 0 &&
	    (fchmod(fd, 0400) < 0 || fsync(fd) < 0 ||
	     renameat(f->cfg.front_dirfd, KEY_FILE ".new", f->cfg.front_dirfd, KEY_FILE) < 0 ||
	     fsync(f->cfg.front_dirfd) < 0))
		r = -errno;
	if (r < 0)
		return err_set(e, ERR_SYSTEM, -r, "STATE/front/" KEY_FILE);
	k->usable = true;
	return 0;
}

/* -ENOENT: there is no key. -EBADMSG: what is there is none. */
static int key_read(struct front *f)
{
	struct secret_key *k = &f->core->secret_key;
	_cleanup_fd_ int fd =
		openat(f->cfg.front_dirfd, KEY_FILE, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || st.st_size != SECRET_KEY_BYTES)
		return -EBADMSG;
	return util_read_all(fd, k->bytes, sizeof(k->bytes));
}

static int key_load(struct front *f, struct err *e)
{
	struct secret_key *k = &f->core->secret_key;
	const int got = key_read(f);
	struct trial t = {.key = got == 0 ? k->bytes : NULL};
	int r = store_secrets(f->store, NULL, NULL, NULL, try_secret, &t, e);

	if (r < 0)
		return r;
	k->usable = got == 0 && (!t.any || t.opens);
	if (k->usable)
		return 0;
	if (!t.any)
		return key_make(f, e);
	(void)snprintf(k->why, sizeof(k->why),
		       "STATE/front/" KEY_FILE " %s: put the right one back and restart sandboxd, "
		       "or remove all secrets and set them anew",
		       got == -ENOENT ? "is missing, by which the secrets of workers are sealed"
		       : got < 0      ? "cannot be read, or is no key"
				 : "is not the key by which the secrets of workers are sealed");
	msg_err("%s", k->why);
	return 0;
}

int secret_key_check(struct front *f, struct err *e)
{
	const struct secret_key *k = &f->core->secret_key;
	struct trial t = {0};

	if (k->usable)
		return 0;
	if (store_secrets(f->store, NULL, NULL, NULL, try_secret, &t, e) == 0 && !t.any)
		return key_make(f, e);
	return err_set(e, ERR_UNAVAILABLE, 0, "%s", k->why);
}

static void key_clear(struct front *f)
{
	explicit_bzero(&f->core->secret_key, sizeof(f->core->secret_key));
}

static int delete_project(struct front *f, struct project *p, struct err *e)
{
	return store_secrets_delete(f->store, p->id, NULL, e);
}

static const struct part part = {.delete_project = delete_project};

const struct capability secret_capability = {.name = "secrets",
					     .schema = &secrets_schema,
					     .load = key_load,
					     .clear = key_clear,
					     .part = &part};
