#pragma once

#include <cstdint>

#include "native/poll/poller.h"

namespace c1m {

// How the loop wakes the JS thread. Called on the I/O thread.
struct JsWaker {
  void (*wake)(void* context) = nullptr;
  void* context = nullptr;
};

struct LoopOptions {
  // As many as libuv has, for the same purpose.
  static constexpr uint32_t kFileThreads = 4;

  uint32_t max_connections = 1;
  // Counts the connections of all loops that have it in common; the memory outlives them.
  uint32_t* connections = nullptr;
  bool shares_quota = false;  // there are others
  Trigger trigger = Trigger::kEdge;
  uint32_t file_threads = kFileThreads;  // at most; with 0 disks are waited for on the loop's thread
  bool own_file_table = false;           // own_file_table() is called before run()
  // Shared with JavaScript, which only reads them: bytes given to the kernel, a counter a slot (modulo 2^32), and the
  // counters of Stats.
  uint32_t* flushed = nullptr;
  double* stats = nullptr;
};

}  // namespace c1m
