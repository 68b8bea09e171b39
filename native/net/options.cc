#include "native/net/options.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <climits>

#include "native/net/linux/option_rows.h"

namespace c1m {
namespace {

constexpr Error kNoSuchOption{ENOPROTOOPT, "setsockopt"};

Result<void> set_int(int fd, int level, int name, int value) {
  if (::setsockopt(fd, level, name, &value, sizeof(value)) != 0) return Error::last("setsockopt");
  return {};
}

Result<int> get_int(int fd, int level, int name) {
  int value = 0;
  socklen_t length = sizeof(value);
  if (::getsockopt(fd, level, name, &value, &length) != 0) return Error::last("getsockopt");
  return value;
}

const OptionRow& row_of(Option option) noexcept { return kOptionRows[static_cast<size_t>(option)]; }

// Linux takes any SOL_SOCKET option on a Unix socket. These have an effect on IP alone, so that accepting them would
// be to drop them silently. (SO_SNDBUF works on both.)
bool needs_ip(Option option, const OptionRow& row) noexcept {
  return row.level == SOL_SOCKET && option != Option::kSendBuffer;
}

// Answers why this socket lacks the option, or no error.
Error lacks(int fd, Option option) {
  if (static_cast<size_t>(option) >= kIntOptionCount) return kNoSuchOption;
  const OptionRow& row = row_of(option);
  if (!needs_ip(option, row)) return {};
  Result<int> family = get_int(fd, SOL_SOCKET, kSocketFamily);
  if (!family) return family.error();
  return family.value() == AF_UNIX ? kNoSuchOption : Error{};
}

Result<void> set_linger(int fd, int seconds) {
  const linger value{seconds >= 0, seconds >= 0 ? seconds : 0};
  if (::setsockopt(fd, SOL_SOCKET, SO_LINGER, &value, sizeof(value)) != 0) return Error::last("setsockopt");
  return {};
}

Result<int> get_linger(int fd) {
  linger value{};
  socklen_t length = sizeof(value);
  if (::getsockopt(fd, SOL_SOCKET, SO_LINGER, &value, &length) != 0) return Error::last("getsockopt");
  return value.l_onoff != 0 ? value.l_linger : -1;
}

// IPv4 packets of a dual-stack socket take IP_TOS, IPv6 ones IPV6_TCLASS. The traffic class goes first: MPTCP over
// IPv6 refuses it, and then nothing has been changed.
Result<void> set_tos(int fd, int tos) {
  Result<int> family = get_int(fd, SOL_SOCKET, kSocketFamily);
  if (!family) return family.error();
  if (family.value() != AF_INET6) return set_int(fd, IPPROTO_IP, IP_TOS, tos);
  if (Result<void> set = set_int(fd, IPPROTO_IPV6, IPV6_TCLASS, tos); !set) return set;
  Result<int> v6_only = get_int(fd, IPPROTO_IPV6, IPV6_V6ONLY);
  if (!v6_only) return v6_only.error();
  return v6_only.value() != 0 ? Result<void>{} : set_int(fd, IPPROTO_IP, IP_TOS, tos);
}

Result<int> get_tos(int fd) {
  Result<int> family = get_int(fd, SOL_SOCKET, kSocketFamily);
  if (!family) return family.error();
  if (family.value() == AF_INET6) return get_int(fd, IPPROTO_IPV6, IPV6_TCLASS);
  return get_int(fd, IPPROTO_IP, IP_TOS);
}

}  // namespace

Result<void> set_option(int fd, Option option, int value) {
  if (const Error missing = lacks(fd, option)) return missing;
  if (option == Option::kLinger) return set_linger(fd, value);
  if (option == Option::kIpTos) return set_tos(fd, value);
  return set_int(fd, row_of(option).level, row_of(option).name, value);
}

Result<int> get_option(int fd, Option option) {
  if (const Error missing = lacks(fd, option)) return Error{missing.code, "getsockopt"};
  if (option == Option::kLinger) return get_linger(fd);
  if (option == Option::kIpTos) return get_tos(fd);
  Result<int> value = get_int(fd, row_of(option).level, row_of(option).name);
  // An unsigned 32-bit number in the kernel: "no limit" (UINT_MAX) would come out as -1.
  if (value && option == Option::kNotSentLowAt && value.value() < 0) return INT_MAX;
  return value;
}

Result<void> set_congestion(int fd, const std::string& algorithm) {
  const auto length = static_cast<socklen_t>(algorithm.size());
  if (::setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, algorithm.data(), length) != 0) return Error::last("setsockopt");
  return {};
}

Result<std::string> get_congestion(int fd) {
  char name[64]{};  // TCP_CA_NAME_MAX is 16 on Linux and on FreeBSD
  socklen_t length = sizeof(name) - 1;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length) != 0) return Error::last("getsockopt");
  return std::string(name);
}

OptionFailure set_options(int fd, std::span<const OptionSetting> settings) {
  for (const auto& [option, value] : settings) {
    if (Result<void> set = set_option(fd, option, value); !set) return {set.error(), option};
  }
  return {};
}

std::vector<OptionSetting> get_options(int fd) {
  Result<int> accepting = get_int(fd, SOL_SOCKET, SO_ACCEPTCONN);
  const bool listening = accepting && accepting.value() != 0;
  std::vector<OptionSetting> settings;
  for (size_t id = 0; id < kIntOptionCount; ++id) {
    const auto option = static_cast<Option>(id);
    if (!listening && row_of(option).listener_only && option != Option::kIncomingCpu) continue;
    // listen(2) has forgotten what was set before it; it is set on the connections.
    if (listening && option == Option::kQuickAck) continue;
    if (Result<int> value = get_option(fd, option)) settings.push_back({option, value.value()});
  }
  return settings;
}

bool inherited(Option option, ListenerKind kind) noexcept {
  if (static_cast<size_t>(option) >= kIntOptionCount || row_of(option).listener_only) return true;
  switch (kind) {
    case ListenerKind::kTcp:
      return row_of(option).inheritance != Inheritance::kNone;
    case ListenerKind::kMptcp:
      return row_of(option).inheritance == Inheritance::kAll;
    case ListenerKind::kUnix:
      return false;
  }
  return false;
}

AppliedOptions AppliedOptions::of(int fd) {
  AppliedOptions applied;
  applied.settings = get_options(fd);
  Result<std::string> congestion = get_congestion(fd);
  if (congestion) applied.congestion = std::move(congestion.value());
  return applied;
}

}  // namespace c1m
