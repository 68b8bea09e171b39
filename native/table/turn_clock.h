#pragma once

#include <cstdint>

#include "native/base/clock.h"

namespace c1m {

// The time of a loop: read once a turn, in milliseconds and in ticks of the timer wheel since the loop's start.
// Owner: one loop. Thread: the loop's.
class TurnClock {
 public:
  // Milliseconds. Well under a tenth of the shortest timeout that makes sense for a connection.
  static constexpr uint32_t kTickMs = 8;

  TurnClock() : start_ms_(monotonic_ms()), now_ms_(start_ms_) {}

  void update() {
    now_ms_ = monotonic_ms();
    tick_ = static_cast<uint32_t>((now_ms_ - start_ms_) / kTickMs);
  }

  [[nodiscard]] uint64_t ms() const { return now_ms_; }
  [[nodiscard]] uint32_t tick() const { return tick_; }
  // A tick's begin in milliseconds, as all loops of the machine count them; and the tick that begins at such a time or after.
  [[nodiscard]] uint64_t ms_of(uint32_t tick) const { return start_ms_ + uint64_t{tick} * kTickMs; }
  [[nodiscard]] uint32_t tick_at(uint64_t ms) const {
    const auto since = static_cast<int64_t>(ms - start_ms_);
    return static_cast<uint32_t>((since + int64_t{kTickMs} - 1) / int64_t{kTickMs});
  }

 private:
  uint64_t start_ms_;
  uint64_t now_ms_;
  uint32_t tick_ = 0;
};

}  // namespace c1m
