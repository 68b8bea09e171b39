// The end of a connection, and what may be used again when.
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

TEST_CASE("destroy closes with no error, drops the queue, and is told once") {
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

TEST_CASE("an ordinary destroy is no reset") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.destroy(told);
  h.settle();
  client.receive();
  CHECK(client.ended);
  CHECK(client.error == 0);
}

TEST_CASE("both sides end: one close, without an error, whoever is first") {
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
    // Out of the poller while the number was still ours. Later on it is someone else's.
    if (closed == fd && ++closes == 1) CHECK(removed == 1);
    return shim::__real_close(closed);
  };
  h.hooks.remove = [&](Poller& poller, int of) {
    if (of == fd) ++removed;
    shim::real_remove(poller, of);
  };
  client.close();
  h.js.destroy(told);
  h.connect(port);  // waits for a place
  h.settle_blocked();
  CHECK(removed == 1);
  CHECK(closes == 0);
  CHECK(h.loop->table().slots.live() == 2);
  // JS has the batch in its hands, and may still ask for the addresses.
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
  // Nothing else happens: no command, no readiness.
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
  CHECK_FALSE(h.quiet());  // it did not sleep for as long as it could
  CHECK(h.loop->table().slots.live() == 0);
}

TEST_CASE("events and commands of a generation that has passed are dropped") {
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

TEST_CASE("events of slots that were never used, and of the closing, are dropped") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.inject(uint64_t{1} << 32 | 63, Edge::kReadable);
  h.inject(uint64_t{1} << 32 | 0xffffff, Edge::kReadable | Edge::kError);
  h.inject(77, Edge::kReadable);  // a listener that is gone
  h.settle();
  h.js.destroy(told);
  h.turn();
  h.inject(told, Edge::kReadable | Edge::kError);
  h.turn();
  h.settle();
  CHECK(told.log == "OC");
}

TEST_CASE("a descriptor number that is used again within a turn is another connection") {
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
    // The turn that frees the number gives it to the next connection, and still has events of the last one.
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

TEST_CASE("destroying a connection whose events are in the same batch tells no second close") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  client.send("a");
  client.rst();
  other.send("b");
  other.fin();
  h.settle_blocked();
  // JS reads the batch, and answers by destroying both, one of which has closed.
  EventBatch* batch = h.js.take();
  REQUIRE(batch != nullptr);
  h.js.destroy(told);
  h.js.destroy(other_told);
  h.js.give_back(batch);
  h.settle();
  CHECK(told.log == "ODC");
  CHECK(other_told.log == "ODEC");
}

TEST_CASE("connections that close while they are listed for reading and writing leave no trace in the lists") {
  // Many die in the turn in which their slots are listed everywhere; their slots are used again at once.
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
    // With JS at once, and with JS a few turns late.
    if (round % 2 == 0) h.settle_blocked();
    h.settle();
  }
  CHECK(h.js.connections.size() > 300);
}

TEST_CASE("a slot that is freed while much is to be sent is in no list any more") {
  // It goes over its write budget, fails its read and is told in one turn; its batch is back before the next.
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
  for (auto& one : others) one.client.send("x");  // enough for a batch that is not held back
  h.turn();
  CHECK(h.js.deliver_all() == 1);
  REQUIRE(told.closed());
  h.settle();
  CHECK(taken == 2'000'000);
  CHECK(h.js.pinned() == 0);
  h.hooks.recv = nullptr;
}

TEST_CASE("a close that is told in the turn in which it happened lists the slot no second time") {
  // Were it listed still, the next tenant of the slot would be taken from the list in its place, and the list cut off.
  Harness h({.max_connections = 4});
  const auto port = h.listen();
  for (int i = 0; i < 10; ++i) {
    auto [first, first_told] = h.accept(port);
    auto [second, second_told] = h.accept(port);
    first.send("a");
    first.rst();
    h.turn();  // reads, fails, closes and tells, all of it
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

TEST_CASE("a stop in the middle of traffic closes every descriptor") {
  Harness h;
  const auto port = h.listen();
  for (int i = 0; i < 20; ++i) h.accept(port).client.send(pattern(1000));
  h.turn();
  // Opened and not; read and not; closing, with the close told and not; with bytes that wait, pinned and not.
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
