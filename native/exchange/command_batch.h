#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "native/exchange/request.h"
#include "native/mem/pages.h"

namespace c1m {

// What JavaScript wants done. lib/native/layout.ts has the same values. All but kRequest are of one connection, and are
// dropped if its generation has passed.
enum class Command : uint8_t {
  kWrite = 1,        // argument: maxWriteQueue, see limit_of(), and kDrainWish; a: offset in the arena, b: length
  kWritePinned = 2,  // argument: as above; a: index in the batch's `pinned`, b: what else it pins, bytes
  kEnd = 3,          // FIN when the queue is empty
  kDestroy = 4,      // close now
  kReset = 5,        // close now, with an RST
  kPause = 6,
  kResume = 7,
  kSetTimeout = 8,  // argument: TimeoutKind, a: milliseconds, 0 for none
  kWantDrain = 9,   // one kDrain when all that JavaScript itself has written has gone
  kRequest = 10,    // a: index in the batch's `requests`
  kMute = 14,       // takes no more broadcasts, nor writes of workers: it is to be relayed
  kReframe = 13,    // stop reading, say kFraming, and wait for a ReframeRequest
};

// Of a kWrite's or kWritePinned's first word: what may wait on the connection, in bytes. It travels with what counts against
// it, rounded up to KiB, so that a slot has nothing to remember.
[[nodiscard]] constexpr size_t limit_of(uint32_t word) { return size_t{word >> 8 & 0x3fffff} << 10; }
// In the same word: a kWantDrain behind it.
inline constexpr uint32_t kDrainWish = 1u << 30;

// The caller's bytes, kept where they are until `owner` comes back in EventBatch::released.
struct PinnedBytes {
  const uint8_t* data = nullptr;
  uint32_t length = 0;
  void* owner = nullptr;
  uint32_t excess = 0;  // bytes that stay with it
};

// A batch of commands for the I/O thread, which comes back to be filled again.
//
//   records: | command:8 argument:24 | slot | generation | a | b | …   five 32-bit words each, in the order of the calls
//   arena:   the bytes of small writes
//
// JavaScript writes both straight into memory that it shares with us. One thread holds a batch at a time.
//
// A payload comes first, then the record that names it: an exception between the two leaves one that no record names, and
// nothing else out of place. A name that fits none, or one that was taken, is nothing to be done.
class CommandBatch {
 public:
  static constexpr uint32_t kRecordWords = 5;

  CommandBatch(const uint32_t* records, uint32_t capacity, const uint8_t* arena, uint32_t arena_bytes)
      : records_(records), capacity_(capacity), arena_(arena), arena_bytes_(arena_bytes) {}

  [[nodiscard]] const uint32_t* record(uint32_t index) const { return records_ + size_t{index} * kRecordWords; }
  // Null where the record is not inside the arena: nothing that JS writes can make us read elsewhere.
  [[nodiscard]] const uint8_t* bytes(uint32_t offset, uint32_t length) const {
    return offset <= arena_bytes_ && length <= arena_bytes_ - offset ? arena_ + offset : nullptr;
  }
  [[nodiscard]] uint32_t capacity() const { return capacity_; }
  // Null, or without an owner, if there is none of this index.
  [[nodiscard]] std::unique_ptr<Request> take_request(uint32_t index) {
    return index < requests.size() ? std::move(requests[index]) : nullptr;
  }
  [[nodiscard]] PinnedBytes take_pinned(uint32_t index) {
    return index < pinned.size() ? std::exchange(pinned[index], PinnedBytes{}) : PinnedBytes{};
  }

  // Gives the memory that it was filled in back to the system, until it is written again. Of a batch that was carried out:
  // JavaScript makes batches as it needs them in a burst, and they stay.
  void give_back_memory() {
    pinned.shrink_to_fit();
    give_back_pages(records_, size_t{capacity_} * kRecordWords * sizeof(uint32_t));
    give_back_pages(arena_, arena_bytes_);
  }

  uint32_t count = 0;
  uint32_t number = 0;  // of all that were published, modulo 2^32: workers' writes have their places between them
  std::vector<PinnedBytes> pinned;
  std::vector<std::unique_ptr<Request>>
      requests;                  // cleared by the JS thread: what no record named holds objects of its
  CommandBatch* next = nullptr;  // for Handoff

 private:
  const uint32_t* records_;
  uint32_t capacity_;
  const uint8_t* arena_;
  uint32_t arena_bytes_;
};

}  // namespace c1m
