#ifndef C1M_BENCH_LISTEN_QUEUE_H_
#define C1M_BENCH_LISTEN_QUEUE_H_

#include <cstdint>

namespace bench {

// How many connections wait in the accept queue of a listener on 127.0.0.1, asked of the kernel over sock_diag(7).
// With it a client knows what the server has accepted without the server having to send anything.
class ListenQueue {
 public:
  explicit ListenQueue(uint16_t port);
  ~ListenQueue();
  ListenQueue(const ListenQueue&) = delete;
  ListenQueue& operator=(const ListenQueue&) = delete;

  // -1 if the kernel doesn't say: no such listener, or a kernel without inet_diag.
  int length() const;

 private:
  int fd_;
  uint16_t port_;
};

}  // namespace bench

#endif  // C1M_BENCH_LISTEN_QUEUE_H_
