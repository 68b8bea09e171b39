#pragma once

#include <string>
#include <vector>

#include "native/exchange/request.h"
#include "native/net/options.h"
#include "native/net/tcp_info.h"

namespace c1m {

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
