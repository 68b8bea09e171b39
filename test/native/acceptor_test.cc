// Accepting pauses when descriptors, memory or slots run out, and never makes the loop spin.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <vector>

#include "native/net/socket.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

constexpr Trigger kTriggers[] = {Trigger::kEdge, Trigger::kLevel};

// Lets accept4 fail with `error` while that is set, and counts the calls.
class Accepts {
 public:
  explicit Accepts(Harness& h) {
    h.hooks.accept4 = [this](int fd, sockaddr* peer, socklen_t* length, int flags) {
      ++calls;
      // The acceptor has closed its reserve, so that this one call succeeds.
      if (error != 0 && !(descriptor_free && (error == EMFILE || error == ENFILE))) return shim::fail(error);
      descriptor_free = false;
      return shim::__real_accept4(fd, peer, length, flags);
    };
    h.hooks.close = [this](int fd) {
      if (fd == reserve_) descriptor_free = true;
      return shim::__real_close(fd);
    };
    h.hooks.open = [this](const char* path, int flags) {
      if (fail_open) return shim::fail(EMFILE);
      descriptor_free = false;
      return reserve_ = shim::__real_open(path, flags);
    };
  }

  // Sets the reserve that was opened before these hooks were installed.
  void reserve(int fd) { reserve_ = fd; }

  int error = 0;
  int calls = 0;
  bool fail_open = false;
  bool descriptor_free = false;

 private:
  int reserve_ = -1;
};

bool was_closed(Client& client) {
  client.receive();
  return client.ended || client.error == ECONNRESET;
}

// Returns the acceptor's reserve: an open descriptor of /dev/null.
int find_reserve() {
  for (int fd = 0; fd < 1024; ++fd) {
    char path[64];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), path, sizeof(path));
    if (fd > 2 && length > 0 && std::string_view(path, static_cast<size_t>(length)) == "/dev/null" &&
        (::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0) {
      return fd;
    }
  }
  return -1;
}

}  // namespace

TEST_CASE("without descriptors accepting pauses: one connection is shed, and retries are ever farther apart") {
  for (const Trigger trigger : kTriggers) {
    for (const int error : {EMFILE, ENFILE}) {
      CAPTURE(error);
      Harness h({.trigger = trigger});
      const auto port = h.listen();
      Accepts accepts(h);
      accepts.reserve(find_reserve());
      accepts.error = error;
      std::vector<Client*> waiting;
      for (int i = 0; i < 20; ++i) waiting.push_back(&h.connect(port));
      h.settle();
      CHECK(h.js.saturated == std::vector<int>{error});
      CHECK(accepts.calls == 2);
      CHECK(h.js.stat("shed") == 1);
      CHECK(was_closed(*waiting[0]));
      CHECK_FALSE(was_closed(*waiting[1]));
      int expected = 10;
      for (int round = 0; round < 10; ++round) {
        // The loop sleeps until the next retry, and does nothing before.
        CHECK(h.quiet());
        CHECK(h.asked() == expected);
        h.now_ms += static_cast<uint64_t>(expected - 1);
        const int before = accepts.calls;
        h.settle();
        CHECK(accepts.calls == before);
        CHECK(h.asked() == 1);
        h.now_ms += 1;
        h.settle();
        CHECK(accepts.calls == before + 2);
        expected = std::min(expected * 2, 1000);
      }
      CHECK(h.js.saturated.size() == 1);
      CHECK(h.js.stat("saturations") == 1);
      CHECK(h.js.stat("shed") == 11);
      CHECK(h.js.open() == 0);

      // With free descriptors, the next retry accepts all connections that still wait.
      accepts.error = 0;
      h.settle();
      CHECK(h.js.open() == 0);
      h.now_ms += 1000;
      h.settle();
      CHECK(h.js.open() == 9);
      CHECK(h.quiet());
      CHECK(h.asked() == -1);
      CHECK(h.js.saturated.size() == 1);

      // The next shortage starts a new phase, with short intervals and an event of its own.
      accepts.error = error;
      h.connect(port);
      h.settle();
      CHECK(h.js.saturated.size() == 2);
      CHECK(h.asked() == 10);
    }
  }
}

TEST_CASE("one free descriptor during a shortage doesn't end the phase, but shortens the interval to the next retry") {
  Harness h;
  const auto port = h.listen();
  Accepts accepts(h);
  accepts.reserve(find_reserve());
  accepts.error = EMFILE;
  for (int i = 0; i < 10; ++i) h.connect(port);
  h.settle();
  CHECK(h.asked() == 10);
  h.now_ms += 10;
  h.settle();
  CHECK(h.asked() == 20);
  // One call succeeds, and the next one fails again.
  accepts.error = 0;
  const auto accept = h.hooks.accept4;
  h.hooks.accept4 = [&](int fd, sockaddr* peer, socklen_t* length, int flags) {
    const int got = accept(fd, peer, length, flags);
    accepts.error = EMFILE;
    return got;
  };
  h.now_ms += 20;
  h.settle();
  CHECK(h.js.open() == 1);
  CHECK(h.js.saturated.size() == 1);
  CHECK(h.asked() == 10);
}

TEST_CASE("without memory accepting pauses, and no connection is shed") {
  for (const int error : {ENOBUFS, ENOMEM}) {
    Harness h;
    const auto port = h.listen();
    Accepts accepts(h);
    accepts.error = error;
    Client& client = h.connect(port);
    h.settle();
    CHECK(h.js.saturated == std::vector<int>{error});
    CHECK(accepts.calls == 1);
    CHECK(h.asked() == 10);
    CHECK_FALSE(was_closed(client));
    accepts.error = 0;
    h.now_ms += 10;
    h.settle();
    CHECK(h.js.open() == 1);
    CHECK(h.js.stat("shed") == 0);
    CHECK(h.asked() == -1);
  }
}

TEST_CASE("a connection that arrives while accepting is paused wakes the loop for one turn only") {
  Harness h;
  const auto port = h.listen();
  Accepts accepts(h);
  accepts.error = ENOMEM;
  h.connect(port);
  h.settle();
  const int calls = accepts.calls;
  for (int i = 0; i < 5; ++i) {
    h.connect(port);
    h.turn();
    h.turn();
    CHECK(h.quiet());
    CHECK(h.asked() == 10);
  }
  CHECK(accepts.calls == calls);
}

TEST_CASE("after an EMFILE of the kernel one connection is shed, and accepting recovers") {
  Harness h;
  const auto port = h.listen();
  std::vector<Client*> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(&h.connect(port));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // The lowest free descriptor number.
  const int next = ::fcntl(port.address.family() > 0 ? 0 : 0, F_DUPFD_CLOEXEC, 0);
  REQUIRE(next > 2);
  ::close(next);
  rlimit low = before;
  low.rlim_cur = static_cast<rlim_t>(next);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &low) == 0);
  h.settle();
  CHECK(h.js.saturated == std::vector<int>{EMFILE});
  CHECK(was_closed(*waiting[0]));
  CHECK(h.js.open() == 0);
  // accept4 fails with EMFILE for an empty queue as well, which must not make the loop spin.
  for (int i = 0; i < 8; ++i) {
    h.now_ms += 1000;
    h.settle();
    CHECK(h.quiet());
    CHECK(h.asked() > 0);
  }
  CHECK(h.js.stat("shed") == 5);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  auto& client = h.connect(port);
  h.now_ms += 1000;
  h.settle();
  CHECK(h.js.open() == 1);
  CHECK_FALSE(was_closed(client));
  CHECK(h.js.saturated.size() == 1);
}

TEST_CASE("a lost reserve descriptor is opened again when descriptors are free") {
  Harness h;
  const auto port = h.listen();
  Accepts accepts(h);
  accepts.reserve(find_reserve());
  accepts.error = EMFILE;
  // Another thread of the process takes the descriptor while the acceptor sheds a connection.
  accepts.fail_open = true;
  for (int i = 0; i < 3; ++i) h.connect(port);
  h.settle();
  CHECK(h.js.stat("shed") == 1);
  accepts.fail_open = false;
  accepts.error = 0;
  h.now_ms += 10;
  h.settle();
  CHECK(h.js.open() == 2);
  accepts.error = EMFILE;
  Client& client = h.connect(port);
  h.settle();
  CHECK(h.js.stat("shed") == 2);
  CHECK(was_closed(client));
}

TEST_CASE("a connection that the poller has no memory for is closed without a leak, and accepting retries later") {
  Harness h;
  const auto port = h.listen();
  int failures = 2;
  h.hooks.epoll_ctl = [&](int poll, int operation, int fd, epoll_event* event) {
    if (operation == EPOLL_CTL_ADD && failures-- > 0) return shim::fail(ENOMEM);
    return shim::__real_epoll_ctl(poll, operation, fd, event);
  };
  const int before = count_descriptors();
  Client& first = h.connect(port);
  Client& second = h.connect(port);
  Client& third = h.connect(port);
  h.settle();
  CHECK(h.js.saturated == std::vector<int>{ENOMEM});
  CHECK(h.loop->table().slots.live() == 0);
  CHECK(h.asked() == 10);
  CHECK(count_descriptors() == before + 3);
  h.now_ms += 10;
  h.settle();
  CHECK(h.asked() == 20);
  h.now_ms += 20;
  h.settle();
  CHECK(was_closed(first));
  CHECK(was_closed(second));
  CHECK_FALSE(was_closed(third));
  CHECK(h.js.open() == 1);
  CHECK(h.js.saturated.size() == 1);
  CHECK(h.js.stat("acceptErrors") == 2);
}

TEST_CASE("an error of accept4 that concerns one connection doesn't pause accepting") {
  Harness h;
  const auto port = h.listen();
  std::vector<int> errors{ECONNABORTED, EINTR, EPROTO, ENETDOWN, EINTR, EHOSTUNREACH};
  h.hooks.accept4 = [&](int fd, sockaddr* peer, socklen_t* length, int flags) {
    if (errors.empty()) return shim::__real_accept4(fd, peer, length, flags);
    const int error = errors.back();
    errors.pop_back();
    return shim::fail(error);
  };
  h.connect(port);
  h.settle();
  CHECK(h.js.open() == 1);
  CHECK(h.js.saturated.empty());
  CHECK(h.js.stat("acceptErrors") == 4);
}

TEST_CASE("errors that accept4 returns every time don't make the loop spin") {
  // EPERM comes from a firewall for one connection, or from a sandbox for all; EINVAL from a socket that has stopped
  // listening; EBADF would be a bug.
  for (const Trigger trigger : kTriggers) {
    for (const int error : {EPERM, ECONNABORTED, EINVAL, EBADF}) {
      CAPTURE(error);
      Harness h({.trigger = trigger});
      const auto port = h.listen();
      Accepts accepts(h);
      accepts.error = error;
      h.connect(port);
      for (int i = 0; i < 20; ++i) h.turn();
      CHECK(accepts.calls < 1000);
      CHECK(h.quiet());
      // A retry from time to time is not spinning.
      for (int second = 0; second < 10; ++second) {
        h.now_ms += 1000;
        for (int i = 0; i < 10; ++i) h.turn();
        CHECK(h.quiet());
      }
      CHECK(accepts.calls < 10'000);
      CHECK(h.js.stat("shed") == 0);
    }
  }
}

TEST_CASE("a burst of new connections leaves time for the open ones in every turn") {
  raise_descriptor_limit();
  Harness h({.max_connections = 1000});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  for (int i = 0; i < 600; ++i) h.connect(port);
  client.send("x");
  h.turn();
  REQUIRE(h.loop->table().slots.live() > 1);
  h.turn();
  CHECK(h.asked() == 0);  // the rest of the queue causes no further edge
  const uint32_t first = h.loop->table().slots.live();
  CHECK(first > 1);
  CHECK(first <= 1 + 2 * 256);
  h.js.deliver_all();
  CHECK(told.received == "x");
  h.settle();
  CHECK(h.js.open() == 601);
}

TEST_CASE("at maxConnections accepting pauses until enough connections have closed, with one event for each pause") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.max_connections = 64, .trigger = trigger});
    const auto port = h.listen();
    for (int i = 0; i < 70; ++i) h.connect(port);
    h.settle();
    CHECK(h.js.open() == 64);
    CHECK(h.js.saturated == std::vector<int>{0});
    CHECK(h.quiet());
    CHECK(h.asked() == -1);  // it waits for a close, which JavaScript causes
    // One free slot of 64 is not enough.
    h.js.destroy(h.js.connections[0]);
    h.settle();
    CHECK(h.js.open() == 63);
    CHECK(h.js.saturated.size() == 1);
    h.js.destroy(h.js.connections[1]);
    h.settle();
    CHECK(h.js.open() == 64);
    CHECK(h.js.saturated == std::vector<int>{0, 0});
    for (int i = 2; i < 10; ++i) h.js.destroy(h.js.connections[i]);
    h.settle();
    CHECK(h.js.open() == 60);
    CHECK(h.js.saturated.size() == 2);
    CHECK(h.js.connections.size() == 70);
  }
}

TEST_CASE("with maxConnections 1 connections are accepted one after the other") {
  Harness h({.max_connections = 1});
  const auto port = h.listen();
  for (int i = 0; i < 3; ++i) h.connect(port);
  h.settle();
  CHECK(h.js.open() == 1);
  for (size_t i = 0; i < 2; ++i) {
    h.js.destroy(h.js.connections[i]);
    h.settle();
    CHECK(h.js.open() == 1);
    CHECK(h.js.connections.size() == i + 2);
  }
  // All used the same slot, each with a generation of its own.
  CHECK(h.js.connections[2].generation == h.js.connections[0].generation + 2);
}

TEST_CASE("saturation is reported once, as soon as a batch has room for it") {
  Harness h({.max_connections = 4, .batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("x");
  h.settle_blocked();  // JS holds the only batch
  for (int i = 0; i < 5; ++i) h.connect(port);
  h.settle_blocked();
  CHECK(h.loop->table().slots.live() == 4);
  CHECK(h.js.saturated.empty());
  h.settle();
  CHECK(h.js.saturated == std::vector<int>{0});
  CHECK(h.js.open() == 4);
}

TEST_CASE("each listener reports its own saturation") {
  Harness h({.max_connections = 2});
  const auto one = h.listen();
  const auto two = h.listen();
  h.connect(one);
  h.connect(two);
  h.settle();
  CHECK(h.js.open() == 2);
  h.connect(one);
  h.connect(two);
  h.settle();
  CHECK(h.js.saturated == std::vector<int>{0, 0});
  h.js.destroy(h.js.connections[0]);
  h.settle();
  CHECK(h.js.open() == 2);
}

TEST_CASE("a listener that closes while accepting is paused leaves no timer, and frees its port") {
  for (const bool full : {false, true}) {
    Harness h({.max_connections = 1});
    const auto port = h.listen();
    Accepts accepts(h);
    accepts.error = full ? 0 : ENOMEM;
    h.connect(port);
    Client& left = h.connect(port);
    h.settle();
    CHECK(h.js.saturated.size() == 1);
    auto close = std::make_unique<CloseListenerRequest>();
    close->index = port.index;
    h.js.request(std::move(close));
    h.settle();
    CHECK(h.quiet());
    CHECK(h.asked() == -1);
    CHECK(was_closed(left));
    const auto again = h.listen({.address = port.address});
    CHECK(again.address.port() == port.address.port());
  }
}

TEST_CASE("closing a listener returns how many connections it has accepted, also if their opens are delivered later") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("x");
  h.settle_blocked();
  for (int i = 0; i < 3; ++i) h.connect(port);
  h.settle_blocked();
  auto request = std::make_unique<CloseListenerRequest>();
  request->index = port.index;
  const CloseListenerRequest* close = request.get();
  h.js.request(std::move(request));
  h.settle_blocked();
  h.settle();
  REQUIRE(h.js.completed.back().get() == close);
  CHECK(close->accepted == 4);
  CHECK(h.js.connections.size() == 4);
  for (const Told& one : h.js.connections) CHECK(one.listener == port.index);
}

TEST_CASE("a listener that closes accepts the connections in its queue first") {
  for (const bool is_unix : {false, true}) {
    Harness h({.max_connections = 512});
    Harness::ListenOptions options;
    if (is_unix) options.address = Address::unix_path(std::string("\0c1m-close-test", 15)).value();
    const auto port = h.listen(options);
    h.settle();
    // More connections than one turn accepts, each with a byte to read.
    h.hooks.accept4 = [&](int fd, sockaddr* peer, socklen_t* length, int flags) {
      ++h.now_ms;
      return shim::__real_accept4(fd, peer, length, flags);
    };
    for (int i = 0; i < 30; ++i) h.connect(port).send("x");
    auto request = std::make_unique<CloseListenerRequest>();
    request->index = port.index;
    const CloseListenerRequest* close = request.get();
    h.js.request(std::move(request));
    h.settle();
    REQUIRE(h.js.completed.back().get() == close);
    CHECK(close->accepted == 30);
    CHECK(h.js.connections.size() == 30);
    for (const Told& one : h.js.connections) CHECK(one.received == "x");
    const Fd late(::socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    CHECK(::connect(late.get(), port.address.get(), port.address.length()) == -1);
    CHECK(errno == ECONNREFUSED);
    h.hooks.accept4 = nullptr;
  }
}

TEST_CASE("closing a listener that doesn't exist completes") {
  Harness h;
  auto request = std::make_unique<CloseListenerRequest>();
  request->index = 77;
  h.js.request(std::move(request));
  h.settle();
  CHECK(h.js.completed.size() == 1);
}

TEST_CASE("a Unix listener that the poller can't add leaves no file") {
  char path[] = "/tmp/c1m-acceptor-XXXXXX";
  REQUIRE(::mkdtemp(path) != nullptr);
  const std::string file = std::string(path) + "/s";
  {
    Harness h;
    h.hooks.epoll_ctl = [](int, int, int, epoll_event*) { return shim::fail(ENOSPC); };
    auto request = std::make_unique<ListenRequest>();
    request->spec.address = Address::unix_path(file).value();
    const ListenRequest* listen = request.get();
    h.js.request(std::move(request));
    h.settle();
    CHECK(listen->failure.error.code == ENOSPC);
    CHECK(::access(file.c_str(), F_OK) != 0);
    h.hooks.epoll_ctl = nullptr;
  }
  ::unlink(file.c_str());
  CHECK(::rmdir(path) == 0);
}
