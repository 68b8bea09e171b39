#include "native/table/connection_timers.h"

#include <algorithm>

#include "native/base/clock.h"
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

// Those that wait to be delivered.
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

// The socket takes more, and the loop has yet to come to it.
bool waits_for_turn(const Entry& entry) { return entry.has(Connection::kToSend) && entry.has(Connection::kWritable); }

// The socket takes no more of what is queued. In a relay either side may be waiting for the other.
bool is_stuck(const Entry& entry) {
  return entry.has(Connection::kRelayed) || (!entry.out.empty() && !entry.has(Connection::kWritable));
}

}  // namespace

// The tick in which a time that began in `since` has run out. One more, because that tick was partly over: never early.
uint32_t ConnectionTimers::deadline_of(uint32_t since, uint32_t ms) { return since + Wheel::ticks(ms) + 1; }

void ConnectionTimers::set(uint32_t slot, TimeoutKind kind, uint32_t ms) {
  Entry& entry = slots_[slot];
  set_due(entry, due_of(entry) & ~bit_of(kind));
  if (kind == TimeoutKind::kIdle) {
    entry.timeout_ms = ms;
    entry.last_active = clock_.tick();
  } else if (ms > 0 || timeouts_of(entry) != nullptr) {
    Timeouts& timeouts = need_timeouts(entry);
    timeouts.of(kind) = {.ms = ms, .since = clock_.tick()};
    if (kind == TimeoutKind::kTotal) timeouts.outlived = false;
  }
  arm(slot, entry);
}

PackedTimeouts ConnectionTimers::pack(Entry& entry) const {
  PackedTimeouts packed;
  // A whole tick's, so that no time begins earlier on another clock.
  packed.packed_ms = clock_.ms_of(clock_.tick());
  packed.idle_ms = entry.timeout_ms;
  packed.last_active = clock_.tick() - entry.last_active;
  if (timeouts_of(entry) == nullptr) return packed;
  packed.rarer = std::make_unique<Timeouts>(*timeouts_of(entry));
  for (Timeouts::One& one : packed.rarer->ones) one.since = clock_.tick() - one.since;
  return packed;
}

void ConnectionTimers::unpack(uint32_t slot, Entry& entry, PackedTimeouts packed) {
  const uint32_t tick = clock_.tick_at(packed.packed_ms);
  entry.timeout_ms = packed.idle_ms;
  entry.last_active = tick - packed.last_active;
  if (packed.rarer != nullptr) {
    for (Timeouts::One& one : packed.rarer->ones) one.since = tick - one.since;
    entry.need_extras().timeouts = std::move(packed.rarer);
  }
  arm(slot, entry);
}

// Ticks until the earliest of its deadlines. One that does not run now, because its queue is empty or the connection paused,
// counts as if it had begun just now: it is looked at once a period, so that what starts it need not touch the wheel.
int32_t ConnectionTimers::next_look(Entry& entry) const {
  int32_t min = INT32_MAX;
  const auto consider = [&](uint32_t since, uint32_t ms) {
    if (ms > 0) min = std::min(min, static_cast<int32_t>(deadline_of(since, ms) - clock_.tick()));
  };
  const auto look = [&](uint32_t ms) {
    if (ms > 0 && is_stuck(entry)) min = std::min(min, static_cast<int32_t>(Wheel::ticks(ms) / kLooks + 1));
  };
  consider(entry.last_active, entry.timeout_ms);
  look(entry.timeout_ms);
  if (Timeouts* timeouts = timeouts_of(entry); timeouts != nullptr) {
    for (const Timeouts::One& one : timeouts->ones) consider(one.since, one.ms);
    look(timeouts->of(TimeoutKind::kWrite).ms);
  }
  return min;
}

void ConnectionTimers::arm(uint32_t slot, Entry& entry) {
  const int32_t min = next_look(entry);
  if (min == INT32_MAX) {
    wheel_.cancel(slot);
  } else {
    wheel_.arm(slot, clock_.tick() + static_cast<uint32_t>(min));
  }
}

void ConnectionTimers::look_sooner(uint32_t slot, Entry& entry) {
  if (is_stuck(entry) && next_look(entry) < static_cast<int32_t>(entry.timer.deadline - clock_.tick())) {
    arm(slot, entry);
  }
}

// Counts all sockets whose progress counts for this connection. A FIN takes a place in the sequence (RFC 9293, section 3.4), and is
// no byte that a peer might be reading.
size_t ConnectionTimers::unacknowledged_of(const Entry& entry) {
  const auto of = [](const Entry& one) {
    const size_t bytes = unacknowledged(one.fd.get());
    return bytes > 0 && one.has(Connection::kFinSent) ? bytes - 1 : bytes;
  };
  const size_t own = of(entry);
  return entry.has(Connection::kRelayed) ? own + of(slots_[entry.extras->relayed_to]) : own;
}

// A slow peer's socket takes nothing for as long as its send buffer needs to drain by a third (tcp(7)), or by three
// quarters (a Unix socket's): at 100 KB/s and 4 MiB that is 14 s. What the peer acknowledges meanwhile is progress, and
// the kernel is asked only when a timeout looks, so that no message pays for it. The first look finds bytes to compare
// with, and grants a period from there: never early.
void ConnectionTimers::note_acknowledged(Entry& entry) {
  Timeouts* timeouts = timeouts_of(entry);
  const bool idle = entry.timeout_ms > 0;
  const bool write = timeouts != nullptr && timeouts->waiting && timeouts->of(TimeoutKind::kWrite).ms > 0;
  const bool over = static_cast<int32_t>(deadline_of(entry.last_active, entry.timeout_ms) - clock_.tick()) <= 0;
  if (!(is_stuck(entry) ? idle || write : idle && over)) return;
  const size_t now = unacknowledged_of(entry);
  const Extras* extras = entry.extras.get();
  const size_t then = extras == nullptr ? 0 : extras->unacknowledged;
  const auto look = [&](uint32_t& since) {
    const bool comparable = then > 0 && static_cast<int32_t>(extras->looked_at - since) >= 0;
    if (comparable ? now < then : now > 0) since = clock_.tick();
  };
  if (idle) look(entry.last_active);
  if (write) look(timeouts->of(TimeoutKind::kWrite).since);
  if (now == 0 && extras == nullptr) return;
  entry.need_extras().unacknowledged = now;
  entry.extras->looked_at = clock_.tick();
  entry.tidy();
}

void ConnectionTimers::fire() {
  uint32_t looked = 0;
  TimeBudget time(kTimerMicros, 1);
  // The clock is read where there are many, only.
  const auto spent = [&] {
    if (++looked % kTimersPerLook != 0) return false;
    if (looked > kTimersPerLook) return time.spent();
    time.begin();
    return false;
  };
  const auto expired = [&](uint32_t slot) {
    Entry& entry = slots_[slot];
    if (entry.has(Connection::kConnecting)) return attempts_->on_timeout(slot);
    const uint32_t due = expire(entry);
    if (due != 0) {
      set_due(entry, due_of(entry) | due);
      ready_.push(slot);
    }
    arm(slot, entry);
  };
  wheel_.advance(clock_.tick(), expired, spent);
}

// Returns those whose time has run out, and starts them again.
uint32_t ConnectionTimers::expire(Entry& entry) {
  note_acknowledged(entry);
  uint32_t due = 0;
  const auto look = [&](TimeoutKind kind, uint32_t& since, uint32_t ms, bool runs) {
    if (!runs) since = clock_.tick();
    if (ms == 0 || static_cast<int32_t>(deadline_of(since, ms) - clock_.tick()) > 0) return;
    since = clock_.tick();
    due |= bit_of(kind);
  };
  // With JavaScript away, bytes wait to be read and connections to be opened: neither is their own silence.
  const bool silent = !entry.can_read() && !entry.has(Connection::kOpenDue);
  // Nor is it the peer that doesn't take what has yet to have its part of a turn.
  const bool takes = !waits_for_turn(entry);
  look(TimeoutKind::kIdle, entry.last_active, entry.timeout_ms, silent && takes);
  if (Timeouts* timeouts = timeouts_of(entry); timeouts != nullptr) {
    const auto look_at = [&](TimeoutKind kind, bool runs) {
      look(kind, timeouts->of(kind).since, timeouts->of(kind).ms, runs);
    };
    // A relay has a timeout of its own.
    const bool plain = !entry.has(Connection::kRelayed);
    look_at(TimeoutKind::kRead, plain && silent && !entry.has(Connection::kPaused | Connection::kEndSeen));
    look_at(TimeoutKind::kWrite, plain && takes && timeouts->waiting);
    look_at(TimeoutKind::kTotal, true);
  }
  return due;
}

void ConnectionTimers::note_read(Entry& entry) {
  entry.last_active = clock_.tick();
  note_resumed(entry);
}

void ConnectionTimers::note_resumed(Entry& entry) {
  Timeouts* timeouts = timeouts_of(entry);
  if (timeouts != nullptr) timeouts->of(TimeoutKind::kRead).since = clock_.tick();
}

void ConnectionTimers::clear_silence(Entry& entry) {
  if (!entry.has(Connection::kTimeoutDue)) return;
  set_due(entry, due_of(entry) & ~(bit_of(TimeoutKind::kIdle) | bit_of(TimeoutKind::kRead)));
}

void ConnectionTimers::note_flush(Entry& entry, bool progress) {
  Timeouts* timeouts = timeouts_of(entry);
  if (timeouts == nullptr) return;
  if (progress || !timeouts->waiting) {
    timeouts->of(TimeoutKind::kWrite).since = clock_.tick();
    set_due(entry, due_of(entry) & ~bit_of(TimeoutKind::kWrite));
  }
  // A file that is being loaded is not the peer's delay.
  timeouts->waiting = !entry.out.empty() && !entry.has(Connection::kWritable);
}

void ConnectionTimers::note_end(Entry& entry) {
  note_read(entry);
  clear_silence(entry);
  if (timeouts_of(entry) != nullptr) note_flush(entry, true);
}

bool ConnectionTimers::deliver(uint32_t slot, Entry& entry) {
  for (uint32_t kind = 0; kind < kTimeoutKinds; ++kind) {
    const uint32_t due = due_of(entry);
    if ((due >> kind & 1) == 0) continue;
    Timeouts* timeouts = timeouts_of(entry);
    const bool total = kind == static_cast<uint32_t>(TimeoutKind::kTotal);
    // A whole period has passed since its end(). The time since it opened continues through that: it must have run out before.
    const bool ended = entry.has(Connection::kEndWanted) && !(total && !timeouts->outlived);
    if (!events_.emit(Event::kTimeout, kind, slot, ended ? 1 : 0, 0)) return false;
    if (total) timeouts->outlived = true;
    set_due(entry, due & ~(1u << kind));
  }
  return true;
}

}  // namespace c1m
