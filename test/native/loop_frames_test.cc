// Received bytes are delivered as whole frames, however they are split over reads, batches and memory.
#include <doctest/doctest.h>

#include "native/features/frames/reframe_request.h"
#include "test/native/bytes_of.h"
#include "test/native/frames.h"
#include "test/native/loop_harness.h"

using namespace c1m;
using namespace std::string_literals;

namespace {

void pump(Harness& h, Client& client, std::string_view bytes) {
  h.until([&] {
    bytes.remove_prefix(client.send_some(bytes));
    return bytes.empty();
  });
}

void reframe(Harness& h, const Told& told, const Framing* framing, std::string_view bytes, bool ended = false) {
  auto request = std::make_unique<ReframeRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  if (framing != nullptr) request->framing = std::make_unique<const Framing>(*framing);
  request->bytes = unread_of(bytes);
  request->ended = ended;
  h.js.request(std::move(request));
}

// Framings of each kind. Those with a small max find an invalid frame in the test's stream.
const std::vector<Framing> kKinds{
    Framing{},          delimited("\n"), delimited("\r\n\t"),     delimited(";", 3),
    delimited("ab", 3), prefixed(1),     prefixed(4, true, true), prefixed(1, false, false, 3)};

std::string encode_any(const Framing& framing, const std::string& payload) {
  return framing.kind == Framing::Kind::kNone ? payload : encode(framing, payload);
}

const std::vector<std::string> kPayloads{"", "x", "hello, world", "", "\r", pattern(300)};

}  // namespace

TEST_CASE("frames are delivered whole, wherever the reads end") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    for (const bool borrowed : {false, true}) {
      for (const Framing& framing : {prefixed(2), delimited("\r\n\t")}) {
        Harness h({.trigger = trigger});
        const auto port = h.listen({.borrowed = borrowed, .framing = framing});
        const std::string stream = encode_all(framing, kPayloads);
        for (size_t size = 1; size < stream.size(); size += 1 + size / 8) {
          auto [client, told] = h.accept(port);
          h.hooks.recv = [&, fd = h.fd(told)](int from, void* buffer, size_t max, int flags) {
            return shim::__real_recv(from, buffer, from == fd ? std::min(max, size) : max, flags);
          };
          client.send(stream);
          client.fin();
          // A short read leaves bytes in the socket, for which the kernel reports no edge but the end's.
          h.settle();
          CAPTURE(size);
          CHECK(told.chunks == kPayloads);
          CHECK(told.log == "ODE");
          CHECK(h.loop->table().slots[told.slot].extras == nullptr);
        }
      }
    }
  }
}

TEST_CASE("a connection has a buffer only while a frame is incomplete") {
  Harness h;
  const auto port = h.listen({.framing = prefixed(4)});
  auto [client, told] = h.accept(port);
  const Entry& entry = h.loop->table().slots[told.slot];
  CHECK(entry.extras == nullptr);
  client.send("\0\0\0\5hel"s);
  h.settle();
  REQUIRE(entry.extras != nullptr);
  CHECK(entry.extras->framer->size() == 7);
  client.send("lo");
  h.settle();
  CHECK(told.chunks == std::vector{"hello"s});
  CHECK(entry.extras == nullptr);
  client.send("\0\0\0\5hel"s);
  h.settle();
  client.fin();
  h.settle();
  CHECK(told.log == "ODE");
}

TEST_CASE("frames of one read that exceed a batch's records are delivered later, in order") {
  for (const bool borrowed : {false, true}) {
    for (const Framing& framing : {delimited("\n"), prefixed(1)}) {
      Harness h({.batches = 2});
      const auto port = h.listen({.borrowed = borrowed, .framing = framing});
      auto [client, told] = h.accept(port);
      std::vector<std::string> payloads;
      for (int i = 0; i < 40'000; ++i)
        payloads.push_back(i % 3 == 0 ? "" : std::string(1, static_cast<char>('a' + i % 26)));
      pump(h, client, encode_all(framing, payloads));
      client.fin();
      // JavaScript is blocked until all batches are full.
      h.settle_blocked();
      h.settle();
      CHECK(told.chunks == payloads);
      CHECK(told.log == "ODE");
      CHECK(h.loop->table().slots[told.slot].extras == nullptr);
    }
  }
}

TEST_CASE("frames that wait for a batch are not delivered in a pause, and are dropped by a close") {
  for (const bool resumed : {false, true}) {
    Harness h({.batches = 1});
    const auto port = h.listen({.framing = delimited("\n")});
    auto [client, told] = h.accept(port);
    client.send(std::string(10'000, '\n'));
    client.fin();
    h.settle_blocked();
    h.js.pause(told);
    h.turn();
    h.js.deliver_all();
    h.settle();
    CHECK(told.chunks.size() < 10'000);
    CHECK_FALSE(told.ended());
    if (resumed) {
      h.js.resume(told);
      h.settle();
      CHECK(told.chunks.size() == 10'000);
      CHECK(told.ended());
    } else {
      h.js.destroy(told);
      h.settle();
      CHECK(told.closed());
    }
  }
}

TEST_CASE("large frames with small ones between them are delivered exactly") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    for (const Framing& framing : {prefixed(4, true, true, 8 << 20), delimited("\n\r\n", 8 << 20)}) {
      Harness h({.trigger = trigger, .slab_bytes = 1 << 18});
      const auto port = h.listen({.framing = framing});
      auto [client, told] = h.accept(port);
      std::vector<std::string> payloads;
      for (const size_t size : {3'000'000, 0, 8189, 8190, 8191, 8192, 16'384, 16'385, 65'536, 262'144, 1, 5'000'000}) {
        std::string payload = pattern(size, static_cast<uint32_t>(size));
        for (char& byte : payload) byte = static_cast<char>(byte | 0x40);
        payloads.push_back(std::move(payload));
      }
      pump(h, client, encode_all(framing, payloads));
      client.fin();
      h.settle();
      CHECK(told.chunks == payloads);
      CHECK(told.log == "ODE");
    }
  }
}

TEST_CASE("an invalid frame is reported after the frames before it, and stops reading until JavaScript decides") {
  for (const Framing& framing : {prefixed(1, false, false, 5), delimited("\n", 5)}) {
    Harness h;
    const auto port = h.listen({.framing = framing});
    auto [client, told] = h.accept(port);
    client.send(encode_all(framing, {"one", "two", "no frame"}) + "more");
    client.fin();
    h.settle();
    CHECK(told.chunks == std::vector{"one"s, "two"s});
    CHECK(told.log == "ODM");
    SUBCASE("to close the connection") {
      h.js.destroy(told);
      h.settle();
      CHECK(told.log == "ODMC");
    }
    SUBCASE("to continue with other framing") {
      h.js.push(Command::kReframe, told);
      h.settle();
      CHECK(told.log == "ODMF");
      reframe(h, told, nullptr, "before ");
      h.settle();
      CHECK(told.log == "ODMFDE");
      CHECK(told.received == "onetwobefore " + encode(framing, "no frame") + "more");
    }
  }
}

TEST_CASE("after a change of framing, bytes returned by JavaScript come first, then pending ones, then new ones") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Harness h({.trigger = trigger});
    const auto port = h.listen({.framing = delimited("\n")});
    auto [client, told] = h.accept(port);
    const Framing next = prefixed(1);
    client.send("line\n\3tw");
    h.settle();
    h.js.push(Command::kReframe, told);
    client.send("o\5thr");
    h.settle();
    CHECK(told.log == "ODF");
    client.send("ee");
    h.settle();
    CHECK(told.chunks == std::vector{"line"s});
    reframe(h, told, &next, "\3one");
    h.settle();
    CHECK(told.chunks == std::vector{"line"s, "one"s, "two"s, "three"s});
    client.fin();
    h.settle();
    CHECK(told.log == "ODFDE");
  }
}

TEST_CASE("any framing can be changed to any other, wherever the received bytes end") {
  const std::vector<std::string> payloads{"", "x", "\r", "ga", "\3\n"};
  for (const Framing& from : kKinds) {
    for (const Framing& to : kKinds) {
      const std::string head = encode_any(from, "go");
      std::string stream;
      for (const std::string& payload : payloads) {
        // Payloads that contain the delimiter are left out.
        if (payload.find(to.delimiter) == std::string::npos || to.delimiter.empty()) stream += encode_any(to, payload);
      }
      std::vector<std::string> expected;
      if (to.kind != Framing::Kind::kNone) expected = Reference(to, stream).frames;
      Harness h;
      const auto port = h.listen({.framing = from});
      for (size_t split = 0; split <= stream.size(); ++split) {
        auto [client, told] = h.accept(port);
        client.send(head + stream.substr(0, split));
        h.settle();
        h.js.push(Command::kReframe, told);
        h.settle();
        // Frames of the old framing are turned into the original bytes again, as JavaScript does.
        std::string back;
        for (size_t i = 1; i < told.chunks.size(); ++i) back += encode_any(from, told.chunks[i]);
        if (from.kind == Framing::Kind::kNone) back = told.received.substr(2);
        told.chunks.clear();
        told.received.clear();
        reframe(h, told, to.kind == Framing::Kind::kNone ? nullptr : &to, back);
        client.send(stream.substr(split));
        client.fin();
        h.settle();
        CAPTURE(static_cast<int>(from.kind));
        CAPTURE(from.delimiter);
        CAPTURE(static_cast<int>(to.kind));
        CAPTURE(to.delimiter);
        CAPTURE(split);
        if (to.kind == Framing::Kind::kNone) {
          REQUIRE(told.received == stream);
        } else {
          REQUIRE(told.chunks == expected);
        }
        REQUIRE(told.log.ends_with("E"));
        h.js.destroy(told);
        h.settle();
      }
    }
  }
}

TEST_CASE("an invalid frame of the old framing that waits for a batch is not reported after the change") {
  Harness h({.batches = 1});
  const auto port = h.listen({.framing = prefixed(1, false, false, 5)});
  auto [client, told] = h.accept(port);
  // JavaScript takes the only batch.
  client.send("\1x");
  h.settle_blocked();
  EventBatch* batch = h.js.take();
  REQUIRE(batch != nullptr);
  client.send("line\n");
  h.turn();
  h.js.give_back(batch);
  REQUIRE(told.chunks == std::vector{"x"s});
  h.js.push(Command::kReframe, told);
  h.settle();
  const size_t stopped = told.log.find('F');
  REQUIRE(stopped != std::string::npos);
  CHECK(told.log.find('M', stopped) == std::string::npos);
  const Framing lines = delimited("\n");
  reframe(h, told, &lines, "");
  h.settle();
  CHECK(told.chunks == std::vector{"x"s, "line"s});
}

TEST_CASE("after both sides' FINs a connection closes only when its change of framing has completed") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("x");
  h.settle();
  h.js.push(Command::kReframe, told);
  h.js.end(told);
  client.send("\3one\3two");
  client.fin();
  h.settle();
  CHECK(told.log == "ODF");
  const Framing framing = prefixed(1);
  reframe(h, told, &framing, "");
  h.settle();
  CHECK(told.chunks == std::vector{"x"s, "one"s, "two"s});
  CHECK(told.log == "ODFDEC");
}

TEST_CASE("a change of framing is reported as soon as a batch has room, and a reset cancels it") {
  Harness h({.batches = 1});
  const auto port = h.listen({.framing = delimited("\n")});
  auto [client, told] = h.accept(port);
  client.send("x\n");
  h.settle_blocked();
  h.js.push(Command::kReframe, told);
  h.settle_blocked();
  CHECK(told.log == "O");
  h.settle();
  CHECK(told.log == "ODF");
  client.rst();
  h.settle();
  CHECK(told.closed());
  reframe(h, told, nullptr, "no connection");
  h.settle();
}

TEST_CASE("the idle timeout fires for a frame that doesn't complete") {
  Harness h;
  const auto port = h.listen({.timeout_ms = 1000, .framing = prefixed(4)});
  auto [client, told] = h.accept(port);
  client.send("\0\0\0\5hel"s);
  h.settle();
  h.now_ms += 1100;
  h.settle();
  CHECK(told.log == "OT");
}
