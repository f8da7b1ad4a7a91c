# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # id is of the tests
# What tests of templates and of their keepers share, on top of a daemon with a template of the
# image python.

setup_file() {
	WARM=1 daemon_make
}

# templates JQ: of the list of all.
templates() {
	sandboxctl template ls --json | jq -e "$1"
}

# forked [OPTION...]: a task came out of a template.
forked() {
	sandboxctl run python --start fork --label forked "$@" --code 'print("right")' >out || return 1
	[ "$(cat out)" = right ] && [ "$(mode forked)" = fork ]
}

# ready PARKED [POLICY]: a template waits, with this many clones.
ready() {
	templates "any(.[]; .state == \"ready\" and .image == \"python\" and
		.policy == \"${2:-default}\" and .parked == $1)"
}

# id_ready: the id of the template of the image python under the default policy.
id_ready() {
	sandboxctl template ls --json |
		jq -er 'map(select(.state == "ready" and .policy == "default"))[0].id'
}

parked() {
	sandboxctl policy show "$1" --json | jq .fork.parked
}

# unparked: a template whose clones are made when they are asked for, in $id.
unparked() {
	jq '.name = "unparked" | .fork = {"parked": 0}' "$TOP/policies/default.json" >unparked.json
	sandboxctl policy install unparked.json
	sandboxctl image warm python --policy unparked
	wait_until "$PATIENCE" forked --policy unparked
	id=$(sandboxctl template ls --json |
		jq -er 'map(select(.state == "ready" and .policy == "unparked"))[0].id')
}
