/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime is the part of sandboxd that runs in a sandbox. An image keeps the runtime that it
 * was built with, also when sandboxd is upgraded: its tasks behave as they did before.
 */
#ifndef SUPERVISOR_CTL_RUNTIME_H
#define SUPERVISOR_CTL_RUNTIME_H

#define IMAGE_RUNTIME_PATH "usr/lib/sandbox-runtime"

enum runtime { RUNTIME_UNKNOWN, RUNTIME_CURRENT, RUNTIME_OTHER };

/* The folder of the installed runtime; path has PATH_MAX bytes. */
void runtime_dir(char *path);
/* Whether the runtime of the image with this name is the installed one. images is STATE/images.
 * Unknown when one of the two cannot be read. */
enum runtime runtime_of_image(int images, const char *name);

#endif
