#pragma once

#include <cstdint>

#include "native/base/fd.h"
#include "native/base/result.h"

namespace c1m {

// A range of a file that waits to be sent, in its place in an outbound queue.
//
//   offset ────────▶ loaded_until ─────────────────▶ end
//     to be sent now   to be found in the page cache,
//                      or loaded by a file thread, first
//
// It has no descriptor until a file thread has opened it (or looked at the caller's); while one has it, `with_worker`.
// Owner: the request that it belongs to, which stays until the queue has given it up (OutboundPool::finished). Thread:
// the loop's.
struct OutboundFile {
  static constexpr uint64_t kWhole = UINT64_MAX;

  // What was looked at, and is loaded, at a time.
  static constexpr uint64_t kWindow = 1 << 20;

  [[nodiscard]] bool done() const { return inspected && offset >= end; }
  // Whether something can be sent now without waiting for a disk.
  [[nodiscard]] bool ready();

  void* owner = nullptr;
  uint32_t id = 0;
  Fd fd;
  uint64_t offset = 0;
  uint64_t end = kWhole;
  uint64_t loaded_until = 0;
  uint64_t sent = 0;
  // Why it was not sent, or not to its end: the file's own error.
  Error error;
  bool truncated = false;  // it has become shorter than it was when it was opened
  bool with_worker = false;
  bool inspected = false;  // it is open, and `end` no further than its size
  // It has no size to go by, as in procfs: where it ends, it ends.
  bool unsized = false;
  // sendfile(2) has refused it: copied through memory.
  bool copies = false;
};

}  // namespace c1m
