#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "native/conn/relay_flow.h"

namespace c1m {

class Loop;
class RelayRequest;
struct Entry;

// Two connections whose bytes go from one to the other.
//
//   held ─▶ started ─▶ over: both have closed, or are closing
//
// `held`: nothing is read any more for JavaScript, and nothing yet by the relay. JavaScript goes through the batches that
// are under way, and forwards as writes what they bring of the two; then it says start. See lib/relay.ts.
struct Relay {
  uint32_t slots[2];                // a, b
  RelayFlow flows[2];               // of what a sent, of what b sent
  RelayRequest* request = nullptr;  // since it has started: to be completed when it is over
};

// The relays of a loop.
//
// They need no room in event batches, so that a JS thread that is blocked holds up none of them: a relayed connection is
// served from the flush list, by its readiness for reading as for writing.
// Owner: one loop. Thread: the loop's.
class Relays {
 public:
  explicit Relays(OutboundPool& pool) : means_(pool) {}

  // False if one of the two has gone, or is ending, or is relayed already.
  [[nodiscard]] bool hold(Loop& loop, const uint32_t (&slots)[2], const uint32_t (&generations)[2]);
  // True if it is over already; otherwise the request is completed later.
  [[nodiscard]] bool start(Loop& loop, RelayRequest& request);
  // The connection is part of a relay that moves many bytes.
  [[nodiscard]] bool is_bulk(const Entry& entry) const;
  // Moves what can be moved, for the relay that this connection is part of.
  void serve(Loop& loop, Entry& entry);
  // Its queue has given bytes to the kernel. True if they were the relay's, and not JavaScript's.
  [[nodiscard]] bool flushed(Loop& loop, Entry& entry, size_t bytes);
  // Nothing can be written to it any more.
  void fail_write(Loop& loop, uint32_t slot, Entry& entry, int error);
  // The other side's peer is to get a RST as well.
  void reset_both(Loop& loop, Entry& entry);
  // It is closing, and takes the other side with it.
  void on_close(Loop& loop, uint32_t slot, Entry& entry, int error);

  // At the loop's end.
  void close_all();

  [[nodiscard]] const PipePool& pipes() const { return means_.pipes; }
  [[nodiscard]] size_t size() const { return relays_.size(); }

 private:
  [[nodiscard]] bool move(Loop& loop, Relay& relay, int side);
  [[nodiscard]] bool pass_end(Loop& loop, Relay& relay, int side);
  [[nodiscard]] bool waits(Loop& loop, Relay& relay, int side);
  // Parts the two, and answers the request.
  void dissolve(Loop& loop, Relay& relay);

  RelayMeans means_;
  std::unordered_map<const Relay*, std::unique_ptr<Relay>> relays_;
};

}  // namespace c1m
