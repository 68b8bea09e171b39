// Accepting is governed: what runs out pauses it, and never makes the loop spin.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/resource.h>

#include <vector>

#include "native/net/socket.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

constexpr Trigger kTriggers[] = {Trigger::kEdge, Trigger::kLevel};

// Fails accept4 with `error` while that is set; counts the calls.
class Accepts {
 public:
  explicit Accepts(Harness& h) {
    h.hooks.accept4 = [this](int fd, sockaddr* peer, socklen_t* length, int flags) {
      ++calls;
      // What sheds has given its reserve up for this one call.
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

  // The reserve of before these hooks were there.
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

// The descriptor of /dev/null that is open: the acceptor's reserve.
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

TEST_CASE("without descriptors accepting pauses: one is shed, one event says so, tries come ever later") {
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
        // It sleeps until the next try, and nothing happens before.
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

      // There are descriptors again: all that still wait are taken, at the next try.
      accepts.error = 0;
      h.settle();
      CHECK(h.js.open() == 0);
      h.now_ms += 1000;
      h.settle();
      CHECK(h.js.open() == 9);
      CHECK(h.quiet());
      CHECK(h.asked() == -1);
      CHECK(h.js.saturated.size() == 1);

      // The next time is a new phase, with short waits and an event of its own.
      accepts.error = error;
      h.connect(port);
      h.settle();
      CHECK(h.js.saturated.size() == 2);
      CHECK(h.asked() == 10);
    }
  }
}

TEST_CASE("a descriptor that comes free in between doesn't end the phase, but the next try comes soon") {
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
  // Room for one, then none.
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

TEST_CASE("without memory accepting pauses, and nothing is shed") {
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

TEST_CASE("connections that arrive in a pause wake the loop for a turn, and no more") {
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

TEST_CASE("the kernel's own EMFILE: shed, wait, recover") {
  Harness h;
  const auto port = h.listen();
  std::vector<Client*> waiting;
  for (int i = 0; i < 5; ++i) waiting.push_back(&h.connect(port));
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  // No number below it is free.
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
  // With an empty queue the kernel says EMFILE as well: no reason to spin.
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

TEST_CASE("a reserve that was lost is found again") {
  Harness h;
  const auto port = h.listen();
  Accepts accepts(h);
  accepts.reserve(find_reserve());
  accepts.error = EMFILE;
  // Someone else of this process takes the number while we shed.
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

TEST_CASE("a poller without memory gives the connection up, leaks nothing, and tries again later") {
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

TEST_CASE("errors of one connection cost that one only") {
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

TEST_CASE("errors that don't end don't make the loop spin") {
  // EPERM is a firewall's word for one connection, or a sandbox's for all; EINVAL is said of a socket that is no
  // listener any more; EBADF must not happen.
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
      // A try now and then is no spinning.
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

TEST_CASE("a storm of connections leaves room for the others in every turn") {
  raise_descriptor_limit();
  Harness h({.max_connections = 1000});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  for (int i = 0; i < 600; ++i) h.connect(port);
  client.send("x");
  h.turn();
  REQUIRE(h.loop->table().slots.live() > 1);
  h.turn();
  CHECK(h.asked() == 0);  // no edge will come for those that are left
  const uint32_t first = h.loop->table().slots.live();
  CHECK(first > 1);
  CHECK(first <= 1 + 2 * 256);
  h.js.deliver_all();
  CHECK(told.received == "x");
  h.settle();
  CHECK(h.js.open() == 601);
}

TEST_CASE("at maxConnections accepting pauses until some have gone, with one event a phase") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.max_connections = 64, .trigger = trigger});
    const auto port = h.listen();
    for (int i = 0; i < 70; ++i) h.connect(port);
    h.settle();
    CHECK(h.js.open() == 64);
    CHECK(h.js.saturated == std::vector<int>{0});
    CHECK(h.quiet());
    CHECK(h.asked() == -1);  // what it waits for is told by JS
    // One free place of 64 is not enough.
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

TEST_CASE("a maximum of one connection is a maximum of one at a time") {
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
  // All in the same slot, each with a generation of its own.
  CHECK(h.js.connections[2].generation == h.js.connections[0].generation + 2);
}

TEST_CASE("saturation is announced when there is a batch for it, once") {
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

TEST_CASE("each listener has a phase of its own") {
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

TEST_CASE("a listener that closes in a pause leaves no timer behind, and the port is free") {
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

TEST_CASE("a closed listener says how many it has accepted, and their opens may come later") {
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

TEST_CASE("a listener closes behind those that its queue holds") {
  for (const bool is_unix : {false, true}) {
    Harness h({.max_connections = 512});
    Harness::ListenOptions options;
    if (is_unix) options.address = Address::unix_path(std::string("\0c1m-close-test", 15)).value();
    const auto port = h.listen(options);
    h.settle();
    // More than a turn takes, each with a question.
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

TEST_CASE("a listener that is not there can be closed") {
  Harness h;
  auto request = std::make_unique<CloseListenerRequest>();
  request->index = 77;
  h.js.request(std::move(request));
  h.settle();
  CHECK(h.js.completed.size() == 1);
}

TEST_CASE("a Unix listener that can't be watched leaves no file behind") {
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
