// SPDX-License-Identifier: Apache-2.0
/*
 * What a follower's socket may carry. First byte: options. Whatever comes, nothing
 * that a terminal would act on goes out when escaping is on.
 */
#include <sys/mman.h>

#include "tests/unit/log_feed.h"
#include "wire/log_client.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_escaped(int fd)
{
	static uint8_t buf[1 << 20];
	ssize_t n = pread(fd, buf, sizeof(buf), 0);

	for (ssize_t i = 0; i < n; i++) {
		if (buf[i] < 0x20 && buf[i] != '\n' && buf[i] != '\t' &&
		    !(buf[i] == '\r' && i + 1 < n && buf[i + 1] == '\n'))
			__builtin_trap();
		if (buf[i] == 0x7f)
			__builtin_trap();
		/* C1 controls */
		if (buf[i] == 0xc2 && i + 1 < n && buf[i + 1] < 0xa0)
			__builtin_trap();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int out = -1, err = -1;
	struct log_client_options opts = {0};
	struct log_client c;
	size_t first;

	if (size < 2)
		return 0;
	if (out < 0) {
		out = memfd_create("out", MFD_CLOEXEC);
		err = memfd_create("err", MFD_CLOEXEC);
	}
	if (ftruncate(out, 0) < 0 || ftruncate(err, 0) < 0)
		return 0;
	(void)lseek(out, 0, SEEK_SET);
	(void)lseek(err, 0, SEEK_SET);
	opts.out_fd = data[0] & 1 ? -1 : out;
	opts.err_fd = data[0] & 2 ? -1 : err;
	opts.timestamps = data[0] & 4;
	opts.escape_out = opts.escape_err = data[0] & 8;
	opts.quiet = data[0] & 16;
	if (log_client_init(&c, &opts) < 0)
		return 0;
	/* In two pieces, cut anywhere. */
	first = data[1] % (size - 1);
	if (log_feed(&c, data + 2, first > size - 2 ? size - 2 : first, NULL) == 0 &&
	    first < size - 2)
		(void)log_feed(&c, data + 2 + first, size - 2 - first, NULL);
	log_client_clear(&c);
	if (opts.escape_out) {
		check_escaped(out);
		check_escaped(err);
	}
	return 0;
}
