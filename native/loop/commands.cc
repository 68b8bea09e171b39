#include "native/loop/commands.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "native/features/groups/broadcaster.h"
#include "native/features/relay/relays.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// In units of WorkBudget. A request usually asks the kernel: getsockopt(2) for TCP_INFO takes 1 to 2 µs.
constexpr size_t kRequestCost = 32;
// A connection that is to be sent to in this turn, by send(2) of 4 to 8 µs: 256 of them, so that answers take no more than some
// 2 ms, and none is put off once its command is carried out.
constexpr size_t kSendCost = 64;
// Workers' writes below this are copied into the queue's blocks, where many share one; larger ones stay where they are.
constexpr size_t kCopiedWrite = 16 * 1024;
// Batches of one turn that come back with their memory: as many as go round under load. More are a burst's.
constexpr size_t kWarmBatches = 4;

}  // namespace

void Commands::publish(CommandBatch* batch) {
  batch->number = table_.places.inbox().count_batch();
  mailbox_.commands.push(batch);
}

// What is over the turn's share waits, with all that came after it: so order is kept, and only the rest of the turn comes
// in between. The inbox is looked at behind the mailbox: what was accepted before a batch of these was published is in it by now.
void Commands::execute_all() {
  if (CommandBatch* fresh = mailbox_.commands.take(); fresh != nullptr) {
    (executing_ == nullptr ? executing_ : newest_->next) = fresh;
    newest_ = fresh;
    while (newest_->next != nullptr) newest_ = newest_->next;
  }
  table_.places.inbox().take_writes(remote_writes_);
  table_.work.begin_turn();
  broadcaster_.link();
  while (executing_ != nullptr) {
    CommandBatch* batch = executing_;
    if (!write_remote_before(batch->number) || !execute(*batch)) return;
    last_batch_ = batch->number;
    executing_ = batch->next;
    batch->next = executed_;
    executed_ = batch;
    next_record_ = 0;
  }
  // One behind a batch that is not here yet waits for that, which wakes us.
  (void)write_remote_before(last_batch_ + 1);
}

bool Commands::has_remote_before(uint32_t batch) const {
  return !remote_writes_.empty() && static_cast<int32_t>(remote_writes_.front().batch - batch) < 0;
}

// False if the turn's share ends before they are through.
bool Commands::write_remote_before(uint32_t batch) {
  size_t cost = 0;
  while (table_.work.any() && has_remote_before(batch)) {
    RemoteWrite& write = remote_writes_.front();
    cost += write.cost();
    // Its bytes are copied, if they are few.
    table_.work.spend(1 + std::min(write.length(), kCopiedWrite) / 1024);
    write_remote(std::move(write));
    remote_writes_.pop_front();
  }
  if (cost > 0) table_.places.inbox().carried_out(cost);
  return !has_remote_before(batch);
}

// For what a command has brought. Of the share of a turn it takes what send(2) does.
void Commands::send_soon(uint32_t slot) {
  if (!table_.slots[slot].has(Connection::kToSend)) table_.work.spend(kSendCost);
  table_.to_flush.push(slot);
}

// False if the turn's share ends before it does.
bool Commands::execute(CommandBatch& batch) {
  assert(batch.count <= batch.capacity());
  while (next_record_ < batch.count) {
    if (!table_.work.any()) return false;
    table_.work.spend(1);
    execute_one(batch, batch.record(next_record_++));
  }
  // Its last command may be a broadcast that isn't in all of its queues yet.
  return !broadcaster_.is_linking();
}

// After flush_all(): nothing of their arenas is needed any more.
void Commands::return_executed() {
  for (size_t returned = 0; executed_ != nullptr; ++returned) {
    CommandBatch* next = executed_->next;
    executed_->count = 0;
    // JavaScript may have thrown between a payload and its record. Requests refer to its objects: they end on its thread.
    for (const PinnedBytes& unnamed : executed_->pinned) {
      if (unnamed.owner != nullptr) table_.pool.released().push_back(unnamed.owner);
    }
    executed_->pinned.clear();
    if (returned >= kWarmBatches) executed_->give_back_memory();
    mailbox_.spent.push(executed_);
    executed_ = next;
  }
}

// As a broadcast to one connection: JavaScript, which counts what it has written itself, knows nothing of it.
void Commands::write_remote(RemoteWrite write) {
  if (write.bytes.empty()) return;
  const bool is_small = write.length() < kCopiedWrite;
  if (Entry* entry = is_small ? table_.find(write.slot, write.generation) : nullptr; entry != nullptr) {
    if (!entry->takes_shared()) return;
    const bool appended = entry->out.append_foreign(table_.pool, write.bytes.data(), write.length());
    return queued(write.slot, *entry, appended, write.max_write_queue);
  }
  SharedPayload* payload = SharedPayload::of(std::move(write.bytes));
  if (Reserved* there = reservations_.find(write.slot, write.generation); there != nullptr) {
    (void)there->defer(table_.pool, {.shared = payload, .max_write_queue = write.max_write_queue});
    return;
  }
  queue_shared(write.slot, table_.find(write.slot, write.generation), *payload, write.max_write_queue);
  table_.pool.release(payload);
}

// What is refused here has been accepted before, and counts as dropped.
void Commands::queue_shared(uint32_t slot, Entry* entry, SharedPayload& payload, uint32_t max_write_queue) {
  if (payload.length == 0) return;
  const bool takes = entry != nullptr && entry->takes_shared();
  if (takes && !entry->out.exceeds(max_write_queue, payload.length, QueueCost::kShared)) {
    if (entry->out.append_shared(table_.pool, payload)) return send_soon(slot);
    ++payload.dropped;
    return table_.close_for_memory(slot, *entry, Syscall::kWrite);
  }
  ++payload.dropped;
  if (takes) table_.close_overflowed(slot, *entry);
}

// Something was queued, if there was memory for it.
void Commands::queued(uint32_t slot, Entry& entry, bool appended, size_t limit) {
  if (appended && entry.out.exceeds(limit)) return table_.close_overflowed(slot, entry);
  // This turn may not come to it, and the arena goes back in this turn.
  if (appended && entry.has(Connection::kInBulk)) appended = entry.out.keep(table_.pool);
  if (!appended) return table_.close_for_memory(slot, entry, Syscall::kWrite);
  send_soon(slot);
}

void Commands::run_request(std::unique_ptr<Request> request) {
  // Beyond what may be deferred there it is as good as closed.
  if (Reserved* there = reservations_.find_for(*request); there != nullptr && there->error == 0) {
    (void)there->defer(table_.pool, {.request = std::move(request)});
    return;
  }
  table_.work.spend(kRequestCost);
  if (request->run(loop_)) {
    replies_.send(std::move(request));
  } else {
    replies_.keep(std::move(request));
  }
}

void Commands::execute_one(CommandBatch& batch, const uint32_t* record) {
  const auto command = static_cast<Command>(record[0] & 0xff);
  const uint32_t slot = record[1];
  if (command == Command::kRequest) {
    std::unique_ptr<Request> request = batch.take_request(record[3]);
    if (request != nullptr) run_request(std::move(request));
    return;
  }
  PinnedBytes pinned{};
  if (command == Command::kWritePinned) {
    pinned = batch.take_pinned(record[3]);
    pinned.excess = record[4];
    if (pinned.owner == nullptr) return;
  }
  std::span<const uint8_t> bytes;
  if (command == Command::kWrite) {
    const uint8_t* start = batch.bytes(record[3], record[4]);
    if (start == nullptr) return;
    bytes = {start, record[4]};
  }
  if (Reserved* there = reservations_.find(slot, record[2]); there != nullptr) {
    uint32_t word = record[0];
    if (pinned.excess > pinned.length) {
      // A small part of its buffer, which isn't to stay for it: as Outbound does.
      word = static_cast<uint32_t>(Command::kWrite) | (word & ~0xffu);
      bytes = {pinned.data, pinned.length};
      table_.pool.released().push_back(std::exchange(pinned, PinnedBytes{}).owner);
    }
    Deferred one{.command = word, .argument = record[3], .pinned = pinned};
    if (there->error == 0 && !one.bytes.append(bytes.data(), bytes.size())) there->fail(table_.pool, ENOMEM);
    (void)there->defer(table_.pool, std::move(one));
    return;
  }
  carry_out(slot, table_.find(slot, record[2]), record[0], record[3], bytes, pinned);
}

void Commands::write(uint32_t slot, Entry& entry, uint32_t word, std::span<const uint8_t> bytes,
                     const PinnedBytes& pinned) {
  const bool appended =
      static_cast<Command>(word & 0xff) == Command::kWrite
          ? entry.out.append(table_.pool, bytes.data(), static_cast<uint32_t>(bytes.size()))
          : entry.out.append_pinned(table_.pool, pinned.data, pinned.length, pinned.excess, pinned.owner);
  queued(slot, entry, appended, limit_of(word));
}

void Commands::carry_out(uint32_t slot, Entry* entry, uint32_t word, uint32_t argument, std::span<const uint8_t> bytes,
                         const PinnedBytes& pinned) {
  const auto command = static_cast<Command>(word & 0xff);
  const bool is_write = command == Command::kWrite || command == Command::kWritePinned;
  const bool wishes = entry != nullptr && is_write && (word & kDrainWish) != 0;
  if (wishes) entry->set(Connection::kDrainWanted);
  if (entry == nullptr || (entry->has(Connection::kWriteFailed) && command <= Command::kEnd)) {
    if (pinned.owner != nullptr) table_.pool.released().push_back(pinned.owner);
    if (wishes) table_.to_flush.push(slot);
    return;
  }
  switch (command) {
    case Command::kWrite:
    case Command::kWritePinned:
      return write(slot, *entry, word, bytes, pinned);
    case Command::kEnd:
      entry->set(Connection::kEndWanted);
      table_.timers.note_end(*entry);
      return send_soon(slot);
    case Command::kReset:
      table_.work.spend(WorkBudget::kClose);
      // A socket that is gone already needs no RST.
      (void)reset_on_close(entry->fd.get());
      if (entry->has(Connection::kRelayed)) relays_.reset_both(*entry);
      return table_.close(slot, *entry, 0, Syscall::kWrite);
    case Command::kDestroy:
      table_.work.spend(WorkBudget::kClose);
      table_.cut(*entry);
      return table_.close(slot, *entry, 0, Syscall::kWrite);
    case Command::kPause:
      entry->set(Connection::kPaused);
      // Its last edge has come: nothing else would close it while it is paused.
      if (entry->has(Connection::kBroken | Connection::kWriteFailed)) table_.close_broken(slot, *entry);
      return;
    case Command::kResume:
      entry->unset(Connection::kPaused);
      table_.timers.note_resumed(*entry);
      // No edge comes for what arrived meanwhile.
      if (entry->can_read()) table_.ready.push(slot);
      return;
    case Command::kSetTimeout:
      if (word >> 8 >= kTimeoutKinds) return;
      return table_.timers.set(slot, static_cast<TimeoutKind>(word >> 8), argument);
    case Command::kWantDrain:
      entry->set(Connection::kDrainWanted);
      table_.to_flush.push(slot);
      return;
    case Command::kMute:
      entry->set(Connection::kMuted);
      return;
    case Command::kReframe:
      // What is no frame in the old way may be one in the new.
      entry->unset(Connection::kInvalidFrameDue);
      entry->set(Connection::kReframing | Connection::kFramingDue);
      table_.ready.push(slot);
      return;
    case Command::kRequest:
      return;
  }
}

void Commands::carry_out_deferred(uint32_t slot, uint32_t generation, Deferred one) {
  table_.work.spend(1);
  if (one.request != nullptr) return run_request(std::move(one.request));
  Entry* entry = table_.find(slot, generation);
  if (one.shared != nullptr) {
    queue_shared(slot, entry, *one.shared, one.max_write_queue);
    return table_.pool.release(one.shared);
  }
  carry_out(slot, entry, one.command, one.argument, {one.bytes.data(), one.bytes.size()}, one.pinned);
  // Its bytes go with it.
  if (entry != nullptr && !entry->out.keep(table_.pool)) table_.close_for_memory(slot, *entry, Syscall::kWrite);
}

}  // namespace c1m
