#include "native/conn/framer.h"

#include <algorithm>
#include <cstring>

namespace c1m {

Cut Framer::next(const Framing& framing) {
  if (size() == 0) return {};
  const Cut cut = cut_frame(framing, data(), size(), scanned_);
  // Not again through what holds no delimiter: a long line in small pieces would cost its length squared.
  if (cut.state == Cut::State::kIncomplete) scanned_ = searched(framing, size());
  return cut;
}

void Framer::consume(size_t count) {
  start_ += count;
  scanned_ = 0;
}

OwnFrame Framer::take(const Cut& frame) {
  OwnFrame own{.memory = nullptr, .offset = 0, .length = frame.payload};
  if (frame.total == size()) {
    own.offset = static_cast<uint32_t>(start_) + frame.offset;
    if (capacity_ > end_ + end_ / 4) resize(end_);
    own.memory = std::move(memory_);
    capacity_ = start_ = end_ = scanned_ = 0;
    return own;
  }
  own.memory.reset(static_cast<uint8_t*>(std::malloc(frame.payload)));
  // As in resize().
  if (own.memory == nullptr) std::abort();
  std::memcpy(own.memory.get(), data() + frame.offset, frame.payload);
  consume(frame.total);
  return own;
}

void Framer::append(const uint8_t* data, size_t length) {
  if (length == 0) return;
  reserve(length, 0);
  std::memcpy(memory_.get() + end_, data, length);
  end_ += length;
}

void Framer::prepend(const uint8_t* data, size_t length) {
  Framer joined;
  joined.append(data, length);
  joined.append(this->data(), size());
  *this = std::move(joined);
}

Framer::Room Framer::room(const Framing& framing, size_t most) {
  const size_t total = next(framing).total;
  if (total > size()) most = std::min(most, total - size());
  reserve(most, total);
  return {memory_.get() + end_, most};
}

void Framer::reserve(size_t more, size_t known_total) {
  if (capacity_ - end_ >= more) return;
  if (start_ > 0) {
    std::memmove(memory_.get(), memory_.get() + start_, size());
    end_ -= start_;
    start_ = 0;
    if (capacity_ - end_ >= more) return;
  }
  size_t wanted = std::max(end_ + more, capacity_ * 2);
  if (known_total > 0) wanted = std::max(end_ + more, std::min(wanted, known_total));
  resize(wanted);
}

void Framer::resize(size_t capacity) {
  auto* memory = static_cast<uint8_t*>(std::realloc(memory_.get(), capacity));
  // As with operator new: without memory there is no way on.
  if (memory == nullptr) std::abort();
  (void)memory_.release();
  memory_.reset(memory);
  capacity_ = capacity;
}

}  // namespace c1m
