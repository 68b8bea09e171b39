// Connections that move between loops.
#include "native/loop/move.h"

#include <algorithm>

#include "native/loop/loop.h"

namespace c1m {

namespace {

// What the new loop has to know; the rest is a place in the old one's lists, or what the poller says anew.
constexpr uint32_t kMoving = Connection::kReadable | Connection::kWritable | Connection::kHangup | Connection::kPaused |
                             Connection::kEndSeen | Connection::kEndWanted | Connection::kFinSent |
                             Connection::kWriteFailed | Connection::kDrainWanted | Connection::kBorrowed |
                             Connection::kDrainDue | Connection::kEndDue | Connection::kTimeoutDue |
                             Connection::kBroken | Connection::kSynDeferred | Connection::kCorked | Connection::kMuted |
                             Connection::kReframing | Connection::kFramingDue | Connection::kMisfitDue;

}  // namespace

std::vector<Deferred>* ConnectionRequest::waits(Loop& loop) const { return loop.deferring(slot, generation); }

bool ReserveRequest::run(Loop& loop) {
  full = !loop.reserve(*this);
  return true;
}

bool ReleaseRequest::run(Loop& loop) {
  Entry* entry = loop.find(slot, generation);
  // It has closed, and counts as that where it did.
  if (entry == nullptr) return true;
  // Nothing more is read: the new loop will.
  entry->set(Connection::kLeaving);
  loop.moves().leaving.push_back(this);
  return false;
}

bool SettleRequest::run(Loop& loop) {
  loop.settle_move(*this);
  return true;
}

bool IdleRequest::run(Loop& loop) {
  loop.find_idle(ms, most, found);
  return true;
}

void Loop::find_idle(uint32_t ms, uint32_t most, std::vector<uint32_t>& found) {
  constexpr uint32_t kBusy = Connection::kConnecting | Connection::kRelayed | Connection::kLeaving |
                             Connection::kReadable | Connection::kHangup | Connection::kBroken | Connection::kEndSeen |
                             Connection::kEndWanted | Connection::kDue | Connection::kReframing |
                             Connection::kSynDeferred;
  for (uint32_t slot = 0; slot < entries_.used() && found.size() < size_t{most} * 2; ++slot) {
    const Entry& entry = entries_[slot];
    if (!entry.fd.valid() || entry.has(kBusy | Connection::kClosing) || !entry.out.empty()) continue;
    if (now_tick_ - entry.last_active < Wheel::ticks(ms)) continue;
    found.push_back(slot);
    found.push_back(entries_.generation(slot));
  }
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
  moves_.expect(slot, request.muted);
  return true;
}

void Loop::let_go() {
  moves_.passage_full = false;
  std::erase_if(moves_.leaving, [this](ReleaseRequest* request) {
    Entry* entry = find(request->slot, request->generation);
    if (entry != nullptr) {
      if (!broadcasts_.empty() || entry->out.first_file() != nullptr || !hand_out(request->slot, *entry)) return false;
      if (!entry->has(Connection::kClosing)) request->parcel = depart(request->slot, *entry);
    } else if (Entry* closing = entries_.find(request->slot, request->generation); closing != nullptr) {
      // It counts as closed here, and not where it goes.
      closing->unset(Connection::kLeaving);
    }
    complete(request);
    return true;
  });
}

// Where the file tables differ its socket goes to the JS thread's. False if the passage is full; true also if that can't be,
// and it has been closed.
bool Loop::hand_out(uint32_t slot, Entry& entry) {
  if (!file_table_.is_own()) return true;
  const Result<Fd> handed = file_table_.hand_out(entry.fd.get());
  if (handed) return true;
  moves_.passage_full = is_for_now(handed.error().code);
  if (moves_.passage_full) return false;
  entry.unset(Connection::kLeaving);
  close(slot, entry, handed.error().code, Syscall::kRead);
  return true;
}

std::unique_ptr<Parcel> Loop::depart(uint32_t slot, Entry& entry) {
  auto parcel = std::make_unique<Parcel>();
  parcel->peer = entry.peer;
  parcel->flags = entry.flags & kMoving;
  parcel->context = entry.context;
  parcel->error = entry.error;
  parcel->error_syscall = entry.error_syscall;
  parcel->flushed = std::atomic_ref<uint32_t>(flushed_[slot]).load(std::memory_order_relaxed);
  entry.out.copy_to(parcel->unsent);
  if (entry.framing != FramingTable::kNone) parcel->framing = std::make_unique<const Framing>(framing_of(entry));
  parcel->unread = take_unread(entry);
  pack_timeouts(entry, *parcel);
  // As far as this loop is concerned it closes; the socket doesn't.
  close(slot, entry, 0, Syscall::kRead);
  if (!file_table_.is_own()) parcel->fd = std::move(entry.fd);
  return parcel;
}

void Loop::settle_move(SettleRequest& request) {
  if (deferring(request.slot, request.generation) == nullptr) return;
  std::vector<Deferred> deferred = moves_.take(request.slot).deferred;
  if (request.abandoned) {
    release(request.slot);
  } else if (request.parcel == nullptr) {
    fail_to_arrive(request.slot, request.error, request.error_syscall);
  } else {
    arrive(request.slot, *request.parcel);
  }
  for (Deferred& one : deferred) carry_out_late(request.slot, request.generation, std::move(one));
}

void Loop::fail_to_arrive(uint32_t slot, uint16_t error, uint8_t syscall) {
  Entry& entry = entries_[slot];
  entry.error = error;
  entry.error_syscall = syscall;
  entry.set(Connection::kClosing | Connection::kCloseDue | Connection::kLeaving);
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
  if (!added) return close(slot, entry, added.error().code, Syscall::kRead);
  for (OutboundRun& run : parcel.unsent) {
    if (run.shared) {
      SharedPayload* payload = SharedPayload::copy_of(run.bytes.data(), static_cast<uint32_t>(run.bytes.size()));
      entry.out.append_shared(pool_, *payload);
      pool_.release(payload);
    } else {
      entry.out.append(pool_, run.bytes.data(), static_cast<uint32_t>(run.bytes.size()));
      entry.out.keep(pool_);
    }
  }
  if (!parcel.unread.empty()) read_first(slot, parcel.unread);
  flush_.push(slot);
  if (entry.has(Connection::kDue) || entry.can_read()) ready_.push(slot);
}

// Something that was said to it while it was on its way.
void Loop::carry_out_late(uint32_t slot, uint32_t generation, Deferred one) {
  if (one.request != nullptr) return run_request(std::move(one.request));
  Entry* entry = find(slot, generation);
  if (one.shared != nullptr) {
    if (entry != nullptr) queue_shared(slot, *entry, *one.shared, one.max_write_queue);
    return pool_.release(one.shared);
  }
  carry_out(slot, entry, one.command, one.argument, {one.bytes.data(), one.bytes.size()}, one.pinned);
  // Its bytes go with it.
  if (entry != nullptr) entry->out.keep(pool_);
}

}  // namespace c1m
