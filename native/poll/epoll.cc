#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cstdlib>

#include "native/poll/poller.h"

namespace c1m {

namespace {

constexpr uint32_t kStreamEdge = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;

uint32_t level_events(uint8_t interest) {
  uint32_t events = 0;
  if (interest & Interest::kRead) events |= EPOLLIN;
  if (interest & Interest::kWrite) events |= EPOLLOUT;
  if (interest & Interest::kHangup) events |= EPOLLRDHUP;
  // EPOLLERR and EPOLLHUP can't be switched off (epoll_ctl(2)). On a connection that is not read now, because it is paused
  // or the batch is full, they would be reported for ever: as an edge they come once.
  if (!(interest & Interest::kRead)) events |= EPOLLET;
  return events;
}

Result<void> control(int poll, int operation, int fd, uint32_t events, uint64_t word) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = word;
  if (::epoll_ctl(poll, operation, fd, &event) == 0) return {};
  return Error::last("epoll_ctl");
}

}  // namespace

Poller::Poller(Fd poll, Fd wake, Trigger trigger)
    : poll_(std::move(poll)), wake_(std::move(wake)), trigger_(trigger), ready_{} {}

Result<Poller> Poller::create(Trigger trigger) {
  Fd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll.valid()) return Error::last("epoll_create1");
  Fd wake(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!wake.valid()) return Error::last("eventfd");
  // Edge-triggered, an eventfd reports each write and never needs to be read: one system call less a wake-up.
  Result<void> added = control(poll.get(), EPOLL_CTL_ADD, wake.get(), EPOLLIN | EPOLLET, kWakeWord);
  if (!added) return added.error();
  return Poller(std::move(poll), std::move(wake), trigger);
}

Result<void> Poller::add(int fd, uint64_t word) {
  const uint32_t events = trigger_ == Trigger::kEdge ? kStreamEdge : level_events(Interest::kAll);
  return control(poll_.get(), EPOLL_CTL_ADD, fd, events, word);
}

Result<void> Poller::add_listener(int fd, uint64_t word) {
  const uint32_t events = trigger_ == Trigger::kEdge ? uint32_t{EPOLLIN | EPOLLET} : uint32_t{EPOLLIN};
  return control(poll_.get(), EPOLL_CTL_ADD, fd, events, word);
}

Result<void> Poller::add_waker(int fd) { return control(poll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, kWakeWord); }

Result<void> Poller::add_nested(int poll) const {
  return control(poll_.get(), EPOLL_CTL_ADD, poll, EPOLLIN | EPOLLET, kNestedWord);
}

void Poller::remove(int fd) {
  // It can only fail for a descriptor that is not registered, and then there is nothing to undo.
  (void)control(poll_.get(), EPOLL_CTL_DEL, fd, 0, 0);
}

void Poller::rearm(int fd, uint64_t word, uint8_t interest) {
  (void)control(poll_.get(), EPOLL_CTL_MOD, fd, level_events(interest), word);
}

std::span<const Readiness> Poller::wait(int timeout_ms) {
  epoll_event events[kMaxEvents];
  const int count = ::epoll_wait(poll_.get(), events, kMaxEvents, timeout_ms);
  if (count < 0) {
    // EINTR is an empty turn. Anything else (EBADF, EINVAL, EFAULT) means that our own state is broken, and every
    // further turn would spin on it.
    if (errno == EINTR) return {};
    std::abort();
  }
  size_t kept = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t bits = events[i].events;
    if (events[i].data.u64 == kWakeWord) continue;
    ready_[kept++] = Readiness{
        .word = events[i].data.u64,
        .readable = (bits & EPOLLIN) != 0,
        .writable = (bits & EPOLLOUT) != 0,
        .hangup = (bits & (EPOLLRDHUP | EPOLLHUP | EPOLLPRI)) != 0,
        .error = (bits & EPOLLERR) != 0,
    };
  }
  return {ready_, kept};
}

void Poller::wake() const {
  const uint64_t one = 1;
  // It can't fail: the counter would have to be read never and written 2^64 times.
  (void)!::write(wake_.get(), &one, sizeof one);
}

}  // namespace c1m
