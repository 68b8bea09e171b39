#include "native/mem/spare_memory.h"

#include <sys/mman.h>

#include <atomic>
#include <cstddef>
#include <mutex>
#include <new>

namespace c1m::spare_memory {

namespace {

// malloc(3) of a thread that isn't the main one takes a page for each small block where its heap can't grow: this is a thousand
// of them.
constexpr size_t kBytes = size_t{4} * 1024 * 1024;

// Under the mutex. `memory` is looked at without it, too: whether it is null says nothing of other memory, so that the order is
// relaxed.
std::mutex mutex;
std::atomic<void*> memory{nullptr};
// The handler that was there first, and none that came later: those may call this one, and it them, in a circle.
bool came = false;
std::new_handler before = nullptr;

// What `operator new` calls where it finds nothing; then it tries again. A thread that comes while another one gives back waits
// for that, and finds some.
void give_back() {
  std::unique_lock lock(mutex);
  if (void* kept = memory.exchange(nullptr, std::memory_order_relaxed); kept != nullptr) {
    (void)::munmap(kept, kBytes);
    return;
  }
  // With none left it is for the handler that was there before; without one `operator new` fails
  // ([new.delete.single]).
  if (before == nullptr) {
    std::set_new_handler(nullptr);
    return;
  }
  lock.unlock();
  before();
}

}  // namespace

bool is_there() { return memory.load(std::memory_order_relaxed) != nullptr; }

bool refill() {
  if (is_there()) return true;
  const std::scoped_lock lock(mutex);
  if (is_there()) return true;
  void* kept = ::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (kept == MAP_FAILED) return false;
  if (!came) before = std::set_new_handler(give_back);
  came = true;
  // The handler was uninstalled when it had nothing left; the one before it may have installed itself again since.
  const std::new_handler now = std::get_new_handler();
  if (now == nullptr || now == before) std::set_new_handler(give_back);
  memory.store(kept, std::memory_order_relaxed);
  return true;
}

}  // namespace c1m::spare_memory
