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
# start under the sanitizer. The others run no C++ that is theirs alone: they are about arguments, texts, and what
# JavaScript keeps of tasks and lookups.
left_out=(
  'reactor-pool/*' '*/bad-input*' worker-pool/{promises-settle,failures,run,errors,force}.test.js
  {process/unsupported-platform,listen/cluster,options/unknown-options,api/inspect,api/data-option}.test.js
  {connect/lookup-answers,io-threads/record-layout,io-threads/thread-names}.test.js
)
if [ $# -eq 0 ]; then
  tests=build/js/test/behaviour
  without=()
  for pattern in "${left_out[@]}"; do
    compgen -G "$tests/$pattern" >/dev/null || { echo "no test $pattern to leave out"; exit 1; }
    without+=(! -path "$tests/$pattern")
  done
  mapfile -t files < <(find $tests -name '*.test.js' "${without[@]}" | sort)
  set -- "${files[@]}"
fi
# shellcheck disable=SC2086
exec $no_aslr node scripts/run-tests.mjs --timeout=300 "$@"
