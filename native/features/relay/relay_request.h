#pragma once

#include <array>
#include <cstdint>
#include <memory>

#include "native/conn/framer.h"
#include "native/exchange/request.h"

namespace c1m {

// The first step of a relay: nothing more is read for JavaScript, so that what is not delivered yet is in the batches before
// the answer, or with it. See lib/features/relay.ts.
class PrepareRelayRequest : public Request {
 public:
  uint32_t slots[2]{};
  uint32_t generations[2]{};

  bool prepared = false;
  std::unique_ptr<Framer> unread[2];  // what they were adopted with, and had yet to read

  bool run(Loop& loop) override;
  [[nodiscard]] std::array<ConnectionKey, 2> subjects() const override {
    return {ConnectionKey{slots[0], generations[0]}, ConnectionKey{slots[1], generations[1]}};
  }
};

// The second, about one of the two: it starts. Completed when the relay has ended.
class RelayRequest : public ConnectionRequest {
 public:
  uint64_t bytes[2]{};  // of what a sent, given to b's kernel; of what b sent, given to a's

  bool run(Loop& loop) override;
};

}  // namespace c1m
