# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# For test files that speak HTTP to a daemon of their own: `load iron` brings daemon.bash too.
load daemon

setup_file() {
	daemon_make
	iron_projects
}

# iron_projects: two tenants, and an operator's token.
iron_projects() {
	local json

	json=$(sandboxctl project create one --json)
	ONE=$(jq -r .id <<<"$json") ONE_TOKEN=$(jq -r .token <<<"$json")
	json=$(sandboxctl project create two --json)
	TWO=$(jq -r .id <<<"$json") TWO_TOKEN=$(jq -r .token <<<"$json")
	OPERATOR_TOKEN=$(sandboxctl project token create default --operator --json | jq -r .token)
	export ONE ONE_TOKEN TWO TWO_TOKEN OPERATOR_TOKEN
}

# http METHOD PATH [CURL OPTION...]: as project one, or as whose token is in TOKEN. The body goes
# to $body, the status to $code; PATH that starts with no / is below /2/projects/ONE.
# shellcheck disable=SC2034 # the tests read them
http() {
	local method=$1 path=$2

	shift 2
	[ "${path:0:1}" = / ] || path=/2/projects/$ONE${path:+/$path}
	code=$(curl -sS --max-time "$PATIENCE" -o "$BATS_TEST_TMPDIR/body" -w '%{http_code}' \
		-D "$BATS_TEST_TMPDIR/head" -X "$method" -H "Authorization: OAuth ${TOKEN-$ONE_TOKEN}" \
		-H 'Accept: application/json' "$@" "$(http_url)$path")
	body=$(tr -d '\0' <"$BATS_TEST_TMPDIR/body")
}

# get JQ: of the last answer.
get() {
	jq -er "$1" <<<"$body"
}

# answered STATUS [MSG]: so it was, as JSON whose first member is msg where MSG is given.
answered() {
	[ "$code" = "$1" ] || fail "status $code and not $1: $body"
	[ $# -lt 2 ] || [ "${body:0:$((${#2} + 9))}" = "{\"msg\":\"$2\"" ] ||
		fail "\"$2\" and not $body"
}

# said TEXT: the error's words hold it.
said() {
	get .msg | grep -qF -- "$1" || fail "no \"$1\" in $body"
}

# worker NAME [DATA...]: uploads the Python of stdin. DATA are members of the JSON more.
worker() {
	local name=$1

	shift
	rm -rf "$name.d" && mkdir "$name.d"
	cat >"$name.d/$name.py"
	zip_of "$name.zip" "$name.d"
	jq -cn --arg n "$name" '{name: $n, runtime: "python", file_name: ($n + ".py"), image: "python"} + $ARGS.positional[0]' \
		--jsonargs "${1:-{\}}" >"$name.json"
	http POST codes -F "data=<$name.json" -F "file=@$name.zip;type=application/zip"
	[ "$code" = 200 ] || fail "$body"
}

# zip_of ZIP FOLDER: what is in it.
zip_of() {
	python3 - "$@" <<-'EOT'
		import os, sys, zipfile
		with zipfile.ZipFile(sys.argv[1], "w", zipfile.ZIP_DEFLATED) as z:
		    for folder, _, names in sorted(os.walk(sys.argv[2])):
		        for name in sorted(names):
		            path = os.path.join(folder, name)
		            z.write(path, os.path.relpath(path, sys.argv[2]))
	EOT
}

# queue NAME [TASK]: prints the new task's id. TASK: members more.
queue() {
	jq -cn --arg n "$1" '{tasks: [{code_name: $n} + $ARGS.positional[0]]}' --jsonargs "${2:-{\}}" >request.json
	http POST tasks -H 'Content-Type: application/json' -d @request.json
	[ "$code" = 200 ] || fail "$body"
	get '.tasks[0].id'
}

# is ID STATUS; ends ID STATUS: waits for it.
is() {
	http GET "tasks/$1"
	[ "$(get .status)" = "$2" ]
}

ends() {
	wait_until "$PATIENCE" is "$1" "$2" || fail "$body"
}
