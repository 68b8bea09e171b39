#pragma once

#include <cstdint>
#include <memory>
#include <utility>

#include "native/conn/connection.h"
#include "native/exchange/event_batch.h"
#include "native/mem/slab.h"
#include "native/table/extras.h"
#include "native/table/timer_wheel.h"

namespace c1m {

// A connection with its places in the loop's lists and in its timer wheel.
struct Entry : Connection {
  uint32_t ready_next = 0;
  uint32_t flush_next = 0;
  TimerNode timer;
  uint32_t timeout_ms = 0;   // idle timeout, 0 for none
  uint32_t last_active = 0;  // tick of the last byte read or written
  std::unique_ptr<Extras> extras;

  [[nodiscard]] Extras& need_extras() {
    if (extras == nullptr) extras = std::make_unique<Extras>();
    return *extras;
  }
  // Frees the extras that hold nothing: an idle connection holds no memory.
  void tidy() {
    if (extras != nullptr && extras->empty()) extras.reset();
  }

  // Nothing can be sent any more. What the peer sent before that is still read, up to the end, and then it closes with this
  // error.
  void note_write_failure(int code) {
    error = static_cast<uint16_t>(code);
    error_syscall = static_cast<uint8_t>(Syscall::kWrite);
    set(kWriteFailed | kReadable);
  }

  [[nodiscard]] Framer& need_framer() {
    std::unique_ptr<Framer>& framer = need_extras().framer;
    if (framer == nullptr) framer = std::make_unique<Framer>();
    return *framer;
  }
  // Bytes that were received and are not delivered.
  [[nodiscard]] size_t unread_bytes() const {
    return extras == nullptr || extras->framer == nullptr ? 0 : extras->framer->size();
  }
  // Takes these bytes out, null for none: whatever takes the connection over reads them first.
  [[nodiscard]] std::unique_ptr<Framer> take_unread() {
    if (unread_bytes() == 0) return nullptr;
    std::unique_ptr<Framer> taken = std::move(extras->framer);
    taken->forget_search();
    tidy();
    unset(kFramesWaiting);
    return taken;
  }
  void drop_framer() {
    if (extras == nullptr) return;
    extras->framer.reset();
    tidy();
  }

  // Asserts what holds for each connection between two turns. For tests.
  void check() const;
};

using EntrySlab = Slab<Entry>;

}  // namespace c1m
