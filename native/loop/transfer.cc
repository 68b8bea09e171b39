// What a turn does with one connection: write, read, tell JavaScript, close.
#include "native/base/clock.h"
#include "native/conn/transport.h"
#include "native/features/frames/read_limits.h"
#include "native/loop/loop.h"
#include "native/net/connect.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Bytes written to one connection in a turn before the next one's turn comes; as kReadBudget.
constexpr size_t kWriteBudget = 256 * 1024;
// The same of files, which nobody copies: about 200 µs.
constexpr size_t kFileBudget = 1024 * 1024;
// What is new on all connections together, in one turn: about 0.4 ms. Beyond that only small queues are sent immediately.
constexpr size_t kTurnBytes = 2 * 1024 * 1024;
// What a call costs, in bytes of these: 4 to 5 µs.
constexpr size_t kCallBytes = 16 * 1024;
// A queue up to this is small: an answer, or some. How many there may be, the commands' share of a turn says.
constexpr size_t kSmallQueue = 16 * 1024;
// What waits in the list for long queues, files and relays has this time in a turn. A piece of it may begin in the last moment.
constexpr uint32_t kBulkMicros = 1000;
// The time for reading and telling in a turn: some 1,000 small reads, or 40 of 256 KiB.
constexpr uint32_t kServeMicros = 2000;
constexpr uint32_t kServesPerLook = 32;

// What ends with a close: nothing is read any more, and nothing told but what came before.
constexpr uint32_t kEnds = Connection::kReadable | Connection::kHangup | Connection::kDrainDue |
                           Connection::kTimeoutDue | Connection::kFramesWaiting | Connection::kReframing |
                           Connection::kFramingDue | Connection::kMisfitDue;
constexpr uint32_t kOutlives =
    Connection::kOpenDue | Connection::kEndDue |                               // came before
    Connection::kClosing | Connection::kCloseDue | Connection::kLeft |         // are the close
    Connection::kInReady | kToSend |                                           // places in lists
    Connection::kWriteFailed | Connection::kRelayed | Connection::kBorrowed |  // close() and what it calls look at them
    Connection::kLingers | Connection::kWritable | Connection::kPaused |
    Connection::kEndSeen |  // nobody looks at these behind kClosing
    Connection::kEndWanted | Connection::kFinSent | Connection::kDrainWanted | Connection::kBroken |
    Connection::kConnecting | Connection::kSynDeferred | Connection::kMuted | Connection::kCorked;
static_assert((kEnds & kOutlives) == 0 && ((kEnds | kOutlives) & Connection::kUnused) == 0);
static_assert((kEnds | kOutlives | Connection::kUnused) == UINT32_MAX, "a new flag ends with a close, or outlives it");

}  // namespace

// Only what is in the lists now: what goes over its budget comes again in a later turn. A thousand downloads are not to keep
// an answer waiting, 200 µs each: so whatever takes long waits in a list of its own, first come, first served, of which each
// turn sends a part.
void Loop::flush_all() {
  size_t sent = 0;
  for (uint32_t count = flush_.size(); count > 0; --count) {
    const uint32_t slot = flush_.pop();
    Entry& entry = entries_[slot];
    if (!sends_now(entry, sent < kTurnBytes)) {
      // Its arena goes back to JavaScript in this turn.
      if (entry.out.keep(pool_)) {
        bulk_.push(slot);
      } else {
        close_for_memory(slot, entry, Syscall::kWrite);
      }
    } else {
      sent += flush_one(slot) + kCallBytes;
    }
  }
  if (bulk_.empty()) return;
  TimeBudget time(kBulkMicros, 1);
  time.begin();
  for (uint32_t count = bulk_.size(); count > 0; --count) {
    flush_one(bulk_.pop());
    if (time.spent()) return;
  }
}

// Its socket has not seen it yet, or it is as good as nothing. `room`: for what isn't small.
bool Loop::sends_now(const Entry& entry, bool room) const {
  if (entry.has(Connection::kRelayed) && (!room || relays_.is_bulk(entry))) return false;
  const size_t bytes = entry.out.bytes();
  return entry.out.front_file() == nullptr && bytes <= kWriteBudget && (room || bytes <= kSmallQueue);
}

size_t Loop::flush_one(uint32_t slot) {
  Entry& entry = entries_[slot];
  if (entry.has(Connection::kClosing)) return 0;
  const Flushed flushed = flush(entry, pool_, entry.out.front_file() == nullptr ? kWriteBudget : kFileBudget);
  const bool kept = entry.out.keep(pool_);
  if (flushed.total() > 0) count_flushed(slot, entry, flushed);
  note_flush(entry, flushed.total() > 0);
  if (entry.timer.armed) look_sooner(slot, entry);
  if (!kept) {
    close_for_memory(slot, entry, Syscall::kWrite);
  } else if (flushed.error != 0) {
    fail_write(slot, entry, flushed.error);
  } else if (flushed.broken_off) {
    const OutboundFile& file = *entry.out.front_file();
    break_off(slot, entry, file.truncated ? static_cast<int>(OwnError::kFileTruncated) : file.error.code);
  } else if (note_drained(slot, entry); entry.out.empty()) {
    after_flush(slot, entry);
  } else {
    if (flushed.waits || flushed.next_file) load_file(slot, entry);
    if (!flushed.waits && entry.has(Connection::kWritable)) bulk_.push(slot);
    // The queue holds up one direction only.
    if (entry.has(Connection::kRelayed)) relays_.serve(*this, entry);
  }
  settle(slot, entry);
  return flushed.total();
}

void Loop::count_flushed(uint32_t slot, Entry& entry, const Flushed& flushed) {
  entry.last_active = now_tick_;
  // What a relay queued is no write of JavaScript's, and must not count as one.
  if (entry.has(Connection::kRelayed) && relays_.flushed(*this, entry, flushed.bytes)) return;
  stats_.writes += flushed.calls;
  stats_.bytes_written += flushed.total();
  // We are its only writer; JavaScript reads it, and knows nothing of what broadcasts
  // have queued, nor of files.
  std::atomic_ref<uint32_t> counter(flushed_[slot]);
  counter.store(counter.load(std::memory_order_relaxed) + static_cast<uint32_t>(flushed.bytes - flushed.shared),
                std::memory_order_relaxed);
}

// JavaScript's own writes and files have gone, whatever broadcasts and workers' writes still wait.
void Loop::note_drained(uint32_t slot, Entry& entry) {
  if (!entry.has(Connection::kDrainWanted) || entry.out.holds_own()) return;
  entry.unset(Connection::kDrainWanted);
  entry.set(Connection::kDrainDue);
  ready_.push(slot);
}

// The queue is empty.
void Loop::after_flush(uint32_t slot, Entry& entry) {
  uncork(entry);
  if (entry.has(Connection::kRelayed)) return relays_.serve(*this, entry);
  if (entry.has(Connection::kEndWanted) && !entry.has(Connection::kFinSent) && !send_fin(slot, entry)) return;
  if (entry.is_over()) close(slot, entry, 0, Syscall::kRead);
}

// False if it has to wait, or the connection has failed.
bool Loop::send_fin(uint32_t slot, Entry& entry) {
  if (entry.has(Connection::kSynDeferred) && await_handshake(slot, entry)) return false;
  transport::end(entry);
  entry.set(Connection::kFinSent);
  return true;
}

// True if the FIN has to wait, or the connection has failed: shutdown(2) would take back a SYN that is not answered yet.
bool Loop::await_handshake(uint32_t slot, Entry& entry) {
  const int fd = entry.fd.get();
  if (!in_handshake(fd)) {
    entry.unset(Connection::kSynDeferred);
    return false;
  }
  // Without a byte to send it would never go.
  const int error = send_deferred_syn(fd);
  if (error != 0) {
    fail_write(slot, entry, error);
    return true;
  }
  // The edge that ends the handshake brings us here again.
  entry.unset(Connection::kWritable);
  return true;
}

void Loop::fail_write(uint32_t slot, Entry& entry, int error) {
  if (entry.has(Connection::kRelayed)) return relays_.fail_write(*this, slot, entry, error);
  entry.out.clear(pool_);
  if (entry.has(Connection::kPaused | Connection::kEndSeen)) return close(slot, entry, error, Syscall::kWrite);
  // The peer may have sent an answer before it went away: read to the end, then close with this error.
  entry.error = static_cast<uint16_t>(error);
  entry.error_syscall = static_cast<uint8_t>(Syscall::kWrite);
  entry.set(Connection::kWriteFailed | Connection::kReadable);
  ready_.push(slot);
}

// As far as the turn's time goes: the others come first in the next.
void Loop::serve_ready() {
  if (starved_) return;
  TimeBudget time(kServeMicros, kServesPerLook);
  // The clock is read where there are many, only.
  if (ready_.size() > kServesPerLook) time.begin();
  for (uint32_t count = ready_.size(); count > 0; --count) {
    if ((filling_ == nullptr || !filling_->has_record()) && !rotate()) {
      starved_ = true;
      return;
    }
    serve(ready_.pop());
    if (count > 1 && time.spent()) return;
  }
}

void Loop::serve(uint32_t slot) {
  Entry& entry = entries_[slot];
  // It counts as listed until we know better: were it listed again by close(), and its kClose told here as well, then the
  // batch could come back, and free the slot, before the list is through with it.
  entry.set(Connection::kInReady);
  // It has spoken before JavaScript could be told of its silence.
  if (entry.can_read()) forgive(entry);
  constexpr uint32_t kFirst =
      Connection::kOpenDue | Connection::kDrainDue | Connection::kTimeoutDue | Connection::kFramingDue;
  const bool told = tell(slot, entry, kFirst) && (!entry.can_read() || read(slot, entry)) &&
                    tell(slot, entry, Connection::kMisfitDue | Connection::kEndDue | Connection::kCloseDue);
  if (!told) starved_ = filling_ == nullptr;
  entry.unset(Connection::kInReady);
  // An end that waits for frames is told by whoever lets them go.
  if (entry.has(entry.end_waits() ? Connection::kDue & ~Connection::kEndDue : Connection::kDue) || entry.can_read()) {
    ready_.push(slot);
  }
  settle(slot, entry);
}

// Reads while there is something, within the budget. False if it stopped for want of room in a batch.
bool Loop::read(uint32_t slot, Entry& entry) {
  const ReadMode mode = entry.has(Connection::kBorrowed) ? ReadMode::kBorrowed : ReadMode::kOwned;
  frames_left_ = kFramesPerTurn;
  if (entry.has(Connection::kFramesWaiting) && !deliver_waiting(slot, entry, mode)) return false;
  if (entry.framing != FramingTable::kNone) return read_frames(slot, entry, mode);
  size_t budget = kReadBudget;
  while (budget > 0 && entry.can_read()) {
    if ((filling_ == nullptr || !filling_->has_room(mode)) && !(rotate() && filling_->has_room(mode))) return false;
    ReadSlab& slab = filling_->slab(mode);
    const size_t asked = std::min({kReadWindow, size_t{slab.room()}, budget});
    const ssize_t got = transport::receive(entry, slab.data + slab.used, asked);
    if (got > 0) {
      const auto bytes = static_cast<uint32_t>(got);
      filling_->append(Event::kData, static_cast<uint32_t>(mode), slot, slab.used, bytes);
      slab.used += bytes;
      budget -= bytes;
    }
    received(slot, entry, got, asked);
  }
  return true;
}

// What recv(2) has answered.
void Loop::received(uint32_t slot, Entry& entry, ssize_t got, size_t asked) {
  if (got > 0) {
    note_heard(entry);
    ++stats_.reads;
    stats_.bytes_read += static_cast<size_t>(got);
    if (!transport::has_pending(entry, static_cast<size_t>(got), asked)) entry.unset(Connection::kReadable);
  } else if (got == 0) {
    end_of_stream(slot, entry);
  } else if (got == -EAGAIN) {
    entry.unset(Connection::kReadable | Connection::kHangup | Connection::kBroken);
    if (entry.has(Connection::kWriteFailed)) close(slot, entry, entry.error, Syscall::kWrite);
  } else {
    close(slot, entry, static_cast<int>(-got), Syscall::kRead);
  }
}

void Loop::end_of_stream(uint32_t slot, Entry& entry) {
  if (entry.has(Connection::kWriteFailed)) return close(slot, entry, entry.error, Syscall::kWrite);
  entry.unset(Connection::kReadable | Connection::kHangup);
  entry.set(Connection::kEndSeen | Connection::kEndDue);
  if (entry.has(Connection::kFinSent)) return close(slot, entry, 0, Syscall::kRead);
  // recv(2) answers 0 behind a FIN even if a reset came after it.
  if (entry.has(Connection::kBroken)) close_broken(slot, entry);
}

// Tells JavaScript those of `due` that are due, in the order in which they belong. False for want of room.
bool Loop::tell(uint32_t slot, Entry& entry, uint32_t due) {
  due &= entry.flags;
  if (entry.end_waits()) due &= ~uint32_t{Connection::kEndDue};
  if (due == 0) return true;
  if ((due & Connection::kOpenDue) != 0) {
    if (!emit(Event::kOpen, entry.context, slot, entries_.generation(slot), 0)) return false;
    entry.unset(Connection::kOpenDue);
    note_heard(entry);
  }
  if ((due & Connection::kDrainDue) != 0) {
    if (!emit(Event::kDrain, 0, slot, 0, 0)) return false;
    entry.unset(Connection::kDrainDue);
  }
  if ((due & Connection::kTimeoutDue) != 0 && !tell_timeouts(slot, entry)) return false;
  if ((due & Connection::kFramingDue) != 0) {
    if (!emit(Event::kFraming, static_cast<uint32_t>(FramingNews::kStopped), slot, 0, 0)) return false;
    entry.unset(Connection::kFramingDue);
  }
  if ((due & Connection::kMisfitDue) != 0) {
    if (!emit(Event::kFraming, static_cast<uint32_t>(FramingNews::kMisfit), slot, 0, 0)) return false;
    entry.unset(Connection::kMisfitDue);
  }
  if ((due & Connection::kEndDue) != 0) {
    if (!emit(Event::kEnd, 0, slot, 0, 0)) return false;
    entry.unset(Connection::kEndDue);
  }
  if ((due & Connection::kCloseDue) != 0) {
    if (!emit(Event::kClose, entry.error_syscall, slot, entry.error, 0)) return false;
    entry.unset(Connection::kCloseDue);
    // The batch that carries it, and no other, frees the slot.
    filling_->closed.push_back(slot);
  }
  return true;
}

void Loop::close(uint32_t slot, Entry& entry, int error, Syscall syscall) {
  if (entry.has(Connection::kClosing)) return;
  if (!entry.has(Connection::kWriteFailed)) {
    entry.error = static_cast<uint16_t>(error);
    entry.error_syscall = static_cast<uint8_t>(syscall);
  }
  poller_.remove(entry.fd.get());
  wheel_.cancel(slot);
  dont_linger(entry);
  spend_on_drop(entry.out);
  entry.out.clear(pool_);
  drop_framer(entry);
  // An end behind frames that are dropped would make what was delivered look whole.
  if (entry.end_waits()) entry.unset(Connection::kEndDue);
  // Behind a regular end all that was queued is with the kernel, and whoever waits for that hears of it first.
  entry.unset(error == 0 ? kEnds & ~uint32_t{Connection::kDrainDue} : kEnds);
  entry.set(Connection::kClosing | Connection::kCloseDue);
  ++closing_;
  ready_.push(slot);
  if (entry.has(Connection::kRelayed)) relays_.on_close(*this, slot, entry, error);
}

// Not where it is to be reset, which is a time of 0.
void Loop::dont_linger(Entry& entry) {
  if (entry.has(Connection::kLingers) && lingers(entry.fd.get())) stop_lingering(entry.fd.get());
}

// A FIN would make what has gone out look whole. Without a queue it is: the kernel sends what it has, and then the FIN.
void Loop::cut(Entry& entry) {
  if (entry.has(Connection::kEndWanted) && !entry.out.empty()) (void)reset_on_close(entry.fd.get());
}

// The socket has failed, and nobody will read on to its error. A paused connection's unread bytes go with it: its peer
// has reset it and does not wait for them.
void Loop::close_broken(uint32_t slot, Entry& entry) {
  const Error error = pending_error(entry.fd.get());
  // Linux calls a RST behind a FIN EPIPE, as if we had written something. To the user it is a reset like any other.
  close(slot, entry, error && error.code != EPIPE ? error.code : ECONNRESET, Syscall::kRead);
}

// Level-triggered: asks the poller for just what we don't know. What we know and do not act on (a paused connection's
// bytes, a full batch) would otherwise be reported for ever.
void Loop::settle(uint32_t slot, Entry& entry) {
  if (poller_.trigger() == Trigger::kEdge || entry.has(Connection::kClosing)) return;
  uint8_t interest = 0;
  if (!entry.has(Connection::kReadable | Connection::kEndSeen)) interest |= Interest::kRead;
  if (!entry.has(Connection::kWritable)) interest |= Interest::kWrite;
  if (!entry.has(Connection::kHangup | Connection::kEndSeen)) interest |= Interest::kHangup;
  if (interest == entry.interest) return;
  entry.interest = interest;
  poller_.rearm(entry.fd.get(), word_of(slot), interest);
}

}  // namespace c1m
