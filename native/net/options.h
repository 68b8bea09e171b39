#pragma once

#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "native/base/result.h"

namespace c1m {

// The socket options of the public API. Their numbers are shared with lib/options/socket-options.ts, where a test
// compares them with kOptionNames; add at the end of a group and keep both in step. Values are ints in the option's own
// unit.
enum class Option : uint8_t {
  kNoDelay,            // 0 or 1, TCP_NODELAY
  kKeepAlive,          // 0 or 1, SO_KEEPALIVE
  kKeepAliveIdle,      // seconds, TCP_KEEPIDLE
  kKeepAliveInterval,  // seconds, TCP_KEEPINTVL
  kKeepAliveCount,     // probes, TCP_KEEPCNT
  kUserTimeout,        // milliseconds, TCP_USER_TIMEOUT
  kDeferAccept,        // seconds, TCP_DEFER_ACCEPT; listeners only
  kFastOpen,           // queue length, TCP_FASTOPEN; listeners only
  kReceiveBuffer,      // bytes, SO_RCVBUF; the kernel doubles it, and get_option shows the doubled value
  kSendBuffer,         // bytes, SO_SNDBUF; likewise. The only one that a Unix socket has, see unix(7)
  kQuickAck,           // 0 or 1, TCP_QUICKACK; not permanent, see tcp(7)
  kLinger,             // -1 off, otherwise seconds, SO_LINGER; 0 makes close(2) send a RST, more makes it block
  kNotSentLowAt,       // bytes, TCP_NOTSENT_LOWAT; 0 is the system's default
  kIpTos,              // the TOS or traffic class byte, IP_TOS and IPV6_TCLASS
  kIncomingCpu,        // CPU number, SO_INCOMING_CPU; set on listeners only
  kBusyPoll,           // microseconds, SO_BUSY_POLL
  // What follows has no int value here, and is numbered so that a failure can name it.
  kCongestion,  // set_congestion()
  kReusePort,
  kIpv6Only,
  kProtocol,
};

// Option ids below this have an int value that set_option and get_option take.
inline constexpr size_t kIntOptionCount = static_cast<size_t>(Option::kCongestion);

// The options' names in the TypeScript API, by id. kKeepAlive's value is the boolean in `keepAlive`.
inline constexpr std::array kOptionNames{
    "noDelay",           "keepAlive", "keepAlive.idleMs",   "keepAlive.intervalMs", "keepAlive.count", "userTimeoutMs",
    "deferAcceptMs",     "fastOpen",  "receiveBufferBytes", "sendBufferBytes",      "quickAck",        "lingerMs",
    "notSentLowAtBytes", "ipTos",     "incomingCpu",        "busyPollMicros",       "congestion",      "reusePort",
    "ipv6Only",          "protocol",
};
static_assert(kOptionNames.size() == static_cast<size_t>(Option::kProtocol) + 1);

[[nodiscard]] constexpr const char* option_name(Option option) noexcept {
  return kOptionNames[static_cast<size_t>(option)];
}

struct OptionSetting {
  Option option = Option::kNoDelay;
  int value = 0;
};

// The outcome of setting several options: false if all went well, otherwise the error and, unless it was about
// something else, the option that was refused.
struct OptionFailure {
  Error error;
  std::optional<Option> option;
  explicit operator bool() const noexcept { return static_cast<bool>(error); }
};

// Whether an error of this file's functions means that the platform, the protocol or the kind of socket lacks the
// option (ERR_C1M_UNSUPPORTED_OPTION in TypeScript), rather than that the value or the privilege is wrong.
// An option that has no int value returns ENOPROTOOPT. So do those that the kernel would accept on a Unix
// socket and then ignore, for example kKeepAlive and kLinger.
[[nodiscard]] constexpr bool is_unsupported(const Error& error) noexcept {
  return error.code == ENOPROTOOPT || error.code == EOPNOTSUPP;
}

// setsockopt(2) and getsockopt(2), in the units above. kIpTos on a dual-stack IPv6 socket sets both families' byte.
Result<void> set_option(int fd, Option option, int value);
[[nodiscard]] Result<int> get_option(int fd, Option option);

// TCP_CONGESTION, by the algorithm's name: ENOENT if the kernel doesn't have it, EPERM if it is not for this user.
Result<void> set_congestion(int fd, const std::string& algorithm);
[[nodiscard]] Result<std::string> get_congestion(int fd);

// Sets them in order; stops at the first that is refused.
[[nodiscard]] OptionFailure set_options(int fd, std::span<const OptionSetting> settings);

// Every int option that the socket has, with the value that the kernel applied, in the order of the ids. Those for
// listeners only are left out for other sockets, except kIncomingCpu: there it is the CPU that received last. kQuickAck
// is left out for listeners, which don't keep it.
[[nodiscard]] std::vector<OptionSetting> get_options(int fd);

// What a listener is, as far as its options go.
enum class ListenerKind : uint8_t { kTcp, kMptcp, kUnix };

// Whether a connection needs no set_option after accept, because the kernel gives it the listener's value or because
// the option concerns listeners only. Unix sockets inherit nothing.
[[nodiscard]] bool inherited(Option option, ListenerKind kind) noexcept;

// The options of a socket, as the kernel has them.
struct AppliedOptions {
  std::vector<OptionSetting> settings;
  std::string congestion;  // empty if the socket has none

  static AppliedOptions of(int fd);
};

}  // namespace c1m
