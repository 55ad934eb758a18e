#!/bin/bash
# A plugin conforms and survives a few kills, in each of its configurations.
#
# Usage: guest_test.sh CHAOSGATE PLUGIN.so
set -euo pipefail

chaosgate=$1
plugin=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-guest-test-XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$work"

# The names stand at the beginning of a line; the plugin's path follows each of its own.
mapfile -t names < <("$chaosgate" list engines --engine "$plugin" |
  awk -v plugin="$plugin" '/^[^ ]/ {name = $0} $1 == "plugin" && $2 == plugin {print name}')
((${#names[@]})) || {
  echo "no configuration of $plugin is listed"
  exit 1
}
selectors=$(printf ",$plugin:%s" "${names[@]}")
"$chaosgate" conform --engine "${selectors:1}" --seed 1
"$chaosgate" run --engine "${selectors:1}" --kills 20 --seed 1 --quiet
