#include "native/loop/transfer.h"

#include <algorithm>
#include <cassert>

#include "native/base/clock.h"
#include "native/conn/transport.h"
#include "native/features/frames/read_limits.h"

namespace c1m {

namespace {

// Bytes written to one connection in a turn before the next one's turn comes; as kReadBudget.
constexpr size_t kWriteBudget = 256 * 1024;
// The same of files, which are not copied: about 200 µs.
constexpr size_t kFileBudget = 1024 * 1024;
// What is new on all connections together, in one turn: about 0.4 ms. Beyond that only small queues are sent immediately.
constexpr size_t kTurnBytes = 2 * 1024 * 1024;
// What a call costs, in bytes of these: 4 to 5 µs.
constexpr size_t kCallBytes = 16 * 1024;
// A queue up to this is small: an answer, or some. How many there may be, the commands' share of a turn says.
constexpr size_t kSmallQueue = 16 * 1024;
// What waits in the list for long queues, files and relays has this time in a turn. A piece of it may begin in the last moment.
constexpr uint32_t kBulkMicros = 1000;
// The time for reading and delivering in a turn: some 1,000 small reads, or 40 of 256 KiB.
constexpr uint32_t kServeMicros = 2000;
constexpr uint32_t kServesPerLook = 32;

}  // namespace

// Only what is in the lists now: what goes over its budget comes again in a later turn. A thousand downloads are not to keep
// an answer waiting, 200 µs each: so whatever takes long waits in a list of its own, first come, first served, of which each
// turn sends a part.
void Transfer::flush_all() {
  size_t sent = 0;
  for (uint32_t count = table_.to_flush.size(); count > 0; --count) {
    const uint32_t slot = table_.to_flush.pop();
    Entry& entry = table_.slots[slot];
    if (!sends_now(entry, sent < kTurnBytes)) {
      // Its arena goes back to JavaScript in this turn.
      if (entry.out.keep(table_.pool)) {
        table_.bulk.push(slot);
      } else {
        table_.close_for_memory(slot, entry, Syscall::kWrite);
      }
    } else {
      sent += flush_one(slot) + kCallBytes;
    }
  }
  if (table_.bulk.empty()) return;
  TimeBudget time(kBulkMicros, 1);
  time.begin();
  for (uint32_t count = table_.bulk.size(); count > 0; --count) {
    flush_one(table_.bulk.pop());
    if (time.spent()) return;
  }
}

// The socket has not seen it yet, or it is as good as nothing. `room`: for what isn't small.
bool Transfer::sends_now(const Entry& entry, bool room) const {
  if (entry.has(Connection::kRelayed) && (!room || relays_.is_bulk(entry))) return false;
  const size_t bytes = entry.out.bytes();
  return entry.out.front_file() == nullptr && bytes <= kWriteBudget && (room || bytes <= kSmallQueue);
}

size_t Transfer::flush_one(uint32_t slot) {
  Entry& entry = table_.slots[slot];
  if (entry.has(Connection::kClosing)) return 0;
  const Flushed flushed = flush(entry, table_.pool, entry.out.front_file() == nullptr ? kWriteBudget : kFileBudget);
  const bool kept = entry.out.keep(table_.pool);
  if (flushed.total() > 0) count_flushed(slot, entry, flushed);
  table_.timers.note_flush(entry, flushed.total() > 0);
  if (entry.timer.armed) table_.timers.look_sooner(slot, entry);
  if (!kept) {
    table_.close_for_memory(slot, entry, Syscall::kWrite);
  } else if (flushed.error != 0) {
    fail_write(slot, entry, flushed.error);
  } else if (flushed.broken_off) {
    const OutboundFile& file = *entry.out.front_file();
    files_.break_off(slot, entry, file.truncated ? static_cast<int>(OwnError::kFileTruncated) : file.error.code);
  } else if (note_drained(slot, entry); entry.out.empty()) {
    after_flush(slot, entry);
  } else {
    if (flushed.waits || flushed.next_file) files_.load(slot, entry);
    if (!flushed.waits && entry.has(Connection::kWritable)) table_.bulk.push(slot);
    // The queue blocks one direction only.
    if (entry.has(Connection::kRelayed)) relays_.serve(entry);
  }
  table_.sync_interest(slot, entry);
  return flushed.total();
}

void Transfer::count_flushed(uint32_t slot, Entry& entry, const Flushed& flushed) {
  table_.touch(entry);
  // What a relay queued is no write of JavaScript's, and must not count as one.
  if (entry.has(Connection::kRelayed) && relays_.flushed(entry, flushed.bytes)) return;
  table_.stats.writes += flushed.calls;
  table_.stats.bytes_written += flushed.total();
  table_.flushed.add(slot, flushed.bytes - flushed.shared);
}

// JavaScript's own writes and files have gone, whatever broadcasts and workers' writes still wait.
void Transfer::note_drained(uint32_t slot, Entry& entry) {
  if (!entry.has(Connection::kDrainWanted) || entry.out.has_own()) return;
  entry.unset(Connection::kDrainWanted);
  entry.set(Connection::kDrainDue);
  table_.ready.push(slot);
}

// The queue is empty now.
void Transfer::after_flush(uint32_t slot, Entry& entry) {
  uncork(entry);
  if (entry.has(Connection::kRelayed)) return relays_.serve(entry);
  if (entry.has(Connection::kEndWanted) && !entry.has(Connection::kFinSent)) {
    const Fin fin = send_fin(entry);
    if (fin.error != 0) return fail_write(slot, entry, fin.error);
    if (!fin.sent) return;
  }
  if (entry.is_over()) table_.close(slot, entry, 0, Syscall::kRead);
}

void Transfer::fail_write(uint32_t slot, Entry& entry, int error) {
  if (entry.has(Connection::kRelayed)) return relays_.fail_write(slot, entry, error);
  entry.out.clear(table_.pool);
  if (entry.has(Connection::kPaused | Connection::kEndSeen)) return table_.close(slot, entry, error, Syscall::kWrite);
  // The peer may have sent an answer before it went away: read to the end, then close with this error.
  entry.note_write_failure(error);
  table_.ready.push(slot);
}

void Transfer::serve_ready() {
  if (table_.events.starved()) return;
  TimeBudget time(kServeMicros, kServesPerLook);
  // The clock is read where there are many, only.
  if (table_.ready.size() > kServesPerLook) time.begin();
  for (uint32_t count = table_.ready.size(); count > 0; --count) {
    if (!table_.events.ensure_record()) return table_.events.starve();
    serve(table_.ready.pop());
    if (count > 1 && time.spent()) return;
  }
}

void Transfer::serve(uint32_t slot) {
  Entry& entry = table_.slots[slot];
  // It counts as listed until the end: were it listed again by close(), and its kClose delivered here as well, then the batch
  // could come back, and free the slot, before the list is through with it.
  entry.set(Connection::kInReady);
  // The peer sent data before its silence was delivered.
  if (entry.can_read()) table_.timers.clear_silence(entry);
  const bool delivered = deliver(slot, entry, Connection::kDueBeforeReading) &&
                         (!entry.can_read() || read(slot, entry)) &&
                         deliver(slot, entry, Connection::kDueBehindReading);
  if (!delivered) table_.events.note_stop();
  entry.unset(Connection::kInReady);
  // An end that waits for frames is listed again when they are released.
  if (entry.has(entry.end_waits() ? Connection::kDue & ~Connection::kEndDue : Connection::kDue) || entry.can_read()) {
    table_.ready.push(slot);
  }
  table_.sync_interest(slot, entry);
}

// Reads while there is something, within the budget. False if it stopped for lack of room in a batch.
bool Transfer::read(uint32_t slot, Entry& entry) {
  const ReadMode mode = entry.has(Connection::kBorrowed) ? ReadMode::kBorrowed : ReadMode::kOwned;
  frames_.begin();
  if (entry.has(Connection::kFramesWaiting) && !frames_.deliver_waiting(slot, entry, mode)) return false;
  if (entry.framing != FramingTable::kNone) return frames_.read(slot, entry, mode);
  size_t budget = kReadBudget;
  while (budget > 0 && entry.can_read()) {
    if (!table_.events.ensure_room(mode)) return false;
    EventBatch& batch = *table_.events.filling();
    ReadSlab& slab = batch.slab(mode);
    const size_t asked = std::min({kReadWindow, size_t{slab.room()}, budget});
    const ssize_t got = transport::receive(entry, slab.data + slab.used, asked);
    if (got > 0) {
      const auto bytes = static_cast<uint32_t>(got);
      batch.append(Event::kData, static_cast<uint32_t>(mode), slot, slab.used, bytes);
      slab.used += bytes;
      budget -= bytes;
    }
    table_.received(slot, entry, got, asked);
  }
  return true;
}

// Delivers those of `due` that are due, in the order in which they belong. False for lack of room.
bool Transfer::deliver(uint32_t slot, Entry& entry, uint32_t due) {
  due &= entry.flags;
  if (entry.end_waits()) due &= ~uint32_t{Connection::kEndDue};
  if (due == 0) return true;
  if ((due & Connection::kOpenDue) != 0) {
    if (!table_.events.emit(Event::kOpen, entry.context, slot, table_.slots.generation(slot), 0)) return false;
    entry.unset(Connection::kOpenDue);
    table_.timers.note_read(entry);
  }
  if ((due & Connection::kDrainDue) != 0) {
    if (!table_.events.emit(Event::kDrain, 0, slot, 0, 0)) return false;
    entry.unset(Connection::kDrainDue);
  }
  if ((due & Connection::kTimeoutDue) != 0 && !table_.timers.deliver(slot, entry)) return false;
  if ((due & Connection::kFramingDue) != 0) {
    if (!table_.events.emit(Event::kFraming, static_cast<uint32_t>(FramingNews::kStopped), slot, 0, 0)) return false;
    entry.unset(Connection::kFramingDue);
  }
  if ((due & Connection::kInvalidFrameDue) != 0) {
    if (!table_.events.emit(Event::kFraming, static_cast<uint32_t>(FramingNews::kInvalidFrame), slot, 0, 0))
      return false;
    entry.unset(Connection::kInvalidFrameDue);
  }
  if ((due & Connection::kEndDue) != 0) {
    if (!table_.events.emit(Event::kEnd, 0, slot, 0, 0)) return false;
    entry.unset(Connection::kEndDue);
  }
  if ((due & Connection::kCloseDue) != 0) {
    if (!table_.events.emit(Event::kClose, entry.error_syscall, slot, entry.error, 0)) return false;
    entry.unset(Connection::kCloseDue);
    // The batch that carries it, and no other, frees the slot.
    table_.events.filling()->closed.push_back(slot);
  }
  assert(!entry.has(due));  // each has its lines above
  return true;
}

}  // namespace c1m
