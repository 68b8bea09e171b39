#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

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
  static SharedPayload* of(std::unique_ptr<uint8_t[]> bytes, size_t length) {
    auto* payload = new SharedPayload;
    payload->data = bytes.get();
    payload->length = payload->room = length;
    payload->copy = std::move(bytes);
    return payload;
  }
  static SharedPayload* copy_of(const uint8_t* data, size_t length) {
    auto bytes = std::make_unique<uint8_t[]>(length);
    std::copy_n(data, length, bytes.get());
    return of(std::move(bytes), length);
  }

  // More bytes of its own, before any queue has it.
  void append(const uint8_t* bytes, size_t count) {
    if (count > room - length) {
      room = std::max(length + count, room * 2);
      auto larger = std::make_unique<uint8_t[]>(room);
      std::copy_n(copy.get(), length, larger.get());
      copy = std::move(larger);
      data = copy.get();
    }
    std::copy_n(bytes, count, copy.get() + length);
    length += count;
  }

  const uint8_t* data = nullptr;
  size_t length = 0;
  size_t room = 0;  // for bytes of its own
  uint32_t references = 1;
  uint32_t dropped = 0;             // segments that went with their queue before they were sent
  uint32_t moved = 0;               // segments that went to another loop with their connection, and wait there
  bool counted = false;             // in what the pool of the queues says that it holds
  void* owner = nullptr;            // of the caller's buffer, to be released with the last reference; null for a copy
  std::unique_ptr<uint8_t[]> copy;  // the bytes, if they were copied
};

}  // namespace c1m
