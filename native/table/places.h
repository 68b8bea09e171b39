#pragma once

#include <cstdint>
#include <memory>

#include "native/exchange/inbox.h"
#include "native/exchange/quota.h"

namespace c1m {

// The places of a loop's connections: each counts in the quota that the loops of a reactor share, and in the load of this
// loop, by which other loops balance. A place is claimed before its slot is, and given back with it.
// Owner: one loop. Thread: the loop's; the inbox says what others may use.
class Places {
 public:
  // `shared`: other loops have the counter in common.
  Places(Poller& poller, uint32_t* used, uint32_t max, bool shared)
      : quota_(used, max), shared_(shared), inbox_(std::make_shared<Inbox>(poller)) {}

  void claim() {
    quota_.take();
    inbox_->add_load(1);
  }
  // False at the maximum.
  [[nodiscard]] bool try_claim() {
    if (!quota_.try_take()) return false;
    inbox_->add_load(1);
    return true;
  }
  void give_back() {
    quota_.give_back();
    inbox_->add_load(-1);
  }

  [[nodiscard]] Quota& quota() { return quota_; }
  [[nodiscard]] bool shared() const { return shared_; }
  [[nodiscard]] Inbox& inbox() { return *inbox_; }
  // Loops that hand connections over to this one use it, also after this loop's end.
  [[nodiscard]] const std::shared_ptr<Inbox>& shared_inbox() const { return inbox_; }

 private:
  Quota quota_;
  bool shared_;
  std::shared_ptr<Inbox> inbox_;
};

}  // namespace c1m
