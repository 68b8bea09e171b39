#ifndef C1M_BENCH_HOLD_SESSION_H_
#define C1M_BENCH_HOLD_SESSION_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "client_socket.h"
#include "pattern.h"

namespace bench {

// Opens connections and keeps them. Commands are lines on stdin, each with a reply of one JSON line.
//
//   open N MS      opens N more connections, for MS milliseconds at most       → opened
//   churn N MS     opens N connections and closes each immediately             → opened
//   use BYTES      each connection sends one message and waits for its echo    → used
//   close fin      each connection sends its FIN and waits for the server's    → closed
//   close reset    each connection is closed with an RST                       → closed
//
// It ends with the end of stdin.
class HoldSession {
 public:
  explicit HoldSession(uint16_t port) : sockets_(port) {}
  ~HoldSession();
  HoldSession(const HoldSession&) = delete;
  HoldSession& operator=(const HoldSession&) = delete;

  // Executes commands. Returns false for an unknown one.
  bool run();

 private:
  bool obey(const std::string& line);
  void open(size_t count, int64_t timeout_ms, bool keep);
  void use(size_t bytes);
  void close_gracefully();
  void close_by_reset();
  bool echo_arrives(uint32_t index, size_t bytes, std::vector<char>& buffer) const;

  ClientSockets sockets_;
  const Pattern pattern_;
  std::vector<int> fds_;
};

}  // namespace bench

#endif  // C1M_BENCH_HOLD_SESSION_H_
