# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# lib.bash for a script that is no bats file. At its end its daemon is removed, with what a
# failed test has left; what is left all the same makes the script fail.

# What bats has: the library is made for it.
bats_require_minimum_version() { :; }
# shellcheck source=tests/e2e/lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# By the trap.
# shellcheck disable=SC2317
finish() {
	local status=$?

	sandboxctl ps --json | jq -r '.[].id' | xargs -r -n 1 "$CTL" cancel --force >/dev/null || true
	daemon_remove || status=1
	exit "$status"
}
trap finish EXIT
