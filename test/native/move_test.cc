// Connections that are moved between two loops, each on a thread of its own.
#include <doctest/doctest.h>

#include <cstring>
#include <thread>

#include "native/features/accept/listen_request.h"
#include "native/features/connect/connect_request.h"
#include "native/features/handover/migration.h"
#include "native/features/socket/socket_requests.h"
#include "test/native/bytes_of.h"
#include "test/native/running_loop.h"

using namespace c1m;

namespace {

// A slot that a loop reserves for a connection of another loop.
struct Place {
  uint32_t slot;
  uint32_t generation;
};

Place reserve(Running& on, uint32_t flushed = 0, uint32_t max_write_queue = 1 << 24) {
  auto request = std::make_unique<ReserveRequest>();
  request->flushed = flushed;
  request->max_write_queue = max_write_queue;
  const ReserveRequest& reserved = on.ask(std::move(request));
  REQUIRE_FALSE(reserved.full);
  return {reserved.slot, reserved.generation};
}

// Asks the loop to release the connection, and waits for its last event.
std::unique_ptr<Parcel> release(Running& from, const Told& told) {
  auto request = std::make_unique<ReleaseRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  auto& released = const_cast<ReleaseRequest&>(from.ask(std::move(request)));
  while (!told.closed()) from.deliver();
  return std::move(released.parcel);
}

std::unique_ptr<SettleRequest> settle_request(const Place& place) {
  auto request = std::make_unique<SettleRequest>();
  request->slot = place.slot;
  request->generation = place.generation;
  return request;
}

void settle(Running& on, const Place& place, std::unique_ptr<Parcel> parcel, uint16_t error = 0) {
  auto request = settle_request(place);
  request->parcel = std::move(parcel);
  request->error = error;
  on.js.request(std::move(request));
  on.js.flush();
}

// Moves a connection as lib/features/moving.ts does. From the reservation on, commands go to the new place.
Told& move(Running& from, const Told& told, Running& to) {
  const Place place = reserve(to, from.js.flushed(told));
  Told& there = to.js.arrive(place.slot, place.generation);
  settle(to, place, release(from, told));
  return there;
}

std::unique_ptr<BroadcastRequest> broadcast_of(const std::string& text, std::vector<BroadcastTarget> targets) {
  auto request = std::make_unique<BroadcastRequest>();
  request->payload = SharedPayload::of(bytes_of(text));
  request->list = list_of(targets);
  return request;
}

BroadcastTarget target_of(const Told& told, uint32_t max_write_queue = 1 << 20) {
  return {told.slot, told.generation, max_write_queue, 0};
}

// Stops both loops before either is destroyed, because each destructor counts descriptors.
void stop(Running& a, Running& b) {
  a.stop();
  b.stop();
}

Told& first_of(Running& running) {
  while (running.js.connections.empty()) running.deliver();
  return running.js.connections[0];
}

// A connection of loop a with a place on loop b, where its commands go from now on.
struct Leaving {
  Running a{4};
  Running b{4};
  Fd fd = dial(a.listen());
  const Told& told = first_of(a);
  Place place = reserve(b);
  Told& there = b.js.arrive(place.slot, place.generation);
};

}  // namespace

TEST_CASE("move: moves back and forth under traffic lose, double and reorder no byte") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Running a(4, trigger);
    Running b(4, trigger);
    const Fd fd = dial(a.listen());
    const std::string sent = pattern(3'000'000);
    std::atomic<bool> well = false;
    std::thread client([&] {
      std::thread writer([&] {
        for (size_t at = 0; at < sent.size();) {
          const ssize_t count =
              shim::__real_send(fd.get(), sent.data() + at, std::min<size_t>(7919, sent.size() - at), MSG_NOSIGNAL);
          if (count <= 0) break;
          at += static_cast<size_t>(count);
        }
      });
      well = receive_exactly(fd.get(), sent);
      writer.join();
    });
    Told* told = &first_of(a);
    Running* here = &a;
    Running* there = &b;
    size_t echoed = 0;
    size_t before = 0;  // bytes received at earlier places
    std::string received;
    int moves = 0;
    const auto answer = [&] {
      for (; echoed < received.size(); echoed += std::min<size_t>(received.size() - echoed, 20'000)) {
        here->js.write(*told, std::string_view(received).substr(echoed, 20'000));
      }
      here->js.flush();
    };
    while (received.size() < sent.size()) {
      if (received.size() - before >= 20'000) {
        Told& next = move(*here, *told, *there);
        received = received.substr(0, before) + told->received;
        before = received.size();
        told = &next;
        std::swap(here, there);
        answer();
        ++moves;
        continue;
      }
      here->deliver();
      received = received.substr(0, before) + told->received;
      answer();
    }
    client.join();
    CHECK(well);
    CHECK(received == sent);
    CHECK(moves > 1);
    stop(a, b);
    CHECK(a.js.stat("moved") + b.js.stat("moved") == moves);
  }
}

TEST_CASE("move: commands for a connection that is being moved wait, and are executed in order") {
  Running a(4);
  Running b(4);
  const Fd fd = dial(a.listen());
  const Told& told = first_of(a);
  a.js.write(told, "before ");
  a.js.flush();
  const Place place = reserve(b, a.js.flushed(told));
  Told& there = b.js.arrive(place.slot, place.generation);
  b.js.write(there, "one ");
  b.js.write_pinned(there, "two ");
  auto info = std::make_unique<TcpInfoRequest>();
  info->slot = there.slot;
  info->generation = there.generation;
  const TcpInfoRequest* asked = info.get();
  b.js.request(std::move(info));
  b.js.flush();
  auto shared = std::make_unique<BroadcastRequest>();
  shared->payload = SharedPayload::of(bytes_of("three "));
  shared->list = list_of({{there.slot, there.generation, 1 << 20, 0}});
  const BroadcastRequest& broadcast = b.ask(std::move(shared));
  CHECK(broadcast.queued == 1);
  RemoteWrite remote{there.slot, there.generation, 1 << 20, 0, bytes_of("four ")};
  CHECK(b.loop->shared_inbox()->write(std::move(remote)));
  // A round trip, after which the worker's bytes have been taken.
  (void)reserve(b);
  b.js.write(there, "five");
  b.js.end(there);
  b.js.flush();
  settle(b, place, release(a, told));
  CHECK(receive_exactly(fd.get(), "before one two three four five"));
  char byte = 0;
  CHECK(shim::__real_recv(fd.get(), &byte, 1, 0) == 0);
  while (
      std::none_of(b.js.completed.begin(), b.js.completed.end(), [&](const auto& one) { return one.get() == asked; })) {
    b.deliver();
  }
  CHECK_FALSE(asked->closed);
  CHECK(b.js.flushed(there) == 7 + 4 + 4 + 4);
  // The pinned buffer may come back with a later batch.
  while (b.js.pinned() > 0) b.deliver();
  stop(a, b);
}

TEST_CASE("move: commands that wait for a moving connection are bounded, and more of them close it") {
  Running a(4);
  Running b(4);
  const Address address = a.listen();
  for (const bool many : {true, false}) {
    const size_t before = a.js.connections.size();
    const Fd fd = dial(address);
    while (a.js.connections.size() == before) a.deliver();
    const Told& told = a.js.connections.back();
    const Place place = reserve(b, 0, 100'000);
    Told& there = b.js.arrive(place.slot, place.generation);
    if (many) {
      // Small commands, each of which costs more than its bytes.
      for (int i = 0; i < 2000; ++i) b.js.write(there, "x"), b.js.pause(there);
    } else {
      b.js.write(there, std::string(50'000, 'x'));
      b.js.write_pinned(there, std::string(50'001, 'x'));
    }
    b.js.flush();
    auto info = std::make_unique<TcpInfoRequest>();
    info->slot = there.slot;
    info->generation = there.generation;
    const TcpInfoRequest* asked = info.get();
    b.js.request(std::move(info));
    b.js.flush();
    // No further command waits once the bound is exceeded.
    while (b.js.completed.empty() || b.js.completed.back().get() != asked) b.deliver();
    const BroadcastRequest& late = b.ask(broadcast_of("late", {target_of(there)}));
    CHECK(late.reached + late.queued + late.cut == 0);
    settle(b, place, release(a, told));
    while (!there.closed()) b.deliver();
    CHECK(there.error == static_cast<int>(OwnError::kWriteQueueFull));
    CHECK(there.log == "OC");
    CHECK(asked->closed);
    while (b.js.pinned() > 0) b.deliver();
    char byte = 0;
    CHECK(shim::__real_recv(fd.get(), &byte, 1, 0) == 0);
  }
  stop(a, b);
}

TEST_CASE("move: a broadcast beyond a moving connection's limit closes it, and is counted as cut") {
  Running a(4);
  Running b(4);
  const Fd one = dial(a.listen());
  const Told& told = first_of(a);
  const Place place = reserve(b, 0, 1000);
  Told& there = b.js.arrive(place.slot, place.generation);
  const BroadcastRequest& first = b.ask(broadcast_of(std::string(999, 'x'), {target_of(there, 1000)}));
  CHECK(first.queued == 1);
  const BroadcastRequest& second = b.ask(broadcast_of("yy", {target_of(there, 1000)}));
  CHECK(second.cut == 1);
  CHECK(second.reached + second.queued == 0);
  settle(b, place, release(a, told));
  while (!there.closed()) b.deliver();
  CHECK(there.error == static_cast<int>(OwnError::kWriteQueueFull));
  stop(a, b);
}

namespace {

// Asks a harness to release one of its connections in the next turn.
const ReleaseRequest& release(Harness& h, const Told& told) {
  auto request = std::make_unique<ReleaseRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  const ReleaseRequest& asked = *request;
  h.js.request(std::move(request));
  return asked;
}

}  // namespace

TEST_CASE("move: a move doesn't wait for a broadcast in progress, whose bytes are moved and counted as queued") {
  Harness h({.max_connections = 256});
  const auto port = h.listen();
  std::vector<BroadcastTarget> targets;
  // More targets than a turn serves.
  for (int i = 0; i < 200; ++i) targets.push_back(target_of(h.accept(port).told));
  const Told& last = h.js.connections.back();
  auto request = broadcast_of("to all", targets);
  const BroadcastRequest& broadcast = *request;
  h.js.request(std::move(request));
  const ReleaseRequest& released = release(h, last);
  h.turn();
  REQUIRE(released.parcel != nullptr);
  REQUIRE(released.parcel->unsent.size() == 1);
  CHECK(released.parcel->unsent[0].shared);
  CHECK(released.parcel->unsent[0].bytes.size() == 6);
  CHECK(broadcast.payload != nullptr);  // it is still in progress
  h.settle();
  CHECK(broadcast.payload == nullptr);
  CHECK(broadcast.reached == 199);
  CHECK(broadcast.queued == 1);
  CHECK(last.log == "OC");
  // Counted here, because the harness has seen a close.
  ++h.loop->table().stats.closed;
}

TEST_CASE("move: events that wait for a batch are moved, and not delivered by the old loop") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, busy] = h.accept(port);
  // JavaScript has the only batch.
  other.send("x");
  EventBatch* batch = nullptr;
  for (int turns = 0; batch == nullptr; ++turns) {
    REQUIRE(turns < 1000);
    h.turn(10);
    batch = h.js.take();
  }
  client.send("unread");
  client.fin();
  h.settle_blocked();
  h.loop->table().slots[told.slot].set(Connection::kEndSeen | Connection::kEndDue);
  h.loop->table().slots[told.slot].unset(Connection::kReadable | Connection::kHangup);
  const ReleaseRequest& released = release(h, told);
  h.turn();
  REQUIRE(released.parcel != nullptr);
  CHECK((released.parcel->flags & Connection::kEndDue) != 0);
  h.js.give_back(batch);
  h.settle();
  CHECK(told.log == "OC");
  ++h.loop->table().stats.closed;
}

TEST_CASE("move: a connection that closes before it is released closes at its new place") {
  Leaving leaving;
  auto& [a, b, fd, told, place, there] = leaving;
  b.js.write(there, "lost");
  b.js.flush();
  REQUIRE(reset_on_close(fd.get()));
  fd.reset();
  while (!told.closed()) a.deliver();
  CHECK(release(a, told) == nullptr);
  settle(b, place, nullptr, static_cast<uint16_t>(told.error));
  while (!there.closed()) b.deliver();
  CHECK(there.error == ECONNRESET);
  CHECK(there.log == "OC");
  stop(a, b);
}

TEST_CASE("move: a connection that is lost after its release is counted as closed by the new loop") {
  Leaving leaving;
  auto& [a, b, fd, told, place, there] = leaving;
  CHECK(release(a, told) != nullptr);
  auto request = settle_request(place);
  request->error = EMFILE;
  request->lost = true;
  (void)b.ask(std::move(request));
  while (!there.closed()) b.deliver();
  CHECK(there.error == EMFILE);
  stop(a, b);
  CHECK(a.loop->table().stats.closed == 0);
  CHECK(b.loop->table().stats.closed == 1);
}

TEST_CASE("move: a reserved slot that isn't used is freed") {
  Running b(1);
  for (int i = 0; i < 3; ++i) {
    const Place place = reserve(b);
    auto more = std::make_unique<ReserveRequest>();
    CHECK(b.ask(std::move(more)).full);
    auto request = settle_request(place);
    request->abandoned = true;
    (void)b.ask(std::move(request));
    CHECK(b.loop->shared_inbox()->load() == 0);
  }
}

TEST_CASE("move: when the new loop stops during a move, the connection closes") {
  Running a(4);
  Fd fd = dial(a.listen());
  const Told& told = first_of(a);
  std::unique_ptr<Parcel> parcel;
  {
    Running b(4);
    const Place place = reserve(b);
    Told& there = b.js.arrive(place.slot, place.generation);
    b.js.write(there, "never");
    parcel = release(a, told);
    b.js.flush();
    (void)b.ask(std::make_unique<ReserveRequest>());
  }
  CHECK(parcel->fd.valid());
  parcel.reset();
  char byte = 0;
  CHECK(shim::__real_recv(fd.get(), &byte, 1, 0) == 0);
}

TEST_CASE("move: idle connections are found, and no others") {
  Running a(4);
  const Address address = a.listen();
  const Fd quiet = dial(address);
  const Told& told = first_of(a);
  auto ask = [&](uint32_t ms) {
    auto request = std::make_unique<IdleRequest>();
    request->ms = ms;
    request->max = 10;
    return a.ask(std::move(request)).found;
  };
  CHECK(ask(0) == std::vector<uint32_t>{told.slot, told.generation});
  CHECK(ask(1'000'000'000).empty());
  a.js.pause(told);
  a.js.flush();
  REQUIRE(shim::__real_send(quiet.get(), "x", 1, 0) == 1);
  // With unread bytes it is not idle.
  while (!ask(0).empty()) std::this_thread::yield();
}
