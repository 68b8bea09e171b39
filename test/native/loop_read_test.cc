// Reading: all received bytes are delivered once and in order.
#include <doctest/doctest.h>
#include <sys/un.h>

#include <map>

#include "native/net/socket.h"
#include "test/native/loop_harness.h"

using namespace c1m;
using namespace std::string_literals;

namespace {

// Sends more bytes than fit into the socket.
void pump(Harness& h, Client& client, std::string_view bytes) {
  h.until([&] {
    bytes.remove_prefix(client.send_some(bytes));
    return bytes.empty();
  });
}

}  // namespace

TEST_CASE("open, data, end and close of a connection are delivered in that order") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  CHECK(told.listener == port.index);
  client.send("hello");
  client.fin();
  h.settle();
  CHECK(told.received == "hello");
  CHECK(told.log == "ODE");
  h.js.end(told);
  h.settle();
  CHECK(told.log == "ODEC");
  CHECK(told.error == 0);
  client.receive();
  CHECK(client.ended);
}

TEST_CASE("all events of a client that connects, sends and ends immediately are delivered") {
  Harness h;
  const auto port = h.listen();
  Client& client = h.connect(port);
  client.send("all of it");
  client.fin();
  h.settle();
  REQUIRE(h.js.connections.size() == 1);
  CHECK(h.js.connections[0].log == "ODE");
  CHECK(h.js.connections[0].received == "all of it");
}

TEST_CASE("a long tail is delivered before the end, over many batches") {
  for (const bool borrowed : {false, true}) {
    Harness h;
    const auto port = h.listen({.borrowed = borrowed});
    auto [client, told] = h.accept(port);
    const std::string bytes = pattern(5'000'000);
    pump(h, client, bytes);
    client.fin();
    h.settle();
    CHECK(told.log == "ODE");
    CHECK(told.received == bytes);
    CHECK(told.mode == (borrowed ? ReadMode::kBorrowed : ReadMode::kOwned));
    CHECK(h.js.batches_taken > 4);
  }
}

TEST_CASE("a read that fills the slab continues in the next batch's") {
  Harness h({.slab_bytes = EventBatch::kSlabLow});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const std::string bytes = pattern(2'000'000);
  pump(h, client, bytes);
  client.fin();
  h.settle();
  CHECK(told.received == bytes);
  CHECK(told.log == "ODE");
}

TEST_CASE("bytes before a reset are delivered, then one close with ECONNRESET") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("last words");
  client.rst();
  h.settle();
  CHECK(told.received == "last words");
  CHECK(told.log == "ODC");
  CHECK(told.error == ECONNRESET);
  CHECK(told.syscall == Syscall::kRead);
}

TEST_CASE("a reset between two reads of one turn closes with ECONNRESET") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const int fd = h.fd(told);
  int calls = 0;
  h.hooks.recv = [&](int from, void* buffer, size_t size, int flags) -> ssize_t {
    if (from != fd || ++calls < 3) return shim::__real_recv(from, buffer, size, flags);
    return shim::fail(ECONNRESET);
  };
  const std::string bytes = pattern(128 * 1024);
  pump(h, client, bytes);
  h.settle();
  h.inject(told, Edge::kReadable | Edge::kError | Edge::kHangup);
  h.settle();
  CHECK(told.log == "ODC");
  CHECK(told.error == ECONNRESET);
}

TEST_CASE("a reset of a half-closed connection, which isn't read any more, closes it") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.fin();
  h.settle();
  CHECK(told.log == "OE");
  client.rst();
  h.settle();
  CHECK(told.log == "OEC");
  CHECK(told.error != 0);
}

TEST_CASE("an interrupted recv is repeated") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  int interrupts = 5;
  h.hooks.recv = [&](int fd, void* buffer, size_t size, int flags) -> ssize_t {
    return interrupts-- > 0 ? shim::fail(EINTR) : shim::__real_recv(fd, buffer, size, flags);
  };
  client.send("abc");
  h.settle();
  CHECK(told.received == "abc");
  CHECK(interrupts < 0);
}

TEST_CASE("an interrupted wait is an empty turn") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  int interrupts = 3;
  h.hooks.epoll_wait = [&](int poll, epoll_event* events, int most, int timeout) {
    return interrupts-- > 0 ? shim::fail(EINTR) : shim::__real_epoll_wait(poll, events, most, timeout);
  };
  client.send("abc");
  for (int i = 0; i < 3; ++i) h.turn();
  CHECK(told.received.empty());
  h.settle();
  CHECK(told.received == "abc");
}

TEST_CASE("after an edge without bytes the next edge is still handled") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.inject(told, Edge::kReadable);
  h.settle();
  CHECK(told.log == "O");
  h.inject(told, Edge::kReadable | Edge::kHangup);
  h.settle();
  CHECK(told.log == "O");
  client.send("x");
  h.settle();
  CHECK(told.received == "x");
}

TEST_CASE("an error of recv closes the connection with that error") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.hooks.recv = [&](int, void*, size_t, int) -> ssize_t { return shim::fail(ETIMEDOUT); };
  client.send("x");
  h.settle();
  CHECK(told.log == "OC");
  CHECK(told.error == ETIMEDOUT);
  CHECK(told.syscall == Syscall::kRead);
}

TEST_CASE("bytes behind an urgent one are read immediately, although recv stops there") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("ab");
  REQUIRE(shim::__real_send(client.fd.get(), "!", 1, MSG_OOB) == 1);
  client.send("cd");
  h.settle();
  CHECK(told.received == "abcd");
  CHECK(h.quiet());
  // The same with each part in a turn of its own.
  REQUIRE(shim::__real_send(client.fd.get(), "!", 1, MSG_OOB) == 1);
  h.settle();
  client.send("ef");
  h.settle();
  CHECK(told.received == "abcdef");
  REQUIRE(shim::__real_send(client.fd.get(), "g!", 2, MSG_OOB) == 2);
  client.send("hi");
  client.fin();
  h.settle();
  CHECK(told.received == "abcdefghi");
  CHECK(told.log == "ODE");
}

TEST_CASE("bytes behind a descriptor that a Unix peer passes are read immediately, although recv stops there") {
  Harness h;
  const auto port =
      h.listen({.address = Address::unix_path("\0c1m-loop-read-test-"s + std::to_string(::getpid())).value()});
  auto [client, told] = h.accept(port);
  client.send("ab");
  char bytes[2] = {'c', 'd'};
  iovec vector{bytes, 2};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))]{};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  *reinterpret_cast<int*>(CMSG_DATA(header)) = client.fd.get();
  REQUIRE(shim::__real_sendmsg(client.fd.get(), &message, MSG_NOSIGNAL) == 2);
  client.send("ef");
  h.settle();
  CHECK(told.received == "abcdef");
  CHECK(h.quiet());
}

TEST_CASE("a connection with much to read doesn't delay another") {
  Harness h({.batches = 8});
  const auto port = h.listen();
  auto [bulk, bulk_told] = h.accept(port);
  auto [small, small_told] = h.accept(port);
  const int fd = h.fd(bulk_told);
  // The peer always has more bytes.
  const std::string chunk = pattern(64 * 1024);
  size_t in_turn = 0;
  h.hooks.recv = [&](int from, void* buffer, size_t size, int flags) -> ssize_t {
    if (from != fd) return shim::__real_recv(from, buffer, size, flags);
    in_turn += size;
    std::copy_n(chunk.begin(), size, static_cast<char*>(buffer));
    return static_cast<ssize_t>(size);
  };
  h.inject(bulk_told, Edge::kReadable);
  for (size_t i = 1; i <= 10; ++i) {
    in_turn = 0;
    if (i % 2 == 1) small.send("x");
    h.turn();
    h.js.deliver_all();
    CHECK(in_turn == 256 * 1024);
    if (i % 2 == 1) continue;  // a short batch may wait for a turn
    CHECK(small_told.received.size() == i / 2);
    CHECK(bulk_told.received.size() > (i - 1) * 256 * 1024);
  }
}

TEST_CASE("readiness beyond the max of one wait is reported by the next ones") {
  raise_descriptor_limit();
  constexpr uint32_t kConnections = 2 * Poller::kMaxEvents + 100;
  Harness h({.max_connections = kConnections});
  const auto port = h.listen();
  for (uint32_t i = 0; i < kConnections; ++i) {
    h.connect(port);
    if (i % 100 == 0) h.settle();
  }
  h.settle();
  REQUIRE(h.js.connections.size() == kConnections);
  h.settle_blocked();
  for (Client& client : h.clients) client.send("x");
  h.loop->poller().wake();
  const int before = h.waits;
  h.settle();
  for (const Told& told : h.js.connections) REQUIRE(told.received == "x");
  CHECK(h.waits - before < 50);
}

TEST_CASE("events are published soon, even while the loop is busy with other connections") {
  // A large write that exceeds its budget in every turn, or one whose socket fills and drains all the time. Neither
  // causes an event.
  for (const bool drains : {false, true}) {
    CAPTURE(drains);
    Harness h;
    const auto port = h.listen();
    auto [bulk, bulk_told] = h.accept(port);
    auto [small, small_told] = h.accept(port);
    const int fd = h.fd(bulk_told);
    h.hooks.send = [&](int to, const void* bytes, size_t size, int flags) -> ssize_t {
      if (to != fd) return shim::__real_send(to, bytes, size, flags);
      return static_cast<ssize_t>(drains ? 1000 : size);
    };
    h.js.write_pinned(bulk_told, std::string(64 << 20, 'b'));
    h.turn();
    h.js.deliver_all();
    for (size_t i = 1; i <= 5; ++i) {
      const size_t answers = h.js.completed.size();
      small.send("x");
      auto request = std::make_unique<TcpInfoRequest>();
      request->slot = small_told.slot;
      request->generation = small_told.generation;
      h.js.request(std::move(request));
      int turns = 0;
      for (; turns < 20 && (small_told.received.size() < i || h.js.completed.size() == answers); ++turns) {
        if (drains) h.inject(bulk_told, Edge::kWritable);
        h.turn();
        h.js.deliver_all();
      }
      CHECK(turns <= 3);
    }
    CHECK(h.js.pinned() == 1);
  }
}

TEST_CASE("a paused connection is not read and causes no turns, and resume reads without an edge") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.pause(told);
  h.settle();
  client.send("abc");
  h.settle();
  CHECK(told.log == "O");
  CHECK(h.quiet());
  h.js.resume(told);
  h.settle();
  CHECK(told.received == "abc");
  // Paused and resumed without unread bytes.
  h.js.pause(told);
  h.settle();
  h.js.resume(told);
  h.settle();
  CHECK(h.quiet());
  client.send("def");
  h.settle();
  CHECK(told.received == "abcdef");
}

TEST_CASE("a FIN during a pause is delivered after resume, behind the bytes before it") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.pause(told);
  h.settle();
  client.send("abc");
  client.fin();
  h.settle();
  CHECK(told.log == "O");
  CHECK(h.quiet());
  h.js.resume(told);
  h.settle();
  CHECK(told.log == "ODE");
  CHECK(told.received == "abc");
}

TEST_CASE("a pause during a long transfer stops it, and after resume no byte is lost") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const std::string bytes = pattern(3'000'000);
  std::string_view rest = bytes;
  int calls = 0;
  h.hooks.recv = [&](int fd, void* buffer, size_t size, int flags) {
    ++calls;
    return shim::__real_recv(fd, buffer, size, flags);
  };
  for (int i = 0; i < 2000 && told.received.size() < bytes.size(); ++i) {
    rest.remove_prefix(client.send_some(rest));
    if (i % 3 == 0) h.js.pause(told);
    if (i % 3 == 2) h.js.resume(told);
    const bool paused = i % 3 != 2;
    const int before = calls;
    h.turn(paused ? 0 : 1);
    h.js.deliver_all();
    if (paused) CHECK(calls == before);
  }
  CHECK(told.received == bytes);
}

TEST_CASE("a reset of a paused connection closes it") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.pause(told);
  h.settle();
  client.rst();
  h.settle();
  CHECK(told.log == "OC");
  CHECK(told.error == ECONNRESET);
}

TEST_CASE("a reset in the same turn as the pause closes the connection") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  // In one turn: the edge is read from the poller before the command is executed.
  client.rst();
  h.js.pause(told);
  h.settle();
  CHECK(told.log == "OC");
  CHECK(told.error == ECONNRESET);
}

TEST_CASE("a reset that waits for a batch closes the connection, although a pause follows") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  // JavaScript has the only batch while the reset is reported.
  other.send("x");
  h.turn();
  h.turn();
  client.rst();
  h.settle_blocked();
  h.js.pause(told);
  h.settle_blocked();
  h.settle();
  CHECK(told.log == "OC");
  CHECK(told.error == ECONNRESET);
}

TEST_CASE("a reset behind a FIN closes the connection, even if both are reported at the same time") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  // The peer ends, and closes with unread bytes: its kernel sends a FIN, and then a RST.
  h.js.write(told, "not read");
  h.settle();
  client.send("tail");
  client.fin();
  client.close();
  h.settle();
  CHECK(told.received == "tail");
  CHECK(told.log == "ODEC");
}

TEST_CASE("delivered bytes are counted") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send(pattern(1000));
  h.settle();
  client.send(pattern(500));
  h.settle();
  CHECK(h.js.stat("bytesRead") == 1500);
  CHECK(h.js.stat("reads") == 2);
  CHECK(h.js.stat("accepted") == 1);
}
