#include "native/conn/outbound.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>

namespace c1m {

OutboundPool::~OutboundPool() {
  while (free_ != nullptr) free_one();
}

// Users decide how many writes and broadcasts wait: malloc(3) leaves the process's spare memory alone.
bool OutboundPool::make_room(size_t copied) {
  const size_t blocks = copied == 0 ? 0 : copied / QueueBlock::kBytes + 1;
  // The first part may continue in a block that has room.
  while (kept_ <= blocks) {
    auto* segment = static_cast<Segment*>(std::malloc(sizeof(Segment)));
    if (segment == nullptr) break;
    segment->next = free_;
    free_ = segment;
    ++kept_;
  }
  if (kept_ > blocks && (blocks == 0 || blocks_.make_room(blocks))) return true;
  while (kept_ > kKept) free_one();
  return false;
}

void OutboundPool::free_one() {
  Segment* first = free_;
  free_ = first->next;
  std::free(first);
  --kept_;
}

Segment* OutboundPool::take(Segment::Kind kind, const uint8_t* data, uint32_t length) {
  assert(free_ != nullptr);
  Segment* segment = free_;
  free_ = segment->next;
  --kept_;
  ++in_use_;
  *segment = Segment{.data = data,
                     .length = length,
                     .whole = length,
                     .excess = 0,
                     .kind = kind,
                     .foreign = false,
                     .block = nullptr,
                     .next = nullptr,
                     .queued = 0,
                     .own = 0,
                     .overhead = 0,
                     .open = nullptr};
  return segment;
}

void OutboundPool::give(Segment* segment) {
  switch (segment->kind) {
    case Segment::Kind::kArena:
      break;
    case Segment::Kind::kLoose:
      released_.push_back(segment->owner);
      break;
    case Segment::Kind::kBlock:
      release(segment->block);
      break;
    case Segment::Kind::kPinned:
      other_memory_ -= size_t{segment->whole} + segment->excess;
      released_.push_back(segment->owner);
      break;
    case Segment::Kind::kShared:
      release(segment->shared);
      break;
    case Segment::Kind::kFile:
      other_memory_ -= QueueCost::kFile - QueueCost::kSegment;
      finished_.push_back(segment->file);
      break;
  }
  --in_use_;
  if (kept_ >= kKept) {
    std::free(segment);
    return;
  }
  ++kept_;
  segment->next = free_;
  free_ = segment;
}

void OutboundPool::release(SharedPayload* payload) {
  if (--payload->references > 0) return;
  if (payload->counted) other_memory_ -= payload->length + QueueCost::kShared - QueueCost::kSegment;
  if (payload->owner != nullptr) released_.push_back(payload->owner);
  delete payload;
}

QueueBlock* OutboundPool::take_block() {
  auto* block = reinterpret_cast<QueueBlock*>(blocks_.take());
  block->references = 1;
  block->used = 0;
  return block;
}

void OutboundPool::release(QueueBlock* block) {
  if (--block->references == 0) blocks_.give(reinterpret_cast<uint8_t*>(block));
}

uint8_t* OutboundPool::copy_buffer() {
  if (copy_buffer_ == nullptr) copy_buffer_ = std::make_unique<uint8_t[]>(kCopyBytes);
  return copy_buffer_.get();
}

namespace {

uint32_t own_of(const Segment& segment) { return segment.foreign ? 0 : 1; }
// Only until the queue is kept.
bool is_transient(Segment::Kind kind) { return kind == Segment::Kind::kArena || kind == Segment::Kind::kLoose; }

size_t overhead_of(const Segment& segment) {
  switch (segment.kind) {
    case Segment::Kind::kArena:
    case Segment::Kind::kLoose:
      return 0;
    case Segment::Kind::kBlock:
      return QueueCost::kSegment;
    case Segment::Kind::kPinned:
      return QueueCost::kSegment + segment.excess;
    case Segment::Kind::kShared:
      return QueueCost::kShared;
    case Segment::Kind::kFile:
      return QueueCost::kFile;
  }
  return 0;
}

}  // namespace

void Outbound::push(Segment* segment) {
  if (tail_ == nullptr) {
    head_ = segment;
  } else {
    tail_->next = segment;
  }
  tail_ = segment;
  head_->queued += segment->length;
  head_->own += own_of(*segment);
  head_->overhead += overhead_of(*segment);
}

// Takes the first segment off the queue.
void Outbound::pop(OutboundPool& pool) {
  Segment* next = head_->next;
  if (next != nullptr) {
    next->queued = head_->queued - head_->length;
    next->own = head_->own - own_of(*head_);
    next->overhead = head_->overhead - overhead_of(*head_);
    next->open = head_->open;
  } else {
    tail_ = nullptr;
    if (head_->open != nullptr) pool.release(head_->open);
  }
  head_ = next;
}

bool Outbound::takes_transient() const { return tail_ == nullptr || is_transient(tail_->kind); }

bool Outbound::append(OutboundPool& pool, const uint8_t* data, uint32_t length) {
  if (length == 0) return true;
  if (!takes_transient()) return copy_into_blocks(pool, data, length, false);
  // Replies that a handler wrote one after the other lie side by side: they become one run, and one iovec.
  if (tail_ != nullptr && tail_->kind == Segment::Kind::kArena && tail_->data + tail_->length == data) {
    tail_->length += length;
    head_->queued += length;
    return true;
  }
  if (!pool.make_room()) return false;
  push(pool.take(Segment::Kind::kArena, data, length));
  return true;
}

bool Outbound::append_pinned(OutboundPool& pool, const uint8_t* data, uint32_t length, uint32_t excess, void* owner) {
  const bool loose = excess > length;
  if (length == 0 || (loose && !takes_transient())) {
    const bool copied = copy_into_blocks(pool, data, length, false);
    pool.released().push_back(owner);
    return copied;
  }
  if (!pool.make_room()) {
    pool.released().push_back(owner);
    return false;
  }
  Segment* segment = pool.take(loose ? Segment::Kind::kLoose : Segment::Kind::kPinned, data, length);
  segment->owner = owner;
  if (!loose) {
    segment->excess = excess;
    pool.other_memory_ += size_t{length} + excess;
  }
  push(segment);
  return true;
}

bool Outbound::append_foreign(OutboundPool& pool, const uint8_t* data, size_t length) {
  return copy_into_blocks(pool, data, length, true);
}

bool Outbound::append_shared(OutboundPool& pool, SharedPayload& payload) {
  assert(payload.length > 0 && payload.length <= UINT32_MAX);
  if (!pool.make_room()) return false;
  Segment* segment = pool.take(Segment::Kind::kShared, payload.data, static_cast<uint32_t>(payload.length));
  segment->shared = &payload;
  segment->foreign = true;
  ++payload.references;
  if (!payload.counted) {
    payload.counted = true;
    pool.other_memory_ += payload.length + QueueCost::kShared - QueueCost::kSegment;
  }
  push(segment);
  return true;
}

bool Outbound::append_file(OutboundPool& pool, OutboundFile& file) {
  if (!pool.make_room()) return false;
  Segment* segment = pool.take(Segment::Kind::kFile, nullptr, 0);
  segment->file = &file;
  pool.other_memory_ += QueueCost::kFile - QueueCost::kSegment;
  push(segment);
  return true;
}

OutboundFile* Outbound::first_file() const {
  const Segment* segment = head_;
  while (segment != nullptr && segment->kind != Segment::Kind::kFile) segment = segment->next;
  return segment == nullptr ? nullptr : segment->file;
}

OutboundFile* Outbound::front_file() const {
  return head_ != nullptr && head_->kind == Segment::Kind::kFile ? head_->file : nullptr;
}

OutboundFile* Outbound::find_file(uint32_t id) const {
  for (const Segment* segment = head_; segment != nullptr; segment = segment->next) {
    if (segment->kind == Segment::Kind::kFile && segment->file->id == id) return segment->file;
  }
  return nullptr;
}

bool Outbound::bytes_follow() const {
  return head_ != nullptr && head_->next != nullptr && head_->next->kind != Segment::Kind::kFile;
}

void Outbound::remove_file(OutboundPool& pool, const OutboundFile& file) {
  Segment* before = nullptr;
  Segment* segment = head_;
  while (segment != nullptr && (segment->kind != Segment::Kind::kFile || segment->file != &file)) {
    before = segment;
    segment = segment->next;
  }
  if (segment == nullptr) return;
  if (before == nullptr) {
    pop(pool);
  } else {
    head_->own -= own_of(*segment);
    head_->overhead -= overhead_of(*segment);
    before->next = segment->next;
    if (tail_ == segment) tail_ = before;
  }
  pool.give(segment);
}

int Outbound::gather(iovec* vectors, size_t max, bool& more) const {
  int count = 0;
  more = false;
  for (const Segment* segment = head_; segment != nullptr && count < kMaxVectors && max > 0; segment = segment->next) {
    more = segment->kind == Segment::Kind::kFile;
    if (more) break;
    vectors[count].iov_base = const_cast<uint8_t*>(segment->data);
    vectors[count].iov_len = std::min<size_t>(segment->length, max);
    max -= vectors[count].iov_len;
    ++count;
  }
  return count;
}

size_t Outbound::consume(OutboundPool& pool, size_t count) {
  size_t foreign = 0;
  while (count > 0) {
    assert(head_ != nullptr);
    Segment* sent = head_;
    const size_t taken = std::min<size_t>(count, sent->length);
    if (sent->foreign) foreign += taken;
    count -= taken;
    if (taken == sent->length) {
      pop(pool);
      pool.give(sent);
    } else {
      sent->data += taken;
      sent->length -= static_cast<uint32_t>(taken);
      sent->queued -= taken;
    }
  }
  return foreign;
}

bool Outbound::copy_into_blocks(OutboundPool& pool, const uint8_t* data, size_t length, bool foreign) {
  if (length > 0 && !pool.make_room(length)) return false;
  copy_into_blocks(pool, data, length, foreign, head_ == nullptr ? nullptr : head_->open);
  return true;
}

void Outbound::copy_into_blocks(OutboundPool& pool, const uint8_t* data, size_t length, bool foreign,
                                QueueBlock* open) {
  while (length > 0) {
    if (open == nullptr) open = pool.take_block();
    uint8_t* to = open->bytes + open->used;
    const size_t count = std::min(QueueBlock::kBytes - open->used, length);
    const auto copied = static_cast<uint32_t>(count);
    std::memcpy(to, data, count);
    open->used += copied;
    if (tail_ != nullptr && tail_->kind == Segment::Kind::kBlock && tail_->foreign == foreign && tail_->block == open &&
        tail_->data + tail_->length == to) {
      tail_->length += copied;
      head_->queued += count;
    } else {
      Segment* segment = pool.take(Segment::Kind::kBlock, to, copied);
      segment->block = open;
      segment->foreign = foreign;
      ++open->references;
      push(segment);
    }
    if (open->used == QueueBlock::kBytes) {
      pool.release(open);
      open = nullptr;
    }
    head_->open = open;
    data += count;
    length -= count;
  }
}

bool Outbound::keep(OutboundPool& pool) {
  if (head_ == nullptr || !is_transient(head_->kind)) return true;
  size_t transient = 0;
  Segment* segment = head_;
  for (; segment != nullptr && is_transient(segment->kind); segment = segment->next) transient += segment->length;
  if (!pool.make_room(transient)) return false;
  segment = head_;
  Segment* last = tail_;
  const size_t queued = head_->queued;
  uint32_t rest = head_->own;
  const size_t overhead = head_->overhead;  // of what is behind: such segments have none
  QueueBlock* open = head_->open;
  head_ = tail_ = nullptr;
  while (segment != nullptr && is_transient(segment->kind)) {
    Segment* next = segment->next;
    --rest;
    copy_into_blocks(pool, segment->data, segment->length, false, open);
    open = head_->open;
    pool.give(segment);
    segment = next;
  }
  if (segment == nullptr) return true;
  assert(tail_ != nullptr);  // no segment is empty, so that these bytes made at least one in a block
  tail_->next = segment;
  tail_ = last;
  head_->queued = queued;
  head_->own += rest;
  head_->overhead += overhead;
  return true;
}

bool Outbound::copy_to(Bytes& to) const {
  if (!to.make_room(to.size() + bytes())) return false;
  for (const Segment* segment = head_; segment != nullptr; segment = segment->next) {
    (void)to.append(segment->data, segment->length);
  }
  return true;
}

bool Outbound::copy_to(std::vector<OutboundRun>& to) const {
  for (const Segment* segment = head_; segment != nullptr; segment = segment->next) {
    const bool shared = segment->foreign;
    if (to.empty() || to.back().shared != shared) {
      size_t length = 0;
      for (const Segment* one = segment; one != nullptr && one->foreign == shared; one = one->next)
        length += one->length;
      to.push_back({.bytes = {}, .shared = shared});
      if (!to.back().bytes.make_room(length)) return false;
    }
    (void)to.back().bytes.append(segment->data, segment->length);
  }
  return true;
}

void Outbound::clear(OutboundPool& pool, bool moved) {
  while (head_ != nullptr) {
    if (head_->kind == Segment::Kind::kShared) ++(moved ? head_->shared->moved : head_->shared->dropped);
    Segment* dropped = head_;
    pop(pool);
    pool.give(dropped);
  }
}

}  // namespace c1m
