#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "native/base/fd.h"
#include "native/conn/framer.h"
#include "native/conn/outbound.h"
#include "native/exchange/replies.h"
#include "native/exchange/request.h"
#include "native/features/handover/depart_request.h"
#include "native/net/address.h"
#include "native/table/connection_table.h"
#include "native/table/file_table.h"
#include "native/table/reservations.h"

namespace c1m {

// How a connection migrates from one loop to another. JavaScript takes the three steps (lib/features/moving.ts):
//
//   old loop                      JavaScript                         new loop
//                                 reserve ─────────────────────────▶ a slot; commands for it are deferred
//                 moveOut ◀────── from here on all commands go to the new loop
//   packs it ───────────────────▶ its last events, its kClose
//                                 finishMove, with the parcel ─────▶ the connection is here; what was deferred is carried out
//
// So nothing is read by the new loop before JavaScript has had all that the old one read, and nothing that JavaScript writes
// overtakes what it wrote before. No step waits for a peer, or for a disk: a connection with a file in its queue can't go, as
// JavaScript knows; it asks for none (lib/features/moving.ts), and the connection stays. What a broadcast in progress has put into the
// queue goes along.

// What of a connection migrates.
struct Parcel {
  Fd fd;  // the JS thread's, where file tables differ
  PackedAddress peer;
  uint32_t flags = 0;
  uint32_t context = 0;
  uint16_t error = 0;
  uint8_t error_syscall = 0;
  uint32_t flushed = 0;  // its counter of bytes given to the kernel
  std::vector<OutboundRun> unsent;
  bool whole = true;  // there was memory for all that is unsent
  std::unique_ptr<Framer> unread;
  std::unique_ptr<const Framing> framing;
  PackedTimeouts timeouts;
};

// The first step: a slot on the loop that it migrates to.
class ReserveRequest : public Request {
 public:
  uint32_t flushed = 0;          // what the connection's counter shows for now
  bool muted = false;            // it takes no broadcasts, nor writes of workers
  uint32_t max_write_queue = 0;  // of what is deferred here, too

  bool full = false;
  uint32_t slot = 0;
  uint32_t generation = 0;

  bool run(Loop& loop) override;
};

// The second, on the loop that has it. Its kClose, which follows the answer, says that no more events come from there.
class ReleaseRequest : public DepartRequest {
 public:
  std::unique_ptr<Parcel> parcel;  // none if it has closed

  [[nodiscard]] bool attempt(Departures& departures) override;
};

// The third: the connection is here, or has closed before it could be, with this error; or none comes.
class SettleRequest : public Request {
 public:
  uint32_t slot = 0;
  uint32_t generation = 0;
  std::unique_ptr<Parcel> parcel;
  uint16_t error = 0;
  uint8_t error_syscall = 0;
  bool lost = false;  // after it had left: its close is counted here
  bool abandoned = false;

  bool run(Loop& loop) override;
};

// Looks for connections that nothing was read from or written to for `ms`, and that nothing waits to be: at some slots in each
// turn.
class IdleRequest : public Request {
 public:
  uint32_t ms = 0;
  uint32_t max = 0;
  uint32_t next = 0;  // slot to look at

  std::vector<uint32_t> found;  // slot and generation of each

  bool run(Loop& loop) override;
};

// Takes connections in that come from other loops, and packs those that go there.
// Owner: one loop. Thread: the loop's.
class Migration {
 public:
  Migration(ConnectionTable& table, Reservations& reservations, Replies& replies, const FileTable& files)
      : table_(table), reservations_(reservations), replies_(replies), file_table_(files) {}

  // Reserves a slot for a connection that comes here.
  void reserve(ReserveRequest& request);
  // Packs the connection for another loop, unless it has closed. False if the passage is full.
  [[nodiscard]] bool release(ReleaseRequest& request);
  // Ends a reservation: the connection is here, or won't come. Returns what was deferred for it.
  [[nodiscard]] Reserved settle(SettleRequest& request);

  // Begins a search for idle connections; it is completed later.
  void search(IdleRequest& request) { searches_.push_back(&request); }
  // Continues the first search, over some slots.
  void search_idle();
  [[nodiscard]] bool busy() const { return !searches_.empty(); }

 private:
  [[nodiscard]] bool find_idle(IdleRequest& request);
  [[nodiscard]] std::unique_ptr<Parcel> pack(uint32_t slot, Entry& entry);
  void unpack(uint32_t slot, Parcel& parcel);
  void fail_to_come(uint32_t slot, uint16_t error, uint8_t syscall);
  [[nodiscard]] bool requeue(Entry& entry, OutboundRun& run);

  ConnectionTable& table_;
  Reservations& reservations_;
  Replies& replies_;
  const FileTable& file_table_;
  std::deque<IdleRequest*> searches_;  // they take turns as they came
};

}  // namespace c1m
