#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>

#include "native/mem/bytes.h"

namespace c1m {

// The bytes of a broadcast: one copy, or the caller's own buffer, whatever the number of queues that they wait in.
//
//   queue of A ─▶ [kShared] ─┐
//   queue of B ─▶ [kShared] ─┼─▶ SharedPayload ─▶ bytes         references: 3 segments and the broadcast itself
//   queue of C ─▶ [kShared] ─┘
//
// Owner: its references; OutboundPool::release() takes one away. Thread: made on the JS thread, then the loop's.
struct SharedPayload {
  // Of bytes that are its own; the caller has the one reference.
  static SharedPayload* of(Bytes bytes) {
    auto* payload = new SharedPayload;
    payload->data = bytes.data();
    payload->length = bytes.size();
    payload->copy = std::move(bytes);
    return payload;
  }

  // More bytes of its own, before any queue has it. False if there is no memory for them.
  [[nodiscard]] bool append(const uint8_t* bytes, size_t count) {
    const bool appended = copy.append(bytes, count);
    data = copy.data();
    length = copy.size();
    return appended;
  }

  const uint8_t* data = nullptr;
  size_t length = 0;
  uint32_t references = 1;
  uint32_t dropped = 0;   // segments that went with their queue before they were sent
  uint32_t moved = 0;     // segments that went to another loop with their connection, and wait there
  bool counted = false;   // in what the pool of the queues says that it holds
  void* owner = nullptr;  // of the caller's buffer, to be released with the last reference; null for a copy
  Bytes copy;             // the bytes, if they were copied
};

}  // namespace c1m
