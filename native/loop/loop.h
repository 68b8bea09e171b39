#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "native/base/result.h"
#include "native/exchange/mailbox.h"
#include "native/exchange/replies.h"
#include "native/features/accept/acceptor.h"
#include "native/features/connect/connector.h"
#include "native/features/files/file_sender.h"
#include "native/features/frames/frame_reader.h"
#include "native/features/groups/broadcaster.h"
#include "native/features/handover/departures.h"
#include "native/features/relay/relays.h"
#include "native/features/watch/watcher.h"
#include "native/loop/commands.h"
#include "native/loop/transfer.h"
#include "native/table/connection_table.h"
#include "native/table/file_table.h"
#include "native/table/reservations.h"

namespace c1m {

// The loop of one I/O thread: wait → accept, read, flush → events.
//
// A turn: take readiness from the kernel into bits; carry out commands; write; take back batches and free what they held;
// accept; read and deliver; fire timers; publish. Writing comes before reading, so that answers leave before new questions
// come in, and a connection's last bytes before its end.
//
// Memory is bounded under a JS thread that is blocked: without a batch to fill there is no reading and no delivering, while
// writing and accepting go on. What is due waits as a bit in its slot, never in a queue.
// Owner: the binding, or a test. Thread: its own, from run() to its return; only publish_commands(), the poller's wake() and
// what says so may be used from another.
class Loop {
 public:
  static Result<std::unique_ptr<Loop>> create(const LoopOptions& options, Mailbox& mailbox, JsWaker waker);
  Loop(Poller poller, const LoopOptions& options, Mailbox& mailbox, JsWaker waker);
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;
  ~Loop() { table_.places.inbox().close(); }

  // On the loop's thread, before run(): see FileTable. `passage` is the inner end of its passage, `waker` what its waker
  // writes to; -1 if it needs none.
  Result<void> own_file_table(int passage, int waker);
  // Runs turns until the mailbox requests a stop; then closes everything.
  void run();
  // One turn; sleeps if there is nothing to do. For tests.
  void turn();

  // For the JS thread.
  void publish_commands(CommandBatch* batch) { commands_.publish(batch); }
  [[nodiscard]] Poller& poller() { return table_.poller; }
  [[nodiscard]] Watcher& watcher() { return watcher_; }
  [[nodiscard]] const std::shared_ptr<Inbox>& shared_inbox() const { return table_.places.shared_inbox(); }

  // For requests, which run on it; table() also for the JS thread, as far as ConnectionTable says.
  [[nodiscard]] ConnectionTable& table() { return table_; }
  [[nodiscard]] Commands& commands() { return commands_; }
  [[nodiscard]] Acceptor& acceptor() { return acceptor_; }
  [[nodiscard]] Connector& connector() { return connector_; }
  [[nodiscard]] FileSender& files() { return files_; }
  [[nodiscard]] FrameReader& frames() { return frames_; }
  [[nodiscard]] Broadcaster& broadcaster() { return broadcaster_; }
  [[nodiscard]] Relays& relays() { return relays_; }
  [[nodiscard]] AdoptDetach& adopt_detach() { return adopt_detach_; }
  [[nodiscard]] Migration& migration() { return migration_; }
  [[nodiscard]] Departures& departures() { return departures_; }

 private:
  std::span<const Readiness> wait();
  [[nodiscard]] bool busy() const;
  [[nodiscard]] int sleep_ms();
  void collect(std::span<const Readiness> ready);
  void collect_connection(uint32_t slot, Entry& entry, const Readiness& ready);
  void close_all();

  // Each works on those above it. What was not completed outlives the table: a request's destructor may not use it.
  Mailbox& mailbox_;
  double* shared_stats_;
  FileTable file_table_;
  Replies replies_;
  ConnectionTable table_;
  Reservations reservations_;
  Acceptor acceptor_;
  Connector connector_;
  Relays relays_;
  Watcher watcher_;
  FrameReader frames_;
  AdoptDetach adopt_detach_;
  Migration migration_;
  Departures departures_;
  Broadcaster broadcaster_;
  FileSender files_;  // its jobs point to requests: it goes before they do
  Transfer transfer_;
  Commands commands_;
};

}  // namespace c1m
