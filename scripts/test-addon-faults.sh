#!/bin/bash
# Runs behaviour tests on an addon whose system calls fail, stop short and come late (test/faults/faults.cc), with a
# fixed seed, under AddressSanitizer and UBSan; and checks that each kind of fault did happen.
# Run it through npm, which hands node-gyp its settings: npm run test:faults
# One test: C1M_FAULTS=transfer,wake npm run test:faults -- build/js/test/behaviour/close/half-open.test.js
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/asan-addon.sh

calls=(accept4 recv send sendmsg sendfile sendfile64 splice write epoll_ctl epoll_wait uv_async_send)
stage=build/faults
# Only the link differs.
[ -d $stage ] || [ ! -d build/asan ] || cp -a build/asan $stage
mkdir -p $stage
# make knows nothing of the object that the flags name.
rm -f $stage/build/Release/{,obj.target/}c1m.node
${CXX:-g++} -std=c++20 -O1 -g -fPIC -fvisibility=hidden -Wall -Wextra -Werror \
  -c -o $stage/faults.o test/faults/faults.cc
build_asan_addon $stage "$PWD/$stage/faults.o ${calls[*]/#/-Wl,--wrap=}"

use_asan_addon $stage
export C1M_SEED=${C1M_SEED:-1} C1M_FAULTS_LOG=$PWD/$stage/faults.log
rm -f "$C1M_FAULTS_LOG"
run() { # WORDS FILES...: tests under these faults
  C1M_FAULTS=$1
  shift
  printf '# C1M_FAULTS=%s C1M_SEED=%s\n' "$C1M_FAULTS" "$C1M_SEED"
  export C1M_FAULTS
  # shellcheck disable=SC2086
  $no_aslr node scripts/run-tests.mjs --timeout=300 "$@"
}
if [ $# -gt 0 ]; then
  run "${C1M_FAULTS:-transfer,wake}" "$@"
else
  # Not those that count system calls, or rely on what arrives in one piece.
  test=build/js/test/behaviour
  run transfer,wake $test/close/{both-sides,while-paused,descriptor-reuse-in-batch,destroy-in-handlers}.test.js \
    $test/close/{fin-with-unread-tail,half-open,rst-with-unread-data}.test.js \
    $test/read/{echo-byte-exact,pause-with-data-waiting}.test.js $test/write/{high-water-mark,queue-full}.test.js \
    $test/{listen/unix-socket,shutdown/shutdown,groups/broadcast-order}.test.js \
    $test/files/{abort,errors,order,queue,sources}.test.js \
    $test/relay/{many-at-once,byte-exact,half-close,reset,start-under-traffic,unix-and-tcp}.test.js \
    $test/frames/{large-frames,set-under-traffic,split-points,too-large}.test.js \
    $test/handover/{adopt-unix-socket,detach-unread,detach-unsent,under-traffic}.test.js
  C1M_HAMMER_OPERATIONS=15000 run transfer,wake,accept $test/hammer.test.js
fi

# All processes together. A fault that never happens tests nothing.
awk -v all=$# '
  { count = $1; $1 = ""; sum[$0] += count }
  END {
    for (name in sum) {
      printf "%9d %s\n", sum[name], name
      if (sum[name] == 0 && all == 0) missing = 1
    }
    if (missing) print "some of these faults never happened"
    exit missing
  }' "$C1M_FAULTS_LOG"
