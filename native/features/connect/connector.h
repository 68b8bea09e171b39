#pragma once

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace c1m {

class ConnectRequest;
class Loop;
class Request;

// Opens the loop's outgoing connections. An attempt has a slot from its connect(2) on, which JavaScript learns of by
// kOpen once the connection is there; an attempt that fails gives it back in silence, and its request says why.
//
// A turn starts so many, and has a time for them; the others wait in a queue, so that thousands asked for at once hold up nobody, and a listener
// of this same loop gets to accept in between.
// Owner: one loop. Thread: the loop's.
class Connector {
 public:
  // True if the attempt is over already; otherwise the loop is told by Loop::complete().
  [[nodiscard]] bool start(Loop& loop, ConnectRequest& request);
  // True if no attempt waits to be begun; otherwise the fence is completed when none does.
  [[nodiscard]] bool pass(Request& fence);
  // A new turn: those that have waited come first.
  void serve(Loop& loop);
  // True if serve() has work that no edge will announce.
  [[nodiscard]] bool busy() const { return !queue_.empty(); }
  // The poller has reported the slot of an attempt.
  void on_ready(Loop& loop, uint32_t slot);
  // Its time is up.
  void on_timeout(Loop& loop, uint32_t slot);
  // The attempt whose connection would have this context, if there is one.
  void cancel(Loop& loop, uint32_t context);

 private:
  struct Attempt {
    ConnectRequest* request;
    uint32_t slot;  // kNone while it is in the queue
  };

  [[nodiscard]] bool has_budget() const;
  [[nodiscard]] bool begin(Loop& loop, ConnectRequest& request);
  [[nodiscard]] bool attempt(Loop& loop, ConnectRequest& request);
  void succeed(Loop& loop, uint32_t slot, const ConnectRequest& request);
  void fail(Loop& loop, uint32_t context, int error);

  std::unordered_map<uint32_t, Attempt> attempts_;  // by context
  std::deque<uint32_t> queue_;                      // contexts, also of attempts that were given up
  std::vector<Request*> fences_;
  uint32_t begun_ = 0;   // in this turn
  uint64_t micros_ = 0;  // that these have taken
};

}  // namespace c1m
