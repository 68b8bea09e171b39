// The loop on a thread of its own, as in the addon: for TSan, and because only two real threads can lose wake-ups.
#include <doctest/doctest.h>

#include <random>
#include <thread>

#include "native/net/stream.h"
#include "test/native/running_loop.h"
#include "test/native/seeded.h"

using namespace c1m;

TEST_CASE("threads: every echo is exact while other connections open and close") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Running running(256, trigger);
    const Address address = running.listen();
    constexpr int kClients = 60;
    std::atomic<int> well{0};
    std::atomic<int> done{0};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 3; ++thread) {
      threads.emplace_back([&, thread] {
        std::mt19937 random = seeded(static_cast<uint32_t>(thread));
        for (int i = 0; i < kClients / 3; ++i) {
          const Fd fd = dial(address);
          bool ok = fd.valid();
          for (int round = 0; ok && round < 5; ++round) {
            const std::string bytes = pattern(1 + random() % (round == 4 ? 100'000 : 300), random());
            ok = shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                     static_cast<ssize_t>(bytes.size()) &&
                 receive_exactly(fd.get(), bytes);
          }
          if (ok && i % 3 == 0) {
            char byte = 0;
            ok = shutdown_write(fd.get()).ok() && ::recv(fd.get(), &byte, 1, 0) == 0;
          }
          if (ok && i % 3 == 1) (void)reset_on_close(fd.get());
          well += ok ? 1 : 0;
        }
        ++done;
        running.ring();  // ends the wait below, because no event may follow
      });
    }
    Echo echo(running);
    while (done < 3 || running.js.open() > 0 || running.js.connections.size() < kClients) {
      running.deliver();
      echo.answer();
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(well == kClients);
    CHECK(running.js.connections.size() == kClients);
    for (const Told& told : running.js.connections) CHECK(told.times('C') == 1);
    CHECK(running.js.pinned() == 0);
  }
}

TEST_CASE("threads: every command wakes a sleeping loop") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  Told& told = running.js.connections[0];
  std::mt19937 random = seeded(1);
  for (int i = 0; i < 3000; ++i) {
    // A random delay, so that commands come before, during and after the loop's step to sleep.
    const int spins = static_cast<int>(random() % 3000);
    for (volatile int spin = 0; spin < spins;) spin = spin + 1;
    const std::string bytes = std::to_string(i);
    running.js.write(told, bytes);
    running.js.flush();
    if (!receive_exactly(fd.get(), bytes)) FAIL("write " << i << " was slept through");
  }
}

TEST_CASE("threads: a loop that waits for a batch is woken by its return") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  // A long transfer fills all batches, while this thread hands them back one at a time.
  const std::string bytes = pattern(3'000'000);
  std::thread sender([&] {
    size_t at = 0;
    while (at < bytes.size()) {
      const ssize_t sent = shim::__real_send(fd.get(), bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (sent <= 0) return;
      at += static_cast<size_t>(sent);
    }
    (void)shutdown_write(fd.get());
  });
  Told& told = running.js.connections[0];
  while (!told.ended()) running.deliver();
  sender.join();
  CHECK(told.received == bytes);
  CHECK(told.log == "ODE");
}

TEST_CASE("threads: the JS thread may read a connection's address while the loop accepts others") {
  // More connections than a chunk has slots, so that the slab grows meanwhile.
  raise_descriptor_limit();
  constexpr uint32_t kConnections = 1500;
  Running running(kConnections);
  const Address address = running.listen();
  std::thread dialer([&] {
    std::vector<Fd> fds;
    for (uint32_t i = 0; i < kConnections; ++i) {
      fds.push_back(dial(address));
      if (!fds.back().valid()) return;
    }
  });
  size_t looked = 0;
  while (running.js.open() > 0 || running.js.connections.size() < kConnections) {
    running.deliver();
    for (; looked < running.js.connections.size(); ++looked) {
      const Told& told = running.js.connections[looked];
      // Reads the address as `remoteAddress` does. The connection may have closed already.
      if (!told.closed()) CHECK(running.loop->table().slots[told.slot].peer.port != 0);
      if (told.ended()) running.js.end(told);
    }
    for (const Told& told : running.js.connections) {
      if (told.ended() && !told.closed()) running.js.end(told);
    }
    running.js.flush();
  }
  dialer.join();
  CHECK(looked == kConnections);
}

TEST_CASE("threads: a stop during traffic joins the thread, and closes every descriptor") {
  for (int round = 0; round < 5; ++round) {
    Running running(64);
    const Address address = running.listen();
    std::atomic<bool> stop{false};
    std::thread traffic([&] {
      std::vector<Fd> fds;
      for (int i = 0; i < 20; ++i) fds.push_back(dial(address));
      const std::string bytes = pattern(1000);
      char buffer[4096];
      while (!stop) {
        for (const Fd& fd : fds) {
          (void)!shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
          (void)!::recv(fd.get(), buffer, sizeof(buffer), MSG_DONTWAIT);
        }
      }
    });
    Echo echo(running);
    for (int i = 0; i < 20 + round * 20; ++i) {
      running.deliver();
      echo.answer();
    }
    running.stop();
    stop = true;
    traffic.join();
    CHECK(running.js.connections.size() > 0);
  }
}

TEST_CASE("threads: counters and flushed bytes may be read at any time") {
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  Told& told = running.js.connections[0];
  const std::string bytes = pattern(2'000'000);
  std::thread reader([&] { CHECK(receive_exactly(fd.get(), bytes)); });
  running.js.write_pinned(told, bytes);
  running.js.flush();
  uint32_t last = 0;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (last < bytes.size() && std::chrono::steady_clock::now() < deadline) {
    const uint32_t flushed = running.js.flushed(told);
    if (flushed < last) FAIL("fewer bytes than before");
    last = flushed;
    if (running.js.stat("bytesWritten") > static_cast<double>(bytes.size())) FAIL("too many bytes");
    std::this_thread::yield();
  }
  reader.join();
  CHECK(last == bytes.size());
}
