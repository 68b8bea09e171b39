#!/bin/bash
# Runs the compiled tests (all, or the files given) on an addon built with AddressSanitizer and UBSan. Node itself is
# not instrumented: the sanitizer's runtime is preloaded, and checks what the addon's code does.
# Run it through npm, which hands node-gyp its settings: npm run test:asan
set -euo pipefail
cd "$(dirname "$0")/.."

# node-gyp always builds into ./build, so the second build has a folder of its own. Modules are found further up.
stage=build/asan
mkdir -p $stage
cp package.json binding.gyp $stage/
ln -sfn ../../native $stage/native
flags='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g'
# vptr checks need the RTTI that the addon is built without.
CXXFLAGS="$flags -fno-sanitize=vptr" LDFLAGS="$flags" node-gyp --directory=$stage --silent configure build

# Node leaves its own memory to the kernel at exit, so leaks can't be told from that. A sanitizer library of GCC 12
# doesn't know every layout of a randomised address space: start without randomisation where the system lets us.
no_aslr=$(setarch -R true 2>/dev/null && echo 'setarch -R' || true)
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1
# node-gyp-build looks there instead of here; tests of memory sizes and timing may look at the second.
export C1M_PREBUILD=$PWD/$stage C1M_SANITIZER=address
export LD_PRELOAD="$(${CXX:-g++} -print-file-name=libasan.so)"
# shellcheck disable=SC2086
exec $no_aslr tap --timeout=300 "$@"
