// The budgets of a turn: for all connections together, not only for each.
#include <doctest/doctest.h>
#include <sys/socket.h>

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "native/features/files/send_file_request.h"
#include "test/native/frames.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

// A kernel that takes all bytes, and counts them by descriptor. Each call takes `ms` milliseconds.
struct Sink {
  explicit Sink(Harness& harness, uint64_t takes_ms) : h(harness), ms(takes_ms) {
    h.hooks.send = [this](int fd, const void* bytes, size_t size, int) -> ssize_t { return take(fd, bytes, size); };
    h.hooks.sendmsg = [this](int fd, const msghdr* message, int) -> ssize_t {
      size_t size = 0;
      for (size_t i = 0; i < message->msg_iovlen; ++i) {
        (void)take(fd, message->msg_iov[i].iov_base, message->msg_iov[i].iov_len);
        size += message->msg_iov[i].iov_len;
      }
      return static_cast<ssize_t>(size);
    };
    h.hooks.sendfile = [this](int fd, int, off_t* offset, size_t size) -> ssize_t {
      *offset += static_cast<off_t>(size);
      h.now_ms += ms;
      ++calls;
      of_files[fd] += size;
      return static_cast<ssize_t>(size);
    };
  }
  ~Sink() {
    h.settle();
    h.hooks.send = nullptr;
    h.hooks.sendmsg = nullptr;
    h.hooks.sendfile = nullptr;
  }
  ssize_t take(int fd, const void* bytes, size_t size) {
    of[fd].append(static_cast<const char*>(bytes), size);
    h.now_ms += ms;
    ++calls;
    all += size;
    return static_cast<ssize_t>(size);
  }

  Harness& h;
  uint64_t ms;
  std::map<int, std::string> of;
  std::map<int, size_t> of_files;
  size_t all = 0;
  int calls = 0;
};

std::vector<Told*> accept_many(Harness& h, const Harness::Port& port, int count) {
  std::vector<Told*> told;
  for (int i = 0; i < count; ++i) told.push_back(&h.accept(port).told);
  return told;
}

std::unique_ptr<SendFileRequest> file_request(const Told& told, uint32_t id, uint64_t end = OutboundFile::kWhole) {
  auto request = std::make_unique<SendFileRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  request->path = "/proc/self/exe";
  request->file.id = id;
  request->file.end = end;
  return request;
}

}  // namespace

TEST_CASE("a hundred files share a turn's time, and another connection's reply is sent in the next turn") {
  constexpr uint64_t kEach = 3 << 20;
  Harness h({.max_connections = 128});
  const auto port = h.listen();
  const std::vector<Told*> downloads = accept_many(h, port, 100);
  Told& other = h.accept(port).told;
  Sink sink(h, 1);
  for (uint32_t i = 0; i < 100; ++i) h.js.request(file_request(*downloads[i], i + 1, kEach));
  for (int turns = 0; sink.of_files.size() < 100; ++turns) {
    REQUIRE(turns < 300);
    const int before = sink.calls;
    h.js.write(other, "an answer");
    h.turn();
    // The reply, and one piece of one file, because each call takes a millisecond.
    CHECK(sink.calls - before <= 2);
    CHECK(sink.of[h.fd(other)].size() == 9 * (static_cast<size_t>(turns) + 1));
  }
  // Each file has sent one piece before any sends its second.
  for (const Told* one : downloads) CHECK(sink.of_files[h.fd(*one)] <= (1 << 20));
  h.settle();
  for (const Told* one : downloads) CHECK(sink.of_files[h.fd(*one)] == kEach);
}

TEST_CASE("a hundred long queues share a turn's time") {
  constexpr size_t kEach = 1 << 20;
  Harness h({.max_connections = 128});
  const auto port = h.listen();
  const std::vector<Told*> downloads = accept_many(h, port, 100);
  Told& other = h.accept(port).told;
  Sink sink(h, 1);
  for (const Told* one : downloads) h.js.write_pinned(*one, std::string(kEach, 'x'));
  for (int turns = 0; sink.all < 100 * kEach; ++turns) {
    REQUIRE(turns < 1000);
    const int before = sink.calls;
    h.js.write(other, "an answer");
    h.turn();
    CHECK(sink.calls - before <= 2);
    CHECK(sink.of[h.fd(other)].size() == 9 * (static_cast<size_t>(turns) + 1));
  }
  h.settle();
  for (const Told* one : downloads) CHECK(sink.of[h.fd(*one)].size() == kEach);
}

TEST_CASE("medium queues share a total budget, and small ones don't wait for it") {
  constexpr size_t kEach = 200'000;
  Harness h({.max_connections = 128});
  const auto port = h.listen();
  const std::vector<Told*> many = accept_many(h, port, 100);
  Told& other = h.accept(port).told;
  Sink sink(h, 1);
  for (const Told* one : many) h.js.write_pinned(*one, std::string(kEach, 'x'));
  h.js.write(other, "small");
  h.turn();
  // The budget of 2 MiB, and one of the waiting queues.
  CHECK(sink.all <= (2 << 20) + 2 * kEach + 5);
  CHECK(sink.of[h.fd(other)] == "small");
  h.settle();
  for (const Told* one : many) CHECK(sink.of[h.fd(*one)].size() == kEach);
}

TEST_CASE("writes to a connection that waits to be served aren't lost, nor is its close") {
  Harness h({.max_connections = 128});
  const auto port = h.listen();
  const std::vector<Told*> many = accept_many(h, port, 100);
  Sink sink(h, 1);
  for (const Told* one : many) h.js.write_pinned(*one, std::string(200'000, 'x'));
  h.turn();
  for (const Told* one : many) h.js.write(*one, "tail");
  h.js.destroy(*many.back());
  const int gone = h.fd(*many.back());
  h.turn();
  // JavaScript has the arenas again, and overwrites them with the next batch.
  for (const Told* one : many) h.js.write(*one, "end!");
  h.settle();
  CHECK(many.back()->log == "OC");
  std::string expected(200'000, 'x');
  expected.append("tailend!");
  for (const Told* one : many) {
    if (one != many.back()) CHECK(sink.of[h.fd(*one)] == expected);
  }
  CHECK(sink.of[gone].size() <= 200'004);
}

TEST_CASE("writes behind a cancelled file aren't lost while the connection waits to be served") {
  Harness h({.max_connections = 128});
  const auto port = h.listen();
  const std::vector<Told*> many = accept_many(h, port, 20);
  Told& told = h.accept(port).told;
  Sink sink(h, 1);
  for (const Told* one : many) h.js.write_pinned(*one, std::string(1 << 20, 'x'));
  h.js.request(file_request(told, 1));
  h.turn();
  h.turn();
  auto cancel = std::make_unique<CancelFileRequest>();
  cancel->slot = told.slot;
  cancel->generation = told.generation;
  cancel->id = 1;
  h.js.request(std::move(cancel));
  h.js.write(told, "first");
  h.turn();
  // Overwrites the same arena.
  h.js.write(told, "then!");
  h.settle();
  CHECK(sink.of[h.fd(told)] == "firstthen!");
  CHECK(sink.of_files.empty());
}

TEST_CASE("a slot isn't freed while it is in the list of long queues") {
  Harness h({.max_connections = 64});
  const auto port = h.listen();
  const std::vector<Told*> many = accept_many(h, port, 50);
  Sink sink(h, 1);
  for (const Told* one : many) h.js.write_pinned(*one, std::string(1 << 20, 'x'));
  h.turn();
  for (const Told* one : many) h.js.destroy(*one);
  h.settle();
  for (const Told* one : many) CHECK(one->log == "OC");
  CHECK(h.loop->table().slots.live() == 0);
  // New connections get their slots.
  const std::vector<Told*> others = accept_many(h, port, 50);
  for (const Told* one : others) h.js.write(*one, "x");
  h.settle();
  for (const Told* one : others) CHECK(sink.of[h.fd(*one)].back() == 'x');
}

TEST_CASE("neither the idle nor the write timeout runs while a queue waits to be served") {
  Harness h({.max_connections = 64});
  const auto port = h.listen({.timeout_ms = 50, .write_timeout_ms = 50});
  const std::vector<Told*> many = accept_many(h, port, 40);
  Sink sink(h, 10);
  for (const Told* one : many) h.js.write_pinned(*one, std::string(1 << 20, 'x'));
  while (sink.all < size_t{40} << 20) h.turn();
  h.turn();
  for (const Told* one : many) CHECK(one->log == "O");
}

TEST_CASE("a turn spends a bounded time on closing descriptors") {
  Harness h;
  const auto port = h.listen();
  const std::vector<Told*> many = accept_many(h, port, 40);
  for (const Told* one : many) h.js.destroy(*one);
  h.turn();
  h.turn();
  int closes = 0;
  h.hooks.close = [&](int fd) {
    ++closes;
    ++h.now_ms;
    return shim::__real_close(fd);
  };
  h.js.deliver_all();
  h.turn();
  CHECK(closes == 8);
  h.settle();
  CHECK(closes == 40);
  CHECK(h.loop->table().slots.live() == 0);
  h.hooks.close = nullptr;
}

TEST_CASE("a turn spends a bounded time on attempts to connect, however slow the calls are") {
  Harness h;
  int calls = 0;
  h.hooks.connect = [&](int, const sockaddr*, socklen_t) {
    ++calls;
    ++h.now_ms;
    return shim::fail(EADDRNOTAVAIL);
  };
  for (uint32_t i = 0; i < 50; ++i) {
    auto request = std::make_unique<ConnectRequest>();
    request->spec.address = Address::ip("127.0.0.1", 9).value();
    request->connection.context = 100 + i;
    h.js.request(std::move(request));
  }
  for (int turns = 1; calls < 50; ++turns) {
    h.turn();
    CHECK(calls == turns);
    REQUIRE(turns <= 50);
  }
  h.settle();
  CHECK(h.js.completed.size() == 50);
}

TEST_CASE("a peer that sends many empty frames gets a bounded share of a turn and of a batch") {
  for (const bool borrowed : {false, true}) {
    Harness h;
    const auto port = h.listen({.borrowed = borrowed, .framing = delimited("\n")});
    auto [flood, flood_told] = h.accept(port);
    auto [client, told] = h.accept(port);
    flood.send(std::string(10'000, '\n'));
    h.turn();
    client.send("a question\n");
    h.turn();
    for (int batches = 0; told.log != "OD"; ++batches) {
      REQUIRE(batches < 2);
      EventBatch* batch = h.js.take();
      REQUIRE(batch != nullptr);
      CHECK(batch->count() <= 513);
      h.js.give_back(batch);
    }
    h.settle();
    CHECK(flood_told.chunks.size() == 10'000);
    CHECK(told.chunks == std::vector<std::string>{"a question"});
  }
}

TEST_CASE("the search for idle connections is spread over turns") {
  constexpr uint32_t kSlots = 40'000;
  Harness h({.max_connections = kSlots + 1});
  const auto port = h.listen();
  std::vector<const ReserveRequest*> reserved;
  for (uint32_t i = 0; i < kSlots; ++i) {
    auto request = std::make_unique<ReserveRequest>();
    reserved.push_back(request.get());
    h.js.request(std::move(request));
    if (i % 1000 == 0) h.settle();
  }
  h.settle();
  Told& told = h.accept(port).told;
  REQUIRE(told.slot >= kSlots);
  auto request = std::make_unique<IdleRequest>();
  request->max = 10;
  const IdleRequest* asked = request.get();
  h.js.request(std::move(request));
  const size_t before = h.js.completed.size();
  h.turn();
  h.turn();
  h.js.deliver_all();
  CHECK(h.js.completed.size() == before);
  CHECK_FALSE(h.quiet());
  h.settle();
  REQUIRE(h.js.completed.back().get() == asked);
  CHECK(asked->found == std::vector<uint32_t>{told.slot, told.generation});
  for (const ReserveRequest* slot : reserved) {
    auto settle = std::make_unique<SettleRequest>();
    settle->slot = slot->slot;
    settle->generation = slot->generation;
    settle->abandoned = true;
    h.js.request(std::move(settle));
  }
  h.settle();
}

TEST_CASE("timers due in one tick are spread over turns, and none is lost") {
  constexpr int kMany = 500;
  Harness h({.max_connections = kMany});
  const auto port = h.listen({.timeout_ms = 1000});
  const std::vector<Told*> many = accept_many(h, port, kMany);
  h.now_ms += 2000;
  // A clock that advances with each read. The wheel reads it after every 64 timers.
  const auto clock = h.hooks.monotonic_ms;
  int looks = 0;
  h.hooks.monotonic_ms = [&] {
    ++looks;
    return ++h.now_ms;
  };
  h.turn();
  // One read by the turn, and two by the wheel.
  CHECK(looks == 3);
  h.hooks.monotonic_ms = clock;
  h.settle();
  for (const Told* one : many) CHECK(one->times('T') == 1);
}

TEST_CASE("attempts to connect that time out in one tick are spread over turns") {
  constexpr uint32_t kMany = 300;
  Harness h({.max_connections = kMany});
  h.hooks.connect = [](int, const sockaddr*, socklen_t) { return shim::fail(EINPROGRESS); };
  h.hooks.add = [](Poller&, int, uint64_t) { return Result<void>{}; };
  for (uint32_t i = 0; i < kMany; ++i) {
    auto request = std::make_unique<ConnectRequest>();
    request->spec.address = Address::ip("127.0.0.1", 9).value();
    request->connection.context = 100 + i;
    request->connect_timeout_ms = 1000;
    h.js.request(std::move(request));
  }
  h.settle();
  REQUIRE(h.loop->table().slots.live() == kMany);
  uint32_t closes = 0;
  h.hooks.close = [&](int fd) {
    ++closes;
    ++h.now_ms;
    return shim::__real_close(fd);
  };
  h.now_ms += 2000;
  h.turn();
  // The clock is read after every 64 timers.
  CHECK(closes == 128);
  h.settle();
  CHECK(closes == kMany);
  CHECK(h.js.completed.size() == kMany);
  h.hooks.close = nullptr;
}

TEST_CASE("a turn spends a bounded time on reading, and the next one starts with the connections left over") {
  constexpr int kMany = 200;
  Harness h({.max_connections = kMany});
  const auto port = h.listen();
  accept_many(h, port, kMany);
  std::set<int> read;
  int calls = 0;
  h.hooks.recv = [&](int fd, void* to, size_t size, int flags) {
    read.insert(fd);
    ++calls;
    ++h.now_ms;
    return shim::__real_recv(fd, to, size, flags);
  };
  for (Client& client : h.clients) client.send("x");
  for (int turns = 0; turns < 8; ++turns) {
    const int before = calls;
    // Some peers always send more.
    for (size_t i = 0; i < 8; ++i) h.clients[i].send("y");
    h.turn();
    CHECK(calls - before <= 32);
  }
  CHECK(read.size() == kMany);
  h.settle();
  h.hooks.recv = nullptr;
}

TEST_CASE("a turn makes a bounded number of system calls for commands") {
  constexpr int kMany = 600;
  Harness h({.max_connections = kMany});
  const auto port = h.listen();
  const std::vector<Told*> many = accept_many(h, port, kMany);
  for (const uint32_t wish : {0u, kDrainWish}) {
    Sink sink(h, 0);
    for (const Told* one : many) h.js.write(*one, "x", wish);
    h.turn();
    CHECK(sink.calls <= 256);
    h.turn();
    CHECK(sink.calls <= 512);
    h.turn();
    CHECK(sink.calls == kMany);
  }
  h.settle();
  for (const Told* one : many) CHECK(one->log == "OR");
  int closes = 0;
  h.hooks.remove = [&](Poller& poller, int fd) {
    ++closes;
    shim::real_remove(poller, fd);
  };
  for (const Told* one : many) h.js.destroy(*one);
  h.turn();
  CHECK(closes <= 512);
  h.settle();
  CHECK(closes == kMany);
  h.hooks.remove = nullptr;
}
