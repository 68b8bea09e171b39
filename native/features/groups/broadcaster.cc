#include "native/features/groups/broadcaster.h"

#include <algorithm>

#include "native/features/groups/broadcast_request.h"

namespace c1m {

namespace {

// Sockets that are sent to, and bytes that go to them, in one turn of the loop, for all broadcasts together: about
// 0.7 ms at 11 µs each (bench/results, broadcast). The other connections have to wait as long, and a few times that for an
// answer: P99 of an echo meanwhile was 3 ms, with the 5 ms in view that it may be.
constexpr size_t kSpreadSends = 64;
constexpr size_t kSpreadBytes = 1024 * 1024;
// Targets that are looked at meanwhile, most of which need nothing: another broadcast's turn has sent this one's bytes with its
// own, or the socket is full. 50 ns each, if their slot has to be fetched from memory.
constexpr size_t kSpreadLooks = 4096;
// Broadcasts in progress take turns by this number of sends: a small one doesn't wait for a large one to end.
constexpr size_t kSpreadShare = 16;
// The slots of the targets are all over memory: this far ahead they are fetched.
constexpr size_t kPrefetch = 8;

}  // namespace

void Broadcaster::begin(BroadcastRequest& request) {
  broadcasts_.push_back(&request);
  linking_ = &request;
  link();
}

void Broadcaster::link() {
  if (linking_ == nullptr) return;
  BroadcastRequest& request = *linking_;
  const std::span<const BroadcastTarget> targets = request.targets();
  for (; request.linked < targets.size() && table_.work.any(); ++request.linked) {
    table_.work.spend(1);
    if (request.linked + kPrefetch < targets.size()) table_.slots.prefetch(targets[request.linked + kPrefetch].slot);
    if (targets[request.linked].slot != request.except) offer(request, targets[request.linked]);
  }
  if (request.linked < targets.size()) return;
  linking_ = nullptr;
  // There is nothing to send.
  if (request.accepted == 0 || request.payload->length == 0) request.next = targets.size();
}

void Broadcaster::offer(BroadcastRequest& request, const BroadcastTarget& target) {
  if (Reserved* there = reservations_.find(target.slot, target.generation); there != nullptr) {
    if (there->muted || there->error != 0) return;
    ++request.payload->references;
    ++request.accepted;
    // One that is too much counts as dropped.
    if (!there->defer(table_.pool, {.shared = request.payload, .max_write_queue = target.max_write_queue}))
      ++request.cut;
    return;
  }
  Entry* entry = table_.find(target.slot, target.generation);
  if (entry == nullptr || !entry->takes_shared()) return;
  const size_t length = request.payload->length;
  if (entry->out.exceeds(target.max_write_queue, length, QueueCost::kShared)) {
    ++request.cut;
    return table_.close_overflowed(target.slot, *entry);
  }
  if (length > 0 && !entry->out.append_shared(table_.pool, *request.payload)) {
    ++request.cut;
    return table_.close_for_memory(target.slot, *entry, Syscall::kWrite);
  }
  ++request.accepted;
}

void Broadcaster::spread(QueueFlusher& flusher) {
  Budget left{.sends = kSpreadSends, .looks = kSpreadLooks, .bytes = kSpreadBytes};
  // One that isn't linked any further has nothing to send: once round without any progress is enough.
  size_t idle = 0;
  while (idle < broadcasts_.size() && left.any()) {
    BroadcastRequest& request = *broadcasts_.front();
    broadcasts_.pop_front();
    const size_t before = request.next;
    spread(request, left, flusher);
    if (request.next < request.targets().size()) {
      broadcasts_.push_back(&request);
      idle = request.next > before ? 0 : idle + 1;
      continue;
    }
    conclude(request);
    replies_.complete(&request);
    idle = 0;
  }
}

// One broadcast's share of it.
void Broadcaster::spread(BroadcastRequest& request, Budget& left, QueueFlusher& flusher) {
  const std::span<const BroadcastTarget> targets = request.targets();
  --left.looks;
  size_t share = std::min(kSpreadShare, left.sends);
  left.sends -= share;
  while (request.next < request.linked && share > 0 && left.looks > 0 && left.bytes > 0) {
    --left.looks;
    if (request.next + kPrefetch < targets.size()) table_.slots.prefetch(targets[request.next + kPrefetch].slot);
    const BroadcastTarget& target = targets[request.next++];
    const Entry* entry = table_.find(target.slot, target.generation);
    // What another turn has sent already, or the socket can't take, costs nothing more.
    if (entry == nullptr || entry->out.empty() || !entry->has(Connection::kWritable)) continue;
    --share;
    left.bytes -= std::min(left.bytes, flusher.flush_one(target.slot));
  }
  left.sends += share;
}

void Broadcaster::conclude(BroadcastRequest& request) {
  SharedPayload* payload = request.payload;
  request.payload = nullptr;
  request.queued = payload->references - 1 + payload->moved;
  request.reached = request.accepted - request.queued - payload->dropped;
  table_.pool.release(payload);
}

}  // namespace c1m
