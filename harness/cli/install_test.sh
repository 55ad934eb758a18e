#!/bin/bash
# The template of a plugin, built by a project of its own against an installed chaosgate, and tested by it.
#
# Usage: install_test.sh BUILD_DIRECTORY CMAKE
set -euo pipefail

build=$1
cmake=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-install-test-XXXXXX")
trap 'rm -rf "$work"' EXIT

"$cmake" --install "$build" --prefix "$work/prefix" --component Unspecified >"$work/install.log"
cp -r "$work/prefix/share/chaosgate/plugin-template" "$work/project"
"$cmake" -S "$work/project" -B "$work/out" -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_BUILD_TYPE=Release >"$work/cmake.log"
"$cmake" --build "$work/out" >"$work/build.log"

cd "$work"
"$work/prefix/bin/chaosgate" conform --engine out/my_engine.so --seed 1
"$work/prefix/bin/chaosgate" run --engine out/my_engine.so --kills 20 --seed 1 --quiet
# Under 100 lines, as its README says: neither blank nor comment.
lines=$(grep -vcE '^\s*(//.*)?$' project/my_engine.cc)
((lines < 100)) || {
  echo "my_engine.cc has $lines lines of code"
  exit 1
}
