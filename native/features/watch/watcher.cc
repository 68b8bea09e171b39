#include "native/features/watch/watcher.h"

namespace c1m {

namespace {

// Taken from the kernel in one turn, before connections have theirs. More come in the next.
constexpr int kPerTurn = 1024;

}  // namespace

void Watcher::serve() {
  if (!ready_) return;
  for (int total = 0; total < kPerTurn; total += count_) {
    for (; next_ < count_; ++next_) {
      if (!deliver(taken_[next_])) return;
    }
    count_ = set_.take(taken_);
    next_ = 0;
    if (count_ == 0) {
      ready_ = false;
      return;
    }
  }
}

// False for lack of room.
bool Watcher::deliver(const Watched& watched) {
  if (batch_ == stats_.batches) {
    const auto found = records_.find(watched.number);
    if (found != records_.end()) {
      events_.filling()->add_argument(found->second, watched.events);
      return true;
    }
  }
  if (!events_.emit(Event::kWatch, watched.events, watched.number, 0, 0)) return false;
  // That may have published a full batch, and begun the next.
  if (batch_ != stats_.batches) {
    batch_ = stats_.batches;
    records_.clear();
  }
  records_.emplace(watched.number, events_.filling()->count() - 1);
  return true;
}

}  // namespace c1m
