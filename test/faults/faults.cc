// Injects faults under the whole addon: the linker sends the addon's own system calls here (`--wrap`, as for the native
// tests), and no others, so that Node's sockets and files are untouched on every thread. scripts/test-addon-faults.sh
// builds it, runs behaviour tests on it, and checks the counters.
//
// The kernel may cause every one of these faults as well. A call that transfers less than it could, or nothing, leaves
// a descriptor ready that epoll has already reported: the kernel would report an edge when it became ready again. So an
// edge is owed, which epoll_ctl(EPOLL_CTL_MOD) causes, at the latest before the loop sleeps.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <set>
#include <string>
#include <unordered_map>

// Types and functions of libuv, declared here to avoid its headers.
struct uv_async_s;

extern "C" {
int __real_accept4(int fd, sockaddr* peer, socklen_t* length, int flags);
ssize_t __real_recv(int fd, void* buffer, size_t size, int flags);
ssize_t __real_send(int fd, const void* bytes, size_t size, int flags);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
ssize_t __real_sendfile(int to, int from, off_t* offset, size_t size);
ssize_t __real_splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size, unsigned flags);
ssize_t __real_write(int fd, const void* bytes, size_t size);
int __real_epoll_ctl(int poll, int operation, int fd, epoll_event* event);
int __real_epoll_wait(int poll, epoll_event* events, int most, int timeout);
int __real_uv_async_send(uv_async_s* async);
}

namespace {

enum Fault : uint8_t {
  kRecvInterrupted,
  kRecvAgain,
  kRecvShort,
  kSendInterrupted,
  kSendAgain,
  kSendShort,
  kWaitInterrupted,
  kEdges,
  kLateWakeOfLoop,
  kLateWakeOfJs,
  kAcceptInterrupted,
  kAcceptAborted,
  kAcceptNoMemory,
  kAcceptNoDescriptor,
  kRegisterNoMemory,
  kFileAgain,
  kFileShort,
  kSpliceAgain,
  kSpliceShort,
  kFaults,
};
constexpr const char* kNames[kFaults] = {
    "recv EINTR",
    "recv EAGAIN",
    "recv short",
    "send EINTR",
    "send EAGAIN",
    "send short",
    "wait EINTR",
    "edges",
    "late wake of loop",
    "late wake of JS",
    "accept EINTR",
    "accept ECONNABORTED",
    "accept ENOBUFS ENOMEM",
    "accept EMFILE",
    "epoll_ctl ENOMEM",
    "sendfile EAGAIN",
    "sendfile short",
    "splice EAGAIN",
    "splice short",
};

// The faults of C1M_FAULTS, a list of words, and how often each has happened, in all threads.
struct Plan {
  Plan() {
    const char* words = std::getenv("C1M_FAULTS");
    const std::string list = words == nullptr ? "" : words;
    transfer = list.find("transfer") != std::string::npos;
    wake = list.find("wake") != std::string::npos;
    accept = list.find("accept") != std::string::npos;
    const char* number = std::getenv("C1M_SEED");
    if (number != nullptr) seed = static_cast<uint32_t>(std::strtoul(number, nullptr, 10));
  }

  // Appends a line for each fault to those of other processes.
  ~Plan() {
    const char* path = std::getenv("C1M_FAULTS_LOG");
    if (path == nullptr) return;
    std::string lines;
    for (size_t i = 0; i < kFaults; ++i) lines += std::to_string(counts[i]) + " " + kNames[i] + "\n";
    const int fd = ::open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    if (fd < 0 || __real_write(fd, lines.data(), lines.size()) < 0) std::perror(path);
    if (fd >= 0) ::close(fd);
  }

  bool transfer = false;
  bool wake = false;
  bool accept = false;
  uint32_t seed = 1;
  std::atomic<uint32_t> threads{0};
  std::atomic<uint64_t> counts[kFaults]{};
};

Plan plan;

// The state of one thread: its random numbers, which depend only on the order of its own calls, and its poller's
// sockets.
class Thread {
 public:
  Thread() : state_(plan.seed * 2654435761u + plan.threads++ * 40503u + 1) {}

  uint32_t upto(uint32_t most) {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 17;
    state_ ^= state_ << 5;
    return state_ % (most + 1);
  }

  // Returns true if the fault must happen now, and counts it.
  bool now(Fault fault, uint32_t one_in) {
    if (upto(one_in - 1) != 0) return false;
    plan.counts[fault].fetch_add(1, std::memory_order_relaxed);
    return true;
  }

  void registered(int poll, int operation, int fd, const epoll_event* event) {
    owed_.erase(fd);
    if (operation == EPOLL_CTL_DEL) {
      sockets_.erase(fd);
    } else {
      sockets_[fd] = {poll, *event};
    }
  }
  [[nodiscard]] bool registered(int fd) const { return sockets_.count(fd) == 1; }

  void owe(int fd) { owed_.insert(fd); }

  // Causes some of the owed edges, or all.
  void pay(bool all) {
    for (auto fd = owed_.begin(); fd != owed_.end();) {
      if (!all && upto(1) == 0) {
        ++fd;
        continue;
      }
      Socket& socket = sockets_[*fd];
      __real_epoll_ctl(socket.poll, EPOLL_CTL_MOD, *fd, &socket.event);
      plan.counts[kEdges].fetch_add(1, std::memory_order_relaxed);
      fd = owed_.erase(fd);
    }
  }

 private:
  struct Socket {
    int poll = -1;
    epoll_event event{};
  };

  uint32_t state_;
  std::unordered_map<int, Socket> sockets_;
  std::set<int> owed_;
};

thread_local Thread thread;

int fail(int error) {
  errno = error;
  return -1;
}

// Returns true if a call may fail with EAGAIN. After a reset of the peer it may not, because no edge would follow.
bool may_hold_back(int fd) {
  if (!thread.registered(fd)) return false;
  pollfd now{fd, 0, 0};
  return ::poll(&now, 1, 0) == 0;
}

// Returns the number of bytes that a call may transfer; 0 for EAGAIN, -1 for EINTR.
ssize_t allowed(int fd, size_t size, Fault interrupted, Fault again, Fault part, uint32_t most) {
  if (!plan.transfer) return static_cast<ssize_t>(size);
  if (thread.now(interrupted, 20)) return -1;
  if (!may_hold_back(fd)) return static_cast<ssize_t>(size);
  if (thread.now(again, 10)) {
    thread.owe(fd);
    return 0;
  }
  if (size > 1 && thread.now(part, 3)) {
    thread.owe(fd);
    size = std::min<size_t>(size - 1, 1 + thread.upto(most));
  }
  return static_cast<ssize_t>(size);
}

void doze(Fault fault) {
  if (plan.wake && thread.now(fault, 8)) ::usleep(thread.upto(1500));
}

}  // namespace

extern "C" {

ssize_t __wrap_recv(int fd, void* buffer, size_t size, int flags) {
  const ssize_t most = allowed(fd, size, kRecvInterrupted, kRecvAgain, kRecvShort, 4000);
  if (most <= 0) return fail(most < 0 ? EINTR : EAGAIN);
  return __real_recv(fd, buffer, static_cast<size_t>(most), flags);
}

ssize_t __wrap_send(int fd, const void* bytes, size_t size, int flags) {
  const ssize_t most = allowed(fd, size, kSendInterrupted, kSendAgain, kSendShort, 20'000);
  if (most <= 0) return fail(most < 0 ? EINTR : EAGAIN);
  return __real_send(fd, bytes, static_cast<size_t>(most), flags);
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  size_t size = 0;
  for (size_t i = 0; i < message->msg_iovlen; ++i) size += message->msg_iov[i].iov_len;
  ssize_t most = allowed(fd, size, kSendInterrupted, kSendAgain, kSendShort, 20'000);
  if (most <= 0) return fail(most < 0 ? EINTR : EAGAIN);
  if (static_cast<size_t>(most) == size) return __real_sendmsg(fd, message, flags);
  // The last vector is shortened.
  iovec vectors[1024];
  msghdr part = *message;
  part.msg_iov = vectors;
  part.msg_iovlen = 0;
  for (size_t i = 0; most > 0; ++i) {
    vectors[i] = message->msg_iov[i];
    vectors[i].iov_len = std::min(vectors[i].iov_len, static_cast<size_t>(most));
    most -= static_cast<ssize_t>(vectors[i].iov_len);
    ++part.msg_iovlen;
  }
  return __real_sendmsg(fd, &part, flags);
}

ssize_t __wrap_sendfile(int to, int from, off_t* offset, size_t size) {
  const ssize_t most = allowed(to, size, kSendInterrupted, kFileAgain, kFileShort, 100'000);
  if (most <= 0) return fail(most < 0 ? EINTR : EAGAIN);
  return __real_sendfile(to, from, offset, static_cast<size_t>(most));
}

// The name of sendfile where off_t is made to have 64 bits.
ssize_t __wrap_sendfile64(int to, int from, off_t* offset, size_t size) {
  return __wrap_sendfile(to, from, offset, size);
}

ssize_t __wrap_splice(int from, off64_t* from_offset, int to, off64_t* to_offset, size_t size, unsigned flags) {
  const int socket = thread.registered(from) ? from : to;
  const ssize_t most = allowed(socket, size, kRecvInterrupted, kSpliceAgain, kSpliceShort, 20'000);
  if (most <= 0) return fail(most < 0 ? EINTR : EAGAIN);
  return __real_splice(from, from_offset, to, to_offset, static_cast<size_t>(most), flags);
}

int __wrap_accept4(int fd, sockaddr* peer, socklen_t* length, int flags) {
  if (plan.transfer && thread.now(kAcceptInterrupted, 20)) return fail(EINTR);
  if (plan.accept) {
    if (thread.now(kAcceptAborted, 20)) return fail(ECONNABORTED);
    if (thread.now(kAcceptNoMemory, 100)) return fail(thread.upto(1) == 0 ? ENOBUFS : ENOMEM);
    if (thread.now(kAcceptNoDescriptor, 100)) return fail(thread.upto(1) == 0 ? EMFILE : ENFILE);
  }
  return __real_accept4(fd, peer, length, flags);
}

int __wrap_epoll_ctl(int poll, int operation, int fd, epoll_event* event) {
  // A connection's word has a generation, and a listener's hasn't; the poller's own word has all bits.
  const bool is_connection =
      operation == EPOLL_CTL_ADD && (event->data.u64 >> 32) != 0 && event->data.u64 != UINT64_MAX;
  if (plan.accept && is_connection && thread.now(kRegisterNoMemory, 50)) return fail(ENOMEM);
  const int done = __real_epoll_ctl(poll, operation, fd, event);
  if (done == 0) thread.registered(poll, operation, fd, event);
  return done;
}

int __wrap_epoll_wait(int poll, epoll_event* events, int most, int timeout) {
  if (plan.transfer) {
    // A call without a timeout isn't interrupted.
    if (timeout != 0 && thread.now(kWaitInterrupted, 30)) return fail(EINTR);
    thread.pay(timeout != 0);
  }
  return __real_epoll_wait(poll, events, most, timeout);
}

// The addon's only calls of write(2) are for the loop's eventfd.
ssize_t __wrap_write(int fd, const void* bytes, size_t size) {
  doze(kLateWakeOfLoop);
  return __real_write(fd, bytes, size);
}

int __wrap_uv_async_send(uv_async_s* async) {
  doze(kLateWakeOfJs);
  return __real_uv_async_send(async);
}
}
