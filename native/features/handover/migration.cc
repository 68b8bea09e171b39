// Connections that move between loops.
#include "native/features/handover/migration.h"

#include <algorithm>
#include <cassert>

#include "native/loop/loop.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// What the new loop has to know.
constexpr uint32_t kMoving =
    Connection::kReadable | Connection::kWritable | Connection::kHangup | Connection::kPaused | Connection::kEndSeen |
    Connection::kEndWanted | Connection::kFinSent | Connection::kWriteFailed | Connection::kDrainWanted |
    Connection::kBorrowed | Connection::kDrainDue | Connection::kEndDue | Connection::kTimeoutDue |
    Connection::kBroken | Connection::kSynDeferred | Connection::kCorked | Connection::kMuted | Connection::kReframing |
    Connection::kFramingDue | Connection::kMisfitDue | Connection::kLingers;
// What is the old one's own.
constexpr uint32_t kStays =
    Connection::kClosing | Connection::kCloseDue |    // as far as the old one is concerned it closes
    Connection::kLeft |                               // and is counted elsewhere
    Connection::kInReady | kToSend |                  // places in its lists
    Connection::kFramesWaiting |                      // what is unread is told anew
    Connection::kOpenDue | Connection::kConnecting |  // JavaScript asks for none it hasn't heard of
    Connection::kRelayed;                             // nor for one that is relayed
static_assert((kMoving & kStays) == 0 && ((kMoving | kStays) & Connection::kUnused) == 0);
static_assert((kMoving | kStays | Connection::kUnused) == UINT32_MAX, "a new flag moves, or stays for a reason");

// Slots that a turn looks at, for all requests together: 0.1 to 0.2 ms.
constexpr uint32_t kSearchedPerTurn = 16 * 1024;

// What an item that is dropped holds.
void drop_one(OutboundPool& pool, const Deferred& one) {
  if (one.pinned.owner != nullptr) pool.released().push_back(one.pinned.owner);
  if (one.shared == nullptr) return;
  ++one.shared->dropped;
  pool.release(one.shared);
}

}  // namespace

Expected* ConnectionRequest::waits(Loop& loop) const { return loop.deferring(slot, generation); }

bool Expected::defer(OutboundPool& pool, Deferred one) {
  if (error == 0) {
    bytes += one.size();
    const size_t held = (deferred.size() + 1) * sizeof(Deferred);
    if (over_limit(bytes, held, max_write_queue)) fail(pool, static_cast<int>(OwnError::kWriteQueueFull));
  }
  if (error != 0 && one.request == nullptr) {
    drop_one(pool, one);
  } else {
    deferred.push_back(std::move(one));
  }
  return error == 0;
}

void Expected::drop(OutboundPool& pool) {
  std::erase_if(deferred, [&](const Deferred& one) {
    if (one.request == nullptr) drop_one(pool, one);
    return one.request == nullptr;
  });
}

bool ReserveRequest::run(Loop& loop) {
  full = !loop.reserve(*this);
  return true;
}

bool ReleaseRequest::attempt(Loop& loop) { return loop.let_go(*this); }

bool SettleRequest::run(Loop& loop) {
  loop.settle_move(*this);
  return true;
}

bool IdleRequest::run(Loop& loop) {
  loop.moves().searching.push_back(this);
  return false;
}

// Looks on for the first of those that search. A turn ends long before a million slots are through.
void Loop::search_idle() {
  if (moves_.searching.empty()) return;
  IdleRequest& request = *moves_.searching.front();
  if (!find_idle(request)) return;
  moves_.searching.pop_front();
  complete(&request);
}

// True if it is done.
bool Loop::find_idle(IdleRequest& request) {
  constexpr uint32_t kBusy = Connection::kConnecting | Connection::kRelayed | Connection::kReadable |
                             Connection::kHangup | Connection::kBroken | Connection::kEndSeen | Connection::kEndWanted |
                             Connection::kDue | Connection::kReframing | Connection::kSynDeferred;
  const size_t enough = size_t{request.most} * 2;
  const uint32_t end = std::min(entries_.used(), request.next + kSearchedPerTurn);
  for (; request.next < end && request.found.size() < enough; ++request.next) {
    const uint32_t slot = request.next;
    const Entry& entry = entries_[slot];
    if (!entry.fd.valid() || entry.has(kBusy | Connection::kClosing) || !entry.out.empty()) continue;
    if (now_tick_ - entry.last_active < Wheel::ticks(request.ms)) continue;
    request.found.push_back(slot);
    request.found.push_back(entries_.generation(slot));
  }
  return request.next >= entries_.used() || request.found.size() >= enough;
}

bool Loop::reserve(ReserveRequest& request) {
  // Beyond the quota, if that is full: the place that the connection has is given back soon.
  claim();
  const uint32_t slot = request.slot = entries_.allocate();
  if (slot == EntrySlab::kNone) {
    unclaim();
    return false;
  }
  request.generation = entries_.generation(slot);
  std::atomic_ref<uint32_t>(flushed_[slot]).store(request.flushed, std::memory_order_relaxed);
  moves_.expect(slot, request.muted, request.max_write_queue);
  return true;
}

// Where the file tables differ its socket goes to the JS thread's.
bool Loop::let_go(ReleaseRequest& request) {
  Entry* entry = find(request.slot, request.generation);
  // It has closed, and counts as that where it did.
  if (entry == nullptr) return true;
  if (file_table_.is_own()) {
    const Result<Fd> handed = file_table_.hand_out(entry->fd.get());
    if (!handed) {
      if (is_for_now(handed.error().code)) return false;
      cut(*entry);
      close(request.slot, *entry, handed.error().code, Syscall::kRead);
      return true;
    }
  }
  request.parcel = pack(request.slot, *entry);
  return true;
}

std::unique_ptr<Parcel> Loop::pack(uint32_t slot, Entry& entry) {
  assert(entry.out.first_file() == nullptr);
  assert(!entry.has(Connection::kOpenDue | Connection::kConnecting | Connection::kRelayed));
  auto parcel = std::make_unique<Parcel>();
  parcel->peer = entry.peer;
  parcel->flags = entry.flags & kMoving;
  parcel->context = entry.context;
  parcel->error = entry.error;
  parcel->error_syscall = entry.error_syscall;
  parcel->flushed = std::atomic_ref<uint32_t>(flushed_[slot]).load(std::memory_order_relaxed);
  spend_on_copy(entry.out);
  spend_on_drop(entry.out);
  parcel->whole = entry.out.copy_to(parcel->unsent);
  entry.out.clear(pool_, true);
  if (entry.framing != FramingTable::kNone) parcel->framing = std::make_unique<const Framing>(framing_of(entry));
  parcel->unread = take_unread(entry);
  pack_timeouts(entry, *parcel);
  // As far as this loop is concerned it closes, with nothing else to be told of here; the socket doesn't.
  entry.flags &= ~kMoving;
  entry.set(Connection::kLeft);
  close(slot, entry, 0, Syscall::kRead);
  if (!file_table_.is_own()) parcel->fd = std::move(entry.fd);
  return parcel;
}

void Loop::settle_move(SettleRequest& request) {
  if (deferring(request.slot, request.generation) == nullptr) return;
  Expected there = moves_.take(request.slot);
  if (request.abandoned) {
    release(request.slot);
  } else if (request.parcel == nullptr) {
    fail_to_arrive(request.slot, request.error, request.error_syscall);
    if (!request.lost) entries_[request.slot].set(Connection::kLeft);
  } else {
    arrive(request.slot, *request.parcel);
    Entry* entry = there.error != 0 ? find(request.slot, request.generation) : nullptr;
    if (entry != nullptr && there.error == ENOMEM) {
      close_for_memory(request.slot, *entry, Syscall::kWrite);
    } else if (entry != nullptr) {
      close(request.slot, *entry, there.error, Syscall::kWrite);
    }
  }
  for (Deferred& one : there.deferred) {
    spend(1);
    carry_out_late(request.slot, request.generation, std::move(one));
  }
}

void Loop::fail_to_arrive(uint32_t slot, uint16_t error, uint8_t syscall) {
  Entry& entry = entries_[slot];
  entry.error = error;
  entry.error_syscall = syscall;
  entry.set(Connection::kClosing | Connection::kCloseDue);
  ++closing_;
  ready_.push(slot);
}

void Loop::arrive(uint32_t slot, Parcel& parcel) {
  Entry& entry = entries_[slot];
  Result<Fd> ours = file_table_.bring(parcel.fd);
  if (!ours) return fail_to_arrive(slot, static_cast<uint16_t>(ours.error().code), 0);
  entry.fd = std::move(ours.value());
  if (local_addresses_ != nullptr) local_addresses_->note(slot, entry.fd.get());
  entry.peer = parcel.peer;
  entry.flags |= parcel.flags;
  entry.context = parcel.context;
  entry.error = parcel.error;
  entry.error_syscall = parcel.error_syscall;
  entry.interest = Interest::kAll;
  std::atomic_ref<uint32_t>(flushed_[slot]).store(parcel.flushed, std::memory_order_relaxed);
  ++stats_.moved;
  unpack_timeouts(slot, entry, parcel);
  if (parcel.framing != nullptr) set_framing(entry, parcel.framing.get());
  const Result<void> added = poller_.add(entry.fd.get(), word_of(slot));
  if (!added) {
    // A FIN would make what has gone out look whole.
    if (!parcel.unsent.empty()) (void)reset_on_close(entry.fd.get());
    return close(slot, entry, added.error().code, Syscall::kRead);
  }
  for (OutboundRun& run : parcel.unsent) parcel.whole = parcel.whole && requeue(entry, run);
  if (!parcel.whole) return close_for_memory(slot, entry, Syscall::kWrite);
  if (parcel.unread != nullptr) read_first(slot, std::move(parcel.unread));
  flush_.push(slot);
  if (entry.has(Connection::kDue) || entry.can_read()) ready_.push(slot);
}

bool Loop::requeue(Entry& entry, OutboundRun& run) {
  if (!run.shared) {
    return entry.out.append(pool_, run.bytes.data(), static_cast<uint32_t>(run.bytes.size())) && entry.out.keep(pool_);
  }
  SharedPayload* payload = SharedPayload::of(std::move(run.bytes));
  const bool appended = entry.out.append_shared(pool_, *payload);
  pool_.release(payload);
  return appended;
}

// Something that was said to it while it was on its way.
void Loop::carry_out_late(uint32_t slot, uint32_t generation, Deferred one) {
  if (one.request != nullptr) return run_request(std::move(one.request));
  Entry* entry = find(slot, generation);
  if (one.shared != nullptr) {
    queue_shared(slot, entry, *one.shared, one.max_write_queue);
    return pool_.release(one.shared);
  }
  carry_out(slot, entry, one.command, one.argument, {one.bytes.data(), one.bytes.size()}, one.pinned);
  // Its bytes go with it.
  if (entry != nullptr && !entry->out.keep(pool_)) close_for_memory(slot, *entry, Syscall::kWrite);
}

}  // namespace c1m
