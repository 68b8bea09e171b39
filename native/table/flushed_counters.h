#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace c1m {

// For each slot the bytes of JavaScript's writes that the kernel has taken, modulo 2^32, in memory that JavaScript reads.
// Bytes of broadcasts, of workers, of relays and of files don't count: it knows nothing of them.
// Owner: the memory is JavaScript's. Thread: the loop's, which is its only writer.
class FlushedCounters {
 public:
  explicit FlushedCounters(uint32_t* counters) : counters_(counters) {}

  [[nodiscard]] uint32_t of(uint32_t slot) const { return at(slot).load(std::memory_order_relaxed); }
  void set(uint32_t slot, uint32_t bytes) { at(slot).store(bytes, std::memory_order_relaxed); }
  void add(uint32_t slot, size_t bytes) { set(slot, of(slot) + static_cast<uint32_t>(bytes)); }

 private:
  // Relaxed: JavaScript compares a counter with what it wrote itself, and with nothing else that the loop publishes.
  [[nodiscard]] std::atomic_ref<uint32_t> at(uint32_t slot) const { return std::atomic_ref<uint32_t>(counters_[slot]); }

  uint32_t* counters_;
};

}  // namespace c1m
