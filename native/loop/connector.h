#pragma once

#include <cstdint>
#include <unordered_map>

namespace c1m {

class ConnectRequest;
class Loop;

// Opens the loop's outgoing connections. An attempt has a slot from the start, which JavaScript learns of by kOpen once
// the connection is there; an attempt that fails gives it back in silence, and its request says why.
// Owner: one loop. Thread: the loop's.
class Connector {
 public:
  // True if the attempt is over already; otherwise the loop is told by Loop::complete().
  [[nodiscard]] bool start(Loop& loop, ConnectRequest& request);
  // The poller has reported the slot of an attempt.
  void on_ready(Loop& loop, uint32_t slot);
  // Its time is up.
  void on_timeout(Loop& loop, uint32_t slot);
  // The attempt whose connection would have this context.
  void cancel(Loop& loop, uint32_t context);

 private:
  void succeed(Loop& loop, uint32_t slot, const ConnectRequest& request);
  void fail(Loop& loop, uint32_t slot, int error);

  std::unordered_map<uint32_t, ConnectRequest*> attempts_;  // by slot
};

}  // namespace c1m
