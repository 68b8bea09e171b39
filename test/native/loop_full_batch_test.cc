// A JS thread that doesn't come back for a while: no reading, no growth, and nothing lost afterwards.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>

#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

// Lets JS hold all batches: the loop has none to fill.
void take_all_batches(Harness& h, Client& client) {
  for (int i = 0; i < 6; ++i) {
    client.send("x");
    h.settle_blocked();
  }
}

}  // namespace

TEST_CASE("without a batch nothing is read, and the loop rests") {
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

TEST_CASE("without a batch writing goes on, and answers leave") {
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

TEST_CASE("without a batch connections are accepted, and open, end and close in order later") {
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

TEST_CASE("without a batch a destroy, an end and a reset wait their turn as bits") {
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

TEST_CASE("a loop without a batch is woken by the return of one, and by nothing less") {
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
  CHECK_FALSE(h.quiet());  // it did not sleep for as long as it could
  h.settle();
  CHECK(told.received == "ab");
}

TEST_CASE("a batch that is full of records goes on with the next, and the last waits") {
  // 3 bytes an event: 4096 records are full long before the slab is.
  Harness h({.max_connections = 2, .batches = 2});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.hooks.recv = [](int fd, void* buffer, size_t size, int flags) {
    // Never a short read: it would end the turn.
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

TEST_CASE("memory stays as it is, however long JS is away") {
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
  // What was read is what the batches hold.
  CHECK(h.loop->table().stats.bytes_read <= 2 * EventBatch::kSlabLow);
  CHECK(h.loop->table().stats.batches <= 30);
  size_t sent = 0;
  h.settle();
  for (const Told& told : h.js.connections) sent += told.received.size();
  CHECK(sent == h.loop->table().stats.bytes_read);
  CHECK(sent > 20 * 50'000);
}

TEST_CASE("without a batch, some answers come back by themselves, and pinned buffers with the next one") {
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

TEST_CASE("a wake-up that comes after the last look is not slept through") {
  // JS publishes between the loop's check and its sleep: the eventfd must end the sleep that follows.
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

TEST_CASE("a wake-up that the loop takes in while it is busy is not owed to it any more") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  h.turn();
  // Asleep as far as JS knows, and woken: the wake-up is consumed by a turn that has other things to do.
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
