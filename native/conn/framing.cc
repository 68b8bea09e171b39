#include "native/conn/framing.h"

#include <algorithm>
#include <cstring>

namespace c1m {

namespace {

Cut cut_prefixed(const Framing& framing, const uint8_t* data, size_t length) {
  const size_t header = framing.length_bytes;
  if (length < header) return {};
  uint32_t value = 0;
  for (size_t i = 0; i < header; ++i) value = value << 8 | data[framing.little_endian ? header - 1 - i : i];
  if (framing.includes_header) {
    // A length that doesn't even cover itself is no frame.
    if (value < header) return {.state = Cut::State::kTooLarge};
    value -= static_cast<uint32_t>(header);
  }
  if (value > framing.max_frame_bytes) return {.state = Cut::State::kTooLarge};
  const size_t total = header + value;
  return {.state = length < total ? Cut::State::kIncomplete : Cut::State::kComplete,
          .offset = static_cast<uint32_t>(header),
          .payload = value,
          .total = total};
}

Cut cut_delimited(const Framing& framing, const uint8_t* data, size_t length, size_t scanned) {
  const std::string& delimiter = framing.delimiter;
  const size_t size = delimiter.size();
  // A single byte is usual, and memchr(3) looks at 32 bytes in one step.
  const auto* found = static_cast<const uint8_t*>(
      size == 1 ? std::memchr(data + scanned, static_cast<uint8_t>(delimiter[0]), length - scanned)
                : memmem(data + scanned, length - scanned, delimiter.data(), size));
  const size_t payload = found != nullptr ? static_cast<size_t>(found - data) : length - std::min(length, size - 1);
  // Without a delimiter, all but the last bytes, which may begin one, is payload.
  if (payload > framing.max_frame_bytes) return {.state = Cut::State::kTooLarge};
  if (found == nullptr) return {};
  return {
      .state = Cut::State::kComplete, .offset = 0, .payload = static_cast<uint32_t>(payload), .total = payload + size};
}

}  // namespace

Cut cut_frame(const Framing& framing, const uint8_t* data, size_t length, size_t scanned) {
  switch (framing.kind) {
    case Framing::Kind::kLengthPrefixed:
      return cut_prefixed(framing, data, length);
    case Framing::Kind::kDelimited:
      return cut_delimited(framing, data, length, scanned);
    case Framing::Kind::kNone:
      break;
  }
  if (length == 0) return {};
  return {.state = Cut::State::kComplete, .offset = 0, .payload = static_cast<uint32_t>(length), .total = length};
}

size_t searched(const Framing& framing, size_t length) {
  return length - std::min(length, framing.delimiter.empty() ? 0 : framing.delimiter.size() - 1);
}

}  // namespace c1m
