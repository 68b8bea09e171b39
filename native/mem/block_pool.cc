#include "native/mem/block_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>

#include "native/mem/pages.h"

namespace c1m {

bool BlockStack::make_room(size_t count) {
  if (count <= capacity_) return true;
  for (const size_t capacity : {std::max(count, capacity_ * 2), count}) {
    if (!reallocate(memory_, capacity * sizeof(uint8_t*))) continue;
    capacity_ = capacity;
    return true;
  }
  return false;
}

BlockPool::~BlockPool() {
  for (uint8_t* chunk : chunks_) ::munmap(chunk, kChunkBlocks * kBlockBytes);
}

bool BlockPool::make_room(size_t blocks) {
  const size_t had = chunks_.size();
  while (free_.size() + cold_.size() < blocks) {
    if (map_chunk()) continue;
    unmap_chunks(had);
    return false;
  }
  return true;
}

uint8_t* BlockPool::take() {
  assert(!free_.empty() || !cold_.empty());
  ++in_use_;
  return (free_.empty() ? cold_ : free_).pop();
}

void BlockPool::give(uint8_t* block) {
  assert(in_use_ > 0);
  --in_use_;
  free_.push(block);
  if (free_.size() > kMaxFree) cool();
}

bool BlockPool::map_chunk() {
  // What gives memory back takes none.
  const size_t all = (chunks_.size() + 1) * kChunkBlocks;
  if (!free_.make_room(all) || !cold_.make_room(all)) return false;
  void* chunk = ::mmap(nullptr, kChunkBlocks * kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) return false;
  chunks_.push_back(static_cast<uint8_t*>(chunk));
  // The lowest comes first: pages that are used together lie together.
  for (size_t i = kChunkBlocks; i > 0; --i) cold_.push(chunks_.back() + (i - 1) * kBlockBytes);
  return true;
}

// Those that came last, of which no block was taken. Others may need what there was not enough of here.
void BlockPool::unmap_chunks(size_t kept) {
  cold_.shrink(cold_.size() - (chunks_.size() - kept) * kChunkBlocks);
  for (; chunks_.size() > kept; chunks_.pop_back()) ::munmap(chunks_.back(), kChunkBlocks * kBlockBytes);
}

// Gives pages back, neighbours in one call.
void BlockPool::cool() {
  std::sort(free_.begin(), free_.end());
  uint8_t** blocks = free_.begin();
  size_t at = kKept;
  while (at < free_.size()) {
    size_t end = at + 1;
    while (end < free_.size() && blocks[end] == blocks[end - 1] + kBlockBytes) ++end;
    give_back_pages(blocks[at], (end - at) * kBlockBytes);
    at = end;
  }
  while (free_.size() > kKept) cold_.push(free_.pop());
}

}  // namespace c1m
