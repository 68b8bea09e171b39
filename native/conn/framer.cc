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
    // If it can't be smaller it stays as large as it is.
    if (capacity_ > end_ + end_ / 4) (void)resize(end_);
    own.memory = std::move(memory_);
    capacity_ = start_ = end_ = scanned_ = 0;
    return own;
  }
  own.memory.reset(static_cast<uint8_t*>(std::malloc(frame.payload)));
  if (own.memory == nullptr) return own;
  std::memcpy(own.memory.get(), data() + frame.offset, frame.payload);
  consume(frame.total);
  return own;
}

bool Framer::append(const uint8_t* data, size_t length) {
  if (length == 0) return true;
  if (!make_room(length, 0)) return false;
  std::memcpy(memory_.get() + end_, data, length);
  end_ += length;
  return true;
}

Framer::Room Framer::room(const Framing& framing, size_t max) {
  const size_t total = next(framing).total;
  if (total > size()) max = std::min(max, total - size());
  if (!make_room(max, total)) return {nullptr, 0};
  return {memory_.get() + end_, max};
}

bool Framer::make_room(size_t more, size_t known_total) {
  if (capacity_ - end_ >= more) return true;
  if (start_ > 0) {
    std::memmove(memory_.get(), memory_.get() + start_, size());
    end_ -= start_;
    start_ = 0;
    if (capacity_ - end_ >= more) return true;
  }
  size_t wanted = std::max(end_ + more, capacity_ * 2);
  if (known_total > 0) wanted = std::max(end_ + more, std::min(wanted, known_total));
  return resize(wanted);
}

bool Framer::resize(size_t capacity) {
  if (!reallocate(memory_, capacity)) return false;
  capacity_ = capacity;
  return true;
}

}  // namespace c1m
