# shellcheck shell=bash
# What the set-up and build scripts ask of apt. Sourced, never run.
#
# No script names a mirror: everything is fetched from where this machine's own apt sources point.

DEBIAN_KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg

# apt_host_suite: the code name of this machine's release.
apt_host_suite() {
	(
		# shellcheck source=/dev/null
		. /etc/os-release
		echo "${VERSION_CODENAME:?/etc/os-release has no VERSION_CODENAME}"
	)
}

# apt_signed_by FILE:N: the keyring file that entry N of an apt sources file names, or nothing.
apt_signed_by() {
	local file=${1%:*} entry=${1##*:}

	case $file in
	*.sources)
		sed '/^#/d' "$file" | awk -v RS= -v want="$entry" 'NR == want' |
			sed -n 's/^[Ss]igned-[Bb]y:[[:space:]]*\(\/[^[:space:]]*\).*/\1/p'
		;;
	*)
		sed -n "${entry}s/.*signed-by=\(\/[^] ,]*\).*/\1/p" "$file"
		;;
	esac
}

# apt_mirror URI: the URI itself, or the first mirror of the list that it names (as Debian's cloud
# images have it), for a caller that fetches single files and cannot use a list.
apt_mirror() {
	case $1 in
	mirror+file:*) sed -n '/^http/ { s/[[:space:]].*//; s,/$,,; p; q }' "${1#mirror+file:}" ;;
	*) echo "$1" ;;
	esac
}

# apt_archives: one line for each Debian archive in this machine's sources, "KIND URI KEYRING"; KIND
# is base, updates or security. The caller adds the suite that it wants.
apt_archives() {
	local codename format rows uri release component origin entry kind keyring

	codename=$(apt_host_suite)
	# shellcheck disable=SC2016 # apt fills these in
	format='$(REPO_URI) $(RELEASE) $(COMPONENT) $(ORIGIN) $(SOURCESENTRY)'
	rows=$(apt-get indextargets --format "$format" 'Created-By: Packages' 'Target-Of: deb')
	# Before the first `apt-get update` there are no package lists, and apt answers only with
	# this option.
	[ -n "$rows" ] || rows=$(apt-get indextargets --no-release-info --format "$format" \
		'Created-By: Packages' 'Target-Of: deb')

	while read -r uri release component origin entry; do
		[ "$component" = main ] || continue
		# Another vendor may use Debian's suite names. Without package lists apt leaves the
		# field's name in the text, and the vendor is not known.
		case $origin in Debian | *ORIGIN*) ;; *) continue ;; esac
		case $release in
		"$codename" | stable | oldstable | testing | unstable) kind=base ;;
		"$codename"-updates | stable-updates | oldstable-updates) kind=updates ;;
		"$codename"-security | stable-security | oldstable-security) kind=security ;;
		*) continue ;;
		esac
		keyring=$(apt_signed_by "$entry")
		echo "$kind $(apt_mirror "${uri%/}") ${keyring:-$DEBIAN_KEYRING}"
	done <<<"$rows" | sort -u
}

# apt_download URL FILE: fetches by apt's own methods, so that proxies and mirror settings hold.
# When that fails, the reason is on stderr and FILE does not exist.
apt_download() {
	local log

	if log=$(/usr/lib/apt/apt-helper -o Acquire::Retries=2 download-file "$1" "$2" 2>&1); then
		return 0
	fi
	rm -f "$2"
	{ grep -m1 '^E: Failed' <<<"$log" || tail -n 1 <<<"$log"; } >&2
	return 1
}
