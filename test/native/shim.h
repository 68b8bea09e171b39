#pragma once

#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

#include "native/base/result.h"
#include "native/poll/poller.h"

// Replacements for the core's system calls and for its poller's functions, linked with `--wrap` (see the Makefile).
// Each forwards to the real function until a test sets a hook; the tests' own sockets use the real ones.
namespace c1m::shim {

struct Hooks {
  std::function<int(int family, int type, int protocol)> socket;
  std::function<int(int fd, const sockaddr* to, socklen_t length)> connect;
  std::function<int(int fd, sockaddr* peer, socklen_t* length, int flags)> accept4;
  std::function<ssize_t(int fd, void* buffer, size_t size, int flags)> recv;
  std::function<ssize_t(int fd, const void* bytes, size_t size, int flags)> send;
  std::function<ssize_t(int fd, const msghdr* message, int flags)> sendmsg;
  std::function<ssize_t(int socket, int fd, off_t* offset, size_t count)> sendfile;
  std::function<ssize_t(int fd, void* buffer, size_t size, off_t offset)> pread;
  std::function<ssize_t(int fd, const iovec* vector, int count, off_t offset, int flags)> preadv2;
  std::function<int(int fd, int how)> shutdown;
  std::function<int(int poll, int operation, int fd, epoll_event* event)> epoll_ctl;
  std::function<int(int poll, epoll_event* events, int max, int timeout)> epoll_wait;
  std::function<int(int fd)> close;
  std::function<int(const char* path, int flags)> open;
  std::function<ssize_t(int from, int to, size_t size, unsigned flags)> splice;
  std::function<int(int* ends, int flags)> pipe2;
  std::function<uint64_t()> monotonic_ms;

  // The functions of the poller and its waker, whatever the backend.
  std::function<Result<void>(Poller& poller, int fd, uint64_t word)> add;
  std::function<void(Poller& poller, int fd)> remove;
  std::function<std::span<const Readiness>(Poller& poller, int timeout_ms)> wait;
  std::function<void(const Waker& waker)> wake;
};

// Hooks that are installed for the lifetime of this object, one at a time. A loop with a thread of its own must start
// after they are set, and be joined before they are removed. The destructor waits for detached threads.
class Scope {
 public:
  Scope();
  Scope(const Scope&) = delete;
  Scope& operator=(const Scope&) = delete;
  ~Scope();

  Hooks hooks;
};

// The number of calls of malloc, realloc and mmap by the core on this thread before one fails; -1 if none shall.
extern thread_local long until_failure;

// Sets errno and returns -1, for hooks: `return fail(EMFILE)`.
inline int fail(int error) {
  errno = error;
  return -1;
}

extern "C" {
void* __real_malloc(size_t size);
void* __real_realloc(void* memory, size_t size);
void* __real_mmap(void* at, size_t size, int protection, int flags, int fd, off_t offset);
int __real_socket(int family, int type, int protocol);
int __real_connect(int fd, const sockaddr* to, socklen_t length);
int __real_accept4(int fd, sockaddr* peer, socklen_t* length, int flags);
ssize_t __real_recv(int fd, void* buffer, size_t size, int flags);
ssize_t __real_send(int fd, const void* bytes, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __real_sendfile(int socket, int fd, off_t* offset, size_t count);
ssize_t __real_pread(int fd, void* buffer, size_t size, off_t offset);
ssize_t __real_preadv2(int fd, const iovec* vector, int count, off_t offset, int flags);
int __real_shutdown(int fd, int how);
int __real_epoll_ctl(int poll, int operation, int fd, epoll_event* event);
int __real_epoll_wait(int poll, epoll_event* events, int max, int timeout);
int __real_close(int fd);
int __real_open(const char* path, int flags, ...);
ssize_t __real_splice(int from, off64_t* from_at, int to, off64_t* to_at, size_t size, unsigned flags);
int __real_pipe2(int* ends, int flags);
int __real_clock_gettime(clockid_t clock, timespec* time);
}

// Poller::add(), remove() and wait(), and Waker::wake(), by their mangled names.
Result<void> real_add(Poller& poller, int fd, uint64_t word) asm("__real__ZN3c1m6Poller3addEim");
void real_remove(Poller& poller, int fd) asm("__real__ZN3c1m6Poller6removeEi");
std::span<const Readiness> real_wait(Poller& poller, int timeout_ms) asm("__real__ZN3c1m6Poller4waitEi");
void real_wake(const Waker& waker) asm("__real__ZNK3c1m5Waker4wakeEv");

}  // namespace c1m::shim
