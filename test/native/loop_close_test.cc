// The end of a connection, and when its slot and descriptor may be used again.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

bool has_ended(Client& client) {
  client.receive();
  return client.ended || client.error != 0;
}

}  // namespace

TEST_CASE("destroy closes without an error, drops the queue, and causes one close event") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("unread");
  h.js.destroy(told);
  h.js.destroy(told);
  h.js.end(told);
  h.js.write(told, "x");
  h.js.reset(told);
  h.settle();
  CHECK(told.log == "OC");
  CHECK(told.error == 0);
  CHECK(has_ended(client));
  CHECK(client.received.empty());
}

TEST_CASE("reset sends a RST") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.reset(told);
  h.settle();
  CHECK(told.log == "OC");
  client.receive();
  CHECK(client.error == ECONNRESET);
  CHECK_FALSE(client.ended);
}

TEST_CASE("destroy sends a FIN, not a RST") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.destroy(told);
  h.settle();
  client.receive();
  CHECK(client.ended);
  CHECK(client.error == 0);
}

TEST_CASE("after both sides' ends a connection closes once, without an error, whichever side is first") {
  for (const int order : {0, 1, 2}) {
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    client.send("bye");
    if (order == 0) {
      client.fin();
      h.settle();
      h.js.end(told);
    } else if (order == 1) {
      h.js.end(told);
      h.settle();
      client.fin();
    } else {
      client.fin();
      h.js.end(told);
    }
    h.settle();
    CHECK(told.log == "ODEC");
    CHECK(told.error == 0);
    CHECK(told.received == "bye");
  }
}

TEST_CASE("slot and descriptor are released when the batch with the close has come back, not before") {
  Harness h({.max_connections = 2});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  const int fd = h.fd(told);
  int closes = 0;
  int removed = 0;
  h.hooks.close = [&](int closed) {
    // The descriptor must leave the poller before it is closed: later its number belongs to another socket.
    if (closed == fd && ++closes == 1) CHECK(removed == 1);
    return shim::__real_close(closed);
  };
  h.hooks.remove = [&](Poller& poller, int of) {
    if (of == fd) ++removed;
    shim::real_remove(poller, of);
  };
  client.close();
  h.js.destroy(told);
  h.connect(port);  // waits for a free slot
  h.settle_blocked();
  CHECK(removed == 1);
  CHECK(closes == 0);
  CHECK(h.loop->table().slots.live() == 2);
  // While JavaScript has the batch, it may still read the addresses.
  EventBatch* batch = h.js.take();
  while (batch != nullptr && !told.closed()) {
    h.js.give_back(batch);
    batch = h.js.take();
  }
  REQUIRE(batch != nullptr);
  REQUIRE(told.closed());
  CHECK(h.loop->table().slots[told.slot].fd.get() == fd);
  CHECK(h.loop->table().slots[told.slot].peer.port != 0);
  h.settle_blocked();
  CHECK(closes == 0);
  CHECK(h.loop->table().slots.live() == 2);
  h.js.give_back(batch);
  h.turn();
  CHECK(closes == 1);
  h.js.destroy(other_told);
  h.settle();
  CHECK(h.js.open() == 1);
  const Told& next = h.js.connections.back();
  CHECK((next.slot == told.slot || next.slot == other_told.slot));
}

TEST_CASE("a loop that waits for a closed connection's batch is woken by its return") {
  // No command or readiness wakes the loop here.
  Harness h({.max_connections = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  h.js.destroy(told);
  h.turn();
  const auto wait = h.hooks.wait;
  bool given_back = false;
  h.hooks.wait = [&](Poller& poller, int timeout) {
    if (timeout != 0 && !given_back) given_back = h.js.deliver_all() > 0;  // while the loop is asleep
    return wait(poller, timeout);
  };
  h.turn(5000);
  REQUIRE(given_back);
  REQUIRE(told.closed());
  CHECK_FALSE(h.quiet());  // the wait ended before its timeout
  CHECK(h.loop->table().slots.live() == 0);
}

TEST_CASE("events and commands of an earlier generation are dropped") {
  Harness h({.max_connections = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const Told old = told;
  h.js.destroy(told);
  h.settle();
  auto [next, next_told] = h.accept(port);
  REQUIRE(next_told.slot == old.slot);
  REQUIRE(next_told.generation != old.generation);
  const int fd = h.fd(next_told);
  h.inject(old, Edge::kReadable | Edge::kWritable | Edge::kError | Edge::kHangup);
  h.js.write(old, "for the old one");
  h.js.write_pinned(old, "for the old one");
  h.js.pause(old);
  h.js.end(old);
  h.js.push(Command::kSetTimeout, old, 1);
  h.js.want_drain(old);
  h.js.reset(old);
  h.js.destroy(old);
  h.settle();
  h.now_ms += 1000;
  h.settle();
  CHECK(next_told.log == "O");
  CHECK(h.fd(next_told) == fd);
  next.send("x");
  h.settle();
  CHECK(next_told.received == "x");
  CHECK(next.receive().empty());
  CHECK_FALSE(next.ended);
}

TEST_CASE("readiness for unused slots and for closing connections is dropped") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.inject(uint64_t{1} << 32 | 63, Edge::kReadable);
  h.inject(uint64_t{1} << 32 | 0xffffff, Edge::kReadable | Edge::kError);
  h.inject(77, Edge::kReadable);  // a listener that has closed
  h.settle();
  h.js.destroy(told);
  h.turn();
  h.inject(told, Edge::kReadable | Edge::kError);
  h.turn();
  h.settle();
  CHECK(told.log == "OC");
}

TEST_CASE("readiness of a closed connection doesn't affect the one that got its descriptor number in the same turn") {
  Harness h({.max_connections = 8});
  const auto port = h.listen();
  for (int i = 0; i < 20; ++i) {
    auto [client, told] = h.accept(port);
    const int fd = h.fd(told);
    client.send("old");
    h.settle();
    const Told old = told;
    h.js.destroy(told);
    h.turn();
    h.turn();
    h.js.deliver_all();
    REQUIRE(told.log == "ODC");
    // The turn that frees the number uses it for the next connection, and still has readiness of the previous one.
    Client& next = h.connect(port);
    next.send("new");
    h.inject(old, Edge::kReadable | Edge::kWritable | Edge::kError | Edge::kHangup);
    h.turn();
    h.inject(old, Edge::kReadable | Edge::kWritable | Edge::kError | Edge::kHangup);
    h.settle();
    Told& next_told = h.js.connections.back();
    REQUIRE(h.fd(next_told) == fd);
    CHECK(next_told.log == "OD");
    CHECK(next_told.received == "new");
    CHECK(told.received == "old");
    h.js.destroy(next_told);
    h.settle();
  }
}

TEST_CASE("destroying a connection whose close is in the same batch causes no second close") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  client.send("a");
  client.rst();
  other.send("b");
  other.fin();
  h.settle_blocked();
  // JavaScript destroys both after reading the batch; one of them has closed.
  EventBatch* batch = h.js.take();
  REQUIRE(batch != nullptr);
  h.js.destroy(told);
  h.js.destroy(other_told);
  h.js.give_back(batch);
  h.settle();
  CHECK(told.log == "ODC");
  CHECK(other_told.log == "ODEC");
}

TEST_CASE("connections that close while they are in the ready and flush lists are removed from them") {
  // Many close in the turn in which their slots are in all lists; the slots are used again immediately.
  Harness h({.max_connections = 16});
  const auto port = h.listen();
  std::vector<Harness::Connected> live;
  for (int round = 0; round < 30; ++round) {
    std::vector<Harness::Connected> left;
    for (const auto& one : live) {
      if (!one.told.closed()) left.push_back(one);
    }
    live.swap(left);
    while (live.size() < 16) live.push_back(h.accept(port));
    for (size_t i = 0; i < live.size(); ++i) {
      auto& [client, told] = live[i];
      client.send(pattern(2000));
      h.js.write(told, pattern(3000));
      switch ((i + static_cast<size_t>(round)) % 5) {
        case 0:
          h.js.destroy(told);
          break;
        case 1:
          h.inject(told, Edge::kReadable | Edge::kWritable | Edge::kError | Edge::kHangup);
          h.js.destroy(told);
          break;
        case 2:
          h.js.end(told);
          h.js.want_drain(told);
          h.js.reset(told);
          break;
        case 3:
          client.rst();
          break;
        default:
          h.js.pause(told);
          h.js.resume(told);
      }
    }
    // JavaScript runs immediately in odd rounds, and a few turns later in even ones.
    if (round % 2 == 0) h.settle_blocked();
    h.settle();
  }
  CHECK(h.js.connections.size() > 300);
}

TEST_CASE("a slot that is freed while it has much to send is in no list any more") {
  // In one turn it exceeds its write budget, its read fails and its close is published; the batch is back before the
  // next turn.
  Harness h({.max_connections = 100});
  const auto port = h.listen();
  std::vector<Harness::Connected> others;
  for (int i = 0; i < 80; ++i) others.push_back(h.accept(port));
  auto [client, told] = h.accept(port);
  auto [next, next_told] = h.accept(port);
  const int fd = h.fd(told);
  const int next_fd = h.fd(next_told);
  size_t taken = 0;
  h.hooks.send = [&](int to, const void* bytes, size_t size, int flags) -> ssize_t {
    if (to != fd && to != next_fd) return shim::__real_send(to, bytes, size, flags);
    if (to == next_fd) taken += size;
    return static_cast<ssize_t>(size);
  };
  h.hooks.recv = [&](int from, void* buffer, size_t size, int flags) -> ssize_t {
    return from == fd ? shim::fail(ETIMEDOUT) : shim::__real_recv(from, buffer, size, flags);
  };
  h.js.write_pinned(told, std::string(10'000'000, 'a'));
  h.js.write_pinned(next_told, std::string(2'000'000, 'b'));
  h.inject(told, Edge::kReadable);
  for (auto& one : others) one.client.send("x");  // enough for a batch that is published without delay
  h.turn();
  CHECK(h.js.deliver_all() == 1);
  REQUIRE(told.closed());
  h.settle();
  CHECK(taken == 2'000'000);
  CHECK(h.js.pinned() == 0);
  h.hooks.recv = nullptr;
}

TEST_CASE("a close that is published in the turn of its error doesn't list the slot a second time") {
  // If it were still listed, the next connection in the slot would be removed in its place, which would cut the list.
  Harness h({.max_connections = 4});
  const auto port = h.listen();
  for (int i = 0; i < 10; ++i) {
    auto [first, first_told] = h.accept(port);
    auto [second, second_told] = h.accept(port);
    first.send("a");
    first.rst();
    h.turn();  // reads, fails, closes and publishes the close
    h.turn();
    h.js.deliver_all();
    h.turn();
    REQUIRE(first_told.log == "ODC");
    h.turn();
    REQUIRE(h.quiet());
    CHECK(h.loop->table().slots.live() == 1);
    second.send("b");
    second.fin();
    h.settle();
    CHECK(second_told.log == "ODE");
    h.js.end(second_told);
    h.settle();
    CHECK(second_told.log == "ODEC");
  }
}

TEST_CASE("a loop that stops during traffic closes every descriptor") {
  Harness h;
  const auto port = h.listen();
  for (int i = 0; i < 20; ++i) h.accept(port).client.send(pattern(1000));
  h.turn();
  // Connections whose opens, reads and closes have been delivered or not, and with queued bytes, pinned or not.
  for (Told& told : h.js.connections) {
    h.js.write_pinned(told, pattern(10'000'000));
    h.js.write(told, pattern(1000));
    if (told.slot % 3 == 0) h.js.destroy(told);
  }
  h.turn();
  for (int i = 0; i < 5; ++i) h.connect(port);
  h.turn();
  for (const Told& told : h.js.connections) {
    if (told.slot % 3 == 1) h.js.destroy(told);
  }
  for (int i = 0; i < 5; ++i) h.connect(port);
  h.js.flush();
  h.stop();
  for (Client& client : h.clients) CHECK(has_ended(client));
  h.clients.clear();
}
