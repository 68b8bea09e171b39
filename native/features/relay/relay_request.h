#pragma once

#include <cstdint>
#include <memory>

#include "native/conn/framer.h"
#include "native/exchange/request.h"

namespace c1m {

// The first step of a relay: nothing more is read for JavaScript, so that what it has yet to hear is in the batches before
// the answer, or with it. See lib/relay.ts.
class HoldRelayRequest : public Request {
 public:
  uint32_t slots[2]{};
  uint32_t generations[2]{};

  bool held = false;
  std::unique_ptr<Framer> unread[2];  // what they were adopted with, and had yet to read

  bool run(Loop& loop) override;
  [[nodiscard]] Expected* waits(Loop& loop) const override;
};

// The second, about one of the two: it starts. Answers when it is over.
class RelayRequest : public ConnectionRequest {
 public:
  uint64_t bytes[2]{};  // of what a sent, given to b's kernel; of what b sent, given to a's

  bool run(Loop& loop) override;
};

}  // namespace c1m
