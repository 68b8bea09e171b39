#pragma once

#include <memory>

#include "native/table/entry.h"
#include "native/table/framing_table.h"

namespace c1m {

// How the bytes of each connection are cut into frames.
// Owner: one loop. Thread: the loop's.
class Framings {
 public:
  // Of a connection that has one.
  [[nodiscard]] const Framing& of(const Entry& entry) const {
    return entry.framing == FramingTable::kOwn ? *entry.extras->own_framing : rows_[entry.framing];
  }
  // Null for none. What the framer knows of its bytes is of the framing before.
  void set(Entry& entry, const Framing* framing) {
    rows_.release(entry.framing);
    entry.framing = framing == nullptr ? FramingTable::kNone : rows_.acquire(*framing);
    if (entry.extras != nullptr) {
      entry.extras->own_framing.reset();
      if (entry.extras->framer != nullptr) entry.extras->framer->forget_search();
    }
    if (entry.framing == FramingTable::kOwn) {
      entry.need_extras().own_framing = std::make_unique<const Framing>(*framing);
    }
    entry.tidy();
  }

 private:
  FramingTable rows_;
};

}  // namespace c1m
