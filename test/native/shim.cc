#include "test/native/shim.h"

#include <doctest/doctest.h>
#include <sys/mman.h>

#include <atomic>
#include <cerrno>
#include <thread>

namespace c1m::shim {

namespace {

// Read with relaxed order, because the shim must not hide races from TSan by ordering the threads of a test.
std::atomic<Hooks*> current{nullptr};

// The number of threads, other than the owner of the hooks, that have called the shim and not ended.
std::atomic<int> visitors{0};
std::atomic<std::thread::id> owner{};

struct Visitor {
  Visitor() { ++visitors; }
  ~Visitor() { visitors.fetch_sub(1, std::memory_order_release); }
};

Hooks* installed() {
  if (std::this_thread::get_id() != owner.load(std::memory_order_relaxed)) {
    // Counted before `current` is read: either ~Scope sees the visitor, or the visitor sees that the hooks are gone.
    thread_local const Visitor visitor;
  }
  return current.load(std::memory_order_relaxed);
}

bool allocation_fails() { return until_failure >= 0 && until_failure-- == 0; }

}  // namespace

thread_local long until_failure = -1;

Scope::Scope() {
  owner = std::this_thread::get_id();
  REQUIRE(installed() == nullptr);
  current = &hooks;
}

Scope::~Scope() {
  current = nullptr;
  // File threads are detached, so no join waits for them.
  while (visitors.load(std::memory_order_acquire) > 0) std::this_thread::yield();
}

extern "C" {

void* __wrap_malloc(size_t size) { return allocation_fails() ? nullptr : __real_malloc(size); }
void* __wrap_realloc(void* memory, size_t size) { return allocation_fails() ? nullptr : __real_realloc(memory, size); }
void* __wrap_mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset) {
  return allocation_fails() ? MAP_FAILED : __real_mmap(at, size, protection, flags, fd, offset);
}

int __wrap_socket(int family, int type, int protocol) {
  const Hooks* to = installed();
  return to != nullptr && to->socket ? to->socket(family, type, protocol) : __real_socket(family, type, protocol);
}

int __wrap_connect(int fd, const sockaddr* address, socklen_t length) {
  const Hooks* to = installed();
  return to != nullptr && to->connect ? to->connect(fd, address, length) : __real_connect(fd, address, length);
}

int __wrap_accept4(int fd, sockaddr* peer, socklen_t* length, int flags) {
  const Hooks* to = installed();
  return to != nullptr && to->accept4 ? to->accept4(fd, peer, length, flags) : __real_accept4(fd, peer, length, flags);
}

ssize_t __wrap_recv(int fd, void* buffer, size_t size, int flags) {
  const Hooks* to = installed();
  return to != nullptr && to->recv ? to->recv(fd, buffer, size, flags) : __real_recv(fd, buffer, size, flags);
}

ssize_t __wrap_send(int fd, const void* bytes, size_t size, int flags) {
  const Hooks* to = installed();
  return to != nullptr && to->send ? to->send(fd, bytes, size, flags) : __real_send(fd, bytes, size, flags);
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  const Hooks* to = installed();
  return to != nullptr && to->sendmsg ? to->sendmsg(fd, message, flags) : __real_sendmsg(fd, message, flags);
}

ssize_t __wrap_sendfile(int socket, int fd, off_t* offset, size_t count) {
  const Hooks* to = installed();
  return to != nullptr && to->sendfile ? to->sendfile(socket, fd, offset, count)
                                       : __real_sendfile(socket, fd, offset, count);
}

ssize_t __wrap_pread(int fd, void* buffer, size_t size, off_t offset) {
  const Hooks* to = installed();
  return to != nullptr && to->pread ? to->pread(fd, buffer, size, offset) : __real_pread(fd, buffer, size, offset);
}

ssize_t __wrap_preadv2(int fd, const iovec* vector, int count, off_t offset, int flags) {
  const Hooks* to = installed();
  return to != nullptr && to->preadv2 ? to->preadv2(fd, vector, count, offset, flags)
                                      : __real_preadv2(fd, vector, count, offset, flags);
}

int __wrap_shutdown(int fd, int how) {
  const Hooks* to = installed();
  return to != nullptr && to->shutdown ? to->shutdown(fd, how) : __real_shutdown(fd, how);
}

int __wrap_epoll_ctl(int poll, int operation, int fd, epoll_event* event) {
  const Hooks* to = installed();
  return to != nullptr && to->epoll_ctl ? to->epoll_ctl(poll, operation, fd, event)
                                        : __real_epoll_ctl(poll, operation, fd, event);
}

int __wrap_epoll_wait(int poll, epoll_event* events, int max, int timeout) {
  const Hooks* to = installed();
  return to != nullptr && to->epoll_wait ? to->epoll_wait(poll, events, max, timeout)
                                         : __real_epoll_wait(poll, events, max, timeout);
}

int __wrap_close(int fd) {
  const Hooks* to = installed();
  return to != nullptr && to->close ? to->close(fd) : __real_close(fd);
}

// No third argument is forwarded, because only O_CREAT has one, and the core doesn't use that.
int __wrap_open(const char* path, int flags, ...) {
  const Hooks* to = installed();
  return to != nullptr && to->open ? to->open(path, flags) : __real_open(path, flags);
}

// Hooks get no offsets, because the core splices pipes and sockets only.
ssize_t __wrap_splice(int from, off64_t* from_at, int to, off64_t* to_at, size_t size, unsigned flags) {
  const Hooks* hooks = installed();
  return hooks != nullptr && hooks->splice ? hooks->splice(from, to, size, flags)
                                           : __real_splice(from, from_at, to, to_at, size, flags);
}

int __wrap_pipe2(int* ends, int flags) {
  const Hooks* to = installed();
  return to != nullptr && to->pipe2 ? to->pipe2(ends, flags) : __real_pipe2(ends, flags);
}

int __wrap_clock_gettime(clockid_t clock, timespec* time) {
  const Hooks* to = installed();
  if (to == nullptr || !to->monotonic_ms || clock != CLOCK_MONOTONIC) return __real_clock_gettime(clock, time);
  const uint64_t now = to->monotonic_ms();
  time->tv_sec = static_cast<time_t>(now / 1000);
  time->tv_nsec = static_cast<int64_t>(now % 1000) * 1'000'000;
  return 0;
}
}

// Free functions replace member functions: the object is the first argument (Itanium C++ ABI, 2.1 and 3.1).
Result<void> wrapped_add(Poller& poller, int fd, uint64_t word) asm("__wrap__ZN3c1m6Poller3addEim");
void wrapped_remove(Poller& poller, int fd) asm("__wrap__ZN3c1m6Poller6removeEi");
std::span<const Readiness> wrapped_wait(Poller& poller, int timeout_ms) asm("__wrap__ZN3c1m6Poller4waitEi");
void wrapped_wake(const Waker& waker) asm("__wrap__ZNK3c1m5Waker4wakeEv");

Result<void> wrapped_add(Poller& poller, int fd, uint64_t word) {
  const Hooks* to = installed();
  return to != nullptr && to->add ? to->add(poller, fd, word) : real_add(poller, fd, word);
}

void wrapped_remove(Poller& poller, int fd) {
  const Hooks* to = installed();
  return to != nullptr && to->remove ? to->remove(poller, fd) : real_remove(poller, fd);
}

std::span<const Readiness> wrapped_wait(Poller& poller, int timeout_ms) {
  const Hooks* to = installed();
  return to != nullptr && to->wait ? to->wait(poller, timeout_ms) : real_wait(poller, timeout_ms);
}

void wrapped_wake(const Waker& waker) {
  const Hooks* to = installed();
  return to != nullptr && to->wake ? to->wake(waker) : real_wake(waker);
}

}  // namespace c1m::shim
