#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

#include "native/exchange/replies.h"
#include "native/table/connection_table.h"

namespace c1m {

class ConnectRequest;

// Opens the loop's outgoing connections. An attempt has a slot from its connect(2) on, which JavaScript learns of by
// kOpen once the connection is established; an attempt that fails gives it back silently, and its request says why.
//
// A turn begins a number of them, and has a time for them; the others wait in a queue, so that thousands that are asked for at
// the same time delay no other connection, and a listener of this same loop gets to accept in between.
// Owner: one loop. Thread: the loop's.
class Connector final : public ConnectionTimers::AttemptObserver {
 public:
  Connector(ConnectionTable& table, Replies& replies) : table_(table), replies_(replies) {}

  // True if the attempt has ended already; otherwise the request is completed later.
  [[nodiscard]] bool start(ConnectRequest& request);
  // True if no attempt waits to be begun; otherwise the fence is completed when none does.
  [[nodiscard]] bool pass(Request& fence);
  // Begins a turn: those that have waited come first.
  void serve();
  // True if serve() has work that no edge will announce.
  [[nodiscard]] bool busy() const { return !queue_.empty(); }
  // The poller has reported the slot of an attempt.
  void on_ready(uint32_t slot);
  void on_timeout(uint32_t slot) override;
  // Cancels the attempt whose connection would have this context, if there is one.
  void cancel(uint32_t context);

 private:
  struct Attempt {
    ConnectRequest* request;
    uint32_t slot;  // kNone while it is in the queue
  };

  [[nodiscard]] bool has_budget() const;
  [[nodiscard]] bool begin(ConnectRequest& request);
  [[nodiscard]] bool attempt(ConnectRequest& request);
  void succeed(uint32_t slot, const ConnectRequest& request);
  void fail(uint32_t context, int error);

  ConnectionTable& table_;
  Replies& replies_;
  std::unordered_map<uint32_t, Attempt> attempts_;  // by context
  std::deque<uint32_t> queue_;                      // contexts, also of attempts that were cancelled
  std::vector<Request*> fences_;
  uint32_t begun_ = 0;   // in this turn
  uint64_t micros_ = 0;  // that these have taken
};

}  // namespace c1m
