// The two ends of a bulk transfer through a relay: a server that sends as fast as it can, and clients that discard
// received bytes (MSG_TRUNC, tcp(7): without a copy). Each end of a connection has a thread with blocking calls, which
// is fast enough, because only the relay's CPU time is measured.
//
//   bulk --connections N --warmup-ms MS --duration-ms MS [--cpu N]
//
// Prints `source` with the port of the server; reads the relay's port from stdin; prints `measuring`, and `measured`
// with the bytes of the time in between; ends when stdin ends.
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

#include "clock.h"
#include "command_line.h"
#include "json_line.h"

namespace {

constexpr size_t kBlock = 256 * 1024;

std::atomic<int64_t> received{0};
std::atomic<int> broken{0};

[[noreturn]] void fail(const char* what) {
  perror(what);
  std::_Exit(1);
}

sockaddr_in loopback(long port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

void send_for_ever(int fd) {
  static const std::vector<char> block(kBlock, 'x');
  while (send(fd, block.data(), block.size(), MSG_NOSIGNAL) > 0) continue;
  close(fd);
}

void accept_for_ever(int listener) {
  for (;;) {
    const int fd = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) fail("accept");
    std::thread(send_for_ever, fd).detach();
  }
}

int open_source() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = loopback(0);
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) fail("bind");
  if (listen(listener, 1024) != 0) fail("listen");
  socklen_t length = sizeof address;
  if (getsockname(listener, reinterpret_cast<sockaddr*>(&address), &length) != 0) fail("getsockname");
  std::thread(accept_for_ever, listener).detach();
  return ntohs(address.sin_port);
}

void receive_for_ever(long port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = loopback(port);
  if (connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fail("connect");
  for (;;) {
    const ssize_t got = recv(fd, nullptr, kBlock, MSG_TRUNC);
    if (got <= 0) break;
    received.fetch_add(got, std::memory_order_relaxed);
  }
  broken.fetch_add(1);
}

}  // namespace

int main(int count, char** words) {
  bench::CommandLine options(count - 1, words + 1);
  const long connections = options.take("connections", 1);
  const long warmup_ms = options.take("warmup-ms", 200);
  const long duration_ms = options.take("duration-ms", 1000);
  const long cpu = options.take("cpu", -1);
  options.reject_the_rest();
  if (cpu >= 0) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(static_cast<size_t>(cpu), &set);
    if (sched_setaffinity(0, sizeof set, &set) != 0) fail("sched_setaffinity");
  }
  bench::JsonLine("source").add("port", open_source()).print();
  long port = 0;
  if (scanf("%ld", &port) != 1) return 0;
  for (long i = 0; i < connections; ++i) std::thread(receive_for_ever, port).detach();
  bench::sleep_us(warmup_ms * 1000);
  bench::JsonLine("measuring").print();
  const int64_t before = received.load();
  const int64_t begun = bench::monotonic_ns();
  bench::sleep_us(duration_ms * 1000);
  const int64_t bytes = received.load() - before;
  const int64_t ns = bench::monotonic_ns() - begun;
  bench::JsonLine("measured").add("bytes", bytes).add("ns", ns).add("broken", broken.load()).print();
  while (getchar() != EOF) continue;
  std::_Exit(0);
}
