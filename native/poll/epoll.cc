#include <sys/epoll.h>

#include <cassert>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "native/poll/poller.h"

namespace c1m {

namespace {

constexpr uint32_t kStreamEdge = EPOLLIN | EPOLLOUT | EPOLLPRI | EPOLLRDHUP | EPOLLET;

// No add() has it: a connection's word has a generation that isn't all ones, a listener's is small.
constexpr uint64_t kWakeWord = UINT64_MAX;

uint32_t events_of(uint8_t interest) {
  uint32_t events = 0;
  if (interest & Interest::kRead) events |= EPOLLIN;
  if (interest & Interest::kWrite) events |= EPOLLOUT;
  if (interest & Interest::kHangup) events |= EPOLLRDHUP;
  if (interest & Interest::kPriority) events |= EPOLLPRI;
  return events;
}

uint32_t level_events(uint8_t interest) {
  // EPOLLERR and EPOLLHUP can't be switched off (epoll_ctl(2)). On a connection that is not read now, because it is paused
  // or the batch is full, they would be reported for ever: as an edge they come once.
  const bool reads = (interest & Interest::kRead) != 0;
  return reads ? events_of(interest) : events_of(interest) | EPOLLET;
}

Result<void> control(int poll, int operation, int fd, uint32_t events, uint64_t word) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = word;
  if (::epoll_ctl(poll, operation, fd, &event) == 0) return {};
  return Error::last("epoll_ctl");
}

}  // namespace

Poller::Poller(Fd poll, Trigger trigger, int max_events)
    : poll_(std::move(poll)),
      trigger_(trigger),
      max_events_(max_events),
      ready_(std::make_unique_for_overwrite<Readiness[]>(static_cast<size_t>(max_events))) {
  assert(max_events > 0 && max_events <= kMaxEvents);
}

Result<Poller> Poller::open(Trigger trigger, int max_events) {
  Fd poll(::epoll_create1(EPOLL_CLOEXEC));
  if (!poll.valid()) return Error::last("epoll_create1");
  return Poller(std::move(poll), trigger, max_events);
}

Result<Poller> Poller::create(Trigger trigger) {
  Result<Poller> opened = open(trigger, kMaxEvents);
  if (!opened) return opened;
  Result<Waker> waker = Waker::create();
  if (!waker) return waker.error();
  const Result<void> added = opened.value().add_waker(waker.value().descriptor());
  if (!added) return added.error();
  opened.value().waker_ = std::move(waker.value());
  return opened;
}

Result<Poller> Poller::create_nested(int max_events) { return open(Trigger::kEdge, max_events); }

Result<void> Poller::add(int fd, uint64_t word) {
  assert(word != kWakeWord);
  const uint32_t events = trigger_ == Trigger::kEdge ? kStreamEdge : level_events(Interest::kAll);
  return control(poll_.get(), EPOLL_CTL_ADD, fd, events, word);
}

Result<void> Poller::add_listener(int fd, uint64_t word) {
  const uint32_t events = trigger_ == Trigger::kEdge ? uint32_t{EPOLLIN | EPOLLET} : uint32_t{EPOLLIN};
  return control(poll_.get(), EPOLL_CTL_ADD, fd, events, word);
}

Result<void> Poller::add_edges(int fd, uint64_t word, uint8_t interest) {
  return control(poll_.get(), EPOLL_CTL_ADD, fd, events_of(interest) | EPOLLET, word);
}

Result<void> Poller::add_nested(const Poller& inner, uint64_t word) const {
  return control(poll_.get(), EPOLL_CTL_ADD, inner.poll_.get(), EPOLLIN | EPOLLET, word);
}

// As an edge, an eventfd reports each write and never needs to be read: one system call less a wake-up.
Result<void> Poller::add_waker(int fd) { return control(poll_.get(), EPOLL_CTL_ADD, fd, EPOLLIN | EPOLLET, kWakeWord); }

void Poller::remove(int fd) {
  // It can only fail for a descriptor that is not registered, and then there is nothing to undo.
  (void)control(poll_.get(), EPOLL_CTL_DEL, fd, 0, 0);
}

void Poller::rearm(int fd, uint64_t word, uint8_t interest) {
  assert(trigger_ == Trigger::kLevel);
  (void)control(poll_.get(), EPOLL_CTL_MOD, fd, level_events(interest), word);
}

std::span<const Readiness> Poller::wait(int timeout_ms) {
  epoll_event events[kMaxEvents];
  const int count = ::epoll_wait(poll_.get(), events, max_events_, timeout_ms);
  if (count < 0) {
    // EINTR is an empty turn. The other errors of epoll_wait(2), EBADF, EINVAL and EFAULT, don't depend on the system: the
    // instance is broken, by a bug of ours or by a program that closes a descriptor that isn't its own. No later call would
    // succeed, and a loop that ignores it would spin and deliver nothing. libuv ends the process there as well.
    if (errno == EINTR) return {};
    std::abort();
  }
  Readiness* const ready = ready_.get();
  size_t kept = 0;
  for (int i = 0; i < count; ++i) {
    const uint32_t bits = events[i].events;
    if (events[i].data.u64 == kWakeWord) continue;
    ready[kept++] = Readiness{
        .word = events[i].data.u64,
        .readable = (bits & EPOLLIN) != 0,
        .writable = (bits & EPOLLOUT) != 0,
        .hangup = (bits & (EPOLLRDHUP | EPOLLHUP)) != 0,
        .priority = (bits & EPOLLPRI) != 0,
        .error = (bits & EPOLLERR) != 0,
    };
  }
  return {ready, kept};
}

std::vector<int> Poller::descriptors() const {
  std::vector<int> all{poll_.get()};
  if (waker_.valid()) all.push_back(waker_.descriptor());
  return all;
}

}  // namespace c1m
