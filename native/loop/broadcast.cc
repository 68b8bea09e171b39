// The same bytes for many connections.
#include <algorithm>
#include <cassert>

#include "native/loop/broadcast_request.h"
#include "native/loop/loop.h"

namespace c1m {

namespace {

// Sockets that get their turn, and bytes that go to them, in one turn of the loop, for all broadcasts together: about
// 0.7 ms at 11 µs each (bench/results, broadcast). So long the other connections have to wait, and a few times that for an
// answer: P99 of an echo meanwhile was 3 ms, with the 5 ms in view that it may be.
constexpr size_t kSpreadTargets = 64;
constexpr size_t kSpreadBytes = 1024 * 1024;
// Broadcasts under way take turns by so many targets: a small one doesn't wait for a large one to end.
constexpr size_t kSpreadShare = 16;
// The slots of the targets are all over memory: this far ahead they are fetched.
constexpr size_t kPrefetch = 8;

}  // namespace

bool BroadcastRequest::run(Loop& loop) { return loop.broadcast(*this); }

// Puts it in all queues now. That fixes its place among the commands for each target, and takes little of the time
// that the sockets take.
bool Loop::broadcast(BroadcastRequest& request) {
  const std::vector<BroadcastTarget>& targets = request.targets;
  for (size_t i = 0; i < targets.size(); ++i) {
    if (i + kPrefetch < targets.size()) entries_.prefetch(targets[i + kPrefetch].slot);
    if (targets[i].slot != request.except) offer(request, targets[i]);
  }
  if (request.accepted > 0 && request.payload->length > 0) {
    broadcasts_.push_back(&request);
    return false;
  }
  conclude(request);
  return true;
}

void Loop::offer(BroadcastRequest& request, const BroadcastTarget& target) {
  if (Expected* there = deferring(target.slot, target.generation); there != nullptr) {
    if (there->muted || there->full) return;
    ++request.payload->references;
    ++request.accepted;
    // One that is too much counts as dropped.
    if (!there->defer(pool_, {.shared = request.payload, .max_write_queue = target.max_write_queue})) ++request.cut;
    return;
  }
  Entry* entry = find(target.slot, target.generation);
  if (entry == nullptr || !entry->takes_shared()) return;
  const size_t length = request.payload->length;
  if (entry->out.exceeds(target.max_write_queue, length, QueueCost::kShared)) {
    ++request.cut;
    return overflow(target.slot, *entry);
  }
  ++request.accepted;
  if (length > 0) entry->out.append_shared(pool_, *request.payload);
}

// Sends, as far as the turn's budget goes.
void Loop::spread() {
  size_t targets = kSpreadTargets;
  size_t bytes = kSpreadBytes;
  while (!broadcasts_.empty() && targets > 0 && bytes > 0) {
    BroadcastRequest& request = *broadcasts_.front();
    broadcasts_.pop_front();
    const size_t end = std::min({request.targets.size(), request.next + kSpreadShare, request.next + targets});
    targets -= end - request.next;
    while (request.next < end && bytes > 0) {
      const BroadcastTarget& target = request.targets[request.next++];
      const Entry* entry = find(target.slot, target.generation);
      // What another turn has sent already, or the socket can't take, costs nothing more.
      if (entry == nullptr || entry->out.empty() || !entry->has(Connection::kWritable)) continue;
      bytes -= std::min(bytes, flush_one(target.slot));
    }
    if (request.next < request.targets.size()) {
      broadcasts_.push_back(&request);
    } else {
      conclude(request);
      complete(&request);
    }
  }
}

void Loop::conclude(BroadcastRequest& request) {
  SharedPayload* payload = request.payload;
  request.payload = nullptr;
  request.queued = payload->references - 1 + payload->moved;
  request.reached = request.accepted - request.queued - payload->dropped;
  pool_.release(payload);
}

}  // namespace c1m
