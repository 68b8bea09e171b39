#pragma once

#include <sys/socket.h>
#include <sys/types.h>

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

// TCP_CORK, tcp(7): delays what fills no packet, by up to 200 ms; off, it is sent. Says nothing on a Unix socket.
Result<void> set_cork(int fd, bool on);

}  // namespace c1m
