// Timeouts, with a clock that the test moves.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "test/native/loop_harness.h"
#include "test/native/seeded.h"

using namespace c1m;

namespace {

constexpr uint64_t kTick = 8;
// The max delay of a timeout: the current tick, the one of rounding up, and the one in which the deadline lies.
constexpr uint64_t kLatest = 3 * kTick;

// Advances the clock by the loop's own timeouts, until `ms` have passed.
void sleep(Harness& h, uint64_t ms) {
  const uint64_t until = h.now_ms + ms;
  h.settle();
  for (int i = 0; h.now_ms < until; ++i) {
    REQUIRE(i < 100'000);
    const uint64_t left = until - h.now_ms;
    h.now_ms += h.asked() < 0 ? left : std::min<uint64_t>(left, static_cast<uint64_t>(std::max(h.asked(), 1)));
    h.settle();
  }
}

}  // namespace

TEST_CASE("an idle connection times out, never early, and at most kLatest late") {
  for (const uint32_t ms : {1u, 7u, 8u, 9u, 100u, 1000u, 100'000u}) {
    for (const uint64_t offset : {0, 1, 5, 7}) {  // milliseconds after the start of a tick
      Harness h;
      h.now_ms += offset;
      const auto port = h.listen({.timeout_ms = ms});
      auto [client, told] = h.accept(port);
      const uint64_t since = h.now_ms;
      sleep(h, ms - 1);
      CHECK(told.log == "O");
      while (told.log == "O" && h.now_ms < since + ms + 100) {
        h.now_ms += 1;
        h.settle();
      }
      CHECK(told.log == "OT");
      CHECK(h.now_ms >= since + ms);
      CHECK(h.now_ms <= since + ms + kLatest);
    }
  }
}

TEST_CASE("the loop sleeps until the deadline at most") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 1000});
  h.settle();
  CHECK(h.asked() == -1);
  auto [client, told] = h.accept(port);
  h.settle();
  CHECK(h.asked() >= 1000);
  CHECK(h.asked() <= 1000 + static_cast<int>(kLatest));
  const int before = h.waits;
  sleep(h, 1000 + kLatest);
  CHECK(told.log == "OT");
  CHECK(h.waits - before < 20);
  h.js.push(Command::kSetTimeout, told, 0);
  h.settle();
  CHECK(h.asked() == -1);
}

TEST_CASE("a byte read or written restarts the idle timeout") {
  for (const bool reads : {true, false}) {
    Harness h;
    h.now_ms += kTick - 1;  // at the end of a tick: the byte comes later than the tick's time
    const auto port = h.listen({.timeout_ms = 500});
    auto [client, told] = h.accept(port);
    for (int i = 0; i < 10; ++i) {
      sleep(h, 400);
      if (reads) {
        client.send("x");
      } else {
        h.js.write(told, "x");
      }
      h.settle();
    }
    CHECK(told.times('T') == 0);
    const uint64_t since = h.now_ms;
    sleep(h, 499);
    CHECK(told.times('T') == 0);
    sleep(h, 1 + kLatest);
    CHECK(told.times('T') == 1);
    CHECK(h.now_ms >= since + 500);
  }
}

TEST_CASE("bytes that the socket doesn't take don't restart the idle timeout") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  h.hooks.send = [](int, const void*, size_t, int) -> ssize_t { return shim::fail(EAGAIN); };
  sleep(h, 400);
  h.js.write(told, "x");
  sleep(h, 100 + kLatest);
  CHECK(told.log == "OT");
}

TEST_CASE("an ignored timeout fires again after the same time") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 200});
  auto [client, told] = h.accept(port);
  sleep(h, 3 * (200 + kLatest));
  CHECK(told.log == "OTTT");
}

TEST_CASE("a connection's own timeout replaces the listener's") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  sleep(h, 900);
  h.js.push(Command::kSetTimeout, told, 300);
  sleep(h, 299);
  CHECK(told.log == "O");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "OT");
  h.js.push(Command::kSetTimeout, told, 100'000);
  sleep(h, 50'000);
  CHECK(told.log == "OT");
  h.js.push(Command::kSetTimeout, told, 0);
  sleep(h, 1'000'000);
  CHECK(told.log == "OT");
  h.js.push(Command::kSetTimeout, told, 2'000'000'000);
  sleep(h, 100'000);
  CHECK(told.log == "OT");
}

TEST_CASE("the timer of a closed connection is cancelled, and the next connection in its slot has its own") {
  Harness h({.max_connections = 1});
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  sleep(h, 400);
  h.js.destroy(told);
  h.settle();
  auto [next, next_told] = h.accept(port);
  REQUIRE(next_told.slot == told.slot);
  sleep(h, 450);
  CHECK(next_told.log == "O");
  sleep(h, 100);
  CHECK(next_told.log == "OT");
  CHECK(told.log == "OC");
}

TEST_CASE("each of many connections times out at its own time") {
  Harness h({.max_connections = 500});
  const auto port = h.listen();
  std::mt19937 random = seeded(3);
  std::vector<std::pair<Told*, uint64_t>> due;
  for (int i = 0; i < 400; ++i) {
    auto [client, told] = h.accept(port);
    const auto ms = std::uniform_int_distribution<uint32_t>(1, 40'000)(random);
    h.js.push(Command::kSetTimeout, told, ms);
    h.turn();
    due.emplace_back(&told, h.now_ms + ms);
    h.now_ms += random() % 20;
  }
  for (int i = 0; i < 100'000 && !due.empty(); ++i) {
    h.settle();
    std::erase_if(due, [&](const auto& one) {
      if (one.first->times('T') == 0) {
        CHECK(h.now_ms <= one.second + kLatest);
        return false;
      }
      CHECK(h.now_ms >= one.second);
      h.js.push(Command::kSetTimeout, *one.first, 0);
      return true;
    });
    h.settle();
    if (due.empty()) break;
    REQUIRE(h.asked() >= 0);
    h.now_ms += static_cast<uint64_t>(std::max(h.asked(), 1));
  }
  CHECK(due.empty());
}

TEST_CASE("a connection whose bytes wait for a blocked JS thread is not idle") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();  // JavaScript has the only batch for a while
  for (int i = 0; i < 30; ++i) {
    client.send("y");
    h.now_ms += 100;
    h.settle_blocked();
  }
  h.settle();
  CHECK(told.log == "OD");
  CHECK(told.received == std::string(30, 'y'));
  // The idle time starts at the delivery.
  sleep(h, 1000 + kLatest);
  CHECK(told.log == "ODT");
}

TEST_CASE("a connection whose bytes waited for a blocked JS thread, and is then paused, is not idle") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();
  client.send("y");
  for (int i = 0; i < 30; ++i) {
    h.now_ms += 100;
    h.settle_blocked();
  }
  h.js.pause(told);
  h.settle();
  CHECK(told.log == "O");
  h.js.resume(told);
  h.settle();
  CHECK(told.log == "OD");
}

TEST_CASE("the idle timeout of a connection starts when its open is published, also after a blocked JS thread") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();
  h.connect(port);
  for (int i = 0; i < 30; ++i) {
    h.now_ms += 100;
    h.settle_blocked();
  }
  h.settle();
  REQUIRE(h.js.connections.size() == 2);
  CHECK(h.js.connections[1].log == "O");
  sleep(h, 900);
  CHECK(h.js.connections[1].log == "O");
  sleep(h, 100 + kLatest);
  CHECK(h.js.connections[1].log == "OT");
}

TEST_CASE("bytes that come before a timeout could be delivered cancel it") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();
  h.now_ms += 1500;  // the timeout has no batch to be delivered in
  h.settle_blocked();
  client.send("y");
  h.settle_blocked();
  h.settle();
  CHECK(told.log == "OD");
}

TEST_CASE("the timeout of a connection that is idle while the JS thread is blocked is delivered once") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();
  for (int i = 0; i < 10; ++i) {
    h.now_ms += 1000;
    h.settle_blocked();
    CHECK(h.quiet());
  }
  h.settle();
  CHECK(told.log == "OT");
}

TEST_CASE("a paused connection with unread bytes times out") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  h.js.pause(told);
  client.send("x");
  sleep(h, 500 + kLatest);
  CHECK(told.log == "OT");
}

TEST_CASE("the loop sleeps until the earlier of the next timer and the next retry of accept") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 15});
  auto [client, told] = h.accept(port);
  h.hooks.accept4 = [](int, sockaddr*, socklen_t*, int) { return shim::fail(ENOMEM); };
  h.connect(port);
  h.settle();
  CHECK(h.asked() == 10);
  h.now_ms += 10;
  h.settle();
  CHECK(h.asked() > 0);
  CHECK(h.asked() <= 20);
  sleep(h, 5 + kLatest);
  CHECK(told.times('T') > 0);
  h.hooks.accept4 = nullptr;
}

TEST_CASE("the read timeout is restarted by reads only, and doesn't run in a pause") {
  Harness h;
  h.now_ms += kTick - 1;
  const auto port = h.listen({.read_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  // Writes don't restart it.
  for (int i = 0; i < 4; ++i) {
    sleep(h, 100);
    h.js.write(told, "x");
    h.settle();
  }
  sleep(h, 99);
  CHECK(told.log == "O");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "Or");
  // A received byte restarts it.
  sleep(h, 300);
  client.send("x");
  h.settle();
  sleep(h, 499);
  CHECK(told.log == "OrD");
  // A resume restarts it, and it doesn't run in a pause.
  h.js.pause(told);
  sleep(h, 10'000);
  h.js.resume(told);
  h.settle();
  sleep(h, 499);
  CHECK(told.log == "OrD");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "OrDr");
  // It doesn't run after the peer's FIN.
  client.fin();
  h.settle();
  sleep(h, 10'000);
  CHECK(told.log == "OrDrE");
}

TEST_CASE("the write timeout runs while bytes are queued, and each sent byte restarts it") {
  Harness h;
  h.now_ms += kTick - 1;
  const auto port = h.listen({.write_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  bool full = false;
  h.hooks.send = [&](int fd, const void* bytes, size_t length, int flags) -> ssize_t {
    return full ? shim::fail(EAGAIN) : shim::__real_send(fd, bytes, std::min<size_t>(length, 10), flags);
  };
  h.js.write(told, "x");
  sleep(h, 10'000);
  CHECK(told.log == "O");
  full = true;
  h.js.write(told, std::string(100, 'x'));
  sleep(h, 499);
  CHECK(told.log == "O");
  full = false;
  h.inject(told, Edge::kWritable);
  h.settle();
  full = true;
  sleep(h, 499);
  CHECK(told.log == "O");
  // A further write doesn't restart it.
  h.js.write(told, "y");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "Ow");
  sleep(h, 500 + kLatest);
  CHECK(told.log == "Oww");
  h.hooks.send = nullptr;
  h.inject(told, Edge::kWritable);
  h.settle();
  sleep(h, 10'000);
  CHECK(told.log == "Oww");
}

TEST_CASE("the total timeout is not restarted by traffic") {
  Harness h;
  h.now_ms += kTick - 1;
  const auto port = h.listen({.timeout_ms = 500, .total_timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  for (int i = 0; i < 9; ++i) {
    sleep(h, 100);
    client.send("x");
    h.js.write(told, "x");
    h.settle();
  }
  sleep(h, 99);
  CHECK(told.log == "OD");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "ODL");
}

TEST_CASE("several timeouts of a connection share one timer, and each fires at its time") {
  Harness h;
  const auto port =
      h.listen({.timeout_ms = 300, .read_timeout_ms = 700, .write_timeout_ms = 100, .total_timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  sleep(h, 1000 + 3 * kLatest);
  CHECK(told.log == "OTTrTL");
  for (const auto kind : {TimeoutKind::kIdle, TimeoutKind::kRead, TimeoutKind::kWrite, TimeoutKind::kTotal}) {
    h.js.set_timeout(told, kind, 0);
  }
  h.settle();
  CHECK(h.asked() == -1);
  sleep(h, 10'000);
  CHECK(told.log == "OTTrTL");
  h.js.set_timeout(told, TimeoutKind::kTotal, 200);
  sleep(h, 199);
  CHECK(told.log == "OTTrTL");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "OTTrTLL");
}

TEST_CASE("a timeout that fires a whole period after end() is marked") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  sleep(h, 500 + kLatest);
  CHECK(told.log == "OT");
  CHECK(told.a == 0);
  sleep(h, 400);
  h.js.end(told);
  h.settle();
  sleep(h, 499);
  CHECK(told.log == "OT");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "OTT");
  CHECK(told.a == 1);
}

TEST_CASE("end() cancels timeouts that wait to be delivered") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 500, .read_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  client.send("a question");
  h.settle_blocked();
  EventBatch* batch = h.js.take();
  REQUIRE(batch != nullptr);
  // JavaScript works on the reply for longer than the timeout.
  for (int i = 0; i < 20; ++i) {
    h.now_ms += 50;
    h.settle_blocked();
  }
  h.js.end(told);
  h.js.give_back(batch);
  h.settle();
  sleep(h, 400);
  CHECK(told.times('T') == 0);
  CHECK(told.times('r') == 0);
}

TEST_CASE("after end() the total timeout is marked only when it fires for the second time") {
  Harness h;
  const auto port = h.listen({.total_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  sleep(h, 490);
  h.js.end(told);
  sleep(h, 10 + kLatest);
  CHECK(told.log == "OL");
  CHECK(told.a == 0);
  sleep(h, 500 + kLatest);
  CHECK(told.log == "OLL");
  CHECK(told.a == 1);
}
