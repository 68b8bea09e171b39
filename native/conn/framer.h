#pragma once

#include <cstddef>
#include <cstdint>

#include "native/conn/framing.h"
#include "native/mem/bytes.h"

namespace c1m {

// A frame in memory of its own.
struct OwnFrame {
  Memory memory;
  uint32_t offset = 0;
  uint32_t length = 0;
};

// What one connection has received and not delivered yet, and where the next frame in it ends.
//
//   memory_:  [ taken | frame | frame | … | part of a frame |     room ]
//               start_ ▲          scanned_: searched already ▲    ▲ end_
//
// As a rule it is part of one frame. Whole frames wait here only when the batch was full, or framing has changed.
// Memory grows with what has come, whatever length the peer announces: to twice that, and never beyond a frame's end.
// Owner: its connection, only while there is something to keep. Thread: the loop's.
class Framer {
 public:
  [[nodiscard]] const uint8_t* data() const { return memory_.get() + start_; }
  [[nodiscard]] size_t size() const { return end_ - start_; }
  // In this number of them no delimiter begins.
  [[nodiscard]] size_t scanned() const { return scanned_; }

  // Looks at the first frame.
  [[nodiscard]] Cut next(const Framing& framing);
  // Takes it off the front: its bytes are delivered.
  void consume(size_t count);
  // Takes it off the front in memory of its own: this very memory, if there is nothing behind it. None if there is no memory:
  // then nothing is taken.
  [[nodiscard]] OwnFrame take(const Cut& frame);

  // What was searched, was for the delimiter of one framing: another has all of it to look at.
  void forget_search() { scanned_ = 0; }
  // There is no whole frame in it.
  void note_searched(const Framing& framing) { scanned_ = searched(framing, size()); }
  void clear() { start_ = end_ = scanned_ = 0; }
  // False if there is no memory; then it is as it was.
  [[nodiscard]] bool append(const uint8_t* data, size_t length);
  // Makes room for this number of bytes at the end; grew() says how many came. Never more than complete a frame whose length
  // is known.
  // None if there is no memory.
  struct Room {
    uint8_t* data;
    size_t length;
  };
  [[nodiscard]] Room room(const Framing& framing, size_t max);
  void grew(size_t count) { end_ += count; }

 private:
  [[nodiscard]] bool make_room(size_t more, size_t known_total);
  [[nodiscard]] bool resize(size_t capacity);

  Memory memory_;
  size_t capacity_ = 0;
  size_t start_ = 0;
  size_t end_ = 0;
  size_t scanned_ = 0;
};

}  // namespace c1m
