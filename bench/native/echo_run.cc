#include "echo_run.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <system_error>

#include "client_socket.h"
#include "clock.h"
#include "json_line.h"

namespace bench {
namespace {

constexpr int64_t kConnectTimeoutMs = 30'000;
constexpr int64_t kDrainTimeoutMs = 15'000;
constexpr int kEventsPerTurn = 256;
constexpr int kWaitMs = 10;               // so that a phase ends in time with a silent server, too
constexpr uint64_t kErrorsToExplain = 5;  // on stderr; the others are only counted

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

EchoRun::EchoRun(const EchoOptions& options)
    : options_(options),
      pattern_(options.frames, options.message_bytes),
      sent_at_(options.connections * options.depth),
      receive_buffer_(std::make_unique<char[]>(Pattern::kWindow)) {}

EchoRun::~EchoRun() {
  for (const Connection& connection : connections_) {
    if (connection.fd >= 0) close_with_reset(connection.fd);
  }
  if (epoll_ >= 0) close(epoll_);
}

bool EchoRun::run() {
  if (!connect_all() || !register_all()) return false;
  JsonLine("ready")
      .add("connections", static_cast<int64_t>(connections_.size()))
      .add("congestion", congestion_of(connections_[0].fd))
      .print();
  for (uint32_t i = 0; i < connections_.size(); i++) send_allowed(i);

  const int64_t warm = monotonic_ns() + options_.warmup_ms * 1'000'000;
  while (monotonic_ns() < warm) turn(kWaitMs);
  phase_ = Phase::kMeasuring;
  warmup_messages_ = static_cast<uint64_t>(latencies_.count());
  latencies_.reset();
  JsonLine("measuring").print();

  const int64_t start = monotonic_ns();
  int64_t now = start;
  for (const int64_t end = start + options_.duration_ms * 1'000'000; now < end; now = monotonic_ns()) turn(kWaitMs);
  JsonLine("measured").print();
  const int64_t elapsed = now - start;

  phase_ = Phase::kDraining;
  const int64_t give_up = now + kDrainTimeoutMs * 1'000'000;
  while (!drained() && monotonic_ns() < give_up) turn(kWaitMs);
  print_result(elapsed);
  return true;
}

bool EchoRun::connect_all() {
  ClientSockets sockets(options_.port);
  const auto outcome = sockets.open(options_.connections, kConnectTimeoutMs, [this](int fd) {
    Connection connection;
    connection.fd = fd;
    connection.allowed = options_.message_bytes * options_.depth;
    connections_.push_back(connection);
  });
  if (outcome.opened == options_.connections) return true;
  (void)fprintf(stderr, "load: opened %zu of %zu connections: %s\n", outcome.opened, options_.connections,
                outcome.error == 0 ? "the server doesn't accept" : reason(outcome.error).c_str());
  return false;
}

bool EchoRun::register_all() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  for (uint32_t i = 0; i < connections_.size(); i++) {
    const int fd = connections_[i].fd;
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    epoll_event event{};
    event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    event.data.u32 = i;
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0 || epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) != 0) {
      perror("load: epoll_ctl");
      return false;
    }
  }
  return true;
}

void EchoRun::turn(int wait_ms) {
  epoll_event events[kEventsPerTurn];
  const int count = epoll_wait(epoll_, events, kEventsPerTurn, wait_ms);
  for (int i = 0; i < count; i++) serve(events[i].data.u32);
}

bool EchoRun::drained() const {
  return std::all_of(connections_.begin(), connections_.end(), [](const Connection& connection) {
    return connection.broken || (connection.sent == connection.allowed && connection.received == connection.sent);
  });
}

void EchoRun::serve(uint32_t index) {
  if (!connections_[index].broken) read_echoes(index);
  if (!connections_[index].broken) send_allowed(index);
}

void EchoRun::read_echoes(uint32_t index) {
  Connection& connection = connections_[index];
  for (;;) {
    const ssize_t size = recv(connection.fd, receive_buffer_.get(), Pattern::kWindow, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) return break_connection(index, reason(errno));
    if (size == 0) return break_connection(index, "closed by the server");
    const int64_t now = monotonic_ns();
    const uint64_t before = connection.received;
    if (!pattern_.matches(index, before, receive_buffer_.get(), static_cast<size_t>(size))) {
      return break_connection(index, "the echo differs from what was sent");
    }
    connection.received += static_cast<uint64_t>(size);
    if (connection.received > connection.sent) return break_connection(index, "more came back than was sent");
    count_echoes(index, before, now);
    // After a short read the socket is empty. Later bytes, or a FIN, cause an edge of their own.
    if (size < static_cast<ssize_t>(Pattern::kWindow)) return;
  }
}

// Records the messages that were completed since `before`, and allows as many new ones.
void EchoRun::count_echoes(uint32_t index, uint64_t before, int64_t now) {
  Connection& connection = connections_[index];
  const uint64_t complete = connection.received / options_.message_bytes;
  for (uint64_t message = before / options_.message_bytes; message < complete; message++) {
    latencies_.record(now - sent_at_[index * options_.depth + message % options_.depth]);
    if (phase_ == Phase::kMeasuring) connection.measured_messages++;
    if (phase_ == Phase::kDraining) continue;
    if (options_.frames == Pattern::Frames::kNone) {
      connection.allowed += options_.message_bytes;
    } else if ((message + 1) % options_.depth == 0) {
      connection.allowed += options_.message_bytes * options_.depth;
    }
  }
}

void EchoRun::send_allowed(uint32_t index) {
  Connection& connection = connections_[index];
  while (connection.sent < connection.allowed) {
    const uint64_t wanted = std::min<uint64_t>(connection.allowed - connection.sent, Pattern::kWindow);
    const int64_t now = monotonic_ns();
    const ssize_t size = send(connection.fd, pattern_.at(index, connection.sent), wanted, MSG_NOSIGNAL);
    if (size < 0 && errno == EAGAIN) return;
    if (size < 0) return break_connection(index, reason(errno));
    const uint64_t before = connection.sent;
    connection.sent += static_cast<uint64_t>(size);
    const uint64_t first = (before + options_.message_bytes - 1) / options_.message_bytes;
    for (uint64_t message = first; message * options_.message_bytes < connection.sent; message++) {
      sent_at_[index * options_.depth + message % options_.depth] = now;
    }
  }
}

void EchoRun::break_connection(uint32_t index, const std::string& why) {
  Connection& connection = connections_[index];
  connection.broken = true;
  if (errors_++ < kErrorsToExplain) {
    (void)fprintf(stderr, "load: connection %u after %llu bytes sent and %llu received: %s\n", index,
                  static_cast<unsigned long long>(connection.sent),
                  static_cast<unsigned long long>(connection.received), why.c_str());
  }
}

void EchoRun::print_result(int64_t elapsed_ns) {
  uint64_t lost_bytes = 0;
  uint64_t messages = 0;
  uint64_t silent = 0;
  for (const Connection& connection : connections_) {
    lost_bytes += connection.allowed - std::min(connection.received, connection.allowed);
    messages += connection.measured_messages;
    if (connection.measured_messages == 0) silent++;
  }
  JsonLine("result")
      .add("messages", static_cast<int64_t>(messages))
      .add("elapsedNs", elapsed_ns)
      .add("warmupMessages", static_cast<int64_t>(warmup_messages_))
      .add("errors", static_cast<int64_t>(errors_))
      .add("lostBytes", static_cast<int64_t>(lost_bytes))
      .add("silentConnections", static_cast<int64_t>(silent))
      .add("meanNs", latencies_.mean())
      .add("p50Ns", latencies_.percentile(0.5))
      .add("p90Ns", latencies_.percentile(0.9))
      .add("p99Ns", latencies_.percentile(0.99))
      .add("p999Ns", latencies_.percentile(0.999))
      .add("maxNs", latencies_.max())
      .print();
}

}  // namespace bench
