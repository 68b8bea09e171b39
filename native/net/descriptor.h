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

// The rest is about file tables. As a rule all threads of a process have one in common; a thread may have its own, in which
// a number means something else than in that of its process, that is of the process's first thread.

// Gives the calling thread a table of its own that holds standard input, output and error, and nothing else.
// (close_range(2) with CLOSE_RANGE_UNSHARE, Linux 5.9)
Result<void> leave_file_table();

// The process, for take_descriptor(). (pidfd_open(2))
[[nodiscard]] Result<Fd> open_own_process();

// A descriptor of the process's table as one of the calling thread's, close-on-exec. (pidfd_getfd(2), Linux 5.6)
[[nodiscard]] Result<Fd> take_descriptor(int process, int fd);

// The same with a number of one's choice, at which nothing may be open. (dup3(2))
Result<void> take_descriptor_as(int process, int fd, int number);

// Two sockets through which descriptors pass between tables, in either direction, in order. (socketpair(2))
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
