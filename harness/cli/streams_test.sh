#!/bin/bash
# A verdict that cannot go where it belongs: it goes to what still works, and a violation's exit status stays.
#
# Usage: streams_test.sh PATH_OF_CHAOSGATE
#
# Works in a temporary directory of its own. Prints a line for each check that fails.
set -uo pipefail

chaosgate=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-streams-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

violation=(run --engine lmdb --fault half-batch --crash step,call --maintenance scheduled --kills 300 --seed 3 --failures-max 1
  --quiet --results results)
pass=(run --engine lmdb --kills 8 --seed 3 --lanes 1 --quiet --results results)

# expect STATUS TEXT WHERE WHAT: the last command's exit status is in $got, and file WHERE begins a line with TEXT.
expect() {
  [[ $got == "$1" ]] || fail "$4: exit status $got instead of $1"
  grep -q "^$2" "$3" || fail "$4: $3 does not say $2: $(head -3 "$3")"
}

"$chaosgate" "${pass[@]}" >out 2>err
got=$?
expect 0 PASS out 'a pass'
passed=$(readlink results/latest)

GITHUB_STEP_SUMMARY=/ "$chaosgate" "${violation[@]}" >out 2>err
got=$?
expect 1 VIOLATION out 'GITHUB_STEP_SUMMARY is a directory'
grep -q GITHUB_STEP_SUMMARY err || fail 'nobody says that GITHUB_STEP_SUMMARY cannot be written'
[[ $(readlink results/latest) != "$passed" ]] || fail 'latest leads to the campaign before'
"$chaosgate" report results/latest >out 2>err
got=$?
expect 1 VIOLATION out 'its report'
GITHUB_STEP_SUMMARY=/ "$chaosgate" "${pass[@]}" >out 2>err
got=$?
expect 70 PASS out 'a pass whose summary cannot be written'

"$chaosgate" "${violation[@]}" >/dev/full 2>err
got=$?
expect 1 VIOLATION err 'a violation on a full device'
"$chaosgate" "${violation[@]}" >&- 2>err
got=$?
expect 1 VIOLATION err 'a violation and a closed stdout'
"$chaosgate" "${violation[@]}" 2>&1 >&- | head -c 1 >/dev/null
[[ ${PIPESTATUS[0]} == 1 ]] || fail 'a violation and a pipe that nobody reads'
"$chaosgate" report results/latest >/dev/full 2>err
got=$?
expect 1 VIOLATION err 'the report of a violation on a full device'
"$chaosgate" "${pass[@]}" >/dev/full 2>err
got=$?
expect 70 PASS err 'a pass on a full device'
"$chaosgate" "${pass[@]}" >&- 2>err
got=$?
expect 70 PASS err 'a pass and a closed stdout'
"$chaosgate" list engines >/dev/full 2>err
[[ $? == 70 ]] || fail 'a list that cannot be printed does not exit with 70'
for flag in --version --help; do
  "$chaosgate" $flag >/dev/full 2>err
  [[ $? == 70 ]] || fail "$flag that cannot be printed does not exit with 70"
  grep -q 'not all of the result could be written' err || fail "$flag does not say that it cannot be printed"
done

# Both streams in one file: what was said first stands first.
"$chaosgate" selftest --fault half-batch --engine lmdb --seed 4 --control-kills 5 --quiet >both 2>&1
[[ $(tail -1 both) == *'planted faults found;'* ]] || fail "the last line of a self-test is not its last: $(tail -1 both)"

# Something stands where the link should be: the campaign runs and says so.
rm results/latest && mkdir -p results/latest/precious
"$chaosgate" "${violation[@]}" >out 2>err
got=$?
expect 1 VIOLATION out 'a directory in the way of latest'
grep -q 'replace the link' err || fail 'nobody says that latest is in the way'
[[ -d results/latest/precious ]] || fail 'a directory was removed'

if ((failures)); then
  echo "$failures checks failed" >&2
  exit 1
fi
echo 'every verdict was heard'
