#include "native/net/connect.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "native/net/socket.h"

namespace c1m {

namespace {

Error set_flag(int fd, int level, int name, const char* what) {
  const int on = 1;
  return ::setsockopt(fd, level, name, &on, sizeof on) == 0 ? Error{} : Error::last(what);
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
    const Error refused = set_flag(fd, IPPROTO_TCP, TCP_FASTOPEN_CONNECT, "setsockopt");
    if (refused) return {refused, Option::kFastOpen};
  }
  if (!spec.local) return {};
  // A kernel without it chooses the port at bind(2): fewer ports, no less correct.
  if (spec.local->port() == 0) (void)set_flag(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, "setsockopt");
  const Result<void> bound = bind_socket(fd, *spec.local);
  return bound ? OptionFailure{} : OptionFailure{bound.error(), {}};
}

}  // namespace

ConnectOutcome start_connect(const ConnectSpec& spec) {
  ConnectOutcome outcome;
  Result<Fd> opened = open_socket(spec.address.family(), spec.mptcp ? IPPROTO_MPTCP : 0);
  if (!opened) {
    outcome.failure.error = opened.error();
    if (spec.mptcp) outcome.failure.option = Option::kProtocol;
    return outcome;
  }
  const int fd = opened.value().get();
  outcome.failure = prepare(fd, spec);
  if (outcome.failure) return outcome;
  const Result<void> connected = connect_socket(fd, spec.address);
  // EINPROGRESS is the rule for IP.
  if (!connected && connected.error().code != EINPROGRESS) {
    outcome.failure.error = connected.error();
    return outcome;
  }
  outcome.connected = connected.ok();
  outcome.fd = std::move(opened.value());
  return outcome;
}

}  // namespace c1m
