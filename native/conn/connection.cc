#include "native/conn/connection.h"

#include "native/net/socket.h"

namespace c1m {

Flushed flush(Connection& connection, OutboundPool& pool, size_t budget) {
  Flushed result;
  iovec vectors[Outbound::kMaxVectors];
  while (!connection.out.empty() && connection.has(Connection::kWritable) && result.bytes < budget) {
    // A peer that reads as fast as we send would take a large buffer in one long call.
    const int count = connection.out.gather(vectors, budget - result.bytes);
    size_t offered = 0;
    for (int i = 0; i < count; ++i) offered += vectors[i].iov_len;
    // One run of bytes is the rule, and send(2) is the cheaper call.
    const ssize_t sent = count == 1 ? send_bytes(connection.fd.get(), vectors[0].iov_base, vectors[0].iov_len)
                                    : send_vector(connection.fd.get(), vectors, count);
    if (sent < 0) {
      // EINPROGRESS: a SYN that waited for these bytes went out without them (TCP_FASTOPEN_CONNECT); an edge comes when
      // it is answered.
      if (sent == -EAGAIN || sent == -EINPROGRESS) {
        connection.unset(Connection::kWritable);
      } else {
        result.error = static_cast<int>(-sent);
      }
      return result;
    }
    result.bytes += static_cast<size_t>(sent);
    ++result.calls;
    result.shared += connection.out.consume(pool, static_cast<size_t>(sent));
    // A short write means a full socket buffer: the edge will come when there is room.
    if (static_cast<size_t>(sent) < offered) connection.unset(Connection::kWritable);
  }
  return result;
}

}  // namespace c1m
