#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

#include "native/exchange/command_batch.h"
#include "native/exchange/event_batch.h"
#include "native/exchange/handoff.h"

namespace c1m {

// Where the I/O thread and the JS thread meet. Batches go round: events out and back, commands in and back. Answers that
// are in no order with events come on their own, because JavaScript may suspend delivery of events until it has them.
//
//   I/O thread ── events ──▶ JS thread         JS thread ── commands ──▶ I/O thread
//       ▲─────── returned ──────┘                  ▲──────── spent ─────────┘
//       ───────── answers ─────▶
//
// No wake-up is lost: each side announces its sleep and only then looks once more at what it would sleep through; the
// other side publishes and only then looks for the announcement. All four accesses are sequentially consistent, so at
// least one of the two sees the other's (Dekker's argument). And a wake-up is sent once: the side that exchanges the flag
// from "asleep" to "awake" sends it.
class Mailbox {
 public:
  // What the I/O thread should be woken for.
  enum class Sleep : uint8_t { kAwake, kForCommands, kForCommandsAndReturns };

  Handoff<EventBatch> events;
  Handoff<EventBatch> returned;
  Handoff<CommandBatch> commands;
  Handoff<CommandBatch> spent;
  Handoff<Request> answers;

  Mailbox() = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox() {
    // No thread is left to take them.
    for (Request* request = answers.take(); request != nullptr;) delete std::exchange(request, request->next);
  }

  // I/O thread: true if it may sleep now. It must call io_awake() afterwards in either case.
  [[nodiscard]] bool io_may_sleep(Sleep sleep) {
    io_sleep_.store(sleep, std::memory_order_seq_cst);
    if (!commands.empty() || stop_.load(std::memory_order_seq_cst)) return false;
    return sleep == Sleep::kForCommands || returned.empty();
  }
  void io_awake() { io_sleep_.store(Sleep::kAwake, std::memory_order_relaxed); }

  // JS thread, after a push to `commands` or `returned`: true if it must wake the I/O thread.
  [[nodiscard]] bool must_wake_io(bool has_commands) {
    const Sleep sleep = io_sleep_.load(std::memory_order_seq_cst);
    if (sleep == Sleep::kAwake || (sleep == Sleep::kForCommands && !has_commands)) return false;
    return io_sleep_.exchange(Sleep::kAwake, std::memory_order_seq_cst) != Sleep::kAwake;
  }

  // I/O thread, after a push to `events` or `answers`: true if it must wake the JS thread.
  [[nodiscard]] bool must_wake_js() {
    return !js_awake_.load(std::memory_order_seq_cst) && !js_awake_.exchange(true, std::memory_order_seq_cst);
  }
  // JS thread: true if it may go back to sleep, false if something came meanwhile (it then counts as awake still). With
  // `suspended` it takes no events for now, and only answers are something.
  [[nodiscard]] bool js_may_sleep(bool suspended = false) {
    js_awake_.store(false, std::memory_order_seq_cst);
    return (answers.empty() && (suspended || events.empty())) || !must_wake_js();
  }

  void request_stop() { stop_.store(true, std::memory_order_seq_cst); }
  [[nodiscard]] bool stop_requested() const { return stop_.load(std::memory_order_acquire); }

 private:
  // A cache line each: one side's flag must not slow the other side's.
  alignas(64) std::atomic<Sleep> io_sleep_{Sleep::kAwake};
  alignas(64) std::atomic<bool> js_awake_{false};
  std::atomic<bool> stop_{false};
};

}  // namespace c1m
