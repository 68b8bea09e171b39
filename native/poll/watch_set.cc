#include "native/poll/watch_set.h"

#include <cassert>
#include <memory>
#include <utility>

namespace c1m {

namespace {

uint8_t interest_of(uint8_t watched) {
  uint8_t interest = 0;
  if ((watched & Watched::kReadable) != 0) interest |= Interest::kRead | Interest::kHangup;
  if ((watched & Watched::kWritable) != 0) interest |= Interest::kWrite;
  if ((watched & Watched::kPriority) != 0) interest |= Interest::kPriority;
  return interest;
}

uint8_t events_of(const Readiness& ready) {
  uint8_t events = 0;
  if (ready.readable) events |= Watched::kReadable;
  if (ready.writable) events |= Watched::kWritable;
  if (ready.hangup) events |= Watched::kHangup;
  if (ready.error) events |= Watched::kError;
  if (ready.priority) events |= Watched::kPriority;
  return events;
}

}  // namespace

WatchSet::~WatchSet() { delete inner_.load(std::memory_order_relaxed); }

Result<void> WatchSet::open(const Poller& poller) {
  if (inner_.load(std::memory_order_relaxed) != nullptr) return {};
  Result<Poller> made = Poller::create_nested(kMaxEvents);
  if (!made) return made.error();
  auto inner = std::make_unique<Poller>(std::move(made.value()));
  inner_.store(inner.get(), std::memory_order_release);
  const Result<void> nested = poller.add_nested(*inner, kWord);
  if (!nested) {
    inner_.store(nullptr, std::memory_order_relaxed);
    return nested;
  }
  (void)inner.release();
  return {};
}

std::vector<int> WatchSet::descriptors() const {
  const Poller* inner = inner_.load(std::memory_order_relaxed);
  return inner == nullptr ? std::vector<int>{} : inner->descriptors();
}

Result<void> WatchSet::add(const Poller& poller, int fd, uint8_t interest, uint32_t number) {
  const Result<void> opened = open(poller);
  if (!opened) return opened;
  return inner_.load(std::memory_order_relaxed)->add_edges(fd, number, interest_of(interest));
}

void WatchSet::remove(int fd) {
  Poller* inner = inner_.load(std::memory_order_relaxed);
  assert(inner != nullptr);  // made by the first add()
  inner->remove(fd);
}

int WatchSet::take(Watched (&watched)[kMaxEvents]) {
  Poller* inner = inner_.load(std::memory_order_acquire);
  assert(inner != nullptr);  // the poller has reported it
  int count = 0;
  // Without a sleep no signal interrupts the call: no readiness means that nothing is left, and not EINTR.
  for (const Readiness& ready : inner->wait(0)) {
    watched[count++] = Watched{static_cast<uint32_t>(ready.word), events_of(ready)};
  }
  return count;
}

}  // namespace c1m
