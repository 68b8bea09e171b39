#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace c1m {

// How a stream is cut into frames.
struct Framing {
  enum class Kind : uint8_t { kNone, kLengthPrefixed, kDelimited };
  Kind kind = Kind::kNone;
  // kLengthPrefixed
  uint8_t length_bytes = 4;  // 1, 2 or 4
  bool little_endian = false;
  bool includes_header = false;  // the length counts its own bytes
  // kDelimited: at least a byte, and no part of the frame
  std::string delimiter;
  uint32_t max_frame_bytes = 0;  // without length or delimiter

  bool operator==(const Framing&) const = default;
};

// Where the first frame of some bytes is.
struct Cut {
  enum class State : uint8_t {
    kComplete,
    kIncomplete,
    kTooLarge,  // or no frame at all: the stream can't be followed any further
  };
  State state = State::kIncomplete;
  uint32_t offset = 0;   // of the payload
  uint32_t payload = 0;  // its length
  size_t total = 0;      // with length and delimiter; kIncomplete: as far as it is known, or 0
};

// In the first `scanned` bytes no delimiter begins. Of kNone every piece is a frame.
[[nodiscard]] Cut cut_frame(const Framing& framing, const uint8_t* data, size_t length, size_t scanned = 0);

// How many of these bytes, which hold no whole frame, need not be searched again.
[[nodiscard]] size_t searched(const Framing& framing, size_t length);

}  // namespace c1m
