#!/bin/bash
# Names, messages and plans in bundles, events, regressions, settings and plans may be written by anybody. None of
# them acts on a terminal, or forges a line, whichever command prints it.
#
# Usage: hostile_test.sh PATH_OF_CHAOSGATE
#
# Works in a temporary directory of its own. Prints a line for each check that fails.
set -uo pipefail

chaosgate=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-hostile-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0
shown=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# clean FILE: nothing in it acts on a terminal: no control character but newline and tab, C1 ones among them, nothing
# that is not UTF-8, and no line that begins as the input forged it.
clean() {
  ! LC_ALL=C grep -aqP '[\x00-\x08\x0b-\x1f\x7f]|\xc2[\x80-\x9f]' "$1" && iconv -f UTF-8 -t UTF-8 "$1" >/dev/null 2>&1 &&
    ! grep -q '^forged' "$1"
}

# harmless ARGUMENT...: whatever the command makes of it, its output is clean. Counts how often it shows the input.
harmless() {
  "$chaosgate" "$@" >out 2>err
  local file
  for file in out err; do
    clean $file || fail "'$(printf '%q ' "$@")' lets something through on $file: $(cat -v $file | head -5)"
    grep -q 'forged' $file && shown=$((shown + 1))
  done
}

# What a check that cannot fail would pass.
for text in 'a\x1b[31mb' 'a\nforged' 'a\x00b' 'a\xffb' 'a\xc2\x9bb' 'a\rb'; do
  printf "$text\n" >out
  clean out && fail "the check does not see $text"
done

# As an argument (no NUL can be in it), in JSON, and in TOML.
argument=$'evil\x1b[31m\nforged\xff\xc2\x9b'
utf8=$'evil\x1b[31m\nforged\xc2\x9b'
json='evil\\u001b[31m\\nforged\\u0000\\u009b\\u202e'

# On the command line of each command.
for command in run sweep certify selftest bench conform migrate list replay minimize trace report; do
  harmless $command "--$argument"
  harmless $command "$argument"
  harmless $command --color "$argument"
done
for flag in engine engines seed kills workload protocol crash faults profile plan config fault worker tap maintenance; do
  harmless run --engine lmdb --$flag "$argument"
done
harmless "$argument"
env "CHAOSGATE_$utf8=1" "$chaosgate" list steps >out 2>err
clean err || fail "an environment variable is let through: $(cat -v err)"
grep -q forged err || fail 'an environment variable is not named'
for command in sweep bench conform; do
  harmless $command --engine "$argument"
done
harmless list engines --engine "$argument"
harmless certify --engine "$argument" --level "$argument"
harmless selftest --fault "$argument"
harmless migrate --engine lmdb --from "$argument" --to "$argument"
harmless migrate --gate --fault "$argument"
harmless replay 5 --engine "$argument" --cycle 2
harmless replay 5 --engine lmdb --cycle "$argument"
harmless replay 5 --engine lmdb --load "$argument"
harmless trace 5 --engine lmdb --record "$argument"

# In files: settings and plans.
printf 'workload = "evil\\u001b[31m\\nforged\\u009b"\n' >some.toml
harmless run --config some.toml
harmless run --config some.toml --print-config
printf '"evil\\u001b[31m\\nforged\\u009b" = 1\n' >some.toml
harmless run --config some.toml
printf 'kills = \x1b[31m\xff\n' >some.toml
harmless run --config some.toml
printf 'lane=0 cycle=0 \x1b[31m\xffforged\n' >"plan$utf8"
harmless run --engine lmdb --plan "plan$utf8"

# Results of a violation, in a place with such a name; GitHub's lines, too.
export GITHUB_ACTIONS=true
harmless run --engine lmdb --fault half-batch --crash step,call --maintenance scheduled --kills 200 --seed 3 --failures-max 1 \
  --quiet --results "results$utf8"
unset GITHUB_ACTIONS
results=$(readlink -f "results$utf8/latest")
bundles=("$results"/failures/*/bundle.tar.zst)
cp "${bundles[0]}" bundle.tar.zst || fail 'there is no bundle'
harmless report "results$utf8/latest"

# Events whose every text is hostile.
mkdir events
sed -E 's/":"/":"'"$json"'/g; s/"(type|outcome|seed)":"'"${json//\[/\\[}"'/"\1":"/g; s/\["/["'"$json"'/g' \
  "$results/events.jsonl" >events/events.jsonl
harmless report events
grep -q '^VIOLATION' out || fail "hostile events are not read: $(cat out err)"
grep -q 'evil\\x1b\[31m forged' out || fail "hostile events are not shown: $(head -5 out)"
harmless report events --json
grep -q 'u009b' out || fail 'JSON is not ASCII'
harmless --color always report events/none
{ cat "$results/events.jsonl" && printf '{"type":"\x1b[31m\xff\n{}\n'; } >events/events.jsonl
harmless report events
mkdir "events$utf8" && cp events/events.jsonl "events$utf8"
harmless report "events$utf8"

# A bundle, with such a text in one of its fields after the other.
mkdir parts && zstd -qdc bundle.tar.zst | tar x -C parts || fail 'the bundle cannot be unpacked'
zstd -qdc bundle.tar.zst | tar t >members
mv parts/bundle.json bundle.json
count=0
for field in engine engine_version chaosgate fault workload plan plan_checksum invariant explanation detail protocol load_crash; do
  sed -E 's/("'$field'": *")/\1'"$json"'/' bundle.json >parts/bundle.json
  cmp -s bundle.json parts/bundle.json && continue
  count=$((count + 1))
  tar c -C parts --no-recursion -T members | zstd -q >hostile.tar.zst
  for command in replay trace minimize; do
    harmless $command hostile.tar.zst
  done
done
((count >= 5)) || fail "only $count fields of a bundle were tried"
harmless replay --json hostile.tar.zst
cp bundle.tar.zst "bundle$utf8.tar.zst"
for command in replay trace minimize; do
  harmless $command "bundle$utf8.tar.zst"
done

# A regression.
mkdir -p earlier/regressions
key='{"seed":1,"workload":"mixed","fault":"","segment_bytes":24576,"timer":true,"step":true,"call":true,"io":false,"recrash":true,"free_running":true,"scheduled":true,"timer_us_max":8000}'
plan=$("$chaosgate" run --print-plan --kills 1 --lanes 1 --seed 1)
for line in "{\"key\":$key,\"protocol\":\"in-batch\",\"lane\":0,\"cycle\":0,\"plan\":\"$plan\",\"invariant\":\"${json//\\\\/\\}\"}" \
  "{\"key\":$key,\"protocol\":\"${json//\\\\/\\}\",\"lane\":0,\"cycle\":0,\"plan\":\"$plan\",\"invariant\":\"\"}" \
  "{\"key\":$key,\"protocol\":\"in-batch\",\"lane\":0,\"cycle\":0,\"plan\":\"${json//\\\\/\\}\",\"invariant\":\"\"}" \
  "{\"key\":${key/mixed/${json//\\\\/\\}},\"protocol\":\"in-batch\",\"lane\":0,\"cycle\":0,\"plan\":\"$plan\",\"invariant\":\"\"}"; do
  printf '%s\n' "$line" >earlier/regressions/lmdb.jsonl
  harmless run --engine lmdb --results earlier --kills 4 --quiet
done
printf '\x1b[31m\xffforged\n{}\n' >earlier/regressions/lmdb.jsonl
harmless run --engine lmdb --results earlier --kills 4 --quiet

((shown >= 40)) || fail "the input was shown only $shown times: most of it was never printed"
if ((failures)); then
  echo "$failures checks failed" >&2
  exit 1
fi
echo "nothing acted on the terminal; the input was shown $shown times"
