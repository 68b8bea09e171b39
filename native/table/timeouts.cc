// Timeouts: one timer for each connection, armed for the earliest of them.
#include <algorithm>

#include "native/base/clock.h"
#include "native/loop/loop.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// While bytes are stuck, their peer is looked at so often in a period of the timeouts that they concern: a look is an
// ioctl(2) of 0.2 µs, and at a peer that takes nothing such a timeout fires as much as one of these parts late.
constexpr uint32_t kLooks = 8;
// What timers may take in a turn, behind the first of them: a million that were armed in one tick are half a second.
constexpr uint32_t kTimerMicros = 1000;
constexpr uint32_t kTimersPerLook = 64;

Timeouts* timeouts_of(Entry& entry) { return entry.extras == nullptr ? nullptr : entry.extras->timeouts.get(); }

// Those that wait to be told.
uint32_t due_of(Entry& entry) {
  if (!entry.has(Connection::kTimeoutDue)) return 0;
  const Timeouts* timeouts = timeouts_of(entry);
  return timeouts == nullptr ? bit_of(TimeoutKind::kIdle) : timeouts->due;
}

Timeouts& need_timeouts(Entry& entry) {
  const uint32_t due = due_of(entry);
  std::unique_ptr<Timeouts>& timeouts = entry.need_extras().timeouts;
  if (timeouts == nullptr) {
    timeouts = std::make_unique<Timeouts>();
    timeouts->due = due;
    // A file that is being loaded is not the peer's delay.
    timeouts->waiting = !entry.out.empty() && !entry.has(Connection::kWritable);
  }
  return *timeouts;
}

void set_due(Entry& entry, uint32_t due) {
  Timeouts* timeouts = timeouts_of(entry);
  if (timeouts != nullptr) timeouts->due = due;
  if (due == 0) {
    entry.unset(Connection::kTimeoutDue);
  } else {
    entry.set(Connection::kTimeoutDue);
  }
}

// Its socket takes more, and the loop has yet to come to it.
bool waits_for_us(const Entry& entry) { return entry.has(kToSend) && entry.has(Connection::kWritable); }

// The socket takes no more of what is queued. In a relay either side may be waiting for the other.
bool is_stuck(const Entry& entry) {
  return entry.has(Connection::kRelayed) || (!entry.out.empty() && !entry.has(Connection::kWritable));
}

}  // namespace

// The tick in which a time that began in `since` is over. One more, as that tick was partly over: never early.
uint32_t Loop::deadline_of(uint32_t since, uint32_t ms) { return since + Wheel::ticks(ms) + 1; }

void Loop::set_timeout(uint32_t slot, TimeoutKind kind, uint32_t ms) {
  Entry& entry = entries_[slot];
  set_due(entry, due_of(entry) & ~bit_of(kind));
  if (kind == TimeoutKind::kIdle) {
    entry.timeout_ms = ms;
    entry.last_active = now_tick_;
  } else if (ms > 0 || timeouts_of(entry) != nullptr) {
    Timeouts& timeouts = need_timeouts(entry);
    timeouts.of(kind) = {.ms = ms, .since = now_tick_};
    if (kind == TimeoutKind::kTotal) timeouts.outlived = false;
  }
  arm_timer(slot, entry);
}

void Loop::pack_timeouts(Entry& entry, Parcel& parcel) const {
  // A whole tick's, so that no time begins earlier on another clock.
  parcel.packed_ms = start_ms_ + uint64_t{now_tick_} * Wheel::kTickMs;
  parcel.timeout_ms = entry.timeout_ms;
  parcel.last_active = now_tick_ - entry.last_active;
  if (timeouts_of(entry) == nullptr) return;
  parcel.timeouts = std::make_unique<Timeouts>(*timeouts_of(entry));
  for (Timeouts::One& one : parcel.timeouts->ones) one.since = now_tick_ - one.since;
}

void Loop::unpack_timeouts(uint32_t slot, Entry& entry, Parcel& parcel) {
  const auto packed = static_cast<int64_t>(parcel.packed_ms - start_ms_);
  const auto tick = static_cast<uint32_t>((packed + int64_t{Wheel::kTickMs} - 1) / int64_t{Wheel::kTickMs});
  entry.timeout_ms = parcel.timeout_ms;
  entry.last_active = tick - parcel.last_active;
  if (parcel.timeouts != nullptr) {
    for (Timeouts::One& one : parcel.timeouts->ones) one.since = tick - one.since;
    entry.need_extras().timeouts = std::move(parcel.timeouts);
  }
  arm_timer(slot, entry);
}

// For the earliest of its deadlines. One that does not run now, as its queue is empty, or as it is paused, counts as if it
// had begun just now: it is looked at once a period, so that what starts it need not touch the wheel.
int32_t Loop::next_look(Entry& entry) const {
  int32_t least = INT32_MAX;
  const auto consider = [&](uint32_t since, uint32_t ms) {
    if (ms > 0) least = std::min(least, static_cast<int32_t>(deadline_of(since, ms) - now_tick_));
  };
  const auto look = [&](uint32_t ms) {
    if (ms > 0 && is_stuck(entry)) least = std::min(least, static_cast<int32_t>(Wheel::ticks(ms) / kLooks + 1));
  };
  consider(entry.last_active, entry.timeout_ms);
  look(entry.timeout_ms);
  if (Timeouts* timeouts = timeouts_of(entry); timeouts != nullptr) {
    for (const Timeouts::One& one : timeouts->ones) consider(one.since, one.ms);
    look(timeouts->of(TimeoutKind::kWrite).ms);
  }
  return least;
}

void Loop::arm_timer(uint32_t slot, Entry& entry) {
  const int32_t least = next_look(entry);
  if (least == INT32_MAX) {
    wheel_.cancel(slot);
  } else {
    wheel_.arm(slot, now_tick_ + static_cast<uint32_t>(least));
  }
}

// Bytes may have got stuck since its timer was armed.
void Loop::look_sooner(uint32_t slot, Entry& entry) {
  if (is_stuck(entry) && next_look(entry) < static_cast<int32_t>(entry.timer.deadline - now_tick_)) {
    arm_timer(slot, entry);
  }
}

// Of all sockets whose progress counts for this connection. A FIN takes a place in the sequence (RFC 9293, section 3.4), and is
// no byte that a peer might be reading.
size_t Loop::unacknowledged_of(const Entry& entry) {
  const auto of = [](const Entry& one) {
    const size_t bytes = unacknowledged(one.fd.get());
    return bytes > 0 && one.has(Connection::kFinSent) ? bytes - 1 : bytes;
  };
  const Relay* relay = entry.extras == nullptr ? nullptr : entry.extras->relay;
  return relay == nullptr ? of(entry) : of(entries_[relay->slots[0]]) + of(entries_[relay->slots[1]]);
}

// A slow peer's socket takes nothing for as long as its send buffer needs to drain by a third (tcp(7)), or by three
// quarters (a Unix socket's): at 100 KB/s and 4 MiB that is 14 s. What the peer acknowledges meanwhile is progress, and
// the kernel is asked only when a timeout looks, so that no message pays for it. The first look finds bytes to compare
// with, and grants a period from there: never early.
void Loop::note_acknowledged(Entry& entry) {
  Timeouts* timeouts = timeouts_of(entry);
  const bool idle = entry.timeout_ms > 0;
  const bool write = timeouts != nullptr && timeouts->waiting && timeouts->of(TimeoutKind::kWrite).ms > 0;
  const bool over = static_cast<int32_t>(deadline_of(entry.last_active, entry.timeout_ms) - now_tick_) <= 0;
  if (!(is_stuck(entry) ? idle || write : idle && over)) return;
  const size_t now = unacknowledged_of(entry);
  const Extras* extras = entry.extras.get();
  const size_t then = extras == nullptr ? 0 : extras->unacknowledged;
  const auto look = [&](uint32_t& since) {
    const bool comparable = then > 0 && static_cast<int32_t>(extras->looked_at - since) >= 0;
    if (comparable ? now < then : now > 0) since = now_tick_;
  };
  if (idle) look(entry.last_active);
  if (write) look(timeouts->of(TimeoutKind::kWrite).since);
  if (now == 0 && extras == nullptr) return;
  entry.need_extras().unacknowledged = now;
  entry.extras->looked_at = now_tick_;
  entry.tidy();
}

void Loop::fire_timers() {
  uint32_t looked = 0;
  TimeBudget time(kTimerMicros, 1);
  // The clock is read where there are many, only.
  const auto spent = [&] {
    if (++looked % kTimersPerLook != 0) return false;
    if (looked > kTimersPerLook) return time.spent();
    time.begin();
    return false;
  };
  const auto fire = [this](uint32_t slot) {
    Entry& entry = entries_[slot];
    if (entry.has(Connection::kConnecting)) return connector_.on_timeout(*this, slot);
    const uint32_t due = expire(entry);
    if (due != 0) {
      set_due(entry, due_of(entry) | due);
      ready_.push(slot);
    }
    arm_timer(slot, entry);
  };
  wheel_.advance(now_tick_, fire, spent);
}

// Those whose time is over, which starts anew.
uint32_t Loop::expire(Entry& entry) {
  note_acknowledged(entry);
  uint32_t due = 0;
  const auto look = [&](TimeoutKind kind, uint32_t& since, uint32_t ms, bool runs) {
    if (!runs) since = now_tick_;
    if (ms == 0 || static_cast<int32_t>(deadline_of(since, ms) - now_tick_) > 0) return;
    since = now_tick_;
    due |= bit_of(kind);
  };
  // With JavaScript away, bytes wait to be read and connections to be opened: neither is their own silence.
  const bool silent = !entry.can_read() && !entry.has(Connection::kOpenDue);
  // Nor is it the peer that doesn't take what has yet to have its part of a turn.
  const bool takes = !waits_for_us(entry);
  look(TimeoutKind::kIdle, entry.last_active, entry.timeout_ms, silent && takes);
  if (Timeouts* timeouts = timeouts_of(entry); timeouts != nullptr) {
    const auto look_at = [&](TimeoutKind kind, bool runs) {
      look(kind, timeouts->of(kind).since, timeouts->of(kind).ms, runs);
    };
    // A relay has its own ways, and its own timeout.
    const bool ours = !entry.has(Connection::kRelayed);
    look_at(TimeoutKind::kRead, ours && silent && !entry.has(Connection::kPaused | Connection::kEndSeen));
    look_at(TimeoutKind::kWrite, ours && takes && timeouts->waiting);
    look_at(TimeoutKind::kTotal, true);
  }
  return due;
}

// Bytes of its peer's are there, or it begins only now to be heard.
void Loop::note_heard(Entry& entry) {
  entry.last_active = now_tick_;
  note_wanted(entry);
}

// It is read from now on.
void Loop::note_wanted(Entry& entry) {
  Timeouts* timeouts = timeouts_of(entry);
  if (timeouts != nullptr) timeouts->of(TimeoutKind::kRead).since = now_tick_;
}

// Its silence need not be told any more.
void Loop::forgive(Entry& entry) {
  if (!entry.has(Connection::kTimeoutDue)) return;
  set_due(entry, due_of(entry) & ~(bit_of(TimeoutKind::kIdle) | bit_of(TimeoutKind::kRead)));
}

// After each flush, as whatever puts something into the queue flushes it: the kernel took some, or it begins to wait.
void Loop::note_flush(Entry& entry, bool progress) {
  Timeouts* timeouts = timeouts_of(entry);
  if (timeouts == nullptr) return;
  if (progress || !timeouts->waiting) {
    timeouts->of(TimeoutKind::kWrite).since = now_tick_;
    set_due(entry, due_of(entry) & ~bit_of(TimeoutKind::kWrite));
  }
  // A file that is being loaded is not the peer's delay.
  timeouts->waiting = !entry.out.empty() && !entry.has(Connection::kWritable);
}

// end(): whatever runs out from now on has had a whole period since. JavaScript relies on that, see tell_timeouts().
void Loop::note_end(Entry& entry) {
  note_heard(entry);
  forgive(entry);
  if (timeouts_of(entry) != nullptr) note_flush(entry, true);
}

// Tells JavaScript those that are due. False for want of room.
bool Loop::tell_timeouts(uint32_t slot, Entry& entry) {
  for (uint32_t kind = 0; kind < kTimeoutKinds; ++kind) {
    const uint32_t due = due_of(entry);
    if ((due >> kind & 1) == 0) continue;
    Timeouts* timeouts = timeouts_of(entry);
    const bool total = kind == static_cast<uint32_t>(TimeoutKind::kTotal);
    // A whole period has passed since its end(). The time since it opened goes on through that: it must have run out before.
    const bool ended = entry.has(Connection::kEndWanted) && !(total && !timeouts->outlived);
    if (!emit(Event::kTimeout, kind, slot, ended ? 1 : 0, 0)) return false;
    if (total) timeouts->outlived = true;
    set_due(entry, due & ~(1u << kind));
  }
  return true;
}

}  // namespace c1m
