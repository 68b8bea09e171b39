#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "native/table/event_sink.h"
#include "native/table/slot_list.h"
#include "native/table/timeouts.h"
#include "native/table/timer_wheel.h"
#include "native/table/turn_clock.h"

namespace c1m {

// The timeouts of a connection that migrates. `since` and `last_active` are ages, in ticks, at the time `packed_ms`: each loop
// has a clock of its own, and the time between the two counts as any other.
struct PackedTimeouts {
  uint64_t packed_ms = 0;
  uint32_t idle_ms = 0;
  uint32_t last_active = 0;
  std::unique_ptr<Timeouts> rarer;
};

// The timeouts of all connections: one timer for each, armed for the earliest of its deadlines. Reading and writing only note
// the tick; the timer looks at it when it fires.
// Owner: one loop's table. Thread: the loop's.
class ConnectionTimers {
 public:
  // Is notified when the time of a connection that is still being established has run out.
  class AttemptObserver {
   public:
    AttemptObserver() = default;
    AttemptObserver(const AttemptObserver&) = delete;
    AttemptObserver& operator=(const AttemptObserver&) = delete;
    virtual ~AttemptObserver() = default;
    virtual void on_timeout(uint32_t slot) = 0;
  };

  ConnectionTimers(EntrySlab& slots, ReadyList& ready, const TurnClock& clock, EventSink& events)
      : slots_(slots), ready_(ready), clock_(clock), events_(events), wheel_(TimerOf{&slots}) {}

  void observe_attempts(AttemptObserver& observer) { attempts_ = &observer; }

  // Starts one of them again, with this period in milliseconds; 0 for none.
  void set(uint32_t slot, TimeoutKind kind, uint32_t ms);
  void cancel(uint32_t slot) { wheel_.cancel(slot); }
  [[nodiscard]] PackedTimeouts pack(Entry& entry) const;
  void unpack(uint32_t slot, Entry& entry, PackedTimeouts packed);

  // Notes that the peer has sent bytes, or that only now it can be read.
  void note_read(Entry& entry);
  // Notes that reading is wanted from now on.
  void note_resumed(Entry& entry);
  // Notes what a flush came to: the kernel took some, or the connection begins to wait. After each one, because whatever puts
  // something into the queue flushes it.
  void note_flush(Entry& entry, bool progress);
  // Notes an end(): what runs out from now on has had a whole period since. JavaScript relies on that, see deliver().
  void note_end(Entry& entry);
  // Bytes may have got stuck since the timer was armed.
  void look_sooner(uint32_t slot, Entry& entry);
  // Drops what is due for a silence: the peer has sent something before that was delivered.
  void clear_silence(Entry& entry);

  // Fires what has run out, as far as the turn's share goes.
  void fire();
  // Delivers those that are due. False for lack of room.
  [[nodiscard]] bool deliver(uint32_t slot, Entry& entry);
  // Milliseconds until fire() has something to do; -1 for never.
  [[nodiscard]] int next_ms() const { return wheel_.next_ms(clock_.tick()); }

  // Ticks that last at least as long as these milliseconds.
  [[nodiscard]] static constexpr uint32_t ticks(uint32_t ms) { return Wheel::ticks(ms); }

 private:
  struct TimerOf {
    EntrySlab* slots;
    TimerNode& operator()(uint32_t slot) const { return (*slots)[slot].timer; }
  };
  using Wheel = TimerWheel<TimerOf>;

  [[nodiscard]] static uint32_t deadline_of(uint32_t since, uint32_t ms);
  [[nodiscard]] int32_t next_look(Entry& entry) const;
  void arm(uint32_t slot, Entry& entry);
  [[nodiscard]] size_t unacknowledged_of(const Entry& entry);
  void note_acknowledged(Entry& entry);
  [[nodiscard]] uint32_t expire(Entry& entry);

  EntrySlab& slots_;
  ReadyList& ready_;
  const TurnClock& clock_;
  EventSink& events_;
  Wheel wheel_;
  AttemptObserver* attempts_ = nullptr;
};

}  // namespace c1m
