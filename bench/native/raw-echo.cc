// The raw peer, an echo server of system calls only: one thread, edge-triggered epoll, every socket registered once,
// read until a short read, written back immediately.
//
// It prints its port as JSON, and executes the commands of bench/peers/control.ts on stdin.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <string>
#include <unordered_map>

#include "clock.h"
#include "json_line.h"

namespace {

using bench::JsonLine;

constexpr int kEventsPerTurn = 256;
constexpr int kBacklog = 4096;
constexpr size_t kReadBytes = 64 * 1024;

class EchoServer {
 public:
  bool listen_on_loopback();
  void run();

 private:
  void accept_all();
  void serve(int fd, uint32_t events);
  bool flush(int fd);
  bool echo(int fd, const char* bytes, size_t size);
  void drop(int fd);
  void read_commands();
  void obey(const std::string& line);

  bool watch(int fd, uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = fd;
    return epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event) == 0;
  }

  int epoll_ = -1;
  int listener_ = -1;
  bool running_ = true;
  int64_t open_ = 0;
  int64_t opened_ = 0;
  int64_t expected_ = 0;
  std::string commands_;
  // The bytes that a socket didn't take. A connection with such bytes isn't read, because the peer must read first.
  std::unordered_map<int, std::string> unsent_;
  char buffer_[kReadBytes];
};

bool EchoServer::listen_on_loopback() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  const int on = 1;
  setsockopt(listener_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);  // accepted sockets inherit it
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  if (bind(listener_, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(listener_, kBacklog) != 0 ||
      !watch(listener_, EPOLLIN | EPOLLET) || !watch(STDIN_FILENO, EPOLLIN)) {
    return false;
  }
  getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size);
  JsonLine("listening").add("port", ntohs(address.sin_port)).print();
  return true;
}

void EchoServer::run() {
  epoll_event events[kEventsPerTurn];
  while (running_) {
    const int count = epoll_wait(epoll_, events, kEventsPerTurn, -1);
    for (int i = 0; i < count; i++) {
      if (events[i].data.fd == listener_) {
        accept_all();
      } else if (events[i].data.fd == STDIN_FILENO) {
        read_commands();
      } else {
        serve(events[i].data.fd, events[i].events);
      }
    }
  }
}

void EchoServer::accept_all() {
  for (;;) {
    const int fd = accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return;
    if (!watch(fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET)) {
      close(fd);
      continue;
    }
    open_++;
    if (++opened_ == expected_)
      JsonLine("expected").add("opened", opened_).add("atMicros", bench::wall_clock_us()).print();
  }
}

void EchoServer::serve(int fd, uint32_t events) {
  if (!unsent_.empty() && !flush(fd)) return;
  if ((events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  for (;;) {
    const ssize_t size = recv(fd, buffer_, sizeof buffer_, 0);
    if (size < 0 && errno == EAGAIN) return;
    if (size <= 0) return drop(fd);
    if (!echo(fd, buffer_, static_cast<size_t>(size))) return;
    // After a short read the socket is empty, unless a FIN or an error is behind the bytes.
    if (size < static_cast<ssize_t>(sizeof buffer_) && (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) == 0) return;
  }
}

// Returns true if nothing is left to send and the connection is still open.
bool EchoServer::flush(int fd) {
  const auto found = unsent_.find(fd);
  if (found == unsent_.end()) return true;
  const std::string bytes = std::move(found->second);
  unsent_.erase(found);
  return echo(fd, bytes.data(), bytes.size());
}

bool EchoServer::echo(int fd, const char* bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t written = send(fd, bytes + done, size - done, MSG_NOSIGNAL);
    if (written < 0 && errno == EAGAIN) {
      unsent_[fd].assign(bytes + done, size - done);
      return false;
    }
    if (written < 0) {
      drop(fd);
      return false;
    }
    done += static_cast<size_t>(written);
  }
  return true;
}

void EchoServer::drop(int fd) {
  unsent_.erase(fd);
  close(fd);
  open_--;
}

void EchoServer::read_commands() {
  char bytes[256];
  const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
  if (size <= 0) {
    running_ = false;
    return;
  }
  commands_.append(bytes, static_cast<size_t>(size));
  for (size_t end = commands_.find('\n'); end != std::string::npos; end = commands_.find('\n')) {
    obey(commands_.substr(0, end));
    commands_.erase(0, end + 1);
  }
}

void EchoServer::obey(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  int64_t number = 0;
  words >> verb >> number;
  if (verb == "quit") {
    running_ = false;
  } else if (verb == "gc") {
    JsonLine("gc").print();  // nothing to collect here
  } else if (verb == "stats") {
    JsonLine("stats").add("connections", open_).print();
  } else if (verb == "expect") {
    opened_ = 0;
    expected_ = number;
    JsonLine("expecting").print();
  } else if (verb == "block") {
    const int64_t end = bench::monotonic_ns() + number * 1'000'000;
    while (bench::monotonic_ns() < end) {
    }
    JsonLine("unblocked").print();
  }
}

}  // namespace

int main() {
  static EchoServer server;
  if (!server.listen_on_loopback()) {
    perror("raw-echo");
    return 1;
  }
  server.run();
  return 0;
}
