#pragma once

#include <array>
#include <cstdint>

#include "native/conn/framing.h"

namespace c1m {

// The framings in use on a loop, so that a connection needs a byte to name its own: a listener's connections all have
// the same one. Owner: one loop. Thread: the loop's.
class FramingTable {
 public:
  static constexpr uint8_t kNone = 0;   // no framing
  static constexpr uint8_t kOwn = 255;  // no row was free: the connection keeps it itself

  // The row of an equal framing, or a free one; kOwn if there is none.
  [[nodiscard]] uint8_t acquire(const Framing& framing) {
    uint8_t free = kOwn;
    for (uint8_t id = end_ - 1; id > kNone; --id) {
      Row& row = rows_[id];
      if (row.uses == 0) {
        free = id;
      } else if (row.framing == framing) {
        ++row.uses;
        return id;
      }
    }
    if (free == kOwn && end_ < kOwn) free = end_++;
    if (free != kOwn) rows_[free] = Row{framing, 1};
    return free;
  }
  void release(uint8_t id) {
    if (id != kNone && id != kOwn) --rows_[id].uses;
  }
  [[nodiscard]] const Framing& operator[](uint8_t id) const { return rows_[id].framing; }

 private:
  struct Row {
    Framing framing;
    uint32_t uses = 0;
  };
  std::array<Row, kOwn> rows_{};
  uint8_t end_ = 1;  // past the last row that was ever used; that is seldom the third
};

}  // namespace c1m
