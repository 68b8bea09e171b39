#!/bin/bash
# clang-tidy over the files given, or all of native/, as many at a time as there are cores.
set -euo pipefail
cd "$(dirname "$0")/.."

# Node's headers: where npm was told to find them, beside node, or where node-gyp put them.
version=$(node -p process.versions.node)
prefix=$(dirname "$(dirname "$(node -p process.execPath)")")
for folder in "${npm_config_nodedir-}" "$prefix" "$HOME/.cache/node-gyp/$version"; do
  [ -f "$folder/include/node/node_api.h" ] && node_headers=$folder/include/node && break
done
: "${node_headers:?no headers of Node $version}"

# As system headers, so that only our own code is judged. The defines are those of binding.gyp.
flags=(-std=c++20 -fno-exceptions -fno-rtti -I. -isystem "$node_headers" -DNAPI_VERSION=8)
[ $# -gt 0 ] || mapfile -t files < <(find native -name '*.cc' | sort)
printf '%s\0' "${@:-${files[@]}}" |
  xargs -0 -I{} -P "$(nproc)" clang-tidy-14 --quiet {} -- "${flags[@]}" 2> >(grep -v 'warnings generated' >&2)
