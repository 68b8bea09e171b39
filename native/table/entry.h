#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "native/conn/connection.h"
#include "native/mem/slab.h"
#include "native/table/extras.h"
#include "native/table/timer_wheel.h"

namespace c1m {

// A connection with its places in the loop's lists and in its timer wheel.
struct Entry : Connection {
  uint32_t ready_next = 0;
  uint32_t flush_next = 0;
  TimerNode timer;
  uint32_t timeout_ms = 0;   // idle timeout, 0 for none
  uint32_t last_active = 0;  // tick of the last byte read or written
  std::unique_ptr<Extras> extras;

  [[nodiscard]] Extras& need_extras() {
    if (extras == nullptr) extras = std::make_unique<Extras>();
    return *extras;
  }
  // An idle connection holds no memory.
  void tidy() {
    if (extras != nullptr && extras->empty()) extras.reset();
  }
};

using EntrySlab = Slab<Entry>;

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
    const uint32_t slot = first_;
    Entry& entry = entries_[slot];
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

// Connections with something to read or to tell. They need room in an event batch.
using ReadyList = SlotList<&Entry::ready_next, Connection::kInReady>;
// Connections with bytes to send and a socket that may take them. They don't: a blocked JS thread stops no write. What is new
// is in the one, and has its turn immediately; what takes longer is in the other, and has a part of each turn.
constexpr uint32_t kToSend = Connection::kInFlush | Connection::kInBulk;
using FlushList = SlotList<&Entry::flush_next, Connection::kInFlush, kToSend>;
using BulkList = SlotList<&Entry::flush_next, Connection::kInBulk, kToSend>;

}  // namespace c1m
