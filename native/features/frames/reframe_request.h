#pragma once

#include <memory>

#include "native/conn/framer.h"
#include "native/exchange/request.h"

namespace c1m {

// The second half of a change of framing: JavaScript has had its kFraming, and gives back what it holds. Not answered.
class ReframeRequest : public ConnectionRequest {
 public:
  std::unique_ptr<const Framing> framing;  // null: bytes as they come
  std::unique_ptr<Framer> bytes;           // null for none
  bool ended = false;

  bool run(Loop& loop) override;
};

}  // namespace c1m
