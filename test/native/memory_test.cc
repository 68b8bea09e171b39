// Behaviour without free memory.
#include <doctest/doctest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <new>
#include <string>
#include <utility>
#include <vector>

#include "native/features/handover/adopt_detach.h"
#include "native/features/handover/migration.h"
#include "native/features/relay/relay_request.h"
#include "native/mem/slab.h"
#include "native/mem/spare_memory.h"
#include "test/native/bytes_of.h"
#include "test/native/frames.h"
#include "test/native/loop_harness.h"
#include "test/native/shim.h"

using namespace c1m;
using shim::until_failure;

namespace {

// The process's new handler before the core's, which no code has installed yet.
int previous_calls = 0;
[[maybe_unused]] const std::new_handler none = std::set_new_handler([] {
  ++previous_calls;
  std::set_new_handler(nullptr);
});

}  // namespace

TEST_CASE("memory: the new handler releases the spare memory, and refill() allocates it again") {
  REQUIRE(spare_memory::refill());
  const std::new_handler handler = std::get_new_handler();
  REQUIRE(bool(handler != nullptr));
  handler();
  CHECK_FALSE(spare_memory::is_there());
  CHECK(bool(std::get_new_handler() == handler));
  // Without spare memory it calls the previous handler, and removes itself if that one removes itself.
  const int asked = previous_calls;
  handler();
  CHECK(previous_calls == asked + 1);
  CHECK(bool(std::get_new_handler() == nullptr));
  until_failure = 0;
  CHECK_FALSE(spare_memory::refill());
  CHECK(bool(std::get_new_handler() == nullptr));
  CHECK(spare_memory::refill());
  CHECK(spare_memory::is_there());
  CHECK(bool(std::get_new_handler() == handler));
}

TEST_CASE("memory: a later new handler may call the core's, and is not called in an endless loop") {
  REQUIRE(spare_memory::refill());
  static const std::new_handler core_handler = std::get_new_handler();
  static int asked = 0;
  const std::new_handler later_handler = [] {
    ++asked;
    core_handler();
  };
  std::set_new_handler(later_handler);
  later_handler();
  CHECK_FALSE(spare_memory::is_there());
  REQUIRE(spare_memory::refill());
  CHECK(bool(std::get_new_handler() == later_handler));
  later_handler();
  later_handler();
  CHECK(bool(std::get_new_handler() == nullptr));
  REQUIRE(spare_memory::refill());
  CHECK(bool(std::get_new_handler() == core_handler));
  CHECK(asked == 3);
}

TEST_CASE("memory: without spare memory no connection is accepted, and the open ones continue") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Harness h({.trigger = trigger});
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    bool lacks = true;
    const std::new_handler handler = std::get_new_handler();
    handler();
    // Lets the turn's refill of the spare memory fail while `lacks` is set.
    const auto turn = [&] {
      until_failure = lacks ? 0 : -1;
      h.turn();
      until_failure = -1;
      h.js.deliver_all();
    };
    h.connect(port);
    client.send("ping");
    for (int i = 0; i < 3; ++i) turn();
    CHECK(told.received == "ping");
    CHECK(h.js.connections.size() == 1);
    CHECK(h.js.saturated == std::vector<int>{ENOMEM});
    CHECK(h.asked() > 0);
    h.now_ms += 10;
    turn();
    CHECK(h.js.connections.size() == 1);
    lacks = false;
    h.now_ms += 20;
    turn();
    h.settle();
    CHECK(spare_memory::is_there());
    CHECK(h.js.connections.size() == 2);
    CHECK(h.js.saturated.size() == 1);
  }
}

TEST_CASE("memory: a slab without memory for a chunk has no free slot, until there is memory again") {
  Slab<int> slots(3000);
  until_failure = 0;
  CHECK(slots.allocate() == Slab<int>::kNone);
  CHECK(slots.live() == 0);
  CHECK(slots.used() == 0);
  for (uint32_t i = 0; i < 1024; ++i) REQUIRE(slots.allocate() == i);
  until_failure = 0;
  CHECK(slots.allocate() == Slab<int>::kNone);
  CHECK(slots.allocate() == 1024);
}

TEST_CASE("memory: make_room() that fails keeps none of the blocks that it got") {
  BlockPool pool;
  until_failure = 2;
  CHECK_FALSE(pool.make_room(3 * 256));
  until_failure = 0;
  CHECK_FALSE(pool.make_room(1));
  until_failure = -1;
  CHECK(pool.make_room(1));
}

TEST_CASE("memory: a connection without memory for its slot is refused, and accepting pauses") {
  Harness h({.max_connections = 2000});
  const auto port = h.listen();
  h.connect(port);
  until_failure = 0;
  h.settle();
  CHECK(h.js.connections.empty());
  CHECK(h.js.saturated == std::vector<int>{ENOMEM});
  h.connect(port);
  h.now_ms += 20;
  h.settle();
  CHECK(h.js.connections.size() == 1);
}

namespace {

// A scope in which no allocation of the test itself fails.
struct Spared {
  Spared() : left(std::exchange(until_failure, -1)) {}
  ~Spared() { until_failure = left; }
  long left;
};

// Repeats `run`, each time with a later allocation that fails, until none is left. `run` returns true if the failure
// had an effect.
template <class Run>
void walk(Run run) {
  long at = 0;
  int effects = 0;
  for (bool failed = true; failed; ++at) {
    CAPTURE(at);
    REQUIRE(at < 1000);
    Harness h;
    effects += run(h, [at] { until_failure = at; }) ? 1 : 0;
    failed = std::exchange(until_failure, -1) < 0;
  }
  CAPTURE(at);
  CHECK(effects > 0);
  CHECK(effects < at);
}

// A socket that takes no bytes until it is opened.
struct Dam {
  explicit Dam(Harness& on) : h(on) {
    h.hooks.send = [this](int to, const void* bytes, size_t size, int flags) {
      return closed ? shim::fail(EAGAIN) : shim::__real_send(to, bytes, size, flags);
    };
    h.hooks.sendmsg = [this](int to, const msghdr* message, int flags) {
      return closed ? shim::fail(EAGAIN) : shim::__real_sendmsg(to, message, flags);
    };
  }
  void open(const Told& told) {
    closed = false;
    if (!told.closed()) h.inject(told, Edge::kWritable);
    h.settle();
  }

  Harness& h;
  bool closed = true;
};

RemoteWrite remote(const Told& to, const std::string& text) {
  const Spared spared;
  return {to.slot, to.generation, 1 << 20, 0, bytes_of(text)};
}

void broadcast(Harness& h, const Told& to, const std::string& text) {
  const Spared spared;
  auto request = std::make_unique<BroadcastRequest>();
  request->payload = SharedPayload::of(bytes_of(text));
  request->list = list_of({{to.slot, to.generation, 1 << 20, 0}});
  h.js.request(std::move(request));
}

// Queues bytes of all kinds, in an order in which each must be copied. Returns the bytes.
std::string fill(Harness& h, const Told& told) {
  std::string all;
  const auto next = [&](size_t size) {
    all += pattern(size, static_cast<uint32_t>(all.size()));
    return all.substr(all.size() - size);
  };
  const auto flush_and_settle = [&] {
    h.js.flush();
    h.settle();
  };
  h.js.write(told, next(5000));
  flush_and_settle();
  h.js.write_pinned(told, next(30'000));
  h.js.write(told, next(3));
  flush_and_settle();
  broadcast(h, told, next(100));
  flush_and_settle();
  for (const size_t size : {size_t{10}, size_t{20'000}}) {
    REQUIRE(h.loop->shared_inbox()->write(remote(told, next(size))));
    h.settle();
  }
  h.js.write(told, next(9000));
  flush_and_settle();
  return all;
}

// Checks that the client has received everything, or that the connection was reset for lack of memory. Returns true if
// it was reset.
bool whole_or_closed(Client& client, const Told& told, const std::string& all) {
  client.receive();
  if (!told.closed()) {
    CHECK(client.received == all);
    return false;
  }
  CHECK(told.error == ENOMEM);
  CHECK_FALSE(client.ended);
  CHECK(client.error == ECONNRESET);
  return true;
}

}  // namespace

TEST_CASE("memory: when any allocation for frames fails, whole frames are delivered and the connection closes") {
  for (const Framing& framing : {prefixed(4), delimited("\n")}) {
    walk([&](Harness& h, const auto& arm) {
      const auto port = h.listen({.framing = framing});
      auto [client, told] = h.accept(port);
      std::vector<std::string> frames;
      for (const size_t size : {size_t{100'000}, size_t{20'000}, size_t{40'000}, size_t{1}}) {
        frames.emplace_back(size, static_cast<char>('a' + frames.size()));
      }
      const std::string stream = encode_all(framing, frames);
      arm();
      for (size_t at = 0; at < stream.size() && !told.closed(); at += 33'000) {
        client.send(std::string_view(stream).substr(at, 33'000));
        h.settle();
      }
      REQUIRE(told.chunks.size() <= frames.size());
      CHECK(std::equal(told.chunks.begin(), told.chunks.end(), frames.begin()));
      if (told.closed()) {
        CHECK(told.error == ENOMEM);
      } else {
        CHECK(told.chunks == frames);
      }
      const Spared spared;
      auto [other, fresh] = h.accept(port);
      other.send(encode(framing, "y"));
      h.settle();
      CHECK(fresh.received == "y");
      return told.closed();
    });
  }
}

TEST_CASE("memory: when any allocation for queued bytes fails, all of them are sent, or the connection closes") {
  walk([](Harness& h, const auto& arm) {
    auto [client, told] = h.accept(h.listen());
    Dam dam(h);
    arm();
    const std::string all = fill(h, told);
    dam.open(told);
    CHECK(h.js.pinned() == 0);
    return whole_or_closed(client, told, all);
  });
}

TEST_CASE("memory: when any allocation for frames fails, a FIN never follows a part of an ended reply") {
  walk([](Harness& h, const auto& arm) {
    const Framing framing = prefixed(4);
    auto [client, told] = h.accept(h.listen({.framing = framing}));
    Dam dam(h);
    const std::string answer = pattern(100'000, 1);
    h.js.write(told, answer);
    h.js.end(told);
    h.js.flush();
    h.settle();
    arm();
    client.send(std::string_view(encode(framing, std::string(40'000, 'x'))).substr(0, 20'000));
    h.settle();
    dam.open(told);
    client.receive();
    if (!told.closed()) {
      CHECK(client.received == answer);
      CHECK(client.ended);
    } else {
      CHECK(told.error == ENOMEM);
      CHECK_FALSE(client.ended);
      CHECK(client.error == ECONNRESET);
    }
    return told.closed();
  });
}

TEST_CASE("memory: when any allocation for a relay fails, all bytes are relayed, or both sides are reset") {
  walk([](Harness& h, const auto& arm) {
    const auto port = h.listen();
    auto [from, source] = h.accept(port);
    auto [to, sink] = h.accept(port);
    auto preparing = std::make_unique<PrepareRelayRequest>();
    for (const auto& [side, told] : {std::pair(0, &source), std::pair(1, &sink)}) {
      preparing->slots[side] = told->slot;
      preparing->generations[side] = told->generation;
    }
    h.js.request(std::move(preparing));
    h.settle();
    auto relay = std::make_unique<RelayRequest>();
    relay->slot = source.slot;
    relay->generation = source.generation;
    h.js.request(std::move(relay));
    h.settle();
    Dam dam(h);
    const std::string all = pattern(20'000, 1);
    arm();
    from.send(all);
    h.settle();
    dam.open(sink);
    from.receive();
    const bool closed = whole_or_closed(to, source, all);
    if (closed) {
      CHECK_FALSE(from.ended);
      CHECK(from.error == ECONNRESET);
    }
    return closed;
  });
}

TEST_CASE("memory: when any allocation for a detach fails, the connection stays as it was") {
  walk([](Harness& h, const auto& arm) {
    auto [client, told] = h.accept(h.listen());
    Dam dam(h);
    const std::string all = fill(h, told);
    auto request = std::make_unique<DetachRequest>();
    request->slot = told.slot;
    request->generation = told.generation;
    const DetachRequest& asked = *request;
    h.js.request(std::move(request));
    arm();
    h.settle();
    const bool stayed = asked.error.code == ENOMEM;
    dam.open(told);
    CHECK(told.closed() == !stayed);
    if (stayed) {
      CHECK_FALSE(whole_or_closed(client, told, all));
    } else {
      CHECK(text_of(asked.detached.unsent) == all);
    }
    return stayed;
  });
}

TEST_CASE("memory: when any allocation for a move fails, the connection loses nothing, or closes") {
  walk([](Harness& h, const auto& arm) {
    auto [client, told] = h.accept(h.listen({.framing = delimited("\n")}));
    Dam dam(h);
    client.send("a part of a frame");
    std::string all = fill(h, told);
    auto reserving = std::make_unique<ReserveRequest>();
    reserving->max_write_queue = 1 << 20;
    const ReserveRequest& place = *reserving;
    h.js.request(std::move(reserving));
    h.settle();
    REQUIRE_FALSE(place.full);
    Told& there = h.js.arrive(place.slot, place.generation);
    arm();
    const std::string late = pattern(5000, 3);
    h.js.write(there, late);
    h.js.flush();
    h.settle();
    auto releasing = std::make_unique<ReleaseRequest>();
    releasing->slot = told.slot;
    releasing->generation = told.generation;
    auto& released = *releasing;
    h.js.request(std::move(releasing));
    h.settle();
    REQUIRE(told.closed());
    REQUIRE(released.parcel != nullptr);
    auto settling = std::make_unique<SettleRequest>();
    settling->slot = place.slot;
    settling->generation = place.generation;
    settling->parcel = std::move(released.parcel);
    h.js.request(std::move(settling));
    h.settle();
    dam.open(there);
    const bool closed = whole_or_closed(client, there, all + late);
    const Spared spared;
    if (!closed) {
      client.send("\n");
      h.settle();
      CHECK(there.received == "a part of a frame");
    }
    // The loop counts both places as one connection, which has closed once.
    h.js.connections.pop_front();
    return closed;
  });
}

// Sanitizers map more address space than a limit could allow, and have an allocator of their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

namespace {

#define NEED(condition)                                       \
  do {                                                        \
    if (!(condition)) {                                       \
      std::fprintf(stderr, "%d: %s\n", __LINE__, #condition); \
      return 1;                                               \
    }                                                         \
  } while (false)

// Limits the address space to its present size, or removes the limit.
void limit_memory(bool on) {
  rlimit limit{};
  ::getrlimit(RLIMIT_AS, &limit);
  limit.rlim_cur = limit.rlim_max;
  if (on) {
    long pages = 0;
    FILE* statm = std::fopen("/proc/self/statm", "r");
    if (std::fscanf(statm, "%ld", &pages) == 1) limit.rlim_cur = static_cast<rlim_t>(pages * ::sysconf(_SC_PAGESIZE));
    (void)std::fclose(statm);
  }
  ::setrlimit(RLIMIT_AS, &limit);
}

// Runs in a process of its own, which must continue without memory.
int run_out() {
  // Never destroyed, so that the checks of the destructor don't run.
  auto& h = *new Harness;
  const Framing framing = prefixed(4, false, false, 1 << 22);
  const auto port = h.listen();
  const auto framed = h.listen({.framing = framing});
  auto [client, told] = h.accept(port);
  auto [sender, large] = h.accept(framed);
  auto [reader, stuck] = h.accept(port);
  h.js.write(stuck, "warm");
  h.js.flush();
  h.settle();
  const std::string stream = encode(framing, std::string(1 << 21, 'x'));
  const std::string answer(100'000, 'y');
  std::vector<void*> ballast;
  ballast.reserve(1'000'000);
  // Memory for the test itself.
  void* spare = ::operator new(600'000);
  NEED(spare_memory::is_there());

  limit_memory(true);
  std::vector<std::unique_ptr<uint8_t[]>> taken;
  while (spare_memory::is_there()) taken.emplace_back(new uint8_t[1 << 20]);
  for (size_t size = 1 << 20; size >= 4096; size /= 2) {
    while (void* memory = std::malloc(size)) ballast.push_back(memory);
  }
  ::operator delete(spare);

  h.connect(port);
  client.send("ping");
  h.settle();
  NEED(told.received == "ping");
  NEED(h.js.connections.size() == 3);
  NEED(h.js.saturated == std::vector<int>{ENOMEM});

  for (size_t sent = 0; sent < stream.size() && !large.closed();) {
    sent += sender.send_some(std::string_view(stream).substr(sent));
    h.turn();
    h.js.deliver_all();
  }
  h.settle();
  NEED(large.closed());
  NEED(large.error == ENOMEM);

  Dam dam(h);
  h.js.write(stuck, answer);
  h.js.flush();
  h.settle();
  NEED(stuck.closed());
  NEED(stuck.error == ENOMEM);
  dam.closed = false;

  client.send("pong");
  h.now_ms += 10;
  h.settle();
  NEED(told.received == "pingpong");
  NEED(!spare_memory::is_there());
  NEED(h.js.connections.size() == 3);

  taken.clear();
  for (void* memory : ballast) std::free(memory);
  limit_memory(false);
  h.now_ms += 1000;
  h.settle();
  NEED(spare_memory::is_there());
  NEED(h.js.connections.size() == 4);
  auto [again, whole] = h.accept(framed);
  for (size_t sent = 0; sent < stream.size();) {
    sent += again.send_some(std::string_view(stream).substr(sent));
    h.settle();
  }
  NEED(whole.received.size() == 1 << 21);
  return 0;
}

}  // namespace

TEST_CASE("memory: a process without free memory continues, and recovers") {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) ::_exit(run_out());
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
}

#endif
