#!/bin/bash
# Walks through all that can fail between JavaScript and the addon, and for want of memory in the addon, under AddressSanitizer
# and UBSan: each place that calls Node-API, or takes memory (test/faults/walk.cc), each allocation of memory by lib/, and each
# handler fails once, and all goes on (test/walk/walk.ts).
# Run it through npm, which hands node-gyp its settings: npm run test:walk
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/asan-addon.sh

mapfile -t calls < <(sed -nE 's/^(extern "C" \w+[ *]+__wrap_|(FAIL|LACK|NEW)\()(\w+)\(?.*/\3/p' test/faults/walk.cc)
exempt=(
  # What releases: Node refuses it for a wrong argument only, and one could do nothing about it.
  napi_async_destroy napi_close_callback_scope napi_close_handle_scope napi_delete_reference napi_reference_unref
  napi_remove_async_cleanup_hook
  # What reports an exception: there is nobody left to report it to.
  napi_fatal_exception napi_get_and_clear_last_exception napi_is_exception_pending
  # Node takes the memory for it with `new`, which ends the process, and has nothing else to fail of.
  napi_open_handle_scope
  # What every call of JavaScript's begins with: it has no exception pending then, and these fail of nothing else.
  napi_get_cb_info napi_unwrap
  # These read what is there, or make a number: Node checks their arguments only.
  napi_create_double napi_get_boolean napi_get_instance_data napi_get_reference_value napi_get_undefined napi_get_value_bool)
stage=build/walk
# Only the link differs.
[ -d $stage ] || [ ! -d build/asan ] || cp -a build/asan $stage
mkdir -p $stage
# make knows nothing of the object that the flags name.
rm -f $stage/build/Release/{,obj.target/}c1m.node
node_headers=$(node -p 'process.config.variables.nodedir ?? require("node:path").resolve(process.execPath, "../..")')/include/node
${CXX:-g++} -std=c++20 -O1 -g -fPIC -fno-omit-frame-pointer -fvisibility=hidden -Wall -Wextra -Werror \
  "-I${npm_config_nodedir:+$npm_config_nodedir/include/node}" "-I$node_headers" -c -o $stage/walk.o test/faults/walk.cc
build_asan_addon $stage "$PWD/$stage/walk.o ${calls[*]/#/-Wl,--wrap=}"

# Whatever the addon calls must be there.
missing=$(comm -23 \
  <(nm -D --undefined-only $stage/build/Release/c1m.node | sed -nE "s/.* U ((napi|node_api)_\w+|_Zn[aw]\w+|\w+alloc|mmap(64)?|strdup)(@.*)?\$/\1/p" | sort -u) \
  <(printf '%s\n' "${calls[@]}" "${exempt[@]}" | sort -u))
if [ -n "$missing" ]; then
  echo "neither in test/faults/walk.cc nor exempt: $missing"
  exit 1
fi

use_asan_addon $stage
C1M_WALK=$(mktemp)
export C1M_WALK
trap 'rm -f "$C1M_WALK"' EXIT
truncate -s 4096 "$C1M_WALK"
# shellcheck disable=SC2086
$no_aslr node --expose-gc build/js/test/walk/walk.js "$@"
