#pragma once

#include <cstdint>

#include "native/exchange/request.h"
#include "native/net/connect.h"
#include "native/table/connection_settings.h"

namespace c1m {

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

}  // namespace c1m
