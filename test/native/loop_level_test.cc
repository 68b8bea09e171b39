// The level trigger: the same behaviour as with edges, and no repeated reports of known readiness.
#include <doctest/doctest.h>

#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

constexpr Harness::Setup kLevel{.trigger = Trigger::kLevel};

// Runs turns without delivering, until the loop would sleep. Returns their number.
int turns_to_rest(Harness& h) {
  for (int i = 1; i <= 50; ++i) {
    h.turn();
    if (h.quiet()) return i;
  }
  return -1;
}

}  // namespace

TEST_CASE("level: open, data, end and close are delivered as with the edge trigger") {
  Harness h(kLevel);
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const std::string bytes = pattern(1'000'000);
  std::string_view rest = bytes;
  h.until([&] {
    rest.remove_prefix(client.send_some(rest));
    return rest.empty();
  });
  client.fin();
  h.settle();
  CHECK(told.received == bytes);
  CHECK(told.log == "ODE");
  h.js.end(told);
  h.settle();
  CHECK(told.log == "ODEC");
  CHECK(told.error == 0);
}

TEST_CASE("level: a silent new connection causes no turns") {
  Harness h(kLevel);
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  CHECK(turns_to_rest(h) == 1);
}

TEST_CASE("level: a queue causes no turns while its socket is full, and is sent when there is room") {
  Harness h(kLevel);
  const auto port = h.listen();
  auto [client, told] = h.accept(port, 4096);
  const std::string bytes = pattern(4'000'000);
  for (size_t at = 0; at < bytes.size(); at += 100'000) h.js.write(told, std::string_view(bytes).substr(at, 100'000));
  h.js.end(told);
  h.settle();
  CHECK(turns_to_rest(h) == 1);
  h.until([&] { return client.receive().size() == bytes.size() && client.ended; });
  CHECK(client.received == bytes);
  h.settle();
  CHECK(turns_to_rest(h) == 1);
}

TEST_CASE("level: a paused connection causes no turns with unread bytes, a FIN, both FINs or a full socket") {
  for (int kind = 0; kind < 5; ++kind) {
    CAPTURE(kind);
    Harness h(kLevel);
    const auto port = h.listen();
    auto [client, told] = h.accept(port, 4096);
    if (kind == 3) h.js.end(told);
    if (kind == 4) h.js.write_pinned(told, pattern(4'000'000));
    h.js.pause(told);
    h.settle();
    if (kind != 1) client.send("abc");
    if (kind >= 1 && kind <= 3) client.fin();
    h.settle();
    CHECK(told.log == "O");
    CHECK(turns_to_rest(h) == 1);
    CHECK(h.asked() == -1);
    h.js.resume(told);
    h.settle();
    CHECK(turns_to_rest(h) == 1);
    if (kind != 1) CHECK(told.received == "abc");
    const char* const expected[] = {"OD", "OE", "ODE", "ODEC", "OD"};
    CHECK(told.log == expected[kind]);
  }
}

TEST_CASE("level: pausing and resuming without unread bytes loses no later ones") {
  Harness h(kLevel);
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  for (int i = 0; i < 10; ++i) {
    h.js.pause(told);
    h.settle();
    if (i % 2 == 0) client.send("x");
    h.settle();
    h.js.resume(told);
    h.settle();
    client.send("y");
    h.settle();
  }
  CHECK(told.received.size() == 15);
}

TEST_CASE("level: a reset closes the connection, also in a pause or after a FIN") {
  for (int kind = 0; kind < 4; ++kind) {
    CAPTURE(kind);
    Harness h(kLevel);
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    if (kind == 1) h.js.pause(told);
    if (kind == 2) client.fin();
    h.settle();
    if (kind == 3) h.js.pause(told);  // in the turn of the reset
    client.rst();
    h.settle();
    CHECK(told.log == (kind == 2 ? "OEC" : "OC"));
    CHECK(told.error != 0);
  }
}

TEST_CASE("level: peers' actions cause no turns while the JS thread is blocked") {
  Harness h({.trigger = Trigger::kLevel, .batches = 1});
  const auto port = h.listen();
  auto [other, other_told] = h.accept(port);
  auto [sends, sends_told] = h.accept(port);
  auto [ends, ends_told] = h.accept(port);
  auto [resets, resets_told] = h.accept(port);
  auto [ended, ended_told] = h.accept(port);
  h.js.end(ended_told);
  h.settle();
  other.send("x");
  h.settle_blocked();
  sends.send("abc");
  ends.fin();
  resets.send("last");
  resets.rst();
  ended.fin();
  h.connect(port).send("new");
  h.settle_blocked();
  CHECK(turns_to_rest(h) == 1);
  h.settle();
  CHECK(sends_told.log == "OD");
  CHECK(ends_told.log == "OE");
  CHECK(resets_told.log == "ODC");
  CHECK(ended_told.log == "OEC");
  CHECK(h.js.connections.back().log == "OD");
  CHECK(turns_to_rest(h) == 1);
}

TEST_CASE("level: a half-closed connection causes no turns, and can still be written to") {
  Harness h(kLevel);
  const auto port = h.listen();
  auto [client, told] = h.accept(port, 4096);
  client.fin();
  h.settle();
  CHECK(told.log == "OE");
  CHECK(turns_to_rest(h) == 1);
  const std::string bytes = pattern(1'000'000);
  h.js.write_pinned(told, bytes);
  h.js.end(told);
  h.settle();
  CHECK(turns_to_rest(h) == 1);
  h.until([&] { return client.receive().size() == bytes.size() && client.ended; });
  h.settle();
  CHECK(told.log == "OEC");
}

TEST_CASE("level: an urgent byte doesn't stop reading") {
  Harness h(kLevel);
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("ab");
  REQUIRE(shim::__real_send(client.fd.get(), "!", 1, MSG_OOB) == 1);
  client.send("cd");
  h.settle();
  CHECK(told.received == "abcd");
  CHECK(turns_to_rest(h) == 1);
}
