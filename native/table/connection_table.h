#pragma once

#include <cstdint>
#include <deque>
#include <memory>

#include "native/base/result.h"
#include "native/exchange/replies.h"
#include "native/exchange/stats.h"
#include "native/table/connection_settings.h"
#include "native/table/connection_timers.h"
#include "native/table/event_sink.h"
#include "native/table/flushed_counters.h"
#include "native/table/framings.h"
#include "native/table/local_addresses.h"
#include "native/table/loop_options.h"
#include "native/table/places.h"
#include "native/table/slot_list.h"
#include "native/table/turn_clock.h"
#include "native/table/work_budget.h"

namespace c1m {

// The connections of one loop: their slots, the lists and timers that these are in, and their registration with the poller.
// The features work on it, and know nothing of each other; the loop is above both.
//
//   allocated ─ take() ─▶ registered ─ open() ─▶ open ─ close() ─▶ closing ─ kClose handed back ─▶ free
//                             └──────── drop() ────────────────────────────────────────────────────▲
//
// Owner: one loop. Thread: the loop's; local_address(), and what of a live slot never
// changes, are for the JS thread.
class ConnectionTable {
 public:
  // Is notified when a relayed connection closes.
  class RelayObserver {
   public:
    RelayObserver() = default;
    RelayObserver(const RelayObserver&) = delete;
    RelayObserver& operator=(const RelayObserver&) = delete;
    virtual ~RelayObserver() = default;
    virtual void on_close(uint32_t slot, Entry& entry, int error) = 0;
  };

  ConnectionTable(Poller poller, const LoopOptions& options, Mailbox& mailbox, Replies& replies, JsWaker waker);
  ConnectionTable(const ConnectionTable&) = delete;
  ConnectionTable& operator=(const ConnectionTable&) = delete;

  void observe_relays(RelayObserver& observer) { relays_ = &observer; }

  // Finds the connection of this identity, unless it is closing or gone.
  [[nodiscard]] Entry* find(uint32_t slot, uint32_t generation) {
    Entry* entry = slots.find(slot, generation);
    return entry == nullptr || !entry->fd.valid() || entry->has(Connection::kClosing) ? nullptr : entry;
  }
  // What the poller reports it by.
  [[nodiscard]] uint64_t word_of(uint32_t slot) const { return uint64_t{slots.generation(slot)} << 32 | slot; }

  // Makes a slot for a socket, registered with the poller; nothing of it is delivered before open(). Its place has been
  // claimed, and is given back after an error.
  [[nodiscard]] Result<uint32_t> take(Fd fd, const PackedAddress& peer);
  // Delivers kOpen.
  void open(uint32_t slot, const ConnectionSettings& settings);
  // Gives a slot back that was not opened.
  void drop(uint32_t slot);
  // Gives a slot back, with its place. The descriptor closes with it.
  void release(uint32_t slot);

  // Notes that bytes moved.
  void touch(Entry& entry) { entry.last_active = clock.tick(); }
  // Takes in what recv(2) has returned.
  void received(uint32_t slot, Entry& entry, ssize_t got, size_t asked);
  // Delivers these bytes, which were received elsewhere or before, in front of anything else.
  void read_first(uint32_t slot, std::unique_ptr<Framer> bytes);
  // Asks a level-triggered poller for just what is not known. What is known and not acted on (a paused connection's bytes, a
  // full batch) would otherwise be reported for ever.
  void sync_interest(uint32_t slot, Entry& entry) {
    if (poller.trigger() == Trigger::kLevel) sync_level(slot, entry);
  }

  // Closes with an errno, an OwnError, or 0. Its kClose follows all that was due before.
  void close(uint32_t slot, Entry& entry, int error, Syscall syscall);
  // The socket has failed, and nothing will read on to its error.
  void close_broken(uint32_t slot, Entry& entry);
  // There is no memory for what it has received, or is to send.
  void close_for_memory(uint32_t slot, Entry& entry, Syscall syscall);
  // More would wait in its queue than may.
  void close_overflowed(uint32_t slot, Entry& entry);
  // The closing of a slot whose connection never came, or is no longer here: there is only its kClose to deliver.
  void begin_close(uint32_t slot, Entry& entry);
  // In front of a close: close(2) is not to wait for the peer.
  void dont_linger(Entry& entry);
  // In front of a close: with a part of a stream that was ended lost, its peer gets a RST in place of the FIN.
  void cut(Entry& entry);

  // Takes batches back from JavaScript, and frees the slots whose kClose was in them, as far as the turn's share goes.
  void take_returned() { events.take_returned(closed_); }
  void free_closed();
  [[nodiscard]] bool has_closed() const { return !closed_.empty(); }
  // Slots that are closing, and not free yet.
  [[nodiscard]] bool any_closing() const { return closing_ > 0; }
  // At the loop's end: closes all sockets.
  void close_all();

  // Whether there was memory for all of it.
  [[nodiscard]] bool ok() const { return local_addresses_ == nullptr || local_addresses_->ok(); }
  void note_local_address(uint32_t slot);
  // Of a connection whose kClose JavaScript has not handed back.
  [[nodiscard]] Address local_address(uint32_t slot);

  Poller poller;
  Stats stats;
  TurnClock clock;
  WorkBudget work;
  OutboundPool pool;
  Places places;
  EntrySlab slots;
  ReadyList ready;
  FlushList to_flush;
  BulkList bulk;
  FlushedCounters flushed;
  EventSink events;
  ConnectionTimers timers;
  Framings framings;

 private:
  void end_of_stream(uint32_t slot, Entry& entry);
  void sync_level(uint32_t slot, Entry& entry);
  void free_slot(uint32_t slot);

  std::unique_ptr<LocalAddresses> local_addresses_;  // with a file table of its own
  RelayObserver* relays_ = nullptr;
  uint32_t closing_ = 0;         // slots that are closing, and not free yet
  std::deque<uint32_t> closed_;  // of these, those whose kClose has come back
};

}  // namespace c1m
