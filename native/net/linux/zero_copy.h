#pragma once

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/types.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace c1m {

// The system calls that move a stream's bytes without copying them. They return the number of bytes, or -errno, and retry
// EINTR. On a connection they are called by its transport alone, as those of native/net/stream.h.
//
// A socket whose peer has gone raises SIGPIPE, and unlike send(2) neither has a flag against it: the thread must have it
// blocked or ignored, which Node does.

// sendfile(2): 0 at the end of the file. An error may be the file's or the socket's.
[[nodiscard]] inline ssize_t send_file(int socket, int fd, uint64_t offset, size_t count) noexcept {
  for (;;) {
    auto at = static_cast<off_t>(offset);
    const ssize_t sent = ::sendfile(socket, fd, &at, count);
    if (sent >= 0) return sent;
    if (errno != EINTR) return -errno;
  }
}

// splice(2) between a pipe and a socket that doesn't block. 0 from a socket is its end, or, as EAGAIN may be, an urgent byte
// in the way. EINVAL where the socket knows no splice.
[[nodiscard]] inline ssize_t splice_bytes(int from, int to, size_t size) noexcept {
  for (;;) {
    const ssize_t moved = ::splice(from, nullptr, to, nullptr, size, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
    if (moved >= 0) return moved;
    if (errno != EINTR) return -errno;
  }
}

}  // namespace c1m
