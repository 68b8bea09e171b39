#include "native/net/connect.h"

#include <sys/socket.h>

#include "native/net/linux/handshake.h"
#include "native/net/socket.h"
#include "native/net/stream.h"

namespace c1m {

namespace {

OptionFailure bind_local(int fd, const Address& local) {
  if (local.port() == 0) {
    choose_port_late(fd);
  } else {
    // Otherwise the port is taken while its last connection, to wherever, is in TIME_WAIT.
    const int on = 1;
    if (::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0) return {Error::last("setsockopt"), {}};
  }
  const Result<void> bound = bind_socket(fd, local);
  return bound ? OptionFailure{} : OptionFailure{bound.error(), {}};
}

// What of the spec must be set before connect(2).
OptionFailure prepare(int fd, const ConnectSpec& spec) {
  OptionFailure failure = set_options(fd, spec.options);
  if (failure) return failure;
  if (!spec.congestion.empty()) {
    const Result<void> set = set_congestion(fd, spec.congestion);
    if (!set) return {set.error(), Option::kCongestion};
  }
  if (spec.fast_open) {
    const Error refused = defer_syn(fd);
    if (refused) return {refused, Option::kFastOpen};
  }
  return spec.local ? bind_local(fd, *spec.local) : OptionFailure{};
}

}  // namespace

ConnectOutcome start_connect(const ConnectSpec& spec) {
  ConnectOutcome outcome;
  Result<Fd> opened = open_stream(spec.address.family(), spec.mptcp);
  if (!opened) {
    outcome.failure.error = opened.error();
    if (spec.mptcp && opened.error().code == ENOPROTOOPT) outcome.failure.option = Option::kProtocol;
    return outcome;
  }
  const int fd = opened.value().get();
  outcome.failure = prepare(fd, spec);
  if (outcome.failure) return outcome;
  const Result<void> connected = connect_socket(fd, spec.address);
  // EINPROGRESS is the rule for IP. A Unix socket answers at once, with EAGAIN if its listener's queue is full.
  if (!connected && connected.error().code != EINPROGRESS) {
    outcome.failure.error = connected.error();
    return outcome;
  }
  outcome.connected = connected.ok();
  outcome.fd = std::move(opened.value());
  return outcome;
}

bool is_connected_to_itself(int fd) {
  Result<Address> local = Address::local_of(fd);
  if (!local || local.value().port() == 0) return false;
  Result<Address> peer = Address::peer_of(fd);
  if (!peer || peer.value().port() != local.value().port()) return false;
  const auto packed = [](const Address& address) { return PackedAddress::from(address.get(), address.length()); };
  return packed(local.value()) == packed(peer.value());
}

int send_deferred_syn(int fd) {
  const ssize_t sent = send_bytes(fd, nullptr, 0);
  return sent >= 0 || sent == -EINPROGRESS || sent == -EAGAIN ? 0 : static_cast<int>(-sent);
}

}  // namespace c1m
