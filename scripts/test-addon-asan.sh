#!/bin/bash
# Runs the compiled tests (all, or the files given) on an addon built with AddressSanitizer and UBSan.
# Run it through npm, which hands node-gyp its settings: npm run test:asan
# With C1M_IO_THREADS=4, reactors have so many I/O threads where their test doesn't say how many.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/asan-addon.sh

build_asan_addon build/asan
use_asan_addon build/asan
if [ -n "${C1M_IO_THREADS-}" ]; then export NODE_OPTIONS="--require=$PWD/build/js/test/fixtures/io-threads.js"; fi
# Pools are their workers' reactors, under scripts that run on no I/O thread; each worker is a Node that takes seconds to
# start under the sanitizer.
if [ $# -eq 0 ]; then
  mapfile -t files < <(find build/js/test/behaviour -name '*.test.js' ! -path '*/reactor-pool/*' | sort)
  set -- "${files[@]}"
fi
# shellcheck disable=SC2086
exec $no_aslr tap --timeout=300 "$@"
