// SPDX-License-Identifier: Apache-2.0
/*
 * A folder of the caller's as a service: GET and HEAD read files and list folders, PUT and DELETE write
 * where the configuration says so. The kernel resolves every path beneath the folder (openat2(2),
 * RESOLVE_BENEATH), so that neither ".." nor a link in it leads to anything beside it.
 */
#include <curl/curl.h>
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/dir.h"
#include "supervisor/ctl/serve/serve.h"

#define FILE_MAX (25u << 20)
#define NAMES_MAX 100000u

static void reply(struct serve_ask *a, int status, const char *type, const char *modified,
		  const void *body, size_t len, long long length)
{
	const json_t *http = json_object_get(a->head, "http");
	const char *method = json_string_value(json_object_get(http, "method"));
	const bool head = method && strcmp(method, "HEAD") == 0;
	char number[32];
	json_t *headers = json_array();

	(void)snprintf(number, sizeof(number), "%lld", length < 0 ? (long long)len : length);
	if (type)
		(void)json_array_append_new(headers, json_pack("[s, s]", "content-type", type));
	if (status == 200)
		(void)json_array_append_new(headers, json_pack("[s, s]", "content-length", number));
	if (modified)
		(void)json_array_append_new(headers,
					    json_pack("[s, s]", "last-modified", modified));
	serve_answer(a, json_pack("{s:i, s:o}", "status", status, "headers", headers), body,
		     head ? 0 : len);
}

static void reply_text(struct serve_ask *a, int status, const char *text)
{
	reply(a, status, "text/plain", NULL, text, strlen(text), -1);
}

const char *serve_media_type(const char *path)
{
	static const char *const types[][2] = {
		{"html", "text/html; charset=utf-8"},
		{"htm", "text/html; charset=utf-8"},
		{"css", "text/css; charset=utf-8"},
		{"js", "text/javascript; charset=utf-8"},
		{"mjs", "text/javascript; charset=utf-8"},
		{"json", "application/json"},
		{"txt", "text/plain; charset=utf-8"},
		{"md", "text/markdown; charset=utf-8"},
		{"xml", "application/xml"},
		{"svg", "image/svg+xml"},
		{"png", "image/png"},
		{"jpg", "image/jpeg"},
		{"jpeg", "image/jpeg"},
		{"gif", "image/gif"},
		{"webp", "image/webp"},
		{"avif", "image/avif"},
		{"ico", "image/x-icon"},
		{"woff", "font/woff"},
		{"woff2", "font/woff2"},
		{"ttf", "font/ttf"},
		{"pdf", "application/pdf"},
		{"wasm", "application/wasm"},
		{"mp3", "audio/mpeg"},
		{"mp4", "video/mp4"},
		{"webm", "video/webm"},
		{"csv", "text/csv; charset=utf-8"},
		{"webmanifest", "application/manifest+json"},
	};
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < ARRAY_SIZE(types); i++)
		if (strcasecmp(dot + 1, types[i][0]) == 0)
			return types[i][1];
	return "application/octet-stream";
}

/* What is between two slashes: no "..", and no "." that would make one path of two. */
static bool is_part(const char *part, size_t len)
{
	return len > 0 && len <= NAME_MAX && !(len == 1 && *part == '.') &&
	       !(len == 2 && part[0] == '.' && part[1] == '.');
}

int serve_ask_path(struct serve_ask *a, char *buf, size_t size)
{
	const char *url =
		json_string_value(json_object_get(json_object_get(a->head, "http"), "url"));
	CURLU *u = curl_url();
	char *path = NULL;
	int n = 0, r = -EINVAL;
	size_t at = 0;

	if (strcmp(ctl_text(a->head, "method"), "fetch") != 0) {
		curl_url_cleanup(u);
		serve_answer_error(a, "Error", "a service can be asked by fetch() alone here");
		return -ECANCELED;
	}
	if (u && url && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
	    curl_url_get(u, CURLUPART_PATH, &path, 0) == CURLUE_OK) {
		char *plain = curl_easy_unescape(NULL, path, 0, &n);

		/* A percent-encoded NUL, or slash, is decoded by now. */
		r = plain && strlen(plain) == (size_t)n ? 0 : -EINVAL;
		for (const char *from = plain; r == 0 && *from;) {
			const size_t len = strcspn(from, "/");

			if (len && (!is_part(from, len) || at + len + 2 > size)) {
				r = -EINVAL;
			} else if (len) {
				if (at)
					buf[at++] = '/';
				memcpy(buf + at, from, len);
				at += len;
			}
			from += len + (from[len] == '/');
		}
		curl_free(plain);
	}
	buf[at] = '\0';
	curl_free(path);
	curl_url_cleanup(u);
	return r;
}

static bool has_dotfile(const char *path)
{
	return *path == '.' || strstr(path, "/.");
}

static const char *type_of(int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return "other";
	return S_ISREG(st.st_mode)   ? "file"
	       : S_ISDIR(st.st_mode) ? "directory"
	       : S_ISLNK(st.st_mode) ? "symlink"
				     : "other";
}

static void reply_folder(struct serve_ask *a, int fd, bool dotfiles)
{
	_cleanup_dir_names_ struct dir_names names = {0};
	_cleanup_free_ char *text = NULL;
	json_auto_t *list = json_array();

	if (dir_names_read(fd, NAMES_MAX, &names) < 0) {
		reply_text(a, 500, "the folder cannot be read\n");
		return;
	}
	for (size_t i = 0; i < names.n; i++)
		if (dotfiles || *names.names[i] != '.')
			(void)json_array_append_new(list,
						    json_pack("{s:s, s:s}", "name", names.names[i],
							      "type", type_of(fd, names.names[i])));
	text = json_dumps(list, JSON_COMPACT);
	reply(a, 200, "application/json", NULL, text ? text : "[]", text ? strlen(text) : 2, -1);
}

static void read_one(struct serve_ask *a, int dirfd, const char *path, bool dotfiles)
{
	_cleanup_fd_ int fd =
		ctl_open_beneath(dirfd, *path ? path : ".", O_RDONLY | O_NONBLOCK | O_NOCTTY);
	_cleanup_free_ uint8_t *bytes = NULL;
	char modified[64];
	struct stat st;
	struct tm tm;
	size_t n = 0;

	if (fd < 0 || fstat(fd, &st) < 0 || !(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
		reply_text(a, 404, "Not Found\n");
		return;
	}
	if (S_ISDIR(st.st_mode)) {
		reply_folder(a, fd, dotfiles);
		return;
	}
	if (st.st_size > (off_t)FILE_MAX) {
		serve_answer_error(a, "Error", "the file has more than 25 MiB");
		return;
	}
	bytes = malloc((size_t)st.st_size + 1);
	while (bytes && n < (size_t)st.st_size) {
		const ssize_t got = read(fd, bytes + n, (size_t)st.st_size - n);

		if (got <= 0)
			break;
		n += (size_t)got;
	}
	(void)strftime(modified, sizeof(modified), "%a, %d %b %Y %H:%M:%S GMT",
		       gmtime_r(&st.st_mtime, &tm));
	if (bytes)
		reply(a, 200, serve_media_type(path), modified, bytes, n, (long long)n);
	else
		reply_text(a, 500, "out of memory\n");
}

/* The folder that path is in, made where it is not there; *ret_name: its last part. */
static int parent_of(int dirfd, const char *path, bool make, const char **ret_name)
{
	int fd = fcntl(dirfd, F_DUPFD_CLOEXEC, 0);
	const char *slash;
	char part[NAME_MAX + 1];

	while (fd >= 0 && (slash = strchr(path, '/'))) {
		int next;

		(void)snprintf(part, sizeof(part), "%.*s", (int)(slash - path), path);
		if (make)
			(void)mkdirat(fd, part, 0777);
		next = ctl_open_beneath(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
		util_close_fd(&fd);
		fd = next;
		path = slash + 1;
	}
	*ret_name = path;
	return fd;
}

static void put(struct serve_ask *a, int dirfd, const char *path)
{
	char id[TASK_ID_LEN + 1], temporary[TASK_ID_LEN + 16];
	_cleanup_fd_ int parent = -1, fd = -1;
	const char *name;

	parent = parent_of(dirfd, path, true, &name);
	util_new_id(id);
	(void)snprintf(temporary, sizeof(temporary), ".put-%s", id);
	if (parent >= 0)
		fd = openat(parent, temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
	if (fd < 0 || util_write_all(fd, a->body, a->len) < 0 ||
	    renameat(parent, temporary, parent, name) < 0) {
		if (fd >= 0)
			(void)unlinkat(parent, temporary, 0);
		reply_text(a, 500, "the file cannot be written\n");
		return;
	}
	reply(a, 204, NULL, NULL, NULL, 0, -1);
}

static void delete_one(struct serve_ask *a, int dirfd, const char *path)
{
	const char *name;
	_cleanup_fd_ int parent = parent_of(dirfd, path, false, &name);

	if (parent < 0 || (unlinkat(parent, name, 0) < 0 &&
			   (errno != EISDIR || unlinkat(parent, name, AT_REMOVEDIR) < 0)))
		reply_text(a, 404, "Not Found\n");
	else
		reply(a, 204, NULL, NULL, NULL, 0, -1);
}

void serve_disk(struct serve_ask *a, int dirfd, bool writable, bool dotfiles)
{
	const json_t *http = json_object_get(a->head, "http");
	const char *method = ctl_text(http, "method");
	char path[PATH_MAX];
	const int r = serve_ask_path(a, path, sizeof(path));

	if (r == -ECANCELED)
		return;
	if (r < 0 || (!dotfiles && has_dotfile(path)))
		reply_text(a, 404, "Not Found\n");
	else if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0)
		read_one(a, dirfd, path, dotfiles);
	else if (!writable || !*path)
		reply_text(a, 405, "Method Not Allowed\n");
	else if (strcmp(method, "PUT") == 0)
		put(a, dirfd, path);
	else if (strcmp(method, "DELETE") == 0)
		delete_one(a, dirfd, path);
	else
		reply_text(a, 501, "Not Implemented\n");
}
