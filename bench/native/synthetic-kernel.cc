// Replaces the kernel under an addon that is linked with --wrap for these calls. They are forwarded until a connection
// of an I/O thread has read "go"; from then on all connections always have 64 bytes to read, and take all written
// bytes. So an I/O thread fills its batches as fast as it can, at the cost of its own code alone.
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

extern "C" {
int __real_epoll_ctl(int poll, int operation, int fd, epoll_event* event);
int __real_epoll_wait(int poll, epoll_event* events, int most, int timeout);
ssize_t __real_recv(int fd, void* buffer, size_t length, int flags);
ssize_t __real_send(int fd, const void* bytes, size_t length, int flags);
ssize_t __real_sendmsg(int fd, const msghdr* message, int flags);
}

namespace {

constexpr size_t kMessageBytes = 64;

std::atomic<bool> producing{false};

struct Connection {
  uint64_t word = 0;      // the poller's word for it; 0 for none
  bool reported = false;  // reported as readable, and not read since
};

// The connections of this I/O thread, by descriptor.
thread_local std::vector<Connection> connections;
thread_local size_t next_fd = 0;

// Returns true for a connection's word. Listeners have no generation, and the poller's own words are above all slots.
bool is_connection(uint64_t word) { return word >> 32 != 0 && static_cast<uint32_t>(word) < 1u << 24; }

Connection* connection_of(int fd) {
  const auto index = static_cast<size_t>(fd);
  return index < connections.size() && connections[index].word != 0 ? &connections[index] : nullptr;
}

}  // namespace

extern "C" {

int __wrap_epoll_ctl(int poll, int operation, int fd, epoll_event* event) {
  const auto index = static_cast<size_t>(fd);
  if (operation == EPOLL_CTL_ADD && is_connection(event->data.u64)) {
    if (index >= connections.size()) connections.resize(index + 1);
    connections[index] = {event->data.u64, false};
  } else if (operation == EPOLL_CTL_DEL && index < connections.size()) {
    connections[index] = {};
  }
  return __real_epoll_ctl(poll, operation, fd, event);
}

int __wrap_epoll_wait(int poll, epoll_event* events, int most, int timeout) {
  if (!producing.load(std::memory_order_relaxed)) return __real_epoll_wait(poll, events, most, timeout);
  // Wake-ups come from the kernel.
  int count = std::max(__real_epoll_wait(poll, events, most, 0), 0);
  for (size_t looked = 0; looked < connections.size() && count < most; ++looked) {
    if (next_fd >= connections.size()) next_fd = 0;
    Connection& one = connections[next_fd++];
    if (one.word == 0 || one.reported) continue;
    one.reported = true;
    events[count].events = EPOLLIN;
    events[count++].data.u64 = one.word;
  }
  // All connections wait to be read, which needs a batch from the JS thread.
  return count > 0 || timeout == 0 ? count : __real_epoll_wait(poll, events, most, timeout);
}

ssize_t __wrap_recv(int fd, void* buffer, size_t length, int flags) {
  Connection* connection = connection_of(fd);
  if (connection == nullptr || !producing.load(std::memory_order_relaxed)) {
    const ssize_t got = __real_recv(fd, buffer, length, flags);
    if (connection != nullptr && got == 2 && std::memcmp(buffer, "go", 2) == 0) producing = true;
    return got;
  }
  if (!connection->reported) {
    errno = EAGAIN;
    return -1;
  }
  connection->reported = false;
  return static_cast<ssize_t>(std::min(length, kMessageBytes));
}

ssize_t __wrap_send(int fd, const void* bytes, size_t length, int flags) {
  if (connection_of(fd) == nullptr || !producing.load(std::memory_order_relaxed)) {
    return __real_send(fd, bytes, length, flags);
  }
  return static_cast<ssize_t>(length);
}

ssize_t __wrap_sendmsg(int fd, const msghdr* message, int flags) {
  if (connection_of(fd) == nullptr || !producing.load(std::memory_order_relaxed)) {
    return __real_sendmsg(fd, message, flags);
  }
  size_t length = 0;
  for (size_t i = 0; i < message->msg_iovlen; ++i) length += message->msg_iov[i].iov_len;
  return static_cast<ssize_t>(length);
}
}
