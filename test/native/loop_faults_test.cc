// Faults that the other files don't have: a peer that goes at any byte of a mixed queue, wake-ups that come late, and a
// kernel that does it all at once under a loop on its own thread.
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

// Arena bytes, blocks and pinned buffers in one queue, in one batch of commands. Answers how many bytes.
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

// The socket takes so many bytes, and then fails.
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

// Wakes a loop some time after it was asked to, on a thread of its own, while whoever asked goes on.
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

  // Sends those that are due yet. Before the loop goes, as its waker goes with it.
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

// A kernel that interrupts, takes and gives little, and runs out of memory, with edges that come later for what it held
// back. Its state belongs to the loop's thread.
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
    hooks.epoll_wait = [this](int poll, epoll_event* events, int most, int timeout) {
      return one_in(20) ? shim::fail(EINTR) : shim::__real_epoll_wait(poll, events, most, timeout);
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

  int faults = 0;  // to be read when the loop's thread has been joined

 private:
  bool one_in(uint32_t n) {
    if (random_() % n != 0) return false;
    ++faults;
    return true;
  }

  // An error, or 0 with perhaps a smaller size. Not once the peer has gone: all that will ever be there is there then.
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
      // Without: the kernel has an edge for it when it becomes ready.
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

// A client's life: messages and their echoes, in the end a FIN, a reset or a silent close. False if it went wrong.
bool live(const Address& address, int kind, std::mt19937& random) {
  const Fd fd = dial(address);
  if (!fd.valid()) return false;
  for (int round = 0; round < 4; ++round) {
    const std::string bytes = pattern(1 + random() % (round == 3 ? 60'000 : 300), random());
    const ssize_t sent = shim::__real_send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size())) return false;
    // Some leave in the middle of it.
    if (kind == 3 && round == 3) return reset_on_close(fd.get()).ok();
    if (!receive_exactly(fd.get(), bytes)) return false;
  }
  char byte = 0;
  if (kind == 0) return shutdown_write(fd.get()).ok() && shim::__real_recv(fd.get(), &byte, 1, 0) == 0;
  return kind != 1 || reset_on_close(fd.get()).ok();
}

}  // namespace

TEST_CASE("a peer that goes at any byte of a mixed queue: one close, and nothing of the queue is left") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    for (const int error : {EPIPE, ECONNRESET}) {
      Harness h({.trigger = trigger});
      const auto port = h.listen();
      size_t total = 1;
      for (size_t room = 0; room < total; ++room) {
        // Past the first block there is only more of the same.
        if (room == 40) room = BlockPool::kBlockBytes - 5;
        auto [client, told] = h.accept(port);
        total = write_mixed(h, told);
        fail_after(h, room, error);
        h.settle();
        // It took less than it was offered: the error comes with the next edge.
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

TEST_CASE("a mixed queue that is given up at any of its bytes leaves nothing behind") {
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

TEST_CASE("threads: wake-ups that come late are still not lost, nor waited for twice") {
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
    // Several, of which the later ones may find the loop as good as woken, or woken and asleep again.
    std::string bytes;
    for (uint32_t part = random() % 3 + 1; part > 0; --part) {
      const std::string more = std::to_string(random());
      running.js.write(told, more);
      running.js.flush();
      bytes += more;
      const int spins = static_cast<int>(random() % 30'000);
      for (volatile int spin = 0; spin < spins;) spin = spin + 1;
    }
    if (!receive_exactly(fd.get(), bytes)) FAIL("write " << i << " was slept through");
  }
  // How many it is depends on how often the loop slept.
  CHECK(wakes.count > 0);
  running.stop();
  wakes.finish();
}

TEST_CASE("threads: hammered by a kernel that interrupts, takes little and wakes late, every echo is whole") {
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
          running.ring();  // no event may come after this one's last
        });
      }
      Echo echo(running);
      std::mt19937 random = seeded(7);
      // What was pinned for a connection that has closed meanwhile comes back by itself, later.
      while (done < kThreads || running.js.open() > 0 || running.js.connections.size() < kClients ||
             running.js.pinned() > 0) {
        running.deliver();
        // What may be asked of a connection at any time, and must change nothing.
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
