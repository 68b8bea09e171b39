#ifndef C1M_BENCH_CLOCK_H_
#define C1M_BENCH_CLOCK_H_

#include <time.h>

#include <cstdint>

namespace bench {

inline int64_t read_clock_ns(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

inline int64_t monotonic_ns() { return read_clock_ns(CLOCK_MONOTONIC); }

// Returns the time of the clock that Node, Bun and C have in common, so that times of two processes can be compared.
inline int64_t wall_clock_us() { return read_clock_ns(CLOCK_REALTIME) / 1000; }

inline void sleep_us(long microseconds) {
  const timespec duration{.tv_sec = microseconds / 1'000'000, .tv_nsec = microseconds % 1'000'000 * 1000};
  nanosleep(&duration, nullptr);
}

}  // namespace bench

#endif  // C1M_BENCH_CLOCK_H_
