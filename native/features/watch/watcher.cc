#include "native/features/watch/watcher.h"

#include "native/loop/loop.h"

namespace c1m {

namespace {

// Taken from the kernel in one turn, before connections have theirs. More come in the next.
constexpr int kPerTurn = 1024;

}  // namespace

void Watcher::serve(Loop& loop) {
  if (!ready_) return;
  for (int total = 0; total < kPerTurn; total += count_) {
    for (; next_ < count_; ++next_) {
      if (!tell(loop, taken_[next_])) return;
    }
    count_ = set_.take(taken_);
    next_ = 0;
    if (count_ == 0) {
      ready_ = false;
      return;
    }
  }
}

// False for want of room.
bool Watcher::tell(Loop& loop, const Watched& watched) {
  if (batch_ == loop.stats().batches) {
    const auto found = records_.find(watched.number);
    if (found != records_.end()) {
      loop.filling()->add_argument(found->second, watched.events);
      return true;
    }
  }
  if (!loop.emit(Event::kWatch, watched.events, watched.number, 0, 0)) return false;
  // That may have handed a full batch over, and begun the next.
  if (batch_ != loop.stats().batches) {
    batch_ = loop.stats().batches;
    records_.clear();
  }
  records_.emplace(watched.number, loop.filling()->count() - 1);
  return true;
}

}  // namespace c1m
