#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/loop/inbox.h"
#include "native/net/address.h"

namespace c1m {

// How an acceptor spreads connections over loops; lib/layout.ts has the same names in the same order.
enum class Placement : uint8_t { kLeastConnections, kRoundRobin, kSourceHash };
inline constexpr std::array kPlacementNames{"least-connections", "round-robin", "source-hash"};

// The loops among which a listener's connections are spread, its own among them.
// Owner: its Listening. Thread: the acceptor's.
class Spread {
 public:
  Spread() = default;
  Spread(Placement placement, std::vector<std::shared_ptr<Inbox>> loops)
      : placement_(placement), loops_(std::move(loops)) {}

  // Nobody to share with.
  [[nodiscard]] bool alone() const { return loops_.empty(); }
  // For the next connection.
  [[nodiscard]] Inbox& choose(const PackedAddress& peer);

 private:
  [[nodiscard]] size_t index_for(const PackedAddress& peer);
  [[nodiscard]] size_t least();
  [[nodiscard]] size_t next();

  Placement placement_ = Placement::kLeastConnections;
  std::vector<std::shared_ptr<Inbox>> loops_;
  size_t next_ = 0;
};

}  // namespace c1m
