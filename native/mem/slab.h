#pragma once

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>

namespace c1m {

// Slots of T that never move, each with a generation that tells a later tenant from an earlier one.
//
//   chunks_ ─▶ [ ptr | ptr | … ]      of its full length from the start: readers on another thread may follow
//                │                    a chunk's pointer while later chunks are added
//                ▼
//              [ slot 0 | slot 1 | … | slot 1023 ]
//                 │ free: linked through `next_free`, oldest first, so that a slot rests as long as it can
//
// Invariants: a slot's generation is in 1 … kLastGeneration and changes on release; `live()` counts the allocated slots.
// Owner: one loop. Thread: the loop's; another thread may read a live slot's constant fields.
template <class T>
class Slab {
 public:
  static constexpr uint32_t kNone = UINT32_MAX;
  // 23 bits: with 24 bits of slot and 6 of thread, a connection's identity is a safe integer in JavaScript.
  static constexpr uint32_t kLastGeneration = (1u << 23) - 1;

  explicit Slab(uint32_t capacity)
      : chunks_(std::make_unique<std::unique_ptr<Slot, EndChunk>[]>((size_t{capacity} + kChunk - 1) / kChunk)),
        capacity_(capacity) {}

  // The index of a fresh, value-initialised slot, or kNone at capacity, and for lack of memory.
  [[nodiscard]] uint32_t allocate() {
    uint32_t index = oldest_free_;
    if (index != kNone) {
      oldest_free_ = slot(index).next_free;
      if (oldest_free_ == kNone) newest_free_ = kNone;
    } else {
      if (used_ == capacity_) return kNone;
      if (used_ % kChunk == 0 && !add_chunk()) return kNone;
      index = used_++;
    }
    ++live_;
    return index;
  }

  void release(uint32_t index) {
    Slot& freed = slot(index);
    freed.value = T{};
    freed.generation = freed.generation == kLastGeneration ? 1 : freed.generation + 1;
    freed.next_free = kNone;
    if (newest_free_ == kNone) {
      oldest_free_ = index;
    } else {
      slot(newest_free_).next_free = index;
    }
    newest_free_ = index;
    --live_;
  }

  [[nodiscard]] T& operator[](uint32_t index) { return slot(index).value; }
  // Starts to fetch a slot into the cache; any index will do.
  void prefetch(uint32_t index) const {
    if (index >= used_) return;
    const auto* address = reinterpret_cast<const char*>(&slot(index));
    for (size_t offset = 0; offset < sizeof(Slot); offset += 64) __builtin_prefetch(address + offset);
  }
  [[nodiscard]] uint32_t generation(uint32_t index) const { return slot(index).generation; }

  // The slot, if it exists and still is of this generation. Whether it is allocated is T's to know.
  [[nodiscard]] T* find(uint32_t index, uint32_t generation) {
    if (index >= used_ || slot(index).generation != generation) return nullptr;
    return &slot(index).value;
  }

  [[nodiscard]] uint32_t live() const { return live_; }
  [[nodiscard]] bool full() const { return live_ == capacity_; }
  // One past the highest index ever allocated.
  [[nodiscard]] uint32_t used() const { return used_; }

 private:
  static constexpr uint32_t kChunk = 1024;

  struct Slot {
    T value{};
    uint32_t generation = 1;
    uint32_t next_free = kNone;
  };

  struct EndChunk {
    void operator()(Slot* first) const {
      std::destroy_n(first, kChunk);
      std::free(first);
    }
  };

  // Connections are as many as peers make: malloc(3) leaves the process's spare memory alone.
  [[nodiscard]] bool add_chunk() {
    static_assert(alignof(Slot) <= alignof(std::max_align_t));
    auto* first = static_cast<Slot*>(std::malloc(kChunk * sizeof(Slot)));
    if (first == nullptr) return false;
    std::uninitialized_value_construct_n(first, kChunk);
    chunks_[used_ / kChunk].reset(first);
    return true;
  }

  // On another thread, too: it looks at nothing that allocate() changes.
  Slot& slot(uint32_t index) {
    assert(index < capacity_);
    return chunks_[index / kChunk].get()[index % kChunk];
  }
  const Slot& slot(uint32_t index) const { return chunks_[index / kChunk].get()[index % kChunk]; }

  std::unique_ptr<std::unique_ptr<Slot, EndChunk>[]> chunks_;
  uint32_t capacity_;
  uint32_t used_ = 0;
  uint32_t live_ = 0;
  uint32_t oldest_free_ = kNone;
  uint32_t newest_free_ = kNone;
};

}  // namespace c1m
