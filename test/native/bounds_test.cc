// Limits and counters where two features meet: close and hand-over, workers' writes and batches, moves and slices.
#include <doctest/doctest.h>

#include <cstring>

#include "native/conn/framer.h"
#include "native/features/accept/listen_request.h"
#include "native/features/connect/connect_request.h"
#include "native/features/handover/migration.h"
#include "native/features/socket/socket_requests.h"
#include "native/net/descriptor.h"
#include "native/net/socket.h"
#include "test/native/bytes_of.h"
#include "test/native/net_pair.h"
#include "test/native/running_loop.h"

using namespace c1m;

namespace {
RemoteWrite bytes_to(uint32_t slot, uint32_t generation, size_t size, uint32_t max_queue = 1u << 30) {
  return {slot, generation, max_queue, 0, bytes_of(std::string(size, 'x'))};
}
}  // namespace

TEST_CASE("a listener that closes while a connection waits for another loop hands that one over, and accepts no more") {
  Harness h({.max_connections = 4096});
  Poller poller = std::move(Poller::create(Trigger::kEdge).value());
  auto inbox = std::make_shared<Inbox>(poller);
  Passage passage = std::move(Passage::open().value());
  auto request = listen_request();
  request->connections.context = 5;
  request->spread = Spread(Placement::kRoundRobin, {inbox});
  request->passages.push_back(std::move(duplicate(passage.outer.get()).value()));
  ListenRequest* listen = request.get();
  h.js.request(std::move(request));
  h.settle();
  REQUIRE(!listen->failure);
  const Address address = listen->bound;
  bool blocked = true;
  h.hooks.sendmsg = [&](int fd, const msghdr* message, int flags) -> ssize_t {
    if (blocked) return shim::fail(EAGAIN);
    return shim::__real_sendmsg(fd, message, flags);
  };
  std::deque<Client> clients;
  clients.emplace_back(address);
  h.settle();  // the acceptor keeps one connection, which it can't hand over
  auto closing = std::make_unique<CloseListenerRequest>();
  closing->index = 5;
  const CloseListenerRequest* close = closing.get();
  h.js.request(std::move(closing));
  h.turn();
  int accepts = 0;
  h.hooks.accept4 = [&](int fd, sockaddr* peer, socklen_t* length, int flags) {
    const int got = shim::__real_accept4(fd, peer, length, flags);
    if (got >= 0 && ++accepts < 2000) clients.emplace_back(address);  // a new client for each accepted one
    return got;
  };
  clients.emplace_back(address);
  blocked = false;
  for (int i = 0; i < 5; ++i) {
    h.now_ms += 2;
    h.turn();
    h.js.deliver_all();
  }
  const bool closed = !h.js.completed.empty() && h.js.completed.back().get() == close;
  CHECK(closed);
  CHECK(accepts == 0);
  h.hooks.accept4 = nullptr;
  h.settle();
  h.hooks.sendmsg = nullptr;
  inbox->close();
  h.stop();
}

TEST_CASE("workers' writes that wait for a batch take bounded memory") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  Inbox& inbox = *h.loop->shared_inbox();
  for (int i = 0; i < 4096; ++i) {
    auto info = std::make_unique<TcpInfoRequest>();
    info->slot = told.slot;
    info->generation = told.generation;
    h.js.request(std::move(info));
  }
  h.js.flush();
  size_t accepted = 0;
  int turns = 0;
  while (client.receive().empty() && turns < 100) {
    while (inbox.write(bytes_to(told.slot, told.generation, 1 << 20, UINT32_MAX))) accepted += 1 << 20;
    ++turns;
    h.turn();
  }
  CHECK(accepted <= Inbox::kMaxBytes * 2);
  h.stop();
}

TEST_CASE("a turn sends a bounded number of workers' writes") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  Inbox& inbox = *h.loop->shared_inbox();
  size_t writes = 0;
  while (inbox.write(bytes_to(told.slot, told.generation, 1))) ++writes;
  h.turn();
  const size_t first = client.receive().size();
  CHECK(first <= 20'000);
  h.settle();
}

TEST_CASE("a small part of a buffer, written to a connection that is being moved, doesn't keep the whole buffer") {
  Harness h;
  auto reserve = std::make_unique<ReserveRequest>();
  reserve->max_write_queue = 1 << 20;
  const ReserveRequest* reserved = reserve.get();
  h.js.request(std::move(reserve));
  h.settle();
  Told& there = h.js.arrive(reserved->slot, reserved->generation);
  for (int i = 0; i < 64; ++i) h.js.write_pinned(there, std::string(16 << 10, 'x'), 240 << 10);
  h.js.flush();
  h.settle();
  CHECK(h.js.pinned() == 0);
  h.stop();
}

// TSan confuses equal descriptor numbers of two file tables.
#ifndef __SANITIZE_THREAD__
TEST_CASE("a moved connection whose descriptor is lost is counted as closed") {
  Running a(4, Trigger::kEdge, true);
  Running b(4, Trigger::kEdge, true);
  const Fd fd = dial(a.listen());
  while (a.js.connections.empty()) a.deliver();
  const Told& told = a.js.connections[0];
  auto reserve = std::make_unique<ReserveRequest>();
  reserve->max_write_queue = 1 << 20;
  const ReserveRequest& reserved = b.ask(std::move(reserve));
  Told& there = b.js.arrive(reserved.slot, reserved.generation);
  auto request = std::make_unique<ReleaseRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  auto& released = const_cast<ReleaseRequest&>(a.ask(std::move(request)));
  while (!told.closed()) a.deliver();
  auto parcel = std::move(released.parcel);
  Result<Fd> got = receive_descriptor(a.passage.outer.get());
  auto settle = std::make_unique<SettleRequest>();
  settle->slot = reserved.slot;
  settle->generation = reserved.generation;
  settle->parcel = std::move(parcel);
  settle->parcel->fd = Fd();  // no descriptor to take over
  b.js.request(std::move(settle));
  b.js.flush();
  while (!there.closed()) b.deliver();
  a.stop();
  b.stop();
  CHECK(a.js.stat("accepted") == a.js.stat("closed") + b.js.stat("closed"));
}
#endif
