// The loop on a thread of its own, as in the addon: for TSan, and for wake-ups that only two real threads can lose.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/time.h>

#include <map>
#include <random>
#include <thread>

#include "native/net/socket.h"
#include "test/native/bell.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

// Runs the loop from its making to stop(). This thread is the JS thread.
class Running {
 public:
  explicit Running(uint32_t max_connections, Trigger trigger = Trigger::kEdge)
      : js({.slab_bytes = 256 * 1024, .max_connections = max_connections}) {
    const JsWaker waker{[](void* running) {
                          static_cast<Running*>(running)->js.woken = true;
                          static_cast<Running*>(running)->bell_.ring();
                        },
                        this};
    loop = std::move(Loop::create(js.options(trigger), js.mailbox, waker).value());
    js.attach(*loop);
    thread_ = std::thread([this] { loop->run(); });
  }
  Running(const Running&) = delete;
  Running& operator=(const Running&) = delete;
  ~Running() { stop(); }

  // Sleeps until the loop wakes us, and delivers a batch.
  void deliver() {
    if (!bell_.wait()) FAIL("nobody wakes the JS thread");
    js.deliver();
    if (js.woken) bell_.ring();
  }

  void ring() { bell_.ring(); }

  Address listen(uint32_t timeout_ms = 0) {
    auto request = std::make_unique<ListenRequest>();
    request->spec.address = Address::ip("127.0.0.1", 0).value();
    request->spec.backlog = 1024;
    request->connections.idle_timeout_ms = timeout_ms;
    const ListenRequest* listening = request.get();
    js.request(std::move(request));
    js.flush();
    while (js.completed.empty()) deliver();
    REQUIRE(js.completed.back().get() == listening);
    return listening->bound;
  }

  void stop() {
    if (!thread_.joinable()) return;
    js.mailbox.request_stop();
    loop->poller().wake();
    thread_.join();
  }

 private:
  DescriptorCheck descriptors_;

 public:
  JsSide js;
  std::unique_ptr<Loop> loop;

 private:
  Bell bell_;
  std::thread thread_;
};

// A blocking client that gives up after ten seconds.
Fd dial(const Address& to) {
  Fd fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval limit{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
  ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
  if (!connect_socket(fd.get(), to)) fd.reset();
  return fd;
}

bool receive_exactly(int fd, const std::string& expected) {
  std::string got(expected.size(), '\0');
  size_t at = 0;
  while (at < got.size()) {
    const ssize_t count = ::recv(fd, got.data() + at, got.size() - at, 0);
    if (count <= 0) return false;
    at += static_cast<size_t>(count);
  }
  return got == expected;
}

// Answers what came with the same, and an end with an end.
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

}  // namespace

TEST_CASE("threads: many connections echo, all of it, while others come and go") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Running running(256, trigger);
    const Address address = running.listen();
    constexpr int kClients = 60;
    std::atomic<int> well{0};
    std::atomic<int> done{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937 random(static_cast<uint32_t>(thread));
        for (int i = 0; i < kClients / 3; ++i) {
          const Fd fd = dial(address);
          bool ok = fd.valid();
          for (int round = 0; ok && round < 5; ++round) {
            const std::string bytes = pattern(1 + random() % (round == 4 ? 100'000 : 300), random());
            ok = shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                     static_cast<ssize_t>(bytes.size()) &&
                 receive_exactly(fd.get(), bytes);
          }
          if (ok && i % 3 == 0) {
            char byte = 0;
            ok = shutdown_write(fd.get()).ok() && ::recv(fd.get(), &byte, 1, 0) == 0;
          }
          if (ok && i % 3 == 1) (void)reset_on_close(fd.get());
          well += ok ? 1 : 0;
        }
        ++done;
        running.ring();  // no event may come after this one's last
      });
    }
    Echo echo(running);
    while (done < 3 || running.js.open() > 0 || running.js.connections.size() < kClients) {
      running.deliver();
      echo.answer();
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(well == kClients);
    CHECK(running.js.connections.size() == kClients);
    for (const Told& told : running.js.connections) CHECK(told.times('C') == 1);
    CHECK(running.js.pinned() == 0);
  }
}

TEST_CASE("threads: a loop that sleeps is woken by every command") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  Told& told = running.js.connections[0];
  std::mt19937 random(1);
  for (int i = 0; i < 3000; ++i) {
    // At every distance from the moment at which it falls asleep.
    const int spins = static_cast<int>(random() % 3000);
    for (volatile int spin = 0; spin < spins;) spin = spin + 1;
    const std::string bytes = std::to_string(i);
    running.js.write(told, bytes);
    running.js.flush();
    if (!receive_exactly(fd.get(), bytes)) FAIL("write " << i << " was slept through");
  }
}

TEST_CASE("threads: a loop that waits for a batch is woken by its return") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  // Bulk that fills batch after batch while this thread hands them back one at a time.
  const std::string bytes = pattern(3'000'000);
  std::thread sender([&] {
    size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t sent = shim::__real_send(fd.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<size_t>(sent);
    }
    (void)shutdown_write(fd.get());
  });
  Told& told = running.js.connections[0];
  while (!told.ended()) running.deliver();
  sender.join();
  CHECK(told.received == bytes);
  CHECK(told.log == "ODE");
}

TEST_CASE("threads: the JS thread may read a connection's address while the loop accepts others") {
  // More than one chunk of slots, so that the slab grows meanwhile.
  raise_descriptor_limit();
  constexpr uint32_t kConnections = 1500;
  Running running(kConnections);
  const Address address = running.listen();
  std::thread dialer([&] {
    std::vector<Fd> fds;
    for (uint32_t i = 0; i < kConnections; ++i) {
      fds.push_back(dial(address));
      if (!fds.back().valid()) return;
    }
  });
  size_t looked = 0;
  while (running.js.open() > 0 || running.js.connections.size() < kConnections) {
    running.deliver();
    for (; looked < running.js.connections.size(); ++looked) {
      const Told& told = running.js.connections[looked];
      // As remoteAddress does, in the handler that opens it or later; here it may have closed already.
      if (!told.closed()) CHECK(running.loop->entry(told.slot).peer.port != 0);
      if (told.ended()) running.js.end(told);
    }
    for (const Told& told : running.js.connections) {
      if (told.ended() && !told.closed()) running.js.end(told);
    }
    running.js.flush();
  }
  dialer.join();
  CHECK(looked == kConnections);
}

TEST_CASE("threads: a stop under traffic joins, and closes every descriptor") {
  for (int round = 0; round < 5; ++round) {
    Running running(64);
    const Address address = running.listen();
    std::atomic<bool> stop{false};
    std::thread traffic([&] {
      std::vector<Fd> fds;
      for (int i = 0; i < 20; ++i) fds.push_back(dial(address));
      const std::string bytes = pattern(1000);
      char buffer[4096];
      while (!stop) {
        for (const Fd& fd : fds) {
          (void)!shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
          (void)!::recv(fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
        }
      }
    });
    Echo echo(running);
    for (int i = 0; i < 20 + round * 20; ++i) {
      running.deliver();
      echo.answer();
    }
    running.stop();
    stop = true;
    traffic.join();
    CHECK(running.js.connections.size() > 0);
  }
}

TEST_CASE("threads: counters and flushed bytes may be read at any time") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  Told& told = running.js.connections[0];
  const std::string bytes = pattern(2'000'000);
  std::thread reader([&] { CHECK(receive_exactly(fd.get(), bytes)); });
  running.js.write_pinned(told, bytes);
  running.js.flush();
  uint32_t last = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (last < bytes.size() && std::chrono::steady_clock::now() < deadline) {
    const uint32_t flushed = running.js.flushed(told);
    if (flushed < last) FAIL("fewer bytes than before");
    last = flushed;
    if (running.js.stat("bytesWritten") > static_cast<double>(bytes.size())) FAIL("too many bytes");
    std::this_thread::yield();
  }
  reader.join();
  CHECK(last == bytes.size());
}
