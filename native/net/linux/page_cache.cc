// What Linux says of a file's place: in memory, in the page cache, or on a disk.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/uio.h>
#include <sys/vfs.h>

#include <algorithm>
#include <memory>

#include "native/net/file.h"

namespace c1m {

namespace {

// What one pread(2) of load_into_cache() copies, for nothing but its wait.
constexpr size_t kLoadBytes = 64 * 1024;

}  // namespace

bool is_in_memory(int fd) {
  struct statfs system {};
  // A failure only means that we don't know.
  const bool known = ::fstatfs(fd, &system) == 0;
  return known && (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

bool is_cached(int fd, uint64_t offset, uint64_t length) {
  if (length == 0) return true;
  const uint64_t last = offset + length - 1;
  for (uint64_t at = offset;; at = std::min(at + kProbeStride, last)) {
    char byte = 0;
    iovec vector{&byte, 1};
    // 0 is the end of the file, and no disk is needed to find that out.
    if (::preadv2(fd, &vector, 1, static_cast<off_t>(at), RWF_NOWAIT) < 0) return false;
    if (at == last) return true;
  }
}

void load_into_cache(int fd, uint64_t offset, uint64_t length) {
  // The disk goes on with what comes next while this is being sent. Only advice: a failure costs time.
  (void)::posix_fadvise(fd, static_cast<off_t>(offset), static_cast<off_t>(2 * length), POSIX_FADV_WILLNEED);
  const auto buffer = std::make_unique<uint8_t[]>(kLoadBytes);
  const uint64_t end = offset + length;
  while (offset < end) {
    const ssize_t got = read_file(fd, buffer.get(), std::min<uint64_t>(kLoadBytes, end - offset), offset);
    // An error, or the end of the file: whoever sends it will find out, and say so.
    if (got <= 0) return;
    offset += static_cast<uint64_t>(got);
  }
}

}  // namespace c1m
