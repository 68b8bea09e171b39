#pragma once

#include <cstddef>
#include <cstdint>

#include "native/features/files/file_sender.h"
#include "native/features/frames/frame_reader.h"
#include "native/features/relay/relays.h"
#include "native/table/connection_table.h"
#include "native/table/queue_flusher.h"

namespace c1m {

// What a turn does with one connection: write, read, deliver its events.
// Owner: one loop. Thread: the loop's.
class Transfer final : public QueueFlusher {
 public:
  Transfer(ConnectionTable& table, FrameReader& frames, FileSender& files, Relays& relays)
      : table_(table), frames_(frames), files_(files), relays_(relays) {}

  // Writes what is queued, as far as the turn's budgets go.
  void flush_all();
  size_t flush_one(uint32_t slot) override;
  // Reads and delivers, as far as the turn's time goes: the connections that are left come first in the next turn.
  void serve_ready();

 private:
  [[nodiscard]] bool sends_now(const Entry& entry, bool room) const;
  void count_flushed(uint32_t slot, Entry& entry, const Flushed& flushed);
  void note_drained(uint32_t slot, Entry& entry);
  void after_flush(uint32_t slot, Entry& entry);
  void fail_write(uint32_t slot, Entry& entry, int error);
  void serve(uint32_t slot);
  bool read(uint32_t slot, Entry& entry);
  [[nodiscard]] bool deliver(uint32_t slot, Entry& entry, uint32_t due);

  ConnectionTable& table_;
  FrameReader& frames_;
  FileSender& files_;
  Relays& relays_;
};

}  // namespace c1m
