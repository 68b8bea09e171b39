#include "native/poll/watch_set.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace c1m {

WatchSet::~WatchSet() { Fd(poll_.load(std::memory_order_relaxed)).reset(); }

Result<void> WatchSet::open(const Poller& poller) {
  if (descriptor() >= 0) return {};
  Fd made(::epoll_create1(EPOLL_CLOEXEC));
  if (!made.valid()) return Error::last("epoll_create1");
  poll_.store(made.get(), std::memory_order_release);
  const Result<void> nested = poller.add_nested(made.get());
  if (!nested) {
    poll_.store(-1, std::memory_order_relaxed);
    return nested;
  }
  (void)made.release();
  return {};
}

Result<void> WatchSet::add(const Poller& poller, int fd, uint8_t interest, uint32_t number) {
  const Result<void> opened = open(poller);
  if (!opened) return opened;
  epoll_event event{};
  event.events = EPOLLET;
  if ((interest & Watched::kReadable) != 0) event.events |= EPOLLIN | EPOLLRDHUP;
  if ((interest & Watched::kWritable) != 0) event.events |= EPOLLOUT;
  if ((interest & Watched::kPriority) != 0) event.events |= EPOLLPRI;
  event.data.u32 = number;
  if (::epoll_ctl(descriptor(), EPOLL_CTL_ADD, fd, &event) != 0) return Error::last("epoll_ctl");
  return {};
}

void WatchSet::remove(int fd) const {
  epoll_event event{};
  (void)::epoll_ctl(poll_.load(std::memory_order_relaxed), EPOLL_CTL_DEL, fd, &event);
}

int WatchSet::take(Watched* watched, int most) const {
  epoll_event events[kMost];
  const int count = ::epoll_wait(poll_.load(std::memory_order_acquire), events, std::min(most, kMost), 0);
  for (int i = 0; i < count; ++i) {
    const uint32_t bits = events[i].events;
    uint8_t told = 0;
    if ((bits & EPOLLIN) != 0) told |= Watched::kReadable;
    if ((bits & EPOLLOUT) != 0) told |= Watched::kWritable;
    if ((bits & (EPOLLHUP | EPOLLRDHUP)) != 0) told |= Watched::kHangup;
    if ((bits & EPOLLERR) != 0) told |= Watched::kError;
    if ((bits & EPOLLPRI) != 0) told |= Watched::kPriority;
    watched[i] = Watched{events[i].data.u32, told};
  }
  // EINTR can't be, as it doesn't wait (epoll_wait(2)); and anything else would come again for ever.
  return std::max(count, 0);
}

}  // namespace c1m
