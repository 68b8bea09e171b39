#!/bin/bash
# Runs the compiled tests (all, or the files given) on an addon built with AddressSanitizer and UBSan.
# Run it through npm, which hands node-gyp its settings: npm run test:asan
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/asan-addon.sh

build_asan_addon build/asan
use_asan_addon build/asan
# shellcheck disable=SC2086
exec $no_aslr tap --timeout=300 "$@"
