# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# lib.bash for a script that is not a bats file. When the script ends, its daemon is removed, with
# what a failed test has left; if something is left all the same, the script fails.

# bats defines this function, and lib.bash calls it.
bats_require_minimum_version() { :; }
# shellcheck source=tests/e2e/lib.bash
. "$(dirname "${BASH_SOURCE[0]}")/lib.bash"

# Called by the trap.
# shellcheck disable=SC2317
finish() {
	local status=$?

	sandboxctl ps --json | jq -r '.[].id' | xargs -r -n 1 "$CTL" cancel --force >/dev/null || true
	daemon_remove || status=1
	exit "$status"
}
trap finish EXIT
