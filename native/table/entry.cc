#include "native/table/entry.h"

#include <cassert>

namespace c1m {

void Entry::check() const {
  assert(!has(kInFlush) || !has(kInBulk));
  if (has(kWriteFailed)) assert(error != 0 && out.empty());
  if (has(kFramesWaiting)) assert(unread_bytes() > 0);
  if (extras != nullptr && extras->timeouts != nullptr) assert(has(kTimeoutDue) == (extras->timeouts->due != 0));
  if (has(kClosing)) {
    assert(out.empty() && !timer.armed && unread_bytes() == 0 && !can_read());
    return;
  }
  const bool in_relay = extras != nullptr && extras->relay != nullptr;
  assert(has(kRelayed) == in_relay);
  if (has(kConnecting)) assert(!has(kDue) && out.empty());
  if (has(kFinSent)) assert(has(kRelayed | kEndWanted));
  // Otherwise it would wait for an edge that need not come.
  const bool is_due = has(end_waits() ? kDue & ~kEndDue : kDue) || can_read();
  if (is_due) assert(has(kInReady));
}

}  // namespace c1m
