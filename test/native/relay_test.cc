// Two connections that are relayed: every byte is passed on once and in order, whatever the kernel returns, and no pipe
// is left.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>

#include <algorithm>
#include <random>

#include "native/features/frames/reframe_request.h"
#include "native/features/relay/relay_request.h"
#include "native/net/socket.h"
#include "test/native/bytes_of.h"
#include "test/native/loop_harness.h"
#include "test/native/seeded.h"

using namespace c1m;

namespace {

ssize_t splice_really(int from, int to, size_t size, unsigned flags) {
  return shim::__real_splice(from, nullptr, to, nullptr, size, flags);
}

bool is_pipe(int fd) { return ::fcntl(fd, F_GETPIPE_SZ) > 0; }

// splice(2) to a socket whose peer has closed raises SIGPIPE. Node ignores it, and the I/O thread blocks it.
const auto kNoSigpipe = ::signal(SIGPIPE, SIG_IGN);

// A loop with two clients, whose connections a test relays.
struct Relayed {
  explicit Relayed(Trigger trigger = Trigger::kEdge, bool unix_b = false, int receive_buffer = 0)
      : h({.trigger = trigger}),
        port(h.listen()),
        other_port(unix_b ? h.listen({.address = Address::unix_path(std::string("\0c1m-relay-test", 15)).value()})
                          : port),
        a(h.accept(port, receive_buffer)),
        b(h.accept(other_port, receive_buffer)) {}

  PrepareRelayRequest* prepare() {
    auto request = std::make_unique<PrepareRelayRequest>();
    PrepareRelayRequest* preparing = request.get();
    const Told* sides[2]{&a.told, &b.told};
    for (int side = 0; side < 2; ++side) {
      preparing->slots[side] = sides[side]->slot;
      preparing->generations[side] = sides[side]->generation;
    }
    h.js.request(std::move(request));
    h.until([&] { return !h.js.completed.empty() && h.js.completed.back().get() == preparing; });
    return preparing;
  }
  void go() {
    auto request = std::make_unique<RelayRequest>();
    relay = request.get();
    relay->slot = a.told.slot;
    relay->generation = a.told.generation;
    h.js.request(std::move(request));
  }
  void start() {
    REQUIRE(prepare()->prepared);
    go();
    h.settle();
  }
  [[nodiscard]] bool over() const {
    return std::any_of(h.js.completed.begin(), h.js.completed.end(), [this](auto& one) { return one.get() == relay; });
  }
  void take() const {
    a.client.receive();
    b.client.receive();
  }
  // Sends both strings in pieces of random sizes, and receives them, until both are complete and the FINs have come.
  void exchange(const std::string& from_a, const std::string& from_b, uint32_t seed) {
    std::mt19937 random = seeded(seed);
    size_t sent_a = 0;
    size_t sent_b = 0;
    const auto push = [&](Client& client, const std::string& all, size_t& sent) {
      if (sent == all.size()) return;
      const size_t piece = std::min<size_t>(all.size() - sent, 1 + random() % (random() % 4 == 0 ? 300'000 : 3000));
      sent += client.send_some(std::string_view(all).substr(sent, piece));
      if (sent == all.size()) client.fin();
    };
    h.until([&] {
      push(a.client, from_a, sent_a);
      push(b.client, from_b, sent_b);
      if (random() % 3 == 0) a.client.receive();
      if (random() % 3 == 0) b.client.receive();
      if (sent_a == from_a.size() && sent_b == from_b.size()) take();
      return over() && a.client.ended && b.client.ended;
    });
    h.settle();
    CHECK(b.client.received == from_a);
    CHECK(a.client.received == from_b);
    CHECK(relay->bytes[0] == from_a.size());
    CHECK(relay->bytes[1] == from_b.size());
    CHECK(a.told.log == "OC");
    CHECK(b.told.log == "OC");
    CHECK(a.told.error == 0);
    CHECK(b.told.error == 0);
    check_pipes();
  }
  void check_pipes() {
    CHECK(h.loop->relays().pipes().in_use() == 0);
    CHECK(h.loop->relays().size() == 0);
  }
  // Fills the path from a to b, which reads nothing, until no byte moves.
  std::string fill() {
    std::string sent;
    const std::string all = pattern(32 << 20, 7);
    for (int still = 0; still < 3;) {
      const size_t more = a.client.send_some(std::string_view(all).substr(sent.size(), 1 << 20));
      sent.append(all, sent.size(), more);
      still = more == 0 ? still + 1 : 0;
      h.settle();
    }
    return sent;
  }

  Harness h;
  Harness::Port port;
  Harness::Port other_port;
  Harness::Connected a;
  Harness::Connected b;
  RelayRequest* relay = nullptr;
};

constexpr Trigger kTriggers[] = {Trigger::kEdge, Trigger::kLevel};
constexpr int kFailed = static_cast<int>(OwnError::kRelayFailed);

}  // namespace

TEST_CASE("relay: bytes of both directions are exact, and ends are passed on") {
  for (const Trigger trigger : kTriggers) {
    for (const bool to_unix : {false, true}) {
      CAPTURE(to_unix);
      Relayed r(trigger, to_unix);
      r.start();
      r.exchange(pattern(3'000'000, 1), pattern(2'000'003, 2), 3);
    }
  }
}

TEST_CASE("relay: small messages are copied, without a pipe") {
  Relayed r;
  int pipes = 0;
  r.h.hooks.pipe2 = [&](int* ends, int flags) {
    ++pipes;
    return shim::__real_pipe2(ends, flags);
  };
  r.start();
  for (int i = 0; i < 50; ++i) {
    r.a.client.send("ping");
    r.h.settle();
    r.b.client.send("pong");
    r.h.settle();
  }
  r.take();
  CHECK(r.b.client.received.size() == 200);
  CHECK(r.a.client.received.size() == 200);
  CHECK(pipes == 0);
  CHECK(r.h.js.stat("bytesRelayed") == 400);
  CHECK(r.a.told.log == "O");
}

TEST_CASE("relay: whatever splice and send return, no byte is lost and no pipe left") {
  struct Fault {
    const char* name;
    std::function<ssize_t(int from, int to, size_t size, unsigned flags)> splice;
  };
  std::mt19937 random = seeded(5);
  const auto sometimes = [&](int error) {
    return [&random, error](int from, int to, size_t size, unsigned flags) -> ssize_t {
      if (random() % 3 == 0) return shim::fail(error);
      return splice_really(from, to, size, flags);
    };
  };
  const auto one_way = [](bool in, int error) {
    return [in, error](int from, int to, size_t size, unsigned flags) -> ssize_t {
      if (is_pipe(to) == in) return shim::fail(error);
      return splice_really(from, to, size, flags);
    };
  };
  const Fault faults[] = {
      {"short ones",
       [&](int from, int to, size_t size, unsigned flags) {
         return splice_really(from, to, 1 + random() % std::min<size_t>(size, 5000), flags);
       }},
      {"a byte at a time out of the pipe",
       [&](int from, int to, size_t size, unsigned flags) {
         return splice_really(from, to, is_pipe(to) ? std::min<size_t>(size, 1000) : 1, flags);
       }},
      {"EINTR", sometimes(EINTR)},
      {"EINVAL from the source", one_way(true, EINVAL)},
      {"EINVAL from the sink, with bytes in the pipe", one_way(false, EINVAL)},
      {"EINVAL now and then", sometimes(EINVAL)},
      {"ENOSYS", one_way(true, ENOSYS)},
  };
  for (const Trigger trigger : kTriggers) {
    for (const Fault& fault : faults) {
      CAPTURE(fault.name);
      Relayed r(trigger);
      r.h.hooks.splice = fault.splice;
      r.start();
      r.exchange(pattern(400'000, 11), pattern(300'001, 12), 13);
    }
  }
}

TEST_CASE("relay: EAGAIN from splice waits for the edge") {
  Relayed r;
  int refusals = 0;
  r.start();
  // A full socket returns it at the first byte, after which the kernel reports an edge when there is room.
  r.h.hooks.splice = [&](int from, int to, size_t size, unsigned flags) {
    const ssize_t moved = splice_really(from, to, size, flags);
    if (moved < 0 && errno == EAGAIN) ++refusals;
    return moved;
  };
  const std::string sent = r.fill();
  CHECK(r.h.loop->relays().pipes().in_use() <= 1);
  const auto turns = r.h.js.stat("turns");
  r.h.settle();
  CHECK(r.h.js.stat("turns") - turns < 5);
  r.h.until([&] { return r.b.client.receive().size() == sent.size(); });
  CHECK(r.b.client.received == sent);
  CHECK(refusals > 0);
  r.h.settle();
  CHECK(r.h.loop->relays().pipes().in_use() == 0);
}

TEST_CASE("relay: without descriptors for pipes all bytes are copied") {
  for (const Trigger trigger : kTriggers) {
    Relayed r(trigger);
    int refused = 0;
    r.h.hooks.pipe2 = [&](int*, int) {
      ++refused;
      return shim::fail(EMFILE);
    };
    r.start();
    r.exchange(pattern(1'000'000, 21), pattern(1'000'000, 22), 23);
    CHECK(refused > 0);
  }
}

TEST_CASE("relay: a slow sink throttles its source, and the other direction continues") {
  for (const bool without_pipes : {false, true}) {
    Relayed r;
    if (without_pipes) r.h.hooks.pipe2 = [](int*, int) { return shim::fail(EMFILE); };
    r.start();
    const std::string sent = r.fill();
    // The socket buffers and a pipe have taken less than the 32 MiB that fill() offers.
    CHECK(sent.size() < (24u << 20));
    CHECK(r.h.js.stat("queueBytes") <= 64 * 1024);
    r.b.client.send("and back");
    r.h.settle();
    CHECK(r.a.client.receive() == "and back");
    r.h.until([&] { return r.b.client.receive().size() == sent.size(); });
    CHECK(r.b.client.received == sent);
  }
}

TEST_CASE("relay: bytes written before the relay are sent first, and counted as written") {
  for (const Trigger trigger : kTriggers) {
    Relayed r(trigger, false, 4096);
    // More bytes than the kernel takes.
    const std::string written = pattern(6 << 20, 31);
    r.h.js.write_pinned(r.b.told, written);
    r.h.js.write(r.b.told, "last");
    r.h.settle();
    const std::string relayed = pattern(200'000, 32);
    CHECK(r.h.js.flushed(r.b.told) < written.size());
    r.start();
    size_t sent = 0;
    r.h.until([&] {
      if (sent < relayed.size()) sent += r.a.client.send_some(std::string_view(relayed).substr(sent));
      return r.b.client.receive().size() == written.size() + 4 + relayed.size();
    });
    CHECK(r.b.client.received == written + "last" + relayed);
    CHECK(r.h.js.flushed(r.b.told) == written.size() + 4);
    CHECK(r.h.js.flushed(r.a.told) == 0);
    CHECK(r.h.js.stat("bytesRelayed") == relayed.size());
    CHECK(r.b.told.log == "O");
  }
}

TEST_CASE("relay: no byte is read between hold and start, and none is lost") {
  Relayed r;
  r.a.client.send("before ");
  r.h.settle();
  CHECK(r.a.told.received == "before ");
  REQUIRE(r.prepare()->prepared);
  r.a.client.send("after");
  r.a.client.fin();
  r.h.settle();
  CHECK(r.a.told.received == "before ");
  CHECK(r.a.told.log == "OD");
  r.h.js.write(r.b.told, "before ");
  r.go();
  r.h.settle();
  CHECK(r.b.client.receive() == "before after");
  CHECK(r.b.client.ended);
}

TEST_CASE("relay: unread bytes after a removed framing are returned by the hold request") {
  Relayed r;
  r.h.js.push(Command::kReframe, r.a.told);
  r.h.settle();
  auto reframe = std::make_unique<ReframeRequest>();
  reframe->slot = r.a.told.slot;
  reframe->generation = r.a.told.generation;
  const std::string left = "received before";
  reframe->bytes = unread_of(left);
  r.h.js.request(std::move(reframe));
  PrepareRelayRequest* prepare = r.prepare();
  REQUIRE(prepare->prepared);
  CHECK(text_of(prepare->unread[0]) == left);
  CHECK(r.a.told.received.empty());
  r.go();
  r.a.client.send("and after");
  r.h.settle();
  CHECK(r.b.client.receive() == "and after");
}

TEST_CASE("relay: a half-close is passed on, in both orders and before the start") {
  for (const Trigger trigger : kTriggers) {
    for (const int order : {0, 1, 2}) {
      CAPTURE(order);
      Relayed r(trigger);
      if (order == 2) {
        r.a.client.send("question");
        r.a.client.fin();
        REQUIRE(r.prepare()->prepared);
        r.h.js.write(r.b.told, r.a.told.received);
        r.go();
        r.h.settle();
      } else {
        r.start();
        r.a.client.send("question");
        r.a.client.fin();
        r.h.settle();
      }
      CHECK(r.b.client.receive() == "question");
      CHECK(r.b.client.ended);
      CHECK_FALSE(r.over());
      r.a.client.receive();
      CHECK_FALSE(r.a.client.ended);
      r.b.client.send("answer");
      r.b.client.fin();
      r.h.settle();
      CHECK(r.a.client.receive() == "answer");
      CHECK(r.a.client.ended);
      CHECK(r.over());
      CHECK(r.a.told.times('C') == 1);
      CHECK(r.b.told.times('C') == 1);
    }
  }
}

TEST_CASE("relay: a FIN waits for the bytes in the pipe") {
  Relayed r;
  r.start();
  std::string sent = r.fill();
  r.a.client.fin();
  r.b.client.fin();
  r.h.settle();
  CHECK_FALSE(r.over());
  r.h.until([&] {
    r.b.client.receive();
    return r.b.client.ended;
  });
  CHECK(r.b.client.received == sent);
  r.h.settle();
  CHECK(r.over());
  CHECK(r.a.told.error == 0);
}

TEST_CASE("relay: a reset of one side resets the other") {
  for (const Trigger trigger : kTriggers) {
    for (const int state : {0, 1, 2, 3}) {
      CAPTURE(state);
      Relayed r(trigger);
      if (state != 1) r.start();
      if (state == 1) REQUIRE(r.prepare()->prepared);
      if (state == 2) (void)r.fill();  // a isn't read for now, and a pipe is in use
      if (state == 3) {
        r.a.client.fin();
        r.h.settle();
      }
      r.a.client.rst();
      r.h.settle();
      if (state == 1) {
        r.go();
        r.h.settle();
      }
      CHECK(r.over());
      CHECK(r.a.told.error == ECONNRESET);
      CHECK(r.b.told.error == kFailed);
      CHECK(r.a.told.times('C') == 1);
      CHECK(r.b.told.times('C') == 1);
      // Without a FIN before, the other side gets a reset.
      r.b.client.receive();
      if (state != 3) CHECK(r.b.client.error == ECONNRESET);
      r.check_pipes();
    }
  }
}

TEST_CASE("relay: bytes before a reset are passed on") {
  Relayed r;
  r.start();
  r.a.client.send("last words");
  r.a.client.rst();
  bool sent = false;
  r.h.hooks.send = [&](int fd, const void* bytes, size_t size, int flags) {
    sent = sent || std::string_view(static_cast<const char*>(bytes), size) == "last words";
    return shim::__real_send(fd, bytes, size, flags);
  };
  r.h.settle();
  CHECK(sent);
  CHECK(r.a.told.error == ECONNRESET);
}

TEST_CASE("relay: when a write fails, bytes that the failing side sent before are still passed on") {
  for (const bool bulk : {false, true}) {
    CAPTURE(bulk);
    Relayed r;
    r.start();
    const std::string big = pattern(100'000, 41);
    if (bulk) {
      // After a read of this size the relay uses splice(2).
      r.a.client.send(big);
      r.h.settle();
      r.b.client.receive();
    }
    r.b.client.send("no, thank you");
    r.h.hooks.send = [&](int fd, const void* bytes, size_t size, int flags) {
      if (fd == r.h.fd(r.b.told)) return static_cast<ssize_t>(shim::fail(EPIPE));
      return shim::__real_send(fd, bytes, size, flags);
    };
    r.h.hooks.splice = [&](int from, int to, size_t size, unsigned flags) {
      if (to == r.h.fd(r.b.told)) return static_cast<ssize_t>(shim::fail(EPIPE));
      return splice_really(from, to, size, flags);
    };
    r.a.client.send(big);
    r.h.settle();
    CHECK(r.b.told.error == EPIPE);
    CHECK(r.b.told.syscall == Syscall::kWrite);
    CHECK(r.a.told.error == kFailed);
    CHECK(r.relay->bytes[1] == 13);
    CHECK(r.over());
    r.check_pipes();
  }
}

TEST_CASE("relay: destroying or resetting one side closes the other the same way") {
  for (const bool reset : {false, true}) {
    for (const bool started : {false, true}) {
      for (const bool stalled : {false, true}) {
        if (stalled && !started) continue;
        Relayed r;
        if (started) {
          r.start();
        } else {
          REQUIRE(r.prepare()->prepared);
        }
        if (stalled) (void)r.fill();
        r.h.js.push(reset ? Command::kReset : Command::kDestroy, r.a.told);
        r.h.settle();
        CHECK(r.a.told.log == "OC");
        CHECK(r.b.told.log == "OC");
        CHECK(r.a.told.error == 0);
        CHECK(r.b.told.error == kFailed);
        CHECK((!started || r.over()));
        r.check_pipes();
        r.b.client.receive();
        CHECK((reset ? r.b.client.error == ECONNRESET : r.b.client.ended));
      }
    }
  }
}

TEST_CASE("relay: a connection that has closed, is ending or is relayed can't be relayed") {
  for (const int why : {0, 1, 2}) {
    Relayed r;
    if (why == 0) r.h.js.end(r.b.told);
    if (why == 1) r.a.client.rst();
    if (why == 2) r.start();
    r.h.settle();
    CHECK_FALSE(r.prepare()->prepared);
    r.h.settle();
    // The remaining connection is closed, unless another relay has it.
    CHECK(r.b.told.closed() == (why != 2));
    if (why != 1) continue;
    r.go();
    r.h.settle();
    CHECK(r.over());
  }
}

TEST_CASE("relay: a blocked JS thread doesn't delay a relay") {
  for (const Trigger trigger : kTriggers) {
    Relayed r(trigger);
    r.start();
    const std::string sent = pattern(300'000, 51);
    size_t at = 0;
    for (int i = 0; i < 1000 && r.b.client.receive().size() < sent.size(); ++i) {
      at += r.a.client.send_some(std::string_view(sent).substr(at));
      r.h.settle_blocked();
    }
    CHECK(r.b.client.received == sent);
    r.a.client.fin();
    r.b.client.fin();
    r.h.settle_blocked();
    r.take();
    CHECK(r.a.client.ended);
    CHECK(r.b.client.ended);
    r.h.settle();
    CHECK(r.over());
  }
}

TEST_CASE("relay: a byte in either direction restarts the timeouts of both sides") {
  Relayed r;
  r.h.js.push(Command::kSetTimeout, r.a.told, 1000);
  r.start();
  for (int i = 0; i < 5; ++i) {
    r.h.now_ms += 900;
    r.b.client.send("x");
    r.h.settle();
    CHECK(r.a.told.log == "O");
  }
  r.h.now_ms += 1100;
  r.h.settle();
  CHECK(r.a.told.log == "OT");
  // Bytes that the sink doesn't take don't restart it; those that the sink's kernel acknowledges late do.
  (void)r.fill();
  int steps = 0;
  for (; steps < 100 && r.a.told.log == "OT"; ++steps) {
    r.h.now_ms += 140;
    r.h.settle();
  }
  CHECK(steps >= 9);
  CHECK(r.a.told.log == "OTT");
}

TEST_CASE("relay: a busy relay doesn't delay other connections") {
  Relayed r;
  r.start();
  auto [client, told] = r.h.accept(r.port);
  const std::string block = pattern(1 << 20, 61);
  for (int i = 0; i < 20; ++i) {
    (void)r.a.client.send_some(block);
    r.b.client.receive();
    client.send("x");
    r.h.turn();
    r.h.js.deliver_all();
  }
  r.h.settle();
  CHECK(told.received == std::string(20, 'x'));
}

TEST_CASE("relay: a turn makes a bounded number of reads for a relay, even of one byte each") {
  Relayed r(Trigger::kEdge, true);
  r.start();
  // The source has another byte whenever one was passed on.
  int reads = 0;
  r.h.hooks.recv = [&](int fd, void* buffer, size_t size, int flags) {
    ++reads;
    return shim::__real_recv(fd, buffer, std::min<size_t>(size, 1), flags);
  };
  r.b.client.send(std::string(20'000, 'x'));
  r.h.turn();
  CHECK(reads > 1);
  CHECK(reads <= 200);
  r.h.hooks.recv = nullptr;
  r.h.until([&] {
    r.take();
    return r.a.client.received.size() == 20'000;
  });
}

TEST_CASE("relay: an urgent byte doesn't end a relay") {
  Relayed r;
  r.start();
  // Many bytes, so that splice(2) meets the urgent one.
  const std::string big = pattern(100'000, 71);
  r.a.client.send(big);
  r.h.settle();
  r.b.client.receive();
  r.a.client.send(big);
  REQUIRE(::send(r.a.client.fd.get(), "!", 1, MSG_OOB) == 1);
  r.a.client.send(big);
  r.h.settle();
  CHECK_FALSE(r.b.client.ended);
  r.h.settle();
  CHECK(r.b.client.receive() == big + big + big);
}

TEST_CASE("relay: a loop that stops during a relay closes its pipes") {
  Relayed r;
  r.start();
  (void)r.fill();
  CHECK(r.h.loop->relays().pipes().in_use() == 1);
  r.h.stop();
}

TEST_CASE("pipes: a pool has a max of pipes, and keeps some of the returned ones") {
  const DescriptorCheck check;
  PipePool pool;
  std::vector<Pipe> taken;
  raise_descriptor_limit();
  for (;;) {
    Pipe pipe = pool.take();
    if (!pipe.valid()) break;
    taken.push_back(std::move(pipe));
  }
  CHECK(taken.size() == PipePool::kMaxInUse);
  CHECK(pool.in_use() == PipePool::kMaxInUse);
  pool.discard(std::move(taken.back()));
  taken.pop_back();
  for (Pipe& pipe : taken) pool.give(std::move(pipe));
  CHECK(pool.in_use() == 0);
  CHECK(pool.kept() == PipePool::kKept);
}
