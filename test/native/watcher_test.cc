// Watched descriptors that aren't connections.
#include "native/features/watch/watcher.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

void add_one(const Fd& event) {
  const uint64_t one = 1;
  REQUIRE(::write(event.get(), &one, sizeof one) == sizeof one);
}

Fd make_event() { return Fd(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)); }

void watch(Harness& h, const Fd& fd, uint32_t number, uint8_t interest = Watched::kReadable) {
  REQUIRE(h.loop->watcher().set().add(h.loop->poller(), fd.get(), interest, number).ok());
}

}  // namespace

TEST_CASE("each edge is reported once, and those that come while JavaScript is blocked are reported together") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Harness h({.trigger = trigger});
    const Fd event = make_event();
    watch(h, event, 5);
    h.settle();
    CHECK(h.js.watched.empty());
    for (int i = 1; i <= 3; ++i) {
      add_one(event);
      h.settle();
      CHECK(h.js.watched.size() == static_cast<size_t>(i));
      CHECK(h.js.watched.back() == JsSide::WatchTold{5, Watched::kReadable});
    }
    h.js.watched.clear();
    for (int i = 0; i < 100; ++i) {
      add_one(event);
      h.settle_blocked();
    }
    h.settle();
    CHECK(!h.js.watched.empty());
    CHECK(h.js.watched.size() <= 5);  // one for each batch, and one for all edges without a batch
    h.loop->watcher().set().remove(event.get());
    h.js.watched.clear();
    add_one(event);
    h.settle();
    CHECK(h.js.watched.empty());
  }
}

TEST_CASE("more descriptors than one wait reports may be ready at the same time") {
  Harness h({.batches = 1});
  std::vector<Fd> events;
  for (uint32_t i = 0; i < 200; ++i) {
    events.push_back(make_event());
    watch(h, events.back(), i);
    add_one(events.back());
  }
  h.settle();
  CHECK(h.js.watched.size() == 200);
}

TEST_CASE("a descriptor that epoll refuses is an error, and the next one is watched") {
  Harness h;
  const Fd file(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC));
  CHECK(h.loop->watcher().set().add(h.loop->poller(), file.get(), Watched::kReadable, 1).error().code == EPERM);
  CHECK(h.loop->watcher().set().add(h.loop->poller(), -1, Watched::kReadable, 1).error().code == EBADF);
  const Fd event = make_event();
  watch(h, event, 2, Watched::kReadable | Watched::kWritable);
  h.settle();
  REQUIRE(h.js.watched.size() == 1);
  CHECK(h.js.watched.back() == JsSide::WatchTold{2, Watched::kWritable});
}
