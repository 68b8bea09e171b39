#!/bin/bash
# Checks the layout of all C++; with --fix, puts it right. A fixed version, since each formats a little differently.
set -euo pipefail
cd "$(dirname "$0")/.."
[ "${1-}" = --fix ] && mode=(-i) || mode=(--dry-run -Werror)
find native test bench \( -name '*.cc' -o -name '*.h' -o -name '*.c' \) -print0 | xargs -0 clang-format-14 "${mode[@]}"
