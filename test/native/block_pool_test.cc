// The pool of 4 KiB blocks.
#include "native/mem/block_pool.h"

#include <doctest/doctest.h>

#include <cstring>
#include <set>
#include <vector>

using namespace c1m;

TEST_CASE("blocks are distinct, whole, and counted") {
  BlockPool pool;
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 1000; ++i) {
    blocks.push_back(pool.take());
    std::memset(blocks.back(), i, BlockPool::kBlockBytes);
  }
  CHECK(pool.in_use() == 1000);
  CHECK(std::set<uint8_t*>(blocks.begin(), blocks.end()).size() == 1000);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(blocks[i][0] == static_cast<uint8_t>(i));
    REQUIRE(blocks[i][BlockPool::kBlockBytes - 1] == static_cast<uint8_t>(i));
  }
  // More than the pool keeps: the rest goes back to the allocator, which the sanitizers watch.
  for (uint8_t* block : blocks) pool.give(block);
  CHECK(pool.in_use() == 0);
}

TEST_CASE("a block that was given back is handed out again") {
  BlockPool pool;
  uint8_t* first = pool.take();
  uint8_t* second = pool.take();
  pool.give(first);
  CHECK(pool.in_use() == 1);
  CHECK(pool.take() == first);
  CHECK(pool.in_use() == 2);
  pool.give(first);
  pool.give(second);
}
