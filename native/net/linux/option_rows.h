#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cstdint>

#include "native/net/options.h"

namespace c1m {

// What a connection has of its listener's value, as measured on Linux 6.18, over IPv4 and IPv6.
enum class Inheritance : uint8_t {
  kAll,
  kTcp,  // all; but a plain TCP client of an MPTCP listener loses it, an MPTCP client doesn't
  kNone,
};

// An option's place in the kernel.
struct OptionRow {
  int level;
  int name;
  bool listener_only = false;
  Inheritance inheritance = Inheritance::kAll;
};

// In the order of the ids; kLinger and kIpTos need more than one int and are only named here.
inline constexpr OptionRow kOptionRows[kIntOptionCount] = {
    {IPPROTO_TCP, TCP_NODELAY},                                  // kNoDelay
    {SOL_SOCKET, SO_KEEPALIVE},                                  // kKeepAlive
    {IPPROTO_TCP, TCP_KEEPIDLE},                                 // kKeepAliveIdle
    {IPPROTO_TCP, TCP_KEEPINTVL},                                // kKeepAliveInterval
    {IPPROTO_TCP, TCP_KEEPCNT},                                  // kKeepAliveCount
    {IPPROTO_TCP, TCP_USER_TIMEOUT},                             // kUserTimeout
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, true},                       // kDeferAccept
    {IPPROTO_TCP, TCP_FASTOPEN, true},                           // kFastOpen
    {SOL_SOCKET, SO_RCVBUF},                                     // kReceiveBuffer
    {SOL_SOCKET, SO_SNDBUF},                                     // kSendBuffer
    {IPPROTO_TCP, TCP_QUICKACK, false, Inheritance::kNone},      // kQuickAck
    {SOL_SOCKET, SO_LINGER},                                     // kLinger
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, false, Inheritance::kTcp},  // kNotSentLowAt
    {IPPROTO_IP, IP_TOS},                                        // kIpTos
    {SOL_SOCKET, SO_INCOMING_CPU, true},                         // kIncomingCpu
    {SOL_SOCKET, SO_BUSY_POLL, false, Inheritance::kTcp},        // kBusyPoll
};

// SOL_SOCKET's option that says of which family a socket is.
inline constexpr int kSocketFamily = SO_DOMAIN;

}  // namespace c1m
