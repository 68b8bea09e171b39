#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "native/conn/shared_payload.h"
#include "native/exchange/request.h"
#include "native/mem/bytes.h"

namespace c1m {

// One of those that a broadcast is for, as lib/thread/memberships.ts lays it out.
struct BroadcastTarget {
  uint32_t slot;
  uint32_t generation;
  uint32_t max_write_queue;
  uint32_t node;  // JavaScript's own
};

// The same bytes for many connections. It travels among the commands, and takes its place in each queue before the command
// that follows it is carried out: what was written before goes out before it, what is written after, after it. The sockets
// have their turns later, see Broadcaster::spread(). It is done when all have had theirs.
class BroadcastRequest : public Request {
 public:
  static constexpr uint32_t kNobody = UINT32_MAX;

  ~BroadcastRequest() override {
    // It was never carried out, or the loop has ended in the middle of it, and emptied its queues.
    delete payload;
  }

  [[nodiscard]] std::span<const BroadcastTarget> targets() const {
    return {reinterpret_cast<const BroadcastTarget*>(list->data()), list->size() / sizeof(BroadcastTarget)};
  }

  // Who they were when JavaScript called. Broadcasts to the same ones have it in common.
  std::shared_ptr<const Bytes> list;
  uint32_t except = kNobody;         // a slot to leave out
  SharedPayload* payload = nullptr;  // one reference, until it is done

  // When it is done: targets to whose socket all of it has gone; in whose queue a part of it waits; and those that were closed
  // because their queue was full, or there was no memory for it. Those that had gone, or ended, or failed meanwhile are none
  // of these.
  uint32_t reached = 0;
  uint32_t queued = 0;
  uint32_t cut = 0;

  size_t linked = 0;      // targets before this have it in their queues
  size_t next = 0;        // targets before this have had their turn
  uint32_t accepted = 0;  // queues that took it

  // It says nothing of what happens at the connections.
  [[nodiscard]] bool in_order() const override { return false; }
  bool run(Loop& loop) override;
};

}  // namespace c1m
