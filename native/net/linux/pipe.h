#pragma once

#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <vector>

#include "native/base/fd.h"
#include "native/base/result.h"

namespace c1m {

// A pipe as a place for bytes between two splice(2) calls: they stay in the kernel's pages.
struct Pipe {
  Fd read;
  Fd write;

  [[nodiscard]] bool valid() const noexcept { return read.valid(); }
};

// pipe2(2), non-blocking and close-on-exec, of at least `bytes` where the system allows that (F_SETPIPE_SZ): beyond
// fs.pipe-user-pages-soft it keeps the size that it has.
[[nodiscard]] Result<Pipe> open_pipe(int bytes);

// read(2) from a pipe: the number of bytes, or -errno.
[[nodiscard]] inline ssize_t read_pipe(const Pipe& pipe, void* buffer, size_t size) noexcept {
  for (;;) {
    const ssize_t got = ::read(pipe.read.get(), buffer, size);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

// Empty pipes, shared by those who need one for a moment.
//
// Bounded twice: some stay open for the next to come, so that a busy relay costs no pipe2(2); and with `kMaxInUse` in use
// there is none, so that ten thousand stalled relays don't take the descriptors of twenty thousand connections.
// Owner: one loop. Thread: the loop's.
class PipePool {
 public:
  // Of one pipe.
  static constexpr int kBytes = 256 * 1024;
  // 64 descriptors and no memory to speak of: an empty pipe has no pages.
  static constexpr size_t kKept = 32;
  // 2,048 descriptors.
  static constexpr size_t kMaxInUse = 1024;

  // One that isn't valid: there is none to be had, for want of descriptors, of memory, or because of kMaxInUse.
  [[nodiscard]] Pipe take();
  // It is empty again.
  void give(Pipe&& pipe);
  // It isn't, and what is in it goes with it.
  void discard(Pipe&& pipe);

  // Closes those that are kept.
  void clear() { kept_.clear(); }

  [[nodiscard]] size_t in_use() const { return in_use_; }
  [[nodiscard]] size_t kept() const { return kept_.size(); }

 private:
  std::vector<Pipe> kept_;
  size_t in_use_ = 0;
};

}  // namespace c1m
