// Writing: every byte is sent once and in order, however few the kernel takes, and pinned buffers come back once.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstring>
#include <numeric>
#include <thread>

#include "native/net/socket.h"
#include "test/native/bytes_of.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

// A socket that takes `room` bytes, and then is full until a test sets `room` again.
class FullSocket {
 public:
  FullSocket(Harness& h, int fd) : fd_(fd) {
    h.hooks.send = [this](int to, const void* bytes, size_t size, int flags) -> ssize_t {
      if (to != fd_) return shim::__real_send(to, bytes, size, flags);
      ++calls;
      offered += size;
      if (room == 0) return shim::fail(EAGAIN);
      const ssize_t sent = shim::__real_send(to, bytes, std::min(size, room), flags);
      if (sent > 0) room -= static_cast<size_t>(sent);
      return sent;
    };
    h.hooks.sendmsg = [this](int to, const msghdr* message, int flags) -> ssize_t {
      if (to != fd_) return shim::__real_sendmsg(to, message, flags);
      ++calls;
      std::string bytes;
      for (size_t i = 0; i < message->msg_iovlen; ++i) {
        bytes.append(static_cast<const char*>(message->msg_iov[i].iov_base), message->msg_iov[i].iov_len);
      }
      offered += bytes.size();
      if (room == 0) return shim::fail(EAGAIN);
      const ssize_t sent = shim::__real_send(to, bytes.data(), std::min(bytes.size(), room), flags);
      if (sent > 0) room -= static_cast<size_t>(sent);
      return sent;
    };
  }

  size_t room = 0;
  size_t offered = 0;
  int calls = 0;

 private:
  int fd_;
};

void fail_writes(Harness& h, int error) {
  h.hooks.send = [error](int, const void*, size_t, int) -> ssize_t { return shim::fail(error); };
  h.hooks.sendmsg = [error](int, const msghdr*, int) -> ssize_t { return shim::fail(error); };
}

// Writes bytes of every kind in one batch of commands. Returns the bytes that the client must receive.
std::string write_mixed(Harness& h, const Told& to) {
  const size_t lengths[] = {5, 7, 9, 6, 3, 4, BlockPool::kBlockBytes + 10, 8};
  std::string all = pattern(std::accumulate(std::begin(lengths), std::end(lengths), size_t{0}));
  size_t at = 0;
  int i = 0;
  for (const size_t length : lengths) {
    const std::string bytes = all.substr(at, length);
    at += length;
    // The third, the fifth and the sixth are pinned.
    if (i == 2 || i == 4 || i == 5) {
      h.js.write_pinned(to, bytes);
    } else {
      h.js.write(to, bytes);
    }
    ++i;
  }
  return all;
}

}  // namespace

TEST_CASE("written bytes are received in order, and counted") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  const std::string bytes = write_mixed(h, told);
  CHECK(h.js.pinned() == 3);
  h.settle();
  CHECK(client.receive() == bytes);
  CHECK(h.js.flushed(told) == bytes.size());
  CHECK(h.js.pinned() == 0);
  CHECK(h.js.stat("bytesWritten") == static_cast<double>(bytes.size()));
  CHECK(h.js.stat("writes") == 1);
  CHECK(told.log == "O");
}

TEST_CASE("the count of flushed bytes starts at 0 for the next connection in a slot") {
  Harness h({.max_connections = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.write(told, "abc");
  h.settle();
  CHECK(h.js.flushed(told) == 3);
  h.js.destroy(told);
  h.settle();
  auto [next, next_told] = h.accept(port);
  REQUIRE(next_told.slot == told.slot);
  CHECK(h.js.flushed(next_told) == 0);
}

TEST_CASE("a mixed queue is sent exactly through a socket that is full after any of its bytes") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h, h.fd(told));
  size_t total = 1;
  for (size_t room = 0; room <= total; ++room) {
    // Most bytes of the large write are skipped, up to the end of the first block.
    if (room == 100) room = BlockPool::kBlockBytes - 20;
    if (room == BlockPool::kBlockBytes - 10) room = BlockPool::kBlockBytes + 5;
    socket.room = room;
    const std::string bytes = write_mixed(h, told);
    total = bytes.size();
    h.settle();
    if (room < total) CHECK(h.quiet());  // a full socket causes no turn until the edge
    if (client.receive() != bytes.substr(0, room)) FAIL("room " << room);
    socket.room = total;
    h.inject(told, Edge::kWritable);
    h.settle();
    if (client.receive() != bytes) FAIL("room " << room);
    client.received.clear();
    REQUIRE(h.js.pinned() == 0);
    REQUIRE(h.js.stat("queueBytes") == 0);
  }
}

TEST_CASE("a mixed queue is sent exactly through a socket that takes a byte at a time") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h, h.fd(told));
  const std::string bytes = write_mixed(h, told);
  h.turn();
  for (size_t i = 0; i < bytes.size(); ++i) {
    socket.room = 1;
    h.inject(told, Edge::kWritable);
    h.turn();
    h.js.deliver_all();
    if (i == 50) h.js.write(told, "more");  // behind all the others
  }
  socket.room = SIZE_MAX;
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(client.receive() == bytes + "more");
  CHECK(h.js.pinned() == 0);
}

TEST_CASE("after EAGAIN there is one call for each edge, and no turn without one") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h, h.fd(told));
  h.js.write(told, "abc");
  h.settle();
  CHECK(socket.calls == 1);
  CHECK(h.quiet());
  CHECK(h.asked() == -1);
  h.js.write(told, "def");  // no edge has come, so no call is made
  h.settle();
  CHECK(socket.calls == 1);
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(socket.calls == 2);
  socket.room = 100;
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(client.receive() == "abcdef");
}

TEST_CASE("interrupted writes are repeated") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  int interrupts = 4;
  h.hooks.send = [&](int fd, const void* bytes, size_t size, int flags) -> ssize_t {
    return interrupts-- > 0 ? shim::fail(EINTR) : shim::__real_send(fd, bytes, size, flags);
  };
  h.hooks.sendmsg = [&](int fd, const msghdr* message, int flags) -> ssize_t {
    return interrupts-- > 0 ? shim::fail(EINTR) : shim::__real_sendmsg(fd, message, flags);
  };
  h.js.write(told, "one");
  h.settle();
  CHECK(interrupts == -1);
  interrupts = 4;
  h.js.write_pinned(told, "two");
  h.js.write(told, "three");
  h.settle();
  CHECK(interrupts == -1);
  CHECK(client.receive() == "onetwothree");
}

TEST_CASE("writes of several command batches in one turn are one system call") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  std::string expected;
  for (int i = 0; i < 10; ++i) {
    const std::string bytes = pattern(100, static_cast<uint32_t>(i));
    h.js.write(told, bytes);
    expected += bytes;
    h.js.flush();
  }
  h.turn();
  CHECK(client.receive() == expected);
  h.settle();
  CHECK(h.js.stat("writes") == 1);
}

TEST_CASE("a slow reader's queue is kept in blocks, all of which are released") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port, 4096);
  const std::string bytes = pattern(8'000'000);
  for (size_t at = 0; at < bytes.size(); at += 100'000) h.js.write(told, std::string_view(bytes).substr(at, 100'000));
  h.js.want_drain(told);
  h.settle();
  CHECK(h.quiet());
  CHECK(told.log == "O");
  CHECK(h.js.stat("queueBytes") > 1'000'000);
  CHECK(h.js.flushed(told) < bytes.size());
  h.until([&] { return client.receive().size() == bytes.size(); });
  CHECK(client.received == bytes);
  h.settle();
  CHECK(told.log == "OR");
  CHECK(h.js.flushed(told) == bytes.size());
  CHECK(h.js.stat("queueBytes") == 0);
}

TEST_CASE("each kWantDrain causes one drain when the queue is empty, immediately if it is empty already") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.want_drain(told);
  h.settle();
  CHECK(told.log == "OR");
  FullSocket socket(h, h.fd(told));
  h.js.write(told, "abc");
  h.js.want_drain(told);
  h.js.want_drain(told);
  h.settle();
  CHECK(told.log == "OR");
  socket.room = 2;
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(told.log == "OR");
  socket.room = 2;
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(told.log == "ORR");
  socket.room = SIZE_MAX;
  h.js.write(told, "unasked");
  h.settle();
  CHECK(told.log == "ORR");
}

TEST_CASE("a drain is delivered when JavaScript's own bytes are sent, although others' are still queued") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h, h.fd(told));
  const auto others = [&, slot = told.slot, generation = told.generation] {
    RemoteWrite write{slot, generation, 1 << 20, 0, bytes_of("xyz")};
    REQUIRE(h.loop->shared_inbox()->write(std::move(write)));
  };
  const auto give = [&](size_t room) {
    socket.room = room;
    h.inject(told, Edge::kWritable);
    h.settle();
  };
  h.js.write(told, "ab");
  h.js.flush();
  others();
  h.js.write(told, "cd");
  h.js.want_drain(told);
  h.js.flush();
  others();
  h.settle();
  CHECK(told.log == "O");
  give(6);
  CHECK(told.log == "O");
  others();
  give(1);
  CHECK(told.log == "OR");
  CHECK_FALSE(h.loop->table().slots[told.slot].out.empty());
  // Without queued bytes of JavaScript a drain is delivered immediately.
  h.js.want_drain(told);
  h.settle();
  CHECK(told.log == "ORR");
  give(SIZE_MAX);
  CHECK(told.log == "ORR");
  CHECK(client.receive() == "abxyzcdxyzxyz");
}

TEST_CASE("the FIN follows the last byte, and is sent once") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  int fins = 0;
  h.hooks.shutdown = [&](int fd, int how) {
    CHECK(fd == h.fd(told));
    CHECK(how == SHUT_WR);
    ++fins;
    return shim::__real_shutdown(fd, how);
  };
  FullSocket socket(h, h.fd(told));
  socket.room = 2;
  h.js.write(told, "abc");
  h.js.end(told);
  h.settle();
  CHECK(client.receive() == "ab");
  CHECK_FALSE(client.ended);
  CHECK(fins == 0);
  socket.room = 100;
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(client.receive() == "abc");
  CHECK(client.ended);
  CHECK(fins == 1);
  h.js.want_drain(told);
  h.settle();
  CHECK(told.log == "OR");
  CHECK(fins == 1);
  // The local side has ended, and the peer still sends.
  client.send("still here");
  h.settle();
  CHECK(told.received == "still here");
  client.close();
  h.settle();
  CHECK(told.log == "ORDEC");
  CHECK(told.error == 0);
  CHECK(fins == 1);
}

TEST_CASE("an end with an empty queue sends the FIN immediately") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  h.js.end(told);
  h.turn();
  client.receive();
  CHECK(client.ended);
}

TEST_CASE("after a failed write unread bytes are delivered, then one close with the write's error") {
  for (const size_t unread : {size_t{0}, size_t{5}, size_t{700'000}}) {
    CAPTURE(unread);
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    fail_writes(h, EPIPE);
    const std::string bytes = pattern(unread);
    // Sent before the loop sees an edge for them; no reset, and no edge, follows the failure.
    std::string_view rest = bytes;
    rest.remove_prefix(client.send_some(rest));
    h.js.write(told, "never sent");
    h.js.write_pinned(told, "nor this");
    h.until([&] {
      rest.remove_prefix(client.send_some(rest));
      return told.closed() || rest.empty();
    });
    h.settle();
    CHECK(told.log == (unread == 0 ? "OC" : "ODC"));
    CHECK(told.received == bytes.substr(0, told.received.size()));
    if (unread <= 5) CHECK(told.received == bytes);
    CHECK(told.error == EPIPE);
    CHECK(told.syscall == Syscall::kWrite);
    CHECK(h.js.pinned() == 0);
  }
}

TEST_CASE("a failed write on a paused connection, or behind its end, closes it immediately") {
  for (const bool paused : {true, false}) {
    Harness h;
    const auto port = h.listen();
    auto [client, told] = h.accept(port);
    if (paused) {
      h.js.pause(told);
    } else {
      client.fin();
    }
    h.settle();
    fail_writes(h, ECONNRESET);
    h.js.write(told, "x");
    h.settle();
    CHECK(told.log == (paused ? "OC" : "OEC"));
    CHECK(told.error == ECONNRESET);
    CHECK(told.syscall == Syscall::kWrite);
  }
}

TEST_CASE("a failed write closes the connection, although a pause stops reading before the end") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  // The loop has no batch to read into while the write fails.
  other.send("x");
  h.settle_blocked();
  client.send("unread");
  fail_writes(h, EPIPE);
  h.js.write(told, "y");
  h.settle_blocked();
  h.js.pause(told);
  h.settle_blocked();
  h.settle();
  CHECK(told.closed());
  CHECK(told.error == EPIPE);
}

TEST_CASE("writes after a failed write are dropped, pinned or not, and the close doesn't wait for their drain") {
  Harness h({.batches = 1});
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto [other, other_told] = h.accept(port);
  other.send("x");
  h.settle_blocked();
  fail_writes(h, EPIPE);
  h.js.write(told, "y");
  h.settle_blocked();
  h.js.write(told, "z");
  h.js.write_pinned(told, "z");
  h.js.want_drain(told);
  h.js.end(told);
  h.settle_blocked();
  h.settle();
  CHECK(told.closed());
  CHECK(told.error == EPIPE);
  CHECK(h.js.pinned() == 0);
}

TEST_CASE("a reset during a write closes the connection once") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  client.send("question");
  client.rst();
  h.js.write(told, "answer");
  h.settle();
  CHECK(told.received == "question");
  CHECK(told.log == "ODC");
  CHECK((told.error == ECONNRESET || told.error == EPIPE));
}

TEST_CASE("pinned buffers of a closed connection come back") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h, h.fd(told));
  h.js.write_pinned(told, pattern(100));
  h.js.write_pinned(told, "");
  h.settle();
  CHECK(h.js.pinned() == 1);  // the empty one is back already
  h.js.write_pinned(told, "in the same batch as the destroy");
  h.js.destroy(told);
  h.js.write_pinned(told, "behind the destroy");
  h.settle();
  CHECK(told.log == "OC");
  CHECK(h.js.pinned() == 0);
  h.js.write_pinned(told, "of an earlier generation");
  h.settle();
  CHECK(h.js.pinned() == 0);
}

TEST_CASE("a connection with much to send doesn't delay another") {
  for (const bool many : {false, true}) {
    CAPTURE(many);
    Harness h;
    const auto port = h.listen();
    auto [bulk, bulk_told] = h.accept(port);
    auto [small, small_told] = h.accept(port);
    // The peer takes all bytes immediately.
    const int fd = h.fd(bulk_told);
    size_t taken = 0;
    h.hooks.send = [&](int to, const void* bytes, size_t size, int flags) -> ssize_t {
      if (to != fd) return shim::__real_send(to, bytes, size, flags);
      taken += size;
      return static_cast<ssize_t>(size);
    };
    h.hooks.sendmsg = [&](int, const msghdr* message, int) -> ssize_t {
      size_t size = 0;
      for (size_t i = 0; i < message->msg_iovlen; ++i) size += message->msg_iov[i].iov_len;
      taken += size;
      return static_cast<ssize_t>(size);
    };
    constexpr size_t kTotal = 4'000'000;
    if (many) {
      for (size_t i = 0; i < kTotal / 20'000; ++i) h.js.write_pinned(bulk_told, pattern(20'000));
    } else {
      h.js.write_pinned(bulk_told, pattern(kTotal));
    }
    int turns = 0;
    while (taken < kTotal) {
      const size_t before = taken;
      h.js.write(small_told, "x");
      h.turn();
      h.js.deliver_all();
      ++turns;
      REQUIRE(taken > before);
      CHECK(taken - before <= 256 * 1024);
      CHECK(small.receive().size() == static_cast<size_t>(turns));
    }
    h.settle();
    CHECK(h.js.flushed(bulk_told) == kTotal);
    CHECK(h.js.pinned() == 0);
  }
}

TEST_CASE("the counters include bytes that were sent without a later event") {
  // The last bytes are sent without an event for JavaScript.
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  FullSocket socket(h, h.fd(told));
  h.js.write(told, "abc");
  h.settle();
  socket.room = 100;
  h.inject(told, Edge::kWritable);
  h.settle();
  CHECK(client.receive() == "abc");
  CHECK(h.js.stat("bytesWritten") == 3);
  CHECK(h.js.stat("queueBytes") == 0);
  client.rst();
  h.settle();
  CHECK(told.closed());
  CHECK(h.js.stat("closed") == 1);
}

namespace {

// Counts its runs, and records the thread that destroys it.
class Counted final : public Request {
 public:
  Counted(int& runs, std::thread::id& ended_on) : runs_(runs), ended_on_(ended_on) {}
  ~Counted() override { ended_on_ = std::this_thread::get_id(); }
  bool run(Loop& /*loop*/) override {
    ++runs_;
    return true;
  }

 private:
  int& runs_;
  std::thread::id& ended_on_;
};

}  // namespace

TEST_CASE("a payload that no record names comes back unused, and a record without a payload has no effect") {
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  int unnamed = 0;
  int named = 0;
  std::thread::id unnamed_ended;
  std::thread::id named_ended;
  h.js.name_nothing(Command::kRequest, told);
  h.js.name_nothing(Command::kWritePinned, told);
  h.js.leave_unnamed(pattern(20'000, 2), std::make_unique<Counted>(unnamed, unnamed_ended));
  h.js.write_pinned(told, pattern(20'000));
  h.js.request(std::make_unique<Counted>(named, named_ended));
  h.js.write(told, "end");
  h.js.flush();
  std::thread([&] { h.loop->turn(); }).join();
  // The loop, which has a thread of its own here, doesn't destroy a request that no record names.
  CHECK(unnamed_ended == std::thread::id());
  h.settle();
  CHECK(client.receive() == pattern(20'000) + "end");
  CHECK(named == 1);
  CHECK(unnamed == 0);
  CHECK(h.js.pinned() == 0);
  // The JS thread destroys it when it takes the batch again.
  CHECK(unnamed_ended == std::this_thread::get_id());
}
