#pragma once

#include <cstdint>
#include <deque>

#include "native/conn/outbound.h"
#include "native/exchange/mailbox.h"
#include "native/exchange/replies.h"
#include "native/exchange/stats.h"
#include "native/table/loop_options.h"

namespace c1m {

// The event batch that a loop fills, and those that wait to be filled.
//
//   spare ─▶ filling ── publish ──▶ mailbox ── JavaScript ──▶ take_returned() ─▶ spare
//
// Without a batch to fill nothing is read and nothing delivered, which bounds the memory under a JS thread that is blocked.
// Owner: one loop. Thread: the loop's.
class EventSink {
 public:
  EventSink(Mailbox& mailbox, Replies& replies, OutboundPool& pool, Stats& stats, JsWaker waker)
      : mailbox_(mailbox), replies_(replies), pool_(pool), stats_(stats), waker_(waker) {}
  EventSink(const EventSink&) = delete;
  EventSink& operator=(const EventSink&) = delete;

  // Called in front of each publish: its replies go with the batch.
  void before_publish(void (*call)(void* context), void* context) {
    before_publish_ = call;
    context_ = context;
  }

  // Makes room for one record. False if there is no batch for it.
  [[nodiscard]] bool ensure_record() { return (filling_ != nullptr && filling_->has_record()) || rotate(); }
  // Makes room for one record and for a read.
  [[nodiscard]] bool ensure_room(ReadMode mode) {
    return (filling_ != nullptr && filling_->has_room(mode)) || (rotate() && filling_->has_room(mode));
  }
  // Appends an event. False if there is no batch with room for it.
  [[nodiscard]] bool emit(Event event, uint32_t argument, uint32_t slot, uint32_t a, uint32_t b) {
    if (!ensure_record()) return false;
    filling_->append(event, argument, slot, a, b);
    return true;
  }

  // The batch that is being filled; null without one.
  [[nodiscard]] EventBatch* filling() const { return filling_; }
  // One connection has had its share of frames in this turn: the batch goes out at the turn's end.
  void crowd() { crowded_ = true; }

  // The ready list waits for a batch.
  [[nodiscard]] bool starved() const { return starved_; }
  void starve() { starved_ = true; }
  // Serving a connection stopped: for lack of a batch, or it continues in the next turn.
  void note_stop() { starved_ = filling_ == nullptr; }

  // Something waits to be published.
  [[nodiscard]] bool has_news() const {
    return filling_ != nullptr && (filling_->count() > 0 || replies_.any_in_order() || pool_.has_released());
  }
  // Hands the batch to the JS thread. Replies and released memory go with it.
  void publish();
  // Publishes if the batch is long enough, or JavaScript has nothing else; wakes it for replies that go on their own.
  void end_turn();
  // Takes batches back that JavaScript has gone through. Slots whose kClose was inside go behind those in `closed`.
  void take_returned(std::deque<uint32_t>& closed);

 private:
  [[nodiscard]] bool rotate();
  void wake_js();

  Mailbox& mailbox_;
  Replies& replies_;
  OutboundPool& pool_;
  Stats& stats_;
  JsWaker waker_;
  void (*before_publish_)(void* context) = nullptr;
  void* context_ = nullptr;
  EventBatch* filling_ = nullptr;  // null: all batches are with the JS thread
  EventBatch* spare_ = nullptr;    // linked by `next`
  bool starved_ = false;
  bool delayed_ = false;  // a short batch has waited for a turn
  bool crowded_ = false;
};

}  // namespace c1m
