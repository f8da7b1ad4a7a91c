# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For a test file that wants no more than a daemon, and a folder for each test: `load daemon`
# brings lib.bash too. A function that the file defines itself takes the place of the one here.
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
