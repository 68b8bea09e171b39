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

// Three loops with one listener, whose socket is the first one's.
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

  // Each counts descriptors when it goes.
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

  // Plays the JS thread of all of them until `done`.
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

// So many clients, one after the other, each of which exchanges a few bytes and stays.
std::thread dial_many(const Address& address, int count, std::vector<Fd>& clients, std::atomic<int>& well) {
  return std::thread([&address, count, &clients, &well] {
    for (int i = 0; i < count; ++i) {
      clients.push_back(dial(address));
      const std::string bytes = pattern(100, static_cast<uint32_t>(i));
      const ssize_t sent = shim::__real_send(clients.back().get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent != static_cast<ssize_t>(bytes.size()) || !receive_exactly(clients.back().get(), bytes)) return;
      ++well;
    }
  });
}

}  // namespace

TEST_CASE("spread: connections go to all loops evenly, and are served there") {
  for (const Placement placement : {Placement::kLeastConnections, Placement::kRoundRobin}) {
    Spreading spreading(placement);
    std::vector<Fd> clients;
    std::atomic<int> well{0};
    std::thread dialling = dial_many(spreading.address, 60, clients, well);
    spreading.serve([&] { return well == 60; });
    dialling.join();
    for (const Running& running : spreading.loops) CHECK(running.js.connections.size() == 20);
    clients.clear();
    spreading.serve([&] {
      return spreading.loops[0].js.open() + spreading.loops[1].js.open() + spreading.loops[2].js.open() == 0;
    });
  }
}

TEST_CASE("spread: the least is where connections have left") {
  Spreading spreading(Placement::kLeastConnections);
  std::vector<Fd> clients;
  std::atomic<int> well{0};
  std::thread first = dial_many(spreading.address, 30, clients, well);
  spreading.serve([&] { return well == 30; });
  first.join();
  // All of one loop's go.
  std::set<uint16_t> ports;
  for (const Told& told : spreading.loops[1].js.connections) spreading.loops[1].js.destroy(told);
  spreading.loops[1].js.flush();
  spreading.serve(
      [&] { return spreading.loops[1].js.open() == 0 && spreading.loops[1].loop->shared_inbox()->load() == 0; });
  std::thread second = dial_many(spreading.address, 10, clients, well);
  spreading.serve([&] { return well == 40; });
  second.join();
  CHECK(spreading.loops[1].js.open() == 10);
}

TEST_CASE("spread: one source's connections meet in one loop") {
  Spreading spreading(Placement::kSourceHash);
  std::vector<Fd> clients;
  std::atomic<int> well{0};
  std::thread dialling = dial_many(spreading.address, 30, clients, well);
  spreading.serve([&] { return well == 30; });
  dialling.join();
  int loops_with_some = 0;
  for (const Running& running : spreading.loops) loops_with_some += running.js.connections.empty() ? 0 : 1;
  CHECK(loops_with_some == 1);
}

TEST_CASE("spread: a listener that closes has handed over all that it accepted") {
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
    // What was in the kernel's queue still, the kernel has reset.
    CHECK(accepted <= 30);
  }
}

TEST_CASE("spread: a loop that has ended takes nothing, and nothing is left of what it was to get") {
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
