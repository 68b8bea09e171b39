# Sourced by the scripts that test an addon built with AddressSanitizer and UBSan. Node itself is not instrumented: the
# sanitizer's runtime is preloaded, and checks what the addon's code does. node-gyp gets its settings from npm.

# build_asan_addon FOLDER [LDFLAGS]: node-gyp always builds into ./build, so each has a folder of its own, below that.
# Modules are found further up.
build_asan_addon() {
  mkdir -p "$1"
  cp package.json binding.gyp "$1/"
  ln -sfn ../../native "$1/native"
  local flags='-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer -g1'
  # vptr checks need the RTTI that the addon is built without. -O1: it is compiled in half the time.
  JOBS=max CXXFLAGS="$flags -O1 -fno-sanitize=vptr" LDFLAGS="$flags ${2-}" \
    flock "$1.lock" node-gyp --directory="$1" --silent configure build
}

# use_asan_addon FOLDER: sets the environment; $no_aslr goes before the command.
use_asan_addon() {
  # A sanitizer library of GCC 12 doesn't know every layout of a randomised address space: start without randomisation
  # where the system lets us.
  no_aslr=$(setarch -R true 2>/dev/null && echo 'setarch -R' || true)
  # Node leaves its own memory to the kernel at exit, so leaks can't be told from that. Freed memory isn't taken again before
  # 4 MiB more were freed: with the default of 256 MiB, nearly all of it Node's, a third of the time goes to fresh pages.
  # Of each allocation only one frame is kept, since most are Node's: with ASAN_OPTIONS=malloc_context_size=30 a report has
  # the whole stacks.
  ASAN_OPTIONS=detect_leaks=0:quarantine_size_mb=4:malloc_context_size=1:${ASAN_OPTIONS-}
  export ASAN_OPTIONS UBSAN_OPTIONS=print_stacktrace=1
  # node-gyp-build looks there instead of here; tests of memory sizes and timing may look at the second.
  export C1M_PREBUILD=$PWD/$1 C1M_SANITIZER=address
  LD_PRELOAD="$(${CXX:-g++} -print-file-name=libasan.so)"
  export LD_PRELOAD
}
