// One connection's bytes, cut into frames.
//
//   nothing, or little, pending:  slab:    [ pending | recv(2) …        ]   its frames are slices of the slab, and what is
//                                                                          left at the end is pending
//   more of a frame pending:      framer:  [ pending | recv(2) …        ]   until the frame is whole; then that is its memory
//
// So a byte is copied twice at most, unless its frame comes in many small pieces.
#include "native/features/frames/frame_reader.h"

#include <algorithm>
#include <cstring>

#include "native/conn/transport.h"
#include "native/features/frames/read_limits.h"

namespace c1m {

namespace {

// Pending bytes that are put in front of the next read: half the minimum room of a slab, some 200 ns.
constexpr size_t kMaxJoined = EventBatch::kMinRead / 2;
// A frame that was put together, up to this length, is copied into the slab: less than half a microsecond. An ArrayBuffer
// for it would cost more.
constexpr size_t kMaxCopied = EventBatch::kMinRead;

}  // namespace

bool FrameReader::read(uint32_t slot, Entry& entry, ReadMode mode) {
  const Framing& framing = table_.framings.of(entry);
  size_t budget = kReadBudget;
  while (budget > 0 && entry.can_read()) {
    if (!table_.events.ensure_room(mode)) return false;
    const ssize_t got = entry.unread_bytes() > kMaxJoined ? read_into_framer(slot, entry, framing, budget)
                                                          : read_into_slab(slot, entry, framing, mode, budget);
    if (got > 0) budget -= static_cast<size_t>(got);
    if (entry.has(Connection::kFramesWaiting) && !deliver_waiting(slot, entry, mode)) return false;
  }
  return true;
}

ssize_t FrameReader::read_into_framer(uint32_t slot, Entry& entry, const Framing& framing, size_t budget) {
  Framer& framer = entry.need_framer();
  const Framer::Room room = framer.room(framing, std::min(kReadWindow, budget));
  if (room.data == nullptr) {
    table_.close_for_memory(slot, entry, Syscall::kRead);
    return -ENOMEM;
  }
  const ssize_t got = transport::receive(entry, room.data, room.length);
  if (got > 0) {
    framer.grew(static_cast<size_t>(got));
    if (framer.next(framing).state != Cut::State::kIncomplete) entry.set(Connection::kFramesWaiting);
  }
  table_.received(slot, entry, got, room.length);
  return got;
}

ssize_t FrameReader::read_into_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t budget) {
  ReadSlab& slab = table_.events.filling()->slab(mode);
  const size_t pending = entry.unread_bytes();
  uint8_t* start = slab.data + slab.used;
  if (pending > 0) std::memcpy(start, entry.extras->framer->data(), pending);
  const size_t asked = std::min({kReadWindow, slab.room() - pending, budget});
  const ssize_t got = transport::receive(entry, start + pending, asked);
  if (got > 0) cut_slab(slot, entry, framing, mode, pending, static_cast<size_t>(got));
  table_.received(slot, entry, got, asked);
  return got;
}

// Delivers the frames among the slab's next bytes, and keeps the rest.
void FrameReader::cut_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t pending,
                           size_t got) {
  EventBatch& batch = *table_.events.filling();
  ReadSlab& slab = batch.slab(mode);
  const uint8_t* data = slab.data + slab.used;
  const size_t length = pending + got;
  size_t scanned = pending > 0 ? entry.extras->framer->scanned() : 0;
  size_t done = 0;
  while (done < length) {
    const Cut cut = cut_frame(framing, data + done, length - done, scanned);
    if (cut.state == Cut::State::kTooLarge) note_invalid_frame(entry);
    if (cut.state != Cut::State::kComplete) break;
    if (!batch.has_record() || !take_frame()) {
      entry.set(Connection::kFramesWaiting);
      break;
    }
    const auto offset = static_cast<uint32_t>(slab.used + done + cut.offset);
    batch.append(Event::kData, static_cast<uint32_t>(mode), slot, offset, cut.payload);
    done += cut.total;
    scanned = 0;
  }
  slab.used += static_cast<uint32_t>(done);
  if (done == length) return entry.drop_framer();
  Framer& framer = entry.need_framer();
  const size_t known = done == 0 ? pending : done;
  if (done > 0) framer.clear();
  if (!framer.append(data + known, length - known)) return table_.close_for_memory(slot, entry, Syscall::kRead);
  if (!entry.end_waits()) framer.note_searched(framing);
}

// False if the connection has had its share of the turn. The batch is published as it is then: else JavaScript, busy with
// the one before, would get a batch full of one connection's frames next, and the others' behind them.
bool FrameReader::take_frame() {
  if (frames_left_ == 0) {
    table_.events.crowd();
    return false;
  }
  --frames_left_;
  return true;
}

bool FrameReader::deliver_waiting(uint32_t slot, Entry& entry, ReadMode mode) {
  const Framing raw{};
  const Framing& framing = entry.framing == FramingTable::kNone ? raw : table_.framings.of(entry);
  Framer& framer = entry.need_framer();
  for (;;) {
    Cut cut = framer.next(framing);
    if (cut.state == Cut::State::kTooLarge) note_invalid_frame(entry);
    if (cut.state != Cut::State::kComplete) break;
    if (!take_frame()) return false;
    if (!table_.events.ensure_room(mode)) return false;
    EventBatch& batch = *table_.events.filling();
    if (framing.kind == Framing::Kind::kNone) {
      cut.total = cut.payload = std::min(cut.payload, uint32_t{kMaxCopied});
    }
    if (cut.payload > kMaxCopied) {
      OwnFrame frame = framer.take(cut);
      if (frame.memory == nullptr) {
        table_.close_for_memory(slot, entry, Syscall::kRead);
        return true;
      }
      batch.append_frame(slot, std::move(frame));
      continue;
    }
    ReadSlab& slab = batch.slab(mode);
    std::memcpy(slab.data + slab.used, framer.data() + cut.offset, cut.payload);
    batch.append(Event::kData, static_cast<uint32_t>(mode), slot, slab.used, cut.payload);
    slab.used += cut.payload;
    framer.consume(cut.total);
  }
  if (framer.size() == 0) entry.drop_framer();
  entry.unset(Connection::kFramesWaiting);
  if (entry.is_over()) table_.close(slot, entry, 0, Syscall::kRead);
  return true;
}

// JavaScript is to close the connection: a handler that has yet to run for an earlier frame may change the framing,
// and then there is nothing wrong.
void FrameReader::note_invalid_frame(Entry& entry) { entry.set(Connection::kReframing | Connection::kInvalidFrameDue); }

void FrameReader::reframe(uint32_t slot, Entry& entry, const Framing* framing, std::unique_ptr<Framer> bytes,
                          bool ended) {
  table_.framings.set(entry, framing);
  if (bytes != nullptr) table_.read_first(slot, std::move(bytes));
  if (entry.has(Connection::kClosing)) return;
  entry.unset(Connection::kReframing);
  if (entry.unread_bytes() > 0) entry.set(Connection::kFramesWaiting);
  if (ended) entry.set(Connection::kEndDue);
  if (entry.is_over()) table_.close(slot, entry, 0, Syscall::kRead);
  table_.ready.push(slot);
}

}  // namespace c1m
