// The queue of bytes to send.
#include "native/conn/outbound.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "test/native/bytes_of.h"
#include "test/native/seeded.h"

using namespace c1m;

namespace {

constexpr size_t kBlock = QueueBlock::kBytes;

// A queue with the memory of its segments. It records appended bytes, and compares sent ones with them.
class Queue {
 public:
  explicit Queue(size_t arena_bytes = 1 << 20) : arena_(arena_bytes) {}
  ~Queue() {
    out.clear(pool);
    CHECK(pool.in_use() == 0);
    CHECK(pool.blocks().in_use() == 0);
    CHECK(pool.memory() == 0);
    CHECK(out.overhead() == 0);
    check_owners();
  }

  // Appends bytes side by side in the arena, as CommandWriter does.
  void append(size_t length) { append_at(used_, length); }
  // Appends bytes behind a gap in the arena.
  void append_apart(size_t length) { append_at(used_ + 1, length); }

  void append_pinned(size_t length, uint32_t excess = 0) {
    pinned_.push_back(std::make_unique<std::string>(pattern(length)));
    std::string& bytes = *pinned_.back();
    expected += bytes;
    owners_[&bytes] = length == 0 ? 1 : 0;
    REQUIRE(out.append_pinned(pool, start_of(bytes), static_cast<uint32_t>(length), excess, &bytes));
  }

  // Appends bytes of a worker.
  void append_foreign(size_t length) {
    const std::string bytes = pattern(length);
    REQUIRE(out.append_foreign(pool, start_of(bytes), length));
    expected += bytes;
  }

  void append_shared(size_t length) {
    const std::string bytes = pattern(length);
    SharedPayload* payload = SharedPayload::of(bytes_of(bytes));
    REQUIRE(out.append_shared(pool, *payload));
    pool.release(payload);
    expected += bytes;
  }

  // Copies the rest, and poisons the arena, as at the end of a command batch.
  void keep() {
    REQUIRE(out.keep(pool));
    std::fill(arena_.begin(), arena_.end(), uint8_t{0xdd});
    CHECK(out.bytes() == expected.size());
    used_ = 0;
  }

  // Returns the bytes of the next sendmsg.
  [[nodiscard]] std::string gathered() const {
    iovec vectors[Outbound::kMaxVectors];
    bool more = false;
    const int count = out.gather(vectors, SIZE_MAX, more);
    std::string bytes;
    for (int i = 0; i < count; ++i) {
      CHECK(vectors[i].iov_len > 0);
      bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
    }
    return bytes;
  }

  [[nodiscard]] int vectors() const {
    iovec vectors[Outbound::kMaxVectors];
    bool more = false;
    return out.gather(vectors, SIZE_MAX, more);
  }

  // Sends at most `count` bytes, as one call would.
  void send(size_t count) {
    const std::string front = gathered();
    count = std::min(count, front.size());
    if (front != expected.substr(0, front.size())) FAIL("wrong bytes at the front");
    out.consume(pool, count);
    expected.erase(0, count);
  }

  void send_all() {
    while (!out.empty()) send(SIZE_MAX);
    CHECK(expected.empty());
  }

  // Returns how often this pinned buffer's owner has been released.
  [[nodiscard]] int released(size_t index) {
    take_released();
    return seen_[pinned_[index].get()];
  }

  OutboundPool pool;
  Outbound out;
  std::string expected;

 private:
  void append_at(size_t offset, size_t length) {
    REQUIRE(offset + length <= arena_.size());
    const std::string bytes = pattern(length);
    std::copy(bytes.begin(), bytes.end(), arena_.begin() + static_cast<ptrdiff_t>(offset));
    REQUIRE(out.append(pool, arena_.data() + offset, static_cast<uint32_t>(length)));
    used_ = offset + length;
    expected += bytes;
  }

  std::string pattern(size_t length) {
    std::string bytes(length, '\0');
    for (char& byte : bytes) byte = static_cast<char>(next_++ * 31 >> 3);
    return bytes;
  }

  void take_released() {
    for (void* owner : pool.released()) ++seen_[owner];
    pool.released().clear();
  }

  // Checks that each owner was released once, and no other pointer.
  void check_owners() {
    take_released();
    CHECK(seen_.size() == owners_.size());
    for (const auto& [owner, count] : seen_) CHECK(count == 1);
  }

  std::vector<uint8_t> arena_;
  size_t used_ = 0;
  uint32_t next_ = 1;
  std::vector<std::unique_ptr<std::string>> pinned_;
  std::map<void*, int> owners_;
  std::map<void*, int> seen_;
};

// Appends segments of every kind in different orders.
void fill_mixed(Queue& queue) {
  queue.append(5);
  queue.append_apart(7);
  queue.append_pinned(9);
  queue.append(6);  // into a block, because it follows a pinned one
  queue.append_pinned(3);
  queue.append_pinned(4);
  queue.append(kBlock + 10);  // over the end of a block
  queue.append(8);
}

}  // namespace

TEST_CASE("an empty queue has nothing to send") {
  Queue queue;
  CHECK(queue.out.empty());
  CHECK(queue.vectors() == 0);
  queue.append(0);
  CHECK(queue.out.empty());
  queue.keep();
  queue.out.clear(queue.pool);
  queue.out.consume(queue.pool, 0);
  CHECK(queue.out.empty());
  CHECK(queue.pool.in_use() == 0);
}

TEST_CASE("bytes side by side in the arena are one segment") {
  Queue queue;
  queue.append(10);
  queue.append(20);
  queue.append(30);
  CHECK(queue.vectors() == 1);
  queue.append_apart(5);
  CHECK(queue.vectors() == 2);
  queue.append(5);
  CHECK(queue.vectors() == 2);
  CHECK(queue.gathered() == queue.expected);
  queue.send_all();
}

TEST_CASE("a partly sent segment still grows") {
  Queue queue;
  queue.append(10);
  queue.send(4);
  queue.append(10);
  CHECK(queue.vectors() == 1);
  queue.send(11);
  queue.append(3);
  queue.keep();
  queue.send_all();
}

TEST_CASE("bytes behind a pinned buffer are copied immediately") {
  Queue queue;
  queue.append_pinned(10);
  queue.append(20);
  CHECK(queue.pool.blocks().in_use() == 1);
  queue.append_apart(20);  // the same block
  CHECK(queue.pool.blocks().in_use() == 1);
  CHECK(queue.vectors() == 2);
  queue.keep();
  queue.send_all();
}

TEST_CASE("copied bytes fill a block to its end before the next is taken") {
  Queue queue;
  queue.append(kBlock - 1);
  queue.keep();
  CHECK(queue.pool.blocks().in_use() == 1);
  queue.append(1);
  CHECK(queue.pool.blocks().in_use() == 1);
  queue.append(1);
  CHECK(queue.pool.blocks().in_use() == 2);
  queue.append(2 * kBlock);
  CHECK(queue.pool.blocks().in_use() == 4);
  CHECK(queue.vectors() == 4);
  queue.keep();
  queue.send_all();
  CHECK(queue.pool.blocks().in_use() == 0);
}

TEST_CASE("a partly sent block takes more bytes at its end") {
  Queue queue;
  queue.append(kBlock - 8);
  queue.keep();
  queue.send(100);
  queue.append(8);
  CHECK(queue.vectors() == 1);
  queue.append(1);
  CHECK(queue.vectors() == 2);
  queue.send_all();
}

TEST_CASE("keep() copies only bytes in the arena, and keeps the order") {
  Queue queue;
  fill_mixed(queue);
  // The block of the bytes behind the pinned ones has room.
  const size_t blocks = queue.pool.blocks().in_use();
  queue.keep();
  CHECK(queue.pool.blocks().in_use() == blocks);
  queue.keep();
  CHECK(queue.pool.blocks().in_use() == blocks);
  queue.append(11);
  CHECK(queue.gathered() == queue.expected);
  queue.send_all();
}

TEST_CASE("a mixed queue is sent in order, however many bytes are sent first") {
  size_t total = 0;
  {
    Queue queue;
    fill_mixed(queue);
    total = queue.expected.size();
  }
  // keep() before, after or instead of the partial send.
  for (size_t first = 0; first <= total; ++first) {
    // Most bytes of the block are skipped.
    if (first == 60) first = kBlock;
    for (const bool keep_first : {false, true}) {
      Queue queue;
      fill_mixed(queue);
      if (keep_first) queue.keep();
      queue.send(first);
      queue.keep();
      queue.append(3);
      queue.append_pinned(2);
      queue.append(1);
      queue.keep();
      queue.send_all();
    }
  }
}

TEST_CASE("a mixed queue is sent in order, a byte at a time") {
  Queue queue;
  fill_mixed(queue);
  while (!queue.out.empty()) {
    queue.send(1);
    queue.keep();
  }
  CHECK(queue.expected.empty());
}

TEST_CASE("a pinned buffer's owner is released when its last byte is sent, not before") {
  Queue queue;
  queue.append(2);
  queue.append_pinned(5);
  queue.append_pinned(5);
  queue.send(6);
  CHECK(queue.released(0) == 0);
  queue.send(1);
  CHECK(queue.released(0) == 1);
  CHECK(queue.released(1) == 0);
  queue.out.clear(queue.pool);
  CHECK(queue.released(1) == 1);
  CHECK(queue.released(0) == 1);
  queue.expected.clear();
}

TEST_CASE("an empty pinned buffer is released immediately and leaves no segment") {
  Queue queue;
  queue.append_pinned(0);
  CHECK(queue.out.empty());
  CHECK(queue.released(0) == 1);
  queue.append(4);
  queue.append_pinned(0);
  CHECK(queue.vectors() == 1);
}

TEST_CASE("a queue with more segments than a call takes is gathered from its front") {
  Queue queue;
  constexpr int kSegments = 3 * Outbound::kMaxVectors + 5;
  for (int i = 0; i < kSegments; ++i) queue.append_pinned(100);
  CHECK(queue.vectors() == Outbound::kMaxVectors);
  queue.send(SIZE_MAX);
  CHECK(queue.pool.in_use() == kSegments - Outbound::kMaxVectors);
  queue.send_all();
}

TEST_CASE("a burst's segments are released to the allocator, except for kKept") {
  Queue queue;
  for (int round = 0; round < 2; ++round) {
    for (size_t i = 0; i < 3 * OutboundPool::kKept; ++i) queue.append_pinned(1);
    CHECK(queue.pool.kept() == 0);
    queue.out.clear(queue.pool);
    queue.expected.clear();
    CHECK(queue.pool.in_use() == 0);
    CHECK(queue.pool.kept() == OutboundPool::kKept);
  }
}

TEST_CASE("gather() returns at most the requested bytes") {
  Queue queue;
  fill_mixed(queue);
  const std::string all = queue.gathered();
  for (size_t max = 0; max <= all.size() + 1; ++max) {
    iovec vectors[Outbound::kMaxVectors];
    bool more = false;
    const int count = queue.out.gather(vectors, max, more);
    std::string bytes;
    for (int i = 0; i < count; ++i) {
      REQUIRE(vectors[i].iov_len > 0);
      bytes.append(static_cast<const char*>(vectors[i].iov_base), vectors[i].iov_len);
    }
    REQUIRE(bytes == all.substr(0, max));
  }
  queue.send_all();
}

TEST_CASE("clear() drops a queue with any segments, and it can be used again") {
  Queue queue;
  for (int round = 0; round < 3; ++round) {
    fill_mixed(queue);
    if (round == 1) queue.keep();
    if (round == 2) queue.send(20);
    queue.out.clear(queue.pool);
    queue.expected.clear();
    CHECK(queue.out.empty());
    CHECK(queue.pool.in_use() == 0);
    CHECK(queue.pool.blocks().in_use() == 0);
  }
  queue.append(10);
  queue.send_all();
}

TEST_CASE("random appends, sends and keeps lose and reorder no byte") {
  std::mt19937 random = seeded(20240607);
  const auto upto = [&](size_t max) { return std::uniform_int_distribution<size_t>(0, max)(random); };
  for (int round = 0; round < 200; ++round) {
    Queue queue(64 * 1024);
    for (int step = 0; step < 100; ++step) {
      switch (upto(8)) {
        case 0:
          queue.append(upto(200));
          break;
        case 1:
          queue.append_apart(upto(40));
          break;
        case 2:
          queue.append_pinned(upto(3) == 0 ? 0 : upto(9000), static_cast<uint32_t>(upto(1) * upto(30000)));
          break;
        case 6:
          queue.append_foreign(upto(100));
          break;
        case 7:
          queue.append_shared(1 + upto(100));
          break;
        case 3:
          queue.send(upto(12000));
          break;
        case 4:
          queue.keep();
          break;
        default:
          queue.send(upto(3));
          queue.keep();
          queue.append(upto(30) == 0 ? upto(2 * kBlock) : upto(20));
      }
    }
    queue.keep();
    if (upto(1) == 0) queue.send_all();
  }
}

TEST_CASE("small writes share blocks, whatever segments are between them") {
  constexpr size_t kRounds = 3000;
  Queue queue;
  std::vector<OutboundFile> files(kRounds);
  const char* between = nullptr;
  SUBCASE("pinned buffers") { between = "pinned"; }
  SUBCASE("broadcasts") { between = "shared"; }
  SUBCASE("files") { between = "file"; }
  SUBCASE("workers' writes") { between = "foreign"; }
  for (size_t i = 0; i < kRounds; ++i) {
    const std::string what = between;
    if (what == "pinned") queue.append_pinned(1);
    if (what == "shared") queue.append_shared(1);
    if (what == "file") REQUIRE(queue.out.append_file(queue.pool, files[i]));
    if (what == "foreign") queue.append_foreign(1);
    queue.append_apart(1);
    queue.keep();
  }
  CHECK(queue.pool.blocks().in_use() <= 2 * kRounds / kBlock + 1);
  // The overhead is counted, and ends with the segments.
  CHECK(queue.out.overhead() >= kRounds * 2 * QueueCost::kSegment);
  CHECK(queue.out.overhead() <= kRounds * (QueueCost::kSegment + QueueCost::kFile));
  CHECK(queue.pool.memory() >= queue.out.bytes());
  CHECK(queue.pool.memory() <= queue.out.bytes() + queue.out.overhead() + BlockPool::kBlockBytes);
  while (!queue.out.empty()) {
    while (OutboundFile* file = queue.out.front_file()) queue.out.remove_file(queue.pool, *file);
    queue.send(SIZE_MAX);
  }
  CHECK(queue.out.overhead() == 0);
}

TEST_CASE("a block is released when its bytes are sent, although the queue isn't empty") {
  Queue queue;
  queue.append_pinned(1);
  queue.append(3 * kBlock);
  CHECK(queue.pool.blocks().in_use() == 3);
  queue.append_shared(5);
  queue.send(1 + 3 * kBlock);
  CHECK(queue.pool.blocks().in_use() == 0);
  queue.append(1);
  queue.append_shared(5);
  queue.send(6);  // the block with room stays while the queue isn't empty
  CHECK(queue.pool.blocks().in_use() == 1);
  queue.append(1);
  CHECK(queue.pool.blocks().in_use() == 1);
  queue.send_all();
}

TEST_CASE("removing a file from the middle releases its cost") {
  Queue queue;
  OutboundFile file;
  queue.append(1);
  REQUIRE(queue.out.append_file(queue.pool, file));
  queue.append(1);
  queue.keep();
  CHECK(queue.out.overhead() == 2 * QueueCost::kSegment + QueueCost::kFile);
  queue.out.remove_file(queue.pool, file);
  CHECK(queue.out.overhead() == 2 * QueueCost::kSegment);
  queue.send_all();
}

TEST_CASE("a small part of a buffer pins it only until keep()") {
  Queue queue;
  queue.append_pinned(100, 101);
  CHECK(queue.pool.blocks().in_use() == 0);
  CHECK(queue.released(0) == 0);
  queue.append_pinned(100, 100);  // half of a buffer: pinned, and charged
  CHECK(queue.out.overhead() == QueueCost::kSegment + 100);
  queue.append_pinned(100, 101);  // behind a segment that stays
  CHECK(queue.released(2) == 1);
  CHECK(queue.pool.blocks().in_use() == 1);
  queue.keep();
  CHECK(queue.released(0) == 1);
  CHECK(queue.released(1) == 0);
  CHECK(queue.out.overhead() == 3 * QueueCost::kSegment + 100);
  queue.send_all();
  CHECK(queue.released(1) == 1);
}

TEST_CASE("a small part of a buffer that is sent before keep() is not copied") {
  Queue queue;
  queue.append(10);
  queue.append_pinned(100, 1000);
  queue.append(10);
  queue.send(60);
  CHECK(queue.pool.blocks().in_use() == 0);
  CHECK(queue.released(0) == 0);
  queue.send_all();
  CHECK(queue.released(0) == 1);
}

TEST_CASE("consume() returns the number of sent bytes that JavaScript didn't write") {
  Queue queue;
  queue.append(10);
  queue.append_foreign(20);
  queue.append_foreign(20);
  queue.append(10);
  queue.append_shared(5);
  CHECK(queue.out.consume(queue.pool, 15) == 5);
  CHECK(queue.out.consume(queue.pool, 35) == 35);
  CHECK(queue.out.consume(queue.pool, 15) == 5);
  queue.expected.clear();
}

TEST_CASE("a limit is exact to the byte, and applies to the overhead separately") {
  constexpr size_t kLimit = 100'000;
  CHECK_FALSE(over_limit(kLimit, kLimit, kLimit));
  CHECK(over_limit(kLimit + 1, 0, kLimit));
  CHECK(over_limit(0, kLimit + 1, kLimit));
  CHECK_FALSE(over_limit(1, QueueCost::kMin, 1));
  CHECK(over_limit(1, QueueCost::kMin + 1, 1));
  // Sizes beyond 32 bits.
  CHECK(over_limit(size_t{5} << 30, 0, size_t{4} << 30));
  CHECK_FALSE(over_limit(size_t{5} << 30, 0, size_t{6} << 30));
  Queue queue;
  queue.append(kLimit);
  CHECK_FALSE(queue.out.exceeds(kLimit));
  CHECK(queue.out.exceeds(kLimit, 1));
  queue.append(1);
  CHECK(queue.out.exceeds(kLimit));
  queue.send_all();
}
