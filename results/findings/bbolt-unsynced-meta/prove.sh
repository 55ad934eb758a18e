#!/bin/bash
# bbolt builds on a transaction that is not durable: shown with strace and dd, without chaosgate.
#
# Usage: prove.sh      needs a Go toolchain and strace; works in a temporary directory
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$(dirname "$0")"/{main.go,go.mod} "$work"
cd "$work"
go mod tidy 2>/dev/null
go build -o prove .

# write_until SYNC VALUE: a transaction that is killed when it comes to its SYNCth fdatasync, which never happens.
write_until() {
  strace -f -o calls -e trace=fdatasync -e inject=fdatasync:signal=SIGKILL:when="$1" ./prove write db "$2" || true
} 2>/dev/null

# power_fails FILE: what is on the disk when the unsynced meta page is not, and all else is.
power_fails() {
  cp db "$1"
  dd if=before of="$1" bs=4096 skip="$meta" seek="$meta" count=1 conv=notrunc status=none
  ./prove read "$1"
}

for value in v1 v2 v3; do ./prove write db $value; done
cp db before
echo '1. three transactions, all synced:'
./prove read before

echo '2. a process that writes v4 is killed between the write of the meta page and its fdatasync; the next one shows:'
write_until 2 v4
first=$(cmp -l db before | awk '$1 <= 8192 {print $1 - 1; exit}') || true # cmp says that they differ
meta=$((first / 4096))
strace -f -o calls -e trace=fsync,fdatasync,msync,sync_file_range ./prove read db
echo "   syncs that it made: $(grep -c sync calls || true)"

echo '3. and after a power cut:'
power_fails cut1

echo '4. instead, it begins to write v5, is killed before its first fdatasync, and the power fails:'
write_until 1 v5
power_fails cut2
