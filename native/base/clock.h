#pragma once

#include <time.h>

#include <cstdint>

namespace c1m {

// Milliseconds of CLOCK_MONOTONIC. One vDSO call, about 25 ns; a loop reads it once a turn.
[[nodiscard]] inline uint64_t monotonic_ms() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1000 + static_cast<uint64_t>(now.tv_nsec) / 1000000;
}

}  // namespace c1m
