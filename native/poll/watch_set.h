#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "native/base/result.h"
#include "native/poll/poller.h"

namespace c1m {

// What is asked for, and what is reported, of a watched descriptor.
struct Watched {
  static constexpr uint8_t kReadable = 1;
  static constexpr uint8_t kWritable = 2;
  static constexpr uint8_t kHangup = 4;     // the other end has closed: always reported
  static constexpr uint8_t kError = 8;      // always reported
  static constexpr uint8_t kPriority = 16;  // what poll(2) calls an exceptional condition

  uint32_t number;
  uint8_t events;
};

// Descriptors of any kind, which are not ours: they are borrowed for as long as they are watched, and edge-triggered.
//
// It is a poller nested in the loop's, made with the first of them, and for two reasons. The JS thread registers
// and unregisters, at once, while the loop sleeps in the poller: when remove() has returned the number may be closed. And
// whoever closes it before that, so that the number goes to a connection of ours, unregisters a stranger at most: here is
// nothing of the loop's. What nobody takes waits in the kernel, one item a descriptor: nothing grows.
// Owner: one loop. Thread: add() and remove() are the JS thread's, take() is the loop's.
class WatchSet {
 public:
  WatchSet() = default;
  WatchSet(const WatchSet&) = delete;
  WatchSet& operator=(const WatchSet&) = delete;
  ~WatchSet();

  // Makes the instance, if it isn't there: before the first add(), for a loop whose file table will be another.
  [[nodiscard]] Result<void> open(const Poller& poller);
  // Its own, for a thread whose file table is another; none before open().
  [[nodiscard]] std::vector<int> descriptors() const;

  // EPERM if such a file (a regular one) can't be watched, EEXIST if it is already, EBADF.
  [[nodiscard]] Result<void> add(const Poller& poller, int fd, uint8_t interest, uint32_t number);
  // Of a descriptor that has been closed, nothing is left to remove.
  void remove(int fd);

  static constexpr int kMaxEvents = 64;
  // What happened; 0 when there is nothing more.
  [[nodiscard]] int take(Watched (&watched)[kMaxEvents]);

  // What the loop's poller reports it as: no connection's word, nor a listener's.
  static constexpr uint64_t kWord = UINT64_MAX - 1;

 private:
  // None at first. Release and acquire, so that the loop sees it when the poller first reports it; the kernel's own locks
  // order the two anyway.
  std::atomic<Poller*> inner_{nullptr};
};

}  // namespace c1m
