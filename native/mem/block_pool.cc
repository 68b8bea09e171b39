#include "native/mem/block_pool.h"

#include <cassert>

namespace c1m {

BlockPool::~BlockPool() {
  for (uint8_t* block : free_) delete[] block;
}

uint8_t* BlockPool::take() {
  ++in_use_;
  if (free_.empty()) return new uint8_t[kBlockBytes];
  uint8_t* block = free_.back();
  free_.pop_back();
  return block;
}

void BlockPool::give(uint8_t* block) {
  assert(in_use_ > 0);
  --in_use_;
  if (free_.size() < kKept) {
    free_.push_back(block);
  } else {
    delete[] block;
  }
}

}  // namespace c1m
