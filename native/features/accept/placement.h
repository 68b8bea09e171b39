#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <vector>

#include "native/exchange/inbox.h"
#include "native/net/address.h"

namespace c1m {

// How an acceptor spreads connections over loops; lib/native/layout.ts has the same names in the same order.
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
  // The index of whose the next connection is.
  [[nodiscard]] size_t choose(const PackedAddress& peer);
  [[nodiscard]] Inbox& inbox(size_t index) { return *loops_[index]; }
  // Outer ends of the loops' passages, one each, if they have file tables of their own.
  void set_passages(std::vector<Fd> passages) { passages_ = std::move(passages); }
  [[nodiscard]] int passage(size_t index) const { return passages_.empty() ? -1 : passages_[index].get(); }

 private:
  [[nodiscard]] size_t least_loaded();
  [[nodiscard]] size_t next();

  Placement placement_ = Placement::kLeastConnections;
  std::vector<std::shared_ptr<Inbox>> loops_;
  std::vector<Fd> passages_;
  size_t next_ = 0;
};

}  // namespace c1m
