#!/usr/bin/env bash
# The demo as a user meets it: exit codes, messages and figures on good, bad and odd directories,
# and over a folder of kept results that is new, known, damaged or not to be had.
#
#   demo.sh PATH-OF-THE-BINARY
set -euo pipefail
demo=$1
envelopes=$(cd "$(dirname "$0")/../../../fixtures/envelopes" && pwd)
room=$(mktemp -d)
export GECASO_DEMO_CACHE="$room/kept"
trap 'chmod -R u+rwx "$room"; rm -rf "$room"' EXIT
checks=0

# run EXPECTED-CODE ARGUMENTS...: leaves what was printed in $out and $err.
run() {
    local expected=$1 code=0
    shift
    out=$("$demo" "$@" 2> "$room/stderr") || code=$?
    err=$(< "$room/stderr")
    [ "$code" -eq "$expected" ] || fail "exit code $code instead of $expected: demo $*"
}
fail() {
    printf 'demo.sh: %s\n--- stdout\n%s\n--- stderr\n%s\n' "$1" "${out-}" "${err-}" >&2
    exit 1
}
has() { # what is printed, regardless of how many blanks are between
    tr -s ' ' <<< "$out" | grep -qE -- "$1" || fail "no line like: $1"
    checks=$((checks + 1))
}
hasnt() {
    ! tr -s ' ' <<< "$out" | grep -qE -- "$1" || fail "a line like: $1"
    checks=$((checks + 1))
}
figure() { # the number in a row of the table
    awk -v row="$1" 'index($0, row) == 1 { gsub(",", ""); print $2; exit }' <<< "$out"
}
is() { # WHAT GOT EXPECTED
    [ "$2" = "$3" ] || fail "$1: $2 instead of $3"
    checks=$((checks + 1))
}
digest() { awk '$1 == "digest" { print $2 }' <<< "$out"; }

# A good directory: the figures are those of find and wc.
mkdir -p "$room/good/deep/er"
printf 'one two\nthree' > "$room/good/a.txt"
printf '\n\nfour  five\tsix\n' > "$room/good/deep/b.txt"
: > "$room/good/deep/empty"
seq 1 30000 > "$room/good/deep/er/numbers"
run 0 "$room/good"
is files "$(figure files)" "$(find "$room/good" -type f | wc -l)"
is bytes "$(figure bytes)" "$(cat "$room"/good/a.txt "$room"/good/deep/{b.txt,er/numbers} | wc -c)"
is lines "$(figure lines)" 30005 # 30000, two of a.txt though the last has no end, three of b.txt
is words "$(figure words)" 30006
has '^hit ratio 100\.0 % 4 of 4 calls'
has '^64 threads 1 body '
has '^speed-up [0-9.]+ x'
has '^a hit [0-9]+ ns'
[ "$(grep -c 'files' <<< "$err")" -eq 6 ] || fail 'one plain line of progress for each of six steps'

# What one run has kept, the next one finds.
is 'found by the first run' "$(figure found)" 0
is 'computed by the first run' "$(figure computed)" 4
has '^folder [0-9.]+ ms asked for again, 4 from the folder'
before=$(digest)
run 0 "$room/good"
is 'the same contents' "$(digest)" "$before"
is 'found by the second run' "$(figure found)" 4
is 'computed by the second run' "$(figure computed)" 0
pushd "$room/good/deep" > /dev/null
run 0 ..
popd > /dev/null
is 'found from elsewhere' "$(figure found)" 4
hasnt '^(unusable|failed)'

# A file that has changed is computed, even if its length and its time of modification have not.
touch -r "$room/good/a.txt" "$room/time"
printf 'one twO\nthree' > "$room/good/a.txt"
touch -r "$room/time" "$room/good/a.txt"
run 0 "$room/good"
[ "$(digest)" != "$before" ] || fail 'another content has the same digest'
is 'found beside a change' "$(figure found)" 3

# Whatever happens to what was kept: the results are right, and what was unusable is counted.
damaged() { # UNUSABLE FOUND WHAT: after damage to the folder, and then not any more
    before=$(digest)
    run 0 "$room/good"
    is "the results over what is $3" "$(digest)" "$before"
    is "entries that are $3" "$(figure unusable)" "$1"
    is "found beside what is $3" "$(figure found)" "$2"
    has "^unusable .*$3"
    run 0 "$room/good"
    hasnt '^unusable'
    is "found after what was $3" "$(figure found)" 4
}
results() { # the files of the results, without those of other files' and what gecaso keeps itself
    find "$GECASO_DEMO_CACHE" -type f -regextype sed \
        -regex '.*/[0-9a-f]\{32\}_[0-9a-f]\{32\}' | sort
}
rm -r "$GECASO_DEMO_CACHE"
run 0 "$room/good"
mapfile -t kept < <(results)
is 'files of results' "${#kept[@]}" 4
is 'all files' "$(find "$GECASO_DEMO_CACHE" -type f | wc -l)" 5
for at in 0 30 75 150 -1; do # in the head, the key and the value, and the end
    size=$(stat -c %s "${kept[0]}")
    at=$(((at + size) % size))
    byte=$(od -An -tu1 -j "$at" -N 1 "${kept[0]}")
    printf "\\x$(printf %02x $((byte ^ 4)))" |
        dd of="${kept[0]}" bs=1 seek="$at" conv=notrunc status=none
    damaged 1 3 '(corrupt|foreign)'
done
truncate -s -1 "${kept[1]}"
damaged 1 3 '1 corrupt'
printf x >> "${kept[1]}"
damaged 1 3 '1 corrupt'
: > "${kept[2]}"
damaged 1 3 '1 foreign'
seq 1 1000 > "${kept[2]}"
damaged 1 3 '1 foreign'
cp "${kept[0]}" "${kept[3]}" # another key's
damaged 1 3 '1 foreign'
cp "$envelopes/v1/rust.bin" "${kept[3]}" # another function's
damaged 1 3 '1 foreign'
cp "$envelopes/v2/unknown.bin" "${kept[3]}"
damaged 1 3 '1 of another version'
cp "$envelopes/v2/unknown.bin" "${kept[0]}"
head -c 40 "${kept[2]}" > "${kept[1]}"
printf 'gecaso' > "${kept[2]}"
damaged 3 1 '1 corrupt, 1 foreign, 1 of another version'
# Since when entries count is a file, too: without it, none does.
rm "$GECASO_DEMO_CACHE"/*_epoch
damaged 4 0 '4 too old or too new'

# A folder that cannot be had is in nobody's way.
without() { # WHY: the results are right, and it is said
    is "the results of $1" "$(digest)" "$before"
    is "found with $1" "$(figure found)" 0
    has "^failed .*$1"
    has '^64 threads 1 body '
}
mv "$GECASO_DEMO_CACHE" "$room/away"
: > "$GECASO_DEMO_CACHE"
run 0 "$room/good"
without 'Not a directory'
rm "$GECASO_DEMO_CACHE"
full() { (trap '' XFSZ && ulimit -f 0 && "$demo" "$@" 2>&1); } # no file can grow
out=$(full "$room/good") || fail 'a full disk'
without 'File too large'
is 'files that a full disk is left with' "$(find "$GECASO_DEMO_CACHE" -type f | wc -l)" 0
rm -r "$GECASO_DEMO_CACHE"
mv "$room/away" "$GECASO_DEMO_CACHE"
run 0 "$room/good"
is 'found when it is back' "$(figure found)" 4

# Its own folder, below the directory, is left out.
GECASO_DEMO_CACHE="$room/good/kept" run 0 "$room/good"
GECASO_DEMO_CACHE="$room/good/kept" run 0 "$room/good"
is 'files beside its own' "$(figure files)" 4
has "^1 folder of the demo's own \(left out\)"
rm -r "$room/good/kept"

# Wrong arguments: a message on stderr, nothing on stdout, exit code 2.
for wrong in "$room/missing" "$room/good/a.txt" ''; do
    run 2 "$wrong"
    is 'stdout of a wrong directory' "$out" ''
    grep -q "cannot read the directory" <<< "$err" || fail "no word about '$wrong'"
    grep -q 'DIR=' <<< "$err" || fail 'no way out is named'
done
run 2 "$room/good" "$room/good"
run 2 --fast
grep -q 'usage: demo' <<< "$err" || fail 'no usage'

# An empty directory is no error.
mkdir "$room/empty"
run 0 "$room/empty"
has '^files 0 nothing to measure'

# Odd files are listed, three of a kind, and the rest is right.
odd="$room/odd"
mkdir "$odd"
printf 'fine\n' > "$odd/fine"
printf 'caf\351 is Latin-1\n' > "$odd/latin"
printf 'name\n' > "$odd/$(printf 'na\377me')"
for n in 1 2 3 4; do ln -s nowhere "$odd/broken$n"; done
ln -s loop "$odd/loop"
ln -s . "$odd/itself"
ln -s fine "$odd/link"
mkfifo "$odd/pipe"
printf 'secret\n' > "$odd/secret"
chmod 000 "$odd/secret"
mkdir -m 000 "$odd/closed"
unreadable=1
if [ -r "$odd/secret" ]; then
    # Root reads everything: somebody else has to look.
    if command -v setpriv > /dev/null; then
        cp "$demo" "$room/demo"
        chmod 755 "$room" "$room/demo"
        chmod -R a+rwX "$GECASO_DEMO_CACHE"
        demo=as_nobody
        as_nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$room/demo" "$@"; }
    else
        rm -rf "$odd/secret" "$odd/closed"
        unreadable=0
    fi
fi
run 0 "$odd"
is files "$(figure files)" 3
is lines "$(figure lines)" 3
has '^5 broken symlinks'
has '^2 symlinks \(not followed\)'
has '^1 neither files nor directories'
has '^1 not text \(UTF-8\)'
has '^1 names that are not UTF-8'
if [ "$unreadable" -eq 1 ]; then
    has '^1 unreadable files'
    has '/secret: Permission denied'
    has '^1 unreadable directories'
fi
[ "$(grep -c "broken\|/loop" <<< "$out")" -eq 4 ] || fail 'a heading, and three of five'
has '^ \.\.\.$'
has '^64 threads 1 body '


# A folder that must not be read, and one that must not be written.
if [ "$unreadable" -eq 1 ]; then
    is 'found by somebody else' "$(figure found)" 0
    before=$(digest)
    chmod 000 "$GECASO_DEMO_CACHE"
    run 0 "$odd"
    without 'Permission denied'
    chmod 555 "$GECASO_DEMO_CACHE"
    touch "$odd/fine"
    run 0 "$odd"
    is 'found in what cannot be written' "$(figure found)" 2
    is 'computed beside it' "$(figure computed)" 1
    has '^failed .*Permission denied'
fi

echo "demo.sh: $checks checks passed"
