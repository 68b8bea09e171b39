#pragma once

#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "native/base/fd.h"
#include "native/conn/framing.h"
#include "native/conn/outbound.h"
#include "native/loop/command_batch.h"
#include "native/loop/request.h"
#include "native/loop/timeouts.h"
#include "native/net/address.h"

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
// JavaScript writes overtakes what it wrote before.

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
  std::vector<uint8_t> unread;
  std::unique_ptr<const Framing> framing;
  // In these `since` and `last_active` are ages, in ticks: each loop has a clock of its own.
  uint32_t timeout_ms = 0;
  uint32_t last_active = 0;
  std::unique_ptr<Timeouts> timeouts;
};

// The first step: a slot on the loop that it moves to.
class ReserveRequest : public Request {
 public:
  uint32_t flushed = 0;  // what the connection's counter shows for now
  bool muted = false;    // it takes no broadcasts, nor writes of workers

  bool full = false;
  uint32_t slot = 0;
  uint32_t generation = 0;

  bool run(Loop& loop) override;
};

// The second, on the loop that has it. Its kClose, which follows the answer, says that no more events come from there.
// It waits until no file is in the connection's queue, and no broadcast under way.
class ReleaseRequest : public ConnectionRequest {
 public:
  std::unique_ptr<Parcel> parcel;  // none if it has closed

  bool run(Loop& loop) override;
};

// The third: the connection is here, or has closed before it could be, with this error; or nobody comes.
class SettleRequest : public Request {
 public:
  uint32_t slot = 0;
  uint32_t generation = 0;
  std::unique_ptr<Parcel> parcel;
  uint16_t error = 0;
  uint8_t error_syscall = 0;
  bool abandoned = false;

  bool run(Loop& loop) override;
};

// Looks for connections that nothing was read from or written to for so long, and that nothing waits to be.
class IdleRequest : public Request {
 public:
  uint32_t ms = 0;
  uint32_t most = 0;

  std::vector<uint32_t> found;  // slot and generation of each

  bool run(Loop& loop) override;
};

// Something that is said to a connection that is still on its way here.
struct Deferred {
  uint32_t command = 0;  // its first word
  uint32_t argument = 0;
  std::vector<uint8_t> bytes{};
  PinnedBytes pinned{};
  std::unique_ptr<Request> request{};
  SharedPayload* shared = nullptr;
  uint32_t max_write_queue = 0;  // of `shared`
};

// A loop's slots for connections that are on their way to it, and its connections that are to leave.
// Owner: one loop. Thread: the loop's.
class Moves {
 public:
  struct Expected {
    bool muted;
    std::vector<Deferred> deferred;  // what is said to it, in order
  };

  [[nodiscard]] bool expects_any() const { return !expected_.empty(); }
  // Of a slot that waits for its connection. Null for any other.
  [[nodiscard]] Expected* expected(uint32_t slot) {
    const auto found = expected_.find(slot);
    return found == expected_.end() ? nullptr : &found->second;
  }
  void expect(uint32_t slot, bool muted) { expected_.emplace(slot, Expected{muted, {}}); }
  // The slot waits no longer.
  [[nodiscard]] Expected take(uint32_t slot) { return std::move(expected_.extract(slot).mapped()); }
  // At the loop's end. Requests that wait here go with the loop, on the JS thread, whose descriptors they may have.
  void drop_all(OutboundPool& pool) {
    for (const auto& [slot, expected] : expected_) {
      for (const Deferred& one : expected.deferred) {
        if (one.shared != nullptr) pool.release(one.shared);
      }
    }
  }

  // Requests that wait until their connection may leave.
  std::vector<ReleaseRequest*> leaving;
  bool passage_full = false;  // some of them can't cross to the JS thread's file table at the moment

 private:
  std::unordered_map<uint32_t, Expected> expected_;
};

}  // namespace c1m
