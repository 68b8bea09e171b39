#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/conn/outbound_file.h"
#include "native/conn/shared_payload.h"
#include "native/mem/block_pool.h"
#include "native/mem/bytes.h"

namespace c1m {

// Bytes that were taken out of a queue.
struct OutboundRun {
  Bytes bytes;
  bool shared = false;  // of broadcasts, or of workers
};

// A block of one queue. Its bytes need not be next to each other there: what is small shares it, whatever lies between.
struct QueueBlock {
  static constexpr size_t kBytes = BlockPool::kBlockBytes - 2 * sizeof(uint32_t);

  uint32_t references;  // segments that lie in it, and the queue as long as it has room
  uint32_t used;
  uint8_t bytes[kBytes];
};

// A run of bytes, or a file, that waits to be sent.
struct Segment {
  enum class Kind : uint8_t {
    kArena,   // in the command batch's arena: only until the batch is handed back, see Outbound
    kLoose,   // in a small part of the caller's buffer: as kArena, and then `owner` is released
    kBlock,   // in a block of our own
    kPinned,  // in the caller's buffer, which stays where it is until `owner` is released
    kShared,  // in a broadcast's payload, which other queues hold as well
    kFile,    // a range of a file: no bytes in memory
  };
  const uint8_t* data;
  uint32_t length;
  uint32_t whole;   // what its length was at first
  uint32_t excess;  // kPinned: bytes of the caller's buffer that stay besides these
  Kind kind;
  bool foreign;  // of a broadcast, or of a worker: JavaScript, which counts what it has written, doesn't know of it
  union {
    QueueBlock* block;      // kBlock
    void* owner;            // kLoose, kPinned: what to release
    SharedPayload* shared;  // kShared: holds one reference to it
    OutboundFile* file;     // kFile
  };
  Segment* next;
  // Of a queue's first segment, for the whole queue: its bytes, its segments that JavaScript counts as its own, what it
  // costs besides, and the block that has room.
  size_t queued;
  uint32_t own;
  size_t overhead;
  QueueBlock* open;
};

// Bytes of memory that what waits in a queue costs besides its own bytes; docs/capacity.md has them. Blocks are full, but for
// the one with room and those at the front, so that they aren't charged.
struct QueueCost {
  // A segment, as malloc(3) rounds it up.
  static constexpr size_t kSegment = 80;
  // A broadcast's payload, as if this queue were its last; with its segment.
  static constexpr size_t kShared = kSegment + 96;
  // A file and its request, with what waits for its promise in JavaScript; with its segment.
  static constexpr size_t kFile = 2048;
  // So much of it may be in any queue, however low its limit is: else a single file would be too much.
  static constexpr size_t kMin = 64 * 1024;
};

// Whether something that waits is more than a limit (`maxWriteQueue`) allows: its bytes, or what they cost besides. So a limit
// of n bytes is met to the byte, and bounds the memory by 2 n.
constexpr bool over_limit(size_t bytes, size_t overhead, size_t limit) {
  return bytes > limit || overhead > (limit > QueueCost::kMin ? limit : QueueCost::kMin);
}

// What the outbound queues of one loop share: segments, blocks, a buffer, and the owners of pinned bytes and files that
// are done with.
// Owner: one loop. Thread: the loop's.
class OutboundPool {
 public:
  OutboundPool() = default;
  OutboundPool(const OutboundPool&) = delete;
  OutboundPool& operator=(const OutboundPool&) = delete;
  ~OutboundPool();

  // Makes sure of a segment, and of what it takes to copy this number of bytes into blocks; what takes these then can't fail. False if
  // there is no memory.
  [[nodiscard]] bool make_room(size_t copied = 0);
  [[nodiscard]] Segment* take(Segment::Kind kind, const uint8_t* data, uint32_t length);
  // Gives the segment back with its block, or its reference, or marks its owner as released, or its file as finished.
  void give(Segment* segment);
  // One reference less; the last one frees the payload, and marks its owner as released.
  void release(SharedPayload* payload);

  [[nodiscard]] BlockPool& blocks() { return blocks_; }
  // Bytes of memory that all its queues take: blocks, segments, pinned buffers as a whole, payloads once, files.
  [[nodiscard]] size_t memory() const {
    return blocks_.in_use() * BlockPool::kBlockBytes + in_use_ * QueueCost::kSegment + other_memory_;
  }
  // A block with one reference to it, and nothing in it.
  [[nodiscard]] QueueBlock* take_block();
  void release(QueueBlock* block);

  // Owners whose bytes were sent or dropped; the reader empties it.
  [[nodiscard]] std::vector<void*>& released() { return released_; }
  [[nodiscard]] bool has_released() const { return !released_.empty(); }
  // Files that were sent or dropped; the reader empties it.
  [[nodiscard]] std::vector<OutboundFile*>& finished() { return finished_; }
  // For files that have to be copied: kCopyBytes, made at its first use.
  [[nodiscard]] uint8_t* copy_buffer();
  [[nodiscard]] size_t in_use() const { return in_use_; }
  // Segments kept for the next burst.
  [[nodiscard]] size_t kept() const { return kept_; }

  // 320 KiB of segments; more go back to the allocator.
  static constexpr size_t kKept = 4096;
  static constexpr size_t kCopyBytes = 64 * 1024;

 private:
  void free_one();

  BlockPool blocks_;
  std::vector<void*> released_;
  std::vector<OutboundFile*> finished_;
  std::unique_ptr<uint8_t[]> copy_buffer_;
  Segment* free_ = nullptr;
  size_t in_use_ = 0;
  size_t kept_ = 0;
  size_t other_memory_ = 0;  // besides blocks and segments

  friend class Outbound;
};

// One connection's queue of bytes and files to send, first in, first out.
//
//   head ─▶ [pinned 1 MiB] ─▶ [block, 3 bytes] ─▶ [file 512 MiB] ─▶ [block, 812 bytes] ◀─ tail
//                                  └──────────────┐        ┌────────────────┘
//                                              | 3 bytes | 812 bytes | room |  ◀─ head's `open`
//
// Invariants: no segment of bytes is empty. kArena and kLoose segments exist only while their command batch is being worked
// through, and only at the front: such bytes behind anything else are copied into blocks immediately, so that keep() never walks
// a long queue. One block has room, the one that head's `open` refers to: so however small the writes and whatever lies between
// them, they take no more blocks than one long write.
// An empty queue holds no memory but these two pointers. Owner: its connection. Thread: the loop's.
class Outbound {
 public:
  // iovecs for one sendmsg(2). IOV_MAX is 1024; 64 blocks are 256 KiB, more than a socket usually takes in one call.
  static constexpr int kMaxVectors = 64;

  [[nodiscard]] bool empty() const { return head_ == nullptr; }
  // Bytes that wait in it. The first segment knows, so that an idle connection has nothing to remember.
  [[nodiscard]] size_t bytes() const { return head_ == nullptr ? 0 : head_->queued; }

  // Whether something waits that JavaScript has written or sent itself: anything but broadcasts and writes of workers.
  [[nodiscard]] bool has_own() const { return head_ != nullptr && head_->own > 0; }
  // What it costs besides: see QueueCost. With bytes(), the memory that `maxWriteQueue` limits.
  [[nodiscard]] size_t overhead() const { return head_ == nullptr ? 0 : head_->overhead; }
  // Whether it holds more than a limit allows; or would, with so much more.
  [[nodiscard]] bool exceeds(size_t limit, size_t more_bytes = 0, size_t more_overhead = 0) const {
    return over_limit(bytes() + more_bytes, overhead() + more_overhead, limit);
  }

  // All that adds to it, or copies, is false if there is no memory for it; then it is as it was.

  // Bytes of the current command batch's arena. They are sent from there, or copied out by keep() at the latest.
  [[nodiscard]] bool append(OutboundPool& pool, const uint8_t* data, uint32_t length);
  // The caller's own memory, pinned until its owner appears in pool.released(), and `excess` bytes in addition to these with it. Where
  // these are more than the bytes themselves, as with a slice of a slab, it is pinned no longer than an arena is. Without memory
  // it is released.
  [[nodiscard]] bool append_pinned(OutboundPool& pool, const uint8_t* data, uint32_t length, uint32_t excess,
                                   void* owner);
  // Bytes that aren't JavaScript's own; copied.
  [[nodiscard]] bool append_foreign(OutboundPool& pool, const uint8_t* data, size_t length);
  // A broadcast's payload, by reference. It is not empty, nor more than a segment has room for.
  [[nodiscard]] bool append_shared(OutboundPool& pool, SharedPayload& payload);

  // The file must stay where it is until it appears in pool.finished().
  [[nodiscard]] bool append_file(OutboundPool& pool, OutboundFile& file);
  // The file that stands first in the queue; or only if it's at the front. Null for none.
  [[nodiscard]] OutboundFile* first_file() const;
  [[nodiscard]] OutboundFile* front_file() const;
  [[nodiscard]] OutboundFile* find_file(uint32_t id) const;
  // Whether bytes follow the segment at the front.
  [[nodiscard]] bool bytes_follow() const;
  // Takes this file out of the queue, if it is there.
  void remove_file(OutboundPool& pool, const OutboundFile& file);

  // Fills at most kMaxVectors iovecs with the queue's front, `max` bytes of it, up to the first file; returns how many.
  // `more`: a file follows these bytes.
  [[nodiscard]] int gather(iovec* vectors, size_t max, bool& more) const;
  // Takes `count` bytes off the front: they were sent. Answers how many of them weren't JavaScript's own.
  size_t consume(OutboundPool& pool, size_t count);
  // Copies what still lies in the arena, or in small parts of buffers, into blocks, so that these may be written again.
  [[nodiscard]] bool keep(OutboundPool& pool);
  // Appends a copy of all of it to `to`; the queue stays as it is. False if there was no memory for all.
  [[nodiscard]] bool copy_to(Bytes& to) const;
  // The same, in runs.
  [[nodiscard]] bool copy_to(std::vector<OutboundRun>& to) const;
  // Drops everything; or empties the queue of a connection that takes it to another loop, if `moved`.
  void clear(OutboundPool& pool, bool moved = false);

 private:
  void push(Segment* segment);
  void pop(OutboundPool& pool);
  [[nodiscard]] bool takes_transient() const;
  [[nodiscard]] bool copy_into_blocks(OutboundPool& pool, const uint8_t* data, size_t length, bool foreign);
  void copy_into_blocks(OutboundPool& pool, const uint8_t* data, size_t length, bool foreign, QueueBlock* open);

  Segment* head_ = nullptr;
  Segment* tail_ = nullptr;
};

}  // namespace c1m
