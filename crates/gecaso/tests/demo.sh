#!/usr/bin/env bash
# The demo as a user meets it: exit codes, messages and figures on good, bad and odd directories.
#
#   demo.sh PATH-OF-THE-BINARY
set -euo pipefail
demo=$1
room=$(mktemp -d)
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
[ "$(grep -c 'files' <<< "$err")" -eq 4 ] || fail 'one plain line of progress for each of four steps'
before=$(digest)
run 0 "$room/good"
is 'the same contents' "$(digest)" "$before"
printf 'one twO\nthree' > "$room/good/a.txt"
run 0 "$room/good"
[ "$(digest)" != "$before" ] || fail 'another content has the same digest'

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

echo "demo.sh: $checks checks passed"
