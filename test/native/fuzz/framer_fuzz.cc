// Compares the core's frames with those of the reference splitter, for any framing, any bytes and any splits.
//
//   input: | kind, byte order, header | size of the length, or of the delimiter | max | split seed | stream …
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "native/conn/framer.h"
#include "test/native/frames.h"

namespace {

using namespace c1m;

constexpr size_t kHeader = 4;

Framing framing_of(const uint8_t* data) {
  const uint32_t max_frame_bytes = 1 + data[2] % 64u;
  if ((data[0] & 1) != 0) {
    constexpr uint8_t kSizes[] = {1, 2, 4, 4};
    return prefixed(kSizes[data[1] & 3], (data[0] & 2) != 0, (data[0] & 4) != 0, max_frame_bytes);
  }
  // A delimiter of only two different letters often contains its own beginning again.
  std::string delimiter;
  for (int i = 0; i <= data[1] % 4; ++i) delimiter += (data[0] >> (i + 1) & 1) != 0 ? 'a' : 'b';
  return delimited(delimiter, max_frame_bytes);
}

void check(bool so) {
  if (!so) std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < kHeader) return 0;
  const Framing framing = framing_of(data);
  const std::string stream(reinterpret_cast<const char*>(data + kHeader), size - kHeader);
  const Reference expected(framing, stream);
  uint32_t random = data[3] + 1u;
  Framer framer;
  size_t count = 0;
  size_t at = 0;
  bool misfit = false;
  while (at < stream.size() && !misfit) {
    random = random * 1664525 + 1013904223;
    const size_t max_length = std::min<size_t>(1 + (random >> 24) % 16, stream.size() - at);
    // Bytes reach the framer by a copy, or directly into its memory, as in the loop.
    size_t length = max_length;
    if ((random & 0x10000) != 0) {
      const Framer::Room room = framer.room(framing, max_length);
      length = room.length;
      std::copy_n(stream.data() + at, length, room.data);
      framer.grew(length);
    } else {
      check(framer.append(reinterpret_cast<const uint8_t*>(stream.data()) + at, length));
    }
    at += length;
    for (;;) {
      const Cut cut = framer.next(framing);
      misfit = cut.state == Cut::State::kTooLarge;
      if (cut.state != Cut::State::kComplete) break;
      check(count < expected.frames.size());
      const std::string& frame = expected.frames[count++];
      check(cut.payload == frame.size());
      check(std::equal(frame.begin(), frame.end(), reinterpret_cast<const char*>(framer.data()) + cut.offset));
      if ((random & 0x20000) != 0) {
        const OwnFrame own = framer.take(cut);
        check(std::equal(frame.begin(), frame.end(), reinterpret_cast<const char*>(own.memory.get()) + own.offset));
      } else {
        framer.consume(cut.total);
      }
    }
  }
  check(count == expected.frames.size());
  check(misfit == expected.misfit);
  return 0;
}
