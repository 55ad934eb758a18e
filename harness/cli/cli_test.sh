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
memory=$(mktemp -d "/dev/shm/chaosgate cli test-XXXXXX")  # for kills, where syncs cost nothing
trap 'chmod -R u+w "$work"; rm -rf "$work" "$memory"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

listing() { find . -newermt '1970-01-01' | sort; }

# The temporary directories that nobody owns: whoever is at work in one holds a lock on a file in it.
leftovers() {
  local owner
  for owner in {/dev/shm,"${TMPDIR:-/tmp}"}/chaosgate-??????/chaosgate-owner; do
    [[ -O $owner ]] && flock --nonblock "$owner" true && dirname "$owner"
  done 2>/dev/null | sort
}

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
bad 2 '--crash call: storage calls cannot be seen here: --tap off' run --engine lmdb --crash timer,call --tap off
CHAOSGATE_CRASH=call,step bad 2 '--crash call: storage calls cannot be seen here: --tap off' run --engine lmdb --tap off
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
for form in '%s = 1' '[%s]' 'x = {%s = 1}' 'x = {y = """a"b""", %s = 1}'; do
  printf "$form\n" "$(printf 'a.%.0s' {1..40000})a" >deep.toml
  bad 2 'deep.toml:1: a key of more than 16 parts' run --config deep.toml
done
echo 'not a bundle' >text.tar.zst
bad 125 'not a bundle' replay text.tar.zst
CHAOSGATE_KILLS=x bad 2 'CHAOSGATE_KILLS' run
# Nothing that was asked for is ignored.
for command in run 'list engines' 'report nosuch' 'replay 5'; do
  # shellcheck disable=SC2086 # words
  CHAOSGATE_KILL=5 bad 2 'environment variable CHAOSGATE_KILL: no such setting' $command
done
bad 2 "--config ''" run --config ''
bad 2 'a directory' run --config foreign
bad 2 '--json stands behind' --json list engines
bad 2 'does not go with a command' --version list engines
for what in workloads faults steps invariants; do
  bad 2 '--engine does nothing with' list $what --engine lmdb
done
bad 2 '--worker does nothing with' list steps --worker nosuch
bad 2 "unknown engine 'nosuch'" list engines --engine nosuch
bad 2 '--images does nothing with faults kill' run --images 5
bad 2 '--profile does nothing with faults kill' run --profile xfs
echo 'images = 5' >images.toml
bad 2 'images.toml: images does nothing' run --config images.toml
bad 2 '--kills does nothing with faults power' run --faults power --kills 5
bad 2 '--crash does nothing with faults power' run --faults power --crash step
bad 2 '--recrash does nothing with faults power' run --faults power --no-recrash
bad 2 '--tap always does nothing with --replicas' run --replicas 2 --engines lmdb --tap always
bad 2 '--at-risk-percent-min does nothing with --replicas' run --replicas 2 --engines lmdb --at-risk-percent-min 5
"$chaosgate" run --print-plan --kills 4 --seed 1 --lanes 1 | sed 's/lane=0/lane=5/' >lane5.txt
bad 2 'a plan of lane 5, and there are 2' run --engine lmdb --plan lane5.txt
bad 2 'no plan of lane 0 up to cycle 3' replay 5 --engine lmdb --cycle 3 --plan lane5.txt
bad 2 '--faults power: a cycle is of kills' replay 5 --engine lmdb --cycle 3 --faults power
bad 2 '--faults kill,power: a cycle is of kills' trace 5 --engine lmdb --cycle 3 --faults kill,power
bad 2 'protocol both: expected in-batch or sidecar' bench --engine lmdb --protocol both
bad 2 '--engine does nothing with --control-kills 0' selftest --fault half-batch --engine lmdb --control-kills 0
bad 2 '--timer-us-max does nothing' run --crash step --timer-us-max 5
bad 2 '--kills does nothing without --gate' migrate --from a --to b --engine lmdb --kills 5
bad 2 '--keyspaces does nothing with --gate' migrate --gate --keyspaces a
bad 2 '--soak-kills does nothing with --level io' certify --engine lmdb --level io --soak-kills 5
bad 2 '--images does nothing with --level io' certify --engine lmdb --level io --images 5
bad 2 '--cycle does not go with a bundle' replay text.tar.zst --cycle 5
bad 2 '--cycle does nothing with a file' trace text.tar.zst --cycle 5
bad 2 '--engine does nothing with a file' trace text.tar.zst --engine lmdb
# Paths travel as JSON.
bad 2 'latin\351' run --engine lmdb --dir $'latin\xe9'
bad 2 'not UTF-8' conform --engine $'./latin\xe9.so'
bad 2 'not UTF-8' migrate --engine lmdb --from $'latin\xe9' --to b
bad 2 'not UTF-8' run --dir $'latin\xe9' --print-config
mkdir $'temp\xe9'
TMPDIR=$PWD/$'temp\xe9' bad 2 'not UTF-8' bench --engines lmdb --entries 3
rmdir $'temp\xe9'
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
for want in 'kills = +11 .*# flag' 'lanes = +4 .*# environment' 'hang-ms = +5000 .*# file' \
  "#workload = +'mixed' .*# default"; do
  grep -qE "^$want" <<<"$config" || fail "--print-config does not show '$want'"
done

# What --print-config prints is what --config reads: all settings with the same values, whatever they hold.
printf '%s' "$("$chaosgate" run --print-plan --kills 4 --seed 1)" >"it's a \"plan\".txt"
"$chaosgate" run --engine lmdb,rocksdb --kills 7 --seed 0xffffffffffffffff --crash step,timer --faults kill,power,io --images 9 \
  --loads 2 --profile xfs+tearing=byte --plan "it's a \"plan\".txt" --no-recrash --maintenance scheduled --timer-us-max 70 \
  --fault half-batch --segment-bytes 4097 --dir 'a = "b" # c\d' --results "$work/r" --worker "$PWD/w" --no-regressions \
  --selftest --tap off --lanes 2 --protocol sidecar --workload small --failures-max 5 --hang-ms 400 \
  --at-risk-percent-min 0 --print-config >round.toml || fail '--print-config of every setting'
"$chaosgate" run --config round.toml --print-config >round2.toml || fail "--config of what --print-config printed: $(cat round.toml)"
diff <(grep -v '^#' round.toml | sed 's/ *# .*//') <(grep -v '^#' round2.toml | sed 's/ *# .*//') ||
  fail 'what --print-config printed is read as something else'
[[ $(grep -vc '^#' round2.toml) == 26 ]] || fail "not every setting came back: $(cat round2.toml)"
"$chaosgate" run --replicas 2 --engines lmdb,rocksdb --kills 9 --print-config >group.toml
"$chaosgate" run --config group.toml --print-config >group2.toml || fail "--config of a group: $(cat group.toml)"
diff <(grep -v '^#' group.toml | sed 's/ *# .*//') <(grep -v '^#' group2.toml | sed 's/ *# .*//') || fail 'a group is read as something else'
"$chaosgate" run --print-config >bare.toml && "$chaosgate" run --config bare.toml --print-config >out ||
  fail 'defaults are not read back'

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
[[ $command == "$chaosgate replay /"*bundle.tar.zst ]] || fail "the last line is no command: $command"
bundle=${command#"$chaosgate replay "}
"$chaosgate" replay "$bundle" --repeat 3 >out 2>err
[[ $? == 1 ]] || fail 'a reproduced bundle does not exit with 1'
grep -q '^reproduced 3 of 3' out || fail "the bundle was not reproduced: $(tail -1 out)"
head -c $(($(stat -c %s "$bundle") / 2)) "$bundle" >half.tar.zst
bad 125 'half.tar.zst' replay half.tar.zst
bad 2 'does not go with a bundle' replay "$bundle" --engine lmdb
bad 2 'of a kill, not of a power cut' minimize "$bundle"
bad 2 'of a kill, so no trace' trace "$bundle"

# Printed commands work in another directory, with blanks in paths, and with what came from the environment or a file.
mkdir 'a place' && ln -s "$(dirname "$chaosgate")/chaosgate-worker" 'a place/a worker'
printf 'hang-ms = 50000\n' >'a place/some.toml'
(cd 'a place' && CHAOSGATE_DIR="$memory" CHAOSGATE_WORKER='./a worker' CHAOSGATE_FAULT=half-batch "$chaosgate" run \
  --config some.toml --engine lmdb --kills 60 --seed 3 --failures-max 1 --crash step,call --quiet \
  --results "it's" >out 2>err)
[[ $? == 1 ]] || fail "a violation in a place with a blank: $(cat 'a place/err')"
by_seed=$(sed -n 's/^  from the seed  //p' 'a place/out' | head -1)
for text in "$(tail -1 'a place/out')" "$by_seed"; do
  for want in "'$memory'" '/a place/a worker' '--hang-ms 50000'; do
    grep -qF -- "$want" <<<"$text" || fail "a printed command has no '$want': $text"
  done
  (cd / && bash -c "$text" >"$work/out" 2>"$work/err")
  [[ $? == 1 ]] || fail "a printed command does not reproduce: $text: $(cat out err)"
done
grep -qE -- '--fault half-batch .*--plan-checksum [0-9a-f]{16}' <<<"$by_seed" || fail "not from the seed: $by_seed"
(cd 'a place' && CHAOSGATE_KILLS=30 "$chaosgate" run --engine lmdb --json --quiet >out 2>err) || fail 'a pass in a place with a blank'
again=$(sed -n 's/^  "command": "\(.*\)",$/\1/p' 'a place/out')
grep -qE -- ' run --engine lmdb --kills 30 --seed 0x[0-9a-f]+$' <<<"$again" || fail "not again: $again"

# A power cut: a bundle with its trace, minimized to one sentence. More images than exist are no error.
"$chaosgate" run --engine lmdb --faults power --fault dir-never-synced --profile strict --images 400 --seed 5 --quiet \
  >out 2>err
[[ $? == 1 ]] || fail "a power cut that loses acknowledged entries does not exit with 1: $(cat err)"
power_bundle=$(tail -1 out | sed 's/^.* replay //')
"$chaosgate" minimize "$power_bundle" --out small.tar.zst >out 2>err
[[ $? == 1 ]] || fail "a minimized bundle that fails every time does not exit with 1: $(cat err)"
grep -q 'reproduced       20 of 20' out || fail "minimize does not reproduce: $(cat out)"
head -c $(($(stat -c %s "$power_bundle") / 2)) "$power_bundle" >half.tar.zst
bad 2 'half.tar.zst' minimize half.tar.zst

# A finding cites records, and 'trace' knows them under the same numbers; so does the smaller bundle.
for cited in "$power_bundle $(zstd -dc "$power_bundle" | tar xO explanation.txt | grep -o 'the power cut: .*' | head -1)" \
  "small.tar.zst $(sed -n 2p out)"; do
  "$chaosgate" trace "${cited%% *}" >trace.out 2>err || fail "trace of a bundle: $(cat err)"
  number=$(grep -oE 'record [0-9]+\) was lost' <<<"$cited" | grep -oE '[0-9]+' | head -1)
  path=$(grep -oE '[^ ]+ \([a-z-]+, record [0-9]+\) was lost' <<<"$cited" | head -1)
  [[ -n $number ]] || fail "no record is cited as lost: $cited"
  grep -E "^ *$number " trace.out | grep -F -- "${path%% *}" | grep -q '<- lost' ||
    fail "trace does not know record $number of ${cited%% *}: $(grep -E "^ *$number " trace.out)"
done

# It cites a load, too: 'replay' and 'trace' know it under that number, and end where they are told.
"$chaosgate" run --engine lmdb --faults power --fault dir-never-synced --profile strict --images 120 --seed 5 --lanes 1 \
  --maintenance scheduled --quiet >power.out 2>err
cited=$(grep -oE 'power cut, lane 0 load [0-9]+' err | tail -1 | grep -oE '[0-9]+$')
[[ -n $cited ]] || fail "no load is cited: $(cat err)"
again=$(sed -n 's/^  from the seed  //p' power.out | grep -E -- "--load $cited( |\$)" | head -1)
bash -c "$again" >out 2>err
[[ $? == 1 ]] || fail "the load of a finding does not fail again: $again: $(cat out err)"
grep -qE "^lmdb seed 0x5 lane 0 load $cited: [1-9][0-9]* disk images of power cuts, [1-9][0-9]* failed" out ||
  fail "replay --load does not say what it did: $(cat out)"
record=$(grep -oE '[^ ]+ \([a-z-]+, record [0-9]+\) was lost' out | head -1)
number=$(grep -oE 'record [0-9]+' <<<"$record" | grep -oE '[0-9]+')
bash -c "${again/ replay / trace } --record $number" >trace.out 2>err || fail "trace --load: $(cat err)"
[[ $(grep -cE '^ +[0-9]+ ' trace.out) == 1 ]] || fail "trace --record prints more or less than one: $(cat trace.out)"
grep -E "^ *$number " trace.out | grep -qF -- "${record%% *}" || fail "trace does not know $record: $(cat trace.out)"
"$chaosgate" replay 5 --engine lmdb --load 0 --lanes 1 --images 40 --profile strict --maintenance scheduled >out 2>err ||
  fail "a clean load does not exit with 0: $(cat out err)"
grep -q '^clean in 1 of 1 runs' out || fail "a clean load is not called clean: $(cat out)"
bad 2 "--record '100000': expected a whole number" trace "$power_bundle" --record 100000
"$chaosgate" replay 5 --engine lmdb --load 999 --lanes 1 --images 40 --maintenance scheduled >out 2>err
[[ $? == 125 ]] || fail "a load that does not come is not untestable: $(cat out err)"
grep -qE 'lane 0 has only [0-9]+ loads?' out || fail "a load that does not come: $(cat out)"
bad 2 '--cycle does nothing with --load' replay 5 --engine lmdb --load 1 --cycle 2
bad 2 '--crash does nothing with --load' replay 5 --engine lmdb --load 1 --crash step
bad 2 '--faults kill has no power cuts' replay 5 --engine lmdb --load 1 --faults kill
bad 2 '--images does nothing without --load' replay 5 --engine lmdb --cycle 1 --images 5
bad 2 '--lane 2: there are 2' replay 5 --engine lmdb --load 1 --lane 2
bad 2 '--load does not go with a bundle' replay "$power_bundle" --load 1
"$chaosgate" run --engine lmdb --faults power --images 100000 --loads 1 --seed 5 --quiet >out 2>err ||
  fail "more images than exist: $(cat err)"
grep -q '100000 images were asked for; there are [0-9]*, from 1 load' err || fail "nobody says how many images exist: $(cat err)"

# The same for a replica of a group: what is kept of it stands alone.
"$chaosgate" run --replicas 2 --engines lmdb --faults power --fault install-without-dirsync --profile btrfs --images 200 \
  --seed 5 --quiet >out 2>err
[[ $? == 1 ]] || fail "a power cut that loses an installed snapshot does not exit with 1: $(cat err)"
power_bundle=$(tail -1 out | sed 's/^.* replay //')
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

# planned COMMAND...: it says what its plan is, goes on when that is asked for, and runs nothing for another one.
planned() {
  "$chaosgate" "$@" >out 2>err || fail "$*: $(cat out err)"
  local plan
  plan=$(grep -oE '(seed|plan) 0x?[0-9a-f]*, plan [0-9a-f]{16}' err | head -1 | sed 's/.* //')
  [[ -n $plan ]] || fail "$* does not say its plan: $(cat err)"
  "$chaosgate" "$@" --plan-checksum "$plan" >out 2>err || fail "$*, with its own plan: $(cat out err)"
  bad 125 'this build plans something else' "$@" --plan-checksum 0000000000000000
}
planned run --engine lmdb --kills 2 --lanes 1 --crash step --seed 5 --quiet --at-risk-percent-min 0
planned run --engine lmdb --faults power --images 20 --lanes 1 --seed 5 --quiet
planned run --replicas 2 --engines lmdb --kills 2 --lanes 1 --seed 5 --quiet
planned replay 5 --engine lmdb --cycle 1
planned replay 5 --engine lmdb --load 1 --lanes 1 --images 300
planned migrate --gate --engine lmdb,rocksdb --kills 2 --images 2 --seed 5 --quiet
bad 2 'does nothing without --gate' migrate --from a --to b --engine lmdb --plan-checksum 0
# What is printed is what is hashed; lines that no file of plans can carry out are comments in it.
"$chaosgate" run --print-plan --faults kill,power,io --kills 4 --images 40 --seed 1 >plans.txt
[[ $(grep -c '^lane=' plans.txt) == 4 && $(grep -c '^# power workload=' plans.txt) == 8 ]] ||
  fail "not all plans are printed: $(cat plans.txt)"
"$chaosgate" run --engine lmdb --plan plans.txt --kills 4 --seed 9 --quiet >out 2>err
[[ $? != 2 ]] || fail "a printed plan is refused: $(cat err)"
[[ $("$chaosgate" run --print-plan --replicas 2 --engines lmdb --kills 4 --seed 1 | grep -c '^# group=') == 4 ]] ||
  fail 'the plans of groups are not printed'
"$chaosgate" replay 3 --engine lmdb --cycle 2 >out 2>err || fail 'a clean replay does not exit with 0'

for level in conformance kill; do
  "$chaosgate" report certificate/$level >out 2>err || fail "report of level $level: $(cat out err)"
done

# What the others find is in their events, too: the report of their directory gives what they gave.
# same STATUS TEXT: of the command before, whose status is in $got and whose results are the latest.
same() {
  [[ $got == "$1" ]] || fail "$2: exit status $got instead of $1: $(cat out err)"
  "$chaosgate" report results/latest >again 2>err
  got=$?
  [[ $got == "$1" ]] || fail "the report of $2 exits with $got instead of $1: $(cat again err)"
  "$chaosgate" report results/latest --json >again.json 2>err
  cmp again.json results/latest/result.json || fail "the report of $2 is another"
}
"$chaosgate" migrate --gate --engine lmdb --kills 30 --images 30 --seed 5 --quiet >out 2>err
got=$?
same 0 'a migration'
grep -q '^lmdb to lmdb: ' out || fail "migrate --gate does not say what it did: $(cat out)"
"$chaosgate" migrate --gate --engine rocksdb --fault resume-skips-a-range --kills 300 --images 0 --seed 5 --quiet >out 2>err
got=$?
same 1 'a migration that loses something'
grep -q 'kept in .*/failures/' again || fail "the report of a migration does not say what was kept: $(cat again)"
"$chaosgate" selftest --fault half-batch --engine lmdb --seed 4 --control-kills 5 --quiet >out 2>err
got=$?
same 0 'a self-test'
grep -q 'lmdb, in-batch, seed 0x4: clean in' again || fail "the report of a self-test has no controls: $(cat again)"
"$chaosgate" selftest --fault log-truncated-before-install --kills 1 --control-kills 0 --seed 4 --quiet >out 2>err
got=$?
same 3 'a self-test that misses a fault'

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
  [[ $("$chaosgate" $command --help) == *Example*Usage:*Options:* ]] || fail "$command --help does not begin with examples"
done
for want in '--kills N .*\(default 1000\)' '--hang-ms MS .*\(default 60000\)' '--engine NAME .*\(default rocksdb,lmdb\)'; do
  grep -qE -- "$want" <<<"$("$chaosgate" run --help)" || fail "run --help does not say '$want'"
done
[[ $("$chaosgate" --version --json) == *'"rocksdb"'* ]] || fail '--version --json does not name RocksDB'

# Signals: the first stops and reports; another one right behind it belongs to it (timeout(1) sends two).
interrupt() {
  local signal=$1 status=$2 times=$3 pid got
  rm -rf results
  "$chaosgate" run --engine lmdb --kills 1000000 --seed 1 --quiet >out 2>err &
  pid=$!
  until [[ -s results/latest/events.jsonl ]]; do
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
interrupt_command replay 1 --engine rocksdb --load 3000 --images 100000
interrupt_command bench --engine lmdb --cycles 100000
interrupt_command sweep --engine rocksdb

# Looked at twice: another test may be about to remove one.
left=$(comm -13 <(echo "$before") <(leftovers))
[[ -z $left ]] || left=$(sleep 2 && comm -12 <(echo "$left") <(leftovers))
[[ -z $left ]] || fail "left behind: $left"
if ((failures)); then
  echo "$failures checks failed" >&2
  exit 1
fi
echo 'the command line behaves'
