#!/bin/bash
# Each bundle of results/findings shows its finding again. A bundle is called FAMILY-what.tar.zst; one of a plugin
# that was not built is left out.
#
# Usage: findings_test.sh CHAOSGATE FINDINGS PLUGINS
set -euo pipefail

chaosgate=$1
findings=$2
plugins=$3
shown=0
for bundle in "$findings"/*.tar.zst; do
  family=$(basename "$bundle")
  family=${family%%-*}
  engine=()
  if [[ $family != rocksdb && $family != lmdb ]]; then
    if [[ ! -e $plugins/$family.so ]]; then
      echo "left out, no plugin: $bundle"
      continue
    fi
    engine=(--engine "$plugins/$family.so")
  fi
  status=0
  last=$("$chaosgate" replay "$bundle" "${engine[@]}" | tail -1) || status=$?
  [[ $status == 1 && $last == 'reproduced 1 of 1: '* ]] || {
    echo "$bundle was not reproduced: exit status $status, $last"
    exit 1
  }
  shown=$((shown + 1))
done
((shown > 0)) || {
  echo "no bundle in $findings"
  exit 1
}
