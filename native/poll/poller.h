#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/poll/waker.h"

namespace c1m {

enum class Trigger : uint8_t { kEdge, kLevel };

// What the kernel said of one descriptor.
struct Readiness {
  uint64_t word;  // as given to add()
  bool readable;
  bool writable;
  bool hangup;    // the peer's FIN, or both directions shut
  bool priority;  // an urgent byte, at which recv(2) stops: read to EAGAIN
  bool error;     // an error waits in SO_ERROR
};

// What a registration should report, where that isn't the same for all.
struct Interest {
  static constexpr uint8_t kRead = 1;
  static constexpr uint8_t kWrite = 2;
  static constexpr uint8_t kHangup = 4;
  static constexpr uint8_t kPriority = 8;
  static constexpr uint8_t kAll = kRead | kWrite | kHangup;  // of a level-triggered stream
};

// The kernel's readiness, one backend a file (epoll.cc).
//
// Edge-triggered contract: a descriptor is added once, for everything, and never modified. An edge is reported once;
// its consumer keeps it as a bit until a short read, a short write or EAGAIN takes it back. With Trigger::kLevel the
// same consumer keeps the same bits and tells the poller by rearm() which ones it does not know yet.
// Owner: one loop, or a WatchSet, whose instance is nested in the loop's. Thread: the one that waits, except wake(),
// add_nested(), and add_edges() and remove() of a nested instance: the kernel orders these with a wait.
class Poller {
 public:
  // Readiness taken from the kernel at once. With 12 KiB it stays in the first-level cache; a fuller queue is
  // taken by the next wait, which then does not sleep.
  static constexpr int kMaxEvents = 1024;

  static Result<Poller> create(Trigger trigger);
  // For add_nested(): edge-triggered, without a waker, and with so many events a wait at most.
  static Result<Poller> create_nested(int max_events);

  // A stream socket: reading, writing, an urgent byte and the peer's FIN.
  [[nodiscard]] Result<void> add(int fd, uint64_t word);
  // A listening socket: connections to accept.
  [[nodiscard]] Result<void> add_listener(int fd, uint64_t word);
  // Any descriptor: these Interests, and in any case its other end's close and errors. Edge-triggered in any case.
  [[nodiscard]] Result<void> add_edges(int fd, uint64_t word, uint8_t interest);
  // Another instance: that there is something to take from it. Edge-triggered in any case; from any thread.
  [[nodiscard]] Result<void> add_nested(const Poller& inner, uint64_t word) const;
  // What is to be read of it ends a sleep of wait(), and isn't reported. Edge-triggered in any case.
  [[nodiscard]] Result<void> add_waker(int fd);
  // Before the descriptor is closed, while its number is still ours.
  void remove(int fd);
  // Level-triggered only: sets what is reported from now on.
  void rearm(int fd, uint64_t word, uint8_t interest);
  // Sleeps for at most timeout_ms (-1: for ever, 0: not at all). The span is valid until the next call.
  [[nodiscard]] std::span<const Readiness> wait(int timeout_ms);
  // Ends a sleep of wait(), now or next. From any thread.
  void wake() const { waker_.wake(); }

  // Its own, for a thread whose file table is another.
  [[nodiscard]] std::vector<int> descriptors() const;

  [[nodiscard]] Trigger trigger() const { return trigger_; }

 private:
  Poller(Fd poll, Trigger trigger, int max_events);
  static Result<Poller> open(Trigger trigger, int max_events);

  Fd poll_;
  Waker waker_;
  Trigger trigger_;
  int max_events_;
  std::unique_ptr<Readiness[]> ready_;
};

}  // namespace c1m
