#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

namespace c1m {

// How many connections the loops of a reactor hold together, and may: a counter in memory that they share.
//
// full() and take() are two steps, so that a loop that looks whether there is something to accept never takes a place from
// another in vain. Loops that accept at the same moment may so go beyond the maximum, by one for each loop at most.
// Owner: each loop has its own, of the same counter. Thread: the loop's.
class Quota {
 public:
  // Between the maximum and this there is no accepting, so that it doesn't start again for each connection that leaves.
  static constexpr uint32_t resume_below(uint32_t max) { return max - std::max(max / 32, 1u); }

  Quota(uint32_t* used, uint32_t max) : used_(*used), max_(max) {}

  [[nodiscard]] bool full() const { return used() >= max_; }
  // After it was full: whether accepting may continue.
  [[nodiscard]] bool has_room_again() const { return used() <= resume_below(max_); }
  // False at the maximum, which this never goes beyond.
  [[nodiscard]] bool try_take() {
    if (used_.fetch_add(1, std::memory_order_relaxed) < max_) return true;
    give_back();
    return false;
  }
  void take() { used_.fetch_add(1, std::memory_order_relaxed); }
  void give_back() { used_.fetch_sub(1, std::memory_order_relaxed); }

 private:
  [[nodiscard]] uint32_t used() const { return used_.load(std::memory_order_relaxed); }

  std::atomic_ref<uint32_t> used_;
  uint32_t max_;
};

}  // namespace c1m
