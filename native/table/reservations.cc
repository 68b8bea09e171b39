#include "native/table/reservations.h"

namespace c1m {

namespace {

// Gives back what an item that is dropped holds.
void drop_one(OutboundPool& pool, const Deferred& one) {
  if (one.pinned.owner != nullptr) pool.released().push_back(one.pinned.owner);
  if (one.shared == nullptr) return;
  ++one.shared->dropped;
  pool.release(one.shared);
}

}  // namespace

bool Reserved::defer(OutboundPool& pool, Deferred one) {
  if (error == 0) {
    bytes += one.size();
    const size_t overhead = (deferred.size() + 1) * sizeof(Deferred);
    if (over_limit(bytes, overhead, max_write_queue)) fail(pool, static_cast<int>(OwnError::kWriteQueueFull));
  }
  if (error != 0 && one.request == nullptr) {
    drop_one(pool, one);
  } else {
    deferred.push_back(std::move(one));
  }
  return error == 0;
}

void Reserved::drop(OutboundPool& pool) {
  std::erase_if(deferred, [&](const Deferred& one) {
    if (one.request == nullptr) drop_one(pool, one);
    return one.request == nullptr;
  });
}

}  // namespace c1m
