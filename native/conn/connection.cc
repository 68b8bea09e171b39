#include "native/conn/connection.h"

#include "native/conn/flush_file.h"
#include "native/conn/transport.h"
#include "native/net/connect.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Bytes, up to the first file. False if the socket takes no more.
bool flush_bytes(Connection& connection, OutboundPool& pool, size_t budget, Flushed& result) {
  iovec vectors[Outbound::kMaxVectors];
  bool more = false;
  const int count = connection.out.gather(vectors, budget, more);
  size_t offered = 0;
  for (int i = 0; i < count; ++i) offered += vectors[i].iov_len;
  // With a file behind them they wait for it, to share its first packet. One run of bytes is the rule, and send(2) is the
  // cheaper call.
  const ssize_t sent = count == 1 ? transport::send(connection, vectors[0].iov_base, vectors[0].iov_len, more)
                                  : transport::send_vector(connection, vectors, count, more);
  if (sent < 0) {
    // EINPROGRESS: a SYN that waited for these bytes went out without them (TCP_FASTOPEN_CONNECT); an edge comes when
    // it is answered.
    if (sent == -EAGAIN || sent == -EINPROGRESS) {
      connection.unset(Connection::kWritable);
    } else {
      result.error = static_cast<int>(-sent);
    }
    return false;
  }
  if (more) connection.set(Connection::kCorked);
  result.bytes += static_cast<size_t>(sent);
  ++result.calls;
  result.shared += connection.out.consume(pool, static_cast<size_t>(sent));
  // A short write means a full socket buffer: the edge will come when there is room.
  if (static_cast<size_t>(sent) < offered) connection.unset(Connection::kWritable);
  return true;
}

}  // namespace

Flushed flush(Connection& connection, OutboundPool& pool, size_t budget) {
  Flushed result;
  // A peer that reads as fast as we send would take a large buffer in one long call.
  while (!connection.out.empty() && connection.has(Connection::kWritable) && result.total() < budget) {
    const size_t left = budget - result.total();
    OutboundFile* file = connection.out.front_file();
    const bool goes_on = file == nullptr ? flush_bytes(connection, pool, left, result)
                                         : flush_file(connection, pool, *file, left, result);
    if (!goes_on) break;
  }
  return result;
}

Fin send_fin(Connection& connection) {
  const int fd = connection.fd.get();
  if (connection.has(Connection::kSynDeferred)) {
    // shutdown(2) would take back a SYN that is not answered yet.
    if (in_handshake(fd)) {
      // Without a byte to send it would never go.
      const int error = send_deferred_syn(fd);
      if (error != 0) return {.error = error};
      // The edge that ends the handshake comes back here.
      connection.unset(Connection::kWritable);
      return {};
    }
    connection.unset(Connection::kSynDeferred);
  }
  transport::end(connection);
  connection.set(Connection::kFinSent);
  return {.sent = true};
}

void uncork(Connection& connection) {
  if (!connection.has(Connection::kCorked)) return;
  connection.unset(Connection::kCorked);
  (void)set_cork(connection.fd.get(), false);
}

}  // namespace c1m
