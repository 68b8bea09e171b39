// Adopting sockets of other owners, and detaching them.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/resource.h>

#include "native/features/files/send_file_request.h"
#include "native/features/handover/adopt_detach.h"
#include "native/net/socket.h"
#include "native/net/stream.h"
#include "test/native/bytes_of.h"
#include "test/native/loop_harness.h"

using namespace c1m;

namespace {

struct Socket {
  Fd ours;
  Fd theirs;
};

Socket make_pair(int domain = AF_UNIX) {
  int fds[2];
  REQUIRE(::socketpair(domain, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
  return {Fd(fds[0]), Fd(fds[1])};
}

// Returns a client, and the socket that was accepted from it, with SO_LINGER on: its close(2) waits for the client.
std::pair<Client, Fd> lingering() {
  const Fd listener(open_socket(AF_INET, 0).value().release());
  REQUIRE(bind_socket(listener.get(), Address::ip("127.0.0.1", 0).value()).ok());
  REQUIRE(listen_socket(listener.get(), 1).ok());
  Client client(Address::local_of(listener.get()).value());
  Fd ours(shim::__real_accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  const linger waits{1, 30};
  REQUIRE(::setsockopt(ours.get(), SOL_SOCKET, SO_LINGER, &waits, sizeof waits) == 0);
  return {std::move(client), std::move(ours)};
}

const AdoptRequest& adopt(Harness& h, Fd fd, std::string_view unread = {}) {
  auto request = std::make_unique<AdoptRequest>();
  request->fd = std::move(fd);
  request->peer.family = AF_UNIX;
  request->unread = unread_of(unread);
  const AdoptRequest& asked = *request;
  h.js.request(std::move(request));
  h.settle();
  return asked;
}

const DetachRequest& detach(Harness& h, const Told& told) {
  auto request = std::make_unique<DetachRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  const DetachRequest& asked = *request;
  h.js.request(std::move(request));
  return asked;
}

std::string read_all(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t got = shim::__real_recv(fd, buffer, sizeof buffer, 0); got > 0;
       got = shim::__real_recv(fd, buffer, sizeof buffer, 0)) {
    text.append(buffer, static_cast<size_t>(got));
  }
  return text;
}

}  // namespace

TEST_CASE("a socket that is detached after a file is not corked") {
  char path[] = "/tmp/c1m-test-XXXXXX";
  const Fd file(::mkstemp(path));
  REQUIRE(file.valid());
  REQUIRE(::write(file.get(), "file", 4) == 4);
  Harness h;
  const auto port = h.listen();
  auto [client, told] = h.accept(port);
  auto request = std::make_unique<SendFileRequest>();
  request->slot = told.slot;
  request->generation = told.generation;
  request->path = path;
  h.js.request(std::move(request));
  h.js.write(told, "tail");
  // The file is sent, and the bytes behind it are not.
  h.hooks.send = [](int, const void*, size_t, int) -> ssize_t { return shim::fail(EAGAIN); };
  h.settle();
  const auto corked = [](int fd) {
    int on = -1;
    socklen_t length = sizeof(on);
    REQUIRE(::getsockopt(fd, IPPROTO_TCP, TCP_CORK, &on, &length) == 0);
    return on == 1;
  };
  REQUIRE(corked(h.fd(told)));
  const DetachRequest& left = detach(h, told);
  h.settle();
  REQUIRE(left.detached.fd.valid());
  CHECK_FALSE(corked(left.detached.fd.get()));
  CHECK(text_of(left.detached.unsent) == "tail");
  h.until([&] { return client.receive() == "file"; });
  ::unlink(path);
}

TEST_CASE("a connection that is adopted paused reads nothing before it is resumed") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Harness h({.trigger = trigger});
    auto [ours, theirs] = make_pair();
    auto request = std::make_unique<AdoptRequest>();
    request->fd = std::move(ours);
    request->peer.family = AF_UNIX;
    request->unread = unread_of("1");
    request->connection.paused = true;
    h.js.request(std::move(request));
    REQUIRE(shim::__real_send(theirs.get(), "2", 1, 0) == 1);
    REQUIRE(::shutdown(theirs.get(), SHUT_WR) == 0);
    h.settle();
    Told& told = h.js.connections.at(0);
    CHECK(told.log == "O");
    h.js.resume(told);
    h.settle();
    CHECK(told.log == "ODE");
    CHECK(told.received == "12");
  }
}

TEST_CASE("an adopted connection delivers the unread bytes that it came with, then those of its socket") {
  for (const Trigger trigger : {Trigger::kEdge, Trigger::kLevel}) {
    Harness h({.trigger = trigger});
    Socket pair = make_pair();
    REQUIRE(send_bytes(pair.theirs.get(), "kernel", 6) == 6);
    const AdoptRequest& asked = adopt(h, std::move(pair.ours), "handed ");
    CHECK_FALSE(asked.error);
    Told& told = h.js.connections.back();
    CHECK(told.slot == asked.slot);
    CHECK(told.log == "OD");
    CHECK(told.received == "handed kernel");
    CHECK(h.loop->table().slots[told.slot].extras == nullptr);
    h.js.write(told, "answer");
    h.settle();
    CHECK(read_all(pair.theirs.get()) == "answer");
  }
}

TEST_CASE("unread bytes of an adopted socket may be longer than a read, and than a batch") {
  Harness h({.batches = 2, .slab_bytes = 32 * 1024});
  Socket pair = make_pair();
  const std::string handed = pattern(300'000);
  adopt(h, std::move(pair.ours), handed);
  h.until([&] { return h.js.connections.back().received.size() == handed.size(); });
  CHECK(h.js.connections.back().received == handed);
}

TEST_CASE("a full loop refuses an adopted socket, and one that the poller can't add is closed") {
  Harness h({.max_connections = 1});
  Socket first = make_pair();
  Socket second = make_pair();
  h.hooks.epoll_ctl = [&](int poll, int operation, int fd, epoll_event* event) {
    return operation == EPOLL_CTL_ADD ? shim::fail(ENOSPC) : shim::__real_epoll_ctl(poll, operation, fd, event);
  };
  CHECK(adopt(h, std::move(first.ours)).error.code == ENOSPC);
  h.hooks.epoll_ctl = nullptr;
  CHECK(h.loop->table().slots.live() == 0);
  char byte = 0;
  CHECK(receive(first.theirs.get(), &byte, 1) == 0);
  Socket third = make_pair();
  CHECK_FALSE(adopt(h, std::move(second.ours)).full);
  CHECK(adopt(h, std::move(third.ours)).full);
}

TEST_CASE("a detached socket comes with the unsent bytes, and stays open") {
  Harness h;
  Socket pair = make_pair();
  adopt(h, std::move(pair.ours), "handed");
  Told& told = h.js.connections.back();
  h.js.pause(told);
  h.settle();
  h.js.write(told, "small ");
  h.js.write_pinned(told, pattern(20'000));
  REQUIRE(send_bytes(pair.theirs.get(), "kernel", 6) == 6);
  // In the same batch as the writes, so that none of them has been sent.
  const DetachRequest& asked = detach(h, told);
  h.settle();
  CHECK_FALSE(asked.error);
  CHECK(told.log == "ODC");
  CHECK(told.error == 0);
  CHECK(text_of(asked.detached.unsent) == "small " + pattern(20'000));
  CHECK(h.js.pinned() == 0);
  CHECK(read_all(pair.theirs.get()).empty());
  CHECK(read_all(asked.detached.fd.get()) == "kernel");
  CHECK(send_bytes(pair.theirs.get(), "on", 2) == 2);
  CHECK(read_all(asked.detached.fd.get()) == "on");
}

TEST_CASE("a detached socket comes with unread bytes that were not delivered") {
  Harness h;
  Socket pair = make_pair();
  auto adopting = std::make_unique<AdoptRequest>();
  adopting->fd = std::move(pair.ours);
  adopting->unread = unread_of("xy");
  adopting->connection.context = 7;
  h.js.request(std::move(adopting));
  // The first connection has slot 0 and generation 1.
  auto pausing = std::make_unique<DetachRequest>();
  pausing->slot = 0;
  pausing->generation = 1;
  const DetachRequest& asked = *pausing;
  h.js.request(std::move(pausing));
  h.settle();
  CHECK(text_of(asked.detached.unread) == "xy");
  CHECK(h.js.connections.back().log == "OC");
}

TEST_CASE("detach fails without a free descriptor, and the connection continues; of a closed one it reports that") {
  Harness h;
  Socket pair = make_pair();
  adopt(h, std::move(pair.ours));
  Told& told = h.js.connections.back();
  rlimit limit{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
  const rlimit none{0, limit.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const DetachRequest& refused = detach(h, told);
  h.settle();
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
  CHECK(refused.error.code == EINVAL);  // fcntl(2): the minimum number is beyond the limit
  CHECK(told.log == "O");
  REQUIRE(send_bytes(pair.theirs.get(), "on", 2) == 2);
  h.settle();
  CHECK(told.received == "on");
  h.js.destroy(told);
  const DetachRequest& gone = detach(h, told);
  h.settle();
  CHECK(gone.closed);
  CHECK_FALSE(gone.detached.fd.valid());
}

TEST_CASE("close(2) of an adopted socket doesn't linger, and a detached socket has its SO_LINGER again") {
  for (const bool resets : {false, true}) {
    Harness h;
    auto [client, ours] = lingering();
    CHECK(lingers(ours.get()));
    const AdoptRequest& adopted = adopt(h, std::move(ours));
    REQUIRE(!adopted.error);
    const Told& told = h.js.connections.back();
    const int fd = h.fd(told);
    CHECK(lingers(fd));
    h.js.write(told, "x");
    h.settle();
    linger closed{9, 9};
    h.hooks.close = [&](int closing) {
      socklen_t length = sizeof closed;
      if (closing == fd) CHECK(::getsockopt(fd, SOL_SOCKET, SO_LINGER, &closed, &length) == 0);
      return shim::__real_close(closing);
    };
    if (resets) {
      h.js.reset(told);
    } else {
      h.js.destroy(told);
    }
    h.settle();
    // Linux keeps the time when SO_LINGER is switched off.
    if (resets) CHECK(closed.l_linger == 0);
    CHECK(closed.l_onoff == (resets ? 1 : 0));
    h.hooks.close = nullptr;
  }
  Harness h;
  Socket pair = make_pair();
  const linger waits{1, 30};
  REQUIRE(::setsockopt(pair.ours.get(), SOL_SOCKET, SO_LINGER, &waits, sizeof waits) == 0);
  adopt(h, std::move(pair.ours));
  const DetachRequest& left = detach(h, h.js.connections.back());
  h.settle();
  REQUIRE(left.detached.fd.valid());
  CHECK(lingers(left.detached.fd.get()));
}

TEST_CASE("a reset of a socket with SO_LINGER sends a RST, although the loop ends before the batch comes back") {
  Harness h;
  auto [client, ours] = lingering();
  REQUIRE(!adopt(h, std::move(ours)).error);
  const Told& told = h.js.connections.back();
  h.js.reset(told);
  h.turn();
  h.stop();
  client.receive();
  CHECK(client.error == ECONNRESET);
}
