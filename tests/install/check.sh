#!/usr/bin/env bash
# Installs the built program and library into a fresh folder and builds a ten-line consumer against it: check.sh SOURCE BUILD
set -euo pipefail
root=$1 build=$2
prefix=$(mktemp -d)
trap 'rm -rf "$prefix"' EXIT
cmake --install "$build" --prefix "$prefix/usr" >/dev/null
libtorch=$(sed -n 's|^LibTorch_API_INCLUDE:[A-Z]*=\(.*\)/include/torch/csrc/api/include$|\1|p' "$build/CMakeCache.txt")
cmake -S "$root/tests/install" -B "$prefix/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix/usr;$libtorch"
ninja -C "$prefix/build"
[ "$("$prefix/build/consumer")" = "2 x 3, ok" ]
"$prefix/usr/bin/tessera" --help | head -n 1
