#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "native/features/frames/read_limits.h"
#include "native/table/connection_table.h"

namespace c1m {

// Reads connections whose bytes are cut into frames, and delivers what waits to be cut.
// Owner: one loop. Thread: the loop's.
class FrameReader {
 public:
  explicit FrameReader(ConnectionTable& table) : table_(table) {}

  // Begins one connection's share of a turn, in which the calls below have a number of frames in common.
  void begin() { frames_left_ = kFramesPerTurn; }
  // Delivers the whole frames that the framer holds. False if it stopped for lack of room in a batch, or at the connection's
  // share.
  [[nodiscard]] bool deliver_waiting(uint32_t slot, Entry& entry, ReadMode mode);
  // Reads a connection with a framing while there is something, within the budget. False as above.
  [[nodiscard]] bool read(uint32_t slot, Entry& entry, ReadMode mode);

  // The end of a kReframe: these bytes, which JavaScript has given back, come first and are cut by the new framing. `ended`:
  // the peer's FIN was delivered behind them, and is to be delivered again.
  void reframe(uint32_t slot, Entry& entry, const Framing* framing, std::unique_ptr<Framer> bytes, bool ended);

 private:
  ssize_t read_into_framer(uint32_t slot, Entry& entry, const Framing& framing, size_t budget);
  ssize_t read_into_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t budget);
  void cut_slab(uint32_t slot, Entry& entry, const Framing& framing, ReadMode mode, size_t pending, size_t got);
  [[nodiscard]] bool take_frame();
  void note_invalid_frame(Entry& entry);

  ConnectionTable& table_;
  uint32_t frames_left_ = 0;  // of this connection's share
};

}  // namespace c1m
