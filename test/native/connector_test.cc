// Outgoing connections: every attempt completes once, and a failed one leaves nothing behind.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <map>
#include <vector>

#include "native/net/socket.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

constexpr Trigger kTriggers[] = {Trigger::kEdge, Trigger::kLevel};

// A listening socket that accepts only when a test calls accept().
struct Server {
  explicit Server(int backlog = 100) : fd(open_socket(AF_INET, 0).value().release()) {
    REQUIRE(bind_socket(fd.get(), Address::ip("127.0.0.1", 0).value()).ok());
    REQUIRE(listen_socket(fd.get(), backlog).ok());
    address = Address::local_of(fd.get()).value();
  }

  Fd accept() const {
    pollfd ready{fd.get(), POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 5000) == 1);
    return Fd(shim::__real_accept4(fd.get(), nullptr, nullptr, 0));
  }

  Fd fd;
  Address address;
};

// An address that doesn't reply to a SYN, because the queue of its listener is full.
struct Hole : Server {
  Hole() : Server(0), waiting(address) {}
  Client waiting;
};

// Returns the address of a listener that has closed.
Address refusing() { return Server().address; }

// Attempts to connect, by the context of their connection.
class Attempts {
 public:
  explicit Attempts(Harness& h) : h_(h) {}

  void start(uint32_t context, const Address& to, uint32_t timeout_ms = 0) {
    auto request = std::make_unique<ConnectRequest>();
    request->spec.address = to;
    request->connection.context = context;
    request->connect_timeout_ms = timeout_ms;
    started_[context] = request.get();
    h_.js.request(std::move(request));
  }

  void cancel(uint32_t context) {
    auto request = std::make_unique<CancelConnectRequest>();
    request->context = context;
    h_.js.request(std::move(request));
  }

  // Returns the latest attempt with this context if it has completed, or null.
  [[nodiscard]] const ConnectRequest* answer(uint32_t context) const {
    const ConnectRequest* latest = started_.at(context);
    const auto is_it = [&](const auto& request) { return request.get() == latest; };
    return std::any_of(h_.js.completed.begin(), h_.js.completed.end(), is_it) ? latest : nullptr;
  }

  [[nodiscard]] const ConnectRequest* latest(uint32_t context) const { return started_.at(context); }

  [[nodiscard]] int error(uint32_t context) const {
    const ConnectRequest* answered = answer(context);
    REQUIRE(answered != nullptr);
    return answered->failure.error.code;
  }

  [[nodiscard]] bool full(uint32_t context) const {
    const ConnectRequest* answered = answer(context);
    REQUIRE(answered != nullptr);
    return answered->full;
  }

 private:
  Harness& h_;
  std::map<uint32_t, const ConnectRequest*> started_;
};

}  // namespace

TEST_CASE("a connection opens when its handshake has completed") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.trigger = trigger});
    Attempts attempts(h);
    const Server server;
    attempts.start(7, server.address);
    h.until([&] { return !h.js.connections.empty(); });
    h.settle();
    CHECK(attempts.error(7) == 0);
    Told& told = h.js.connections[0];
    CHECK(told.log == "O");
    CHECK(told.listener == 7);
    CHECK(h.js.stat("connected") == 1);
    CHECK(h.js.stat("accepted") == 0);
    // It reads and writes as an accepted one does.
    const Fd peer = server.accept();
    h.js.write(told, "hello");
    h.settle();
    char buffer[16];
    CHECK(shim::__real_recv(peer.get(), buffer, sizeof(buffer), 0) == 5);
    CHECK(shim::__real_send(peer.get(), "world", 5, 0) == 5);
    h.until([&] { return told.received == "world"; });
    CHECK(h.quiet());
  }
}

TEST_CASE("open, data and end of a connection that is established immediately are delivered in order") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.trigger = trigger});
    Attempts attempts(h);
    const Server server;
    // connect() returns 0, as for a Unix socket, or when the handshake is as fast as the call.
    h.hooks.connect = [&](int fd, const sockaddr* to, socklen_t length) {
      CHECK(shim::__real_connect(fd, to, length) == -1);
      const Fd peer = server.accept();
      CHECK(shim::__real_send(peer.get(), "welcome", 7, 0) == 7);
      return 0;
    };
    attempts.start(0, server.address);
    h.until([&] { return !h.js.connections.empty() && h.js.connections[0].ended(); });
    CHECK(attempts.error(0) == 0);
    CHECK(h.js.connections[0].log == "ODE");
    CHECK(h.js.connections[0].received == "welcome");
  }
}

TEST_CASE("a connection to its own address is refused, and the port is free immediately") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.trigger = trigger});
    Attempts attempts(h);
    const Address nobody = refusing();
    auto request = std::make_unique<ConnectRequest>();
    request->spec.address = nobody;
    request->spec.local = nobody;
    const ConnectRequest& asked = *request;
    h.js.request(std::move(request));
    h.until([&] { return !h.js.completed.empty(); });
    CHECK(asked.failure.error.code == ECONNREFUSED);
    CHECK(h.js.connections.empty());
    const Fd server(open_socket(AF_INET, 0).value().release());
    CHECK(bind_socket(server.get(), nobody).ok());
  }
}

TEST_CASE("a refused attempt fails with the error of connect, and releases its slot and descriptor") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.max_connections = 1, .trigger = trigger});
    Attempts attempts(h);
    const Address nobody = refusing();
    uint32_t context = 0;
    // The kernel may report it by SO_ERROR after EINPROGRESS, or immediately.
    for (; context < 3; ++context) {
      attempts.start(context, nobody);
      h.settle();
      CHECK(attempts.error(context) == ECONNREFUSED);
      CHECK(h.loop->table().slots.live() == 0);
    }
    for (const int error : {ECONNREFUSED, EAGAIN, EADDRNOTAVAIL, ENETUNREACH, EACCES, EINTR}) {
      h.hooks.connect = [=](int, const sockaddr*, socklen_t) { return shim::fail(error); };
      attempts.start(++context, nobody);
      h.settle();
      CHECK(attempts.error(context) == error);
      CHECK(attempts.answer(context)->failure.error.syscall == std::string("connect"));
      CHECK(h.loop->table().slots.live() == 0);
    }
    CHECK(h.js.connections.empty());
  }
}

TEST_CASE("an attempt that fails for lack of descriptors or memory leaves its slot to the next one") {
  Harness h({.max_connections = 1});
  Attempts attempts(h);
  const Server server;
  h.hooks.socket = [](int, int, int) { return shim::fail(EMFILE); };
  attempts.start(0, server.address);
  h.settle();
  CHECK(attempts.error(0) == EMFILE);
  h.hooks.socket = nullptr;

  for (const int error : {ENOMEM, ENOSPC}) {
    h.hooks.epoll_ctl = [=](int poll, int operation, int fd, epoll_event* event) {
      return operation == EPOLL_CTL_ADD ? shim::fail(error) : shim::__real_epoll_ctl(poll, operation, fd, event);
    };
    attempts.start(static_cast<uint32_t>(error), server.address);
    h.settle();
    CHECK(attempts.error(static_cast<uint32_t>(error)) == error);
    CHECK(h.loop->table().slots.live() == 0);
  }
  h.hooks.epoll_ctl = nullptr;

  attempts.start(1, server.address);
  h.until([&] { return attempts.answer(1) != nullptr; });
  CHECK(attempts.error(1) == 0);
}

TEST_CASE("attempts count as connections, and one beyond maxConnections fails before a socket is made") {
  Harness h({.max_connections = 2});
  Attempts attempts(h);
  const Hole hole;
  const Server server;
  attempts.start(0, hole.address);
  attempts.start(1, server.address);
  h.until([&] { return !h.js.connections.empty(); });
  int sockets = 0;
  h.hooks.socket = [&](int family, int type, int protocol) {
    ++sockets;
    return shim::__real_socket(family, type, protocol);
  };
  attempts.start(2, server.address);
  h.settle();
  CHECK(attempts.full(2));
  CHECK(sockets == 0);
  attempts.cancel(0);
  attempts.start(3, server.address);
  h.until([&] { return attempts.answer(3) != nullptr; });
  CHECK_FALSE(attempts.full(3));
  CHECK(attempts.error(3) == 0);
}

TEST_CASE("an attempt without a reply times out, never early, and frees a slot for a listener that was full") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.max_connections = 2, .trigger = trigger});
    Attempts attempts(h);
    const auto port = h.listen();
    const Hole hole;
    attempts.start(10, hole.address, 1000);
    h.settle();
    h.accept(port);
    h.connect(port);
    h.settle();
    CHECK(h.js.open() == 1);
    h.now_ms += 999;
    h.settle();
    CHECK(attempts.answer(10) == nullptr);
    h.now_ms += 17;
    h.settle();
    CHECK(attempts.error(10) == ETIMEDOUT);
    CHECK(h.js.open() == 2);
    CHECK(h.quiet());
  }
}

TEST_CASE("the connect timeout doesn't apply to the open connection") {
  Harness h;
  Attempts attempts(h);
  const Server server;
  attempts.start(0, server.address, 100);
  h.until([&] { return !h.js.connections.empty(); });
  h.now_ms += 10'000;
  h.settle();
  CHECK(h.js.connections[0].log == "O");
  CHECK(h.asked() == -1);
}

TEST_CASE("a cancelled attempt completes once, and cancelling a completed one has no effect") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.trigger = trigger});
    Attempts attempts(h);
    const Hole hole;
    const Server server;
    attempts.start(0, hole.address, 1000);
    attempts.start(1, server.address);
    attempts.start(2, refusing());
    h.until([&] { return attempts.answer(1) != nullptr && attempts.answer(2) != nullptr; });
    for (uint32_t context = 0; context < 4; ++context) attempts.cancel(context);
    attempts.cancel(0);
    h.settle();
    CHECK(attempts.error(0) == ECANCELED);
    CHECK(attempts.error(1) == 0);
    CHECK(attempts.error(2) == ECONNREFUSED);
    CHECK(h.js.open() == 1);
    CHECK(h.loop->table().slots.live() == 1);
    // No timer of the cancelled attempt is left.
    h.now_ms += 2000;
    h.settle();
    CHECK(h.asked() == -1);
  }
}

TEST_CASE("readiness of a cancelled attempt doesn't affect the next connection in its slot") {
  Harness h({.max_connections = 1});
  Attempts attempts(h);
  const Hole hole;
  attempts.start(0, hole.address);
  attempts.cancel(0);
  attempts.start(1, hole.address);
  h.settle();
  CHECK(attempts.error(0) == ECANCELED);
  h.inject(uint64_t{1} << 32, Edge::kWritable | Edge::kError | Edge::kHangup);
  h.settle();
  CHECK(attempts.answer(1) == nullptr);
  h.inject(uint64_t{2} << 32, Edge::kWritable);
  h.settle();
  CHECK(attempts.error(1) == 0);
}

TEST_CASE("a turn starts at most 128 attempts, and the following turns start the others") {
  Harness h({.max_connections = 1000});
  Attempts attempts(h);
  const Server server(1000);
  int started = 0;
  h.hooks.connect = [&](int fd, const sockaddr* to, socklen_t length) {
    ++started;
    return shim::__real_connect(fd, to, length);
  };
  for (uint32_t context = 0; context < 600; ++context) attempts.start(context, server.address);
  for (const int expected : {128, 256, 384, 512, 600, 600}) {
    h.turn();
    CHECK(started == expected);
    h.js.deliver_all();
  }
  h.until([&] { return h.js.open() == 600; });
  for (uint32_t context = 0; context < 600; ++context) CHECK(attempts.error(context) == 0);
}

TEST_CASE("attempts that haven't started can be cancelled, and their contexts used again") {
  Harness h({.max_connections = 1000});
  Attempts attempts(h);
  const Server server(1000);
  for (uint32_t context = 0; context < 300; ++context) attempts.start(context, server.address);
  attempts.cancel(299);
  attempts.cancel(200);
  const ConnectRequest* cancelled = attempts.latest(200);
  // The new attempt waits behind the others, while the queue still has an entry for the cancelled one.
  attempts.start(200, server.address);
  h.until([&] { return h.js.open() == 299; });
  h.settle();
  for (uint32_t context = 0; context < 299; ++context) CHECK(attempts.error(context) == 0);
  CHECK(attempts.error(299) == ECANCELED);
  CHECK(cancelled->failure.error.code == ECANCELED);
  CHECK(h.js.open() == 299);
}

TEST_CASE("while the JS thread is blocked attempts connect, and each open is delivered later, once and in order") {
  for (const Trigger trigger : kTriggers) {
    Harness h({.max_connections = 100, .trigger = trigger, .batches = 1});
    Attempts attempts(h);
    const Server server(100);
    attempts.start(0, server.address);
    h.turn(1);
    for (uint32_t context = 1; context < 50; ++context) attempts.start(context, server.address);
    attempts.start(50, refusing());
    h.settle_blocked();
    CHECK(h.js.stat("connected") == 50);
    std::vector<Fd> peers;
    for (int i = 0; i < 50; ++i) {
      peers.push_back(server.accept());
      // Some are reset before their open has been delivered.
      if (i % 3 == 0) REQUIRE(reset_on_close(peers.back().get()).ok());
      if (i % 3 == 0) peers.back().reset();
    }
    h.settle_blocked();
    h.settle();
    CHECK(h.js.connections.size() == 50);
    CHECK(h.js.open() == 33);
    for (const Told& told : h.js.connections)
      CHECK((told.log == "O" || (told.log == "OC" && told.error == ECONNRESET)));
    CHECK(attempts.error(50) == ECONNREFUSED);
  }
}

TEST_CASE("a connection that is reset before the loop sees it connected fails the attempt, without an open") {
  Harness h;
  Attempts attempts(h);
  const Server server;
  attempts.start(0, server.address);
  h.js.flush();
  h.hooks.add = [&](Poller& poller, int fd, uint64_t word) {
    const Result<void> added = shim::real_add(poller, fd, word);
    const Fd peer = server.accept();
    REQUIRE(reset_on_close(peer.get()).ok());
    return added;
  };
  h.until([&] { return attempts.answer(0) != nullptr; });
  CHECK(attempts.error(0) == ECONNRESET);
  CHECK(h.js.connections.empty());
}

TEST_CASE("a loop that stops during attempts leaves nothing behind") {
  Harness h({.max_connections = 1000});
  Attempts attempts(h);
  const Hole hole;
  for (uint32_t context = 0; context < 300; ++context) attempts.start(context, hole.address, 5000);
  h.turn();
  CHECK(h.loop->table().slots.live() == 128);
  h.stop();
}

TEST_CASE("bytes that send() refuses with EINPROGRESS, as after Fast Open, wait for the next edge") {
  Harness h;
  Attempts attempts(h);
  const Server server;
  attempts.start(0, server.address);
  h.until([&] { return !h.js.connections.empty(); });
  Told& told = h.js.connections[0];
  const Fd peer = server.accept();
  h.hooks.send = [](int, const void*, size_t, int) { return shim::fail(EINPROGRESS); };
  h.js.write(told, "hello");
  h.settle();
  h.hooks.send = nullptr;
  h.settle();
  CHECK(h.js.flushed(told) == 0);
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(h.js.flushed(told) == 5);
  CHECK(told.log == "O");
}
