#pragma once

#include <cassert>
#include <cstdint>

#include "native/table/entry.h"

namespace c1m {

// A first-in-first-out list of slots, linked through a member of the entries. An entry is in it once at most, and not in
// another list that is linked through the same member: it is in one of them if it has any of the flags `Linked`.
template <uint32_t Entry::*Next, uint32_t Member, uint32_t Linked = Member>
class SlotList {
 public:
  explicit SlotList(EntrySlab& entries) : entries_(entries) {}

  void push(uint32_t slot) {
    Entry& entry = entries_[slot];
    if (entry.has(Linked)) return;
    entry.set(Member);
    entry.*Next = EntrySlab::kNone;
    if (last_ == EntrySlab::kNone) {
      first_ = slot;
    } else {
      entries_[last_].*Next = slot;
    }
    last_ = slot;
    ++size_;
  }

  [[nodiscard]] uint32_t pop() {
    assert(size_ > 0);
    const uint32_t slot = first_;
    Entry& entry = entries_[slot];
    assert(entry.has(Member));
    entry.unset(Member);
    first_ = entry.*Next;
    if (first_ == EntrySlab::kNone) last_ = EntrySlab::kNone;
    --size_;
    return slot;
  }

  [[nodiscard]] bool empty() const { return size_ == 0; }
  [[nodiscard]] uint32_t size() const { return size_; }

 private:
  EntrySlab& entries_;
  uint32_t first_ = EntrySlab::kNone;
  uint32_t last_ = EntrySlab::kNone;
  uint32_t size_ = 0;
};

// Connections with something to read or to deliver. They need room in an event batch.
using ReadyList = SlotList<&Entry::ready_next, Connection::kInReady>;
// Connections with bytes to send and a socket that may take them. They need none: a blocked JS thread stops no write. What is
// new is in the flush list, and has its turn immediately; what takes longer is in the bulk list, and has a part of each turn.
using FlushList = SlotList<&Entry::flush_next, Connection::kInFlush, Connection::kToSend>;
using BulkList = SlotList<&Entry::flush_next, Connection::kInBulk, Connection::kToSend>;

}  // namespace c1m
