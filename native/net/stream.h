#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>

#include "native/base/result.h"

namespace c1m {

// The system calls that move the bytes of a stream socket, and end it. They borrow the descriptor, and go through libc as
// those of socket.h do. On a connection they are called by its transport alone (native/conn/transport.h):
// scripts/check-includes.mjs says who may include this.

// The three calls of the hot path return the number of bytes, or -errno.

// recv(2): 0 is the peer's FIN.
[[nodiscard]] inline ssize_t receive(int fd, void* buffer, size_t size) noexcept {
  for (;;) {
    const ssize_t got = ::recv(fd, buffer, size, 0);
    if (got >= 0) return got;
    if (errno != EINTR) return -errno;
  }
}

// send(2) without SIGPIPE; may take less than `size`. `flags`: 0, or MSG_MORE if something follows at once.
[[nodiscard]] inline ssize_t send_bytes(int fd, const void* bytes, size_t size, int flags = 0) noexcept {
  for (;;) {
    const ssize_t sent = ::send(fd, bytes, size, MSG_NOSIGNAL | flags);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

// writev(2) without SIGPIPE, which only sendmsg(2) can do. `count` is at most IOV_MAX (1024), beyond it is EMSGSIZE.
[[nodiscard]] inline ssize_t send_vector(int fd, const iovec* vector, int count, int flags = 0) noexcept {
  msghdr message{};
  message.msg_iov = const_cast<iovec*>(vector);
  message.msg_iovlen = static_cast<decltype(message.msg_iovlen)>(count);
  for (;;) {
    const ssize_t sent = ::sendmsg(fd, &message, MSG_NOSIGNAL | flags);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

// shutdown(2) with SHUT_WR: the FIN follows what the kernel holds. ENOTCONN if the peer has reset it already.
inline Result<void> shutdown_write(int fd) noexcept {
  if (::shutdown(fd, SHUT_WR) != 0) return Error::last("shutdown");
  return {};
}

}  // namespace c1m
