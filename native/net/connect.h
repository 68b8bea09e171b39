#pragma once

#include <optional>
#include <string>
#include <vector>

#include "native/base/fd.h"
#include "native/net/address.h"
#include "native/net/options.h"

namespace c1m {

// Everything that opening a connection needs.
struct ConnectSpec {
  Address address;
  // Where it comes from. Without a port the kernel chooses one when it knows the destination too, so that one source
  // address has all its ports for each destination (IP_BIND_ADDRESS_NO_PORT, ip(7)).
  std::optional<Address> local;
  bool mptcp = false;  // Multipath TCP (RFC 8684); IP only
  // The SYN waits for the first write and carries it (TCP_FASTOPEN_CONNECT, tcp(7); RFC 7413).
  bool fast_open = false;
  std::vector<OptionSetting> options;
  std::string congestion;  // empty: the system's default
};

// A descriptor on its way to being connected, or why there is none.
struct ConnectOutcome {
  Fd fd;
  bool connected = false;  // there already: a Unix socket, or a SYN that waits for data
  OptionFailure failure;
  [[nodiscard]] bool ok() const noexcept { return fd.valid(); }
};

// Opens and configures a socket and starts to connect it. Does not block.
[[nodiscard]] ConnectOutcome start_connect(const ConnectSpec& spec);

// Whether its other end is itself. TCP lets a socket meet its own SYN (RFC 9293, section 3.5, "simultaneous"), when the kernel
// has chosen the very port that nobody listens on: on this host, in the ephemeral range. (getsockname(2), getpeername(2))
[[nodiscard]] bool is_connected_to_itself(int fd);

// Whether its SYN has not been answered, or not even sent.
[[nodiscard]] bool in_handshake(int fd);
// Sends a SYN that waits for a first write (fast_open), if it still does, without one. 0, or the errno of why not.
[[nodiscard]] int send_deferred_syn(int fd);

}  // namespace c1m
