#pragma once

#include <cstdint>
#include <cstdlib>
#include <random>

namespace c1m {

// Returns a generator of random numbers that depends on `number` only, so that each run is the same; another value of
// C1M_SEED changes all generators.
inline std::mt19937 seeded(uint32_t number) {
  static const uint32_t seed = [] {
    const char* given = std::getenv("C1M_SEED");
    return given == nullptr ? uint32_t{1} : static_cast<uint32_t>(std::strtoul(given, nullptr, 10));
  }();
  return std::mt19937(seed - 1 + number);
}

}  // namespace c1m
