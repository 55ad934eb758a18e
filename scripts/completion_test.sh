#!/bin/bash
# What bash and zsh offer behind some beginnings of a command. zsh is asked where there is one (or where $ZSH says).
#
# Usage: scripts/completion_test.sh PROGRAM
#
# Prints a line for each beginning where something is missing, and exits with 1 when there is one.
set -uo pipefail
program=$(realpath "${1:?usage: scripts/completion_test.sh PROGRAM}")
cd "$(dirname "$0")/completions" || exit 1
failures=0

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# What bash offers for the last of these words.
bash_offers() {
  (
    # shellcheck disable=SC1091
    . ./chaosgate.bash
    # shellcheck disable=SC2034 # bash's own names
    COMP_WORDS=("$program" "$@") COMP_CWORD=$#
    _chaosgate
    echo "${COMPREPLY[*]}"
  ) 2>&1
}

# The screen of a zsh after a tab behind the line.
zsh_offers() {
  "$zsh" -f 2>&1 <<ZSH
    ${ZSH_SETUP-}
    zmodload zsh/zpty
    zpty shell ${zsh@Q} -f
    zpty -w shell ${ZSH_SETUP@Q}
    zpty -w shell 'PS1=; LISTMAX=9999; COLUMNS=200; LINES=100; zstyle ":completion:*" list-prompt ""'
    zpty -w shell 'path=(${program%/*} \$path); fpath=($installed \$fpath); autoload -Uz compinit; compinit -D -u'
    zpty -w shell 'bindkey "^I" complete-word; finish() { zle -I; print END-OF-OFFERS }; zle -N finish; bindkey "^X" finish'
    zpty -w shell 'print BEGIN-''OF-OFFERS'
    zpty -r -m shell line '*BEGIN-OF-OFFERS*'
    zpty -n -w shell \$'$1\t\t\x18'
    zpty -r -m shell line '*END-OF-OFFERS*'
    print -r -- \$line
    zpty -d shell
ZSH
}

expect() {
  local offers=$1 from=$2 what=$3
  [[ $offers == *"$what"* ]] || fail "$from offers no '$what': $offers"
}

for case in 'run --engine ~|lmdb' 'run --engine ~lmdb,ro|lmdb,rocksdb' 'run --engine ~=|rocksdb' 'run --engine = ~lm|lmdb' \
  'run --faults ~kill,|kill,power' 'run --crash ~timer,st|timer,step' 'run --fault ~half|half-batch' \
  'bench --engines ~lmdb,|lmdb,rocksdb-wal' 'certify --level ~|conformance kill io power damage soak' \
  'run --workload ~kube|kubernetes' 'run --engine ~./chaosgate.z|./chaosgate.zsh' 'list ~fau|faults'; do
  line=${case%|*}
  read -ra words <<<"${line%\~*}"
  expect "$(bash_offers "${words[@]}" "${line##*\~}")" "bash: $line" "${case#*|}"
done
[[ -z $(bash_offers certify --damages '') ]] || fail 'bash offers something for a number'

zsh=${ZSH:-$(command -v zsh)}
if [[ -n $zsh ]]; then
  installed=$(mktemp -d)  # under the name that zsh looks for
  trap 'rm -rf "$installed"' EXIT
  cp chaosgate.zsh "$installed/_chaosgate"
  for case in 'run --engine |rocksdb-wal' 'run --fault half|half-batch' 'run --faults |power' 'run --engine lmdb,rocksdb-|rocksdb-wal' \
    'certify --level |conformance' 'bench --engines |lmdb-nosync' 'migrate --from-engine |lmdb'; do
    offers=$(zsh_offers "chaosgate ${case%|*}")
    expect "$offers" "zsh: ${case%|*}" "${case#*|}"
    [[ $offers != *@(_values|_arguments|_chaosgate|comparguments)*:* ]] || fail "zsh: ${case%|*} prints an error: $offers"
  done
else
  echo 'skipped: zsh is not installed'
fi
if ((failures)); then
  exit 1
fi
echo 'both shells complete'
