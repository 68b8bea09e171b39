#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <iterator>
#include <mutex>
#include <utility>

#include "native/base/fd.h"
#include "native/mem/bytes.h"
#include "native/net/address.h"
#include "native/net/descriptor.h"
#include "native/poll/poller.h"

namespace c1m {

// A connection that the loop of another I/O thread has accepted. It counts in the reactor's quota already.
struct Arrival {
  Fd fd;  // none: it is the next that comes out of the passage
  PackedAddress peer;
  uint32_t listener = 0;
};

// Bytes for a connection from a thread that isn't its JS thread.
struct RemoteWrite {
  uint32_t slot = 0;
  uint32_t generation = 0;
  uint32_t max_write_queue = 0;  // beyond it the connection is destroyed
  // The last command batch that the JS thread had begun to publish: it goes behind that, and before the next.
  uint32_t batch = 0;
  Bytes bytes;

  [[nodiscard]] size_t length() const { return bytes.size(); }
  // What it counts for while it waits.
  [[nodiscard]] size_t cost() const;
};

// What other threads hand to this loop: connections that other loops have accepted for it, and bytes from workers.
//
//   acceptor's loop ── push ──▶ arrivals ┐ (a mutex), and a wake of the poller if there was nothing ──▶ loop
//   worker ────────── write ──▶ writes   ┘
//
// No wake-up is lost: the push comes before the write to the poller's eventfd, whose edge ends the next wait; the loop
// looks here between a wait that took the edge and one that sleeps. It holds as many arrivals as
// `maxConnections` at most, and kMaxBytes of writes, those included that the loop has taken and not carried out yet.
// A write has its place among the command batches: behind those that were published before it was accepted, in front of those
// that are published when its acceptance is known. So nothing that was accepted before an end() comes behind the FIN. The JS
// thread counts a batch before it publishes it, and a write notes the count. If the write happens before the batch is counted
// (the JS thread knows of it), it can't read that count; if it happens after (the worker was asked after it), it can't read
// an earlier one: coherence of one atomic object is enough, and the order is relaxed ([intro.races]).
// Owner: all that use it, together: a loop that hands connections over may outlive this one. Thread: any, but for
// take_arrivals(), take_writes() and close(), which are the loop's.
class Inbox {
 public:
  // As much as a loop's four event batches hold, many times: of writes, each with what it costs besides its bytes.
  static constexpr size_t kMaxBytes = size_t{16} * 1024 * 1024;
  static constexpr size_t kWriteCost = 96;
  static_assert(kWriteCost >= sizeof(RemoteWrite) + 32,
                "malloc(3) has its own, and a deque pieces of which a part is used");

  explicit Inbox(Poller& poller) : poller_(&poller) {}

  enum class Push : uint8_t { kDone, kOver, kNotNow };

  // kOver if its loop has ended, kNotNow if the passage takes none at the moment: the arrival stays the caller's. `passage` is
  // the outer end of this loop's passage, in the caller's file table, if this loop has a table of its own; else -1. What
  // comes through it is in the order of the arrivals, and wakes the loop on its own.
  [[nodiscard]] Push push(Arrival& arrival, int passage = -1) {
    const std::scoped_lock lock(mutex_);
    if (poller_ == nullptr) return Push::kOver;
    if (passage >= 0) {
      // Before the edge that wakes the loop: it finds that there is something, and waits for the mutex.
      waiting_.store(true, std::memory_order_release);
      if (!send_descriptor(passage, arrival.fd.get())) return Push::kNotNow;
      arrival.fd.reset();
    }
    arrivals_.push_back(std::move(arrival));
    load_.fetch_add(1, std::memory_order_relaxed);
    if (passage < 0) announce();
    return Push::kDone;
  }

  // Whether this number of bytes can ever be taken.
  [[nodiscard]] static bool takes(size_t length) { return length <= kMaxBytes - kWriteCost; }
  // False if its loop has ended, or as much as may wait here waits already.
  [[nodiscard]] bool write(RemoteWrite write) {
    const std::scoped_lock lock(mutex_);
    const size_t cost = write.cost();
    if (poller_ == nullptr || bytes_ + cost > kMaxBytes) return false;
    bytes_ += cost;
    write.batch = batches_.load(std::memory_order_relaxed);
    writes_.push_back(std::move(write));
    announce();
    return true;
  }

  // The number of the command batch that is to be published next. For the JS thread, its only writer.
  [[nodiscard]] uint32_t count_batch() {
    const uint32_t number = batches_.load(std::memory_order_relaxed) + 1;
    batches_.store(number, std::memory_order_relaxed);
    return number;
  }

  [[nodiscard]] bool empty() const { return !waiting_.load(std::memory_order_acquire); }
  // All arrivals, in order, behind those in `to`. They count in load() still: it is exact at any time, so that balancing by
  // load is even.
  void take_arrivals(std::deque<Arrival>& to) {
    if (empty()) return;
    const std::scoped_lock lock(mutex_);
    move_behind(to, arrivals_);
  }
  // All writes, in order, behind those in `to`.
  void take_writes(std::deque<RemoteWrite>& to) {
    if (empty()) return;
    const std::scoped_lock lock(mutex_);
    move_behind(to, writes_);
  }

  // Of writes that were taken, these are carried out.
  void carried_out(size_t cost) {
    const std::scoped_lock lock(mutex_);
    bytes_ -= cost;
  }

  // Takes no more, and drops the poller.
  void close() {
    const std::scoped_lock lock(mutex_);
    poller_ = nullptr;
    arrivals_.clear();
    writes_.clear();
  }

  // Connections that its loop holds, and that are in flight to it.
  [[nodiscard]] uint32_t load() const { return load_.load(std::memory_order_relaxed); }
  void add_load(int32_t change) { load_.fetch_add(static_cast<uint32_t>(change), std::memory_order_relaxed); }

 private:
  // Under the mutex.
  template <class T>
  void move_behind(std::deque<T>& to, std::deque<T>& from) {
    if (to.empty()) {
      to.swap(from);
    } else {
      std::move(from.begin(), from.end(), std::back_inserter(to));
      from = std::deque<T>();
    }
    waiting_.store(!arrivals_.empty() || !writes_.empty(), std::memory_order_relaxed);
  }
  // Under the mutex.
  void announce() {
    if (!waiting_.exchange(true, std::memory_order_acq_rel)) poller_->wake();
  }

  std::atomic<bool> waiting_{false};
  std::atomic<uint32_t> load_{0};
  std::atomic<uint32_t> batches_{0};
  std::mutex mutex_;
  // Under the mutex:
  Poller* poller_;
  std::deque<Arrival> arrivals_;  // deques: no piece of them is large
  std::deque<RemoteWrite> writes_;
  size_t bytes_ = 0;  // that writes cost which aren't carried out
};

inline size_t RemoteWrite::cost() const { return length() + Inbox::kWriteCost; }

}  // namespace c1m
