// The pool of 4 KiB blocks.
#include "native/mem/block_pool.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <cstring>
#include <set>
#include <vector>

using namespace c1m;

TEST_CASE("blocks don't overlap, and are counted") {
  BlockPool pool;
  std::vector<uint8_t*> blocks;
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(pool.make_room(1));
    blocks.push_back(pool.take());
    std::memset(blocks.back(), i, BlockPool::kBlockBytes);
  }
  CHECK(pool.in_use() == 1000);
  CHECK(std::set<uint8_t*>(blocks.begin(), blocks.end()).size() == 1000);
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(blocks[i][0] == static_cast<uint8_t>(i));
    REQUIRE(blocks[i][BlockPool::kBlockBytes - 1] == static_cast<uint8_t>(i));
  }
  for (uint8_t* block : blocks) pool.give(block);
  CHECK(pool.in_use() == 0);
}

TEST_CASE("a returned block is used again") {
  BlockPool pool;
  REQUIRE(pool.make_room(2));
  uint8_t* first = pool.take();
  uint8_t* second = pool.take();
  pool.give(first);
  CHECK(pool.in_use() == 1);
  CHECK(pool.take() == first);
  CHECK(pool.in_use() == 2);
  pool.give(first);
  pool.give(second);
}

TEST_CASE("the pages of a burst are released to the system, and blocks are available again when needed") {
  constexpr size_t kBurst = 5000;
  BlockPool pool;
  for (int round = 0; round < 3; ++round) {
    std::vector<uint8_t*> blocks;
    REQUIRE(pool.make_room(kBurst));
    for (size_t i = 0; i < kBurst; ++i) {
      blocks.push_back(pool.take());
      std::memset(blocks.back(), 1 + round, BlockPool::kBlockBytes);
    }
    CHECK(std::set<uint8_t*>(blocks.begin(), blocks.end()).size() == kBurst);
    // Returned in the order in which queues that were filled alternately drain.
    for (size_t i = 0; i < kBurst; i += 2) pool.give(blocks[i]);
    for (size_t i = 1; i < kBurst; i += 2) pool.give(blocks[i]);
    CHECK(pool.free() <= BlockPool::kMaxFree);
    size_t resident = 0;
    for (uint8_t* block : blocks) {
      unsigned char there = 0;
      REQUIRE(::mincore(block, BlockPool::kBlockBytes, &there) == 0);
      resident += there & 1;
    }
    CHECK(resident <= BlockPool::kMaxFree);
  }
  CHECK(pool.in_use() == 0);
}
