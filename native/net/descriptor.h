#pragma once

#include <cerrno>
#include <cstdint>

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

// How many descriptors the process may have open, its soft and its hard limit. EPERM beyond the hard one, without privilege.
// (setrlimit(2) with RLIMIT_NOFILE)
[[nodiscard]] Result<void> limit_descriptors(uint32_t count);

// Two sockets through which descriptors pass between file tables (native/net/linux/own_file_table.h), in either direction, in
// order. (socketpair(2))
struct Passage {
  Fd outer;
  Fd inner;

  [[nodiscard]] static Result<Passage> open();
};

// Puts a duplicate in at one end of a passage. EAGAIN when some hundred are in it; ETOOMANYREFS when an unprivileged user
// has as many on their way as RLIMIT_NOFILE says. (sendmsg(2) with SCM_RIGHTS, unix(7))
Result<void> send_descriptor(int passage, int fd);
// So many are under way that it will do later.
[[nodiscard]] constexpr bool is_for_now(int error) { return error == EAGAIN || error == ETOOMANYREFS; }

// Takes the next out at the other end, close-on-exec. EAGAIN if there is none; EMFILE if the table is full, and then it is
// closed. (recvmsg(2))
[[nodiscard]] Result<Fd> receive_descriptor(int passage);

}  // namespace c1m
