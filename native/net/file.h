#pragma once

#include <cstddef>
#include <cstdint>

#include "native/base/fd.h"
#include "native/base/result.h"

namespace c1m {

// The system calls of files that are sent, one wrapper each. They borrow the descriptor and never move its position.
// Those that look for a file or for its contents may wait for a disk: they say so, and belong on a file thread.

// open(2) for reading, close-on-exec. Non-blocking, as a FIFO would wait for its writer. May wait for a disk.
[[nodiscard]] Result<Fd> open_file(const char* path);

// A descriptor of our own for the same open file (fcntl(2), F_DUPFD_CLOEXEC). Never waits.
[[nodiscard]] Result<Fd> duplicate_file(int fd);

struct FileInfo {
  uint64_t size = 0;
  bool in_memory = false;
};

// fstat(2), and is_in_memory(). EISDIR for a directory; ESPIPE for what else is no regular file, as it has no range to be sent.
// May wait for a network file system.
[[nodiscard]] Result<FileInfo> inspect_file(int fd);

// Whether it has no disk to wait for: tmpfs(5), ramfs. (fstatfs(2))
[[nodiscard]] bool is_in_memory(int fd);

// Whether sendfile(2) of this range would find it in the page cache: a byte of each kProbeStride is asked for, without
// waiting (preadv2(2), RWF_NOWAIT). False too where the file system doesn't know, as on FUSE. Never waits.
[[nodiscard]] bool is_cached(int fd, uint64_t offset, uint64_t length);
// A cold file is read by the kernel in pieces of read_ahead_kb, 128 KiB as a rule: they are there or not as a whole.
inline constexpr uint64_t kProbeStride = 128 * 1024;

// Reads the range, so that it is in the page cache; starts to read as much again behind it. Waits for the disk.
void load_into_cache(int fd, uint64_t offset, uint64_t length);

// pread(2): the number of bytes, or -errno; retries EINTR.
[[nodiscard]] ssize_t read_file(int fd, void* buffer, size_t size, uint64_t offset);

}  // namespace c1m
