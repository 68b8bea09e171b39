#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <utility>

#include "native/conn/outbound.h"
#include "native/exchange/command_batch.h"
#include "native/exchange/request.h"
#include "native/mem/bytes.h"
#include "native/table/entry.h"

namespace c1m {

// Something for a connection that is still migrating to this loop: a command, a request, or a broadcast's payload.
struct Deferred {
  [[nodiscard]] size_t size() const {
    return bytes.size() + pinned.length + (shared == nullptr ? 0 : size_t{shared->length});
  }

  uint32_t command = 0;  // its first word
  uint32_t argument = 0;
  Bytes bytes{};
  PinnedBytes pinned{};
  std::unique_ptr<Request> request{};
  SharedPayload* shared = nullptr;
  uint32_t max_write_queue = 0;  // of `shared`
};

// A slot that waits for its connection, and what is deferred meanwhile, in order. That counts for `maxWriteQueue` as what waits
// in a queue does, by its bytes and by its number.
// Invariant: with an error only requests are deferred, which have to be replied to, and the connection closes when it comes.
struct Reserved {
  bool muted = false;  // it takes no broadcasts, nor writes of workers
  uint32_t max_write_queue = 0;
  uint16_t error = 0;  // more was deferred than may be, or there was no memory for it
  size_t bytes = 0;
  std::deque<Deferred> deferred{};  // no piece of it is large

  // False if it is too much by now, or there was no memory: then this is dropped, unless it is a request.
  [[nodiscard]] bool defer(OutboundPool& pool, Deferred one);
  // Without an error so far.
  void fail(OutboundPool& pool, int why) {
    error = static_cast<uint16_t>(why);
    drop(pool);
  }
  // Drops all but the requests, which go with the loop, or wait.
  void drop(OutboundPool& pool);
};

// A loop's slots for connections that are migrating to it.
// Owner: one loop. Thread: the loop's.
class Reservations {
 public:
  explicit Reservations(EntrySlab& slots) : slots_(slots) {}

  void add(uint32_t slot, bool muted, uint32_t max_write_queue) {
    reserved_.emplace(slot, Reserved{.muted = muted, .max_write_queue = max_write_queue});
  }
  // Finds the slot that is reserved for this connection; null for any other.
  [[nodiscard]] Reserved* find(uint32_t slot, uint32_t generation) {
    if (reserved_.empty() || slots_.find(slot, generation) == nullptr) return nullptr;
    const auto found = reserved_.find(slot);
    return found == reserved_.end() ? nullptr : &found->second;
  }
  // Finds the first that a request has to wait for; null for none.
  [[nodiscard]] Reserved* find_for(const Request& request) {
    if (reserved_.empty()) return nullptr;
    for (const ConnectionKey& key : request.subjects()) {
      if (Reserved* reserved = find(key.slot, key.generation); reserved != nullptr) return reserved;
    }
    return nullptr;
  }
  // Ends a reservation.
  [[nodiscard]] Reserved take(uint32_t slot) { return std::move(reserved_.extract(slot).mapped()); }
  // At the loop's end. Requests that wait here go with the loop, on the JS thread, whose descriptors they may have.
  void drop_all(OutboundPool& pool) {
    for (auto& [slot, reserved] : reserved_) reserved.drop(pool);
  }

 private:
  EntrySlab& slots_;
  std::unordered_map<uint32_t, Reserved> reserved_;
};

}  // namespace c1m
