// Commands: a turn executes a bounded number of them, and the next turns the rest, in order.
#include <doctest/doctest.h>

#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

std::unique_ptr<TcpInfoRequest> tcp_info_of(const Told& told) {
  auto request = std::make_unique<TcpInfoRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  return request;
}

}  // namespace

TEST_CASE("thousands of requests are spread over several turns, which also read") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  h.settle();
  h.js.completed.clear();
  constexpr size_t kRequests = 5000;
  for (size_t i = 0; i < kRequests; ++i) h.js.request(tcp_info_of(told));
  other.send("hello");
  h.turn();
  h.turn();
  h.js.deliver_all();
  CHECK(h.js.completed.size() > 0);
  CHECK(h.js.completed.size() < kRequests / 2);
  CHECK(other_told.received == "hello");
  h.settle();
  CHECK(h.js.completed.size() == kRequests);
}

TEST_CASE("commands left over by a turn are executed once, in order, and their memory isn't reused before") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  h.js.completed.clear();
  std::string expected;
  for (int i = 0; i < 3000; ++i) {
    const std::string line = std::to_string(i) + "\n";
    h.js.write(told, line);
    expected += line;
    if (i % 100 == 0) {
      h.js.write_pinned(told, "pinned\n");
      expected += "pinned\n";
    }
    h.js.request(tcp_info_of(told));
  }
  h.js.end(told);
  h.turn();
  CHECK(h.js.completed.size() < 3000);
  // Later commands must be executed after them.
  h.js.request(tcp_info_of(told));
  h.settle();
  CHECK(client.receive() == expected);
  CHECK(client.ended);
  CHECK(h.js.completed.size() == 3001);
  CHECK(h.js.pinned() == 0);
}

TEST_CASE("a fence completes after all commands that were published before it") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  h.js.completed.clear();
  for (int i = 0; i < 2000; ++i) h.js.request(tcp_info_of(told));
  auto request = std::make_unique<FenceRequest>();
  const Request* fence = request.get();
  h.js.request(std::move(request));
  h.settle();
  REQUIRE(h.js.completed.size() == 2001);
  CHECK(h.js.completed.back().get() == fence);
}

TEST_CASE("a loop that stops with commands left over leaves nothing behind") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.settle();
  for (int i = 0; i < 2000; ++i) h.js.request(tcp_info_of(told));
  h.turn();
  h.stop();  // AddressSanitizer finds leaks
}
