// Batches of events and of commands: their contents, and when they are full.
#include <doctest/doctest.h>

#include <memory>
#include <vector>

#include "native/exchange/command_batch.h"
#include "native/exchange/event_batch.h"

using namespace c1m;

TEST_CASE("an event batch writes records one after the other, until has_record() is false") {
  // The last word lies beyond the batch, which must not write it.
  std::vector<uint32_t> records(EventBatch::kRecords * EventBatch::kRecordWords + 1, 0xabcdef);
  EventBatch batch(records.data());
  for (uint32_t i = 0; i < EventBatch::kRecords; ++i) {
    REQUIRE(batch.has_record());
    batch.append(Event::kData, i, i + 1, i + 2, i + 3);
  }
  CHECK_FALSE(batch.has_record());
  CHECK(batch.count() == EventBatch::kRecords);
  CHECK(records.back() == 0xabcdef);
  for (uint32_t i = 0; i < EventBatch::kRecords; ++i) {
    const uint32_t* record = records.data() + i * EventBatch::kRecordWords;
    REQUIRE((record[0] & 0xff) == static_cast<uint32_t>(Event::kData));
    REQUIRE((record[0] >> 8) == i);
    REQUIRE(record[1] == i + 1);
    REQUIRE(record[2] == i + 2);
    REQUIRE(record[3] == i + 3);
  }
}

TEST_CASE("a batch has room for a read while a record and enough bytes of that mode's slab are free") {
  std::vector<uint32_t> records(EventBatch::kRecords * EventBatch::kRecordWords);
  EventBatch batch(records.data());
  CHECK_FALSE(batch.has_room(ReadMode::kOwned));
  batch.slab(ReadMode::kOwned).size = EventBatch::kMinRead;
  CHECK(batch.has_room(ReadMode::kOwned));
  CHECK_FALSE(batch.has_room(ReadMode::kBorrowed));
  batch.slab(ReadMode::kOwned).used = 1;
  CHECK_FALSE(batch.has_room(ReadMode::kOwned));
  batch.slab(ReadMode::kBorrowed).size = 1 << 20;
  CHECK(batch.has_room(ReadMode::kBorrowed));
  while (batch.has_record()) batch.append(Event::kEnd, 0, 0, 0, 0);
  CHECK_FALSE(batch.has_room(ReadMode::kBorrowed));
}

TEST_CASE("reset() clears a batch, but keeps the position in its owned slab") {
  std::vector<uint32_t> records(EventBatch::kRecords * EventBatch::kRecordWords);
  EventBatch batch(records.data());
  batch.slab(ReadMode::kOwned) = {.data = nullptr, .size = 1 << 20, .used = 5000};
  batch.slab(ReadMode::kBorrowed) = {.data = nullptr, .size = 1 << 20, .used = 6000};
  batch.append(Event::kClose, 0, 3, 0, 0);
  batch.closed.push_back(3);
  batch.reset();
  CHECK(batch.count() == 0);
  CHECK(batch.closed.empty());
  CHECK(batch.slab(ReadMode::kOwned).used == 5000);
  CHECK(batch.slab(ReadMode::kBorrowed).used == 0);
}

TEST_CASE("bytes() returns null for a range that isn't inside the arena") {
  const std::vector<uint32_t> records(4 * CommandBatch::kRecordWords);
  const std::vector<uint8_t> arena(100);
  const CommandBatch batch(records.data(), 4, arena.data(), 100);
  CHECK(batch.capacity() == 4);
  CHECK(batch.record(3) == records.data() + 15);
  CHECK(batch.bytes(0, 100) == arena.data());
  CHECK(batch.bytes(100, 0) == arena.data() + 100);
  CHECK(batch.bytes(99, 1) == arena.data() + 99);
  CHECK(batch.bytes(99, 2) == nullptr);
  CHECK(batch.bytes(101, 0) == nullptr);
  CHECK(batch.bytes(1, UINT32_MAX) == nullptr);
  CHECK(batch.bytes(UINT32_MAX, 1) == nullptr);
}
