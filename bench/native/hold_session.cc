#include "hold_session.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <iostream>
#include <sstream>

#include "json_line.h"

namespace bench {
namespace {

// The max number of connections with a message, or a FIN, in flight.
constexpr size_t kMaxInFlight = 256;
constexpr time_t kReplyTimeoutSeconds = 10;

void limit_wait(int fd) {
  const timeval limit{.tv_sec = kReplyTimeoutSeconds, .tv_usec = 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

}  // namespace

HoldSession::~HoldSession() {
  for (const int fd : fds_) close_with_reset(fd);
}

bool HoldSession::run() {
  std::string line;
  while (std::getline(std::cin, line)) {
    if (!obey(line)) {
      (void)fprintf(stderr, "load: unknown command '%s'\n", line.c_str());
      return false;
    }
  }
  return true;
}

bool HoldSession::obey(const std::string& line) {
  std::istringstream words(line);
  std::string verb;
  words >> verb;
  if (verb == "open" || verb == "churn") {
    size_t count = 0;
    int64_t timeout_ms = 0;
    if (!(words >> count >> timeout_ms)) return false;
    open(count, timeout_ms, verb == "open");
    return true;
  }
  if (verb == "use") {
    size_t bytes = 0;
    if (!(words >> bytes) || bytes > Pattern::kWindow) return false;
    use(bytes);
    return true;
  }
  std::string how;
  if (verb != "close" || !(words >> how)) return false;
  if (how == "fin") {
    close_gracefully();
  } else if (how == "reset") {
    close_by_reset();
  } else {
    return false;
  }
  return true;
}

void HoldSession::open(size_t count, int64_t timeout_ms, bool keep) {
  const auto outcome = sockets_.open(count, timeout_ms, [this, keep](int fd) {
    if (keep) {
      fds_.push_back(fd);
    } else {
      close(fd);
    }
  });
  JsonLine("opened")
      .add("connections", static_cast<int64_t>(outcome.opened))
      .add("queued", outcome.queued)
      .add("errno", outcome.error)
      .add("firstMicros", outcome.first_us)
      .print();
}

void HoldSession::use(size_t bytes) {
  std::vector<char> buffer(bytes);
  int64_t errors = 0;
  for (size_t first = 0; first < fds_.size(); first += kMaxInFlight) {
    const size_t end = std::min(first + kMaxInFlight, fds_.size());
    for (size_t i = first; i < end; i++) {
      limit_wait(fds_[i]);
      send(fds_[i], pattern_.at(static_cast<uint32_t>(i), 0), bytes, MSG_NOSIGNAL);
    }
    for (size_t i = first; i < end; i++) {
      if (!echo_arrives(static_cast<uint32_t>(i), bytes, buffer)) errors++;
    }
  }
  JsonLine("used").add("connections", static_cast<int64_t>(fds_.size())).add("errors", errors).print();
}

bool HoldSession::echo_arrives(uint32_t index, size_t bytes, std::vector<char>& buffer) const {
  const ssize_t size = recv(fds_[index], buffer.data(), bytes, MSG_WAITALL);
  return size == static_cast<ssize_t>(bytes) && pattern_.matches(index, 0, buffer.data(), bytes);
}

void HoldSession::close_gracefully() {
  int64_t errors = 0;
  for (size_t first = 0; first < fds_.size(); first += kMaxInFlight) {
    const size_t end = std::min(first + kMaxInFlight, fds_.size());
    for (size_t i = first; i < end; i++) {
      limit_wait(fds_[i]);
      shutdown(fds_[i], SHUT_WR);
    }
    for (size_t i = first; i < end; i++) {
      char byte = 0;
      if (recv(fds_[i], &byte, 1, 0) != 0) errors++;
      close(fds_[i]);
    }
  }
  JsonLine("closed").add("connections", static_cast<int64_t>(fds_.size())).add("errors", errors).print();
  fds_.clear();
}

void HoldSession::close_by_reset() {
  for (const int fd : fds_) close_with_reset(fd);
  JsonLine("closed").add("connections", static_cast<int64_t>(fds_.size())).add("errors", int64_t{0}).print();
  fds_.clear();
}

}  // namespace bench
