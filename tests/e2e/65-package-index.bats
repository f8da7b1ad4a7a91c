#!/usr/bin/env bats
# Where packages come from: what pip on this machine is configured to ask, with passwords and by a
# proxy, for workers and images that are built without a network.
# shellcheck disable=SC2154,SC2016,SC2030,SC2031 # stderr is set by run; code for workers
load daemon
load http
load far
load tenant

eval "tenant_$(declare -f setup_file)"
setup_file() {
	# What this machine itself is configured to ask.
	export MACHINE_HOME=$HOME MACHINE=$BATS_FILE_TMPDIR/machine
	env -0 | grep -zE '^(PIP_|NETRC=|REQUESTS_CA|(no|all|https?)_proxy=)' -i >"$MACHINE" || true
	tenant_setup_file
	image_with_pip python
	export XDG_CONFIG_DIRS=$WORK/etc PROXY=203.0.113.1:8080 FAR=198.51.100.7
	unset "${!NETRC@}" all_proxy no_proxy HTTP_PROXY HTTPS_PROXY ALL_PROXY NO_PROXY
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=index \
		-addext "subjectAltName=IP:$FAR" -keyout "$WORK/key" -out "$WORK/certificate" 2>/dev/null
	cat "$WORK/key" >>"$WORK/certificate"
}

# serve NAME WORD...: package_index.py with these words on the other machine, what it says in NAME.
serve() {
	ip netns exec "$GROUP" python3 "$E2E/package_index.py" "${@:2}" >"$1" 2>&1 3>&- 4>&- &
	wait_until "$PATIENCE" file_has "$1" Serving
}

# configure LINE...: pip's configuration.
configure() {
	mkdir -p "$HOME/.config/pip"
	printf '%s\n' '[global]' 'retries = 0' "$@" >"$HOME/.config/pip/pip.conf"
}

# packages: ccc as a wheel and ddd as a source archive, which says so when it is built, and a machine
# beyond this one that no route leads to but by one that is beside it.
packages() {
	python3 "$E2E/wheels.py" index/simple/ccc ccc 3.0
	python3 "$E2E/sdist.py" ddd-1.0 ddd 1.0
	mkdir index/simple/ddd && tar -czf index/simple/ddd/ddd-1.0.tar.gz ddd-1.0
	far_make
	ip -n "$GROUP" addr add "$FAR/32" dev lo
	there ip route add unreachable "$FAR"
}

teardown() {
	end_background
	rm -rf "$HOME/.config" "$HOME/.netrc"
	there ip route del unreachable "$FAR" 2>/dev/null || true
	far_remove
}

# both NAME OPTION...: uploads a worker that needs both packages, each named in another way. Its words
# are in `stderr`.
both() {
	echo 'ddd>=1' >requirements.txt
	worker "$1" 'import ccc, ddd; print(ccc.VERSION, ddd.VERSION)' 'pip "ccc==3.0"' 'requirements "requirements.txt"'
	run --separate-stderr sandboxctl upload "$1" --image python "${@:2}"
}

works() {
	[ "$status" = 0 ] || fail "$stderr"
	[[ $stderr == *'installed ccc==3.0'*'installed ddd==1.0'* ]] || fail "$stderr"
	nothing_told "$stderr"
	[ "$(sandboxctl queue "$1" --wait 2>/dev/null)" = '3.0 1.0' ]
}

# nothing_told TEXT: it names no user, no password and no proxy.
nothing_told() {
	! grep -E 'canary|:8080' <<<"$1" || fail "$1"
}

@test "an index with a password" {
	packages
	serve index.log index index 203.0.113.1 8000 me:canary-1
	configure 'index-url = http://me:canary-1@203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1'
	both password
	works password
	[ "$(grep -Evc ' me ok$|^Serving' index.log)" = 0 ]
	# By netrc, too.
	configure 'index-url = http://203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1'
	echo 'machine 203.0.113.1 login me password canary-1' >"$HOME/.netrc"
	both netrc
	works netrc
	# The one by which it is found does not matter, and who asks is told what is wrong, without it.
	echo 'machine 203.0.113.1 login me password canary-2' >"$HOME/.netrc"
	both wrong
	[ "$status" = 125 ]
	[[ $stderr == *'sandboxctl: package index: http://203.0.113.1:8000/simple/ccc/: '*'(401)'* ]] || fail "$stderr"
	[[ $stderr == *"pip-build: this machine's package index: it asks for a user name"* ]] || fail "$stderr"
	nothing_told "$stderr"
	id=$(id_of build)
	! sandboxctl logs "$id" 2>&1 | grep -E 'canary|203\.0\.113\.1' || fail "$(sandboxctl logs "$id" 2>&1)"
	sandboxctl rm "$id"
}

@test "a proxy with a password, by the environment and by pip's configuration" {
	packages
	serve index.log index index "$FAR" 8000
	serve proxy.log proxy "${PROXY%:*}" "${PROXY#*:}" us:canary-1
	configure "index-url = http://$FAR:8000/simple" "trusted-host = $FAR"
	http_proxy=http://us:canary-1@$PROXY both environment
	works environment
	file_has proxy.log "GET http://$FAR:8000/simple/ccc/ us ok"
	configure "index-url = http://$FAR:8000/simple" "trusted-host = $FAR" "proxy = http://us:canary-1@$PROXY"
	both configured
	works configured
	# Beside the proxy no way leads there.
	configure "index-url = http://$FAR:8000/simple" "trusted-host = $FAR"
	both direct
	[ "$status" = 125 ]
	[[ $stderr == *"pip-build: this machine's package index: it cannot be reached"* ]] || fail "$stderr"
	sandboxctl rm "$(id_of build)"
}

@test "a password, a proxy with another, and a certificate of its own; for an image as well" {
	packages
	serve index.log index index "$FAR" 8443 me:canary-1 "$WORK/certificate"
	serve proxy.log proxy "${PROXY%:*}" "${PROXY#*:}" us:canary-2
	configure "index-url = https://me:canary-1@$FAR:8443/simple" "cert = $WORK/certificate"
	export https_proxy=http://us:canary-2@$PROXY
	both all
	works all
	file_has proxy.log "CONNECT $FAR:8443 us ok"
	[ "$(grep -Evc ' me ok$|^Serving' index.log)" = 0 ]
	image_requirements ccc ddd
	[[ $output == *"ccc ddd"* ]] || fail "$output"
	nothing_told "$output"
	# A certificate that nobody trusts here.
	configure "index-url = https://me:canary-1@$FAR:8443/simple"
	both untrusted
	[ "$status" = 125 ]
	[[ $stderr == *'its certificate is not trusted here'* ]] || fail "$stderr"
	nothing_told "$stderr"
	sandboxctl rm "$(id_of build)"
}

# image_requirements NAME...: what image-build does for an image's requirements, and then their names as
# the image's own Python finds them, with all that was said, in `output`.
image_requirements() {
	mkdir -p out
	[ -e out/rootfs ] || cp -a "$(realpath "$STATE/images/by-name/python")/rootfs" out/rootfs
	SANDBOXCTL_FULL=$SANDBOXD_LIBEXEC/sandboxctl-full SANDBOXD_STATE=$STATE run "$E2E/image-steps" "$PWD/out" \
		"requirements=($*)" install_requirements close_local \
		"in_image -- /usr/bin/python3 -c 'import importlib.util as u, sys; print(*[n for n in sys.argv[1:] if u.find_spec(n)])' $*"
	[ "$status" = 0 ] || fail "$output"
}

@test "the pip of each image asks the index, within this machine's constraints" {
	local name

	packages
	python3 "$E2E/wheels.py" index/simple/ccc ccc 4.0
	serve index.log index index 203.0.113.1 8000 me:canary-1
	echo 'ccc<4' >constraints.txt
	configure 'index-url = http://me:canary-1@203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1' \
		"constraint = $PWD/constraints.txt"
	worker each 'import sys, ccc; print(ccc.VERSION, "%d.%d" % sys.version_info[:2])' 'pip "ccc"'
	for name in python39 python313 python314; do
		image_link "$name"
		sandboxctl upload each --image "$name" 2>"$name.err" || fail "$(cat "$name.err")"
		[ "$(sandboxctl queue each --wait 2>/dev/null)" = "3.0 3.${name#python3}" ]
	done
	# What cannot be read as pip's is told by its line, and not quoted.
	configure 'the canary'
	run --separate-stderr sandboxctl upload each --image python
	[ "$status" = 125 ]
	[[ $stderr == *"pip's configuration: $HOME/.config/pip/pip.conf:3: "*'cannot be used, see above'* ]] || fail "$stderr"
	nothing_told "$stderr"
}

@test "an index beside others, and pages of links" {
	packages
	mkdir -p more/simple links/simple/wheels
	mv index/simple/ddd more/simple/
	python3 "$E2E/wheels.py" links/simple/wheels eee 1.0
	serve index.log index index 203.0.113.1 8000
	serve more.log index more 203.0.113.1 8001 me:canary-1
	serve links.log index links 203.0.113.1 8002
	configure 'index-url = http://203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1' \
		'extra-index-url = http://me:canary-1@203.0.113.1:8001/simple' \
		'find-links = http://203.0.113.1:8002/simple/wheels/'
	both beside
	works beside
	worker links 'import eee; print(eee.VERSION)' 'pip "eee"'
	sandboxctl upload links --image python
	[ "$(sandboxctl queue links --wait 2>/dev/null)" = 1.0 ]
	# With the folders and pages alone.
	PIP_NO_INDEX=1 sandboxctl upload links --image python
	PIP_NO_INDEX=1 both none
	[ "$status" = 125 ]
	sandboxctl rm "$(id_of build)"
}

@test "a requirement that is a URL is told with its line, and is fetched where the policy has a network" {
	packages
	serve index.log index index 203.0.113.1 8000
	configure 'index-url = http://203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1'
	# The index itself is no other; another one is.
	printf '%s\n' '--index-url http://203.0.113.1:8000/simple/' '-ihttp://203.0.113.1:8000/simple' 'ccc==3.0' ddd \
		>requirements.txt
	worker url 'import ccc, ddd; print(ccc.VERSION, ddd.VERSION)' 'requirements "requirements.txt"'
	run --separate-stderr sandboxctl upload url --image python
	works url
	printf '%s\n' 'ccc' '--extra-index-url=http://203.0.113.1:8001/simple' >requirements.txt
	run --separate-stderr sandboxctl upload url --image python
	[ "$status" = 125 ]
	[[ $stderr == *"requirements.txt:2: http://203.0.113.1:8001/simple is not"* ]] || fail "$stderr"
	sandboxctl rm "$(id_of build)"
	printf '%s\n' 'ccc' 'ddd @ http://me:canary-1@203.0.113.1:8000/simple/ddd/ddd-1.0.tar.gz' >requirements.txt
	run --separate-stderr sandboxctl upload url --image python
	[ "$status" = 125 ]
	[[ $stderr == *"requirements.txt:2: http://203.0.113.1:8000/simple/ddd/ddd-1.0.tar.gz is not in this machine's package index"* ]] ||
		fail "$stderr"
	nothing_told "$stderr"
	sandboxctl rm "$(id_of build)"
	worker git pass 'pip "git+https://203.0.113.1/x.git"'
	run --separate-stderr sandboxctl upload git --image python
	[[ $stderr == *'pip "git+https://203.0.113.1/x.git": git+https://203.0.113.1/x.git is not in'*'--build-policy network'* ]] ||
		fail "$stderr"
	sandboxctl rm "$(id_of build)"
	sed -i 's/me:canary-1@//' requirements.txt
	run --separate-stderr sandboxctl upload url --image python --build-policy network
	works url
}

@test "what runs beside a build is nobody, and ends with it" {
	packages
	serve index.log index index 203.0.113.1 8000
	configure 'index-url = http://203.0.113.1:8000/simple' 'trusted-host = 203.0.113.1'
	worker slow pass 'remote_build_command "echo building >&2; sleep 1000"'
	"$CTL" upload slow --image python >out 2>err 3>&- 4>&- &
	pid=$!
	wait_until "$PATIENCE" file_has err building
	index=$(pgrep -P $pid -f 'pip-index serve')
	wait_until "$PATIENCE" is_nobody "$index"
	[ "$(awk '/^(Groups|CapPrm|CapEff|NoNewPrivs):/ { print $2 + 0 }' "/proc/$index/status" | sort -u | tr '\n' ' ')" = '0 1 ' ]
	# It is not left behind either when its caller is killed, who could have ended it.
	kill -KILL $pid
	wait $pid || true
	wait_until "$PATIENCE" gone "$index"
	id=$(sandboxctl ps --json | jq -r '.[] | select(.label == "build") | .id')
	sandboxctl cancel --force "$id"
	wait_until "$PATIENCE" labelled build cancelled
	sandboxctl rm "$id"
}

# is_nobody PID: its user and its group are none of this machine's.
is_nobody() {
	[ "$(awk '/^(Uid|Gid):/ { print ($2 >= 2000000 && $2 == $3 && $3 == $4 && $4 == $5) }' "/proc/$1/status" | uniq)" = 1 ]
}

# gone PID: no such process, or one that only waits to be reaped.
gone() {
	[ ! -e "/proc/$1" ] || [ "$(cut -d ' ' -f 3 "/proc/$1/stat")" = Z ]
}

@test "a build whose way to the index was lost says so" {
	# As when the daemon was started again while the build waited for its turn.
	mkdir build
	cp "$SANDBOXD_LIBEXEC/pip-build" build/
	jq -n '{mode: "worker", indexes: 1, pages: 0}' >build/settings.json
	jq -n '{exec: "pip-build", dir: ".", start: "cold"}' >build/task.json
	run --separate-stderr sandboxctl run python build/task.json
	[ "$status" = 1 ]
	[[ $stderr == *'pip-build: the connection to the package index is lost: build it again'* ]] || fail "$stderr"
}

@test "this machine's own index serves workers and images" {
	local -a own

	# As pip here would be configured, but for its folders of archives.
	mapfile -d '' -t own < <(grep -zv '^PIP_FIND_LINKS=' "$MACHINE")
	worker one 'import six; print(six.__name__)' 'pip "six"'
	echo 'six>=1.10' >requirements.txt
	worker two 'import six; print(six.__name__)' 'requirements "requirements.txt"'
	for name in one two; do
		env -u XDG_CONFIG_DIRS HOME="$MACHINE_HOME" "${own[@]}" "$CTL" upload "$name" --image python 2>err || fail "$(cat err)"
		grep -q '^sandboxctl: installed six==' err || fail "$(cat err)"
		[ "$(sandboxctl queue "$name" --wait 2>/dev/null)" = six ]
	done
	unset XDG_CONFIG_DIRS
	[ ${#own[@]} = 0 ] || export "${own[@]}"
	HOME=$MACHINE_HOME image_requirements six
	[[ $output == *six ]] || fail "$output"
}
