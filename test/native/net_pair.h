#pragma once

#include <doctest/doctest.h>
#include <netinet/in.h>
#include <poll.h>

#include <utility>

#include "native/net/listen.h"
#include "native/net/socket.h"

namespace c1m {

// A listener on loopback, a connection to it, and the connection's accepted end. Empty where the kernel lacks the
// family or the protocol, so that a test can skip that part.
struct Pair {
  Fd listener;
  Fd client;
  Fd server;
  Address peer;  // the client's, as accept reported it

  [[nodiscard]] bool ok() const { return server.valid(); }
  void wait_server() const { wait(server.get()); }

  // Waits until `fd` is readable, at most five seconds.
  static void wait(int fd) {
    pollfd ready{fd, POLLIN, 0};
    REQUIRE(::poll(&ready, 1, 5000) == 1);
  }

  static bool connected(int listener, const Address& address) {
    const Pair pair = open(Fd(::dup(listener)), address, 0);
    return pair.ok();
  }

  static Pair tcp(const char* host, ListenSpec spec = {}, const char* from = nullptr, int client_protocol = 0) {
    spec.address = Address::ip(host, 0).value();
    ListenOutcome opened = open_listener(spec);
    if (!opened.ok()) return {};
    const uint16_t port = Address::local_of(opened.fd.get()).value().port();
    return open(std::move(opened.fd), Address::ip(from != nullptr ? from : host, port).value(), client_protocol);
  }

  static Pair open(Fd listener, const Address& to, int client_protocol) {
    Pair pair;
    pair.client = Fd(::socket(to.family(), SOCK_STREAM | SOCK_CLOEXEC, client_protocol));
    if (!pair.client.valid() || !connect_socket(pair.client.get(), to)) return {};
    wait(listener.get());
    sockaddr_storage storage;
    socklen_t length = 0;
    Result<Fd> accepted = accept_connection(listener.get(), &storage, &length);
    REQUIRE(accepted.ok());
    pair.server = std::move(accepted.value());
    const PackedAddress packed = PackedAddress::from(reinterpret_cast<const sockaddr*>(&storage), length);
    pair.peer = packed.unpack();
    pair.listener = std::move(listener);
    return pair;
  }
};

}  // namespace c1m
