#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# The node of before.bats, reset without a word to anybody, and booted again: what it was given is
# there, and goes on as soon as the daemon is started.
load ../../e2e/lib
load ../../e2e/http

setup_file() {
	# shellcheck disable=SC1090 # before.bats wrote it
	. "$REBOOT"
	paths
	# /run is empty after a boot.
	rm -rf "$RUN"
	daemon_start
}

setup() {
	cd "$WORK" || return
}

teardown_file() {
	sandboxctl service rm shop/www
	daemon_remove
}

# serves N: so many replicas of the service are up and get requests.
serves() {
	[ "$(sandboxctl service info --json shop/www |
		jq -r '"\(.state) \([.replicas[] | select(.serves)] | length)"')" = "up $1" ]
}

status_is() {
	[ "$(rest GET "tasks/$1" | jq -r .status)" = "$2" ]
}

@test "the service is up again with both replicas, at its address and with its data" {
	wait_until "$PATIENCE" serves 2 || fail "$(sandboxctl service info --json shop/www; cat "$WORK/log")"
	wait_until "$PATIENCE" test -s "$RUN/edge-http" || fail "$(cat "$WORK/log")"
	[ "$(curl -sS -m "$PATIENCE" -H 'Host: www-shop.default.localhost' "http://$EDGE/")" = xx ]
}

# retried: the attempt that the reset cut off has a next one.
retried() {
	rest GET "tasks/$(cat running)" | jq -er .retry_task_id
}

@test "the task that ran is tried again, what waited waits, and the schedule stands" {
	wait_until "$PATIENCE" retried
	wait_until "$PATIENCE" status_is "$(retried)" complete
	status_is "$(cat waiting)" queued
	[ "$(rest GET "schedules/$(cat scheduled)" | jq -r .status)" = scheduled ]
}
