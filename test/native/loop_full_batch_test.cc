// While the JS thread is blocked, the loop reads nothing, memory doesn't grow, and no event is lost.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

// Fills all batches, which JavaScript doesn't take: the loop has none left.
void take_all_batches(Harness& h, Client& client) {
  for (int i = 0; i < 6; ++i) {
    client.send("x");
    h.settle_blocked();
  }
}

}  // namespace

TEST_CASE("without a batch the loop reads nothing, and sleeps") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Harness h({.trigger = trigger});
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    take_all_batches(h, client);
    int reads = 0;
    h.hooks.recv = [&](int fd, void* buffer, size_t size, int flags) {
      ++reads;
      return shim::__real_recv(fd, buffer, size, flags);
    };
    for (int i = 0; i < 10; ++i) {
      client.send("y");
      h.turn();
      h.turn();
      CHECK(h.quiet());
    }
    CHECK(reads == 0);
    h.settle();
    CHECK(told.received == "xxxxxxyyyyyyyyyy");
  }
}

TEST_CASE("without a batch the loop continues to write") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port, 4096);
  take_all_batches(h, client);
  const std::string bytes = pattern(2'000'000);
  for (size_t at = 0; at < bytes.size(); at += 100'000) h.js.write(told, std::string_view(bytes).substr(at, 100'000));
  h.js.want_drain(told);
  h.js.end(told);
  for (int i = 0; i < 100'000 && !client.ended; ++i) {
    h.turn();
    client.receive();
  }
  CHECK(client.received == bytes);
  CHECK(client.ended);
  h.settle();
  CHECK(told.log == "ODRD");
  CHECK(told.received == "xxxxxx");
}

TEST_CASE("without a batch the loop accepts, and open, end and close are delivered later, in order") {
  Harness h({.max_connections = 200});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  take_all_batches(h, client);
  for (int i = 0; i < 100; ++i) {
    Client& next = h.connect(port);
    next.send(std::to_string(i));
    if (i % 3 == 0) next.fin();
    if (i % 3 == 1) next.rst();
    h.turn();
  }
  h.settle_blocked();
  CHECK(h.loop->table().slots.live() == 101);
  CHECK(h.js.connections.size() == 1);
  h.settle();
  REQUIRE(h.js.connections.size() == 101);
  for (int i = 0; i < 100; ++i) {
    const Told& one = h.js.connections[static_cast<size_t>(i) + 1];
    CAPTURE(i);
    CHECK(one.received == std::to_string(i));
    CHECK(one.log == (i % 3 == 0 ? "ODE" : i % 3 == 1 ? "ODC" : "OD"));
  }
}

TEST_CASE("a destroy, an end and a reset without a batch are delivered later, in order") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [ending, ending_told] = h.accept(port);
  auto [reset, reset_told] = h.accept(port);
  take_all_batches(h, client);
  h.js.destroy(told);
  ending.send("tail");
  ending.fin();
  h.js.end(ending_told);
  reset.rst();
  h.settle_blocked();
  CHECK(h.quiet());
  h.settle();
  CHECK(told.log == "ODC");
  CHECK(ending_told.log == "ODEC");
  CHECK(ending_told.received == "tail");
  CHECK(reset_told.log == "OC");
  CHECK(reset_told.error == ECONNRESET);
}

TEST_CASE("a loop without a batch is woken when one is returned") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("a");
  h.settle_blocked();
  client.send("b");
  h.settle_blocked();
  const auto wait = h.hooks.wait;
  bool given_back = false;
  h.hooks.wait = [&](Poller& poller, int timeout) {
    if (timeout != 0 && !given_back) given_back = h.js.deliver_all() > 0;  // while the loop is asleep
    return wait(poller, timeout);
  };
  h.turn(5000);
  REQUIRE(given_back);
  CHECK(told.received == "a");
  CHECK_FALSE(h.quiet());  // the wait ended before its timeout
  h.settle();
  CHECK(told.received == "ab");
}

TEST_CASE("a read that fills a batch's records continues in the next batch, or waits for one") {
  // With 3 bytes an event, 4,096 records are full long before the slab.
  Harness h({.max_connections = 2, .batches = 2});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.hooks.recv = [](int fd, void* buffer, size_t size, int flags) {
    // All bytes that were asked for, because a short read would end the reading.
    return shim::__real_recv(fd, buffer, std::min<size_t>(size, 3), flags);
  };
  const std::string bytes = pattern(30'000);
  client.send(bytes);
  h.inject(told, Edge::kReadable | Edge::kHangup);
  h.settle();
  for (int i = 0; i < 100 && told.received.size() < bytes.size(); ++i) {
    h.inject(told, Edge::kReadable | Edge::kHangup);
    h.settle();
  }
  CHECK(told.received == bytes);
}

TEST_CASE("memory doesn't grow while JavaScript is blocked") {
  Harness h({.max_connections = 32, .batches = 2, .slab_bytes = EventBatch::kSlabLow});
  const auto port = h.listen();
  for (int i = 0; i < 20; ++i) h.accept(port);
  for (int round = 0; round < 50; ++round) {
    for (Client& client : h.clients) client.send_some(pattern(50'000));
    h.turn();
    h.turn();
  }
  h.settle_blocked();
  CHECK(h.quiet());
  // The loop has read only as much as fits into the batches.
  CHECK(h.loop->table().stats.bytes_read <= 2 * EventBatch::kSlabLow);
  CHECK(h.loop->table().stats.batches <= 30);
  size_t sent = 0;
  h.settle();
  for (const Told& told : h.js.connections) sent += told.received.size();
  CHECK(sent == h.loop->table().stats.bytes_read);
  CHECK(sent > 20 * 50'000);
}

TEST_CASE("without a batch an unordered reply is delivered, and pinned buffers come back with the next batch") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("x");
  h.settle_blocked();
  const size_t before = h.js.completed.size();
  auto request = std::make_unique<TcpInfoRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  h.js.request(std::move(request));
  h.js.write_pinned(told, "pinned");
  h.settle_blocked();
  CHECK(h.quiet());
  CHECK(client.receive() == "pinned");
  CHECK(h.js.pinned() == 1);
  REQUIRE_FALSE(h.js.mailbox.answers.empty());
  CHECK(told.received.empty());
  h.settle();
  CHECK(h.js.pinned() == 0);
  REQUIRE(h.js.completed.size() == before + 1);
  const auto& info = static_cast<const TcpInfoRequest&>(*h.js.completed.back());
  CHECK_FALSE(info.closed);
  CHECK(info.info.state == 1);
}

TEST_CASE("a wake-up between the loop's last check and its sleep ends that sleep") {
  // JavaScript publishes between the check and the sleep, which the eventfd must end.
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  const auto wait = h.hooks.wait;
  bool published = false;
  h.hooks.wait = [&](Poller& poller, int timeout) {
    if (timeout != 0 && !published) {
      published = true;
      h.js.write(told, "late");
      h.js.flush();
    }
    return wait(poller, timeout);
  };
  const auto start = std::chrono::steady_clock::now();
  h.turn(20'000);
  CHECK(published);
  CHECK(client.receive() == "late");
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(15));
}

TEST_CASE("after a busy turn has consumed a wake-up, the next commands are still executed") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  h.turn();
  // The loop has announced sleep and is woken, but a turn with other work consumes the wake-up.
  h.loop->poller().wake();
  client.send("x");
  h.js.write(told, "one");
  h.turn();
  h.js.write(told, "two");
  h.turn();
  h.settle();
  CHECK(client.receive() == "onetwo");
  CHECK(told.received == "x");
}
