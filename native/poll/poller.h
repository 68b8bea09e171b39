#pragma once

#include <array>
#include <cstdint>
#include <span>

#include "native/base/fd.h"
#include "native/base/result.h"

namespace c1m {

enum class Trigger : uint8_t { kEdge, kLevel };

// What the kernel said of one descriptor.
struct Readiness {
  uint64_t word;  // as given to add()
  bool readable;
  bool writable;
  bool hangup;  // the peer's FIN, both directions shut, or an urgent byte, at which recv(2) stops: read to EAGAIN
  bool error;   // an error waits in SO_ERROR
};

// What a level-triggered registration should report.
struct Interest {
  static constexpr uint8_t kRead = 1;
  static constexpr uint8_t kWrite = 2;
  static constexpr uint8_t kHangup = 4;
  static constexpr uint8_t kAll = kRead | kWrite | kHangup;
};

// The kernel's readiness, one backend a file (epoll.cc).
//
// Edge-triggered contract: a descriptor is added once, for everything, and never modified. An edge is reported once;
// its consumer keeps it as a bit until a short read, a short write or EAGAIN takes it back. With Trigger::kLevel the
// same consumer keeps the same bits and tells the poller by rearm() which ones it does not know yet.
// Owner: one loop. Thread: the loop's, except wake() and add_nested().
class Poller {
 public:
  // The word of the wake-up descriptor; wait() leaves it out of its results.
  static constexpr uint64_t kWakeWord = UINT64_MAX;
  // The word of a nested instance.
  static constexpr uint64_t kNestedWord = UINT64_MAX - 1;
  // Readiness taken from the kernel at once. With 12 KiB it stays in the first-level cache; a fuller queue is
  // taken by the next wait, which then does not sleep.
  static constexpr int kMaxEvents = 1024;

  static Result<Poller> create(Trigger trigger);

  // A stream socket: reading, writing and the peer's FIN.
  [[nodiscard]] Result<void> add(int fd, uint64_t word);
  // A listening socket: connections to accept.
  [[nodiscard]] Result<void> add_listener(int fd, uint64_t word);
  // Another instance: that there is something to take from it. Edge-triggered in any case; from any thread.
  [[nodiscard]] Result<void> add_nested(int poll) const;
  // Before the descriptor is closed, while its number is still ours.
  void remove(int fd);
  // Level-triggered only: sets what is reported from now on.
  void rearm(int fd, uint64_t word, uint8_t interest);
  // Sleeps for at most timeout_ms (-1: for ever, 0: not at all). The span is valid until the next call.
  [[nodiscard]] std::span<const Readiness> wait(int timeout_ms);
  // Ends a sleep of wait(), now or next. From any thread.
  void wake() const;

  // Whoever writes to it, a stream socket, wakes as well. Edge-triggered in any case.
  [[nodiscard]] Result<void> add_waker(int fd);
  // Its own descriptors, for a thread whose file table is another.
  [[nodiscard]] std::array<int, 2> descriptors() const { return {poll_.get(), wake_.get()}; }

  [[nodiscard]] Trigger trigger() const { return trigger_; }

 private:
  Poller(Fd poll, Fd wake, Trigger trigger);

  Fd poll_;
  Fd wake_;
  Trigger trigger_;
  Readiness ready_[kMaxEvents];
};

}  // namespace c1m
