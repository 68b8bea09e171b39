// Loops whose threads have file tables of their own.
#include "native/table/file_table.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <thread>

#include "native/features/accept/listen_request.h"
#include "native/features/accept/placement.h"
#include "native/features/handover/adopt_detach.h"
#include "native/net/stream.h"
#include "test/native/running_loop.h"

using namespace c1m;

namespace {

constexpr uint32_t kListener = 7;
// The descriptors of every loop: standard input, output and error; the poller's two, the watch set's, the passage's.
constexpr int kOfEveryLoop = 3 + 2 + 1 + 1;

bool is_open(int fd) { return ::fcntl(fd, F_GETFD) >= 0; }

std::array<Fd, 2> make_pair() {
  int fds[2];
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

}  // namespace

TEST_CASE("a thread's own file table has the kept descriptors, under their numbers, and those that are brought in") {
  Passage passage = std::move(Passage::open().value());
  auto [near, far] = make_pair();
  std::thread([&, socket = &far] {
    FileTable table;
    const std::array kept{passage.inner.get()};
    const Result<void> owned = table.own(kept, passage.inner.get());
    CHECK(owned.ok());
    CHECK(is_open(passage.inner.get()));
    // The others are standard input, output and error, and the pidfd of the process.
    CHECK(count_descriptors_of_thread() == 3 + 1 + 1);
    Result<Fd> brought = table.bring(*socket);
    CHECK(brought.ok());
    CHECK(send_bytes(brought.value().get(), "brought", 7) == 7);
    const Result<Fd> handed = table.hand_out(brought.value().get());
    CHECK(handed.ok());
    brought.value().reset();
    table.close();
  }).join();
  char bytes[8]{};
  CHECK(receive(near.get(), bytes, sizeof bytes) == 7);
  Result<Fd> back = receive_descriptor(passage.outer.get());
  REQUIRE(back.ok());
  CHECK(send_bytes(back.value().get(), "back", 4) == 4);
  CHECK(receive(near.get(), bytes, sizeof bytes) == 4);
  back.value().reset();
  far.reset();
  CHECK(receive(near.get(), bytes, sizeof bytes) == 0);
}

TEST_CASE("a passage is bounded, and releases the descriptors in it when it is closed") {
  Passage passage = std::move(Passage::open().value());
  auto [near, far] = make_pair();
  int sent = 0;
  Result<void> last;
  while ((last = send_descriptor(passage.outer.get(), far.get())).ok()) ++sent;
  CHECK(last.error().code == EAGAIN);
  CHECK(sent > 100);
  far.reset();
  for (int i = 0; i < sent; ++i) REQUIRE(receive_descriptor(passage.inner.get()).ok());
  CHECK(receive_descriptor(passage.inner.get()).error().code == EAGAIN);
  char byte = 0;
  CHECK(receive(near.get(), &byte, 1) == 0);
}

TEST_CASE("loops with file tables of their own share a listener, adopt and detach, and leave no descriptor") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    std::array<Running, 2> loops{Running(256, trigger, true), Running(256, trigger, true)};
    Address address;
    for (size_t i = loops.size(); i-- > 0;) {
      auto request = listen_request();
      request->connections.context = kListener;
      request->accepts = i == 0;
      if (i == 0) {
        request->spread =
            Spread(Placement::kRoundRobin, {loops[0].loop->shared_inbox(), loops[1].loop->shared_inbox()});
        for (Running& running : loops)
          request->passages.push_back(std::move(duplicate(running.passage.outer.get()).value()));
      }
      const ListenRequest& listening = loops[i].ask(std::move(request));
      CHECK_FALSE(listening.failure);
      if (i == 0) address = listening.bound;
    }
    std::vector<Fd> clients;
    for (int i = 0; i < 40; ++i) clients.push_back(dial(address));
    for (Running& running : loops) {
      while (running.js.connections.size() < 20) running.deliver();
      CHECK(running.loop->table().local_address(running.js.connections[0].slot).port() == address.port());
    }

    auto [near, far] = make_pair();
    auto adopting = std::make_unique<AdoptRequest>();
    adopting->fd = std::move(far);
    adopting->peer.family = AF_UNIX;
    const AdoptRequest& adopted = loops[1].ask(std::move(adopting));
    REQUIRE_FALSE(adopted.error);
    while (loops[1].js.connections.size() < 21) loops[1].deliver();
    const Told& told = loops[1].js.connections.back();
    auto detaching = std::make_unique<DetachRequest>();
    detaching->slot = told.slot;
    detaching->generation = told.generation;
    CHECK_FALSE(loops[1].ask(std::move(detaching)).error);
    Result<Fd> back = receive_descriptor(loops[1].passage.outer.get());
    REQUIRE(back.ok());
    CHECK(send_bytes(back.value().get(), "back", 4) == 4);
    char bytes[8]{};
    CHECK(receive(near.get(), bytes, sizeof bytes) == 4);

    for (Running& running : loops) running.stop();
    for (const Running& running : loops) CHECK(running.left() == kOfEveryLoop);
    // The request owns duplicates of the passages.
    loops[0].js.completed.clear();
    // Each connection was closed by its loop, although the JS thread still has its events.
    for (const Fd& client : clients) CHECK(receive(client.get(), bytes, sizeof bytes) <= 0);
  }
}
