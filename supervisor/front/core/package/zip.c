// SPDX-License-Identifier: Apache-2.0
/* The files of a worker as a zip, which libzip reads. */
#include "supervisor/front/core/package/zip.h"

#include <endian.h>
#include <stdlib.h>
#include <string.h>
#include <sys/param.h>
#include <sys/stat.h>

#include "lib/sha256.h"
#include "lib/text.h"
#include "supervisor/front/core/package/extract.h"

#define READ_SIZE (64u << 10)
#define LOCAL_SIZE 30 /* of an entry's header, before its name */
#define EXTRA_TIMES 0x5455
#define DOS_FOLDER 0x10
#define FLAG_LATE (1u << 3)

void package_zip_digest(const uint8_t zip[32], uint8_t package[32])
{
	/* No tar is as short as this. */
	char text[64] = "sandboxd: a zip, unpacked: ";
	size_t n = strlen(text);

	memcpy(text + n, zip, 32);
	if (sha256(text, n + 32, package) < 0)
		abort(); /* it has no way to fail but that of memory */
}

/*
 * What libzip, while it opens the zip, is to see of the n bytes at the offset.
 *
 * It searches the last 64 KiB for ends, and tries each of them. There may be some in the content
 * of entries, of a zip in the zip or to keep libzip busy, so the content looks empty to the search.
 *
 * Of a header that stands before what was not yet known of its content, the consistency check
 * wants all of the lengths or none. libarchive, with which sandboxctl packs, writes the one that it
 * knows: where that is the directory's, the header has none.
 */
static void prepare(const struct zip_package *p, uint8_t *buf, size_t n)
{
	static const uint8_t none[4];
	const struct zip_layout *l = &p->layout;
	const struct zip_place *place;
	uint32_t packed, size;

	if (p->offset < l->directory_at && n > l->directory_at - p->offset)
		memset(buf, 0, l->directory_at - p->offset);
	place = n == LOCAL_SIZE ? zip_layout_find(l, p->offset) : NULL;
	if (!place || !(place->flags & FLAG_LATE) || memcmp(buf + 14, none, 4) != 0)
		return;
	memcpy(&packed, buf + 18, 4);
	memcpy(&size, buf + 22, 4);
	if ((packed == 0 || le32toh(packed) == place->packed) &&
	    (size == 0 || le32toh(size) == place->size))
		memset(buf + 18, 0, 8);
}

/* The zip as libzip reads it: the bytes in memory. */
static zip_int64_t source(void *arg, void *data, zip_uint64_t len, zip_source_cmd_t what)
{
	struct zip_package *p = arg;
	zip_int64_t at;
	zip_error_t error = {0};
	size_t n;

	switch (what) {
	case ZIP_SOURCE_SUPPORTS:
		return ZIP_SOURCE_SUPPORTS_SEEKABLE;
	case ZIP_SOURCE_OPEN:
		p->offset = 0;
		return 0;
	case ZIP_SOURCE_READ:
		n = MIN(len, p->layout.len - p->offset);
		memcpy(data, p->layout.bytes + p->offset, n);
		if (!p->open)
			prepare(p, data, n);
		p->offset += n;
		return (zip_int64_t)n;
	case ZIP_SOURCE_SEEK:
		at = zip_source_seek_compute_offset(p->offset, p->layout.len, data, len, &error);
		if (at >= 0)
			p->offset = (uint64_t)at;
		return at < 0 ? -1 : 0;
	case ZIP_SOURCE_TELL:
		return (zip_int64_t)p->offset;
	case ZIP_SOURCE_STAT:
		zip_stat_init(data);
		((zip_stat_t *)data)->size = p->layout.len;
		((zip_stat_t *)data)->valid |= ZIP_STAT_SIZE;
		return sizeof(zip_stat_t);
	case ZIP_SOURCE_ERROR:
		zip_error_set(&error, ZIP_ER_INCONS, 0);
		return zip_error_to_data(&error, data, len);
	case ZIP_SOURCE_CLOSE:
	case ZIP_SOURCE_FREE:
		return 0;
	default:
		return -1;
	}
}

static int open_zip(struct zip_package *p, struct err *e)
{
	zip_error_t error = {0};
	zip_source_t *from = zip_source_function_create(source, p, &error);

	p->zip = from ? zip_open_from_source(from, ZIP_RDONLY | ZIP_CHECKCONS, &error) : NULL;
	if (p->zip) {
		p->open = true;
		if ((uint64_t)zip_get_num_entries(p->zip, 0) != p->layout.n)
			return extract_refuse(e, "archive", "it can be read in two ways");
		return 0;
	}
	zip_source_free(from);
	if (error.zip_err == ZIP_ER_MEMORY)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	if (error.zip_err == ZIP_ER_EXISTS && zip_layout_twice(&p->layout, e))
		return -EINVAL;
	return extract_refuse(e, "archive",
			      "an entry's header and the zip's directory say different things");
}

/* The times that Info-ZIP and libarchive add are exact, and in no time zone. */
static time_t mtime_of(zip_t *zip, uint64_t i, const zip_stat_t *st)
{
	static const zip_flags_t places[] = {ZIP_FL_LOCAL, ZIP_FL_CENTRAL};

	for (size_t k = 0; k < ARRAY_SIZE(places); k++) {
		zip_uint16_t len = 0;
		const uint8_t *p =
			zip_file_extra_field_get_by_id(zip, i, EXTRA_TIMES, 0, &len, places[k]);
		uint32_t seconds;

		if (!p || len < 5 || !(p[0] & 1))
			continue;
		memcpy(&seconds, p + 1, 4);
		return (int32_t)le32toh(seconds);
	}
	return st->mtime;
}

static mode_t mode_of(zip_t *zip, uint64_t i, const char *name)
{
	bool slash = name[strlen(name) - 1] == '/';
	zip_uint8_t system = 0;
	zip_uint32_t bits = 0;
	mode_t mode;

	(void)zip_file_get_external_attributes(zip, i, 0, &system, &bits);
	mode = system == ZIP_OPSYS_UNIX ? bits >> 16 : 0;
	if (slash || (system == ZIP_OPSYS_DOS && (bits & DOS_FOLDER)))
		mode = (mode & 07777) | S_IFDIR;
	else if ((mode & S_IFMT) == 0)
		mode |= S_IFREG;
	if ((mode & 07777) == 0)
		mode |= S_ISDIR(mode) ? 0755 : 0644;
	return mode;
}

/*
 * The name in UTF-8: as it is where it says so or simply is, which by chance hardly one of another
 * kind is; else by code page 437. NULL where there is no memory for it.
 */
static const char *name_of(zip_t *zip, uint64_t i)
{
	const char *raw = zip_get_name(zip, i, ZIP_FL_ENC_RAW);

	return raw && log_text_is_utf8(raw, strlen(raw)) ? raw : zip_get_name(zip, i, 0);
}

static int read_entry(struct zip_package *p, uint64_t i, struct zip_entry *entry,
		      uint64_t bytes_max, struct err *e)
{
	const char *why = NULL;
	zip_stat_t st;

	entry->name = name_of(p->zip, i);
	if (!entry->name || zip_stat_index(p->zip, i, 0, &st) < 0)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	entry->mode = mode_of(p->zip, i, entry->name);
	entry->mtime = mtime_of(p->zip, i, &st);
	entry->size = st.size;
	if (strchr(entry->name, '\\'))
		why = "the name has a back slash: folders are separated by /";
	else if (strlen(entry->name) >= PACKAGE_PATH_MAX)
		why = "the name is too long";
	else if (st.size > INT64_MAX || (st.comp_method == ZIP_CM_STORE && st.size != st.comp_size))
		why = "its lengths are wrong";
	else if (!S_ISREG(entry->mode) && !S_ISDIR(entry->mode) && !S_ISLNK(entry->mode))
		why = "only files, folders and symbolic links are allowed";
	else if (S_ISREG(entry->mode) && (entry->mode & (S_ISUID | S_ISGID)))
		why = "set-user-id and set-group-id are not allowed";
	else if (S_ISDIR(entry->mode) && st.size != 0)
		why = "a folder has content";
	else if (st.size > ZIP_BOMB_BYTES && st.size / ZIP_BOMB_RATIO > st.comp_size)
		why = "it is a zip bomb: it unpacks to more than 250 times its size";
	if (why)
		return extract_refuse(e, entry->name, why);
	if (st.size > bytes_max - p->bytes)
		return err_set(e, ERR_LIMIT, 0,
			       "it unpacks to more than %llu bytes, which are allowed",
			       (unsigned long long)bytes_max);
	p->bytes += st.size;
	return 0;
}

static int read_entries(struct zip_package *p, uint64_t bytes_max, struct err *e)
{
	int r = 0;

	p->entries = calloc(p->layout.n, sizeof(*p->entries));
	if (!p->entries)
		return err_set(e, ERR_SYSTEM, ENOMEM, "cannot be read");
	for (uint64_t i = 0; r == 0 && i < p->layout.n; i++)
		r = read_entry(p, i, &p->entries[i], bytes_max, e);
	if (r < 0)
		return r;
	if (p->bytes > ZIP_BOMB_BYTES && p->bytes / ZIP_BOMB_RATIO > p->layout.len)
		return extract_refuse(
			e, "archive",
			"it is a zip bomb: it unpacks to more than 250 times its size");
	return 0;
}

int package_zip_open(const void *zip, size_t len, uint64_t bytes_max, struct zip_package *p,
		     struct err *e)
{
	int r;

	*p = (struct zip_package){0};
	r = zip_layout_read(zip, len, &p->layout, e);
	if (r == 0)
		r = open_zip(p, e);
	if (r == 0)
		r = read_entries(p, bytes_max, e);
	if (r < 0)
		package_zip_close(p);
	return r < 0 ? err_wrap(e, r, "zip") : 0;
}

void package_zip_close(struct zip_package *p)
{
	if (p->zip)
		zip_discard(p->zip);
	free(p->entries);
	zip_layout_clear(&p->layout);
	*p = (struct zip_package){0};
}

/* What is being read of an entry. */
struct reader {
	zip_file_t *file;
	int64_t at;
	char buf[READ_SIZE];
};

static int read_data(void *arg, const void **bytes, size_t *len, int64_t *at)
{
	struct reader *in = arg;
	zip_int64_t n = in->file ? zip_fread(in->file, in->buf, sizeof(in->buf)) : -1;

	if (n <= 0)
		return n < 0 ? -EINVAL : 0;
	*bytes = in->buf;
	*len = (size_t)n;
	*at = in->at;
	in->at += n;
	return 1;
}

/* A link's target is the content of its entry. */
static const char *read_target(struct reader *in, char target[PACKAGE_PATH_MAX])
{
	const void *bytes;
	size_t n = 0, len;
	int64_t at;
	int r;

	while ((r = read_data(in, &bytes, &len, &at)) > 0) {
		if (len >= PACKAGE_PATH_MAX - n || memchr(bytes, '\0', len))
			return NULL;
		memcpy(target + n, bytes, len);
		n += len;
	}
	target[n] = '\0';
	return r < 0 ? NULL : target;
}

int package_zip_extract(struct zip_package *p, int dirfd, struct err *e)
{
	struct reader *in = calloc(1, sizeof(*in));
	struct extract x = {.dirfd = dirfd,
			    .read = read_data,
			    .arg = in,
			    .bytes_left = p->bytes,
			    .no_holes = true};
	char target[PACKAGE_PATH_MAX];
	int r = 0;

	if (!in)
		return err_set(e, ERR_SYSTEM, ENOMEM, "zip: cannot be read");
	for (uint64_t i = 0; r == 0 && i < p->layout.n; i++) {
		struct extract_entry entry = {.name = p->entries[i].name,
					      .mode = p->entries[i].mode,
					      .size = p->entries[i].size,
					      .has_mtime = true,
					      .mtime = p->entries[i].mtime};

		in->at = 0;
		in->file = zip_fopen_index(p->zip, i, 0);
		if (S_ISLNK(entry.mode))
			entry.target = read_target(in, target);
		r = extract_entry(&x, &entry, e);
		if (in->file)
			(void)zip_fclose(in->file);
	}
	if (r == 0)
		r = extract_end(&x, e);
	extract_clear(&x);
	free(in);
	return r < 0 ? err_wrap(e, r, "zip") : 0;
}

/*
 * What a zip takes when it is unpacked, before anything of it is: the folders above its files are
 * in no list of the zip's, and an empty file takes an inode and a place in its folder all the same.
 */

/* The path as it will be made; a folder's ends in a slash, "" is the package itself. */
static int copy_path(const struct zip_entry *entry, char **ret, struct err *e)
{
	char path[PACKAGE_PATH_MAX + 2];
	int r = package_path(entry->name, path, e);

	if (r < 0)
		return r;
	if (*path && entry->name[strlen(entry->name) - 1] == '/')
		strcat(path, "/");
	*ret = strdup(path);
	return *ret ? 0 : extract_cannot_keep(e, ENOMEM, "it");
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static unsigned count_slashes(const char *path, size_t len)
{
	unsigned n = 0;

	for (const char *end = path + len; (path = memchr(path, '/', (size_t)(end - path))); path++)
		n++;
	return n;
}

/* Folders of path that before, which is sorted in front of it, has too: all that have been met
 * of path's are there, for what is in one folder stands together. */
static unsigned common_folders(const char *before, const char *path)
{
	size_t same = 0;

	while (before[same] && before[same] == path[same])
		same++;
	return count_slashes(path, same);
}

static uint64_t in_blocks(uint64_t bytes)
{
	return bytes ? (bytes + PACKAGE_BLOCK - 1) / PACKAGE_BLOCK * PACKAGE_BLOCK : PACKAGE_BLOCK;
}

/* Of paths that are sorted: each file and link, and each folder once. */
static uint64_t count_made(char *const *paths, size_t n)
{
	uint64_t made = 0;

	for (size_t i = 0; i < n; i++) {
		const size_t len = strlen(paths[i]);

		made += count_slashes(paths[i], len);
		made -= i ? common_folders(paths[i - 1], paths[i]) : 0;
		made += len && paths[i][len - 1] != '/';
	}
	return made;
}

int package_zip_size(const struct zip_package *p, struct package_size *ret, struct err *e)
{
	char **paths = calloc(p->layout.n, sizeof(*paths));
	uint64_t made, bytes = 0;
	size_t n = 0, names = 0;
	int r = 0;

	if (!paths)
		return extract_cannot_keep(e, ENOMEM, "it");
	for (; r == 0 && n < p->layout.n; n++) {
		r = copy_path(&p->entries[n], &paths[n], e);
		names += r == 0 ? strlen(paths[n]) : 0;
		if (names > PACKAGE_NAMES_MAX)
			r = extract_refuse(e, "archive",
					   "the names of all files have more than 16 MiB");
		/* Its first block is counted with all that is made. */
		bytes += in_blocks(p->entries[n].size) - PACKAGE_BLOCK;
	}
	if (r == 0) {
		qsort(paths, n, sizeof(*paths), by_name);
		made = count_made(paths, n);
		if (made > PACKAGE_ENTRIES_MAX)
			r = extract_refuse(e, "archive",
					   "it has more than 100000 files and folders");
		/* And the folder and the zip themselves. */
		ret->files = made + 2;
		ret->bytes = bytes + (made + 1) * PACKAGE_BLOCK + in_blocks(p->layout.len);
	}
	for (size_t i = 0; i < p->layout.n; i++)
		free(paths[i]);
	free(paths);
	return r;
}
