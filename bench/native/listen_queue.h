#ifndef C1M_BENCH_LISTEN_QUEUE_H_
#define C1M_BENCH_LISTEN_QUEUE_H_

#include <cstdint>

namespace bench {

// The length of the accept queue of a listener on 127.0.0.1, read by sock_diag(7). It shows a client how many
// connections the server has accepted, without a message from the server.
class ListenQueue {
 public:
  explicit ListenQueue(uint16_t port);
  ~ListenQueue();
  ListenQueue(const ListenQueue&) = delete;
  ListenQueue& operator=(const ListenQueue&) = delete;

  // Returns the length, or -1 without such a listener, or on a kernel without inet_diag.
  int length() const;

 private:
  int fd_;
  uint16_t port_;
};

}  // namespace bench

#endif  // C1M_BENCH_LISTEN_QUEUE_H_
