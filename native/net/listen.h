#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/base/fd.h"
#include "native/base/result.h"
#include "native/net/address.h"
#include "native/net/options.h"

namespace c1m {

// Everything that opening a listener needs. Options are set in the order given, before bind(2) where that is possible,
// so that the first connection has them already.
struct ListenSpec {
  // A listening socket that there is already, to be duplicated; -1 opens one. The other descriptor stays whose it is, and
  // both accept from the one queue. inspect_listener() fills in `address` and `mptcp`; what binds and listens says nothing.
  int fd = -1;
  Address address;
  int backlog = 4096;       // connections; the kernel caps it at net.core.somaxconn
  bool reuse_port = false;  // SO_REUSEPORT
  // The same, but only once it is bound: whoever has the port already without our doing is still EADDRINUSE.
  bool reuse_port_once_bound = false;
  // After listen(2), if not empty: connections go to the socket, in order of their listen(2), whose CPU took the SYN, as
  // this list has them. Those of other CPUs go where the kernel's hash says. (SO_ATTACH_REUSEPORT_CBPF, socket(7))
  std::vector<uint32_t> steer_by_cpu;
  bool ipv6_only = false;  // IPV6_V6ONLY; an IPv6 address is dual-stack otherwise, whatever net.ipv6.bindv6only says
  bool mptcp = false;      // Multipath TCP (RFC 8684); IP only
  std::vector<OptionSetting> options;
  std::string congestion;  // empty: the system's default
};

// The file of a Unix listener, as bind(2) made it. The inode isn't reused while the socket is open, as that holds it
// (unix_bind() in net/unix/af_unix.c of Linux), so that device and inode tell the file from any that took its place.
struct SocketFile {
  std::string path;  // empty: there is none, or it isn't ours
  uint64_t device = 0;
  uint64_t inode = 0;

  // Removes it, unless a successor has put its own file in its place. To be called while the socket is open. Between the
  // look and unlink(2) a window remains: no system call removes a name only if it still is a certain file.
  Result<void> remove() const;
};

// A listening descriptor, or why there is none. `failure.option` is set when an option was refused, also for
// reuse_port (kReusePort), ipv6_only (kIpv6Only), mptcp (kProtocol) and congestion (kCongestion).
struct ListenOutcome {
  Fd fd;
  OptionFailure failure;
  SocketFile file{};
  [[nodiscard]] bool ok() const noexcept { return fd.valid(); }
};

// Opens, configures, binds and listens. Blocks for no longer than its system calls take; any thread may call it.
// A Unix socket's file that nobody listens on any more is replaced; one with a live owner, and a file that isn't a
// socket, give EADDRINUSE and stay untouched.
[[nodiscard]] ListenOutcome open_listener(const ListenSpec& spec);

// What is known of the socket of `spec.fd`. ENOTSOCK or EBADF for no socket, EINVAL for one that doesn't listen.
// (getsockopt(2) with SO_ACCEPTCONN and SO_PROTOCOL, getsockname(2))
[[nodiscard]] Result<void> inspect_listener(ListenSpec& spec);

// What the loop still has to set on each connection that it accepts from such a listener, see inherited(). Usually
// empty; worked out once per listener.
[[nodiscard]] std::vector<OptionSetting> settings_after_accept(const ListenSpec& spec);

// How many connections wait in the queue of a listening socket, as far as the system says; otherwise a bound.
[[nodiscard]] uint32_t queued_connections(int fd);

}  // namespace c1m
