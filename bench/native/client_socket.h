#ifndef C1M_BENCH_CLIENT_SOCKET_H_
#define C1M_BENCH_CLIENT_SOCKET_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>

#include "listen_queue.h"

namespace bench {

// Opens blocking connections to 127.0.0.1:port as fast as the server accepts them, and no faster.
//
// On loopback connect(2) does the handshake, on the client's CPU, whether or not the server accepts. A client that only
// connects would overrun the accept queue, after which the kernel drops SYNs, and a retransmission takes a second: that
// would measure the backlog. So at most kInFlight connections wait to be accepted, which is below the shortest backlog
// of the peers (512).
class ClientSockets {
 public:
  explicit ClientSockets(uint16_t port) : port_(port), queue_(port) {}

  struct Outcome {
    size_t opened = 0;     // connections that were made
    int queued = 0;        // those that the server hadn't accepted at the end of the time
    int error = 0;         // the errno that stopped it, 0 if none
    int64_t first_us = 0;  // when the first connect was called, by the wall clock
  };
  // Makes `count` connections, passes each socket to `use`, and waits until the server has accepted all of them, for at
  // most `timeout_ms`.
  Outcome open(size_t count, int64_t timeout_ms, const std::function<void(int fd)>& use);

 private:
  // The kernel is asked once in kAskEvery connections, so the bound is between 192 and 256.
  static constexpr int kInFlight = 192;
  static constexpr int kAskEvery = 64;

  int connect_one();

  uint16_t port_;
  uint32_t next_source_ = 0;
  ListenQueue queue_;
};

// Returns the kernel's name of a socket's congestion control.
std::string congestion_of(int fd);

// Closes with an RST, so that neither side keeps a TIME_WAIT, and the ports are free for the next round.
void close_with_reset(int fd);

}  // namespace bench

#endif  // C1M_BENCH_CLIENT_SOCKET_H_
