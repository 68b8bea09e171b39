#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>

#include "native/exchange/mailbox.h"
#include "native/exchange/replies.h"
#include "native/table/connection_table.h"
#include "native/table/reservations.h"

namespace c1m {

class Broadcaster;
class Loop;
class Relays;

// Carries out what JavaScript and its workers want done, in order, as far as a turn's share goes.
// Owner: one loop. Thread: the loop's, but for publish().
class Commands {
 public:
  Commands(Loop& loop, Mailbox& mailbox, ConnectionTable& table, Reservations& reservations, Replies& replies,
           Broadcaster& broadcaster, Relays& relays)
      : loop_(loop),
        mailbox_(mailbox),
        table_(table),
        reservations_(reservations),
        replies_(replies),
        broadcaster_(broadcaster),
        relays_(relays) {}

  // For the JS thread: gives the batch its number, and pushes it.
  void publish(CommandBatch* batch);

  // Begins a turn's share, and carries out what there is.
  void execute_all();
  // Returns the batches that were carried out. Behind the turn's flush: nothing of their arenas is needed any more.
  void return_executed();
  // There is work that no edge and no wake-up will announce.
  [[nodiscard]] bool busy() const { return executing_ != nullptr || has_remote_before(last_batch_ + 1); }

  // Carries out what was deferred for a connection that is here now.
  void carry_out_deferred(uint32_t slot, uint32_t generation, Deferred one);

 private:
  [[nodiscard]] bool execute(CommandBatch& batch);
  void execute_one(CommandBatch& batch, const uint32_t* record);
  void carry_out(uint32_t slot, Entry* entry, uint32_t word, uint32_t argument, std::span<const uint8_t> bytes,
                 const PinnedBytes& pinned);
  void run_request(std::unique_ptr<Request> request);

  void write(uint32_t slot, Entry& entry, uint32_t word, std::span<const uint8_t> bytes, const PinnedBytes& pinned);
  void queued(uint32_t slot, Entry& entry, bool appended, size_t limit);
  void queue_shared(uint32_t slot, Entry* entry, SharedPayload& payload, uint32_t max_write_queue);
  void send_soon(uint32_t slot);

  [[nodiscard]] bool has_remote_before(uint32_t batch) const;
  [[nodiscard]] bool write_remote_before(uint32_t batch);
  void write_remote(RemoteWrite write);

  Loop& loop_;
  Mailbox& mailbox_;
  ConnectionTable& table_;
  Reservations& reservations_;
  Replies& replies_;
  Broadcaster& broadcaster_;
  Relays& relays_;

  std::deque<RemoteWrite> remote_writes_;  // taken from the inbox, for their places among the batches
  uint32_t last_batch_ = 0;                // that was executed
  CommandBatch* executing_ = nullptr;      // to be carried out, oldest first; behind it are those that came later
  CommandBatch* newest_ = nullptr;         // the last of these
  CommandBatch* executed_ = nullptr;       // this turn's, until their arenas are sent or copied
  uint32_t next_record_ = 0;               // cursor into the first of `executing_`
};

}  // namespace c1m
