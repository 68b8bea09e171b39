#include "native/mem/reserve.h"

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>

namespace c1m::reserve {

namespace {

// malloc(3) of a thread that isn't the main one takes a page for each small block where its heap can't grow: this is a thousand
// of them.
constexpr size_t kBytes = size_t{4} * 1024 * 1024;

// Both under the mutex. `memory` is looked at without it, too: whether it is null says nothing of other memory, so that the
// order is relaxed.
std::mutex mutex;
std::atomic<void*> memory{nullptr};
std::new_handler before = nullptr;

// What `operator new` calls where it finds nothing; then it tries again. A thread that comes while another one gives back waits
// for that, and finds some.
void give_back() {
  const std::scoped_lock lock(mutex);
  if (void* kept = memory.exchange(nullptr, std::memory_order_relaxed); kept != nullptr) {
    (void)::munmap(kept, kBytes);
  } else {
    // With none of ours left it is for whoever was there before; without anybody `operator new` gives up
    // ([new.delete.single]).
    std::set_new_handler(before);
  }
}

}  // namespace

bool is_there() { return memory.load(std::memory_order_relaxed) != nullptr; }

bool refill() {
  if (is_there()) return true;
  const std::scoped_lock lock(mutex);
  if (is_there()) return true;
  void* kept = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (kept == MAP_FAILED) return false;
  if (const std::new_handler now = std::set_new_handler(give_back); now != give_back) before = now;
  memory.store(kept, std::memory_order_relaxed);
  return true;
}

}  // namespace c1m::reserve
