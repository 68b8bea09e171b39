// Faults that the other files don't have: a reset at any byte of a mixed queue, late wake-ups, and a kernel with all
// faults under a loop on its own thread.
#include <doctest/doctest.h>
#include <poll.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
#include <thread>
#include <unordered_map>

#include "native/net/stream.h"
#include "test/native/running_loop.h"
#include "test/native/seeded.h"

using namespace c1m;

namespace {

// Queues arena bytes, blocks and pinned buffers by one batch of commands. Returns the number of bytes.
size_t write_mixed(Harness& h, const Told& to) {
  const size_t lengths[] = {5, 7, 3, BlockPool::kBlockBytes + 10, 4, 8};
  uint32_t i = 0;
  for (const size_t length : lengths) {
    const std::string bytes = pattern(length, ++i);
    if (i % 2 == 0 && length < 100) {
      h.js.write_pinned(to, bytes);
    } else {
      h.js.write(to, bytes);
    }
  }
  return std::accumulate(std::begin(lengths), std::end(lengths), size_t{0});
}

// Lets sockets take `room` bytes, and then fail.
void fail_after(Harness& h, size_t room, int error) {
  h.hooks.send = [&h, room, error](int, const void*, size_t size, int) mutable -> ssize_t {
    if (room == 0) return shim::fail(error);
    const size_t taken = std::min(size, room);
    room -= taken;
    return static_cast<ssize_t>(taken);
  };
  h.hooks.sendmsg = [&h](int fd, const msghdr* message, int flags) -> ssize_t {
    size_t size = 0;
    for (size_t i = 0; i < message->msg_iovlen; ++i) size += message->msg_iov[i].iov_len;
    return h.hooks.send(fd, nullptr, size, flags);
  };
}

// Delays wake-ups of a loop on a thread of its own, while their callers continue.
class LateWakes {
 public:
  explicit LateWakes(shim::Hooks& hooks) {
    hooks.wake = [this](const Waker& waker) {
      const std::lock_guard lock(mutex_);
      due_.push_back({&waker, std::chrono::steady_clock::now() + std::chrono::microseconds(random_() % 400)});
      ++count;
    };
    thread_ = std::thread([this] { run(); });
  }
  LateWakes(const LateWakes&) = delete;
  LateWakes& operator=(const LateWakes&) = delete;
  ~LateWakes() { finish(); }

  // Sends the remaining wake-ups. Must be called before the loop, which owns the waker, is destroyed.
  void finish() {
    {
      const std::lock_guard lock(mutex_);
      finished_ = true;
    }
    if (thread_.joinable()) thread_.join();
  }

  int count = 0;

 private:
  struct Wake {
    const Waker* waker = nullptr;
    std::chrono::steady_clock::time_point at;
  };

  void run() {
    for (;;) {
      Wake wake{};
      {
        const std::lock_guard lock(mutex_);
        if (due_.empty() && finished_) return;
        if (!due_.empty()) {
          wake = due_.front();
          due_.pop_front();
        }
      }
      if (wake.waker == nullptr) {
        std::this_thread::sleep_for(std::chrono::microseconds(50));
        continue;
      }
      std::this_thread::sleep_until(wake.at);
      shim::real_wake(*wake.waker);
    }
  }

  std::mt19937 random_ = seeded(1);
  std::mutex mutex_;
  std::deque<Wake> due_;
  bool finished_ = false;
  std::thread thread_;
};

// A kernel that interrupts calls, transfers few bytes, and runs out of memory, and reports an edge later for each
// fault. Its state belongs to the loop's thread.
class FaultyKernel {
 public:
  FaultyKernel(shim::Hooks& hooks, uint32_t seed) : random_(seeded(seed)) {
    hooks.add = [this](Poller& poller, int fd, uint64_t word) {
      words_[fd] = word;
      return shim::real_add(poller, fd, word);
    };
    hooks.remove = [this](Poller& poller, int fd) {
      owed_.erase(fd);
      shim::real_remove(poller, fd);
    };
    hooks.wait = [this](Poller& poller, int timeout) -> std::span<const Readiness> {
      reported_.clear();
      pay(timeout != 0);
      const std::span<const Readiness> real = shim::real_wait(poller, reported_.empty() ? timeout : 0);
      reported_.insert(reported_.end(), real.begin(), real.end());
      return reported_;
    };
    hooks.epoll_wait = [this](int poll, epoll_event* events, int max, int timeout) {
      return one_in(20) ? shim::fail(EINTR) : shim::__real_epoll_wait(poll, events, max, timeout);
    };
    hooks.accept4 = [this](int fd, sockaddr* peer, socklen_t* length, int flags) {
      static constexpr int kErrors[] = {ENOBUFS, ENOMEM, EINTR, ECONNABORTED};
      if (one_in(8)) return shim::fail(kErrors[random_() % 4]);
      return shim::__real_accept4(fd, peer, length, flags);
    };
    hooks.recv = [this](int fd, void* buffer, size_t size, int flags) -> ssize_t {
      const int error = refuse(fd, size);
      return error != 0 ? shim::fail(error) : shim::__real_recv(fd, buffer, size, flags);
    };
    hooks.send = [this](int fd, const void* bytes, size_t size, int flags) -> ssize_t {
      const int error = refuse(fd, size);
      return error != 0 ? shim::fail(error) : shim::__real_send(fd, bytes, size, flags);
    };
    hooks.sendmsg = [this](int fd, const msghdr* message, int flags) -> ssize_t {
      msghdr part = *message;
      size_t count = part.msg_iovlen;
      const int error = refuse(fd, count);
      part.msg_iovlen = count;
      return error != 0 ? shim::fail(error) : shim::__real_sendmsg(fd, &part, flags);
    };
  }

  int faults = 0;  // read only after the loop's thread has been joined

 private:
  bool one_in(uint32_t n) {
    if (random_() % n != 0) return false;
    ++faults;
    return true;
  }

  // Returns an error, or 0 with perhaps a smaller size. There is no fault after a hang-up, because no further edge
  // would follow.
  int refuse(int fd, size_t& size) {
    if (one_in(20)) return EINTR;
    pollfd now{fd, 0, 0};
    if (::poll(&now, 1, 0) != 0) return 0;
    if (one_in(8)) {
      owed_.insert(fd);
      return EAGAIN;
    }
    if (size > 1 && one_in(3)) {
      owed_.insert(fd);
      size = 1 + random_() % std::min<size_t>(size - 1, 3000);
    }
    return 0;
  }

  void pay(bool all) {
    for (auto fd = owed_.begin(); fd != owed_.end();) {
      if (!all && random_() % 2 == 0) {
        ++fd;
        continue;
      }
      // For a descriptor that isn't ready the kernel reports an edge itself.
      const std::optional<Readiness> now = readiness_of(*fd, words_.at(*fd));
      if (now) reported_.push_back(*now);
      fd = owed_.erase(fd);
    }
  }

  std::mt19937 random_;
  std::unordered_map<int, uint64_t> words_;
  std::vector<Readiness> reported_;
  std::set<int> owed_;
};

// Runs a client: messages and their echoes, then a FIN, a reset or a plain close. Returns false if an echo was wrong.
bool live(const Address& address, int kind, std::mt19937& random) {
  const Fd fd = dial(address);
  if (!fd.valid()) return false;
  for (int round = 0; round < 4; ++round) {
    const std::string bytes = pattern(1 + random() % (round == 3 ? 60'000 : 300), random());
    const ssize_t sent = shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) return false;
    // Some reset before their echo.
    if (kind == 3 && round == 3) return reset_on_close(fd.get()).ok();
    if (!receive_exactly(fd.get(), bytes)) return false;
  }
  char byte = 0;
  if (kind == 0) return shutdown_write(fd.get()).ok() && shim::__real_recv(fd.get(), &byte, 1, 0) == 0;
  return kind != 1 || reset_on_close(fd.get()).ok();
}

}  // namespace

TEST_CASE("a write that fails at any byte of a mixed queue causes one close, and releases the queue") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    for (const int error : {EPIPE, ECONNRESET}) {
      Harness h({.trigger = trigger});
      const auto port = h.listen();
      size_t total = 1;
      for (size_t room = 0; room < total; ++room) {
        // Most bytes of the large write are skipped, up to the end of the first block.
        if (room == 40) room = BlockPool::kBlockBytes - 5;
        auto [client, told] = h.accept(port);
        total = write_mixed(h, told);
        fail_after(h, room, error);
        h.settle();
        // After a short write the error comes with the next edge.
        if (!told.closed()) h.inject(told, Edge::kWritable);
        h.settle();
        h.hooks.send = nullptr;
        h.hooks.sendmsg = nullptr;
        CAPTURE(room);
        REQUIRE(told.log == "OC");
        REQUIRE(told.error == error);
        REQUIRE(told.syscall == Syscall::kWrite);
        REQUIRE(h.js.pinned() == 0);
        REQUIRE(h.js.stat("queueBytes") == 0);
        client.close();
      }
    }
  }
}

TEST_CASE("a connection destroyed at any byte of a mixed queue releases the queue") {
  Harness h;
  const auto port = h.listen();
  size_t total = 1;
  for (size_t room = 0; room < total; ++room) {
    if (room == 40) room = BlockPool::kBlockBytes - 5;
    auto [client, told] = h.accept(port);
    total = write_mixed(h, told);
    fail_after(h, room, EAGAIN);
    h.settle();
    CAPTURE(room);
    REQUIRE(told.log == "O");
    if (room % 2 == 0) {
      h.js.destroy(told);
    } else {
      h.js.reset(told);
    }
    h.settle();
    h.hooks.send = nullptr;
    h.hooks.sendmsg = nullptr;
    REQUIRE(told.log == "OC");
    REQUIRE(told.error == 0);
    REQUIRE(h.js.pinned() == 0);
    REQUIRE(h.js.stat("queueBytes") == 0);
    client.close();
  }
}

TEST_CASE("threads: late wake-ups are not lost, nor waited for twice") {
  shim::Scope scope;
  LateWakes wakes(scope.hooks);
  Running running(4);
  const Address address = running.listen();
  const Fd fd = dial(address);
  REQUIRE(fd.valid());
  while (running.js.connections.empty()) running.deliver();
  Told& told = running.js.connections[0];
  std::mt19937 random = seeded(1);
  for (int i = 0; i < 1000; ++i) {
    // Several writes, of which the later ones may find the wake-up pending, or the loop asleep again.
    std::string bytes;
    for (uint32_t part = random() % 3 + 1; part > 0; --part) {
      const std::string more = std::to_string(random());
      running.js.write(told, more);
      running.js.flush();
      bytes += more;
      const int spins = static_cast<int>(random() % 30'000);
      for (volatile int spin = 0; spin < spins;) spin = spin + 1;
    }
    if (!receive_exactly(fd.get(), bytes)) FAIL("write " << i << " was not sent");
  }
  // The number depends on how often the loop slept.
  CHECK(wakes.count > 0);
  running.stop();
  wakes.finish();
}

TEST_CASE("threads: with interrupted calls, short transfers and late wake-ups every echo is exact") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    shim::Scope scope;
    LateWakes wakes(scope.hooks);
    FaultyKernel kernel(scope.hooks, 1);
    constexpr int kThreads = 3;
    constexpr int kClients = 120;
    std::atomic<int> well{0};
    std::atomic<int> done{0};
    {
      Running running(64, trigger);
      const Address address = running.listen();
      std::vector<std::thread> threads;
      for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
          std::mt19937 random = seeded(static_cast<uint32_t>(thread));
          for (int i = 0; i < kClients / kThreads; ++i) well += live(address, i % 4, random) ? 1 : 0;
          ++done;
          running.ring();  // ends the wait below, because no event may follow
        });
      }
      Echo echo(running);
      std::mt19937 random = seeded(7);
      // A buffer pinned for a connection that has closed comes back later, without an event.
      while (done < kThreads || running.js.open() > 0 || running.js.connections.size() < kClients ||
             running.js.pinned() > 0) {
        running.deliver();
        // Commands that are valid at any time, and must not change the echo.
        for (const Told& told : running.js.connections) {
          if (told.closed()) continue;
          if (random() % 4 == 0) running.js.pause(told), running.js.resume(told);
          if (random() % 4 == 0) running.js.want_drain(told);
          if (random() % 4 == 0) running.js.push(Command::kSetTimeout, told, random() % 2 == 0 ? 0 : 5000);
        }
        echo.answer();
      }
      for (std::thread& thread : threads) thread.join();
      CHECK(running.js.connections.size() == kClients);
      for (const Told& told : running.js.connections) CHECK(told.times('C') == 1);
      CHECK(running.js.pinned() == 0);
      running.stop();
      wakes.finish();
    }
    CHECK(well == kClients);
    CHECK(kernel.faults > 500);
    MESSAGE(kernel.faults << " faults, " << wakes.count << " late wake-ups");
  }
}
