#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "native/exchange/request.h"
#include "native/features/accept/acceptor.h"
#include "native/net/connect.h"
#include "native/net/listen.h"
#include "native/net/tcp_info.h"

namespace c1m {

// The options of a socket, as the kernel has them.
struct AppliedOptions {
  std::vector<OptionSetting> settings;
  std::string congestion;  // empty if the socket has none

  static AppliedOptions of(int fd);
};

// Opens a listening socket on the I/O thread, whose file table it must be in, and starts to accept.
class ListenRequest : public Request {
 public:
  ListenSpec spec;
  ConnectionSettings connections;
  bool accepts = true;  // false: another loop does, and hands this one its share
  Spread spread;
  std::vector<Fd> passages;  // of its loops, if they have file tables of their own; the JS thread's

  OptionFailure failure;
  Address bound;
  AppliedOptions applied;

  bool run(Loop& loop) override;

 private:
  [[nodiscard]] bool open(Loop& loop, Listening& listening);
  [[nodiscard]] Result<void> bring(Loop& loop, Spread& to, Fd& given);
};

// Opens a connection. Its kOpen says that it is there; the answer says only whether there will be one.
class ConnectRequest : public Request {
 public:
  ConnectSpec spec;
  ConnectionSettings connection;
  uint32_t connect_timeout_ms = 0;  // 0 for the kernel's own

  bool full = false;  // at max_connections
  OptionFailure failure;

  bool run(Loop& loop) override;
};

// Gives an attempt up: its answer is ECANCELED, unless it had one.
class CancelConnectRequest : public Request {
 public:
  uint32_t context = 0;

  bool run(Loop& loop) override;
};

// Closes it behind those that its queue holds at this time.
class CloseListenerRequest : public Request {
 public:
  uint32_t index = 0;

  // The kOpen of some of them may still be under way.
  uint32_t accepted = 0;

  bool run(Loop& loop) override;
};

// Sets options of a connection, perhaps none, and reads all of them back.
class OptionsRequest : public ConnectionRequest {
 public:
  std::vector<OptionSetting> settings;
  std::string congestion;

  bool closed = false;
  OptionFailure failure;
  AppliedOptions applied;

  [[nodiscard]] bool in_order() const override { return false; }
  bool run(Loop& loop) override;
};

class TcpInfoRequest : public ConnectionRequest {
 public:
  bool closed = false;
  Error error;
  TcpInfo info{};

  [[nodiscard]] bool in_order() const override { return false; }
  bool run(Loop& loop) override;
};

}  // namespace c1m
