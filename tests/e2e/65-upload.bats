#!/usr/bin/env bats
# sandboxctl upload: what a .worker file gathers, where it goes, and what pip makes of it.
# shellcheck disable=SC2154 # stderr is set by run
load daemon
load http
load tenant
load far

# names ZIP: the names of its members.
names() {
	python3 -m zipfile -l "$1" | sed 1d | cut -d' ' -f1
}

@test "upload says name, id and revision; the code runs" {
	worker hello 'import sys; print("hello from", sys.argv[0])'
	run --separate-stderr sandboxctl upload hello --image python
	[ "$status" = 0 ]
	[[ $output =~ ^'hello  id '[0-9a-f]{24}'  revision 1'$ ]] || fail "$output"
	[[ $stderr == *'sandboxctl queue hello --wait'* ]]
	[ "$(sandboxctl upload hello --image python --json | jq -c '[.name, .revision, (.id | length)]')" = '["hello",2,24]' ]
	[ "$(sandboxctl queue hello --wait 2>/dev/null)" = 'hello from /work/hello.py' ]
	[ "$(sandboxctl info hello --json | jq -c '[.rev, .image, .file_name, .runtime]')" = '[2,"python","hello.py","python"]' ]
}

@test "NAME.py without a .worker file, options, and -n" {
	echo 'import os; print(open(os.environ["CONFIG_FILE"]).read())' >plain.py
	echo '{"a": 1}' >config
	sandboxctl upload plain -n other -c config --max-concurrency 3 -r 2 --retries-delay 5 -p 1 --image python
	[ "$(sandboxctl info other --json | jq -c '[.file_name, .max_concurrency, .retries, .retries_delay, .default_priority]')" = \
		'["plain.py",3,2,5,1]' ]
	[ "$(sandboxctl queue other --wait 2>/dev/null)" = '{"a": 1}' ]
	sandboxctl upload plain -n other -c 7 --image python
	[ "$(sandboxctl info other --json | jq .max_concurrency)" = 7 ]
}

@test "exec names the code too; a line of its own goes before, and -n before that" {
	worker hi 'print("hi")'
	echo 'exec "hi.py", "NiceName"' >hi.worker
	[[ $(sandboxctl upload hi --image python 2>/dev/null) == 'NiceName  id '* ]]
	[ "$(sandboxctl queue NiceName --wait 2>/dev/null)" = hi ]
	echo 'name "Nicer"' >>hi.worker
	[[ $(sandboxctl upload hi --image python 2>/dev/null) == 'Nicer  id '* ]]
	[[ $(sandboxctl upload hi --image python -n Nicest 2>/dev/null) == 'Nicest  id '* ]]
}

@test "files, folders and zips are gathered, relative to the .worker file, from any folder" {
	mkdir -p w/lib/sub w/lib/.git up
	echo 'print(open("up.txt").read() + open("to/data").read() + open("lib/sub/x").read() + open("z/in").read())' >w/go.py
	echo -n 1 >up/up.txt
	echo -n 2 >w/data
	echo -n 3 >w/lib/sub/x
	ln -s sub/x w/lib/link
	echo secret >w/lib/.git/config
	echo secret >w/lib/iron.json
	(cd up && echo -n 4 >in && python3 -m zipfile -c ../w/in.zip in)
	printf '%s\n' 'runtime "python"' 'exec "go.py"' 'file "../up/up.txt"' 'file "data", "to"' 'dir "lib"' \
		'zip "in.zip", "z"' 'set_env "COLOUR", "red"' >w/go.worker
	cd up
	run --separate-stderr sandboxctl upload ../w/go --image python --config ../iron.json
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *'left out of the package: '* && $stderr == *.git* && $stderr == *iron.json* ]]
	[ "$(sandboxctl queue go --wait --config ../iron.json 2>/dev/null)" = 1234 ]
	[ "$(sandboxctl info go --json --config ../iron.json | jq -c .env_vars)" = '{"COLOUR":"red"}' ]
	sandboxctl install ../w/go -o ../a.zip
	[ "$(names ../a.zip | tr '\n' ' ')" = 'go.py lib/ lib/link lib/sub/ lib/sub/x to/data up.txt z/in ' ]
}

@test "modes survive the way to the worker, links stay inside, and what is no file is left out" {
	mkdir -p d/ro
	echo 1 >d/ro/key && chmod 600 d/ro/key
	echo 2 >d/run && chmod 755 d/run
	chmod 750 d/ro
	mkfifo d/pipe
	python3 -m venv --without-pip d/.venv
	worker modes 'import os
for n in "d", "d/ro", "d/ro/key", "d/run", "modes.py":
    s = os.stat(n); print(n, oct(s.st_mode & 0o7777), s.st_uid == s.st_gid == os.getuid())
os.chmod("d/run", 0o700); os.utime("d/run", (1, 1)); os.rename("d", "e"); print(sorted(os.listdir("e")))' 'dir "d"'
	chmod 644 modes.py
	run --separate-stderr sandboxctl upload modes --image python
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *'left out of the package: '* && $stderr == *d/pipe* && $stderr == *d/.venv* ]] || fail "$stderr"
	[ "$(sandboxctl queue modes --wait 2>/dev/null)" = "d 0o755 True
d/ro 0o750 True
d/ro/key 0o600 True
d/run 0o755 True
modes.py 0o644 True
['ro', 'run']" ]
	# A link that somebody has put into the folder is not what the .worker file names.
	mkdir far && echo secret >far/x
	ln -s /etc/passwd passwd.py
	ln -s "$PWD/far" w-link
	mkdir w && cd w && cp ../iron.json . && ln -s ../far link
	worker out 'pass' 'dir "link"'
	refused 'out.worker:2:5: dir: link: a link in it leads out of the folder' upload out
	worker out 'pass' 'file "link/x"'
	refused 'out.worker:2:6: file: link/x: a link in it leads out of the folder' upload out
	ln -sf /etc/passwd out.py
	refused 'out.worker:1:6: exec: out.py: a link in it leads out of the folder' upload out
}

@test "the same files make the same zip, whatever their times, the time zone and the order" {
	mkdir d
	for n in b a c; do
		echo $n >d/$n
	done
	chmod 755 d/b
	worker same 'pass' 'dir "d"'
	sandboxctl install same -o 1.zip
	touch -d 2001-01-01 d/*
	mv d/a d/x && mv d/x d/a
	TZ=Asia/Tokyo sandboxctl install same -o 2.zip
	cmp 1.zip 2.zip
	[ "$(python3 -c 'import zipfile; print(*[oct(i.external_attr >> 16) for i in zipfile.ZipFile("1.zip").infolist()])')" = \
		'0o40755 0o100644 0o100755 0o100644 0o100644' ]
}

@test "what is wrong in a .worker file is told with line and column" {
	refused "there is no gone.worker and no gone.py in $PWD" upload gone
	printf 'runtime "python"\nexec "x.py"\n' >a.worker
	refused 'a.worker:2:6: exec: x.py: No such file' upload a
	printf '# nothing\nruntime "python"\n' >a.worker
	refused 'a.worker: names no exec: add a line such as exec "hello.py"' upload a
	touch x.py
	printf 'exec "x.py"\n\n  file "y" # gone\n' >a.worker
	refused 'a.worker:3:8: file: y: No such file' upload a
	printf 'exec "x.py"\ndir "no"\n' >a.worker
	refused 'a.worker:2:5: dir: no: No such file' upload a
	printf 'exec "x.py"\ndeb "x.deb"\n' >a.worker
	refused 'a.worker:2:1: deb: packages are installed in images' upload a
	printf 'exec "x.py"\nfile "b/x.py"\n' >a.worker
	mkdir b && echo 1 >b/x.py
	refused 'x.py is twice in the package' upload a
	printf 'exec "x.py"\ndir "c"\n' >a.worker
	mkdir c && ln -s /etc/passwd c/link
	refused 'c/link: is a link to /etc/passwd' upload a
	printf 'exec "x.py"\nruntime "ruby"\n' >a.worker
	refused 'runtime "ruby" is not offered' upload a
	refused '--retries: must be a number from 0 to 10' upload a -r 11
}

@test "pip installs what is pinned, in a sandbox, out of a folder of wheels; the worker finds it" {
	python3 "$E2E/wheels.py" wheels aaa 1.0 'bbb>=2'
	python3 "$E2E/wheels.py" wheels aaa 1.1
	python3 "$E2E/wheels.py" wheels bbb 2.5
	echo 'bbb<3' >requirements.txt
	worker pips 'import aaa, bbb; print(aaa.VERSION, bbb.VERSION, aaa.__file__)' 'pip "aaa==1.0"' \
		'requirements "requirements.txt"' 'set_env "PYTHONPATH", "/own"'
	run --separate-stderr sandboxctl upload pips --image python --find-links wheels
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *'installed aaa==1.0'* && $stderr == *'installed bbb==2.5'* ]] || fail "$stderr"
	[ "$(sandboxctl info pips --json | jq -r .env_vars.PYTHONPATH)" = /own:/work/__pips__ ]
	[ "$(sandboxctl queue pips --wait 2>/dev/null)" = '1.0 2.5 /work/__pips__/aaa/__init__.py' ]
	# The build's task has been removed; it belonged to the project.
	[ "$(sandboxctl ps --all --json | jq '[.[] | select(.label == "build")] | length')" = 0 ]
	# Where nothing names the scripts, they are those of the command's own installation.
	env -u SANDBOXD_LIBEXEC -u SANDBOXD_SHARE "$CTL" install pips --image python --find-links wheels -o 1.zip
	sandboxctl install pips --image python --find-links wheels -o 2.zip
	cmp 1.zip 2.zip
	[ "$(python3 -m zipfile -e 1.zip x && cat x/__pips__/requirements.lock)" = $'aaa==1.0\nbbb==2.5' ]
}

@test "all that a requirements file names is found, as by pip in its folder" {
	python3 "$E2E/wheels.py" index/one aaa 1.0
	python3 "$E2E/wheels.py" index/two aaa 2.0
	python3 "$E2E/wheels.py" index bbb 1.0
	python3 "$E2E/wheels.py" own/wheels ccc 1.0
	python3 "$E2E/sdist.py" own/ddd ddd 1.0
	python3 "$E2E/sdist.py" own/eee eee 1.0
	cp index/*/*.whl index/
	mkdir own/more
	printf '%s\n' '-r more/base.txt  # and more' './wheels/ccc-1.0-py2.py3-none-any.whl' '-e ./ddd' 'eee/' >own/list.txt
	printf '%s\n' '--constraint limits.txt' '-r ../last.txt' >own/more/base.txt
	echo aaa >own/last.txt
	echo 'aaa<2' >own/more/limits.txt
	printf 'bbb==1.0 \\\n    --hash=sha256:%064d\n' 0 >own/hashes.txt
	cd own
	worker named 'import aaa, bbb, ccc, ddd, eee; print(aaa.VERSION, ddd.VERSION, ddd.__file__)' \
		'requirements "list.txt"' 'pip "bbb"'
	sandboxctl upload named --image python --find-links ../index 2>err --config ../iron.json || fail "$(cat err)"
	[ "$(sandboxctl queue named --wait --config ../iron.json 2>/dev/null)" = '1.0 1.0 /work/__pips__/ddd/__init__.py' ]
	worker hashed pass 'requirements "hashes.txt"'
	run --separate-stderr sandboxctl install hashed --image python --find-links ../index -o no.zip
	[ "$status" = 125 ]
	[[ $stderr == *'DO NOT MATCH THE HASHES'* ]] || fail "$stderr"
	sandboxctl rm "$(id_of build)"
}

@test "what a requirements file names and cannot be sent is told with its line" {
	ln -s / link
	while IFS='|' read -r line words; do
		printf '# first\n%s\n' "$line" >req.txt
		worker bad pass 'requirements "req.txt"'
		refused "bad.worker:2:14: requirements: req.txt:2: $words" upload bad --image python --find-links .
	done <<-EOT
		-r none.txt|none.txt: No such file
		-r ../up.txt|../up.txt leads out of the worker's folder
		-c /etc/hostname|/etc/hostname leads out of
		-e ../up|../up leads out of
		./link/x|link/x leads out of
		x @ file:///etc/x.whl|file:///etc/x.whl is a URL of this machine
		./none|none: No such file
	EOT
	mkdir sub
	echo '-r req.txt' >up.txt
	cd sub
	worker up pass 'requirements "../up.txt"'
	refused 'requirements: ../up.txt:1: names req.txt, which only a file in' upload up --config ../iron.json \
		--image python --find-links .
}

# image_like IMAGE NAME: makes another image of the same files; its folder is put into IMAGE.
image_like() {
	IMAGE=$STATE/images/$(sha256sum <<<"$2" | cut -d ' ' -f 1)
	cp -al "$(realpath "$STATE/images/by-name/$1")" "$IMAGE"
	ln -s "../${IMAGE##*/}" "$STATE/images/by-name/$2"
}

@test "what the image has is not installed again; what breaks another of its modules is told" {
	local root

	# With two modules, one of which needs the other.
	image_like python two
	root=$IMAGE/rootfs/usr/lib/python3/dist-packages
	mkdir -p "$root"
	python3 "$E2E/wheels.py" old aaa 1.0 && python3 "$E2E/wheels.py" old needy 1.0 'aaa<2'
	for wheel in old/*.whl; do
		python3 -m zipfile -e "$wheel" "$root"
	done
	python3 "$E2E/wheels.py" wheels aaa 2.0
	python3 "$E2E/wheels.py" wheels fits 1.0 'aaa>=1'
	worker good 'import aaa, fits; print(aaa.VERSION, aaa.__file__)' 'pip "fits"' 'pip "needy"'
	run --separate-stderr sandboxctl upload good --image two --find-links wheels
	[ "$status" = 0 ] || fail "$stderr"
	[ "$(grep 'sandboxctl: installed' <<<"$stderr")" = 'sandboxctl: installed fits==1.0' ] || fail "$stderr"
	[ "$(sandboxctl queue good --wait 2>/dev/null)" = '1.0 /usr/lib/python3/dist-packages/aaa/__init__.py' ]
	worker newer 'import aaa; print(aaa.VERSION)' 'pip "aaa>=2"'
	run --separate-stderr sandboxctl upload newer --image two --find-links wheels
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *"the image's needy 1.0 needs aaa<2, and what was asked for brings aaa 2.0"* ]] || fail "$stderr"
	[ "$(sandboxctl queue newer --wait 2>/dev/null)" = 2.0 ]
}

@test "a source that needs a compiler: one sentence says so; a library that is missing is named" {
	python3 "$E2E/sdist.py" native-1.0 native 1.0 'seq -f noise%g 80; gcc -c native.c'
	mkdir wheels && tar -czf wheels/native-1.0.tar.gz native-1.0
	worker native pass 'pip "native"'
	run --separate-stderr sandboxctl upload native --image python --find-links wheels
	[ "$status" = 125 ]
	[[ $stderr == *'native comes as source only, and building it needs a C compiler'*'gcc'* ]] || fail "$stderr"
	[[ $stderr != *noise* ]]
	[[ $stderr == *'pip runs in the image python-build, where there is one'* ]] || fail "$stderr"
	sandboxctl rm "$(id_of build)"
	# Where there is an image for building, the package is built there and not in the image where it
	# runs. A shared object in it needs one that exists nowhere.
	image_like python python-build
	printf '#!/bin/sh\n' >"$IMAGE/rootfs/usr/bin/gcc"
	chmod 755 "$IMAGE/rootfs/usr/bin/gcc"
	# The image for building also has a library and a module that the other image has not.
	printf 'void nothing(void) {}\n' >x.c
	gcc -shared -fPIC -o "$IMAGE/rootfs/usr/lib/x86_64-linux-gnu/libbuildonly.so.3" -Wl,-soname,libbuildonly.so.3 x.c
	python3 "$E2E/wheels.py" modules onlythere 1.0
	python3 -m zipfile -e modules/onlythere-1.0-*.whl "$IMAGE/rootfs/usr/lib/python3/dist-packages"
	# The error says to bring along what the image lacks.
	python3 "$E2E/sdist.py" header-1.0 header 1.0 \
		'echo "x.c:1:10: fatal error: far/away.h: No such file or directory"; false'
	tar -czf wheels/header-1.0.tar.gz header-1.0
	worker header pass 'pip "header"'
	run --separate-stderr sandboxctl upload header --image python --find-links wheels
	[ "$status" = 125 ]
	[[ $stderr == *"needs the header far/away.h, which "*"packages of python-build's image.json"* ]] || fail "$stderr"
	[[ $stderr != *'where there is one'* ]] || fail "$stderr"
	gcc -shared -fPIC -o libnowhere.so.7 -Wl,-soname,libnowhere.so.7 x.c
	gcc -shared -fPIC -o native.so -Wl,--no-as-needed x.c ./libnowhere.so.7 \
		"$IMAGE/rootfs/usr/lib/x86_64-linux-gnu/libbuildonly.so.3" -lm
	python3 "$E2E/wheels.py" wheels lacks 1.0 onlythere
	(cd wheels && mkdir lacks && cp ../native.so lacks/ && zip -q lacks-1.0-*.whl lacks/native.so)
	worker compiled 'import native, shutil; print(native.VERSION, shutil.which("gcc"))' 'pip "native"' 'pip "lacks"'
	run --separate-stderr sandboxctl upload compiled --image python --find-links wheels
	rm "$STATE/images/by-name/python-build"
	[ "$status" = 0 ] || fail "$stderr"
	[ "$(sandboxctl queue compiled --wait 2>/dev/null)" = '1.0 None' ]
	[[ $stderr == *'lacks/native.so needs libnowhere.so.7, which the image does not have (Debian has it in libnowhere7)'* ]] ||
		fail "$stderr"
	[[ $stderr == *'lacks/native.so needs libbuildonly.so.3, which the image does not have (Debian has it in libbuildonly3)'* ]] ||
		fail "$stderr"
	[[ $stderr == *'lacks needs the module onlythere, which python-build has and the image python does not'* ]] || fail "$stderr"
	[[ $stderr != *libm.so* ]]
	# Neither the build's task nor the check's is left.
	[ -z "$(sandboxctl ps -a --json | jq -r '.[] | select(.label == "check") | .id')" ]
}

@test "pip installs for the Python of each image that it can run on, and says where it cannot" {
	local name

	python3 "$E2E/wheels.py" wheels aaa 1.0
	worker each 'import sys, aaa; print(aaa.VERSION, "%d.%d" % sys.version_info[:2])' 'pip "aaa"'
	for name in python39 python313 python314 python27 iron27; do
		image_link "$name"
	done
	for name in python39 python313 python314; do
		sandboxctl upload each --image "$name" --find-links wheels 2>"$name.err" || fail "$(cat "$name.err")"
		[ "$(sandboxctl queue each --wait 2>/dev/null)" = "1.0 3.${name#python3}" ]
	done
	refused "there is no pip for the image's Python 2.7: it needs virtualenv-16.7.12" \
		upload each --image python27 --find-links wheels
	sandboxctl upload each --image iron27 --find-links wheels 2>iron27.err || fail "$(cat iron27.err)"
	[ "$(sandboxctl queue each --wait 2>/dev/null)" = "('1.0', '2.7')" ]
}

@test "a worker of IronWorker's time runs on the Python and the modules of that time" {
	image_link iron27
	image_link iron
	worker olden 'import lxml.etree, numpy, scipy.linalg, pymongo, gevent, PIL.Image
print "%d %s" % (numpy.arange(5).sum(), lxml.etree.fromstring("<a/>").tag), scipy.linalg.det([[2.0]])' \
		'stack "python-2.7"'
	run --separate-stderr sandboxctl upload olden
	[ "$status" = 0 ]
	[[ $stderr != *'is not an image'* && $stderr != *'which is not here'* ]] || fail "$stderr"
	[ "$(sandboxctl info olden --json | jq -r '.image + " " + .stack')" = 'iron27 python-2.7' ]
	[ "$(sandboxctl queue olden --wait 2>/dev/null)" = '10 a 2.0' ]
	# Without the stack it is Python 3's, which says what it is.
	worker now 'print "Hello from Python"'
	sandboxctl upload now 2>/dev/null
	run --separate-stderr sandboxctl queue now --wait
	[ "$status" = 1 ]
	[[ $stderr == *"SyntaxError"*'sandbox: this is Python 2, and it runs on Python 3.'*'stack "python-2.7"'* ]] || fail "$stderr"
}

@test "what an upload is refused for is told before pip has run" {
	local before

	before=$(builds)
	python3 "$E2E/wheels.py" wheels aaa 1.0
	worker early pass 'pip "aaa"'
	refused 'there is no image "absent"' upload early --image absent --find-links wheels
	refused 'workers of the project tenant may not name "network"' \
		upload early --image python --find-links wheels --policy network
	refused 'name: must' upload early -n ../x --image python --find-links wheels
	echo 'runtime "ruby"' >>early.worker
	refused 'runtime "ruby" is not offered' upload early --image python --find-links wheels
	[ "$(builds)" = "$before" ]
}

# builds: the tasks of all builds that have failed.
builds() {
	sandboxctl ps -a --json | jq -r '.[] | select(.label == "build") | .id'
}

@test "a pip that fails says why in its own words, and uploads nothing" {
	mkdir wheels
	worker nopip pass 'pip "nowhere==1.2"'
	run --separate-stderr sandboxctl upload nopip --image python --find-links wheels
	[ "$status" = 125 ]
	[[ $stderr == *'No matching distribution found for nowhere==1.2'* ]] || fail "$stderr"
	[[ $stderr == *'nothing was uploaded'* ]]
	refused "there is no worker 'nopip'" info nopip
	id=$(id_of build)
	[ "$(inspect "$id" .project)" = tenant ]
	[[ $(sandboxctl logs "$id" 2>&1) == *nowhere==1.2* ]]
	sandboxctl rm "$id"
	worker norequirements pass 'requirements "none.txt"'
	refused 'norequirements.worker:2:14: requirements: none.txt: No such file' upload norequirements --image python --find-links wheels
}

@test "a stack that is an image is also pip's; a warning names one that is not" {
	python3 "$E2E/wheels.py" wheels aaa 1.0
	worker stacked 'import aaa; print(aaa.VERSION)' 'stack "python"' 'pip "aaa==1.0"'
	sandboxctl upload stacked --find-links wheels 2>/dev/null
	[ "$(sandboxctl info stacked --json | jq -r .image)" = python ]
	[ "$(sandboxctl queue stacked --wait 2>/dev/null)" = 1.0 ]
	rm -f "$STATE/images/by-name/iron27"
	worker unstacked pass 'stack "python-2.7"'
	run --separate-stderr sandboxctl upload unstacked
	[[ $stderr == *'stack "python-2.7" is the image iron27, which is not here'*'it runs on iron'* ]] || fail "$stderr"
	worker unstacked pass 'stack "java-1.7"'
	run --separate-stderr sandboxctl upload unstacked
	[[ $stderr == *'stack "java-1.7" is not an image here'*'it runs on iron'* ]] || fail "$stderr"
}

@test "with --find-links the build has no network; remote_build_command makes files" {
	mkdir wheels
	echo 'print(open("/proc/net/dev").read().count(":"))' >build.py
	worker made 'print(open("made").read())' 'file "build.py"' \
		'remote_build_command "python3 build.py >made && echo built"'
	run --separate-stderr sandboxctl upload made --image python --find-links wheels
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *built* ]]
	# The only interface is lo.
	[ "$(sandboxctl queue made --wait 2>/dev/null | head -n 1)" = 1 ]
	worker unmade pass 'remote_build_command "echo words >&2; exit 7"'
	run --separate-stderr sandboxctl upload unmade --image python --find-links wheels
	[ "$status" = 125 ]
	[[ $stderr == *words* ]]
	sandboxctl rm "$(id_of build)"
}

@test "Ctrl-C ends a build, and leaves nothing" {
	mkdir wheels tmp
	worker slow pass 'remote_build_command "echo building >&2; sleep 1000"'
	# A shell's background jobs ignore SIGINT, and in a session of its own the process can be sent it
	# alone.
	TMPDIR=$PWD/tmp setsid env --default-signal=INT "$CTL" upload slow --image python --find-links wheels \
		>out 2>err 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" file_has err building
	kill -INT -- "-$pid"
	reap $pid
	[ "$status" = 130 ] || fail "$status: $(cat err)"
	[ -z "$(ls tmp)" ]
	wait_until "$PATIENCE" labelled build cancelled
	sandboxctl rm "$(id_of build)"
}

# index: serves the wheels in index/simple/PACKAGE on another machine; the URL is put into INDEX.
index() {
	far_make
	ip netns exec "$GROUP" python3 -u -m http.server --bind 203.0.113.1 --directory index 8000 \
		>served 2>&1 3>&- 4>&- &
	wait_until "$PATIENCE" file_has served Serving
	INDEX=http://203.0.113.1:8000/simple
}

teardown() {
	end_background
	far_remove
}

@test "without --find-links pip asks this machine's index, and needs no way out for it" {
	python3 "$E2E/wheels.py" index/simple/ccc ccc 3.0
	index
	worker net 'import ccc; print(ccc.VERSION)' 'pip "ccc", ">=2"'
	export PIP_INDEX_URL=$INDEX PIP_TRUSTED_HOST=203.0.113.1 PIP_RETRIES=0
	run --separate-stderr sandboxctl upload net --image python
	[ "$status" = 0 ] || fail "$stderr$(cat served)"
	[[ $stderr == *'installed ccc==3.0'* ]]
	[ "$(sandboxctl queue net --wait 2>/dev/null)" = 3.0 ]
	# Nor does a policy that has no network keep it from the index; one that has no sockets does.
	sandboxctl upload net --image python --build-policy default
	jq --slurpfile build "$TOP/policies/build.json" '.limits = $build[0].limits' "$TOP/policies/strict.json" >mute.json
	sandboxctl policy install mute.json --name mute >/dev/null
	run --separate-stderr sandboxctl upload net --image python --build-policy mute
	[ "$status" = 125 ]
	[[ $stderr == *'the policy of this build lets nothing listen'* ]] || fail "$stderr"
	sandboxctl rm "$(id_of build)"
	# The index may also come from pip.conf; the user's file counts before the machine's.
	unset PIP_INDEX_URL
	mkdir -p "$HOME/.config/pip"
	printf '[global]\nindex-url = %s\n' "$INDEX" >"$HOME/.config/pip/pip.conf"
	sandboxctl upload net --image python
	rm -r "$HOME/.config"
}

@test "a progress bar on a terminal, and only there" {
	head -c 3000000 /dev/urandom >data
	worker big pass 'file "data"'
	script -qec "'$CTL' upload big --image python" /dev/null >out </dev/null
	grep -q 'uploading 100 %  2.9M of 2.9M' out
	run --separate-stderr sandboxctl upload big --image python
	[ "$status" = 0 ]
	[[ $stderr != *uploading* ]]
}

@test "a foreign token, no token and no server are told apart; a token is never shown" {
	worker who pass
	token=$(jq -r .token iron.json)
	port=$(jq .port iron.json)
	jq '.project_id = "000000000000000000000000"' iron.json >other.json
	refused '' upload who --config other.json
	refused 'was revoked' upload who --token wrong-token
	[[ $stderr != *wrong-token* ]]
	refused 'no daemon answers at http://127.0.0.1:1' upload who --port 1
	mv iron.json saved
	refused 'no project is named' upload who
	refused 'there is no token' upload who --project-id 000000000000000000000001
	IRON_PROJECT_ID=$(jq -r .project_id saved) IRON_TOKEN=x IRON_WORKER_TOKEN=$token IRON_PORT=$port \
		sandboxctl upload who --image python >/dev/null
	jq '{token, port, project_id: "x", dev: {project_id}}' saved >"$HOME/.iron.json"
	sandboxctl codes -e dev | grep -q who
	refused '--env prod: none of' codes -e prod
	rm "$HOME/.iron.json"
	echo '{"token": 1}' >iron.json
	refused './iron.json: token: must be a string' workers
}
