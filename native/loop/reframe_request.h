#pragma once

#include <memory>
#include <vector>

#include "native/loop/request.h"

namespace c1m {

struct Framing;

// The second half of a change of framing: JavaScript has had its kFraming, and gives back what it holds. Not answered.
class ReframeRequest : public ConnectionRequest {
 public:
  std::unique_ptr<const Framing> framing;  // null: bytes as they come
  std::vector<uint8_t> bytes;
  bool ended = false;

  bool run(Loop& loop) override;
};

}  // namespace c1m
