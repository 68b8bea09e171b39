#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/conn/framer.h"
#include "native/exchange/request.h"

namespace c1m {

// What happened, as JavaScript reads it. lib/native/layout.ts has the same numbers under the names below.
enum class Event : uint8_t {
  kOpen = 1,       // argument: context, a: generation
  kData = 2,       // argument: ReadMode, a: offset in that slab, b: length
  kEnd = 3,        // the peer's FIN
  kDrain = 4,      // what JavaScript queued is with the kernel
  kTimeout = 5,    // argument: TimeoutKind, a: 1 if it was ended a whole period before
  kClose = 6,      // argument: Syscall, a: errno, an OwnError, or 0
  kSaturated = 7,  // argument: listener, a: errno, or 0 at maxConnections
  kWatch = 8,      // argument: bits of Watched, slot: the watch's number
  kFraming = 9,    // argument: FramingNews. Nothing is read until JavaScript has said how to go on
  kPastLast,
};

// The names of all events, from the first on.
inline constexpr std::array kEventNames{"EVENT_OPEN",      "EVENT_DATA",    "EVENT_END",
                                        "EVENT_DRAIN",     "EVENT_TIMEOUT", "EVENT_CLOSE",
                                        "EVENT_SATURATED", "EVENT_WATCH",   "EVENT_FRAMING"};
static_assert(kEventNames.size() + 1 == static_cast<size_t>(Event::kPastLast));

// Whose memory a read fills.
enum class ReadMode : uint8_t { kOwned = 0, kBorrowed = 1 };

// A kData's argument in place of a ReadMode: the frame has memory of its own. a: index in EventBatch::frames.
constexpr uint32_t kOwnMemory = 2;

enum class FramingNews : uint8_t {
  kStopped = 0,       // as a kReframe wanted: everything before was cut as before
  kInvalidFrame = 1,  // what follows is no frame, or too large a one
};

// Why the loop itself closed a connection, in the place of kClose's errno. lib/native/layout.ts has the same values.
enum class OwnError : uint16_t {
  kFileTruncated = 4097,   // a file became shorter while it was sent
  kRelayFailed = 4098,     // the other side of its relay failed, or was destroyed
  kWriteQueueFull = 4104,  // more would wait than its maxWriteQueue allows
  kFileAborted = 4110,     // a file was cancelled when part of it had gone out
};
inline constexpr int kFirstOwnError = 4096;

// The system call that a kClose speaks of.
enum class Syscall : uint8_t { kRead = 0, kWrite = 1, kSendFile = 2 };
inline constexpr std::array kSyscallNames{"read", "write", "sendfile"};

// Memory that reads fill from the front. The bytes belong to JavaScript.
struct ReadSlab {
  uint8_t* data = nullptr;
  uint32_t size = 0;
  uint32_t used = 0;

  [[nodiscard]] uint32_t room() const { return size - used; }
};

// A batch of events for the JS thread, which comes back to be filled again.
//
//   records: | event:8 argument:24 | slot | a | b | …    four 32-bit words each, in the order of the events
//   slabs:   owned ─ used up front to back, replaced by JS when little is left; borrowed ─ used again by each batch
//
// One thread holds it at a time: the loop fills it, JS reads it, and handing it over passes all of it.
class EventBatch {
 public:
  // With 4096 records of about 0.3 µs each, JS is back in Node's own loop after little more than a millisecond.
  static constexpr uint32_t kRecords = 4096;
  static constexpr uint32_t kRecordWords = 4;
  // The minimum room worth a read: with less, the batch counts as full.
  static constexpr uint32_t kMinRead = 16 * 1024;

  // Bytes of frames with memory of their own, beyond which it counts as full.
  static constexpr size_t kMaxFrameBytes = 1024 * 1024;

  // An owned slab with less room than this comes back from JS as a fresh one.
  static constexpr uint32_t kSlabLow = 64 * 1024;

  explicit EventBatch(uint32_t* records) : records_(records) {}

  [[nodiscard]] bool has_record() const { return count_ < kRecords; }
  [[nodiscard]] ReadSlab& slab(ReadMode mode) { return slabs_[static_cast<size_t>(mode)]; }
  [[nodiscard]] bool has_room(ReadMode mode) {
    return has_record() && slab(mode).room() >= kMinRead && frame_bytes_ < kMaxFrameBytes;
  }

  void append(Event event, uint32_t argument, uint32_t slot, uint32_t a, uint32_t b) {
    uint32_t* record = records_ + size_t{count_} * kRecordWords;
    record[0] = static_cast<uint32_t>(event) | argument << 8;
    record[1] = slot;
    record[2] = a;
    record[3] = b;
    ++count_;
  }

  // A frame with memory of its own; it counts towards the batch's room.
  void append_frame(uint32_t slot, OwnFrame frame) {
    append(Event::kData, kOwnMemory, slot, static_cast<uint32_t>(frames.size()), frame.length);
    frame_bytes_ += frame.length;
    frames.push_back(std::move(frame));
  }

  // More bits for an event that is in it already.
  void add_argument(uint32_t index, uint32_t bits) { records_[size_t{index} * kRecordWords] |= bits << 8; }

  [[nodiscard]] uint32_t count() const { return count_; }

  // After its return: ready to be filled again.
  void reset() {
    count_ = 0;
    slab(ReadMode::kBorrowed).used = 0;
    closed.clear();
    frames.clear();
    frame_bytes_ = 0;
  }

  std::vector<uint32_t> closed;                     // slots whose kClose is inside: freed when the batch comes back
  std::vector<std::unique_ptr<Request>> completed;  // requests to answer
  std::vector<void*> released;                      // owners of pinned bytes that are done with
  std::vector<OwnFrame> frames;                     // too large for a slab; JavaScript gets copies
  EventBatch* next = nullptr;                       // for Handoff

 private:
  uint32_t* records_;
  uint32_t count_ = 0;
  size_t frame_bytes_ = 0;
  ReadSlab slabs_[2];
};

}  // namespace c1m
