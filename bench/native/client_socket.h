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
// On loopback the handshake is done inside connect(2), by the client's CPU, whether or not the server accepts. A client
// that only connects would overrun the accept queue, after which the kernel drops SYNs and a retransmission costs a
// second: that would measure the backlog. So at most kInFlight connections wait to be accepted at any time, which is
// below the shortest backlog of the peers (512).
class ClientSockets {
 public:
  explicit ClientSockets(uint16_t port) : port_(port), queue_(port) {}

  struct Outcome {
    size_t opened = 0;     // connections that were made
    int queued = 0;        // of those, how many the server hadn't accepted when the time was up
    int error = 0;         // the errno that stopped it, 0 if none
    int64_t first_us = 0;  // when the first connect was called, by the wall clock
  };
  // Makes `count` connections, hands each socket to `use`, and waits until the server has accepted them all, for at
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

// The congestion control that a socket uses, as the kernel names it.
std::string congestion_of(int fd);

// Closes with an RST: neither side keeps a TIME_WAIT, and the next round finds the ports free.
void close_with_reset(int fd);

}  // namespace bench

#endif  // C1M_BENCH_CLIENT_SOCKET_H_
