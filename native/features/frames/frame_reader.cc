// One connection's bytes, cut into frames.
//
//   nothing, or little, pending:  slab:    [ pending | recv(2) …        ]   its frames are slices of the slab, and what is
//                                                                          left at the end is pending
//   more of a frame pending:      framer:  [ pending | recv(2) …        ]   until the frame is whole; then that is its memory
//
// So a byte is copied twice at most, unless its frame comes in many small pieces.
#include <algorithm>
#include <cstring>

#include "native/conn/transport.h"
#include "native/features/frames/read_limits.h"
#include "native/loop/loop.h"

namespace c1m {

namespace {

// Pending bytes that are put in front of the next read: half the least room of a slab, some 200 ns.
constexpr size_t kMostJoined = EventBatch::kLeastRead / 2;
// A frame that was put together, up to this length, is copied into the slab: less than half a microsecond. An ArrayBuffer
// for it would cost more.
constexpr size_t kMostCopied = EventBatch::kLeastRead;

Framer& framer_of(Entry& entry) {
  std::unique_ptr<Framer>& framer = entry.need_extras().framer;
  if (framer == nullptr) framer = std::make_unique<Framer>();
  return *framer;
}

size_t pending_of(const Entry& entry) {
  return entry.extras == nullptr || entry.extras->framer == nullptr ? 0 : entry.extras->framer->size();
}

}  // namespace

const Framing& Loop::framing_of(const Entry& entry) const {
  return entry.framing == FramingTable::kOwn ? *entry.extras->own_framing : framings_[entry.framing];
}

void Loop::set_framing(Entry& entry, const Framing* framing) {
  framings_.release(entry.framing);
  entry.framing = framing == nullptr ? FramingTable::kNone : framings_.acquire(*framing);
  if (entry.extras != nullptr) {
    entry.extras->own_framing.reset();
    if (entry.extras->framer != nullptr) entry.extras->framer->forget_search();
  }
  if (entry.framing == FramingTable::kOwn) {
    entry.need_extras().own_framing = std::make_unique<const Framing>(*framing);
  }
  entry.tidy();
}

// An idle connection holds no memory.
void Loop::drop_framer(Entry& entry) {
  if (entry.extras == nullptr) return;
  entry.extras->framer.reset();
  entry.tidy();
}

// No edge announces them.
void Loop::read_first(uint32_t slot, std::unique_ptr<Framer> bytes) {
  Entry& entry = entries_[slot];
  std::unique_ptr<Framer>& framer = entry.need_extras().framer;
  if (framer != nullptr && !bytes->append(framer->data(), framer->size())) {
    return close_for_memory(slot, entry, Syscall::kRead);
  }
  framer = std::move(bytes);
  entry.set(Connection::kFramesWaiting);
  ready_.push(slot);
}

std::unique_ptr<Framer> Loop::take_unread(Entry& entry) {
  if (pending_of(entry) == 0) return nullptr;
  std::unique_ptr<Framer> taken = std::move(entry.extras->framer);
  taken->forget_search();
  entry.tidy();
  entry.unset(Connection::kFramesWaiting);
  return taken;
}

bool Loop::read_frames(uint32_t slot, Entry& entry, ReadMode mode) {
  const Framing& framing = framing_of(entry);
  size_t budget = kReadBudget;
  while (budget > 0 && entry.can_read()) {
    if ((filling_ == nullptr || !filling_->has_room(mode)) && !(rotate() && filling_->has_room(mode))) return false;
    const ssize_t got = pending_of(entry) > kMostJoined ? read_into_framer(slot, entry, framing, budget)
                                                        : read_into_slab(slot, entry, framing, mode, budget);
    if (got > 0) budget -= static_cast<size_t>(got);
    if (entry.has(Connection::kFramesWaiting) && !deliver_waiting(slot, entry, mode)) return false;
  }
  return true;
}

ssize_t Loop::read_into_framer(uint32_t slot, Entry& entry, const Framing& framing, size_t budget) {
  Framer& framer = framer_of(entry);
  const Framer::Room room = framer.room(framing, std::min(kReadWindow, budget));
  if (room.data == nullptr) {
    close_for_memory(slot, entry, Syscall::kRead);
    return -ENOMEM;
  }
  const ssize_t got = transport::receive(entry, room.data, room.length);
  if (got > 0) {
    framer.grew(static_cast<size_t>(got));
    if (framer.next(framing).state != Cut::State::kIncomplete) entry.set(Connection::kFramesWaiting);
  }
  received(slot, entry, got, room.length);
  return got;
}

ssize_t Loop::read_into_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t budget) {
  ReadSlab& slab = filling_->slab(mode);
  const size_t pending = pending_of(entry);
  uint8_t* start = slab.data + slab.used;
  if (pending > 0) std::memcpy(start, entry.extras->framer->data(), pending);
  const size_t asked = std::min({kReadWindow, slab.room() - pending, budget});
  const ssize_t got = transport::receive(entry, start + pending, asked);
  if (got > 0) cut_slab(slot, entry, framing, mode, pending, static_cast<size_t>(got));
  received(slot, entry, got, asked);
  return got;
}

// Tells of the frames among the slab's next bytes, and keeps the rest.
void Loop::cut_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t pending, size_t got) {
  ReadSlab& slab = filling_->slab(mode);
  const uint8_t* data = slab.data + slab.used;
  const size_t length = pending + got;
  size_t scanned = pending > 0 ? entry.extras->framer->scanned() : 0;
  size_t done = 0;
  while (done < length) {
    const Cut cut = cut_frame(framing, data + done, length - done, scanned);
    if (cut.state == Cut::State::kTooLarge) misfit(entry);
    if (cut.state != Cut::State::kComplete) break;
    if (!filling_->has_record() || !take_frame()) {
      entry.set(Connection::kFramesWaiting);
      break;
    }
    const auto offset = static_cast<uint32_t>(slab.used + done + cut.offset);
    filling_->append(Event::kData, static_cast<uint32_t>(mode), slot, offset, cut.payload);
    done += cut.total;
    scanned = 0;
  }
  slab.used += static_cast<uint32_t>(done);
  if (done == length) return drop_framer(entry);
  Framer& framer = framer_of(entry);
  const size_t known = done == 0 ? pending : done;
  if (done > 0) framer.clear();
  if (!framer.append(data + known, length - known)) return close_for_memory(slot, entry, Syscall::kRead);
  if (!entry.end_waits()) framer.note_searched(framing);
}

// False if the connection has had its share of the turn. The batch is handed over as it is then: else JavaScript, busy with
// the one before, would get a batch full of one connection's frames next, and the others' behind them.
bool Loop::take_frame() {
  if (frames_left_ == 0) {
    crowded_ = true;
    return false;
  }
  --frames_left_;
  return true;
}

// Delivers the whole frames that the framer holds. False if it stopped for want of room in a batch, or at
// the connection's share.
bool Loop::deliver_waiting(uint32_t slot, Entry& entry, ReadMode mode) {
  const Framing raw{};
  const Framing& framing = entry.framing == FramingTable::kNone ? raw : framing_of(entry);
  Framer& framer = framer_of(entry);
  for (;;) {
    Cut cut = framer.next(framing);
    if (cut.state == Cut::State::kTooLarge) misfit(entry);
    if (cut.state != Cut::State::kComplete) break;
    if (!take_frame()) return false;
    if ((filling_ == nullptr || !filling_->has_room(mode)) && !(rotate() && filling_->has_room(mode))) return false;
    if (framing.kind == Framing::Kind::kNone) {
      cut.total = cut.payload = std::min(cut.payload, uint32_t{kMostCopied});
    }
    if (cut.payload > kMostCopied) {
      OwnFrame frame = framer.take(cut);
      if (frame.memory == nullptr) {
        close_for_memory(slot, entry, Syscall::kRead);
        return true;
      }
      filling_->append_frame(slot, std::move(frame));
      continue;
    }
    ReadSlab& slab = filling_->slab(mode);
    std::memcpy(slab.data + slab.used, framer.data() + cut.offset, cut.payload);
    filling_->append(Event::kData, static_cast<uint32_t>(mode), slot, slab.used, cut.payload);
    slab.used += cut.payload;
    framer.consume(cut.total);
  }
  if (framer.size() == 0) drop_framer(entry);
  entry.unset(Connection::kFramesWaiting);
  if (entry.is_over()) close(slot, entry, 0, Syscall::kRead);
  return true;
}

// It is for JavaScript to close the connection: a handler that has yet to run for an earlier frame may change the framing,
// and then there is nothing wrong.
void Loop::misfit(Entry& entry) { entry.set(Connection::kReframing | Connection::kMisfitDue); }

void Loop::reframe(uint32_t slot, Entry& entry, const Framing* framing, std::unique_ptr<Framer> bytes, bool ended) {
  set_framing(entry, framing);
  if (bytes != nullptr) read_first(slot, std::move(bytes));
  if (entry.has(Connection::kClosing)) return;
  entry.unset(Connection::kReframing);
  if (pending_of(entry) > 0) entry.set(Connection::kFramesWaiting);
  if (ended) entry.set(Connection::kEndDue);
  if (entry.is_over()) close(slot, entry, 0, Syscall::kRead);
  ready_.push(slot);
}

}  // namespace c1m
