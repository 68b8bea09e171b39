#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "native/table/turn_clock.h"

namespace c1m {

// A timer's place in the wheel. It lies inside what it times, so that arming allocates nothing.
struct TimerNode {
  static constexpr uint32_t kNone = UINT32_MAX;
  uint32_t previous = kNone;
  uint32_t next = kNone;
  uint32_t deadline = 0;  // tick
  bool armed = false;
};

// A hashed timing wheel (Varghese and Lauck, scheme 6): arming and cancelling touch two neighbours and a bit.
//
//   heads_ [ 0 | 1 | … | now | … | 4095 ]   a bucket lists the timers whose deadline % 4096 is its index
//                          │
//                          ▼
//                       id ⇄ id ⇄ id         linked through the nodes by id
//
// Timers of a later round stay in their bucket until theirs comes. A bit for each bucket finds the next one in use.
// `Nodes` is callable: TimerNode& nodes(uint32_t id). Ticks are compared by their difference, so that they may wrap.
// Owner: one loop. Thread: the loop's.
template <class Nodes>
class TimerWheel {
 public:
  static constexpr uint32_t kTickMs = TurnClock::kTickMs;
  static constexpr uint32_t kBuckets = 4096;  // 33 s a round

  explicit TimerWheel(Nodes nodes) : nodes_(nodes) { heads_.fill(TimerNode::kNone); }

  // Ticks that last at least as long as these milliseconds.
  [[nodiscard]] static constexpr uint32_t ticks(uint32_t ms) {
    return static_cast<uint32_t>((uint64_t{ms} + kTickMs - 1) / kTickMs);
  }

  // Fires at the first advance() to `deadline` or later. An armed timer is moved.
  void arm(uint32_t id, uint32_t deadline) {
    cancel(id);
    // A deadline in the past belongs to the next tick: its own bucket comes round only a whole turn later.
    if (static_cast<int32_t>(deadline - now_) <= 0) deadline = now_ + 1;
    TimerNode& node = nodes_(id);
    const uint32_t bucket = deadline % kBuckets;
    node = TimerNode{.previous = TimerNode::kNone, .next = heads_[bucket], .deadline = deadline, .armed = true};
    if (node.next != TimerNode::kNone) nodes_(node.next).previous = id;
    heads_[bucket] = id;
    used_[bucket / 64] |= uint64_t{1} << (bucket % 64);
    ++count_;
  }

  void cancel(uint32_t id) {
    TimerNode& node = nodes_(id);
    if (!node.armed) return;
    const uint32_t bucket = node.deadline % kBuckets;
    if (node.next != TimerNode::kNone) nodes_(node.next).previous = node.previous;
    if (node.previous != TimerNode::kNone) {
      nodes_(node.previous).next = node.next;
    } else if (expiring_ == id) {
      expiring_ = node.next;
    } else {
      heads_[bucket] = node.next;
      if (node.next == TimerNode::kNone) used_[bucket / 64] &= ~(uint64_t{1} << (bucket % 64));
    }
    node = TimerNode{};
    --count_;
  }

  // Calls fire(id), disarmed, for every timer whose deadline has come. fire may arm and cancel any timer. Stops when
  // spent(), which is asked after each timer that was looked at, is true: the next call continues there, and next_ms() is 0
  // until then.
  template <class Fire, class Spent>
  void advance(uint32_t now, Fire&& fire, Spent&& spent) {
    now_ = now;
    if (!expire(fire, spent)) return;
    // The clock never goes back. With nothing armed a wheel may rest for more than half of all ticks (198 days).
    if (count_ == 0) looked_ = now_;
    // Once round is enough.
    if (now_ - looked_ > kBuckets) looked_ = now_ - kBuckets;
    while (looked_ != now_) {
      const uint32_t bucket = ++looked_ % kBuckets;
      // Detached first, so that what fire() arms into this very bucket waits for its round.
      expiring_ = heads_[bucket];
      heads_[bucket] = TimerNode::kNone;
      used_[bucket / 64] &= ~(uint64_t{1} << (bucket % 64));
      if (!expire(fire, spent)) return;
    }
  }
  template <class Fire>
  void advance(uint32_t now, Fire&& fire) {
    advance(now, fire, [] { return false; });
  }

  // Milliseconds from `now` until a bucket in use comes round; -1 if there is none. Its timers may be of a later
  // round: a timer that is far away wakes the loop once a round, every 33 s, for nothing.
  [[nodiscard]] int next_ms(uint32_t now) const {
    if (count_ == 0) return -1;
    if (expiring_ != TimerNode::kNone) return 0;
    const uint32_t start = (looked_ + 1) % kBuckets;
    for (uint32_t offset = 0; offset < kBuckets;) {
      const uint32_t bucket = (start + offset) % kBuckets;
      const uint64_t rest = used_[bucket / 64] >> (bucket % 64);
      if (rest != 0) {
        const uint32_t due = looked_ + 1 + offset + static_cast<uint32_t>(std::countr_zero(rest));
        const int32_t left = static_cast<int32_t>(due - now);
        return left <= 0 ? 0 : left * static_cast<int>(kTickMs);
      }
      offset += 64 - bucket % 64;
    }
    return 0;  // not reached: every armed timer has its bucket's bit set, and all words were looked at
  }

  [[nodiscard]] uint32_t now() const { return now_; }
  [[nodiscard]] size_t count() const { return count_; }

 private:
  // What is left of a bucket. False if it was stopped.
  template <class Fire, class Spent>
  bool expire(Fire& fire, Spent& spent) {
    while (expiring_ != TimerNode::kNone) {
      const uint32_t id = expiring_;
      TimerNode& node = nodes_(id);
      const uint32_t deadline = node.deadline;
      expiring_ = node.next;
      if (expiring_ != TimerNode::kNone) nodes_(expiring_).previous = TimerNode::kNone;
      node = TimerNode{};
      --count_;
      if (static_cast<int32_t>(deadline - now_) <= 0) {
        fire(id);
      } else {
        arm(id, deadline);
      }
      if (spent()) return false;
    }
    return true;
  }

  Nodes nodes_;
  std::array<uint32_t, kBuckets> heads_;
  std::array<uint64_t, kBuckets / 64> used_{};
  uint32_t now_ = 0;
  uint32_t looked_ = 0;                   // the last tick whose bucket was begun; now_, unless an advance was cut off
  uint32_t expiring_ = TimerNode::kNone;  // what is left of the bucket that is being worked through
  uint32_t count_ = 0;
};

}  // namespace c1m
