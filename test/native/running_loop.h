#pragma once

#include <doctest/doctest.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include <atomic>
#include <map>
#include <string>
#include <thread>

#include "native/net/socket.h"
#include "test/native/bell.h"
#include "test/native/loop_harness.h"

namespace c1m {

// Occupies the lowest numbers of this thread's own file table, so that no other thread has a descriptor of the same
// number: ThreadSanitizer assumes one table for the process, and would report a race. syscall(2) bypasses its
// interceptors. Returns the number of descriptors.
inline int occupy_numbers() {
  static std::atomic<int> next{0};
  constexpr int kEach = 200;
  const long upto = (++next % 4 + 1) * kEach;
  int taken = 0;
  for (long fd = 0; fd < upto; ++taken) fd = ::syscall(SYS_dup, STDERR_FILENO);
  return taken;
}

// Returns a request to listen at a free port of 127.0.0.1.
inline std::unique_ptr<ListenRequest> listen_request() {
  auto request = std::make_unique<ListenRequest>();
  request->spec.address = Address::ip("127.0.0.1", 0).value();
  request->spec.backlog = 1024;
  return request;
}

// A loop that runs on a thread of its own until stop(). The thread that makes it is the JS thread.
class Running {
 public:
  explicit Running(uint32_t max_connections, Trigger trigger = Trigger::kEdge, bool own_file_table = false)
      : js({.slab_bytes = 256 * 1024, .max_connections = max_connections}) {
    const JsWaker waker{[](void* running) {
                          static_cast<Running*>(running)->js.woken = true;
                          static_cast<Running*>(running)->bell_.ring();
                        },
                        this};
    LoopOptions options = js.options(trigger);
    options.own_file_table = own_file_table;
    loop = std::move(Loop::create(options, js.mailbox, waker).value());
    if (own_file_table) passage = std::move(Passage::open().value());
    js.attach(*loop);
    thread_ = std::thread([this] {
      int fillers = 0;
      if (passage.inner.valid()) {
        table_ = loop->own_file_table(passage.inner.get(), -1);
        fillers = occupy_numbers();
      }
      loop->run();
      if (passage.inner.valid()) left_ = count_descriptors_of_thread() - fillers;
    });
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { stop(); }

  // Sleeps until the loop wakes this thread, and delivers a batch.
  void deliver() {
    if (!bell_.wait()) FAIL("no wake-up of the JS thread for ten seconds");
    js.deliver();
    if (js.woken) bell_.ring();
  }

  void ring() { bell_.ring(); }

  Address listen(uint32_t timeout_ms = 0) {
    auto request = listen_request();
    request->connections.idle_timeout_ms = timeout_ms;
    return ask(std::move(request)).bound;
  }

  // Sends the request, and waits for its reply.
  template <class R>
  const R& ask(std::unique_ptr<R> request) {
    const R* asked = request.get();
    const size_t before = js.completed.size();
    js.request(std::move(request));
    js.flush();
    while (js.completed.size() == before) deliver();
    REQUIRE(js.completed.back().get() == asked);
    return *asked;
  }

  void stop() {
    if (!thread_.joinable()) return;
    js.mailbox.request_stop();
    loop->poller().wake();
    thread_.join();
    CHECK(table_.ok());
  }

 private:
  DescriptorCheck descriptors_;

 public:
  JsSide js;
  std::unique_ptr<Loop> loop;
  Passage passage;  // open if the loop has a file table of its own

  // The number of descriptors that were left in the thread's own table when the loop had ended.
  [[nodiscard]] int left() const { return left_; }

 private:
  Result<void> table_;
  int left_ = 0;
  Bell bell_;
  std::thread thread_;
};

// Connects a blocking client whose calls time out after ten seconds.
inline Fd dial(const Address& to) {
  Fd fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (!connect_socket(fd.get(), to)) fd.reset();
  return fd;
}

inline bool receive_exactly(int fd, const std::string& expected) {
  std::string got(expected.size(), '\0');
  size_t at = 0;
  while (at < got.size()) {
    const ssize_t count = shim::__real_recv(fd, got.data() + at, got.size() - at, 0);
    if (count <= 0) return false;
    at += static_cast<size_t>(count);
  }
  return got == expected;
}

// Sends received bytes back, and replies to an end with an end.
class Echo {
 public:
  explicit Echo(Running& running) : running_(running) {}

  void answer() {
    for (; first_ < running_.js.connections.size() && running_.js.connections[first_].closed(); ++first_) continue;
    for (size_t i = first_; i < running_.js.connections.size(); ++i) {
      Told& told = running_.js.connections[i];
      if (told.closed()) continue;
      size_t& echoed = echoed_[i];
      for (; echoed < told.received.size(); echoed += std::min<size_t>(told.received.size() - echoed, 20'000)) {
        const std::string_view bytes = std::string_view(told.received).substr(echoed, 20'000);
        if (bytes.size() % 3 == 0) {
          running_.js.write_pinned(told, std::string(bytes));
        } else {
          running_.js.write(told, bytes);
        }
      }
      if (told.ended() && !ended_[i]) running_.js.end(told), ended_[i] = true;
    }
    running_.js.flush();
  }

 private:
  Running& running_;
  size_t first_ = 0;
  std::map<size_t, size_t> echoed_;
  std::map<size_t, bool> ended_;
};

}  // namespace c1m
