#include "client_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>

#include "clock.h"

namespace bench {
namespace {

// One source address has about 28,000 ports for one destination; these have 28 million, so a free one is always found.
constexpr uint32_t kSources = 1000;
constexpr uint32_t kFirstSource = 0x7f0a0001;  // 127.10.0.1

}  // namespace

int ClientSockets::connect_one() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  // Without this option bind(2) itself chooses a port, which must be free for any destination, and soon finds none.
  const int on = 1;
  setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
  sockaddr_in source{};
  source.sin_family = AF_INET;
  source.sin_addr.s_addr = htonl(kFirstSource + next_source_);
  next_source_ = (next_source_ + 1) % kSources;
  sockaddr_in server{};
  server.sin_family = AF_INET;
  server.sin_port = htons(port_);
  server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source) == 0 &&
      connect(fd, reinterpret_cast<sockaddr*>(&server), sizeof server) == 0) {
    return fd;
  }
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

ClientSockets::Outcome ClientSockets::open(size_t count, int64_t timeout_ms, const std::function<void(int)>& use) {
  Outcome outcome;
  outcome.first_us = wall_clock_us();
  const int64_t deadline = monotonic_ns() + timeout_ms * 1'000'000;
  // Waits until at most `max` connections are in the accept queue. Their number is in outcome.queued.
  const auto wait_for_queue = [&](int max) {
    for (outcome.queued = queue_.length(); outcome.queued > max; outcome.queued = queue_.length()) {
      if (monotonic_ns() > deadline) return false;
      sleep_us(20);
    }
    return true;
  };
  while (outcome.opened < count) {
    if (outcome.opened % kAskEvery == 0 && !wait_for_queue(kInFlight)) return outcome;
    const int fd = connect_one();
    if (fd < 0) {
      outcome.error = errno;
      break;
    }
    use(fd);
    outcome.opened++;
  }
  wait_for_queue(0);
  return outcome;
}

std::string congestion_of(int fd) {
  char name[16] = {};
  socklen_t size = sizeof name - 1;
  getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &size);
  return name;
}

void close_with_reset(int fd) {
  const linger reset{.l_onoff = 1, .l_linger = 0};
  setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  close(fd);
}

}  // namespace bench
