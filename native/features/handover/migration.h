#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <unordered_map>
#include <vector>

#include "native/base/fd.h"
#include "native/conn/framer.h"
#include "native/conn/outbound.h"
#include "native/exchange/command_batch.h"
#include "native/exchange/request.h"
#include "native/features/handover/depart_request.h"
#include "native/net/address.h"
#include "native/table/timeouts.h"

namespace c1m {

// How a connection moves from one loop to another. JavaScript takes the three steps (lib/moving.ts):
//
//   old loop                      JavaScript                         new loop
//                                 reserve ─────────────────────────▶ a slot; what is said to it waits
//                 release ◀────── from here on all commands go to the new loop
//   lets go of it ──────────────▶ its last events, its kClose
//                                 settle, with the parcel ─────────▶ the connection is here; what waited is carried out
//
// So nothing is read by the new loop before JavaScript has heard all that the old one had read, and nothing that
// JavaScript writes overtakes what it wrote before. No step waits for a peer, or for a disk: a connection with a file in its
// queue can't go, as JavaScript knows; it asks for none (lib/moving.ts), and the connection stays. What a broadcast under way
// has put into the queue goes along.

// What of a connection moves.
struct Parcel {
  Fd fd;  // the JS thread's, where file tables differ
  PackedAddress peer;
  uint32_t flags = 0;
  uint32_t context = 0;
  uint16_t error = 0;
  uint8_t error_syscall = 0;
  uint32_t flushed = 0;  // its counter of bytes given to the kernel
  std::vector<OutboundRun> unsent;
  bool whole = true;  // there was memory for all that is unsent
  std::unique_ptr<Framer> unread;
  std::unique_ptr<const Framing> framing;
  // In these `since` and `last_active` are ages, in ticks, as of `packed_ms`: each loop has a clock of its own. The time on the
  // way counts as any other.
  uint64_t packed_ms = 0;
  uint32_t timeout_ms = 0;
  uint32_t last_active = 0;
  std::unique_ptr<Timeouts> timeouts;
};

// The first step: a slot on the loop that it moves to.
class ReserveRequest : public Request {
 public:
  uint32_t flushed = 0;          // what the connection's counter shows for now
  bool muted = false;            // it takes no broadcasts, nor writes of workers
  uint32_t max_write_queue = 0;  // of what waits for it here, too

  bool full = false;
  uint32_t slot = 0;
  uint32_t generation = 0;

  bool run(Loop& loop) override;
};

// The second, on the loop that has it. Its kClose, which follows the answer, says that no more events come from there.
class ReleaseRequest : public DepartRequest {
 public:
  std::unique_ptr<Parcel> parcel;  // none if it has closed

  [[nodiscard]] bool attempt(Loop& loop) override;
};

// The third: the connection is here, or has closed before it could be, with this error; or nobody comes.
class SettleRequest : public Request {
 public:
  uint32_t slot = 0;
  uint32_t generation = 0;
  std::unique_ptr<Parcel> parcel;
  uint16_t error = 0;
  uint8_t error_syscall = 0;
  bool lost = false;  // after it had left: its close is counted here
  bool abandoned = false;

  bool run(Loop& loop) override;
};

// Looks for connections that nothing was read from or written to for so long, and that nothing waits to be: at some slots in
// each turn.
class IdleRequest : public Request {
 public:
  uint32_t ms = 0;
  uint32_t most = 0;
  uint32_t next = 0;  // slot to look at

  std::vector<uint32_t> found;  // slot and generation of each

  bool run(Loop& loop) override;
};

// Something that is said to a connection that is still on its way here.
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

// A slot that waits for its connection, and what is said to it meanwhile, in order: it counts for `maxWriteQueue` as what waits
// in a queue does, by its bytes and by its number.
// Invariant: with an error only requests wait, which are to be answered, and the connection closes when it comes.
struct Expected {
  bool muted = false;
  uint32_t max_write_queue = 0;
  uint16_t error = 0;  // it was too much, or there was no memory for it
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

// A loop's slots for connections that are on their way to it.
// Owner: one loop. Thread: the loop's.
class Moves {
 public:
  [[nodiscard]] bool expects_any() const { return !expected_.empty(); }
  // Of a slot that waits for its connection. Null for any other.
  [[nodiscard]] Expected* expected(uint32_t slot) {
    const auto found = expected_.find(slot);
    return found == expected_.end() ? nullptr : &found->second;
  }
  void expect(uint32_t slot, bool muted, uint32_t max_write_queue) {
    expected_.emplace(slot, Expected{.muted = muted, .max_write_queue = max_write_queue});
  }
  // The slot waits no longer.
  [[nodiscard]] Expected take(uint32_t slot) { return std::move(expected_.extract(slot).mapped()); }
  // At the loop's end. Requests that wait here go with the loop, on the JS thread, whose descriptors they may have.
  void drop_all(OutboundPool& pool) {
    for (auto& [slot, expected] : expected_) expected.drop(pool);
  }

  std::deque<IdleRequest*> searching;  // they take turns as they came

 private:
  std::unordered_map<uint32_t, Expected> expected_;
};

}  // namespace c1m
