#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "native/conn/relay_flow.h"
#include "native/exchange/replies.h"
#include "native/table/connection_table.h"

namespace c1m {

class RelayRequest;

// Two connections whose bytes go from one to the other.
//
//   prepared ─▶ started ─▶ ended: both have closed, or are closing
//
// `prepared`: nothing is read any more for JavaScript, and nothing yet by the relay. JavaScript goes through the batches that
// are in flight, and forwards as writes what they bring of the two; then it says start. See lib/features/relay.ts.
struct Relay {
  uint32_t slots[2];                // a, b
  RelayFlow flows[2];               // of what a sent, of what b sent
  RelayRequest* request = nullptr;  // since it has started: to be completed when it has ended
};

// The relays of a loop.
//
// They need no room in event batches, so that a JS thread that is blocked delays none of them: a relayed connection is
// served from the flush list, by its readiness for reading as for writing.
// Owner: one loop. Thread: the loop's.
class Relays final : public ConnectionTable::RelayObserver {
 public:
  Relays(ConnectionTable& table, Replies& replies) : table_(table), replies_(replies), means_(table.pool) {}

  // False if one of the two has gone, or is ending, or is relayed already.
  [[nodiscard]] bool prepare(const uint32_t (&slots)[2], const uint32_t (&generations)[2]);
  // True if it has ended already; otherwise the request is completed later.
  [[nodiscard]] bool start(RelayRequest& request);
  // The connection is part of a relay that moves many bytes.
  [[nodiscard]] bool is_bulk(const Entry& entry) const;
  // Moves what can be moved, for the relay that this connection is part of.
  void serve(Entry& entry);
  // Its queue has given bytes to the kernel. True if they were the relay's, and not JavaScript's.
  [[nodiscard]] bool flushed(Entry& entry, size_t bytes);
  // Nothing can be written to it any more.
  void fail_write(uint32_t slot, Entry& entry, int error);
  // Makes both peers get a RST when their connections close.
  void reset_both(Entry& entry);
  // One side is closing, and takes the other with it.
  void on_close(uint32_t slot, Entry& entry, int error) override;

  // At the loop's end.
  void close_all();

  [[nodiscard]] const PipePool& pipes() const { return means_.pipes; }
  [[nodiscard]] size_t size() const { return relays_.size(); }

 private:
  [[nodiscard]] bool move(Relay& relay, int side);
  [[nodiscard]] bool pass_end(Relay& relay, int side);
  [[nodiscard]] bool waits(Relay& relay, int side);
  // Parts the two, and completes the request.
  void dissolve(Relay& relay);

  ConnectionTable& table_;
  Replies& replies_;
  RelayMeans means_;
  std::unordered_map<const Relay*, std::unique_ptr<Relay>> relays_;
};

}  // namespace c1m
