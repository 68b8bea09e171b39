#include "native/table/connection_table.h"

#include <cassert>
#include <utility>

#include "native/base/clock.h"
#include "native/conn/transport.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// What close(2) may take in one turn: some 100 calls at 5 µs each.
constexpr uint32_t kFreeMicros = 500;
constexpr uint32_t kFreesPerLook = 8;

// What outlives a close. All else ends with it: nothing is read any more, and nothing delivered but what came before.
constexpr uint32_t kOutlives = Connection::kDuePastClose |                 // came before, or is the close
                               Connection::kClosing | Connection::kLeft |  // are the close
                               Connection::kListed |                       // the lists have yet to come to it
                               Connection::kRelayed | Connection::kWriteFailed |
                               Connection::kLingers |                         // close() and what it calls look at them
                               Connection::kWritable | Connection::kBroken |  // nothing looks at these behind kClosing
                               (Connection::kState & ~(Connection::kFramesWaiting | Connection::kReframing));
constexpr uint32_t kEnds = ~(kOutlives | Connection::kUnused);
static_assert(kEnds == (Connection::kReadable | Connection::kHangup | Connection::kFramesWaiting |
                        Connection::kReframing | Connection::kDueUntilClose),
              "a new flag ends with a close, or has its reason above");

}  // namespace

ConnectionTable::ConnectionTable(Poller made, const LoopOptions& options, Mailbox& mailbox, Replies& replies,
                                 JsWaker waker)
    : poller(std::move(made)),
      places(poller, options.connections, options.max_connections, options.shares_quota),
      slots(options.max_connections),
      ready(slots),
      to_flush(slots),
      bulk(slots),
      flushed(options.flushed),
      events(mailbox, replies, pool, stats, waker),
      timers(slots, ready, clock, events),
      local_addresses_(options.own_file_table ? std::make_unique<LocalAddresses>(options.max_connections) : nullptr) {}

Result<uint32_t> ConnectionTable::take(Fd fd, const PackedAddress& peer) {
  const uint32_t slot = slots.allocate();
  if (slot == EntrySlab::kNone) {
    places.give_back();
    return Error{ENOMEM, "socket"};
  }
  const Result<void> added = poller.add(fd.get(), word_of(slot));
  if (!added) {
    release(slot);
    return added.error();
  }
  Entry& entry = slots[slot];
  entry.fd = std::move(fd);
  entry.peer = peer;
  entry.interest = Interest::kAll;
  note_local_address(slot);
  return slot;
}

void ConnectionTable::open(uint32_t slot, const ConnectionSettings& settings) {
  Entry& entry = slots[slot];
  entry.context = settings.context;
  // A fresh socket's send buffer is empty. What there is to read, the first edge will say.
  entry.set(Connection::kWritable);
  if (settings.borrowed) entry.set(Connection::kBorrowed);
  if (settings.paused) entry.set(Connection::kPaused);
  if (settings.framing != nullptr) framings.set(entry, settings.framing.get());
  flushed.set(slot, 0);
  timers.set(slot, TimeoutKind::kIdle, settings.idle_timeout_ms);
  if (settings.read_timeout_ms > 0) timers.set(slot, TimeoutKind::kRead, settings.read_timeout_ms);
  if (settings.write_timeout_ms > 0) timers.set(slot, TimeoutKind::kWrite, settings.write_timeout_ms);
  if (settings.total_timeout_ms > 0) timers.set(slot, TimeoutKind::kTotal, settings.total_timeout_ms);
  if (!events.emit(Event::kOpen, settings.context, slot, slots.generation(slot), 0)) {
    entry.set(Connection::kOpenDue);
    ready.push(slot);
    events.starve();
  }
}

void ConnectionTable::drop(uint32_t slot) {
  poller.remove(slots[slot].fd.get());
  timers.cancel(slot);
  release(slot);
}

void ConnectionTable::release(uint32_t slot) {
  slots.release(slot);
  places.give_back();
}

void ConnectionTable::received(uint32_t slot, Entry& entry, ssize_t got, size_t asked) {
  if (got > 0) {
    timers.note_read(entry);
    ++stats.reads;
    stats.bytes_read += static_cast<size_t>(got);
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

void ConnectionTable::end_of_stream(uint32_t slot, Entry& entry) {
  if (entry.has(Connection::kWriteFailed)) return close(slot, entry, entry.error, Syscall::kWrite);
  entry.unset(Connection::kReadable | Connection::kHangup);
  entry.set(Connection::kEndSeen | Connection::kEndDue);
  if (entry.has(Connection::kFinSent)) return close(slot, entry, 0, Syscall::kRead);
  // recv(2) returns 0 behind a FIN even if a reset came after it.
  if (entry.has(Connection::kBroken)) close_broken(slot, entry);
}

// No edge announces them.
void ConnectionTable::read_first(uint32_t slot, std::unique_ptr<Framer> bytes) {
  Entry& entry = slots[slot];
  std::unique_ptr<Framer>& framer = entry.need_extras().framer;
  if (framer != nullptr && !bytes->append(framer->data(), framer->size())) {
    return close_for_memory(slot, entry, Syscall::kRead);
  }
  framer = std::move(bytes);
  entry.set(Connection::kFramesWaiting);
  ready.push(slot);
}

void ConnectionTable::sync_level(uint32_t slot, Entry& entry) {
  if (entry.has(Connection::kClosing)) return;
  uint8_t interest = 0;
  if (!entry.has(Connection::kReadable | Connection::kEndSeen)) interest |= Interest::kRead;
  if (!entry.has(Connection::kWritable)) interest |= Interest::kWrite;
  if (!entry.has(Connection::kHangup | Connection::kEndSeen)) interest |= Interest::kHangup;
  if (interest == entry.interest) return;
  entry.interest = interest;
  poller.rearm(entry.fd.get(), word_of(slot), interest);
}

void ConnectionTable::close(uint32_t slot, Entry& entry, int error, Syscall syscall) {
  if (entry.has(Connection::kClosing)) return;
  if (!entry.has(Connection::kWriteFailed)) {
    entry.error = static_cast<uint16_t>(error);
    entry.error_syscall = static_cast<uint8_t>(syscall);
  }
  poller.remove(entry.fd.get());
  timers.cancel(slot);
  dont_linger(entry);
  work.spend_on_drop(entry.out);
  entry.out.clear(pool);
  entry.drop_framer();
  // An end behind frames that are dropped would make what was delivered look whole.
  if (entry.end_waits()) entry.unset(Connection::kEndDue);
  // Behind a regular end all that was queued is with the kernel, and code that waits for that is notified first.
  entry.unset(error == 0 ? kEnds & ~uint32_t{Connection::kDrainDue} : kEnds);
  begin_close(slot, entry);
  if (entry.has(Connection::kRelayed)) relays_->on_close(slot, entry, error);
}

void ConnectionTable::begin_close(uint32_t slot, Entry& entry) {
  entry.set(Connection::kClosing | Connection::kCloseDue);
  ++closing_;
  ready.push(slot);
}

// A paused connection's unread bytes go with it: its peer has reset it and does not wait for them.
void ConnectionTable::close_broken(uint32_t slot, Entry& entry) {
  const Error error = pending_error(entry.fd.get());
  // Linux calls a RST behind a FIN EPIPE, as if we had written something. To the user it is a reset like any other.
  close(slot, entry, error && error.code != EPIPE ? error.code : ECONNRESET, Syscall::kRead);
}

// With a part of what it sends lost a FIN would make the rest look whole.
void ConnectionTable::close_for_memory(uint32_t slot, Entry& entry, Syscall syscall) {
  work.spend(WorkBudget::kClose);
  const bool lost = syscall == Syscall::kWrite || entry.has(Connection::kRelayed);
  if (lost && !entry.has(Connection::kFinSent)) {
    (void)reset_on_close(entry.fd.get());
  } else {
    cut(entry);
  }
  close(slot, entry, ENOMEM, syscall);
}

void ConnectionTable::close_overflowed(uint32_t slot, Entry& entry) {
  work.spend(WorkBudget::kClose);
  close(slot, entry, static_cast<int>(OwnError::kWriteQueueFull), Syscall::kWrite);
}

// Not where it is to be reset, which is a time of 0.
void ConnectionTable::dont_linger(Entry& entry) {
  if (entry.has(Connection::kLingers) && lingers(entry.fd.get())) stop_lingering(entry.fd.get());
}

// A FIN would make what has gone out look whole. Without a queue it is: the kernel sends what it has, and then the FIN.
void ConnectionTable::cut(Entry& entry) {
  if (entry.has(Connection::kEndWanted) && !entry.out.empty()) (void)reset_on_close(entry.fd.get());
}

// One batch may have had thousands of them.
void ConnectionTable::free_closed() {
  if (closed_.empty()) return;
  TimeBudget time(kFreeMicros, kFreesPerLook);
  time.begin();
  for (size_t left = closed_.size(); left > 0; --left) {
    const uint32_t slot = closed_.front();
    closed_.pop_front();
    if (slots[slot].has(Connection::kToSend)) {
      // That list has yet to come to it.
      closed_.push_back(slot);
    } else {
      free_slot(slot);
    }
    if (time.spent()) return;
  }
}

void ConnectionTable::free_slot(uint32_t slot) {
  assert(closing_ > 0 && slots[slot].has(Connection::kClosing));
  const bool elsewhere = slots[slot].has(Connection::kLeft);
  framings.set(slots[slot], nullptr);
  release(slot);
  --closing_;
  if (!elsewhere) ++stats.closed;
}

void ConnectionTable::close_all() {
  for (uint32_t slot = 0; slot < slots.used(); ++slot) {
    Entry& entry = slots[slot];
    dont_linger(entry);
    if (entry.fd.valid()) cut(entry);
    entry.out.clear(pool);
    entry.fd.reset();
  }
}

void ConnectionTable::note_local_address(uint32_t slot) {
  if (local_addresses_ != nullptr) local_addresses_->note(slot, slots[slot].fd.get());
}

Address ConnectionTable::local_address(uint32_t slot) {
  if (local_addresses_ != nullptr) return local_addresses_->of(slot);
  Result<Address> address = Address::local_of(slots[slot].fd.get());
  return address ? address.value() : Address();
}

}  // namespace c1m
