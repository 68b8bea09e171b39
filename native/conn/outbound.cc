#include "native/conn/outbound.h"

#include <algorithm>
#include <cassert>
#include <cstring>

namespace c1m {

OutboundPool::~OutboundPool() {
  while (free_ != nullptr) {
    Segment* next = free_->next;
    delete free_;
    free_ = next;
  }
}

Segment* OutboundPool::take(Segment::Kind kind, const uint8_t* data, uint32_t length) {
  Segment* segment = free_;
  if (segment != nullptr) {
    free_ = segment->next;
    --kept_;
  } else {
    segment = new Segment;
  }
  ++in_use_;
  segment->data = data;
  segment->length = length;
  segment->kind = kind;
  segment->block = nullptr;
  segment->next = nullptr;
  segment->queued = 0;
  segment->own = 0;
  return segment;
}

void OutboundPool::give(Segment* segment) {
  if (segment->kind == Segment::Kind::kBlock) blocks_.give(segment->block);
  if (segment->kind == Segment::Kind::kPinned) released_.push_back(segment->owner);
  if (segment->kind == Segment::Kind::kShared) release(segment->shared);
  if (segment->kind == Segment::Kind::kFile) finished_.push_back(segment->file);
  --in_use_;
  if (kept_ == kKept) {
    delete segment;
    return;
  }
  ++kept_;
  segment->next = free_;
  free_ = segment;
}

void OutboundPool::release(SharedPayload* payload) {
  if (--payload->references > 0) return;
  if (payload->owner != nullptr) released_.push_back(payload->owner);
  delete payload;
}

uint8_t* OutboundPool::copy_buffer() {
  if (copy_buffer_ == nullptr) copy_buffer_ = std::make_unique<uint8_t[]>(kCopyBytes);
  return copy_buffer_.get();
}

namespace {

uint32_t own_of(const Segment& segment) { return segment.kind == Segment::Kind::kShared ? 0 : 1; }

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
}

// Takes the first segment off the queue.
void Outbound::pop() {
  Segment* next = head_->next;
  if (next != nullptr) {
    next->queued = head_->queued - head_->length;
    next->own = head_->own - own_of(*head_);
  } else {
    tail_ = nullptr;
  }
  head_ = next;
}

void Outbound::append(OutboundPool& pool, const uint8_t* data, uint32_t length) {
  if (length == 0) return;
  if (tail_ != nullptr && tail_->kind != Segment::Kind::kArena) {
    copy_into_blocks(pool, data, length);
    return;
  }
  // Replies that a handler wrote one after the other lie side by side: they become one run, and one iovec.
  if (tail_ != nullptr && tail_->data + tail_->length == data) {
    tail_->length += length;
    head_->queued += length;
    return;
  }
  push(pool.take(Segment::Kind::kArena, data, length));
}

void Outbound::append_pinned(OutboundPool& pool, const uint8_t* data, uint32_t length, void* owner) {
  if (length == 0) {
    pool.released().push_back(owner);
    return;
  }
  Segment* segment = pool.take(Segment::Kind::kPinned, data, length);
  segment->owner = owner;
  push(segment);
}

void Outbound::append_shared(OutboundPool& pool, SharedPayload& payload) {
  assert(payload.length > 0);
  Segment* segment = pool.take(Segment::Kind::kShared, payload.data, payload.length);
  segment->shared = &payload;
  ++payload.references;
  push(segment);
}

void Outbound::append_file(OutboundPool& pool, OutboundFile& file) {
  Segment* segment = pool.take(Segment::Kind::kFile, nullptr, 0);
  segment->file = &file;
  push(segment);
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
    pop();
  } else {
    head_->own -= own_of(*segment);
    before->next = segment->next;
    if (tail_ == segment) tail_ = before;
  }
  pool.give(segment);
}

int Outbound::gather(iovec* vectors, size_t most, bool& more) const {
  int count = 0;
  more = false;
  for (const Segment* segment = head_; segment != nullptr && count < kMaxVectors && most > 0; segment = segment->next) {
    more = segment->kind == Segment::Kind::kFile;
    if (more) break;
    vectors[count].iov_base = const_cast<uint8_t*>(segment->data);
    vectors[count].iov_len = std::min<size_t>(segment->length, most);
    most -= vectors[count].iov_len;
    ++count;
  }
  return count;
}

size_t Outbound::consume(OutboundPool& pool, size_t count) {
  size_t shared = 0;
  while (count > 0) {
    assert(head_ != nullptr);
    Segment* sent = head_;
    const size_t taken = std::min<size_t>(count, sent->length);
    if (sent->kind == Segment::Kind::kShared) shared += taken;
    count -= taken;
    if (taken == sent->length) {
      pop();
      pool.give(sent);
    } else {
      sent->data += taken;
      sent->length -= static_cast<uint32_t>(taken);
      sent->queued -= taken;
    }
  }
  return shared;
}

void Outbound::copy_into_blocks(OutboundPool& pool, const uint8_t* data, size_t length) {
  while (length > 0) {
    size_t room = 0;
    if (tail_ != nullptr && tail_->kind == Segment::Kind::kBlock) {
      room = static_cast<size_t>(tail_->block + BlockPool::kBlockBytes - (tail_->data + tail_->length));
    }
    if (room == 0) {
      uint8_t* block = pool.blocks().take();
      Segment* segment = pool.take(Segment::Kind::kBlock, block, 0);
      segment->block = block;
      push(segment);
      room = BlockPool::kBlockBytes;
    }
    const size_t count = std::min(room, length);
    std::memcpy(const_cast<uint8_t*>(tail_->data) + tail_->length, data, count);
    tail_->length += static_cast<uint32_t>(count);
    head_->queued += count;
    data += count;
    length -= count;
  }
}

void Outbound::keep(OutboundPool& pool) {
  if (head_ == nullptr || head_->kind != Segment::Kind::kArena) return;
  Segment* segment = head_;
  Segment* last = tail_;
  const size_t queued = head_->queued;
  uint32_t rest = head_->own;
  head_ = tail_ = nullptr;
  while (segment != nullptr && segment->kind == Segment::Kind::kArena) {
    Segment* next = segment->next;
    --rest;
    copy_into_blocks(pool, segment->data, segment->length);
    pool.give(segment);
    segment = next;
  }
  if (segment == nullptr) return;
  assert(tail_ != nullptr);  // no segment is empty, so that the arena's bytes made at least one block
  tail_->next = segment;
  tail_ = last;
  head_->queued = queued;
  head_->own += rest;
}

void Outbound::copy_to(std::vector<uint8_t>& to) const {
  for (const Segment* segment = head_; segment != nullptr; segment = segment->next) {
    to.insert(to.end(), segment->data, segment->data + segment->length);
  }
}

void Outbound::copy_to(std::vector<OutboundRun>& to) const {
  for (const Segment* segment = head_; segment != nullptr; segment = segment->next) {
    const bool shared = segment->kind == Segment::Kind::kShared;
    if (to.empty() || to.back().shared != shared) to.push_back({.bytes = {}, .shared = shared});
    to.back().bytes.insert(to.back().bytes.end(), segment->data, segment->data + segment->length);
  }
}

void Outbound::clear(OutboundPool& pool, bool moved) {
  while (head_ != nullptr) {
    Segment* next = head_->next;
    if (head_->kind == Segment::Kind::kShared) ++(moved ? head_->shared->moved : head_->shared->dropped);
    pool.give(head_);
    head_ = next;
  }
  tail_ = nullptr;
}

}  // namespace c1m
