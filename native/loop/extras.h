#pragma once

#include <memory>

#include "native/loop/timeouts.h"

namespace c1m {

struct Relay;

// What few connections need, and those not for long: made on demand, so that an idle connection pays a pointer for all of
// it. Owner: the connection's Entry; it goes with the slot. Thread: the loop's.
struct Extras {
  Relay* relay = nullptr;  // that it is part of; `Relays` owns it
  std::unique_ptr<Timeouts> timeouts;
};

}  // namespace c1m
