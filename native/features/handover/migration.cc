#include "native/features/handover/migration.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "native/net/socket.h"

namespace c1m {

namespace {

// What is the old loop's own. All else migrates, because the new one has to know.
constexpr uint32_t kStays =
    Connection::kClosing | Connection::kCloseDue |    // as far as the old one is concerned it closes
    Connection::kLeft |                               // and is counted elsewhere
    Connection::kListed |                             // places in its lists
    Connection::kFramesWaiting |                      // what is unread comes first there
    Connection::kOpenDue | Connection::kConnecting |  // JavaScript asks for none whose kOpen it hasn't had
    Connection::kRelayed;                             // nor for one that is relayed
constexpr uint32_t kMigrates = ~(kStays | Connection::kUnused);
static_assert(kMigrates == (Connection::kReadiness |
                            (Connection::kState & ~(Connection::kConnecting | Connection::kClosing | Connection::kLeft |
                                                    Connection::kRelayed | Connection::kFramesWaiting)) |
                            (Connection::kDue & ~(Connection::kOpenDue | Connection::kCloseDue))),
              "a new flag migrates, or has its reason above");

// Slots that a turn looks at, for all requests together: 0.1 to 0.2 ms.
constexpr uint32_t kSearchedPerTurn = 16 * 1024;

}  // namespace

void Migration::search_idle() {
  if (searches_.empty()) return;
  IdleRequest& request = *searches_.front();
  if (!find_idle(request)) return;
  searches_.pop_front();
  replies_.complete(&request);
}

// True if it is done: a turn ends long before a million slots are through.
bool Migration::find_idle(IdleRequest& request) {
  constexpr uint32_t kBusy = Connection::kConnecting | Connection::kRelayed | Connection::kReadable |
                             Connection::kHangup | Connection::kBroken | Connection::kEndSeen | Connection::kEndWanted |
                             Connection::kDue | Connection::kReframing | Connection::kSynDeferred;
  const size_t enough = size_t{request.max} * 2;
  const uint32_t end = std::min(table_.slots.used(), request.next + kSearchedPerTurn);
  for (; request.next < end && request.found.size() < enough; ++request.next) {
    const uint32_t slot = request.next;
    const Entry& entry = table_.slots[slot];
    if (!entry.fd.valid() || entry.has(kBusy | Connection::kClosing) || !entry.out.empty()) continue;
    if (table_.clock.tick() - entry.last_active < ConnectionTimers::ticks(request.ms)) continue;
    request.found.push_back(slot);
    request.found.push_back(table_.slots.generation(slot));
  }
  return request.next >= table_.slots.used() || request.found.size() >= enough;
}

void Migration::reserve(ReserveRequest& request) {
  // Beyond the quota, if that is full: the place that the connection has is given back soon.
  table_.places.claim();
  const uint32_t slot = request.slot = table_.slots.allocate();
  request.full = slot == EntrySlab::kNone;
  if (request.full) return table_.places.give_back();
  request.generation = table_.slots.generation(slot);
  table_.flushed.set(slot, request.flushed);
  reservations_.add(slot, request.muted, request.max_write_queue);
}

// Where the file tables differ its socket goes to the JS thread's.
bool Migration::release(ReleaseRequest& request) {
  Entry* entry = table_.find(request.slot, request.generation);
  // It has closed, and counts as that where it did.
  if (entry == nullptr) return true;
  if (file_table_.is_own()) {
    const Result<Fd> handed = file_table_.hand_out(entry->fd.get());
    if (!handed) {
      if (is_for_now(handed.error().code)) return false;
      table_.cut(*entry);
      table_.close(request.slot, *entry, handed.error().code, Syscall::kRead);
      return true;
    }
  }
  request.parcel = pack(request.slot, *entry);
  return true;
}

std::unique_ptr<Parcel> Migration::pack(uint32_t slot, Entry& entry) {
  assert(entry.out.first_file() == nullptr);
  assert(!entry.has(Connection::kOpenDue | Connection::kConnecting | Connection::kRelayed));
  auto parcel = std::make_unique<Parcel>();
  parcel->peer = entry.peer;
  parcel->flags = entry.flags & kMigrates;
  parcel->context = entry.context;
  parcel->error = entry.error;
  parcel->error_syscall = entry.error_syscall;
  parcel->flushed = table_.flushed.of(slot);
  table_.work.spend_on_copy(entry.out);
  table_.work.spend_on_drop(entry.out);
  parcel->whole = entry.out.copy_to(parcel->unsent);
  entry.out.clear(table_.pool, true);
  if (entry.framing != FramingTable::kNone)
    parcel->framing = std::make_unique<const Framing>(table_.framings.of(entry));
  parcel->unread = entry.take_unread();
  parcel->timeouts = table_.timers.pack(entry);
  // As far as this loop is concerned it closes, with nothing else to be delivered here; the socket doesn't.
  entry.flags &= ~kMigrates;
  entry.set(Connection::kLeft);
  table_.close(slot, entry, 0, Syscall::kRead);
  if (!file_table_.is_own()) parcel->fd = std::move(entry.fd);
  return parcel;
}

Reserved Migration::settle(SettleRequest& request) {
  if (reservations_.find(request.slot, request.generation) == nullptr) return {};
  Reserved there = reservations_.take(request.slot);
  if (request.abandoned) {
    table_.release(request.slot);
  } else if (request.parcel == nullptr) {
    fail_to_come(request.slot, request.error, request.error_syscall);
    if (!request.lost) table_.slots[request.slot].set(Connection::kLeft);
  } else {
    unpack(request.slot, *request.parcel);
    Entry* entry = there.error != 0 ? table_.find(request.slot, request.generation) : nullptr;
    if (entry != nullptr && there.error == ENOMEM) {
      table_.close_for_memory(request.slot, *entry, Syscall::kWrite);
    } else if (entry != nullptr) {
      table_.close(request.slot, *entry, there.error, Syscall::kWrite);
    }
  }
  return there;
}

void Migration::fail_to_come(uint32_t slot, uint16_t error, uint8_t syscall) {
  Entry& entry = table_.slots[slot];
  entry.error = error;
  entry.error_syscall = syscall;
  table_.begin_close(slot, entry);
}

void Migration::unpack(uint32_t slot, Parcel& parcel) {
  Entry& entry = table_.slots[slot];
  Result<Fd> brought = file_table_.bring(parcel.fd);
  if (!brought) {
    return fail_to_come(slot, static_cast<uint16_t>(brought.error().code), static_cast<uint8_t>(Syscall::kRead));
  }
  entry.fd = std::move(brought.value());
  table_.note_local_address(slot);
  entry.peer = parcel.peer;
  entry.flags |= parcel.flags;
  entry.context = parcel.context;
  entry.error = parcel.error;
  entry.error_syscall = parcel.error_syscall;
  entry.interest = Interest::kAll;
  table_.flushed.set(slot, parcel.flushed);
  ++table_.stats.moved;
  table_.timers.unpack(slot, entry, std::move(parcel.timeouts));
  if (parcel.framing != nullptr) table_.framings.set(entry, parcel.framing.get());
  const Result<void> added = table_.poller.add(entry.fd.get(), table_.word_of(slot));
  if (!added) {
    // A FIN would make what has gone out look whole.
    if (!parcel.unsent.empty()) (void)reset_on_close(entry.fd.get());
    return table_.close(slot, entry, added.error().code, Syscall::kRead);
  }
  for (OutboundRun& run : parcel.unsent) parcel.whole = parcel.whole && requeue(entry, run);
  if (!parcel.whole) return table_.close_for_memory(slot, entry, Syscall::kWrite);
  if (parcel.unread != nullptr) table_.read_first(slot, std::move(parcel.unread));
  table_.to_flush.push(slot);
  if (entry.has(Connection::kDue) || entry.can_read()) table_.ready.push(slot);
}

bool Migration::requeue(Entry& entry, OutboundRun& run) {
  if (!run.shared) {
    return entry.out.append(table_.pool, run.bytes.data(), static_cast<uint32_t>(run.bytes.size())) &&
           entry.out.keep(table_.pool);
  }
  SharedPayload* payload = SharedPayload::of(std::move(run.bytes));
  const bool appended = entry.out.append_shared(table_.pool, *payload);
  table_.pool.release(payload);
  return appended;
}

}  // namespace c1m
