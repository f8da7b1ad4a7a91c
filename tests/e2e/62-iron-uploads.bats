#!/usr/bin/env bats
# Uploads as the Python 3 client, the Go client and the Ruby CLI send them, and those that cannot work.
# shellcheck disable=SC2154,SC2016 # code and body are set by http; code for a sandbox
load daemon
load http

@test "the Python 3 client's upload: the zip as the text of a bytes literal" {
	mkdir py && echo 'print("from python 3")' >py/a.py
	zip_of py.zip py
	python3 - "$(http_url)" "$ONE" "$ONE_TOKEN" >reply <<-'EOT'
		import http.client, json, sys
		url, project, token = sys.argv[1:]
		boundary = "----------ThIs_Is_tHe_bouNdaRY_$"
		data = json.dumps({"name": "py3", "runtime": "python", "file_name": "a.py", "image": "python"})
		body = "\r\n".join([
		    "--" + boundary, 'Content-Disposition: form-data; name="data"', "", data,
		    "--" + boundary, 'Content-Disposition: form-data; name="file"; filename="py.zip"', "Content-Type: application/zip", "",
		    str(open("py.zip", "rb").read()), "--" + boundary + "--", ""])
		c = http.client.HTTPConnection(url.split("/")[2])
		c.request("POST", "/2/projects/%s/codes" % project, body.encode(), {
		    "Content-Type": "multipart/form-data; boundary=" + boundary,
		    "Accept": "application/json", "User-Agent": "iron_core_python", "Authorization": "OAuth " + token})
		print(c.getresponse().read().decode())
	EOT
	[ "$(jq -r .msg reply)" = 'Upload successful.' ] || fail "$(cat reply)"
	task=$(queue py3)
	ends "$task" complete
	http GET "tasks/$task/log"
	[ "$body" = 'from python 3' ]
	http GET "codes/$(jq -r .id reply)/download"
	cmp body py.zip
}

@test "the Go client's upload: chunked, without lengths" {
	mkdir go && echo 'print("from go")' >go/a.py
	zip_of go.zip go
	python3 - "$(http_url)" "$ONE" "$ONE_TOKEN" >reply <<-'EOT'
		import http.client, json, sys
		url, project, token = sys.argv[1:]
		boundary = "a3d1f0f5b4c94e0cbe46f4e2b9a5c7d8"
		data = json.dumps({"name": "gocode", "runtime": "python", "file_name": "a.py", "image": "python", "host": "", "command": "",
		    "config": "", "stack": "", "max_concurrency": 0, "retries": 0, "retries_delay": 0, "default_priority": 0})
		head = ('--%s\r\nContent-Disposition: form-data; name="data"\r\n\r\n%s\r\n--%s\r\n'
		    'Content-Disposition: form-data; name="file"; filename="worker.zip"\r\nContent-Type: application/zip\r\n\r\n'
		    % (boundary, data, boundary)).encode()
		zip = open("go.zip", "rb").read()
		pieces = [head] + [zip[i:i + 37] for i in range(0, len(zip), 37)] + [("\r\n--%s--\r\n" % boundary).encode()]
		c = http.client.HTTPConnection(url.split("/")[2])
		c.request("POST", "/2/projects/%s/codes" % project, iter(pieces), {
		    "Content-Type": "multipart/form-data; boundary=" + boundary, "Authorization": "OAuth " + token,
		    "User-Agent": "go-iron_worker", "Transfer-Encoding": "chunked"}, encode_chunked=True)
		print(c.getresponse().read().decode())
	EOT
	[ "$(jq -r .msg reply)" = 'Upload successful.' ]
	ends "$(queue gocode)" complete
}

@test "the Ruby CLI's package: __runner__.sh, run by sh" {
	mkdir ruby
	echo 'print("by the runner")' >ruby/a.py
	printf '%s\n' '#!/bin/sh' 'root() { while [ $# -gt 1 ]; do [ "$1" = "-d" ] && echo "$2" && return; shift; done; }' \
		'cd "$(root "$@")"' 'PATH=`pwd`/__pips__/__bin__:$PATH PYTHONPATH=`pwd`/__pips__ python -u a.py "$@"' \
		>ruby/__runner__.sh
	zip_of ruby.zip ruby
	http POST codes -F 'data={"name":"rubycode","runtime":"sh","file_name":"__runner__.sh","image":"python"}' -F 'file=@ruby.zip'
	answered 200 'Upload successful.'
	task=$(queue rubycode)
	ends "$task" complete
	http GET "tasks/$task/log"
	[ "$body" = 'by the runner' ]
}

@test "uploads that cannot work say so at once" {
	mkdir no && echo pass >no/a.py
	zip_of no.zip no
	upload() {
		http POST codes -F "data=$1" -F 'file=@no.zip'
	}
	upload '{"name":"no","file_name":"b.py","image":"python"}'
	answered 400
	said 'the zip holds no b.py'
	upload '{"name":"no","image":"python"}'
	answered 400
	said 'No exec specified'
	upload '{"name":"no","file_name":"a.py","image":"nothing"}'
	answered 400
	said 'no image "nothing"'
	# A file, a folder or a link beside the policies and images is not a policy or an image.
	sandboxctl project quota one policies='*'
	for name in nothing default.json default.bin default.; do
		upload "{\"name\":\"no\",\"file_name\":\"a.py\",\"image\":\"python\",\"policy\":\"$name\"}"
		answered 400
		said "no policy \"$name\""
	done
	for name in . .. / a/b by-name/python "$(basename "$(readlink "$STATE/policies/default")")" "$(basename "$(readlink "$STATE/images/by-name/python")")"; do
		upload "{\"name\":\"no\",\"file_name\":\"a.py\",\"image\":\"python\",\"policy\":\"$name\"}"
		answered 400
		said 'data: policy'
		upload "{\"name\":\"no\",\"file_name\":\"a.py\",\"image\":\"$name\"}"
		answered 400
		said 'data: image'
	done
	upload '{"name":"../no","file_name":"a.py","image":"python"}'
	answered 400
	said 'data: name'
	upload '{"name":"no"'
	answered 400
	http POST codes -F 'data={"name":"no","file_name":"a.py","image":"python"}'
	answered 400
	said zip
	http POST codes -F 'file=@no.zip'
	answered 400
	said data
	echo "b'PK\\q'" >bad.zip
	http POST codes -F 'data={"name":"no","file_name":"a.py","image":"python"}' -F 'file=@bad.zip'
	answered 400
	said 'Python prints of bytes'
	http GET codes
	[ "$(get '[.codes[] | select(.name == "no")] | length')" = 0 ]
}

# many N ZIP: makes a zip of a.py and so many empty files.
many() {
	python3 - "$@" <<-'EOT'
		import sys, zipfile
		with zipfile.ZipFile(sys.argv[2], "w") as z:
		    z.writestr("a.py", "print(1)")
		    for i in range(int(sys.argv[1])):
		        z.writestr("d%d/f%d" % (i % 10, i), "")
	EOT
}

@test "one project's big uploads wait for each other, and another's for none of them" {
	local i

	many 3000 big.zip
	mkdir small && echo pass >small/a.py
	zip_of small.zip small
	for i in {1..5}; do
		http POST codes -F "data={\"name\":\"big$i\",\"file_name\":\"a.py\",\"image\":\"python\"}" -F 'file=@big.zip' \
			-o "big$i" &
	done
	for i in {1..5}; do
		PROJECT=TWO http POST codes -F "data={\"name\":\"small$i\",\"file_name\":\"a.py\",\"image\":\"python\"}" -F 'file=@small.zip'
		answered 200
	done
	wait
	http GET codes
	[ "$(get '[.codes[].name | select(startswith("big"))] | length')" = 5 ]
}

@test "a quota of files: what has more is refused before one of them is made" {
	local before

	many 100 hundred.zip
	sandboxctl project quota two package_files=100
	before=$(find "$STATE/packages" | wc -l)
	PROJECT=TWO http POST codes -F 'data={"name":"many","file_name":"a.py","image":"python"}' -F 'file=@hundred.zip'
	answered 413
	said 'in 113 files and folders'
	said '"package_files"'
	[ "$(find "$STATE/packages" | wc -l)" -le "$before" ]
	sandboxctl project quota two package_files=1000
	PROJECT=TWO http POST codes -F 'data={"name":"many","file_name":"a.py","image":"python"}' -F 'file=@hundred.zip'
	answered 200
	[ "$(sandboxctl project inspect two --json | jq .package_files)" -ge 113 ]
}
