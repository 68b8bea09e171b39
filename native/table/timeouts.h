#pragma once

#include <cstddef>
#include <cstdint>
#include <iterator>

namespace c1m {

// What a connection's time runs out for. lib/native/layout.ts has the same order.
enum class TimeoutKind : uint8_t {
  kIdle = 0,   // no byte read or written
  kRead = 1,   // no byte read, while reading is wanted
  kWrite = 2,  // bytes are queued, and none went to the kernel
  kTotal = 3,  // since it opened
};

constexpr const char* kTimeoutNames[] = {"idle", "read", "write", "total"};
constexpr uint32_t kTimeoutKinds = std::size(kTimeoutNames);

constexpr uint32_t bit_of(TimeoutKind kind) { return 1u << static_cast<uint32_t>(kind); }

// The rarer timeouts of a connection; the idle one is in its Entry. Each runs from a tick on, which reading and writing
// only note: the connection's one timer looks at them when it fires.
struct Timeouts {
  struct One {
    uint32_t ms = 0;     // 0 for none
    uint32_t since = 0;  // tick
  };

  [[nodiscard]] One& of(TimeoutKind kind) { return ones[static_cast<size_t>(kind) - 1]; }

  One ones[kTimeoutKinds - 1];  // by kind, from kRead on
  uint32_t due = 0;             // bits of all kinds that are not delivered yet
  bool waiting = false;         // the last flush left something in the queue
  bool outlived = false;        // kTotal has fired
};

}  // namespace c1m
