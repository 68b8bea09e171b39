#pragma once

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "native/conn/connection.h"
#include "native/net/linux/pipe.h"
#include "native/net/linux/zero_copy.h"
#include "native/net/stream.h"

// The one seam between a connection and its socket: what receives, sends or ends a connection's stream does it by these
// functions, as scripts/check-includes.mjs checks. What concerns the socket and not its bytes is the same for every transport,
// and stays in native/net/socket.h and connect.h: linger, cork, SO_ERROR, what the peer has yet to acknowledge, a SYN that
// waits for data.
//
// The only transport is the socket itself, one system call a function. Callers rely on what a second one, such as TLS, must
// provide as well:
//   receive        0 only for an end that its protocol vouches for. -EAGAIN only once has_pending() is false: an edge follows.
//   has_pending    true as long as it holds bytes that it has taken from the socket: no edge announces those.
//   send…          counts the caller's bytes. It has taken as many for good, even if the socket has not; -EAGAIN means that a
//                  writable edge follows.
//   send_file, splice_in, splice_out
//                  -EINVAL where it can't: the caller copies from then on.
//   end            what its protocol says at the end goes before the FIN.
// They are on a connection's way at every message: no virtual call, and nothing for the plain socket to pay.
namespace c1m::transport {

// The number of bytes; 0 at the peer's FIN; -errno.
[[nodiscard]] inline ssize_t receive(Connection& from, void* buffer, size_t size) noexcept {
  return c1m::receive(from.fd.get(), buffer, size);
}

// True if there may be something to receive that no edge will announce, after a receive of `got` bytes of `asked`.
//
// A short one means drained (epoll(7), question 9), unless there is more to read up to: a FIN, an urgent byte, or the end of a
// connection whose writing has failed. And recv(2) on a Unix socket stops at a descriptor that was passed.
[[nodiscard]] inline bool has_pending(const Connection& from, size_t got, size_t asked) noexcept {
  return got >= asked || from.has(Connection::kHangup | Connection::kWriteFailed) || from.peer.family == AF_UNIX;
}

// The number of bytes, which may be less than `size`; -errno. `more`: something follows that may share its packet.
[[nodiscard]] inline ssize_t send(Connection& to, const void* bytes, size_t size, bool more = false) noexcept {
  return send_bytes(to.fd.get(), bytes, size, more ? MSG_MORE : 0);
}

// The same of up to IOV_MAX runs of bytes.
[[nodiscard]] inline ssize_t send_vector(Connection& to, const iovec* vector, int count, bool more) noexcept {
  return c1m::send_vector(to.fd.get(), vector, count, more ? MSG_MORE : 0);
}

// The number of bytes of a file from `offset` on, 0 at its end; -errno of the file or of the socket.
[[nodiscard]] inline ssize_t send_file(Connection& to, int file, uint64_t offset, size_t count) noexcept {
  return c1m::send_file(to.fd.get(), file, offset, count);
}

// The number of bytes that have gone to a pipe; 0 at the peer's FIN, or, as -EAGAIN may be, at an urgent byte; -errno.
[[nodiscard]] inline ssize_t splice_in(Connection& from, const Pipe& to, size_t size) noexcept {
  return splice_bytes(from.fd.get(), to.write.get(), size);
}

// The number of bytes that have come out of a pipe; -errno.
[[nodiscard]] inline ssize_t splice_out(const Pipe& from, Connection& to, size_t size) noexcept {
  return splice_bytes(from.read.get(), to.fd.get(), size);
}

// The FIN, behind all that was sent.
inline void end(Connection& to) noexcept {
  // ENOTCONN, the only error, means that the peer has reset the connection: the poller will report it.
  (void)shutdown_write(to.fd.get());
}

}  // namespace c1m::transport
