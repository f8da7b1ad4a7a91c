#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The part of the bench that measures HTTP workers, as small as it can be: it runs to its end, and has measured
# each way. Its numbers are nothing here.
# shellcheck disable=SC2154 # run sets status and output
load lib

@test "the bench of HTTP workers measures every way to start one" {
	local how

	paths
	make -s -C "$TOP" BUILD=build-test bench-programs
	PARTS=http HTTP_N=2 HTTP_ROUNDS=1 HTTP_SECONDS=1 HTTP_TASKS=numpy HTTP_PYODIDE=none BUILD=$TOP/build-test \
		SANDBOXD_TEST_IMAGES=${IMAGES%/images} TMPDIR=/var/tmp run "$TOP/tests/bench/run"
	[ "$status" = 0 ] || fail "$output"
	for how in none baseline package dedicated fork; do
		for series in socket nginx tls; do
			grep -q "^$series  *numpy  *$how  *2  *[0-9.]" <<<"$output" || fail "no $series $how: $output"
		done
	done
	grep -q '^socket  *numpy  *uvicorn  *2 ' <<<"$output" || fail "$output"
	grep -q '^http hello: an instance answers [0-9]* % of uvicorn' <<<"$output" || fail "$output"
	grep -q '^http: [0-9]* % of the forked tasks' <<<"$output" || fail "$output"
	! grep -q 'were started by' <<<"$output" || fail "$output"
}
