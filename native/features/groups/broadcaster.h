#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>

#include "native/exchange/replies.h"
#include "native/table/connection_table.h"
#include "native/table/queue_flusher.h"
#include "native/table/reservations.h"

namespace c1m {

class BroadcastRequest;
struct BroadcastTarget;

// Sends the same bytes to many connections, in two passes over the targets: link() puts the payload in their queues, which fixes
// its place among the commands, and spread() writes these queues to the sockets.
// Owner: one loop. Thread: the loop's.
class Broadcaster {
 public:
  Broadcaster(ConnectionTable& table, Reservations& reservations, Replies& replies)
      : table_(table), reservations_(reservations), replies_(replies) {}

  // Begins one; it is completed when all targets have had their turn.
  void begin(BroadcastRequest& request);
  // Links the one that begins, as far as the turn's share goes. The commands behind it wait until it is linked.
  void link();
  [[nodiscard]] bool is_linking() const { return linking_ != nullptr; }
  // Sends, as far as the turn's budgets go.
  void spread(QueueFlusher& flusher);

  [[nodiscard]] bool busy() const { return !broadcasts_.empty(); }

 private:
  // What broadcasts may do in the rest of a turn.
  struct Budget {
    size_t sends;
    size_t looks;
    size_t bytes;

    [[nodiscard]] bool any() const { return sends > 0 && looks > 0 && bytes > 0; }
  };

  void offer(BroadcastRequest& request, const BroadcastTarget& target);
  void spread(BroadcastRequest& request, Budget& left, QueueFlusher& flusher);
  void conclude(BroadcastRequest& request);

  ConnectionTable& table_;
  Reservations& reservations_;
  Replies& replies_;
  std::deque<BroadcastRequest*> broadcasts_;  // some of whose targets have yet to get their turn
  BroadcastRequest* linking_ = nullptr;       // one of them: not in all of its queues yet
};

}  // namespace c1m
