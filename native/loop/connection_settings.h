#pragma once

#include <cstdint>

namespace c1m {

// How the loop serves a connection: the same for all of a listener's.
struct ConnectionSettings {
  uint32_t context = 0;          // JavaScript's number for the handlers; never used again
  bool borrowed = false;         // reads fill the batch's own memory
  uint32_t idle_timeout_ms = 0;  // 0 for none
};

}  // namespace c1m
