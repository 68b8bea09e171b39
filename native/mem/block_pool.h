#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "native/mem/bytes.h"

namespace c1m {

// Blocks that are not in use, the last one on top. They are as many as peers make, so that there may be no memory for the list.
class BlockStack {
 public:
  // Makes room for this number in all. False if there is no memory: then it is as it was.
  [[nodiscard]] bool make_room(size_t count);
  void push(uint8_t* block) { begin()[size_++] = block; }
  uint8_t* pop() { return begin()[--size_]; }
  // Takes all but this number of the lowest.
  void shrink(size_t count) { size_ = count; }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] uint8_t** begin() { return reinterpret_cast<uint8_t**>(memory_.get()); }
  [[nodiscard]] uint8_t** end() { return begin() + size_; }

 private:
  Memory memory_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

// Blocks of 4 KiB, a page each, for bytes that the kernel did not take yet. A block is handed out uninitialised.
//
//   chunks of 1 MiB, mapped by us:  | block | block | … 256 |
//   each block is:  handed out ⇄ free (its page is there, at most kMaxFree) ─▶ cold (its page went back) ─▶ handed out
//
// Not from malloc: pages in the middle of its heap stay there when a burst has ended, for as long as anything lies behind them.
// Owner: one loop. Thread: the loop's.
class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 4096;

  // With more pages than kMaxFree the pool gives back all but kKept: one slow hour costs no memory for ever, and a load that
  // goes up and down by less costs no system call, nor a page fault for each block.
  static constexpr size_t kMaxFree = 1024;
  static constexpr size_t kKept = 256;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  // Makes sure of this number of blocks; take() gives what was made sure of. False if there is no memory: then it is as it was.
  [[nodiscard]] bool make_room(size_t blocks);
  [[nodiscard]] uint8_t* take();
  void give(uint8_t* block);

  // Blocks handed out and not given back.
  [[nodiscard]] size_t in_use() const { return in_use_; }
  // Blocks that are not handed out, and whose pages may be there.
  [[nodiscard]] size_t free() const { return free_.size(); }

 private:
  static constexpr size_t kChunkBlocks = 256;

  [[nodiscard]] bool map_chunk();
  void unmap_chunks(size_t kept);
  void cool();

  std::vector<uint8_t*> chunks_;
  BlockStack free_;
  BlockStack cold_;
  size_t in_use_ = 0;
};

}  // namespace c1m
