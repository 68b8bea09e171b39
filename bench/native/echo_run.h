#ifndef C1M_BENCH_ECHO_RUN_H_
#define C1M_BENCH_ECHO_RUN_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "histogram.h"
#include "pattern.h"

namespace bench {

struct EchoOptions {
  uint16_t port = 0;
  size_t connections = 0;
  size_t message_bytes = 0;
  size_t depth = 0;  // messages in flight on each connection
  // The format of messages. `depth` frames are sent together, and the next ones when all of them have come back.
  Pattern::Frames frames = Pattern::Frames::kNone;
  int64_t warmup_ms = 0;
  int64_t duration_ms = 0;
};

// A closed loop: each connection keeps `depth` messages in flight, and sends the next one when an echo is complete.
// Every echoed byte is compared with the sent one.
//
//   connect → warm-up → measuring → draining (nothing new is sent, all messages in flight must come back) → result
//
// The latency of a message is the time from just before the send(2) of its first byte to just after the recv(2) that
// completed its echo. One thread owns everything.
class EchoRun {
 public:
  explicit EchoRun(const EchoOptions& options);
  ~EchoRun();
  EchoRun(const EchoRun&) = delete;
  EchoRun& operator=(const EchoRun&) = delete;

  // Prints `ready`, `measuring`, `measured` and `result` lines. Returns false if the load itself couldn't run.
  bool run();

 private:
  enum class Phase { kWarmup, kMeasuring, kDraining };

  struct Connection {
    int fd = -1;
    uint64_t allowed = 0;  // bytes that may have been sent so far; grows by a message with each echo
    uint64_t sent = 0;
    uint64_t received = 0;
    uint64_t measured_messages = 0;
    bool broken = false;
  };

  bool connect_all();
  bool register_all();
  void turn(int wait_ms);
  bool drained() const;
  void serve(uint32_t index);
  void read_echoes(uint32_t index);
  void count_echoes(uint32_t index, uint64_t before, int64_t now);
  void send_allowed(uint32_t index);
  void break_connection(uint32_t index, const std::string& why);
  void print_result(int64_t elapsed_ns);

  const EchoOptions options_;
  const Pattern pattern_;
  Histogram latencies_;
  std::vector<Connection> connections_;
  std::vector<int64_t> sent_at_;  // `depth` entries a connection: the time when message m was sent, at m % depth
  std::unique_ptr<char[]> receive_buffer_;
  int epoll_ = -1;
  Phase phase_ = Phase::kWarmup;
  uint64_t errors_ = 0;
  uint64_t warmup_messages_ = 0;
};

}  // namespace bench

#endif  // C1M_BENCH_ECHO_RUN_H_
