// Many connections that read, or send and read, at the same time, for the benchmarks of broadcasts and of file tables.
// Commands are lines on stdin, each with a reply of one JSON line.
//
//   crowd --port P [--cpu C]
//   open N MS        opens N connections, for MS milliseconds at most                         → opened
//   echo BYTES MS    sends BYTES bytes on each, and reads until they have come back           → received
//   ends MS          reads until each connection has ended, or was reset                      → ended
//   receive BYTES MS reads BYTES more bytes from each connection, for MS milliseconds at most → received
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "client_socket.h"
#include "clock.h"
#include "command_line.h"
#include "cpu.h"
#include "json_line.h"

namespace {

constexpr int kEventsPerTurn = 256;

class Crowd {
 public:
  explicit Crowd(uint16_t port) : sockets_(port), epoll_(epoll_create1(EPOLL_CLOEXEC)) {}
  ~Crowd() {
    for (const int fd : fds_) bench::close_with_reset(fd);
    close(epoll_);
  }
  Crowd(const Crowd&) = delete;
  Crowd& operator=(const Crowd&) = delete;

  bool run();

 private:
  void open(size_t count, int64_t timeout_ms);
  void send_all(size_t bytes);
  void receive(int64_t bytes, int64_t timeout_ms);
  void await_ends(int64_t timeout_ms);
  void read_some(uint32_t index);

  bench::ClientSockets sockets_;
  int epoll_;
  std::vector<int> fds_;
  std::vector<int64_t> received_;  // by index, since the start
  int64_t total_ = 0;
  int64_t expected_ = 0;
  int64_t errors_ = 0;
  bool echoes_ = false;  // received bytes must equal the sent ones, which depend on the connection's index
  int64_t ended_ = 0;
};

bool Crowd::run() {
  std::string line;
  while (std::getline(std::cin, line)) {
    std::istringstream words(line);
    std::string verb;
    int64_t number = 0;
    int64_t timeout_ms = 0;
    words >> verb >> number >> timeout_ms;
    if (verb == "open") {
      open(static_cast<size_t>(number), timeout_ms);
    } else if (verb == "echo") {
      send_all(static_cast<size_t>(number));
      receive(number, timeout_ms);
    } else if (verb == "ends") {
      await_ends(number);
    } else if (verb == "receive") {
      receive(number, timeout_ms);
    } else {
      (void)fprintf(stderr, "crowd: unknown command '%s'\n", line.c_str());
      return false;
    }
  }
  return true;
}

void Crowd::open(size_t count, int64_t timeout_ms) {
  const auto outcome = sockets_.open(count, timeout_ms, [this](int fd) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u32 = static_cast<uint32_t>(fds_.size());
    epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
    fds_.push_back(fd);
    received_.push_back(0);
  });
  bench::JsonLine("opened")
      .add("connections", static_cast<int64_t>(outcome.opened))
      .add("queued", outcome.queued)
      .add("errno", outcome.error)
      .print();
}

void Crowd::send_all(size_t bytes) {
  echoes_ = true;
  for (size_t i = 0; i < fds_.size(); i++) {
    const std::string message(bytes, static_cast<char>(i));
    if (send(fds_[i], message.data(), bytes, MSG_NOSIGNAL) != static_cast<ssize_t>(bytes)) errors_++;
  }
}

void Crowd::await_ends(int64_t timeout_ms) {
  const int64_t deadline = bench::monotonic_ns() + timeout_ms * 1'000'000;
  epoll_event events[kEventsPerTurn];
  while (ended_ < static_cast<int64_t>(fds_.size()) && bench::monotonic_ns() < deadline) {
    const int count = epoll_wait(epoll_, events, kEventsPerTurn, 100);
    for (int i = 0; i < count; i++) read_some(events[i].data.u32);
  }
  bench::JsonLine("ended").add("connections", ended_).print();
}

void Crowd::receive(int64_t bytes, int64_t timeout_ms) {
  expected_ += bytes;
  const int64_t wanted = expected_ * static_cast<int64_t>(fds_.size());
  const int64_t deadline = bench::monotonic_ns() + timeout_ms * 1'000'000;
  epoll_event events[kEventsPerTurn];
  while (total_ < wanted && bench::monotonic_ns() < deadline) {
    const int count = epoll_wait(epoll_, events, kEventsPerTurn, 100);
    for (int i = 0; i < count; i++) read_some(events[i].data.u32);
  }
  int64_t wrong = errors_;
  for (const int64_t got : received_) wrong += got == expected_ ? 0 : 1;
  bench::JsonLine("received").add("wrong", wrong).print();
}

void Crowd::read_some(uint32_t index) {
  char buffer[64 * 1024];
  const ssize_t size = recv(fds_[index], buffer, sizeof buffer, MSG_DONTWAIT);
  if (size > 0) {
    received_[index] += size;
    total_ += size;
    const std::string_view chunk(buffer, static_cast<size_t>(size));
    if (echoes_ && chunk.find_first_not_of(static_cast<char>(index)) != std::string_view::npos) errors_++;
  } else if (size == 0 || errno != EAGAIN) {
    errors_++;
    ended_++;
    epoll_ctl(epoll_, EPOLL_CTL_DEL, fds_[index], nullptr);
  }
}

}  // namespace

int main(int count, char** words) {
  bench::CommandLine command_line(count - 1, words + 1);
  const auto port = static_cast<uint16_t>(command_line.take("port", 0));
  if (!bench::pin_to_cpu(static_cast<int>(command_line.take("cpu", -1)))) {
    (void)fprintf(stderr, "crowd: can't run on the CPU that --cpu names\n");
    return 2;
  }
  command_line.reject_the_rest();
  return Crowd(port).run() ? 0 : 1;
}
