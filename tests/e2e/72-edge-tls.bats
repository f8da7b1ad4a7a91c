#!/usr/bin/env bats
# The edge by TLS: certificates by host, new and replaced ones, and who can read their keys.
# shellcheck disable=SC2154 # run sets status
load lib

setup_file() {
	# The certificates are where the images are: a file system that can show files as another user's.
	CERTIFICATES=$(mktemp -d /var/tmp/sandboxd-e2e-keys.XXXXXX)
	export EDGE=127.0.0.1:0 CERTIFICATES
	chmod 755 "$CERTIFICATES"
	certificate localhost '*.p.localhost'
	export MORE_OPTIONS="--edge-https 127.0.0.1:0 --certificates $CERTIFICATES --domain localhost"
	daemon_make
	wait_until "$PATIENCE" curl -sS -m 5 -o /dev/null "http://$(cat "$RUN/edge-http")/" || fail "$(cat "$WORK/log")"
}

teardown_file() {
	daemon_remove
	rm -rf "$CERTIFICATES"
}

setup() {
	cd "$BATS_TEST_TMPDIR" || return
}

# certificate FILE NAME...: DIR/FILE.pem, for these hosts, which only root can read.
certificate() {
	local names

	names=$(printf ',DNS:%s' "$@")
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj "/CN=$1" \
		-addext "subjectAltName=${names#,}" -keyout "$BATS_FILE_TMPDIR/key" -out "$BATS_FILE_TMPDIR/cert" 2>/dev/null
	cat "$BATS_FILE_TMPDIR/cert" "$BATS_FILE_TMPDIR/key" >"$CERTIFICATES/$1.pem-"
	chmod 600 "$CERTIFICATES/$1.pem-"
	mv "$CERTIFICATES/$1.pem-" "$CERTIFICATES/$1.pem"
}

# shown HOST: the fingerprint of what the edge shows for it.
shown() {
	timeout "$PATIENCE" openssl s_client -connect "$(cat "$RUN/edge-https")" -servername "$1" </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint -sha256
}

fingerprint() {
	openssl x509 -noout -fingerprint -sha256 -in "$CERTIFICATES/$1.pem"
}

shows() {
	[ "$(shown "$1")" = "$(fingerprint "$2")" ]
}

# by_tls HOST PATH [OPTION...]
by_tls() {
	curl -sS -m "$PATIENCE" --connect-to "::$(cat "$RUN/edge-https")" --cacert "$CERTIFICATES/localhost.pem" \
		"https://$1$2" "${@:3}"
}

@test "a host is served with its certificate, or with that of the domain it is in" {
	wait_until "$PATIENCE" shows localhost localhost
	shows hello.p.localhost localhost
	shows HELLO.P.LOCALHOST localhost
	[[ $(by_tls hello.p.localhost /) == '404 no worker is at this address'* ]]
	# A client that names none.
	[ "$(openssl s_client -connect "$(cat "$RUN/edge-https")" -noservername </dev/null 2>/dev/null |
		openssl x509 -noout -fingerprint -sha256)" = "$(fingerprint localhost)" ]
	# Nothing is shown for others, and no path leads out of the folder.
	for host in example.com ../../etc/ssl .. a..localhost /etc/ssl 'a b.localhost'; do
		run ! shown "$host"
	done
	# Who speaks no TLS there is told so.
	[[ $(curl -sS -m "$PATIENCE" "http://$(cat "$RUN/edge-https")/") == 400* ]]
}

@test "a new certificate, and one in another's place, count at once, and no connection ends" {
	wait_until "$PATIENCE" shows localhost localhost
	coproc OLD { openssl s_client -quiet -connect "$(cat "$RUN/edge-https")" -servername hello.p.localhost 2>/dev/null; }
	exec 7<&"${OLD[0]}" 8>&"${OLD[1]}"
	printf 'GET / HTTP/1.1\r\nHost: hello.p.localhost\r\n\r\n' >&8
	read -r line <&7
	[[ $line == *404* ]]
	master=$(role edge)
	certificate shop.example.com shop.example.com
	shows shop.example.com shop.example.com
	old=$(fingerprint shop.example.com)
	certificate shop.example.com shop.example.com
	[ "$(fingerprint shop.example.com)" != "$old" ]
	shows shop.example.com shop.example.com
	# One that is no certificate is not shown, and the others are.
	echo nonsense >"$CERTIFICATES/bad.example.com.pem"
	run ! shown bad.example.com
	rm "$CERTIFICATES/shop.example.com.pem"
	run ! shown shop.example.com
	shows localhost localhost
	printf 'GET / HTTP/1.1\r\nHost: hello.p.localhost\r\nConnection: close\r\n\r\n' >&8
	[ "$(timeout "$PATIENCE" cat <&7 | grep -c '^HTTP/1.1 404')" = 1 ]
	[ "$(role edge)" = "$master" ]
}

# by_name NAME HOST PATH: a request for HOST in a connection whose handshake has named NAME; its status.
by_name() {
	printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n' "$3" "$2" |
		timeout "$PATIENCE" openssl s_client -quiet -connect "$(cat "$RUN/edge-https")" -servername "$1" 2>/dev/null |
		sed -n '1s/^HTTP\/1.1 \([0-9]*\).*/\1/p'
}

@test "a connection is for the hosts of its certificate alone" {
	certificate other.example.com other.example.com
	wait_until "$PATIENCE" shows other.example.com other.example.com
	# Of a host of the same certificate, in any case and with a port.
	[ "$(by_name hello.p.localhost other.p.localhost /)" = 404 ]
	[ "$(by_name localhost HELLO.p.LOCALHOST:443 /)" = 404 ]
	[ "$(by_name other.example.com other.example.com /)" = 404 ]
	# Who has shown that it is one tenant's is not asked for another's, however that is said.
	[ "$(by_name other.example.com hello.p.localhost /)" = 421 ]
	[ "$(by_name hello.p.localhost other.example.com /)" = 421 ]
	[ "$(by_name hello.p.localhost hello.p.localhost http://other.example.com/)" = 421 ]
	[ "$(by_name hello.p.localhost nobodys.example.org /)" = 421 ]
	rm "$CERTIFICATES/other.example.com.pem"
}

@test "HTTP/2 is not spoken, also by who does not ask" {
	run openssl s_client -connect "$(cat "$RUN/edge-https")" -servername localhost -alpn h2,http/1.1 </dev/null
	[[ $output == *"ALPN protocol: http/1.1"* ]]
	[[ $(printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' | timeout "$PATIENCE" openssl s_client -quiet -connect "$(cat "$RUN/edge-https")" \
		-servername localhost 2>/dev/null | head -n 1) != *" 200"* ]]
	exec 7<>"/dev/tcp/127.0.0.1/$(sed 's/.*://' "$RUN/edge-http")"
	printf 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' >&7
	[[ $(timeout "$PATIENCE" head -n 1 <&7) != *" 200"* ]]
	exec 7>&-
	# An upgrade to it is none: the request is answered as it is.
	[ "$(curl -sS -m "$PATIENCE" --http2 -o /dev/null -w '%{http_version} %{http_code}' "http://$(cat "$RUN/edge-http")/")" = '1.1 404' ]
}

@test "keys can be read by root, and by the edge where it alone sees them" {
	for user in _sandboxd _sandboxd-log _sandboxd-edge nobody; do
		run setpriv --reuid "$user" --regid "$user" --clear-groups cat "$CERTIFICATES/localhost.pem"
		[ "$status" != 0 ]
		run setpriv --reuid "$user" --regid "$user" --clear-groups ls "$RUN/edge-keys/localhost.pem"
		[ "$status" != 0 ]
	done
	[ -z "$(ls "$RUN/edge-keys")" ]
	# The edge's processes see them, and cannot write there.
	master=$(role edge)
	there="nsenter --mount=/proc/$master/ns/mnt setpriv --reuid _sandboxd-edge --regid _sandboxd-edge --clear-groups"
	$there grep -q 'PRIVATE KEY' "$RUN/edge-keys/localhost.pem"
	run $there tee -a "$RUN/edge-keys/localhost.pem" </dev/null
	[ "$status" != 0 ]
	[ "$(stat -c '%U %a' "$CERTIFICATES/localhost.pem")" = 'root 600' ]
}

@test "a folder that others can write is refused, and so is TLS without one" {
	mkdir open
	chmod 777 open
	for words in "--certificates $PWD/open|chmod go-w" "--certificates $PWD/none|No such file" \
		"--edge-https 127.0.0.1:0|needs --certificates" "--domain UPPER|--domain: a host's name" \
		"--domain a..b|--domain: a host's name" "--edge-http 1.2.3:4|--edge-http 1.2.3:4: must be ADDRESS:PORT"; do
		# shellcheck disable=SC2086 # words
		run timeout "$PATIENCE" "$DAEMON" --state "$PWD/s" --run "$PWD/r" --cgroup "$GROUP-2" --http none ${words%%|*}
		[ "$status" = 125 ] || fail "$words: $output"
		[[ $output == *"${words#*|}"* ]] || fail "$output"
	done
}

@test "an address that is taken is refused when it was asked for" {
	run timeout "$PATIENCE" "$DAEMON" --state "$PWD/s" --run "$PWD/r" --cgroup "$GROUP-2" --http none \
		--edge-http "$(cat "$RUN/edge-http")"
	[ "$status" = 125 ]
	[[ $output == *"another program listens there"* ]]
}
