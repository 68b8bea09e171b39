#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cerrno>
#include <cstddef>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/net/address.h"

namespace c1m {

// The system calls of stream sockets, one wrapper each. They borrow the descriptor. All go through libc, so that
// preloaded stacks (Onload, VCL) and the tests' shim can take them over. They retry EINTR where the call can be
// repeated, and are safe on any thread.

// IPPROTO_MPTCP, which older headers lack.
inline constexpr int kMptcpProtocol = 262;

// A stream socket, non-blocking and close-on-exec from the start. `protocol` is 0 or IPPROTO_MPTCP.
[[nodiscard]] Result<Fd> open_socket(int family, int protocol);

// The same, with Multipath TCP if it is wanted. ENOPROTOOPT if the kernel or the family lacks that: the one error that
// is_unsupported() knows, for the three in which kernels say so.
[[nodiscard]] Result<Fd> open_stream(int family, bool mptcp);

Result<void> bind_socket(int fd, const Address& address);
Result<void> listen_socket(int fd, int backlog);

// connect(2), not retried: for a non-blocking socket EINPROGRESS (IP) and EAGAIN (Unix, the queue is full) are
// normal answers and come back as errors.
Result<void> connect_socket(int fd, const Address& address);

// shutdown(2) with SHUT_WR: the FIN follows what the kernel holds. ENOTCONN if the peer has reset it already.
Result<void> shutdown_write(int fd);

// Makes the next close(2) send a RST and drop what is unsent (SO_LINGER with a time of 0). On a Unix socket there is
// no RST, so that the close stays an ordinary one.
Result<void> reset_on_close(int fd);

// close(2) of it would wait until its peer has acknowledged all, or for that time: SO_LINGER with a time, which a socket may
// come with, or inherit from its listener. Linux: a non-blocking one waits, too (inet_release(), tcp_close()).
[[nodiscard]] bool lingers(int fd);
// It no longer does.
void stop_lingering(int fd);

// Bytes given to the kernel that the peer has yet to take: to acknowledge (tcp(7), SIOCOUTQ), to read on a Unix socket
// (unix(7), with what the kernel spends on them). 0 where the system doesn't say.
[[nodiscard]] size_t unacknowledged(int fd);

// Takes the error that waits on the socket (SO_ERROR), which clears it; no error if there is none. The call's name in
// it is "read", as that is where Node reports such an error.
[[nodiscard]] Error pending_error(int fd);

// One connection from the accept queue, non-blocking and close-on-exec, with its peer's address. *length is set here.
// EAGAIN when the queue is empty; ECONNABORTED and, on Linux, the network errors of accept(2) concern only the
// connection that is gone: go on with the next.
[[nodiscard]] inline Result<Fd> accept_connection(int listener, sockaddr_storage* peer, socklen_t* length) noexcept {
  for (;;) {
    *length = sizeof(*peer);
    const int fd = ::accept4(listener, reinterpret_cast<sockaddr*>(peer), length, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return Error::last("accept");
  }
}

// TCP_CORK, tcp(7): holds back what fills no packet, for up to 200 ms; off, it is sent. Says nothing on a Unix socket.
Result<void> set_cork(int fd, bool on);

// The three calls of the hot path answer the number of bytes, or -errno.

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

}  // namespace c1m
