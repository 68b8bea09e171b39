#include "native/conn/flush_file.h"

#include <algorithm>
#include <cerrno>

#include "native/conn/transport.h"
#include "native/net/file.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// What one call came to: bytes sent (0 at the end of the file), or the errno of the socket, or of the file.
struct Part {
  size_t sent = 0;
  int socket_error = 0;
  int file_error = 0;
};

// Through memory: what the socket doesn't take is read again.
Part copy_part(Connection& to, const OutboundFile& file, size_t count, uint8_t* buffer) {
  const ssize_t got = read_file(file.fd.get(), buffer, std::min(count, OutboundPool::kCopyBytes), file.offset);
  if (got < 0) return {.file_error = static_cast<int>(-got)};
  if (got == 0) return {};
  const auto length = static_cast<size_t>(got);
  const ssize_t sent = transport::send(to, buffer, length, length < file.end - file.offset);
  if (sent < 0) return {.socket_error = static_cast<int>(-sent)};
  return {.sent = static_cast<size_t>(sent)};
}

// What the network may have told the kernel of a connection.
bool is_of_network(int error) {
  switch (error) {
    case ECONNRESET:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ECONNREFUSED:
    case ECONNABORTED:
    case EHOSTDOWN:
    case ENETDOWN:
    case EPROTO:
    case ENOPROTOOPT:
      return true;
    default:
      return false;
  }
}

Part send_part(Connection& to, OutboundFile& file, size_t count, OutboundPool& pool) {
  if (!file.copies) {
    const ssize_t sent = transport::send_file(to, file.fd.get(), file.offset, count);
    if (sent >= 0) return {.sent = static_cast<size_t>(sent)};
    if (sent == -EAGAIN) return {.socket_error = EAGAIN};
    // EINVAL and its like: this file, or this socket, knows no sendfile(2). Any other error may be the one's or the
    // other's, and pread(2) and send(2) tell which.
    file.copies = true;
    Part part = copy_part(to, file, count, pool.copy_buffer());
    // The kernel reports a socket's error once, and EPIPE from then on (sk_stream_error() in Linux).
    const auto error = static_cast<int>(-sent);
    if (part.socket_error == EPIPE && is_of_network(error)) part.socket_error = error;
    return part;
  }
  return copy_part(to, file, count, pool.copy_buffer());
}

// True if the connection can go on without it.
bool fail_file(OutboundFile& file, int error) {
  // That there would be more, the peer may know from the size that the file had.
  file.truncated = error == 0;
  file.error = Error{error, "sendfile"};
  return !file.truncated && file.sent == 0;
}

void take_out(Connection& connection, OutboundPool& pool, OutboundFile& file, Flushed& result) {
  connection.out.remove_file(pool, file);
  result.next_file = true;
}

}  // namespace

bool flush_file(Connection& connection, OutboundPool& pool, OutboundFile& file, size_t budget, Flushed& result) {
  if (!file.ready()) {
    result.waits = true;
    return false;
  }
  if (!file.done()) {
    const uint64_t left = file.end - file.offset;
    const size_t count = std::min({left, file.loaded_until - file.offset, uint64_t{budget}});
    // sendfile(2) has no MSG_MORE: for bytes behind the file to share its last packet, and not to wait for the answer to
    // it (Nagle's algorithm), the socket is corked. after_flush() takes that back.
    if (count == left && connection.out.bytes_follow() && connection.peer.family != AF_UNIX) {
      (void)set_cork(connection.fd.get(), true);
      connection.set(Connection::kCorked);
    }
    const Part part = send_part(connection, file, count, pool);
    if (part.socket_error == EAGAIN) {
      // A short count comes before it, and may have other reasons: only this says that the socket is full.
      connection.unset(Connection::kWritable);
      return false;
    }
    if (part.socket_error != 0) {
      result.error = part.socket_error;
      return false;
    }
    if (part.file_error != 0 || (part.sent == 0 && !file.unsized)) {
      result.broken_off = !fail_file(file, part.file_error);
      if (!result.broken_off) take_out(connection, pool, file, result);
      return !result.broken_off;
    }
    if (part.sent == 0) file.end = file.offset;
    // What was copied may have gone with MSG_MORE, and what follows need not come.
    if (file.copies) connection.set(Connection::kCorked);
    file.offset += part.sent;
    file.sent += part.sent;
    result.file_bytes += part.sent;
    result.calls += part.sent > 0 ? 1 : 0;
  }
  if (file.done()) take_out(connection, pool, file, result);
  return true;
}

}  // namespace c1m
