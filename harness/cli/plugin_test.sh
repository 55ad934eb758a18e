#!/bin/bash
# Plugins that cannot be used, and plugins that misbehave: the driver is unharmed and says what happened.
#
# Usage: plugin_test.sh CHAOSGATE BAD_PLUGIN.so
#
# Every check prints a line when it fails; exit status 0 only when none did.
set -uo pipefail

chaosgate=$1
bad_plugin=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-plugin-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# The plugin behaves as its file's name says.
plugin() {
  cp "$bad_plugin" "$1.so"
}

# refused TEXT SELECTOR: exit status 2 and one line that says TEXT.
refused() {
  local got
  "$chaosgate" run --engine "$2" --kills 5 >out 2>err
  got=$?
  [[ $got == 2 ]] || fail "$2 exits with $got instead of 2: $(head -2 err)"
  [[ $(wc -l <err) == 1 ]] || fail "$2 prints more or less than one line: $(cat err)"
  grep -qF -- "$1" err || fail "$2 does not say '$1': $(cat err)"
  [[ ! -e results ]] || fail "$2 left results behind"
}

# reported TEXT NAME: a campaign ends with exit status 1 and says TEXT.
reported() {
  local got
  plugin "$2"
  "$chaosgate" run --engine "./$2.so" --kills 20 --seed 1 --hang-ms 1000 --failures-max 1 --quiet >out 2>err
  got=$?
  [[ $got == 1 ]] || fail "$2 exits with $got instead of 1: $(tail -2 err)"
  grep -qF -- "$1" out err || fail "$2 is not reported with '$1': $(cat err)"
  rm -rf results
}

# harmless NAME: a campaign passes.
harmless() {
  plugin "$1"
  "$chaosgate" run --engine "./$1.so" --kills 20 --seed 1 --quiet >out 2>err || fail "$1: $(tail -3 out)"
  rm -rf results
}

# Not usable.
echo 'text' >text.so
refused 'text.so: cannot be loaded as a shared object' ./text.so
refused 'there is no such file' ./missing.so
refused 'there is no such file' ./missing.so:any
cp "$(ldd "$chaosgate" | awk '/libz\.so/ {print $3; exit}')" library.so
refused 'no symbol chaosgate_engine_plugin' ./library.so
for name in of-another-version returns-nothing named-like-a-built-in-engine with-one-name-twice with-a-contradiction \
  without-a-function exits-on-load crashes-on-load throws-on-load hangs-on-load; do
  plugin $name
done
refused 'ABI version 42, this program has 1' ./of-another-version.so
refused 'returned nothing' ./returns-nothing.so
refused "'lmdb' has the name of a built-in engine" ./named-like-a-built-in-engine.so
refused "two configurations are named 'my-engine'" ./with-one-name-twice.so
refused 'contract contradicts itself' ./with-a-contradiction.so
refused 'a function of its table is missing' ./without-a-function.so
refused 'exited with status 0' ./exits-on-load.so
refused 'signal 6' ./crashes-on-load.so
refused 'it threw: thrown while being loaded' ./throws-on-load.so
refused 'did not describe itself within 10 s' ./hangs-on-load.so
plugin one
plugin another
refused "its name 'my-engine' is that of" ./one.so,./another.so
refused "has no configuration 'nosuch'; it has: my-engine" ./one.so:nosuch
refused 'named twice' ./one.so,./one.so:my-engine

# Usable, and misbehaving.
reported 'threw a C++ exception through the C ABI' throws-in-write
reported 'exited with status 0' exits-in-write
reported 'signal 6' damages-its-heap
reported 'unknown code 77' returns-nonsense
reported 'no progress within the bound' hangs-in-write
reported 'iteration does not ascend in keyspace' iterates-in-circles
harmless prints
harmless leaks-threads

# unexplained STATUS TEXT NAME ARGUMENT...: a worker ends in a way that nobody ordered, once. No cause is invented for
# it, it has a line of its own in every report, and the campaign ends with STATUS.
unexplained() {
  local status=$1 text=$2 name=$3 got
  shift 3
  plugin "$name"
  rm -f "$name.so.count"
  "$chaosgate" run "$engine" "./$name.so" --seed 1 --lanes 1 --hang-ms 2000 --quiet "$@" >out 2>err
  got=$?
  [[ $got == "$status" ]] || fail "$name exits with $got instead of $status: $(cat out err)"
  grep -q '^VIOLATION' out && fail "$name is called a violation: $(cat out)"
  for report in out results/latest/{result.json,junit.xml,summary.md,report.html}; do
    tr '\n' ' ' <"$report" | tr -s ' ' | grep -qF -- "$text" || fail "$report of $name does not say '$text': $(cat "$report")"
  done
  grep -qi 'not.reproduced' out || fail "$name is not called not reproduced: $(cat out)"
  rm -rf results
}
engine=--engine
power=(--faults power --images 40)
unexplained 3 'OOM killer is a candidate' killed-at-open-10 "${power[@]}"
unexplained 3 'stopped by a signal (SIGSTOP' stopped-at-open-10 "${power[@]}"
unexplained 1 'killed by signal 6' aborts-at-open-10 "${power[@]}"
unexplained 3 'OOM killer is a candidate' killed-at-open-5 "${power[@]}" # while a load is recorded
unexplained 3 'OOM killer is a candidate' killed-at-open-7 --kills 20
unexplained 3 'stopped by a signal (SIGSTOP' stopped-at-open-7 --kills 20 --crash step --maintenance scheduled

engine=--engines
unexplained 3 'OOM killer is a candidate' killed-at-open-10 --replicas 2 --kills 20
reported 'killed by signal 9' killed-in-write # again and again: the engine's own doing

# Engines whose storage calls cannot be seen: kills alone go on without, what needs the tap is refused.
for name in maps-its-file works-untapped-only; do
  harmless $name
  tr '\n' ' ' <out | tr -s ' ' | grep -qF -- '--tap off says so' || fail "$name: nobody says what was not tested: $(cat out)"
  for faults in 'power --images 20' 'kill,io --kills 20' 'kill --crash timer,call --kills 20'; do
    plugin $name
    # shellcheck disable=SC2086 # words
    "$chaosgate" run --engine ./$name.so --faults $faults --quiet >out 2>err
    got=$?
    [[ $got == 2 ]] || fail "$name with $faults exits with $got instead of 2: $(cat err)"
    grep -qF -- '--tap off' err || fail "$name with $faults does not name --tap off: $(cat err)"
    [[ ! -e results ]] || fail "$name with $faults leaves results behind"
  done
done

# What fails before the first power cut is a finding all the same.
plugin forgets-writes
"$chaosgate" run --engine ./forgets-writes.so --faults power --images 20 --seed 1 --quiet >out 2>err
[[ $? == 1 ]] || fail "an engine that fails before the first image is no violation: $(cat out err)"
grep -q '^VIOLATION my-engine: ' out || fail "an engine that fails before the first image has no violation: $(cat out)"
"$chaosgate" sweep --engine ./forgets-writes.so >out 2>err
[[ $? == 1 ]] || fail "a sweep of an engine that fails at once is no violation: $(cat out err)"
plugin forgets-writes
"$chaosgate" migrate --gate --engine ./forgets-writes.so,lmdb --kills 5 --images 5 --quiet >out 2>err
[[ $? == 1 ]] || fail "a migration whose source is wrong is no violation: $(cat out err)"
grep -q 'a source that no migration has touched' out || fail "nobody says that the source is wrong: $(cat out)"
rm -rf results

# What a replica of a group fails with is tried first the next time, in the same group; other groups have no part in it.
"$chaosgate" run --replicas 2 --engines ./forgets-writes.so --kills 20 --seed 1 --failures-max 1 --quiet >out 2>err
[[ $? == 1 ]] || fail "a replica that fails is no violation: $(cat out err)"
grep -q '"group":{"engines":\["my-engine","my-engine"\]' results/regressions/my-engine.jsonl || fail "a replica's failure is no regression: $(cat results/regressions/*)"
"$chaosgate" run --replicas 2 --engines ./forgets-writes.so --kills 20 --seed 2 --failures-max 1 --quiet >out 2>err
[[ $? == 1 ]] || fail "a replica's earlier failure is no violation: $(cat out err)"
grep -q 'my-engine: replaying an earlier failure first: seed 0x1 workload mixed group [01] cycle' err || fail "a replica's failure is not replayed: $(cat err)"
plugin one
for group in '--engine ./one.so' '--replicas 3 --engines ./one.so'; do
  # shellcheck disable=SC2086 # words
  "$chaosgate" run $group --kills 10 --seed 2 --quiet >out 2>err
  grep -q 'replaying an earlier failure' err && fail "$group replays the failure of another group: $(cat err)"
done
rm -rf results

# A full disk that nobody ordered is the machine's, whoever meets it.
plugin finds-no-room
for command in 'run --kills 5 --quiet' 'run --replicas 2 --kills 5 --quiet' 'conform' 'sweep' 'run --faults power --images 5 --quiet'; do
  set -- $command
  engine=--engine
  [[ $command != *replicas* ]] || engine=--engines
  "$chaosgate" "$@" "$engine" ./finds-no-room.so --seed 1 >out 2>err
  got=$?
  [[ $got == 70 ]] || fail "$command of an engine that finds no room exits with $got instead of 70: $(tail -3 out err)"
  grep -q 'work directory .* full' out err || fail "$command does not say that the work directory was full: $(cat err)"
done
rm -rf results

# Elsewhere on the command line.
"$chaosgate" list engines --engine ./one.so >out 2>err || fail "list: $(cat err)"
grep -qx 'my-engine' out || fail 'list engines does not name the configuration of a plugin'
"$chaosgate" conform --engine ./hangs-in-write.so --hang-ms 500 --seed 1 >out 2>err
[[ $? == 1 ]] || fail 'conform does not exit with 1 on an engine that hangs'
grep -q ' hung ' out || fail 'conform does not say that a check hung'
grep -q 'a configuration describes itself .* passed' out || fail 'conform does not go on after a check that hung'
"$chaosgate" conform --engine ./exits-in-write.so --seed 1 >out 2>err
grep -q ' died ' out || fail 'conform does not say that a check died'
plugin splits-batches
"$chaosgate" conform --engine ./splits-batches.so --seed 1 >out 2>err
[[ $? == 1 ]] || fail 'conform does not exit with 1 on an engine whose batches are not atomic'
grep -q 'a kill inside a batch leaves all of it or nothing.* failed' out || fail "conform does not find that batches are not atomic: $(cat out)"
[[ $(grep -cE ' (failed|died|hung) ' out) == 1 ]] || fail "more than the kills shows that batches are not atomic: $(cat out)"
# A worker that somebody else kills or stops says nothing of its check, which is tried again; unless it goes on.
for end in killed stopped; do
  plugin $end-at-open-4
  "$chaosgate" conform --engine ./$end-at-open-4.so --hang-ms 1000 --seed 1 >out 2>err ||
    fail "conform blames an engine whose worker was $end once: $(grep -vE ' passed' out)"
done
"$chaosgate" conform --engine ./killed-in-write.so --seed 1 >out 2>err
grep -q ' died ' out || fail "conform does not say that a worker is killed every time: $(cat out)"
"$chaosgate" conform --engine nosuch >out 2>err
[[ $? == 2 ]] || fail 'conform does not exit with 2 for an unknown engine'
"$chaosgate" replay 3 --engine ./one.so --cycle 2 >out 2>err || fail "replay of a seed: $(cat err)"
"$chaosgate" bench --engine ./one.so --cycles 3 >out 2>err || fail "bench: $(cat err)"
"$chaosgate" selftest --engine ./one.so --fault half-batch --seed 1 --control-kills 5 --quiet >out 2>err || fail "selftest: $(cat err)"
grep -q 'my-engine .* clean' out || fail 'selftest has no control on the plugin'

# A plugin is a program, and a bundle may come from anybody: what lies at the path that it names is not loaded.
"$chaosgate" run --engine ./one.so --fault half-batch --kills 100 --seed 3 --failures-max 1 --quiet >out 2>err
[[ $? == 1 ]] || fail 'a fault planted around a plugin is not found'
bundles=("$PWD"/results/latest/failures/*/bundle.tar.zst)
command=$(tail -1 out)
[[ $command == *"replay "*" --engine $PWD/one.so"* ]] || fail "the last line does not name the plugin: $command"
plugin crashes-on-load
mv one.so two.so
mv crashes-on-load.so one.so
"$chaosgate" replay "${bundles[0]}" >out 2>err
[[ $? == 125 ]] || fail 'replay loads a plugin that nobody named'
[[ $(wc -l <err) == 1 ]] || fail "replay without --engine prints more or less than one line: $(cat err)"
grep -q 'plugin one.so.*--engine PATH.so' err || fail "replay without --engine does not say how: $(cat err)"
mkdir moved
mv two.so moved/one.so
"$chaosgate" replay "${bundles[0]}" --engine moved/one.so >out 2>err
[[ $? == 1 ]] || fail "--engine does not say where a bundle's plugin is: $(cat err out)"
# But the one of the same name and content is, where this build installed it.
mkdir -p program/plugins
cp moved/one.so program/plugins
for file in chaosgate chaosgate-worker; do
  ln "$(dirname "$chaosgate")/$file" program 2>/dev/null || cp "$(dirname "$chaosgate")/$file" program
done
program/chaosgate replay "${bundles[0]}" >out 2>err
[[ $? == 1 ]] || fail "the plugin that this build installed is not found: $(cat err out)"
echo >>program/plugins/one.so
program/chaosgate replay "${bundles[0]}" >out 2>err
[[ $? == 125 ]] || fail 'replay loads a plugin that is another'
grep -q 'installed is another' err || fail "replay does not say that the plugin is another: $(cat err)"
"$chaosgate" replay "${bundles[0]}" --engine ./nosuch.so >out 2>err
[[ $? == 125 ]] || fail 'replay with a plugin that is not there does not exit with 125'
grep -q 'nosuch.so: there is no such file' err || fail "replay with a plugin that is not there does not name it: $(cat err)"

if ((failures)); then
  echo "$failures checks failed" >&2
  exit 1
fi
echo 'bad plugins do no harm'
