// The poller and its waker, with the real kernel.
#include "native/poll/poller.h"

#include <doctest/doctest.h>
#include <poll.h>

#include <chrono>

#include "test/native/net_pair.h"

using namespace c1m;

namespace {

bool is_readable(const Waker& waker) {
  pollfd now{waker.descriptor(), POLLIN, 0};
  return ::poll(&now, 1, 0) == 1;
}

}  // namespace

TEST_CASE("poller: a wake before a wait ends it, and isn't reported") {
  Poller poller = std::move(Poller::create(Trigger::kEdge).value());
  poller.wake();
  poller.wake();
  const auto start = std::chrono::steady_clock::now();
  CHECK(poller.wait(20'000).empty());
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::seconds(15));
}

TEST_CASE("poller: a cleared waker isn't readable until the next wake") {
  const Waker waker = std::move(Waker::create().value());
  CHECK_FALSE(is_readable(waker));
  for (int i = 0; i < 2; ++i) {
    waker.wake();
    waker.wake();
    CHECK(is_readable(waker));
    waker.clear();
    CHECK_FALSE(is_readable(waker));
  }
}

TEST_CASE("poller: an urgent byte is reported as priority, and not as a hang-up") {
  Poller poller = std::move(Poller::create(Trigger::kEdge).value());
  const Pair pair = Pair::tcp("127.0.0.1");
  REQUIRE(pair.ok());
  REQUIRE(poller.add(pair.server.get(), 7).ok());
  const auto fresh = poller.wait(5000);
  REQUIRE(fresh.size() == 1);
  CHECK(fresh[0].word == 7);
  CHECK(fresh[0].writable);
  CHECK_FALSE(fresh[0].priority);
  REQUIRE(::send(pair.client.get(), "!", 1, MSG_OOB) == 1);
  const auto urgent = poller.wait(5000);
  REQUIRE(urgent.size() == 1);
  CHECK(urgent[0].priority);
  CHECK_FALSE(urgent[0].hangup);
  REQUIRE(::shutdown(pair.client.get(), SHUT_WR) == 0);
  const auto ended = poller.wait(5000);
  REQUIRE(ended.size() == 1);
  CHECK(ended[0].hangup);
}

TEST_CASE("poller: a nested poller is reported under its word, and has no waker") {
  Poller outer = std::move(Poller::create(Trigger::kLevel).value());
  Poller inner = std::move(Poller::create_nested(1).value());
  CHECK(inner.descriptors().size() < outer.descriptors().size());
  REQUIRE(outer.add_nested(inner, 9).ok());
  const Pair pair = Pair::tcp("127.0.0.1");
  REQUIRE(pair.ok());
  REQUIRE(inner.add_edges(pair.server.get(), 1, Interest::kRead).ok());
  REQUIRE(inner.add_edges(pair.client.get(), 2, Interest::kWrite).ok());
  const auto news = outer.wait(5000);
  REQUIRE(news.size() == 1);
  CHECK(news[0].word == 9);
  const auto first = inner.wait(0);
  REQUIRE(first.size() == 1);  // at most its max, and nothing to read yet
  CHECK(first[0].word == 2);
  CHECK(first[0].writable);
  CHECK(inner.wait(0).empty());
  inner.remove(pair.server.get());
  REQUIRE(::send(pair.client.get(), "x", 1, 0) == 1);
  pair.wait_server();
  CHECK(inner.wait(0).empty());
}
