/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The runtime is the part of sandboxd that runs in a sandbox. An image keeps the one that it was
 * built with, also where sandboxd has been upgraded since: its tasks behave as they did before.
 */
#ifndef SUPERVISOR_CTL_RUNTIME_H
#define SUPERVISOR_CTL_RUNTIME_H

#define IMAGE_RUNTIME_PATH "usr/lib/sandbox-runtime"

enum runtime { RUNTIME_UNKNOWN, RUNTIME_CURRENT, RUNTIME_OTHER };

/* Where the installed one is; path holds PATH_MAX bytes. */
void runtime_dir(char *path);
/* Is the one of the image with this name the installed one? images is STATE/images. Unknown where
 * one of them cannot be read. */
enum runtime runtime_of_image(int images, const char *name);

#endif
