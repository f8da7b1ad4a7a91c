# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A project, codes and the REST API, for test files that queue tasks: `load rest` brings daemon.bash.
load daemon

setup_file() {
	daemon_make
	project_make main
}

# project_make NAME: a project whose id and token are in the files NAME.id and NAME.token.
project_make() {
	local made

	made=$(sandboxctl project create "$1" --json)
	jq -r .id <<<"$made" >"$WORK/$1.id"
	jq -r .token <<<"$made" >"$WORK/$1.token"
}

# rest METHOD PATH [CURL-OPTION...]: what the API answers under the project PROJECT (main); fails
# when that is an error. PATH begins with 2/ or api/; {} in it is projects/ID.
rest() {
	local project=${PROJECT:-main} path

	path=${2/'{}'/projects/$(cat "$WORK/$project.id")}
	curl --silent --show-error --fail-with-body --max-time "$PATIENCE" --request "$1" \
		--oauth2-bearer "$(cat "$WORK/$project.token")" "${@:3}" "$(http_url)/$path"
}

# code_make NAME PYTHON [JSON]: a code of one file on the image python; JSON: members more.
code_make() {
	local dir

	dir=$(mktemp -d "$BATS_FILE_TMPDIR/code.XXXXXX")
	printf '%s\n' "$2" >"$dir/main.py"
	python3 -m zipfile -c "$dir/code.zip" "$dir/main.py"
	rest POST '2/{}/codes' --form "file=@$dir/code.zip;type=application/zip" --form "data=$(
		jq -n --arg name "$1" --argjson more "${3:-{\}}" \
			'{name: $name, runtime: "python", file_name: "main.py", image: "python"} + $more'
	)" >/dev/null
}

# schedule JSON: a new one's id.
schedule() {
	rest POST 'api/{}/schedules' --data "{\"schedules\": [$1]}" | jq -r '.schedules[0].id'
}

# schedule_get ID [FILTER]
schedule_get() {
	rest GET "api/{}/schedules/$1" | jq -r "${2:-.}"
}

# schedule_tasks ID [FILTER]: the tasks that came of it.
schedule_tasks() {
	rest GET 'api/{}/tasks?limit=100' |
		jq -r --arg id "$1" "[.tasks[] | select(.schedule_id == \$id)] | ${2:-length}"
}
