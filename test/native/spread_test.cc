// One loop accepts for several, each on a thread of its own.
#include <doctest/doctest.h>

#include <array>
#include <set>
#include <thread>

#include "native/features/accept/listen_request.h"
#include "native/features/accept/placement.h"
#include "native/features/connect/connect_request.h"
#include "native/features/socket/socket_requests.h"
#include "test/native/running_loop.h"

using namespace c1m;

namespace {

constexpr uint32_t kListener = 7;

// Three loops with one listener, whose socket belongs to the first loop.
struct Spreading {
  std::array<Running, 3> loops{Running(256), Running(256), Running(256)};
  Address address;

  explicit Spreading(Placement placement) {
    for (size_t i = loops.size(); i-- > 0;) {
      auto request = listen_request();
      request->connections.context = kListener;
      request->accepts = i == 0;
      if (i == 0) request->spread = Spread(placement, inboxes());
      const ListenRequest& listening = loops[i].ask(std::move(request));
      CHECK(!listening.failure);
      if (i == 0) address = listening.bound;
    }
  }

  // Stops all loops before any is destroyed, because each destructor counts descriptors.
  ~Spreading() {
    for (Running& running : loops) running.stop();
  }
  Spreading(const Spreading&) = delete;
  Spreading& operator=(const Spreading&) = delete;

  std::vector<std::shared_ptr<Inbox>> inboxes() {
    std::vector<std::shared_ptr<Inbox>> all;
    for (Running& running : loops) all.push_back(running.loop->shared_inbox());
    return all;
  }

  uint32_t close_listener(size_t loop) {
    auto request = std::make_unique<CloseListenerRequest>();
    request->index = kListener;
    return loops[loop].ask(std::move(request)).accepted;
  }

  // Plays the JS thread of all loops until `done` returns true.
  template <class Done>
  void serve(const Done& done) {
    std::vector<Echo> echoes;
    for (Running& running : loops) echoes.emplace_back(running);
    while (!done()) {
      for (size_t i = 0; i < loops.size(); ++i) {
        loops[i].js.deliver();
        echoes[i].answer();
      }
      std::this_thread::yield();
    }
  }
};

// Connects `count` clients, one after the other, each of which exchanges a few bytes and stays open.
std::thread dial_many(const Address& address, int count, std::vector<Fd>& clients, std::atomic<int>& succeeded) {
  return std::thread([&address, count, &clients, &succeeded] {
    for (int i = 0; i < count; ++i) {
      clients.push_back(dial(address));
      const std::string bytes = pattern(100, static_cast<uint32_t>(i));
      const ssize_t sent = shim::__real_send(clients.back().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(bytes.size()) || !receive_exactly(clients.back().get(), bytes)) return;
      ++succeeded;
    }
  });
}

}  // namespace

TEST_CASE("spread: connections are distributed evenly over all loops, which serve them") {
  for (const Placement placement : {Placement::kLeastConnections, Placement::kRoundRobin}) {
    Spreading spreading(placement);
    std::vector<Fd> clients;
    std::atomic<int> succeeded{0};
    std::thread dialling = dial_many(spreading.address, 60, clients, succeeded);
    spreading.serve([&] { return succeeded == 60; });
    dialling.join();
    for (const Running& running : spreading.loops) CHECK(running.js.connections.size() == 20);
    clients.clear();
    spreading.serve([&] {
      return spreading.loops[0].js.open() + spreading.loops[1].js.open() + spreading.loops[2].js.open() == 0;
    });
  }
}

TEST_CASE("spread: least-connections placement counts closed connections") {
  Spreading spreading(Placement::kLeastConnections);
  std::vector<Fd> clients;
  std::atomic<int> succeeded{0};
  std::thread first = dial_many(spreading.address, 30, clients, succeeded);
  spreading.serve([&] { return succeeded == 30; });
  first.join();
  // All connections of one loop close.
  std::set<uint16_t> ports;
  for (const Told& told : spreading.loops[1].js.connections) spreading.loops[1].js.destroy(told);
  spreading.loops[1].js.flush();
  spreading.serve(
      [&] { return spreading.loops[1].js.open() == 0 && spreading.loops[1].loop->shared_inbox()->load() == 0; });
  std::thread second = dial_many(spreading.address, 10, clients, succeeded);
  spreading.serve([&] { return succeeded == 40; });
  second.join();
  CHECK(spreading.loops[1].js.open() == 10);
}

TEST_CASE("spread: source-hash placement puts one source's connections on one loop") {
  Spreading spreading(Placement::kSourceHash);
  std::vector<Fd> clients;
  std::atomic<int> succeeded{0};
  std::thread dialling = dial_many(spreading.address, 30, clients, succeeded);
  spreading.serve([&] { return succeeded == 30; });
  dialling.join();
  int loops_with_some = 0;
  for (const Running& running : spreading.loops) loops_with_some += running.js.connections.empty() ? 0 : 1;
  CHECK(loops_with_some == 1);
}

TEST_CASE("spread: a closed listener has handed over all connections that it accepted") {
  for (int round = 0; round < 20; ++round) {
    Spreading spreading(Placement::kRoundRobin);
    std::vector<Fd> clients;
    for (int i = 0; i < 30; ++i) clients.push_back(dial(spreading.address));
    uint32_t accepted = spreading.close_listener(0);
    for (const size_t other : {1, 2}) accepted += spreading.close_listener(other);
    spreading.serve([&] {
      size_t told = 0;
      for (const Running& running : spreading.loops) told += running.js.connections.size();
      return told == accepted;
    });
    // The kernel has reset the connections that were still in its queue.
    CHECK(accepted <= 30);
  }
}

TEST_CASE("spread: connections for a loop that has ended are closed") {
  Spreading spreading(Placement::kRoundRobin);
  spreading.loops[2].stop();
  std::vector<Fd> clients;
  for (int i = 0; i < 30; ++i) clients.push_back(dial(spreading.address));
  spreading.serve(
      [&] { return spreading.loops[0].js.connections.size() + spreading.loops[1].js.connections.size() == 20; });
  int refused = 0;
  for (const Fd& client : clients) {
    char byte = 0;
    refused += ::recv(client.get(), &byte, 1, MSG_DONTWAIT) == 0 ? 1 : 0;
  }
  CHECK(refused == 10);
}
