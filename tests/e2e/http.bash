# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Requests to a daemon's HTTP server, and the projects that make them; for use on top of daemon.bash
# or lib.bash. A request is made as the project whose name, in capitals, is in PROJECT (default:
# ONE): with the token in TOKEN, or else with that project's token.

setup_file() {
	daemon_make
	http_projects
}

# project_make NAME: makes a project; its id and token are put into NAME and NAME_TOKEN, in
# capitals.
project_make() {
	local made

	made=$(sandboxctl project create "$1" --json)
	export "${1^^}=$(jq -r .id <<<"$made")" "${1^^}_TOKEN=$(jq -r .token <<<"$made")"
}

# http_projects: two tenants, and an operator's token.
http_projects() {
	project_make one
	project_make two
	OPERATOR_TOKEN=$(operator_token)
	export OPERATOR_TOKEN
}

operator_token() {
	sandboxctl project token create default --operator --json | jq -r .token
}

# http_dir: the folder for answers and workers: this test's, or in setup_file the file's.
http_dir() {
	echo "${BATS_TEST_TMPDIR:-$BATS_FILE_TMPDIR}"
}

# http_path PATH: the path to request: {} stands for projects/ID, and a path without a / in front is
# below /2/{}.
http_path() {
	local id=${PROJECT:-ONE} path=$1

	[ "${path:0:1}" = / ] || path=/2/{}${path:+/$path}
	echo "${path/'{}'/projects/${!id}}"
}

# http_auth: the Authorization header.
http_auth() {
	local own=${PROJECT:-ONE}_TOKEN

	echo "Authorization: OAuth ${TOKEN-${!own}}"
}

# request PATH [CURL OPTION...]: without a token; prints the answer's body.
request() {
	curl -sS --max-time "$PATIENCE" "${@:2}" "$(http_url)$(http_path "$1")"
}

# ask PATH [CURL OPTION...]: without a token; prints the answer's status. The files body and head
# have the rest of the answer.
ask() {
	request "$1" -o "$(http_dir)/body" -D "$(http_dir)/head" -w '%{http_code}' "${@:2}"
}

# header NAME: prints a header of the last answer.
header() {
	tr -d '\r' <"$(http_dir)/head" | sed -n "s/^$1: //Ip"
}

# rest METHOD PATH [CURL OPTION...]: prints the answer's body; fails with status 22 when it is an
# error.
rest() {
	request "$2" --fail-with-body -X "$1" -H "$(http_auth)" "${@:3}"
}

# http METHOD PATH [CURL OPTION...]: puts the answer's body into $body and its status into $code.
# shellcheck disable=SC2034 # the tests read them
http() {
	code=$(ask "$2" -X "$1" -H "$(http_auth)" -H 'Accept: application/json' "${@:3}")
	body=$(tr -d '\0' <"$(http_dir)/body")
}

# get JQ: what a jq filter says of the last answer.
get() {
	jq -er "$1" <<<"$body"
}

# answered STATUS [MSG]: the last answer had this status, and, where MSG is given, is JSON with this
# msg as its first member.
answered() {
	[ "$code" = "$1" ] || fail "status $code and not $1: $body"
	[ $# -lt 2 ] || [ "${body:0:$((${#2} + 9))}" = "{\"msg\":\"$2\"" ] ||
		fail "\"$2\" and not $body"
}

# said TEXT: the last answer's message holds the text.
said() {
	get .msg | grep -qF -- "$1" || fail "no \"$1\" in $body"
}

# stream ID FILE [CURL OPTION...]: writes a task's events into a file, by a curl in the background.
stream() {
	curl -sSN -H "$(http_auth)" "${@:3}" "$(http_url)$(http_path "/api/{}/tasks/$1/events")" \
		>"$2" 3>&- &
}

# code_make NAME [JSON]: uploads the Python source on stdin as NAME.py, for the image python, with
# JSON as further members. NAME.zip is what was sent.
code_make() {
	local to more=${2:-{\}}

	to=$(http_dir)/$1
	rm -rf "$to.d" && mkdir "$to.d"
	cat >"$to.d/$1.py"
	zip_of "$to.zip" "$to.d"
	http POST codes --form-string "data=$(
		jq -cn --arg name "$1" --argjson more "$more" \
			'{$name, runtime: "python", file_name: "\($name).py", image: "python"} + $more'
	)" -F "file=@$to.zip;type=application/zip"
	[ "$code" = 200 ] || fail "$body"
}

# zip_of ZIP FOLDER: makes a zip of the folder's content.
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

# queue NAME [JSON]: queues a task, with JSON as further members; prints its id.
queue() {
	http POST tasks -H 'Content-Type: application/json' -d "$(
		jq -cn --arg name "$1" --argjson more "${2:-{\}}" '{tasks: [{code_name: $name} + $more]}'
	)"
	[ "$code" = 200 ] || fail "$body"
	get '.tasks[0].id'
}

# is ID STATUS: the task has this status. ends ID STATUS: waits until it has.
is() {
	http GET "tasks/$1"
	[ "$(get .status)" = "$2" ]
}

ends() {
	wait_until "$PATIENCE" is "$1" "$2" || fail "$body"
}
