#pragma once

#include <cstddef>
#include <cstdint>

namespace c1m {

// Writes a connection's queue to its socket. What to do with a queue that is empty or has failed then, only the loop knows,
// which is above the features: so a feature that sends in an order of its own gets it as this.
class QueueFlusher {
 public:
  QueueFlusher() = default;
  QueueFlusher(const QueueFlusher&) = delete;
  QueueFlusher& operator=(const QueueFlusher&) = delete;
  virtual ~QueueFlusher() = default;
  // Returns the number of bytes that were sent.
  virtual size_t flush_one(uint32_t slot) = 0;
};

}  // namespace c1m
