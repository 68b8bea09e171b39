#pragma once

#include <string>
#include <vector>

#include "native/conn/framing.h"

namespace c1m {

inline Framing prefixed(uint8_t bytes, bool little = false, bool includes = false, uint32_t max = 1 << 20) {
  Framing framing;
  framing.kind = Framing::Kind::kLengthPrefixed;
  framing.length_bytes = bytes;
  framing.little_endian = little;
  framing.includes_header = includes;
  framing.max_frame_bytes = max;
  return framing;
}

inline Framing delimited(std::string delimiter, uint32_t max = 1 << 20) {
  Framing framing;
  framing.kind = Framing::Kind::kDelimited;
  framing.delimiter = std::move(delimiter);
  framing.max_frame_bytes = max;
  return framing;
}

inline std::string encode(const Framing& framing, const std::string& payload) {
  if (framing.kind == Framing::Kind::kDelimited) return payload + framing.delimiter;
  const size_t value = payload.size() + (framing.includes_header ? framing.length_bytes : 0);
  std::string header;
  for (int i = 0; i < framing.length_bytes; ++i) {
    const int shift = 8 * (framing.little_endian ? i : framing.length_bytes - 1 - i);
    header += static_cast<char>(value >> shift & 0xff);
  }
  return header + payload;
}

inline std::string encode_all(const Framing& framing, const std::vector<std::string>& payloads) {
  std::string stream;
  for (const std::string& payload : payloads) stream += encode(framing, payload);
  return stream;
}

// The frames of a stream, found in the simplest way, without regard to speed.
struct Reference {
  std::vector<std::string> frames;
  bool misfit = false;

  Reference(const Framing& framing, const std::string& stream) {
    size_t at = 0;
    while (!misfit) {
      size_t payload = 0;
      size_t begin = at;
      size_t after = 0;
      if (framing.kind == Framing::Kind::kDelimited) {
        const size_t found = stream.find(framing.delimiter, at);
        const size_t rest = stream.size() - at;
        if (found == std::string::npos) {
          misfit = rest > framing.max_frame_bytes + framing.delimiter.size() - 1;
          return;
        }
        payload = found - at;
        after = framing.delimiter.size();
      } else {
        if (stream.size() - at < framing.length_bytes) return;
        for (size_t i = 0; i < framing.length_bytes; ++i) {
          const size_t from = framing.little_endian ? framing.length_bytes - 1 - i : i;
          payload = payload * 256 + static_cast<uint8_t>(stream[at + from]);
        }
        begin += framing.length_bytes;
        if (framing.includes_header) {
          misfit = payload < framing.length_bytes;
          if (misfit) return;
          payload -= framing.length_bytes;
        }
      }
      misfit = payload > framing.max_frame_bytes;
      if (misfit || begin + payload + after > stream.size()) return;
      frames.push_back(stream.substr(begin, payload));
      at = begin + payload + after;
    }
  }
};

}  // namespace c1m
