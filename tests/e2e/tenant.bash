# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# shellcheck disable=SC2154 # run sets status and stderr
# For tests of the tenant's verbs, on top of daemon.bash and http.bash. Each file has a project of
# its own, whose iron.json is in each test's folder.

setup_file() {
	daemon_make python
	# What the machine is set up with is none of the tests' business.
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

# worker NAME PYTHON [LINE...]: NAME.py, and NAME.worker with these lines more.
worker() {
	printf '%s\n' "$2" >"$1.py"
	printf 'exec "%s.py"\n' "$1" >"$1.worker"
	[ $# -le 2 ] || printf '%s\n' "${@:3}" >>"$1.worker"
}

# uploaded NAME PYTHON [OPTION...]: the code NAME of this one script.
uploaded() {
	worker "$1" "$2"
	sandboxctl upload "$1" --image python "${@:3}" >/dev/null
}

# task_is ID STATUS, by the project's own eyes.
task_is() {
	[ "$(sandboxctl status "$1" --json | jq -r .status)" = "$2" ]
}
