#include "download_run.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>

#include "client_socket.h"
#include "clock.h"
#include "json_line.h"

namespace bench {
namespace {

constexpr int kEventsPerTurn = 256;
constexpr int64_t kOpenTimeoutMs = 30'000;
// A server that sends nothing for this time has lost a request.
constexpr int kSilenceMs = 30'000;
constexpr size_t kDiscardBytes = 4 << 20;
constexpr char kLengthHeader[] = "Content-Length: ";

}  // namespace

bool DownloadRun::run() {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  ClientSockets sockets(options_.port);
  const auto opened = sockets.open(options_.connections, kOpenTimeoutMs, [this](int fd) {
    fcntl(fd, F_SETFL, O_NONBLOCK);
    all_.push_back({.fd = fd, .left = 0, .missing = -1, .started_ns = 0, .head = {}});
  });
  if (opened.opened != options_.connections || opened.queued != 0) return false;
  for (size_t i = 0; i < all_.size(); i++) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    if (epoll_ctl(epoll_, EPOLL_CTL_ADD, all_[i].fd, &event) != 0) return false;
  }
  if (!phase(1)) return false;
  JsonLine("ready").add("congestion", congestion_of(all_[0].fd)).print();
  if (getchar() == EOF) return true;
  times_.reset();
  const int64_t start = monotonic_ns();
  const bool complete = phase(options_.downloads);
  JsonLine("result")
      .add("downloads", times_.count())
      .add("bytes", times_.count() * options_.bytes)
      .add("elapsedNs", monotonic_ns() - start)
      .add("p50Ns", times_.percentile(0.5))
      .add("p99Ns", times_.percentile(0.99))
      .add("maxNs", times_.max())
      .add("errors", int64_t{complete ? 0 : 1})
      .print();
  for (const Download& one : all_) close_with_reset(one.fd);
  return true;
}

bool DownloadRun::phase(int64_t downloads) {
  for (Download& one : all_) {
    one.left = downloads;
    if (!begin(one)) return false;
  }
  epoll_event events[kEventsPerTurn];
  while (busy_ > 0) {
    const int count = epoll_wait(epoll_, events, kEventsPerTurn, kSilenceMs);
    if (count <= 0) return false;
    for (int i = 0; i < count; i++) {
      if (!receive(all_[events[i].data.u64])) return false;
    }
  }
  return true;
}

bool DownloadRun::begin(Download& download) {
  download.left--;
  download.missing = -1;
  download.head.clear();
  download.started_ns = monotonic_ns();
  busy_++;
  const std::string request = "GET /" + std::to_string(options_.bytes) + " HTTP/1.1\r\nHost: bench\r\n\r\n";
  return send(download.fd, request.data(), request.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(request.size());
}

// Receives all available bytes. Returns false if the connection failed, or the response wasn't the requested one.
bool DownloadRun::receive(Download& download) {
  while (download.missing < 0) {
    if (!take_head(download)) return errno == EAGAIN;
  }
  while (download.missing > 0) {
    const size_t most = std::min<size_t>(kDiscardBytes, static_cast<size_t>(download.missing));
    const ssize_t got = recv(download.fd, nullptr, most, MSG_TRUNC);
    if (got < 0) return errno == EAGAIN;
    if (got == 0) return false;
    download.missing -= got;
  }
  times_.record(monotonic_ns() - download.started_ns);
  busy_--;
  return download.left == 0 || begin(download);
}

bool DownloadRun::take_head(Download& download) {
  char bytes[1024];
  // Reads only up to the end of the head, so that the body can be discarded as a whole.
  ssize_t got = recv(download.fd, bytes, sizeof bytes, MSG_PEEK);
  if (got <= 0) {
    if (got == 0) errno = ECONNRESET;
    return false;
  }
  const size_t before = download.head.size();
  download.head.append(bytes, static_cast<size_t>(got));
  const size_t end = download.head.find("\r\n\r\n");
  const size_t take = end == std::string::npos ? static_cast<size_t>(got) : end + 4 - before;
  got = recv(download.fd, bytes, take, 0);
  if (end == std::string::npos) return true;
  const size_t length = download.head.find(kLengthHeader);
  errno = EPROTO;
  if (length == std::string::npos || download.head.compare(0, 12, "HTTP/1.1 200") != 0) return false;
  download.missing = strtoll(download.head.c_str() + length + sizeof kLengthHeader - 1, nullptr, 10);
  return download.missing == options_.bytes;
}

}  // namespace bench
