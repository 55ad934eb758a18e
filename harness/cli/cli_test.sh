#!/bin/bash
# The command line as a user meets it: exit statuses, streams, bad input, signals. Runs the real programs.
#
# Usage: cli_test.sh PATH_OF_CHAOSGATE
#
# Every check prints a line when it fails; exit status 0 only when none did. It works in a temporary directory of its
# own and checks that nothing else is left: no process, no work directory.
set -uo pipefail

chaosgate=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-cli-test-XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

listing() { find . -newermt '1970-01-01' | sort; }

# The temporary directories of this kind that exist; other tests may have theirs, under other names.
leftovers() { find /dev/shm "${TMPDIR:-/tmp}" -maxdepth 1 -name 'chaosgate-??????' -user "$(id -u)" 2>/dev/null | sort; }

# bad STATUS TEXT ARGUMENT...: must exit with STATUS, say TEXT in exactly one line on stderr, and write nothing.
bad() {
  local want=$1 text=$2 before after got
  shift 2
  before=$(listing)
  "$chaosgate" "$@" >"$work/../out.$$" 2>"$work/../err.$$"
  got=$?
  after=$(listing)
  [[ $got == "$want" ]] || fail "'$*' exits with $got instead of $want: $(head -2 "$work/../err.$$")"
  [[ $(wc -l <"$work/../err.$$") == 1 ]] || fail "'$*' prints more or less than one line: $(cat "$work/../err.$$")"
  grep -qF -- "$text" "$work/../err.$$" || fail "'$*' does not say '$text': $(cat "$work/../err.$$")"
  [[ ! -s $work/../out.$$ ]] || fail "'$*' prints on stdout"
  [[ $before == "$after" ]] || fail "'$*' changed files"
  rm -f "$work/../out.$$" "$work/../err.$$"
}

before=$(leftovers)

# Bad input.
bad 2 "unknown engine 'nosuch'" run --engine nosuch
bad 2 'nosuch' run --workload nosuch
bad 2 '--nosuch' run --nosuch
bad 2 'at least one kill' run --kills 0
bad 2 "expected a whole number" run --kills many
bad 2 "expected a whole number" run --seed 0x1ffffffffffffffff
bad 2 "expected a whole number" run --seed -1
bad 2 'lanes 0' run --lanes 0
bad 2 'in-batch, sidecar or both' run --protocol neither
bad 2 'at least one disk image' run --faults power --images 0
bad 2 "nosuch" run --faults power --profile nosuch
bad 2 "nosuch" run --faults power --profile xfs+nosuch
bad 2 'nosuch' run --faults kill,nosuch
bad 2 '--faults power: storage calls cannot be seen here' run --engine lmdb --faults kill,io,power --tap off
bad 2 '--faults io: storage calls cannot be seen here' run --engine lmdb --faults kill,io --tap off
bad 2 '--cycles does not go with --engines' bench --engines lmdb --cycles 3
bad 2 '--engine does not go with --engines' bench --engines lmdb --engine lmdb
bad 2 '--rounds needs --engines' bench --rounds 3
bad 2 '--maintenance needs --engines' bench --engine lmdb --maintenance scheduled
bad 2 'expected scheduled or free-running' bench --engines lmdb --maintenance both
bad 2 "unknown engine 'nosuch'" bench --engines lmdb,nosuch
bad 2 'named twice' bench --engines lmdb,lmdb
bad 2 'expected a whole number' bench --engines lmdb --entries 0
bad 2 'there is no bundle' minimize none.tar.zst
bad 2 'name it with --engine' certify
bad 2 'needs --from and --to' migrate --engine lmdb
bad 2 'needs one --engine' migrate --from a --to b
bad 2 "unknown engine 'nosuch'" migrate --from a --to b --engine nosuch
bad 2 'the source a is not a directory' migrate --from a --to b --engine lmdb
bad 2 'no --from, --to or --dry-run' migrate --gate --from a --engine lmdb
bad 2 "unknown; known: conformance, kill" certify --engine lmdb --level nosuch
bad 2 "unknown engine 'nosuch'" certify --engine nosuch
bad 2 'some of timer, step, call' run --crash never
bad 2 "unknown planted fault 'nosuch'" run --fault nosuch
bad 2 'given 2 times' run --kills 5 --kills 6
bad 2 'named twice' run --engine lmdb,lmdb
bad 2 '' frobnicate
bad 2 '' list nosuch
bad 2 'needs --engine' replay 5
bad 2 'needs --cycle' replay 5 --engine lmdb
bad 125 'there is no bundle' replay none.tar.zst
bad 125 "unknown engine 'nosuch'" replay 5 --engine nosuch --cycle 2
bad 125 'there is no worker program' replay 5 --engine lmdb --cycle 2 --worker ./none
bad 125 'cannot be used' replay 5 --engine lmdb --cycle 2 --worker /bin/true
bad 2 'there is no' report nosuch
bad 2 "unknown planted fault 'nosuch'" selftest --fault nosuch
bad 2 "'nosuch' is no planted fault of a migration; known:" migrate --gate --fault nosuch
bad 2 "'half-batch' is no planted fault of a migration; known:" migrate --gate --fault half-batch
bad 2 "'resume-skips-a-range' is of a migration" run --fault resume-skips-a-range
bad 2 '--plan nosuch.txt: not found' run --plan nosuch.txt
bad 2 'worker' run --engine lmdb --worker ./none
mkdir foreign && echo data >foreign/precious
bad 2 'nothing was touched' run --engine lmdb --dir foreign
mkdir other && echo '{"chaosgate":"work directory","engines":["rocksdb"]}' >other/chaosgate-work.json
bad 2 'belongs to engine rocksdb, not lmdb: a campaign on it was killed and left its work there' run --engine lmdb --dir other
(
  exec 9<other/chaosgate-work.json && flock 9 # as a campaign that runs holds it
  bad 2 'in use by another campaign, on engine rocksdb' run --engine lmdb --dir other
  exit $failures
) || failures=$((failures + 1))
mkdir -p broken/regressions && printf 'no json\n{}\n' >broken/regressions/lmdb.jsonl
bad 2 'lmdb.jsonl:1' run --engine lmdb --results broken
echo 'kils = 5' >unknown.toml
bad 2 "unknown key 'kils'" run --config unknown.toml
echo 'kills = [' >broken.toml
bad 2 'broken.toml:1' run --config broken.toml
bad 2 'none.toml' run --config none.toml
for form in '%s = 1' '[%s]' 'x = {%s = 1}'; do
  printf "$form\n" "$(printf 'a.%.0s' {1..40000})a" >deep.toml
  bad 2 'deep.toml:1: a key of more than 16 parts' run --config deep.toml
done
echo 'not a bundle' >text.tar.zst
bad 125 'not a bundle' replay text.tar.zst
CHAOSGATE_KILLS=x bad 2 'CHAOSGATE_KILLS' run
if [[ $(id -u) != 0 ]]; then
  mkdir sealed && chmod 500 sealed
  bad 2 'ermission denied' run --engine lmdb --dir sealed
  bad 2 'ermission denied' run --engine lmdb --results sealed/results
elif mkdir small && mount -t tmpfs -o size=1m tmpfs small 2>/dev/null; then
  bad 70 'are needed' run --engine lmdb --dir small
  umount small
else
  echo 'skipped: a full work directory (no tmpfs can be mounted here)'
fi

# Limits of the shell: named, before an engine is blamed for them.
limited() {
  local limit=$1
  (
    ulimit "$limit" "$2"
    bad 70 "ulimit $limit is $2" run --engine lmdb
    exit $failures
  ) || failures=$((failures + 1))
}
limited -n 64
limited -v 8000000
limited -f 1024

# Precedence: flag, environment, file, default.
printf 'kills = 7\nlanes = 3\nhang-ms = 5000\n' >some.toml
config=$(CHAOSGATE_LANES=4 CHAOSGATE_KILLS=9 "$chaosgate" run --config some.toml --kills 11 --print-config)
for want in 'kills .* = 11 .*# flag' 'lanes .* = 4 .*# environment' 'hang-ms .* = 5000 .*# file' \
  'workload .* = mixed .*# default'; do
  grep -qE "^$want" <<<"$config" || fail "--print-config does not show '$want'"
done

# A pass, its streams and its reports.
"$chaosgate" run --engine lmdb --kills 40 --seed 0x2a --json --quiet >out 2>err || fail "a small campaign: $(cat err)"
[[ $(head -c1 out) == '{' ]] || fail '--json prints something before the JSON'
grep -q 'seed 0x2a' err || fail 'the seed is not printed at the start'
for file in events.jsonl result.json junit.xml report.html summary.md; do
  [[ -s results/latest/$file ]] || fail "results/latest/$file is missing"
done
"$chaosgate" report results/latest >out 2>err || fail "report of a pass: $(cat err)"

# A last line that a killed campaign has torn, of the earlier failures, is left out, and goes with the next one.
mkdir -p torn/regressions && printf '{"key": {"se' >torn/regressions/lmdb.jsonl
"$chaosgate" run --engine lmdb --kills 20 --seed 0x2a --results torn --quiet >out 2>err || fail "a torn regression: $(cat err)"
grep -q 'lmdb.jsonl: the last line is torn' err || fail "a torn regression is not named: $(cat err)"

# A violation: exit status 1, a bundle, one command as the last line, which reproduces it.
"$chaosgate" run --engine lmdb --fault half-batch --kills 300 --seed 3 --failures-max 1 --quiet >out 2>err
[[ $? == 1 ]] || fail 'a violation does not exit with 1'
command=$(tail -1 out)
[[ $command == 'chaosgate replay '*bundle.tar.zst ]] || fail "the last line is no command: $command"
bundle=${command#chaosgate replay }
"$chaosgate" replay "$bundle" --repeat 3 >out 2>err
[[ $? == 1 ]] || fail 'a reproduced bundle does not exit with 1'
grep -q '^reproduced 3 of 3' out || fail "the bundle was not reproduced: $(tail -1 out)"
head -c $(($(stat -c %s "$bundle") / 2)) "$bundle" >half.tar.zst
bad 125 'half.tar.zst' replay half.tar.zst
bad 2 'does not go with a bundle' replay "$bundle" --engine lmdb
bad 2 'of a kill, not of a power cut' minimize "$bundle"

# A power cut: a bundle with its trace, minimized to one sentence. More images than exist are no error.
"$chaosgate" run --engine lmdb --faults power --fault dir-never-synced --profile strict --images 400 --seed 5 --quiet \
  >out 2>err
[[ $? == 1 ]] || fail "a power cut that loses acknowledged entries does not exit with 1: $(cat err)"
power_bundle=$(tail -1 out | sed 's/^chaosgate replay //')
"$chaosgate" minimize "$power_bundle" --out small.tar.zst >out 2>err
[[ $? == 1 ]] || fail "a minimized bundle that fails every time does not exit with 1: $(cat err)"
grep -q 'reproduced       20 of 20' out || fail "minimize does not reproduce: $(cat out)"
head -c $(($(stat -c %s "$power_bundle") / 2)) "$power_bundle" >half.tar.zst
bad 2 'half.tar.zst' minimize half.tar.zst
"$chaosgate" run --engine lmdb --faults power --images 100000 --loads 1 --seed 5 --quiet >out 2>err ||
  fail "more images than exist: $(cat err)"
grep -q '100000 images were asked for; there are [0-9]*, from 1 load' err || fail "nobody says how many images exist: $(cat err)"

# The same for a replica of a group: what is kept of it stands alone.
"$chaosgate" run --replicas 2 --engines lmdb --faults power --fault install-without-dirsync --profile btrfs --images 200 \
  --seed 5 --quiet >out 2>err
[[ $? == 1 ]] || fail "a power cut that loses an installed snapshot does not exit with 1: $(cat err)"
power_bundle=$(tail -1 out | sed 's/^chaosgate replay //')
"$chaosgate" replay "$power_bundle" --repeat 3 >out 2>err
[[ $? == 1 ]] || fail "the bundle of a replica does not fail: $(cat out err)"
grep -q '^reproduced 3 of 3' out || fail "the bundle of a replica was not reproduced: $(tail -1 out)"
"$chaosgate" minimize "$power_bundle" --out small-replica.tar.zst >out 2>err
grep -q 'reproduced       20 of 20' out || fail "minimize does not reproduce a replica's power cut: $(cat out err)"
"$chaosgate" run --replicas 2 --engines lmdb --faults power --images 30 --seed 5 --quiet >out 2>err ||
  fail "power cuts in a group: $(cat out err)"
grep -q 'after 60 disk images' out || fail "30 images of each of 2 replicas were asked for: $(head -1 out)"
bad 2 'plans from a file are for single engines' run --replicas 2 --engines lmdb --faults power,io
bad 2 'as many loads as it takes' run --replicas 2 --engines lmdb --faults power --loads 3

# A certificate, of the first levels.
"$chaosgate" certify --engine lmdb --level kill --kills 40 --seed 0x2a --no-selftest --out certificate --quiet >out 2>err ||
  fail "a certificate of the first levels: $(cat err)"
grep -q '"level_reached": "kill"' certificate/certificate.json || fail 'the certificate does not say its level'
[[ -s certificate/certificate.html ]] || fail 'the certificate has no page'
bad 2 'holds a certificate already' certify --engine lmdb --no-selftest --out certificate
"$chaosgate" replay 3 --engine lmdb --cycle 2 --plan-checksum 0000000000000000 >out 2>err
[[ $? == 125 ]] || fail 'another plan is not untestable'
"$chaosgate" replay 3 --engine lmdb --cycle 2 >out 2>err || fail 'a clean replay does not exit with 0'

# Engines beside each other.
"$chaosgate" bench --engines lmdb,rocksdb --entries 100 --rounds 1 --seed 1 --json >out 2>err || fail "bench --engines: $(cat err)"
[[ $(grep -c '"state_hash"' out) == 2 && $(grep '"state_hash"' out | sort -u | wc -l) == 1 ]] ||
  fail 'bench --engines does not bring all engines to one state'
[[ $(grep -A1 '"ratios"' out | grep -cE '^ *(1\.0|null),$') == $(grep -c '"ratios"' out) ]] ||
  fail 'bench --engines does not relate its numbers to the first engine'

# Colour. (Captured first: a pipe that closes early would look like a failure.)
has_escape() { [[ $1 == *$'\x1b'* ]]; }
has_escape "$("$chaosgate" --color always report results/latest)" || fail '--color always does not colour'
has_escape "$(CLICOLOR_FORCE=1 NO_COLOR=1 "$chaosgate" report results/latest)" && fail 'NO_COLOR colours'
has_escape "$("$chaosgate" report results/latest)" && fail 'a pipe is coloured'

# Help and versions.
for command in run replay minimize sweep trace selftest bench certify conform report list; do
  [[ $("$chaosgate" $command --help) == *Example* ]] || fail "$command --help has no example"
done
[[ $("$chaosgate" --version --json) == *'"rocksdb"'* ]] || fail '--version --json does not name RocksDB'

# Signals: the first stops and reports; another one right behind it belongs to it (timeout(1) sends two).
interrupt() {
  local signal=$1 status=$2 times=$3 pid got
  rm -rf results
  "$chaosgate" run --engine lmdb --kills 1000000 --seed 1 --quiet >out 2>err &
  pid=$!
  until [[ -s $(echo results/*/events.jsonl) ]]; do
    kill -0 $pid 2>/dev/null || break
  done
  for ((i = 0; i < times; ++i)); do
    kill -"$signal" $pid 2>/dev/null
  done
  wait $pid
  got=$?
  [[ $got == "$status" ]] || fail "$signal x $times exits with $got instead of $status"
  grep -q '"complete": false' results/latest/result.json || fail "$signal x $times leaves no report"
  "$chaosgate" report results/latest >out 2>err && fail "report calls an interrupted campaign a pass"
}
interrupt INT 130 1
interrupt TERM 143 1
interrupt HUP 143 1
interrupt INT 130 2

# What is interrupted says so, and nothing else: no verdict, no other cycle.
interrupt_command() {
  local pid got
  rm -f out err
  "$chaosgate" "$@" >out 2>err &
  pid=$!
  until grep -q 'seed\|replaced' err 2>/dev/null || [[ -n $(pgrep -P $pid 2>/dev/null) ]]; do
    kill -0 $pid 2>/dev/null || break
  done
  kill -INT $pid 2>/dev/null
  wait $pid
  got=$?
  [[ $got == 130 ]] || fail "'$*' exits with $got instead of 130 when it is interrupted: $(cat out err)"
  grep -qE '^(clean|reproduced)|storage calls, signature' out && fail "'$*' says something although it was interrupted: $(cat out)"
}
interrupt_command replay 1 --engine rocksdb --cycle 3000
interrupt_command trace 1 --engine rocksdb --cycle 3000
interrupt_command bench --engine lmdb --cycles 100000
interrupt_command sweep --engine rocksdb

[[ $(leftovers) == "$before" ]] || fail "left behind: $(leftovers)"
if ((failures)); then
  echo "$failures checks failed" >&2
  exit 1
fi
echo 'the command line behaves'
