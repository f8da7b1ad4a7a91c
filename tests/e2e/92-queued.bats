#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Thousands of requests, a task each: every one is answered, every task runs once and in full, and the
# daemon is as it was before.
#
#	REQUESTS  how many
load daemon
load http

REQUESTS=${REQUESTS:-$(count 300 10000)}

setup_file() {
	WARM=1 daemon_make
	http_projects
	code_make add <<<'
import json, os
print(json.load(open(os.environ["PAYLOAD_FILE"]))["n"] + 1)'
}

# queued FROM COUNT: queues so many tasks, one in each request, over four connections that are kept. The
# file ids has a line "ID N" for each.
queued() {
	python3 - "$(http_url)" "/2/projects/$ONE/tasks" "$ONE_TOKEN" "$@" >>"$WORK/ids" <<-'EOT'
		import http.client, json, sys, threading, urllib.parse
		url, path, token, first, count = *sys.argv[1:4], int(sys.argv[4]), int(sys.argv[5])
		address = urllib.parse.urlsplit(url)
		headers = {"Authorization": "OAuth " + token, "Content-Type": "application/json"}
		numbers, lock, failed = iter(range(first, first + count)), threading.Lock(), []
		def requests():
		    link = http.client.HTTPConnection(address.hostname, address.port)
		    try:
		        while True:
		            with lock:
		                n = next(numbers, None)
		            if n is None:
		                return
		            task = {"code_name": "add", "payload": json.dumps({"n": n})}
		            link.request("POST", path, json.dumps({"tasks": [task]}), headers)
		            answer = link.getresponse()
		            text = answer.read()
		            assert answer.status == 200, (n, answer.status, text)
		            with lock:
		                print(json.loads(text)["tasks"][0]["id"], n)
		    except BaseException as error:
		        failed.append(error)
		threads = [threading.Thread(target=requests) for _ in range(4)]
		for t in threads:
		    t.start()
		for t in threads:
		    t.join()
		if failed:
		    sys.exit(f"{len(failed)} connections failed: {failed[0]!r}")
	EOT
}

drained() {
	[ "$(sandboxctl project ls --json | jq 'map(.tasks.queued + .tasks.running) | add')" = 0 ]
}

as_before() {
	[ "$(fds)" -le $((fds + 4)) ] && [ "$(processes | wc -l)" -le "$processes" ]
}

@test "$REQUESTS requests: each task is answered for, and runs once" {
	local id n

	# What is made only once exists before anything is counted.
	queued 0 50
	wait_until 600 drained
	retire_all
	fds=$(fds) processes=$(processes | wc -l) rss=$(rss)
	queued 50 "$REQUESTS"
	wait_until $((600 + REQUESTS / 10)) drained
	[ "$(cut -d' ' -f1 "$WORK/ids" | sort -u | wc -l)" = $((REQUESTS + 50)) ]
	[ "$(cut -d' ' -f2 "$WORK/ids" | sort -n)" = "$(seq 0 $((REQUESTS + 49)))" ]
	sandboxctl ps --all --json | jq -r '.[] | "\(.id) \(.status)"' | sort >"$WORK/ends"
	# The newest ones are kept.
	tail -n 9000 "$WORK/ids" | sed 's/ .*/ complete/' | sort | comm -23 - "$WORK/ends" >"$WORK/missing"
	[ ! -s "$WORK/missing" ] || fail "$(head "$WORK/missing")"
	tail -n 20 "$WORK/ids" | while read -r id n; do
		[ "$(PROJECT=ONE rest GET "tasks/$id/log")" = $((n + 1)) ]
	done
	retire_all
	wait_until "$PATIENCE" as_before || fail "fds $fds $(fds), processes $processes $(processes | wc -l)"
	# A task that is kept takes about 400 bytes of the front's memory (REQUESTS of them at most).
	[ "$(rss)" -le $((rss + 4096 + REQUESTS / 2)) ] || fail "$rss KiB became $(rss)"
}
