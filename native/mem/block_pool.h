#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace c1m {

// Blocks of 4 KiB for bytes that the kernel did not take yet. A block is handed out uninitialised.
// Owner: one loop. Thread: the loop's.
class BlockPool {
 public:
  static constexpr size_t kBlockBytes = 4096;

  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool();

  [[nodiscard]] uint8_t* take();
  void give(uint8_t* block);

  // Blocks handed out and not given back.
  [[nodiscard]] size_t in_use() const { return in_use_; }

 private:
  // 1 MiB stays for the next burst; more goes back to the allocator, so that one slow hour costs no memory for ever.
  static constexpr size_t kKept = 256;

  std::vector<uint8_t*> free_;
  size_t in_use_ = 0;
};

}  // namespace c1m
