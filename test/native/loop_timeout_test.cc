// Idle timeouts, on a clock that the test moves.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>

#include "test/native/loop_harness.h"
#include "test/native/seeded.h"

using namespace c1m;

namespace {

constexpr uint64_t kTick = 8;
// The tick that has begun, the one that it is rounded up to, and the one that the deadline lies in.
constexpr uint64_t kLatest = 3 * kTick;

// Sleeps as the loop asks to, until `ms` have passed.
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

TEST_CASE("an idle connection times out, not early, and soon") {
  for (const uint32_t ms : {1u, 7u, 8u, 9u, 100u, 1000u, 100'000u}) {
    for (const uint64_t offset : {0, 1, 5, 7}) {  // into a tick
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

TEST_CASE("the loop sleeps until the deadline, and never without end") {
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

TEST_CASE("a byte read or written starts the time anew") {
  for (const bool reads : {true, false}) {
    Harness h;
    h.now_ms += kTick - 1;  // at a tick's end: the byte comes later than the tick says
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

TEST_CASE("bytes that the socket doesn't take are no activity") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  h.hooks.send = [](int, const void*, size_t, int) -> ssize_t { return shim::fail(EAGAIN); };
  sleep(h, 400);
  h.js.write(told, "x");
  sleep(h, 100 + kLatest);
  CHECK(told.log == "OT");
}

TEST_CASE("a timeout that nobody minds comes again after as long") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 200});
  auto [client, told] = h.accept(port);
  sleep(h, 3 * (200 + kLatest));
  CHECK(told.log == "OTTT");
}

TEST_CASE("a connection's own timeout takes the place of the listener's, from now on") {
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

TEST_CASE("a closed connection's timer goes with it, and the slot's next tenant has its own") {
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

TEST_CASE("many connections time out each in its time") {
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

TEST_CASE("a connection whose bytes wait for a JS thread that is away is not idle") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();  // JS holds the only batch, and doesn't come back for a while
  for (int i = 0; i < 30; ++i) {
    client.send("y");
    h.now_ms += 100;
    h.settle_blocked();
  }
  h.settle();
  CHECK(told.log == "OD");
  CHECK(told.received == std::string(30, 'y'));
  // From now on it is.
  sleep(h, 1000 + kLatest);
  CHECK(told.log == "ODT");
}

TEST_CASE("nor is one that is paused when the JS thread is back, before the bytes could be read") {
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

TEST_CASE("a connection that opens while the JS thread is away has its whole time when it is told") {
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

TEST_CASE("bytes that come before the timeout could be told take its place") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 1000});
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();
  h.now_ms += 1500;  // idle it is, but JS can't be told
  h.settle_blocked();
  client.send("y");
  h.settle_blocked();
  h.settle();
  CHECK(told.log == "OD");
}

TEST_CASE("a connection that is idle while the JS thread is away is told so once") {
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

TEST_CASE("a paused connection with bytes waiting times out: its owner lets nothing move") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  h.js.pause(told);
  client.send("x");
  sleep(h, 500 + kLatest);
  CHECK(told.log == "OT");
}

TEST_CASE("timers and the retry of accept share the sleep") {
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

TEST_CASE("the read timeout looks at reads alone, and only while reading is wanted") {
  Harness h;
  h.now_ms += kTick - 1;
  const auto port = h.listen({.read_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  // Writing is no reading.
  for (int i = 0; i < 4; ++i) {
    sleep(h, 100);
    h.js.write(told, "x");
    h.settle();
  }
  sleep(h, 99);
  CHECK(told.log == "O");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "Or");
  // A byte starts it anew.
  sleep(h, 300);
  client.send("x");
  h.settle();
  sleep(h, 499);
  CHECK(told.log == "OrD");
  // And so does a pause, during which it doesn't run.
  h.js.pause(told);
  sleep(h, 10'000);
  h.js.resume(told);
  h.settle();
  sleep(h, 499);
  CHECK(told.log == "OrD");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "OrDr");
  // After its FIN there is nothing to wait for.
  client.fin();
  h.settle();
  sleep(h, 10'000);
  CHECK(told.log == "OrDrE");
}

TEST_CASE("the write timeout runs while something waits, and each byte that goes starts it anew") {
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
  // More in the queue is no progress.
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

TEST_CASE("the time of the whole connection runs whatever it does") {
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

TEST_CASE("several timeouts have one timer, and each its time") {
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

TEST_CASE("what runs out a whole period after end() says so") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 500});
  auto [client, told] = h.accept(port);
  sleep(h, 500 + kLatest);
  CHECK(told.log == "OT");
  CHECK_FALSE(told.timeout_after_end);
  sleep(h, 400);
  h.js.end(told);
  h.settle();
  sleep(h, 499);
  CHECK(told.log == "OT");
  sleep(h, 1 + kLatest);
  CHECK(told.log == "OTT");
  CHECK(told.timeout_after_end);
}

TEST_CASE("a silence that was to be told is forgotten by end()") {
  Harness h({.batches = 1});
  const auto port = h.listen({.timeout_ms = 500, .read_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  client.send("a question");
  h.settle_blocked();
  EventBatch* batch = h.js.take();
  REQUIRE(batch != nullptr);
  // JavaScript is at work on the answer for longer than the timeout.
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

TEST_CASE("the time of the whole connection grants a period after it has run out") {
  Harness h;
  const auto port = h.listen({.total_timeout_ms = 500});
  auto [client, told] = h.accept(port);
  sleep(h, 490);
  h.js.end(told);
  sleep(h, 10 + kLatest);
  CHECK(told.log == "OL");
  CHECK_FALSE(told.timeout_after_end);
  sleep(h, 500 + kLatest);
  CHECK(told.log == "OLL");
  CHECK(told.timeout_after_end);
}
