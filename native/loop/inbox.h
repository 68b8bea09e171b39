#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "native/base/fd.h"
#include "native/net/address.h"
#include "native/poll/poller.h"

namespace c1m {

// A connection that the loop of another I/O thread has accepted. It counts in the reactor's quota already.
struct Arrival {
  Fd fd;
  PackedAddress peer;
  uint32_t listener = 0;
};

// What the loops of other I/O threads hand to this one.
//
//   acceptor's loop ── push ──▶ arrivals_ (a mutex), and a wake of the poller if there were none ──▶ loop
//
// No wake-up is lost: the push comes before the write to the poller's eventfd, whose edge ends the next wait; the loop
// looks here between a wait that took the edge and one that sleeps. It holds as many as `maxConnections` at most.
// Owner: the loops that use it, together: whoever hands over may outlive whom it is for. Thread: any, but for take() and
// close(), which are the loop's.
class Inbox {
 public:
  explicit Inbox(Poller& poller) : poller_(&poller) {}

  // False if its loop is over: the arrival stays the caller's.
  [[nodiscard]] bool push(Arrival& arrival) {
    const std::scoped_lock lock(mutex_);
    if (poller_ == nullptr) return false;
    const bool first = arrivals_.empty();
    arrivals_.push_back(std::move(arrival));
    waiting_.store(true, std::memory_order_release);
    load_.fetch_add(1, std::memory_order_relaxed);
    if (first) poller_->wake();
    return true;
  }

  [[nodiscard]] bool empty() const { return !waiting_.load(std::memory_order_acquire); }
  // All that have arrived; they count in load() no more.
  [[nodiscard]] std::vector<Arrival> take() {
    const std::scoped_lock lock(mutex_);
    waiting_.store(false, std::memory_order_relaxed);
    load_.fetch_sub(static_cast<uint32_t>(arrivals_.size()), std::memory_order_relaxed);
    return std::exchange(arrivals_, {});
  }

  // Takes no more, and lets go of the poller.
  void close() {
    const std::scoped_lock lock(mutex_);
    poller_ = nullptr;
    arrivals_.clear();
  }

  // Connections that its loop holds, and that are on their way to it.
  [[nodiscard]] uint32_t load() const { return load_.load(std::memory_order_relaxed); }
  void add_load(int32_t change) { load_.fetch_add(static_cast<uint32_t>(change), std::memory_order_relaxed); }

 private:
  std::atomic<bool> waiting_{false};
  std::atomic<uint32_t> load_{0};
  std::mutex mutex_;
  // Under the mutex:
  Poller* poller_;
  std::vector<Arrival> arrivals_;
};

}  // namespace c1m
