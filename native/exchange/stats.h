#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace c1m {

// A loop's counters since its start. lib/native/layout.ts has the same names in the same order.
struct Stats {
  uint64_t accepted = 0;       // connections taken from a listener
  uint64_t connected = 0;      // outgoing connections that were established
  uint64_t adopted = 0;        // sockets taken over
  uint64_t closed = 0;         // connections whose slot is free again
  uint64_t moved = 0;          // connections that came from another loop
  uint64_t accept_errors = 0;  // accept(2) calls that failed, except for an empty queue
  uint64_t shed = 0;           // connections closed immediately for lack of a descriptor
  uint64_t saturations = 0;    // times that accepting had to stop
  uint64_t reads = 0;          // recv(2) calls that brought bytes
  uint64_t bytes_read = 0;
  uint64_t writes = 0;  // send(2), sendmsg(2) and sendfile(2) calls that took bytes
  uint64_t bytes_written = 0;
  uint64_t turns = 0;        // of the loop
  uint64_t batches = 0;      // of events, handed to the JS thread
  uint64_t js_wakeups = 0;   // times that the JS thread had to be woken
  uint64_t queue_bytes = 0;  // memory that the outbound queues take now: OutboundPool::memory()
  uint64_t relays = 0;       // started
  uint64_t bytes_relayed = 0;
  uint64_t relay_pipes = 0;  // with bytes in them now
};

inline constexpr std::array kStatNames{"accepted",     "connected",    "adopted",      "closed",    "moved",
                                       "acceptErrors", "shed",         "saturations",  "reads",     "bytesRead",
                                       "writes",       "bytesWritten", "turns",        "batches",   "jsWakeups",
                                       "queueBytes",   "relays",       "bytesRelayed", "relayPipes"};
inline constexpr size_t kStatCount = sizeof(Stats) / sizeof(uint64_t);
static_assert(kStatNames.size() == kStatCount);

// Copies the counters to where JavaScript reads them without a lock: a Float64Array of kStatCount, exact up to 2^53.
inline void publish_stats(const Stats& stats, double* shared) {
  const auto* counters = reinterpret_cast<const uint64_t*>(&stats);
  for (size_t i = 0; i < kStatCount; ++i) {
    std::atomic_ref<double>(shared[i]).store(static_cast<double>(counters[i]), std::memory_order_relaxed);
  }
}

}  // namespace c1m
