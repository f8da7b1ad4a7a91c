# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034 # the tests read id
# What the tests of templates and of keepers share, on top of a daemon with a template of the image
# python.

setup_file() {
	WARM=1 daemon_make
}

# templates JQ: what a jq filter says of the list of all templates.
templates() {
	sandboxctl template ls --json | jq -e "$1"
}

# forked [OPTION...]: a task with these options is forked.
forked() {
	sandboxctl run python --start fork --label forked "$@" --code 'print("right")' >out || return 1
	[ "$(cat out)" = right ] && [ "$(mode forked)" = fork ]
}

# ready PARKED [POLICY]: a template is ready, with this many parked clones.
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

# unparked: makes a template whose clones are made only when a task asks; its id is put into $id.
unparked() {
	jq '.name = "unparked" | .fork = {"parked": 0}' "$TOP/policies/default.json" >unparked.json
	sandboxctl policy install unparked.json
	sandboxctl image warm python --policy unparked
	wait_until "$PATIENCE" forked --policy unparked
	id=$(sandboxctl template ls --json |
		jq -er 'map(select(.state == "ready" and .policy == "unparked"))[0].id')
}
