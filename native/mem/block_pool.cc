#include "native/mem/block_pool.h"

#include <sys/mman.h>

#include <algorithm>
#include <cassert>

#include "native/mem/pages.h"

namespace c1m {

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
  std::vector<uint8_t*>& from = free_.empty() ? cold_ : free_;
  uint8_t* block = from.back();
  from.pop_back();
  return block;
}

void BlockPool::give(uint8_t* block) {
  assert(in_use_ > 0);
  --in_use_;
  free_.push_back(block);
  if (free_.size() > kMostFree) cool();
}

bool BlockPool::map_chunk() {
  void* chunk = ::mmap(nullptr, kChunkBlocks * kBlockBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (chunk == MAP_FAILED) return false;
  chunks_.push_back(static_cast<uint8_t*>(chunk));
  // What gives memory back takes none.
  for (std::vector<uint8_t*>* list : {&free_, &cold_}) {
    const size_t all = chunks_.size() * kChunkBlocks;
    if (list->capacity() < all) list->reserve(std::max(all, list->capacity() * 2));
  }
  // The lowest comes first: pages that are used together lie together.
  for (size_t i = kChunkBlocks; i > 0; --i) cold_.push_back(chunks_.back() + (i - 1) * kBlockBytes);
  return true;
}

// Those that came last, of which no block was taken. Others may need what there was not enough of here.
void BlockPool::unmap_chunks(size_t kept) {
  cold_.resize(cold_.size() - (chunks_.size() - kept) * kChunkBlocks);
  for (; chunks_.size() > kept; chunks_.pop_back()) ::munmap(chunks_.back(), kChunkBlocks * kBlockBytes);
}

// Gives pages back, neighbours in one call.
void BlockPool::cool() {
  std::sort(free_.begin(), free_.end());
  size_t at = kKept;
  while (at < free_.size()) {
    size_t end = at + 1;
    while (end < free_.size() && free_[end] == free_[end - 1] + kBlockBytes) ++end;
    give_back_pages(free_[at], (end - at) * kBlockBytes);
    at = end;
  }
  cold_.insert(cold_.end(), free_.rbegin(), free_.rend() - kKept);
  free_.resize(kKept);
}

}  // namespace c1m
