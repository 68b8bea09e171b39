#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

#include "native/base/clock.h"
#include "native/base/fd.h"
#include "native/exchange/replies.h"
#include "native/features/accept/placement.h"
#include "native/net/address.h"
#include "native/net/listen.h"
#include "native/net/options.h"
#include "native/table/connection_settings.h"
#include "native/table/connection_table.h"
#include "native/table/file_table.h"

namespace c1m {

class CloseListenerRequest;
class ListenRequest;

// One listener, as far as it concerns one loop. Its connections' context is its number.
struct Listening {
  Fd fd;  // none if another loop accepts, and hands connections over
  Spread spread;
  SocketFile file;
  ConnectionSettings connections;
  std::vector<OptionSetting> after_accept;  // socket options that a connection doesn't inherit

  uint32_t accepted = 0;       // connections of it that this loop has taken, modulo 2^32
  bool ready = false;          // the queue may hold connections
  bool paused = false;         // saturated
  bool saturated_due = false;  // its kSaturated is not delivered yet
  int saturated_errno = 0;     // 0: maxConnections
  uint32_t backoff_ms = 0;
  uint64_t retry_at_ms = 0;                 // when paused by an error
  CloseListenerRequest* closing = nullptr;  // closes once `queued` more have been taken
  uint32_t queued = 0;

  // Clients that connect now come too late.
  [[nodiscard]] bool is_through() const { return closing != nullptr && queued == 0; }
};

// Takes connections from the loop's listeners, and governs how many.
//
// At maxConnections, and when accepting fails for lack of descriptors or memory (EMFILE, ENFILE, ENOBUFS, ENOMEM, and ENOMEM
// as long as the process's spare memory is spent) or for a reason that won't go away, it pauses: at the maximum until 1/32 of
// it is free again, otherwise for a time that doubles from 10 ms to 1 s, and starts again when a try has brought a connection.
// Without descriptors one connection is shed at each try, with one kept in reserve for it, so that clients get an answer
// instead of a silence. Never a spinning loop, never an exit; one kSaturated for each such phase.
// Owner: one loop. Thread: the loop's.
class Acceptor {
 public:
  Acceptor(ConnectionTable& table, Replies& replies, const FileTable& files)
      : table_(table), replies_(replies), file_table_(files) {}

  // Opens a listener, or takes part in one that another loop accepts for; the request has what came of it.
  void listen(ListenRequest& request);
  // True if it is closed; otherwise the request is completed later. close(2) resets what is in the accept queue, whose
  // clients know nothing but that they are connected: these are taken first, if they can be. Later ones come too late.
  [[nodiscard]] bool close(CloseListenerRequest& request);

  void mark_ready(uint32_t index);
  // Accepts what may be accepted now. Cheap when there is nothing to do.
  void serve();
  // Takes what other loops have accepted for this one: `max` of them at most, all with kAllArrivals.
  void take_arrivals(size_t max);
  // Delivers kSaturated events while there is room for them.
  void announce();

  // True if serve() has work that no edge will announce.
  [[nodiscard]] bool busy() const { return (ready_ > 0 && !outgoing_) || !arrivals_.empty(); }
  // Milliseconds until a paused listener should be tried again; -1 for none.
  [[nodiscard]] int next_retry_ms() const;

  // All descriptors are closed and sockets' files removed.
  void close_all();

  static constexpr size_t kAllArrivals = SIZE_MAX;

 private:
  // A connection for another loop.
  struct Outgoing {
    Arrival arrival;
    size_t loop;  // its index in the listener's Spread
  };

  [[nodiscard]] Result<void> add(Listening listening);
  // Returns how many connections of this listener the loop took, modulo 2^32.
  uint32_t remove(std::map<uint32_t, Listening>::iterator found);
  [[nodiscard]] bool drains(const Listening& listening) const;
  void close_drained();
  void hand_over();
  void reject(Listening& listening, int error);
  [[nodiscard]] int assign(Listening& listening, Fd fd, const PackedAddress& peer);
  [[nodiscard]] int admit(Fd fd, const PackedAddress& peer, const Listening& listening);
  void accept_all();
  [[nodiscard]] bool accept_some(Listening& listening, TimeBudget& time);
  void saturate(Listening& listening, int error);
  void resume(Listening& listening);
  void shed(Listening& listening);
  void set_ready(Listening& listening, bool ready);

  ConnectionTable& table_;
  Replies& replies_;
  const FileTable& file_table_;
  std::map<uint32_t, Listening> listeners_;  // few, and their addresses must not change
  uint32_t last_served_ = 0;                 // listener
  uint32_t closing_ = 0;                     // listeners that are
  std::deque<Arrival> arrivals_;             // out of the inbox
  uint32_t ready_ = 0;                       // listeners that are ready and not paused
  uint32_t paused_ = 0;                      // listeners that are paused
  bool announcing_ = false;
  Fd reserve_;  // since there is a listener
  std::optional<Outgoing> outgoing_;
};

}  // namespace c1m
