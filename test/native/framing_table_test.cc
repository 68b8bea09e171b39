#include "native/table/framing_table.h"

#include <doctest/doctest.h>

#include "test/native/frames.h"

using namespace c1m;

TEST_CASE("equal framings share a row, which is free again after its last release") {
  FramingTable table;
  const uint8_t lines = table.acquire(delimited("\n"));
  const uint8_t words = table.acquire(delimited(" "));
  CHECK(lines != words);
  CHECK(table.acquire(delimited("\n")) == lines);
  CHECK(table[lines] == delimited("\n"));
  table.release(lines);
  CHECK(table.acquire(prefixed(2)) != lines);
  table.release(lines);
  CHECK(table.acquire(prefixed(4)) == lines);
}

TEST_CASE("acquire() returns kOwn when no row is free, and releasing that has no effect") {
  FramingTable table;
  for (int i = 0; i < FramingTable::kOwn - 1; ++i) {
    CHECK(table.acquire(delimited(std::to_string(i))) != FramingTable::kOwn);
  }
  CHECK(table.acquire(delimited("more")) == FramingTable::kOwn);
  table.release(FramingTable::kOwn);
  table.release(FramingTable::kNone);
  CHECK(table.acquire(delimited("7")) != FramingTable::kOwn);
}
