// Bytes that threads other than the JS thread write to a connection.
#include <doctest/doctest.h>

#include <thread>

#include "native/exchange/inbox_registry.h"
#include "test/native/bytes_of.h"
#include "test/native/running_loop.h"

using namespace c1m;

namespace {

RemoteWrite bytes_for(const Told& told, const std::string& text, uint32_t most = 1 << 20) {
  return {told.slot, told.generation, most, 0, bytes_of(text)};
}

std::string receive(int fd, size_t length) {
  std::string got(length, '\0');
  size_t at = 0;
  while (at < length) {
    const ssize_t count = shim::__real_recv(fd, got.data() + at, length - at, 0);
    if (count <= 0) break;
    at += static_cast<size_t>(count);
  }
  got.resize(at);
  return got;
}

}  // namespace

TEST_CASE("remote writes: all bytes of several threads are sent, each thread's in order") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  while (running.js.connections.empty()) running.deliver();
  const Told& told = running.js.connections[0];
  const uint32_t number = inbox_registry::add(running.loop->shared_inbox());
  std::vector<std::thread> writers;
  for (const char name : {'a', 'b', 'c'}) {
    writers.emplace_back([&told, number, name] {
      for (int i = 0; i < 500; ++i) {
        const std::string text = name + std::to_string(1000 + i);
        CHECK(inbox_registry::find(number)->write(bytes_for(told, text)));
      }
    });
  }
  const std::string all = receive(fd.get(), size_t{3} * 500 * 5);
  for (std::thread& writer : writers) writer.join();
  REQUIRE(all.size() == size_t{3} * 500 * 5);
  int next[3]{1000, 1000, 1000};
  for (size_t at = 0; at < all.size(); at += 5) {
    CHECK(std::stoi(all.substr(at + 1, 4)) == next[all[at] - 'a']++);
  }
  inbox_registry::remove(number);
  CHECK(inbox_registry::find(number) == nullptr);
}

TEST_CASE("remote writes: a closed connection gets none, a full queue closes its connection, and others continue") {
  Running running(4);
  const Address address = running.listen();
  const Fd one = dial(address);
  const Fd two = dial(address);
  while (running.js.connections.size() < 2) running.deliver();
  Inbox& inbox = *running.loop->shared_inbox();
  const Told& first = running.js.connections[0];
  const Told& second = running.js.connections[1];
  CHECK(inbox.write(bytes_for(first, std::string(100, 'x'), 99)));
  while (!first.closed()) running.deliver();
  CHECK(first.error == static_cast<int>(OwnError::kWriteQueueFull));
  CHECK(inbox.write(bytes_for(first, "late")));
  CHECK(inbox.write(bytes_for(second, "here")));
  const bool first_is_one = receive(one.get(), 4) != "here";
  if (first_is_one) CHECK(receive(two.get(), 4) == "here");
}

TEST_CASE("remote writes: their order with command batches is that of acceptance") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  Inbox& inbox = *h.loop->shared_inbox();
  CHECK(inbox.write(bytes_for(told, "1 ")));
  h.js.write(told, "2 ");
  h.js.flush();
  CHECK(inbox.write(bytes_for(told, "3 ")));
  CHECK(inbox.write(bytes_for(told, "4 ")));
  h.js.write(told, "5 ");
  h.js.flush();
  CHECK(inbox.write(bytes_for(told, "6 ")));
  h.js.end(told);
  h.js.flush();
  CHECK(inbox.write(bytes_for(told, "behind the end")));
  h.settle();
  CHECK(client.receive() == "1 2 3 4 5 6 ");
  CHECK(client.ended);
}

TEST_CASE("remote writes: an accepted write is sent before a later end") {
  Running running(4);
  const Address address = running.listen();
  for (int round = 0; round < 300; ++round) {
    const Fd fd = dial(address);
    while (running.js.connections.size() <= static_cast<size_t>(round)) running.deliver();
    const Told& told = running.js.connections[static_cast<size_t>(round)];
    std::atomic<bool> done = false;
    std::thread worker([&] {
      CHECK(running.loop->shared_inbox()->write(bytes_for(told, "answer")));
      done.store(true, std::memory_order_release);
    });
    while (!done.load(std::memory_order_acquire)) running.js.flush();
    running.js.end(told);
    running.js.flush();
    CHECK(receive(fd.get(), 7) == "answer");
    worker.join();
    REQUIRE(::shutdown(fd.get(), SHUT_WR) == 0);
    while (!told.closed()) running.deliver();
  }
}

TEST_CASE("remote writes: an inbox is bounded, and refuses writes when its loop has ended") {
  Running running(4);
  const auto inbox = running.loop->shared_inbox();
  const Told nobody{};
  CHECK_FALSE(inbox->write(bytes_for(nobody, std::string(Inbox::kMaxBytes + 1, 'x'))));
  running.stop();
  CHECK_FALSE(inbox->write(bytes_for(nobody, "x")));
}
