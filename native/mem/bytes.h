#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>

namespace c1m {

// Memory of malloc(3).
struct FreeMemory {
  void operator()(void* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<uint8_t, FreeMemory>;

// As realloc(3). False if there is no memory: then it is as it was.
[[nodiscard]] inline bool reallocate(Memory& memory, size_t size) {
  auto* moved = static_cast<uint8_t*>(std::realloc(memory.get(), size));
  if (moved == nullptr) return false;
  (void)memory.release();
  memory.reset(moved);
  return true;
}

// Bytes of which users or peers decide how many there are. There may be no memory for them, and the caller learns of it:
// malloc(3), unlike `operator new`, leaves the process's spare memory alone.
class Bytes {
 public:
  Bytes() = default;
  Bytes(Bytes&& other) noexcept
      : memory_(std::move(other.memory_)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  Bytes& operator=(Bytes&& other) noexcept {
    memory_ = std::move(other.memory_);
    size_ = std::exchange(other.size_, 0);
    capacity_ = std::exchange(other.capacity_, 0);
    return *this;
  }

  [[nodiscard]] const uint8_t* data() const { return memory_.get(); }
  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] bool empty() const { return size_ == 0; }

  // Makes room for this number in all. False if there is no memory: then it is as it was. So for append().
  [[nodiscard]] bool make_room(size_t capacity) {
    if (capacity <= capacity_) return true;
    if (!reallocate(memory_, capacity)) return false;
    capacity_ = capacity;
    return true;
  }
  [[nodiscard]] bool append(const uint8_t* data, size_t count) {
    if (count == 0) return true;
    const size_t all = size_ + count;
    if (all > capacity_ && !make_room(std::max(all, capacity_ * 2)) && !make_room(all)) return false;
    std::memcpy(memory_.get() + size_, data, count);
    size_ += count;
    return true;
  }

 private:
  Memory memory_;
  size_t size_ = 0;
  size_t capacity_ = 0;
};

}  // namespace c1m
