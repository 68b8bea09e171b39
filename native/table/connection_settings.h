#pragma once

#include <cstdint>
#include <memory>

#include "native/conn/framing.h"

namespace c1m {

// How the loop serves a connection: the same for all of a listener's.
struct ConnectionSettings {
  uint32_t context = 0;          // JavaScript's number for the handlers; never used again
  bool borrowed = false;         // reads fill the batch's own memory
  bool paused = false;           // nothing is read before a kResume
  uint32_t idle_timeout_ms = 0;  // these: 0 for none; what they are for is in timeouts.h
  uint32_t read_timeout_ms = 0;
  uint32_t write_timeout_ms = 0;
  uint32_t total_timeout_ms = 0;
  std::shared_ptr<const Framing> framing;  // null: bytes as they come
};

}  // namespace c1m
