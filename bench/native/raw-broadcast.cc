// The raw peer of the broadcast benchmark: accepts connections, and sends the same bytes to all of them in a plain loop
// of send(2), the minimum of a broadcast. Commands on stdin:
//
//   stats                    → stats, with the number of connections
//   broadcast ROUNDS BYTES   → broadcasted, with the microseconds of all rounds
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sstream>
#include <string>
#include <vector>

#include "clock.h"
#include "json_line.h"

namespace {

constexpr int kBacklog = 4096;

int listen_on_loopback() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener, kBacklog) != 0) return -1;
  getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size);
  const int port = ntohs(address.sin_port);
  bench::JsonLine("listening").add("port", port).add("echoPort", port).print();
  return listener;
}

void broadcast(const std::vector<int>& fds, int64_t rounds, size_t bytes) {
  const std::string payload(bytes, 'x');
  int64_t errors = 0;
  const int64_t start = bench::monotonic_ns();
  for (int64_t round = 0; round < rounds; round++) {
    for (const int fd : fds) {
      if (send(fd, payload.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) errors++;
    }
  }
  const int64_t micros = (bench::monotonic_ns() - start) / 1000;
  bench::JsonLine("broadcasted").add("micros", micros).add("errors", errors).print();
}

// Executes commands. Returns false at the end of stdin.
bool obey(const std::vector<int>& fds) {
  char bytes[256];
  const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
  if (size <= 0) return false;
  std::istringstream words(std::string(bytes, static_cast<size_t>(size)));
  std::string verb;
  while (words >> verb) {
    int64_t rounds = 0;
    size_t length = 0;
    if (verb == "stats") bench::JsonLine("stats").add("connections", static_cast<int64_t>(fds.size())).print();
    if (verb == "broadcast" && words >> rounds >> length) broadcast(fds, rounds, length);
  }
  return true;
}

}  // namespace

int main() {
  const int listener = listen_on_loopback();
  if (listener < 0) {
    perror("raw-broadcast");
    return 1;
  }
  std::vector<int> fds;
  pollfd watched[] = {{.fd = listener, .events = POLLIN, .revents = 0},
                      {.fd = STDIN_FILENO, .events = POLLIN, .revents = 0}};
  for (;;) {
    poll(watched, 2, -1);
    if (watched[0].revents != 0) {
      for (;;) {
        const int fd = accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) break;
        fds.push_back(fd);
      }
    }
    if (watched[1].revents != 0 && !obey(fds)) return 0;
  }
}
