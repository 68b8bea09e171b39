// Socket options, their inheritance by connections, and TCP_INFO.
#include <doctest/doctest.h>
#include <netinet/in.h>
#include <unistd.h>

#include <climits>
#include <cmath>
#include <map>
#include <string>

#include "native/net/options.h"
#include "native/net/socket.h"
#include "native/net/stream.h"
#include "native/net/tcp_info.h"
#include "test/native/net_pair.h"

#ifndef IPPROTO_MPTCP
#define IPPROTO_MPTCP 262
#endif

using namespace c1m;
using namespace std::string_literals;

namespace {

// A value for each option that isn't its default, and the value that is read back.
struct Sample {
  Option option;
  int value;
  int applied;
};
constexpr Sample kSamples[] = {
    {Option::kNoDelay, 1, 1},
    {Option::kKeepAlive, 1, 1},
    {Option::kKeepAliveIdle, 33, 33},
    {Option::kKeepAliveInterval, 7, 7},
    {Option::kKeepAliveCount, 4, 4},
    {Option::kUserTimeout, 12345, 12345},
    {Option::kDeferAccept, 2, 3},  // rounded up to the SYN-ACK timer's steps
    {Option::kFastOpen, 16, 16},
    {Option::kReceiveBuffer, 50000, 100000},
    {Option::kSendBuffer, 40000, 80000},
    {Option::kQuickAck, 0, 0},
    {Option::kLinger, 5, 5},
    {Option::kNotSentLowAt, 16384, 16384},
    {Option::kIpTos, 0xb8, 0xb8},
    {Option::kIncomingCpu, 0, 0},
    {Option::kBusyPoll, 50, 50},
};
static_assert(std::size(kSamples) == kIntOptionCount);

bool privileged() { return ::geteuid() == 0; }

// Returns all samples that a listener of this kind supports; the others must fail as unsupported. kDeferAccept is left
// out, because it would delay the connection until data comes.
ListenSpec spec_of_samples(int family, bool mptcp) {
  ListenSpec spec;
  spec.mptcp = mptcp;
  const Fd probe(::socket(family, SOCK_STREAM, mptcp ? IPPROTO_MPTCP : 0));
  for (const Sample& sample : kSamples) {
    if (sample.option == Option::kDeferAccept || (sample.option == Option::kBusyPoll && !privileged())) continue;
    const Result<void> set = set_option(probe.get(), sample.option, sample.value);
    CAPTURE(std::string(option_name(sample.option)));
    CHECK((set.ok() || is_unsupported(set.error())));
    if (set) spec.options.push_back({sample.option, sample.value});
  }
  return spec;
}

int applied_of(Option option) { return kSamples[static_cast<size_t>(option)].applied; }

void check_connection(const Pair& pair, const ListenSpec& spec, ListenerKind kind) {
  std::map<Option, int> listener;
  for (const auto& [option, value] : get_options(pair.listener.get())) listener[option] = value;
  for (const auto& [option, value] : spec.options) {
    CAPTURE(std::string(option_name(option)));
    CHECK(listener.contains(option) == (option != Option::kQuickAck));
    if (option == Option::kQuickAck) continue;
    CHECK(listener.at(option) == applied_of(option));
    if (option == Option::kFastOpen || option == Option::kIncomingCpu) continue;
    if (inherited(option, kind)) CHECK(get_option(pair.server.get(), option).value() == applied_of(option));
  }
  CHECK_FALSE(set_options(pair.server.get(), settings_after_accept(spec)));
  std::map<Option, int> server;
  for (const auto& [option, value] : get_options(pair.server.get())) server[option] = value;
  CHECK_FALSE(server.contains(Option::kDeferAccept));
  CHECK_FALSE(server.contains(Option::kFastOpen));
  for (const auto& [option, value] : spec.options) {
    CAPTURE(std::string(option_name(option)));
    if (option == Option::kIncomingCpu || !server.contains(option)) continue;
    CHECK(server.at(option) == applied_of(option));
  }
}

}  // namespace

TEST_CASE("every option has a name, by which it is found") {
  CHECK(option_name(Option::kNoDelay) == "noDelay"s);
  CHECK(option_name(Option::kBusyPoll) == "busyPollMicros"s);
  CHECK(option_name(Option::kCongestion) == "congestion"s);
  CHECK(option_name(Option::kProtocol) == "protocol"s);
  for (size_t id = 0; id < kIntOptionCount; ++id) CHECK(static_cast<size_t>(kSamples[id].option) == id);
}

TEST_CASE("each TCP option is set and read back") {
  for (const int family : {AF_INET, AF_INET6}) {
    const Fd socket(::socket(family, SOCK_STREAM, 0));
    if (!socket.valid()) continue;
    for (const Sample& sample : kSamples) {
      if (sample.option == Option::kBusyPoll && !privileged()) continue;
      CAPTURE(std::string(option_name(sample.option)));
      CHECK(set_option(socket.get(), sample.option, sample.value).ok());
      CHECK(get_option(socket.get(), sample.option).value() == sample.applied);
    }
  }
}

TEST_CASE("linger can be switched off, tos keeps the ECN bits, and bad values fail") {
  const Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
  const int fd = socket.get();
  CHECK(get_option(fd, Option::kLinger).value() == -1);
  CHECK(set_option(fd, Option::kLinger, 0).ok());
  CHECK(get_option(fd, Option::kLinger).value() == 0);
  CHECK(set_option(fd, Option::kLinger, -1).ok());
  CHECK(get_option(fd, Option::kLinger).value() == -1);
  CHECK(set_option(fd, Option::kIpTos, 255).ok());
  CHECK(get_option(fd, Option::kIpTos).value() == 252);  // the kernel keeps the ECN bits
  const Result<void> refused = set_option(fd, Option::kKeepAliveCount, 128);
  CHECK(refused.error().code == EINVAL);
  CHECK_FALSE(is_unsupported(refused.error()));
  CHECK(set_option(-1, Option::kNoDelay, 1).error().code == EBADF);
  CHECK(set_option(-1, Option::kLinger, 1).error().code == EBADF);
  CHECK(is_unsupported(set_option(fd, Option::kCongestion, 1).error()));
  CHECK(is_unsupported(get_option(fd, Option::kProtocol).error()));
}

TEST_CASE("tos on a dual-stack socket is set for both families") {
  const Fd dual(::socket(AF_INET6, SOCK_STREAM, 0));
  if (!dual.valid()) return;
  const int off = 0;
  REQUIRE(::setsockopt(dual.get(), IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off)) == 0);
  CHECK(set_option(dual.get(), Option::kIpTos, 0x20).ok());
  int tos = 0;
  socklen_t length = sizeof(tos);
  REQUIRE(::getsockopt(dual.get(), IPPROTO_IP, IP_TOS, &tos, &length) == 0);
  CHECK(tos == 0x20);
  CHECK(get_option(dual.get(), Option::kIpTos).value() == 0x20);
}

TEST_CASE("congestion control is set and read by name") {
  const Fd socket(::socket(AF_INET, SOCK_STREAM, 0));
  CHECK(set_congestion(socket.get(), "reno").ok());
  CHECK(get_congestion(socket.get()).value() == "reno");
  CHECK(set_congestion(socket.get(), "nosuch").error().code == ENOENT);
  const Fd local(::socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK(is_unsupported(set_congestion(local.get(), "reno").error()));
  CHECK(is_unsupported(get_congestion(local.get()).error()));
}

TEST_CASE("a Unix socket supports only the send buffer's size") {
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM, 0));
  for (const Sample& sample : kSamples) {
    CAPTURE(std::string(option_name(sample.option)));
    const Result<void> set = set_option(socket.get(), sample.option, sample.value);
    if (sample.option == Option::kSendBuffer) {
      CHECK(set.ok());
      CHECK(get_option(socket.get(), sample.option).value() == sample.applied);
    } else {
      CHECK(is_unsupported(set.error()));
      CHECK(is_unsupported(get_option(socket.get(), sample.option).error()));
    }
  }
  CHECK(get_options(socket.get()).size() == 1);
  CHECK_FALSE(inherited(Option::kSendBuffer, ListenerKind::kUnix));
}

TEST_CASE("TCP connections inherit the options for which inherited() is true") {
  struct Case {
    int family;
    const char* host;
    const char* from;
  };
  for (const auto& [family, host, from] : {Case{AF_INET, "127.0.0.1", "127.0.0.1"}, Case{AF_INET6, "::1", "::1"},
                                           Case{AF_INET6, "::", "127.0.0.1"}, Case{AF_INET6, "::", "::1"}}) {
    CAPTURE(std::string(host));
    CAPTURE(std::string(from));
    ListenSpec spec = spec_of_samples(family, false);
    spec.congestion = "reno";
    const Pair pair = Pair::tcp(host, spec, from);
    if (!pair.ok()) {
      MESSAGE("skipped: the kernel lacks this address family");
      continue;
    }
    check_connection(pair, spec, ListenerKind::kTcp);
    CHECK(get_congestion(pair.server.get()).value() == "reno");
  }
}

TEST_CASE("connections of an MPTCP listener inherit the same, from clients with and without MPTCP") {
  for (const int client_protocol : {0, int{IPPROTO_MPTCP}}) {
    for (const auto& [family, host] : {std::pair{AF_INET, "127.0.0.1"}, std::pair{AF_INET6, "::1"}}) {
      CAPTURE(client_protocol);
      CAPTURE(std::string(host));
      ListenSpec spec = spec_of_samples(family, true);
      const Pair pair = Pair::tcp(host, spec, host, client_protocol);
      if (!pair.ok()) {
        MESSAGE("skipped: the kernel lacks MPTCP");
        continue;
      }
      check_connection(pair, spec, ListenerKind::kMptcp);
      CHECK(read_tcp_info(pair.server.get()).ok());
    }
  }
}

TEST_CASE("a failure to listen names the refused option") {
  ListenSpec spec;
  spec.address = Address::ip("127.0.0.1", 0).value();
  spec.options = {{Option::kNoDelay, 1}, {Option::kKeepAliveCount, 1000}};
  const ListenOutcome refused = open_listener(spec);
  CHECK(refused.failure.error.code == EINVAL);
  CHECK(refused.failure.option == Option::kKeepAliveCount);
  spec.options.clear();
  spec.congestion = "nosuch";
  CHECK(open_listener(spec).failure.option == Option::kCongestion);
  spec.congestion.clear();
  spec.ipv6_only = true;
  CHECK(open_listener(spec).failure.option == Option::kIpv6Only);

  ListenSpec local;
  local.address = Address::unix_path("\0c1m-options-test"s).value();
  local.mptcp = true;
  const ListenOutcome no_mptcp = open_listener(local);
  CHECK(no_mptcp.failure.option == Option::kProtocol);
  CHECK(is_unsupported(no_mptcp.failure.error));
  local.mptcp = false;
  local.reuse_port = true;
  CHECK(open_listener(local).failure.option == Option::kReusePort);
  local.reuse_port = false;
  local.options = {{Option::kSendBuffer, 40000}};
  CHECK(open_listener(local).ok());
  CHECK(settings_after_accept(local).size() == 1);
}

TEST_CASE("TCP_INFO has plausible values for a loopback connection") {
  const Pair pair = Pair::tcp("127.0.0.1");
  REQUIRE(pair.ok());
  const std::string bytes(1000, 'x');
  REQUIRE(send_bytes(pair.client.get(), bytes.data(), bytes.size()) == 1000);
  pair.wait_server();
  TcpInfo info = read_tcp_info(pair.client.get()).value();
  CHECK(info.state == 1);
  CHECK(info.rtt_micros > 0);
  CHECK(info.rto_micros >= 200000);
  CHECK(info.congestion_window >= 1);
  CHECK(std::isinf(info.slow_start_threshold));
  CHECK(info.send_mss > 500);
  CHECK(info.path_mtu > info.send_mss);
  CHECK(info.bytes_sent == 1000);
  CHECK(info.bytes_acked == 1001);
  CHECK(info.bytes_retransmitted == 0);
  CHECK(info.total_retransmits == 0);
  CHECK(info.last_data_sent_ms < 5000);
  CHECK(info.delivery_rate_bytes > 0);
  REQUIRE(shutdown_write(pair.client.get()).ok());
  char buffer[2000];
  REQUIRE(receive(pair.server.get(), buffer, sizeof(buffer)) == 1000);
  pair.wait_server();
  info = read_tcp_info(pair.server.get()).value();
  CHECK(info.state == 8);  // CLOSE_WAIT
  CHECK(info.bytes_received == 1001);
}

TEST_CASE("TCP_INFO of a Unix socket is unsupported, and of a new socket mostly unknown") {
  const Fd local(::socket(AF_UNIX, SOCK_STREAM, 0));
  CHECK(is_unsupported(read_tcp_info(local.get()).error()));
  CHECK(read_tcp_info(-1).error().code == EBADF);
  const Fd fresh(::socket(AF_INET, SOCK_STREAM, 0));
  const TcpInfo info = read_tcp_info(fresh.get()).value();
  CHECK(info.state == 7);  // CLOSE
  CHECK(std::isnan(info.min_rtt_micros));
}
