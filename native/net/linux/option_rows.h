#pragma once

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include "native/net/options.h"

namespace c1m {

// An option's place in the kernel.
struct OptionRow {
  int level;
  int name;
  bool listener_only;
};

// In the order of the ids; kLinger and kIpTos need more than one int and are only named here.
inline constexpr OptionRow kOptionRows[kIntOptionCount] = {
    {IPPROTO_TCP, TCP_NODELAY, false},        // kNoDelay
    {SOL_SOCKET, SO_KEEPALIVE, false},        // kKeepAlive
    {IPPROTO_TCP, TCP_KEEPIDLE, false},       // kKeepAliveIdle
    {IPPROTO_TCP, TCP_KEEPINTVL, false},      // kKeepAliveInterval
    {IPPROTO_TCP, TCP_KEEPCNT, false},        // kKeepAliveCount
    {IPPROTO_TCP, TCP_USER_TIMEOUT, false},   // kUserTimeout
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, true},    // kDeferAccept
    {IPPROTO_TCP, TCP_FASTOPEN, true},        // kFastOpen
    {SOL_SOCKET, SO_RCVBUF, false},           // kReceiveBuffer
    {SOL_SOCKET, SO_SNDBUF, false},           // kSendBuffer
    {IPPROTO_TCP, TCP_QUICKACK, false},       // kQuickAck
    {SOL_SOCKET, SO_LINGER, false},           // kLinger
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, false},  // kNotSentLowAt
    {IPPROTO_IP, IP_TOS, false},              // kIpTos
    {SOL_SOCKET, SO_INCOMING_CPU, true},      // kIncomingCpu
    {SOL_SOCKET, SO_BUSY_POLL, false},        // kBusyPoll
};

// SOL_SOCKET's option that says of which family a socket is.
inline constexpr int kSocketFamily = SO_DOMAIN;

}  // namespace c1m
