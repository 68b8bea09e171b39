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

// Microseconds of the same clock, for what is bounded by the time that it takes.
[[nodiscard]] inline uint64_t monotonic_us() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000 + static_cast<uint64_t>(now.tv_nsec) / 1000;
}

// The time that one kind of work may take in a turn of a loop, whatever a single piece of it costs: a connect(2) without a
// free port takes thirty times as long as one that finds one. Asks the clock once in `every` pieces.
class TimeBudget {
 public:
  constexpr TimeBudget(uint32_t us, uint32_t every) : us_(us), every_(every) {}

  // At the beginning of a turn's work.
  void begin() {
    begun_ = monotonic_us();
    pieces_ = 0;
    spent_ = false;
  }
  // After each piece: true if it was the last that there was time for.
  [[nodiscard]] bool spent() {
    if (++pieces_ % every_ == 0) spent_ = monotonic_us() - begun_ >= us_;
    return spent_;
  }

 private:
  uint32_t us_;
  uint32_t every_;
  uint32_t pieces_ = 0;
  uint64_t begun_ = 0;
  bool spent_ = false;
};

}  // namespace c1m
