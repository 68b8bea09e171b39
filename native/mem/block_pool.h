#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace c1m {

// Blocks of 4 KiB, a page each, for bytes that the kernel did not take yet. A block is handed out uninitialised.
//
//   chunks of 1 MiB, mapped by us:  | block | block | … 256 |
//   each block is:  handed out ⇄ free (its page is there, at most kMostFree) ─▶ cold (its page went back) ─▶ handed out
//
// Not from malloc: pages in the middle of its heap stay there when a burst is over, for as long as anything lies behind them.
// Owner: one loop. Thread: the loop's.
class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 4096;

  // With more pages than kMostFree the pool gives back all but kKept: one slow hour costs no memory for ever, and a load that
  // goes up and down by less costs no system call, nor a page fault for each block.
  static constexpr size_t kMostFree = 1024;
  static constexpr size_t kKept = 256;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  // Makes sure of so many blocks; take() gives what was made sure of. False if there is no memory:
  // then it is as it was.
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
  std::vector<uint8_t*> free_;
  std::vector<uint8_t*> cold_;
  size_t in_use_ = 0;
};

}  // namespace c1m
