#include "native/features/relay/relays.h"

#include <utility>

#include "native/features/relay/relay_request.h"
#include "native/loop/loop.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Bytes read in one direction of one relay in a turn. Spliced pages cost some 30 µs for this much.
constexpr size_t kRelayBudget = 512 * 1024;

Relay* relay_of(const Entry& entry) { return entry.extras == nullptr ? nullptr : entry.extras->relay; }

}  // namespace

bool HoldRelayRequest::run(Loop& loop) {
  held = loop.relays().hold(loop, slots, generations);
  for (int side = 0; held && side < 2; ++side) unread[side] = loop.take_unread(loop.entry(slots[side]));
  return true;
}

Expected* HoldRelayRequest::waits(Loop& loop) const {
  Expected* first = loop.deferring(slots[0], generations[0]);
  return first != nullptr ? first : loop.deferring(slots[1], generations[1]);
}

bool RelayRequest::run(Loop& loop) { return loop.relays().start(loop, *this); }

bool Relays::hold(Loop& loop, const uint32_t (&slots)[2], const uint32_t (&generations)[2]) {
  Entry* entries[2];
  bool both = true;
  for (int side = 0; side < 2; ++side) {
    entries[side] = loop.find(slots[side], generations[side]);
    both = both && entries[side] != nullptr && !entries[side]->has(Connection::kRelayed | Connection::kEndWanted);
  }
  if (!both) {
    // Whoever is left goes, too: it has half a stream of the other's, and nothing else, a broadcast for example, may come
    // behind that.
    for (int side = 0; side < 2; ++side) {
      if (entries[side] == nullptr || entries[side]->has(Connection::kRelayed)) continue;
      (void)reset_on_close(entries[side]->fd.get());
      loop.close(slots[side], *entries[side], static_cast<int>(OwnError::kRelayFailed), Syscall::kRead);
    }
    return false;
  }
  auto relay = std::make_unique<Relay>();
  for (int side = 0; side < 2; ++side) {
    Entry& entry = *entries[side];
    relay->slots[side] = slots[side];
    entry.need_extras().relay = relay.get();
    entry.set(Connection::kRelayed);
    // An end that JavaScript has not heard of is the relay's to pass on, and drains are nobody's.
    entry.unset(Connection::kPaused | Connection::kEndDue | Connection::kDrainWanted | Connection::kDrainDue);
  }
  relays_.emplace(relay.get(), std::move(relay));
  return true;
}

bool Relays::start(Loop& loop, RelayRequest& request) {
  const Entry* entry = loop.find(request.slot, request.generation);
  Relay* relay = entry == nullptr ? nullptr : relay_of(*entry);
  if (relay == nullptr || relay->request != nullptr) return true;
  relay->request = &request;
  ++loop.stats().relays;
  // No edge comes for what arrived before. Serving them arms their timers for a relay's looks, too.
  for (const uint32_t slot : relay->slots) {
    loop.touch(loop.entry(slot));
    loop.schedule(slot);
  }
  return false;
}

bool Relays::is_bulk(const Entry& entry) const {
  const Relay* relay = relay_of(entry);
  return relay != nullptr && (relay->flows[0].is_bulk() || relay->flows[1].is_bulk());
}

void Relays::serve(Loop& loop, Entry& entry) {
  Relay* relay = relay_of(entry);
  if (relay == nullptr || relay->request == nullptr) return;
  const uint32_t slots[2]{relay->slots[0], relay->slots[1]};
  if (!move(loop, *relay, 0) || !move(loop, *relay, 1)) return;
  for (const uint32_t slot : slots) loop.settle(slot, loop.entry(slot));
}

// False if the relay is over, and gone.
bool Relays::move(Loop& loop, Relay& relay, int side) {
  Entry& from = loop.entry(relay.slots[side]);
  Entry& to = loop.entry(relay.slots[1 - side]);
  RelayFlow& flow = relay.flows[side];
  // Nobody reads on to its error.
  if (flow.ended || to.has(Connection::kWriteFailed)) {
    if (!from.has(Connection::kBroken)) return true;
    loop.close_broken(relay.slots[side], from);
    return false;
  }
  const RelayFlow::Moved moved = flow.move(from, to, means_, kRelayBudget);
  if (moved.bytes > 0) {
    loop.stats().bytes_relayed += moved.bytes;
    loop.touch(from);
    loop.touch(to);
  }
  switch (moved.next) {
    case RelayFlow::Next::kMore:
      loop.schedule(relay.slots[side]);
      return true;
    case RelayFlow::Next::kReadFailed:
      loop.close(relay.slots[side], from, moved.error, Syscall::kRead);
      return false;
    case RelayFlow::Next::kNoMemory:
      loop.close_for_memory(relay.slots[side], from, Syscall::kRead);
      return false;
    case RelayFlow::Next::kWriteFailed:
      fail_write(loop, relay.slots[1 - side], to, moved.error);
      // It may have closed it, and the relay with it.
      return relay_of(to) != nullptr;
    case RelayFlow::Next::kEnd:
      return pass_end(loop, relay, side);
    case RelayFlow::Next::kWait:
      return waits(loop, relay, side);
  }
  return true;
}

bool Relays::pass_end(Loop& loop, Relay& relay, int side) {
  const uint32_t slot = relay.slots[side];
  Entry& from = loop.entry(slot);
  Entry& to = loop.entry(relay.slots[1 - side]);
  if (from.has(Connection::kWriteFailed)) {
    loop.close(slot, from, from.error, Syscall::kWrite);
    return false;
  }
  // recv(2) answers 0 behind a FIN even if a reset came after it.
  if (from.has(Connection::kBroken)) {
    loop.close_broken(slot, from);
    return false;
  }
  // A connection whose SYN is not answered yet has to wait for that.
  if (!loop.send_fin(relay.slots[1 - side], to)) return relay_of(to) != nullptr;
  relay.flows[side].ended = true;
  if (!relay.flows[1 - side].ended) return true;
  const uint32_t slots[2]{relay.slots[0], relay.slots[1]};
  dissolve(loop, relay);
  for (const uint32_t closed : slots) loop.close(closed, loop.entry(closed), 0, Syscall::kRead);
  return false;
}

bool Relays::waits(Loop& loop, Relay& relay, int side) {
  const uint32_t slot = relay.slots[side];
  const uint32_t sink = relay.slots[1 - side];
  Entry& from = loop.entry(slot);
  const Entry& to = loop.entry(sink);
  // A pipe that was unloaded into the queue.
  if (!to.out.empty() && to.has(Connection::kWritable)) loop.schedule(sink);
  if (from.has(Connection::kBroken)) {
    // It has been reset, while the other side takes no more of it.
    loop.close_broken(slot, from);
    return false;
  }
  if (from.has(Connection::kWriteFailed) && !from.has(Connection::kReadable | Connection::kHangup)) {
    loop.close(slot, from, from.error, Syscall::kWrite);
    return false;
  }
  return true;
}

bool Relays::flushed(Loop& loop, Entry& entry, size_t bytes) {
  Relay* relay = relay_of(entry);
  if (relay == nullptr) return false;
  const int sink = &loop.entry(relay->slots[1]) == &entry ? 1 : 0;
  RelayFlow& flow = relay->flows[1 - sink];
  // Bytes of JavaScript's are in front of all that the flow queues, and it queues none before those have gone.
  if (!flow.queued()) return false;
  flow.sent_from_queue(bytes, entry.out.empty());
  loop.stats().bytes_relayed += bytes;
  loop.touch(loop.entry(relay->slots[1 - sink]));
  return true;
}

void Relays::fail_write(Loop& loop, uint32_t slot, Entry& entry, int error) {
  entry.out.clear(means_.pool);
  Relay* relay = relay_of(entry);
  const int sink = relay->slots[1] == slot ? 1 : 0;
  relay->flows[1 - sink].drop(means_);
  if (relay->flows[sink].ended) return loop.close(slot, entry, error, Syscall::kWrite);
  // Its peer may have sent an answer before it went away: that is passed on, and then it closes with this error.
  entry.error = static_cast<uint16_t>(error);
  entry.error_syscall = static_cast<uint8_t>(Syscall::kWrite);
  entry.set(Connection::kWriteFailed | Connection::kReadable);
  loop.schedule(slot);
}

void Relays::reset_both(Loop& loop, Entry& entry) {
  const Relay* relay = relay_of(entry);
  if (relay == nullptr) return;
  for (const uint32_t slot : relay->slots) (void)reset_on_close(loop.entry(slot).fd.get());
}

void Relays::on_close(Loop& loop, uint32_t slot, Entry& entry, int error) {
  Relay* relay = relay_of(entry);
  if (relay == nullptr) return;
  const uint32_t other = relay->slots[relay->slots[0] == slot ? 1 : 0];
  Entry& rest = loop.entry(other);
  dissolve(loop, *relay);
  // A FIN would make a stream that was cut off look like a whole one.
  if (error != 0) (void)reset_on_close(rest.fd.get());
  rest.unset(Connection::kWriteFailed);
  loop.close(other, rest, static_cast<int>(OwnError::kRelayFailed), Syscall::kRead);
}

void Relays::close_all() {
  relays_.clear();
  means_.pipes.clear();
}

void Relays::dissolve(Loop& loop, Relay& relay) {
  RelayRequest* request = relay.request;
  for (int side = 0; side < 2; ++side) {
    loop.entry(relay.slots[side]).extras->relay = nullptr;
    relay.flows[side].drop(means_);
    if (request != nullptr) request->bytes[side] = relay.flows[side].bytes();
  }
  relays_.erase(&relay);
  if (request != nullptr) loop.complete(request);
}

}  // namespace c1m
