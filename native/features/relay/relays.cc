#include "native/features/relay/relays.h"

#include <utility>

#include "native/features/relay/relay_request.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Bytes read in one direction of one relay in a turn. Spliced pages cost some 30 µs for this much.
constexpr size_t kRelayBudget = 512 * 1024;

Relay* relay_of(const Entry& entry) { return entry.extras == nullptr ? nullptr : entry.extras->relay; }

}  // namespace

bool Relays::prepare(const uint32_t (&slots)[2], const uint32_t (&generations)[2]) {
  Entry* entries[2];
  bool both = true;
  for (int side = 0; side < 2; ++side) {
    entries[side] = table_.find(slots[side], generations[side]);
    both = both && entries[side] != nullptr && !entries[side]->has(Connection::kRelayed | Connection::kEndWanted);
  }
  if (!both) {
    // The side that is left goes, too: it has half a stream of the other's, and nothing else, a broadcast for example, may
    // come behind that.
    for (int side = 0; side < 2; ++side) {
      if (entries[side] == nullptr || entries[side]->has(Connection::kRelayed)) continue;
      (void)reset_on_close(entries[side]->fd.get());
      table_.close(slots[side], *entries[side], static_cast<int>(OwnError::kRelayFailed), Syscall::kRead);
    }
    return false;
  }
  auto relay = std::make_unique<Relay>();
  for (int side = 0; side < 2; ++side) {
    Entry& entry = *entries[side];
    relay->slots[side] = slots[side];
    Extras& extras = entry.need_extras();
    extras.relay = relay.get();
    extras.relayed_to = slots[1 - side];
    entry.set(Connection::kRelayed);
    entry.unset(Connection::kPaused | Connection::kDrainWanted | Connection::kDueUntilRelay);
  }
  relays_.emplace(relay.get(), std::move(relay));
  return true;
}

bool Relays::start(RelayRequest& request) {
  const Entry* entry = table_.find(request.slot, request.generation);
  Relay* relay = entry == nullptr ? nullptr : relay_of(*entry);
  if (relay == nullptr || relay->request != nullptr) return true;
  relay->request = &request;
  ++table_.stats.relays;
  // No edge comes for what arrived before. Serving them arms their timers for a relay's looks, too.
  for (const uint32_t slot : relay->slots) {
    table_.touch(table_.slots[slot]);
    table_.to_flush.push(slot);
  }
  return false;
}

bool Relays::is_bulk(const Entry& entry) const {
  const Relay* relay = relay_of(entry);
  return relay != nullptr && (relay->flows[0].is_bulk() || relay->flows[1].is_bulk());
}

void Relays::serve(Entry& entry) {
  Relay* relay = relay_of(entry);
  if (relay == nullptr || relay->request == nullptr) return;
  const uint32_t slots[2]{relay->slots[0], relay->slots[1]};
  if (!move(*relay, 0) || !move(*relay, 1)) return;
  for (const uint32_t slot : slots) table_.sync_interest(slot, table_.slots[slot]);
}

// False if the relay has ended, and is gone.
bool Relays::move(Relay& relay, int side) {
  Entry& from = table_.slots[relay.slots[side]];
  Entry& to = table_.slots[relay.slots[1 - side]];
  RelayFlow& flow = relay.flows[side];
  // Nothing reads on to its error.
  if (flow.ended || to.has(Connection::kWriteFailed)) {
    if (!from.has(Connection::kBroken)) return true;
    table_.close_broken(relay.slots[side], from);
    return false;
  }
  const RelayFlow::Moved moved = flow.move(from, to, means_, kRelayBudget);
  if (moved.bytes > 0) {
    table_.stats.bytes_relayed += moved.bytes;
    table_.touch(from);
    table_.touch(to);
  }
  switch (moved.next) {
    case RelayFlow::Next::kMore:
      table_.to_flush.push(relay.slots[side]);
      return true;
    case RelayFlow::Next::kReadFailed:
      table_.close(relay.slots[side], from, moved.error, Syscall::kRead);
      return false;
    case RelayFlow::Next::kNoMemory:
      table_.close_for_memory(relay.slots[side], from, Syscall::kRead);
      return false;
    case RelayFlow::Next::kWriteFailed:
      fail_write(relay.slots[1 - side], to, moved.error);
      // It may have closed it, and the relay with it.
      return relay_of(to) != nullptr;
    case RelayFlow::Next::kEnd:
      return pass_end(relay, side);
    case RelayFlow::Next::kWait:
      return waits(relay, side);
  }
  return true;
}

bool Relays::pass_end(Relay& relay, int side) {
  const uint32_t slot = relay.slots[side];
  Entry& from = table_.slots[slot];
  Entry& to = table_.slots[relay.slots[1 - side]];
  if (from.has(Connection::kWriteFailed)) {
    table_.close(slot, from, from.error, Syscall::kWrite);
    return false;
  }
  // recv(2) answers 0 behind a FIN even if a reset came after it.
  if (from.has(Connection::kBroken)) {
    table_.close_broken(slot, from);
    return false;
  }
  const Fin fin = send_fin(to);
  if (fin.error != 0) {
    fail_write(relay.slots[1 - side], to, fin.error);
    return relay_of(to) != nullptr;
  }
  if (!fin.sent) return true;
  relay.flows[side].ended = true;
  if (!relay.flows[1 - side].ended) return true;
  const uint32_t slots[2]{relay.slots[0], relay.slots[1]};
  dissolve(relay);
  for (const uint32_t closed : slots) table_.close(closed, table_.slots[closed], 0, Syscall::kRead);
  return false;
}

bool Relays::waits(Relay& relay, int side) {
  const uint32_t slot = relay.slots[side];
  const uint32_t sink = relay.slots[1 - side];
  Entry& from = table_.slots[slot];
  const Entry& to = table_.slots[sink];
  // A pipe that was unloaded into the queue.
  if (!to.out.empty() && to.has(Connection::kWritable)) table_.to_flush.push(sink);
  if (from.has(Connection::kBroken)) {
    // It has been reset, while the other side takes no more of it.
    table_.close_broken(slot, from);
    return false;
  }
  if (from.has(Connection::kWriteFailed) && !from.has(Connection::kReadable | Connection::kHangup)) {
    table_.close(slot, from, from.error, Syscall::kWrite);
    return false;
  }
  return true;
}

bool Relays::flushed(Entry& entry, size_t bytes) {
  Relay* relay = relay_of(entry);
  if (relay == nullptr) return false;
  const int sink = &table_.slots[relay->slots[1]] == &entry ? 1 : 0;
  RelayFlow& flow = relay->flows[1 - sink];
  // Bytes of JavaScript's are in front of all that the flow queues, and it queues none before those have gone.
  if (!flow.queued()) return false;
  flow.sent_from_queue(bytes, entry.out.empty());
  table_.stats.bytes_relayed += bytes;
  table_.touch(table_.slots[relay->slots[1 - sink]]);
  return true;
}

void Relays::fail_write(uint32_t slot, Entry& entry, int error) {
  entry.out.clear(means_.pool);
  Relay* relay = relay_of(entry);
  const int sink = relay->slots[1] == slot ? 1 : 0;
  relay->flows[1 - sink].drop(means_);
  if (relay->flows[sink].ended) return table_.close(slot, entry, error, Syscall::kWrite);
  // Its peer may have sent an answer before it went away: that is passed on, and then it closes with this error.
  entry.note_write_failure(error);
  table_.to_flush.push(slot);
}

void Relays::reset_both(Entry& entry) {
  const Relay* relay = relay_of(entry);
  if (relay == nullptr) return;
  for (const uint32_t slot : relay->slots) (void)reset_on_close(table_.slots[slot].fd.get());
}

void Relays::on_close(uint32_t slot, Entry& entry, int error) {
  Relay* relay = relay_of(entry);
  if (relay == nullptr) return;
  const uint32_t other = relay->slots[relay->slots[0] == slot ? 1 : 0];
  Entry& rest = table_.slots[other];
  dissolve(*relay);
  // A FIN would make a stream that was cut off look like a whole one.
  if (error != 0) (void)reset_on_close(rest.fd.get());
  rest.unset(Connection::kWriteFailed);
  table_.close(other, rest, static_cast<int>(OwnError::kRelayFailed), Syscall::kRead);
}

void Relays::close_all() {
  relays_.clear();
  means_.pipes.clear();
}

void Relays::dissolve(Relay& relay) {
  RelayRequest* request = relay.request;
  for (int side = 0; side < 2; ++side) {
    table_.slots[relay.slots[side]].extras->relay = nullptr;
    relay.flows[side].drop(means_);
    if (request != nullptr) request->bytes[side] = relay.flows[side].bytes();
  }
  relays_.erase(&relay);
  if (request != nullptr) replies_.complete(request);
}

}  // namespace c1m
