#!/bin/bash
# An installed chaosgate: what it has, also where plugins were not built; and the template of a plugin, built by a
# project of its own against it and tested by it.
#
# Usage: install_test.sh BUILD_DIRECTORY CMAKE
set -euo pipefail

build=$1
cmake=$2
work=$(mktemp -d "${TMPDIR:-/tmp}/chaosgate-install-test-XXXXXX")
trap 'rm -rf "$work"' EXIT

# What an installation must have, besides plugins.
check_installed() {
  local file
  for file in bin/chaosgate bin/chaosgate-worker share/man/man1/chaosgate.1 \
    share/bash-completion/completions/chaosgate share/zsh/site-functions/_chaosgate include/chaosgate_engine.h; do
    [[ -s $1/$file ]] || {
      echo "not installed: $file"
      exit 1
    }
  done
}

"$cmake" --install "$build" --prefix "$work/prefix" >"$work/install.log"
check_installed "$work/prefix"
for plugin in leveldb sqlite; do
  [[ -s $(echo "$work"/prefix/lib*/chaosgate/$plugin.so "$work"/prefix/lib/*/chaosgate/$plugin.so | tr ' ' '\n' | grep -v '[*]') ]] || {
    echo "not installed: $plugin.so"
    exit 1
  }
done
# As after scripts/gate: the programs were built, the plugins were not.
bare=$work/bare
(cd "$build" && find . -name cmake_install.cmake -o -path '*/Export/*' -name '*.cmake' -o -name chaosgateConfigVersion.cmake) |
  while read -r script; do
    mkdir -p "$bare/$(dirname "$script")"
    sed "s|$build|$bare|g" "$build/$script" >"$bare/$script"
  done
ln "$build/chaosgate" "$build/chaosgate-worker" "$bare/" 2>/dev/null || cp "$build/chaosgate" "$build/chaosgate-worker" "$bare/"
"$cmake" -DCMAKE_INSTALL_PREFIX="$work/bare-prefix" -P "$bare/cmake_install.cmake" >"$work/install.log"
check_installed "$work/bare-prefix"
"$work/bare-prefix/bin/chaosgate" list engines >/dev/null
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
