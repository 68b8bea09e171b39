#pragma once

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/net/address.h"

namespace c1m {

// What descriptors from elsewhere need, one wrapper a system call. They borrow the descriptor, and are safe on any
// thread.

// That it is a stream socket with a peer: ENOTSOCK, EPROTOTYPE (datagrams and the like) or ENOTCONN if not. Answers the
// peer's address. (getsockopt(2) with SO_TYPE, getpeername(2))
[[nodiscard]] Result<Address> connected_peer(int fd);

// Another descriptor of the same socket, close-on-exec. The socket lives until both are closed, so that closing one sends
// nothing. (F_DUPFD_CLOEXEC, fcntl(2))
[[nodiscard]] Result<Fd> duplicate(int fd);

// O_NONBLOCK, which all descriptors of the socket share, and FD_CLOEXEC, which is this one's. (fcntl(2))
Result<void> make_our_own(int fd);

}  // namespace c1m
