#include "native/table/event_sink.h"

#include <utility>

namespace c1m {

namespace {

// Records with which a batch is published although more may be ready: about 0.2 ms of system calls for the I/O thread,
// while the JS thread would sleep.
constexpr uint32_t kEnoughRecords = 64;

}  // namespace

void EventSink::publish() {
  if (before_publish_ != nullptr) before_publish_(context_);
  std::swap(filling_->completed, replies_.in_order());
  std::swap(filling_->released, pool_.released());
  ++stats_.batches;
  delayed_ = false;
  mailbox_.events.push(filling_);
  filling_ = spare_;
  if (spare_ != nullptr) spare_ = spare_->next;
  wake_js();
}

// A short batch is filled for one more turn: more may be ready by now, and the loop publishes before it sleeps. For one
// turn only, because a loop that is busy with others comes to no sleep. A longer batch waits, too, while JavaScript has an
// untouched one to continue with. Load makes batches longer, and wake-ups rarer.
void EventSink::end_turn() {
  const bool crowded = std::exchange(crowded_, false);
  if (has_news() && (crowded || mailbox_.events.empty())) {
    if (crowded || delayed_ || filling_->count() >= kEnoughRecords) {
      publish();
    } else {
      delayed_ = true;
    }
  }
  if (replies_.take_sent()) wake_js();
}

void EventSink::take_returned(std::deque<uint32_t>& closed) {
  EventBatch* batch = mailbox_.returned.take();
  while (batch != nullptr) {
    EventBatch* next = batch->next;
    closed.insert(closed.end(), batch->closed.begin(), batch->closed.end());
    batch->reset();
    batch->next = spare_;
    spare_ = batch;
    batch = next;
    starved_ = false;
  }
  if (filling_ == nullptr && spare_ != nullptr) {
    filling_ = spare_;
    spare_ = spare_->next;
  }
}

// The batch is full: on to the next. False if there is none.
bool EventSink::rotate() {
  if (filling_ != nullptr) publish();
  return filling_ != nullptr;
}

// There is something for JavaScript in the mailbox.
void EventSink::wake_js() {
  if (!mailbox_.must_wake_js()) return;
  ++stats_.js_wakeups;
  waker_.wake(waker_.context);
}

}  // namespace c1m
