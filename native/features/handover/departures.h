#pragma once

#include <deque>

#include "native/exchange/replies.h"
#include "native/features/handover/adopt_detach.h"
#include "native/features/handover/migration.h"

namespace c1m {

// The requests that take connections out of a loop, in order.
// Owner: one loop. Thread: the loop's.
class Departures {
 public:
  Departures(AdoptDetach& of_detach, Migration& of_release, Replies& replies)
      : adopt_detach(of_detach), migration(of_release), replies_(replies) {}

  // True if it is complete; otherwise it is completed later.
  [[nodiscard]] bool depart(DepartRequest& request) {
    if (waiting_.empty() && request.attempt(*this)) return true;
    waiting_.push_back(&request);
    return false;
  }
  // Tries those again that the passage took none of.
  void serve() {
    while (!waiting_.empty() && waiting_.front()->attempt(*this)) {
      replies_.complete(waiting_.front());
      waiting_.pop_front();
    }
  }
  [[nodiscard]] bool any_waiting() const { return !waiting_.empty(); }

  AdoptDetach& adopt_detach;
  Migration& migration;

 private:
  Replies& replies_;
  std::deque<DepartRequest*> waiting_;
};

}  // namespace c1m
