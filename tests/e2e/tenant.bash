# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # run sets status and stderr
# For tests of the tenant's verbs, on top of daemon.bash and http.bash. Each file has a project of
# its own, and each test's folder an iron.json for it.

setup_file() {
	daemon_make python
	# The tests must not depend on how this machine is configured.
	unset "${!IRON_@}" "${!PIP_@}" http_proxy https_proxy
	export HOME=$WORK/home
	mkdir "$HOME"
	project_make tenant
	jq -n --arg port "$(http_url | sed 's/.*://')" '{project_id: env.TENANT, token: env.TENANT_TOKEN,
		host: "127.0.0.1", port: $port | tonumber, scheme: "http"}' >"$WORK/iron.json"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
	cp "$WORK/iron.json" .
}

# worker NAME PYTHON [LINE...]: writes NAME.py, and NAME.worker with these lines added.
worker() {
	printf '%s\n' "$2" >"$1.py"
	printf 'exec "%s.py"\n' "$1" >"$1.worker"
	[ $# -le 2 ] || printf '%s\n' "${@:3}" >>"$1.worker"
}

# uploaded NAME PYTHON [OPTION...]: uploads a worker of this one script.
uploaded() {
	worker "$1" "$2"
	sandboxctl upload "$1" --image python "${@:3}" >/dev/null
}

# task_is ID STATUS: the task has this status, asked with the project's own token.
task_is() {
	[ "$(sandboxctl status "$1" --json | jq -r .status)" = "$2" ]
}
