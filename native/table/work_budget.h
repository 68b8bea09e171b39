#pragma once

#include <algorithm>
#include <cstddef>

#include "native/conn/outbound.h"

namespace c1m {

// What commands and other threads may have done in one turn, in units of some 50 ns: that of a write, and of a broadcast's
// place in one queue, whose slot may have to be fetched from memory. So the other connections wait for at most 1 ms.
// Owner: one loop. Thread: the loop's.
class WorkBudget {
 public:
  static constexpr size_t kPerTurn = 16 * 1024;
  // A close asks the kernel, epoll_ctl(2).
  static constexpr size_t kClose = 32;

  void begin_turn() { left_ = kPerTurn; }
  [[nodiscard]] bool any() const { return left_ > 0; }
  void spend(size_t units) { left_ -= std::min(left_, units); }
  void spend_on_copy(const Outbound& queue) { spend(queue.bytes() / 1024); }
  // Segments: a queue of broadcasts may have a hundred thousand.
  void spend_on_drop(const Outbound& queue) { spend(queue.overhead() / QueueCost::kSegment); }

 private:
  size_t left_ = 0;
};

}  // namespace c1m
