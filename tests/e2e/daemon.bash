# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For a test file that needs only a daemon, and a folder for each test: `load daemon` loads lib.bash
# too. A function that the file defines itself replaces the one here.
load lib

setup_file() {
	daemon_make
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

teardown_file() {
	daemon_remove
}
