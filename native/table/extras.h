#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "native/conn/framer.h"
#include "native/table/timeouts.h"

namespace c1m {

struct Relay;

// What few connections need, and those not for long: made on demand, so that an idle connection pays a pointer for all of
// it. Owner: the connection's Entry; it goes with the slot. Thread: the loop's.
struct Extras {
  Relay* relay = nullptr;  // that it is part of; `Relays` owns it
  std::unique_ptr<Timeouts> timeouts;
  std::unique_ptr<Framer> framer;              // received, and not a whole frame yet
  std::unique_ptr<const Framing> own_framing;  // one that the loop's table has no row for

  // What the peer had yet to acknowledge when a timeout looked last, and that tick; 0 bytes: nothing, or not looked.
  size_t unacknowledged = 0;
  uint32_t looked_at = 0;
  uint32_t relayed_to = 0;  // with a relay: the slot of its other side

  [[nodiscard]] bool empty() const {
    return relay == nullptr && timeouts == nullptr && framer == nullptr && own_framing == nullptr &&
           unacknowledged == 0;
  }
};

}  // namespace c1m
