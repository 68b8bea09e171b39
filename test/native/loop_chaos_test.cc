// Random combinations of peers that send, end, reset and are slow, a JS thread that blocks at times, and a kernel that
// interrupts calls, takes few bytes and runs out of memory. All guarantees must still hold.
#include <doctest/doctest.h>

#include <map>
#include <random>
#include <set>

#include "test/native/loop_harness.h"
#include "test/native/seeded.h"

using namespace c1m;

namespace {

constexpr int kSteps = 1500;

// A connection, seen from both ends.
struct Pair {
  Client* client = nullptr;
  Told* told = nullptr;
  std::string sent;          // by the client
  std::string written;       // by JS
  size_t received = 0;       // by JS, and checked
  size_t answered = 0;       // by the client, and checked
  bool client_gone = false;  // closed or reset: the rest may be lost
  bool fin = false;
  bool ended = false;      // by JS
  bool destroyed = false;  // by JS: the rest may be lost
};

class Chaos {
 public:
  Chaos(uint32_t seed, Trigger trigger, bool borrowed) : random_(seeded(seed)), h_(setup(trigger)) {
    port_ = h_.listen({.borrowed = borrowed});
    hook_faults();
  }

  void run() {
    for (int step = 0; step < kSteps; ++step) {
      for (uint32_t i = upto(3); i > 0; --i) client_step();
      for (uint32_t i = upto(3); i > 0; --i) js_step();
      h_.now_ms += upto(20);
      h_.turn();
      if (!blocked_) h_.js.deliver_all();
      if (upto(60) == 0) blocked_ = !blocked_;
      check();
    }
    calm_down();
  }

 private:
  static Harness::Setup setup(Trigger trigger) {
    return {.max_connections = 24, .trigger = trigger, .batches = 3, .slab_bytes = 2 * EventBatch::kSlabLow};
  }

  uint32_t upto(uint32_t most) { return std::uniform_int_distribution<uint32_t>(0, most)(random_); }
  bool one_in(uint32_t n) { return faulty_ && upto(n - 1) == 0; }

  void hook_faults() {
    h_.hooks.epoll_ctl = [this](int poll, int operation, int fd, epoll_event* event) {
      const bool fails = operation == EPOLL_CTL_ADD && one_in(20);
      return fails ? shim::fail(ENOMEM) : shim::__real_epoll_ctl(poll, operation, fd, event);
    };
    h_.hooks.add = [this](Poller& poller, int fd, uint64_t word) {
      words_[fd] = word;
      return shim::real_add(poller, fd, word);
    };
    h_.hooks.remove = [this](Poller& poller, int fd) {
      owed_.erase(fd);
      shim::real_remove(poller, fd);
    };
    h_.hooks.accept4 = [this](int fd, sockaddr* peer, socklen_t* length, int flags) {
      static constexpr int kErrors[] = {ENOMEM, ENOBUFS, EINTR, ECONNABORTED, EMFILE, ENFILE};
      if (one_in(10)) return shim::fail(kErrors[upto(5)]);
      return shim::__real_accept4(fd, peer, length, flags);
    };
    h_.hooks.recv = [this](int fd, void* buffer, size_t size, int flags) -> ssize_t {
      if (one_in(20)) return shim::fail(EINTR);
      if (one_in(20)) return owe(fd), shim::fail(EAGAIN);
      // A short read claims that the socket is empty, so an edge is owed for the rest.
      if (one_in(3)) size = std::min<size_t>(size, 1 + upto(200)), owe(fd);
      return shim::__real_recv(fd, buffer, size, flags);
    };
    h_.hooks.send = [this](int fd, const void* bytes, size_t size, int flags) -> ssize_t {
      if (one_in(20)) return shim::fail(EINTR);
      if (one_in(6)) return owe(fd), shim::fail(EAGAIN);
      if (one_in(3)) size = std::min<size_t>(size, 1 + upto(5000)), owe(fd);
      return shim::__real_send(fd, bytes, size, flags);
    };
    h_.hooks.sendmsg = [this](int fd, const msghdr* message, int flags) -> ssize_t {
      if (one_in(20)) return shim::fail(EINTR);
      if (one_in(6)) return owe(fd), shim::fail(EAGAIN);
      msghdr part = *message;
      if (one_in(2)) part.msg_iovlen = 1 + upto(static_cast<uint32_t>(part.msg_iovlen) - 1), owe(fd);
      return shim::__real_sendmsg(fd, &part, flags);
    };
    h_.hooks.epoll_wait = [this](int poll, epoll_event* events, int max, int timeout) {
      return one_in(20) ? shim::fail(EINTR) : shim::__real_epoll_wait(poll, events, max, timeout);
    };
    const auto wait = h_.hooks.wait;
    h_.hooks.wait = [this, wait](Poller& poller, int timeout) {
      pay();
      return wait(poller, timeout);
    };
  }

  // Notes that a later wait must report this descriptor: the kernel reports no edge for a fault that it didn't cause.
  void owe(int fd) { owed_.insert(fd); }

  void pay() {
    for (auto fd = owed_.begin(); fd != owed_.end();) {
      const std::optional<Readiness> now = one_in(2) ? std::nullopt : readiness_of(*fd, words_[*fd]);
      if (!now) {
        ++fd;
        continue;
      }
      h_.inject(*now);
      fd = owed_.erase(fd);
    }
  }

  Pair* pick() { return pairs_.empty() ? nullptr : pairs_[upto(static_cast<uint32_t>(pairs_.size()) - 1)].get(); }

  void client_step() {
    if (upto(4) == 0 && waiting_.size() + h_.loop->table().slots.live() < 30) waiting_.push_back(&h_.connect(port_));
    Pair* pair = pick();
    if (pair == nullptr || pair->client_gone) return;
    switch (upto(11)) {
      case 0:
        if (!pair->fin) pair->fin = ::shutdown(pair->client->fd.get(), SHUT_WR) == 0;
        return;
      case 1:
        if (upto(2) == 0) pair->client_gone = true, pair->client->rst();
        return;
      case 2:
        if (upto(2) == 0) pair->client_gone = true, pair->client->close();
        return;
      case 3:
      case 4:
      case 5:
        receive(*pair);
        return;
      default:
        send(*pair, upto(5) == 0 ? 60'000 : 300);
    }
  }

  void send(Pair& pair, uint32_t most) {
    if (pair.fin) return;
    const std::string bytes = pattern(1 + upto(most - 1), random_());
    const ssize_t sent = shim::__real_send(pair.client->fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent > 0) pair.sent += bytes.substr(0, static_cast<size_t>(sent));
  }

  void receive(Pair& pair) {
    pair.client->receive();
    compare(pair.written, pair.client->received, pair.answered);
  }

  // Checks that the received bytes beyond `known` equal the sent ones.
  static void compare(const std::string& given, const std::string& got, size_t& known) {
    REQUIRE(got.size() <= given.size());
    REQUIRE(given.compare(known, got.size() - known, got, known) == 0);
    known = got.size();
  }

  void js_step() {
    Pair* pair = pick();
    if (pair == nullptr || pair->told->closed()) return;
    const Told& told = *pair->told;
    switch (upto(14)) {
      case 0:
        h_.js.pause(told);
        return;
      case 1:
      case 2:
        h_.js.resume(told);
        return;
      case 3:
        h_.js.end(told);
        pair->ended = true;
        return;
      case 4:
        if (upto(3) != 0) return;
        pair->destroyed = true;
        return upto(1) == 0 ? h_.js.destroy(told) : h_.js.reset(told);
      case 5:
        h_.js.want_drain(told);
        return;
      case 6:
        h_.js.push(Command::kSetTimeout, told, upto(1) == 0 ? 0 : upto(500));
        return;
      case 7:
        h_.js.flush();
        return;
      default:
        write(*pair);
    }
  }

  void write(Pair& pair) {
    if (pair.ended || pair.destroyed) return;
    const bool large = upto(9) == 0;
    const std::string bytes = pattern(1 + upto(large ? 100'000 : 400), random_());
    if (large || upto(4) == 0) {
      h_.js.write_pinned(*pair.told, bytes);
    } else {
      h_.js.write(*pair.told, bytes);
    }
    pair.written += bytes;
  }

  // Finds the client of each new connection by its port.
  void match() {
    for (; matched_ < h_.js.connections.size(); ++matched_) {
      Told& told = h_.js.connections[matched_];
      if (told.closed()) continue;  // its peer's port isn't known any more
      const uint16_t peer = h_.loop->table().slots[told.slot].peer.port;
      for (auto client = waiting_.begin(); client != waiting_.end(); ++client) {
        if (Address::local_of((*client)->fd.get()).value().port() != peer) continue;
        pairs_.push_back(std::make_unique<Pair>());
        pairs_.back()->client = *client;
        pairs_.back()->told = &told;
        waiting_.erase(client);
        break;
      }
    }
    // Clients whose connections were refused for lack of memory.
    std::erase_if(waiting_, [](Client* client) {
      client->receive();
      return client->ended || client->error != 0;
    });
  }

  void check() {
    match();
    std::erase_if(pairs_, [this](const auto& pair) {
      check_pair(*pair);
      return pair->told->closed() && pair->client_gone;
    });
  }

  void check_pair(Pair& pair) {
    compare(pair.sent, pair.told->received, pair.received);
    if (pair.told->ended() && !pair.destroyed) REQUIRE(pair.received == pair.sent.size());
    // A close without an error, that no command caused, comes only after both ends, and loses no byte.
    if (pair.told->closed() && pair.told->error == 0 && !pair.destroyed) {
      REQUIRE(pair.told->ended());
      REQUIRE(pair.ended);
    }
    if (pair.told->closed() && !pair.client_gone && !pair.destroyed) REQUIRE(pair.told->error == 0);
  }

  // Stops the faults, after which every byte that can still be delivered must be.
  void calm_down() {
    faulty_ = false;
    blocked_ = false;
    for (int i = 0; i < 3; ++i) {
      h_.now_ms += 2000;
      h_.settle();
      check();
    }
    for (auto& pair : pairs_) {
      if (!pair->told->closed()) h_.js.resume(*pair->told);
    }
    for (int i = 0; i < 50; ++i) {
      h_.settle();
      for (auto& pair : pairs_) {
        if (!pair->client_gone) receive(*pair);
      }
    }
    check();
    int whole = 0;
    for (auto& pair : pairs_) {
      if (pair->client_gone || pair->destroyed) continue;
      CAPTURE(pair->told->log);
      CHECK(pair->received == pair->sent.size());
      CHECK(pair->answered == pair->written.size());
      CHECK(pair->client->ended == pair->ended);
      CHECK(pair->told->ended() == pair->fin);
      CHECK(pair->told->closed() == (pair->fin && pair->ended));
      ++whole;
    }
    CHECK(whole > 0);
    CHECK(h_.js.connections.size() > 30);
    h_.finish();
  }

  std::mt19937 random_;
  bool faulty_ = true;
  bool blocked_ = false;
  std::map<int, uint64_t> words_;
  std::set<int> owed_;
  Harness h_;
  Harness::Port port_;
  std::vector<Client*> waiting_;
  std::vector<std::unique_ptr<Pair>> pairs_;
  size_t matched_ = 0;
};

}  // namespace

TEST_CASE("chaos: no byte is lost, repeated or reordered, and nothing leaks") {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
      CAPTURE(seed);
      Chaos chaos(seed, trigger, seed % 2 == 0);
      chaos.run();
    }
  }
}
