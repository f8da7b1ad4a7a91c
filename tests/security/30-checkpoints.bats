#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# A checkpoint that is not exactly what was dumped is never restored, and costs nothing but time. No
# checkpoint has anything of a task in it.

load lib.bash

setup_file() {
	security_setup
	"$CTL" image warm python >/dev/null
	KEY=$(basename "$(find "$STATE/checkpoints" -mindepth 1 -maxdepth 1 -type d | head -n 1)")
	export KEY CHECKPOINT=$STATE/checkpoints/$KEY
	cp -a "$CHECKPOINT" "$WORK/pristine"
}

# pristine: puts back the checkpoint as it was dumped, and restarts the daemon, so that no earlier check
# is remembered.
pristine() {
	daemon_stop
	rm -rf "$CHECKPOINT"
	cp -a "$WORK/pristine" "$CHECKPOINT"
	daemon_start
}

# refused WHAT: a task has the right result by a cold start, with one warning on stderr.
refused() {
	local label="refused-$RANDOM$RANDOM"

	[ "$("$CTL" run python --start restore --label "$label" --code 'print(6 * 7)' 2>"$WORK/out/err")" = 42 ]
	[ "$(modes_of "$label")" = cold ] || fail "$1: started as $(modes_of "$label")"
	[ -s "$WORK/out/err" ] || fail "$1: no warning"
	[ "$(wc -l <"$WORK/out/err")" = 1 ] || fail "$1: $(cat "$WORK/out/err")"
}

@test "the checkpoint is root's alone" {
	local file

	[ "$(stat -c '%U %a' "$STATE/checkpoints")" = "root 700" ]
	[ "$(stat -c '%U %a' "$CHECKPOINT")" = "root 755" ]
	while read -r file; do
		[ "$(stat -c %U "$file")" = root ]
		[ $((0$(stat -c %a "$file") & 022)) = 0 ]
	done < <(find "$CHECKPOINT" -type f)
	# The control: unchanged, the checkpoint is restored.
	"$CTL" run python --start restore --label good --code 'print(1)'
	[ "$(modes_of good)" = restore ]
}

@test "a flipped byte in any file is noticed" {
	local file size

	while read -r file; do
		pristine
		size=$(stat -c %s "$CHECKPOINT/$file")
		[ "$size" -gt 0 ] || continue
		/usr/bin/python3 - "$CHECKPOINT/$file" $((size / 2)) <<-'END'
			import sys
			with open(sys.argv[1], "r+b") as f:
			    f.seek(int(sys.argv[2]))
			    byte = f.read(1)[0]
			    f.seek(int(sys.argv[2]))
			    f.write(bytes([byte ^ 1]))
		END
		refused "flipped $file"
	done < <(cd "$WORK/pristine" && find . -type f)
}

@test "one that differs from its digests is removed, for the next one to be made" {
	pristine
	printf x >>"$CHECKPOINT/heap"
	refused "a longer heap"
	grep -q 'the checkpoint is not right and was removed: checkpoint: heap: ' "$WORK/out/err" || fail "$(cat "$WORK/out/err")"
	[ ! -e "$CHECKPOINT" ]
}

@test "a truncated, lengthened, removed, swapped, linked or added file is noticed" {
	local first second n changes

	mapfile -t files < <(cd "$WORK/pristine" && find . -type f -name '*.img' -size +0 | sort)
	first=${files[0]} second=${files[1]}
	changes=(
		"truncate -s -1 $first"
		"truncate -s +1 $first"
		"rm $first"
		"mv $first x && mv $second $first && mv x $second"
		"mv $first /var/tmp/linked-$$ && ln -s /var/tmp/linked-$$ $first"
		"touch added.img"
		"ln -s /etc/passwd added"
		"mkfifo fifo.img"
		"mkdir folder"
		"rm $first && mkfifo $first"
		"chown 65534 $first"
		"chmod 666 $first"
		"chmod 777 ."
		"rm manifest.json"
		"echo {} >manifest.json"
		"echo '[[[[' >manifest.json"
		"head -c 100000000 /dev/zero >manifest.json"
		"rm manifest.json && mkfifo manifest.json"
		"find . -mindepth 1 -delete"
	)
	for ((n = 0; n < ${#changes[@]}; n++)); do
		pristine
		(cd "$CHECKPOINT" && eval "${changes[n]}")
		refused "${changes[n]}"
		rm -f "/var/tmp/linked-$$"
	done
}

@test "a change after it was verified and used is noticed by the same daemon" {
	local change file

	for change in 'printf x | dd of=FILE bs=1 count=1 conv=notrunc' 'cp -p FILE y && mv y FILE && printf x |
		dd of=FILE bs=1 count=1 conv=notrunc && touch -r heap FILE' 'truncate -s +1 FILE' 'touch added'; do
		pristine
		"$CTL" run python --start restore --label used --code 'print(1)'
		[ "$(modes_of used | sort -u)" = restore ]
		file=$(cd "$CHECKPOINT" && find . -name 'pages-*.img' | head -n 1)
		(cd "$CHECKPOINT" && eval "${change//FILE/$file}") 2>/dev/null
		refused "$change"
	done
}

@test "the folder itself as a symlink is refused, even to the right files" {
	pristine
	mv "$CHECKPOINT" "$WORK/moved"
	ln -s "$WORK/moved" "$CHECKPOINT"
	refused "a linked folder"
	rm "$CHECKPOINT" && rm -r "$WORK/moved"
}

@test "another image's checkpoint under this key is refused" {
	local other

	pristine
	"$CTL" image warm python --policy strict >/dev/null
	other=$(find "$STATE/checkpoints" -mindepth 1 -maxdepth 1 -type d ! -name "$KEY" | head -n 1)
	[ -n "$other" ]
	rm -rf "$CHECKPOINT"
	cp -a "$other" "$CHECKPOINT"
	refused "a foreign checkpoint"
}

@test "while it is refused, auto goes on by cold starts, and warming mends it" {
	pristine
	truncate -s -1 "$CHECKPOINT/$(cd "$CHECKPOINT" && find . -name '*.img' -size +0 | head -n 1)"
	refused "before mending"
	"$CTL" image warm python --force >/dev/null
	"$CTL" run python --start restore --label mended --code 'print(1)'
	[ "$(modes_of mended)" = restore ]
	rm -rf "$WORK/pristine" && cp -a "$CHECKPOINT" "$WORK/pristine"
}

@test "a task changes nothing of it, whatever it writes to its memory" {
	pristine
	find "$CHECKPOINT" -type f -exec sha256sum {} + | sort >"$WORK/before"
	"$CTL" run python --start restore --label writer --code '
import ctypes
with open("/proc/self/maps") as f:
    maps = [line.split() for line in f]
for fields in maps:
    if fields[1].startswith("rw") and len(fields) > 5 and fields[5].startswith("/run/"):
        low, high = (int(x, 16) for x in fields[0].split("-"))
        # the byte that is there already: the page is written to, and nothing changes
        for page in range(low, high, 4096):
            ctypes.memset(page, ctypes.string_at(page, 1)[0], 1)
for fields in maps:
    if len(fields) > 5 and fields[5].startswith("/run/"):
        for mode in ("r+b", "wb", "ab"):
            try:
                open(fields[5], mode)
                print("opened", fields[5], mode)
            except OSError:
                pass'
	[ "$(modes_of writer)" = restore ]
	find "$CHECKPOINT" -type f -exec sha256sum {} + | sort | cmp "$WORK/before" -
}

@test "nothing of a task is in a checkpoint" {
	local secret="needle-$RANDOM-$RANDOM-in-the-haystack" mode

	for mode in cold restore auto auto; do
		"$CTL" run python --start "$mode" --payload "{\"secret\": \"$secret\"}" \
			-e "SECRET=$secret" --code "kept = '$secret'; print(1)" -- "$secret" >/dev/null
	done
	"$CTL" image warm python --force >/dev/null
	refute grep -rqF -e "$secret" "$STATE/checkpoints"
	# The control: the secret is where it must be.
	grep -rqF -e "$secret" "$STATE/front"
}

@test "memory after a restore is billed to the task's own cgroup" {
	local code='kept = bytearray(b"x" * (100 << 20)); print(len(kept))' mode

	for mode in $SECURITY_MODES; do
		"$CTL" run python --start "$mode" --label "bill-$mode" --code "$code" >/dev/null
		[ "$(field "bill-$mode" .usage.memory_peak_bytes)" -ge $((100 << 20)) ]
		run "$CTL" run python --start "$mode" --label "over-$mode" --memory 64M --code "$code"
		[ "$status" -eq 137 ]
		[ "$(field "over-$mode" .verdict)" = oom ]
	done
}
