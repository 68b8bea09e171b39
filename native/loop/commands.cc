// What JavaScript wants done.
#include <algorithm>
#include <cassert>

#include "native/loop/loop.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// What JavaScript, and other threads, want done in one turn, in units of some 50 ns: that of a write, and of a broadcast's
// place in one queue, whose slot may have to be fetched from memory. So the others wait for 1 ms, at the most.
constexpr size_t kCommandsPerTurn = 16 * 1024;
// A request asks the kernel as a rule: getsockopt(2) for TCP_INFO takes 1 to 2 µs. So does a close: epoll_ctl(2).
constexpr size_t kRequestCost = 32;
constexpr size_t kCloseCost = 32;
// A connection that is to be sent to in this turn, by send(2) of 4 to 8 µs: 256 of them, so that answers take no more than some
// 2 ms, and none is put off once its command is carried out.
constexpr size_t kSendCost = 64;
// Workers' writes below this are copied into the queue's blocks, where many share one; larger ones stay where they are.
constexpr size_t kCopiedWrite = 16 * 1024;
// Batches of one turn that come back with their memory: as many as go round under load. More are a burst's.
constexpr size_t kWarmBatches = 4;

}  // namespace

void Loop::publish_commands(CommandBatch* batch) {
  batch->number = inbox_->count_batch();
  mailbox_.commands.push(batch);
}

// What is over the turn's share waits, with all that came after it: so order is kept, and only the rest of the turn comes
// in between. The inbox is opened behind the mailbox: what was accepted before a batch of these was published is in it by now.
void Loop::execute_commands() {
  if (CommandBatch* fresh = mailbox_.commands.take(); fresh != nullptr) {
    (executing_ == nullptr ? executing_ : newest_->next) = fresh;
    newest_ = fresh;
    while (newest_->next != nullptr) newest_ = newest_->next;
  }
  open_inbox();
  commands_left_ = kCommandsPerTurn;
  link();
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

bool Loop::has_remote_before(uint32_t batch) const {
  return !remote_writes_.empty() && static_cast<int32_t>(remote_writes_.front().batch - batch) < 0;
}

// False if the turn's share ends before they are through.
bool Loop::write_remote_before(uint32_t batch) {
  size_t cost = 0;
  while (commands_left_ > 0 && has_remote_before(batch)) {
    RemoteWrite& write = remote_writes_.front();
    cost += write.cost();
    // Its bytes are copied, if they are few.
    spend(1 + std::min(write.length(), kCopiedWrite) / 1024);
    write_remote(std::move(write));
    remote_writes_.pop_front();
  }
  if (cost > 0) inbox_->carried_out(cost);
  return !has_remote_before(batch);
}

void Loop::spend(size_t units) { commands_left_ -= std::min(commands_left_, units); }

// For what a command has brought. Of the share of a turn it takes what send(2) does.
void Loop::send_soon(uint32_t slot) {
  if (!entries_[slot].has(kToSend)) spend(kSendCost);
  flush_.push(slot);
}

// False if the turn's share ends before it does.
bool Loop::execute(CommandBatch& batch) {
  assert(batch.count <= batch.capacity());
  while (next_record_ < batch.count) {
    if (commands_left_ == 0) return false;
    --commands_left_;
    execute_one(batch, batch.record(next_record_++));
  }
  // Its last command may be a broadcast that isn't in all of its queues yet.
  return linking_ == nullptr;
}

// After flush_all(): nothing of their arenas is needed any more.
void Loop::return_commands() {
  for (size_t returned = 0; executed_ != nullptr; ++returned) {
    CommandBatch* next = executed_->next;
    executed_->count = 0;
    // JavaScript may have thrown between a payload and its record. Requests refer to its objects: they end on its thread.
    for (const PinnedBytes& unnamed : executed_->pinned) {
      if (unnamed.owner != nullptr) pool_.released().push_back(unnamed.owner);
    }
    executed_->pinned.clear();
    if (returned >= kWarmBatches) executed_->give_back_memory();
    mailbox_.spent.push(executed_);
    executed_ = next;
  }
}

// As a broadcast to one connection: JavaScript, which counts what it has written itself, knows nothing of it.
void Loop::write_remote(RemoteWrite write) {
  if (write.bytes.empty()) return;
  const bool is_small = write.length() < kCopiedWrite;
  if (Entry* entry = is_small ? find(write.slot, write.generation) : nullptr; entry != nullptr) {
    if (!entry->takes_shared()) return;
    const bool appended = entry->out.append_foreign(pool_, write.bytes.data(), write.length());
    return queued(write.slot, *entry, appended, write.max_write_queue);
  }
  SharedPayload* payload = SharedPayload::of(std::move(write.bytes));
  if (Expected* there = deferring(write.slot, write.generation); there != nullptr) {
    (void)there->defer(pool_, {.shared = payload, .max_write_queue = write.max_write_queue});
    return;
  }
  queue_shared(write.slot, find(write.slot, write.generation), *payload, write.max_write_queue);
  pool_.release(payload);
}

// What is refused here has been accepted before, and counts as dropped.
void Loop::queue_shared(uint32_t slot, Entry* entry, SharedPayload& payload, uint32_t max_write_queue) {
  if (payload.length == 0) return;
  const bool takes = entry != nullptr && entry->takes_shared();
  if (takes && !entry->out.exceeds(max_write_queue, payload.length, QueueCost::kShared)) {
    if (entry->out.append_shared(pool_, payload)) return send_soon(slot);
    ++payload.dropped;
    return close_for_memory(slot, *entry, Syscall::kWrite);
  }
  ++payload.dropped;
  if (takes) overflow(slot, *entry);
}

void Loop::overflow(uint32_t slot, Entry& entry) {
  spend(kCloseCost);
  close(slot, entry, static_cast<int>(OwnError::kWriteQueueFull), Syscall::kWrite);
}

// With a part of what it sends lost a FIN would make the rest look whole.
void Loop::close_for_memory(uint32_t slot, Entry& entry, Syscall syscall) {
  spend(kCloseCost);
  const bool lost = syscall == Syscall::kWrite || entry.has(Connection::kRelayed);
  if (lost && !entry.has(Connection::kFinSent)) {
    (void)reset_on_close(entry.fd.get());
  } else {
    cut(entry);
  }
  close(slot, entry, ENOMEM, syscall);
}

// Something was queued, if there was memory for it.
void Loop::queued(uint32_t slot, Entry& entry, bool appended, size_t limit) {
  if (appended && entry.out.exceeds(limit)) return overflow(slot, entry);
  // This turn may not come to it, and the arena goes back in this turn.
  if (appended && entry.has(Connection::kInBulk)) appended = entry.out.keep(pool_);
  if (!appended) return close_for_memory(slot, entry, Syscall::kWrite);
  send_soon(slot);
}

Expected* Loop::deferring(uint32_t slot, uint32_t generation) {
  if (!moves_.expects_any() || entries_.find(slot, generation) == nullptr) return nullptr;
  return moves_.expected(slot);
}

void Loop::run_request(std::unique_ptr<Request> request) {
  // Beyond what may wait there it is as good as closed.
  if (Expected* there = request->waits(*this); there != nullptr && there->error == 0) {
    (void)there->defer(pool_, {.request = std::move(request)});
    return;
  }
  spend(kRequestCost);
  if (request->run(*this)) return answer(std::move(request));
  Request* waiting = request.get();
  waiting_.emplace(waiting, std::move(request));
}

void Loop::answer(std::unique_ptr<Request> request) {
  if (request->in_order()) return completed_.push_back(std::move(request));
  mailbox_.answers.push(request.release());
  answered_ = true;
}

void Loop::execute_one(CommandBatch& batch, const uint32_t* record) {
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
  if (Expected* there = deferring(slot, record[2]); there != nullptr) {
    uint32_t word = record[0];
    if (pinned.excess > pinned.length) {
      // A small part of its buffer, which isn't to stay for it: as Outbound does.
      word = static_cast<uint32_t>(Command::kWrite) | (word & ~0xffu);
      bytes = {pinned.data, pinned.length};
      pool_.released().push_back(std::exchange(pinned, PinnedBytes{}).owner);
    }
    Deferred one{.command = word, .argument = record[3], .pinned = pinned};
    if (there->error == 0 && !one.bytes.append(bytes.data(), bytes.size())) there->fail(pool_, ENOMEM);
    (void)there->defer(pool_, std::move(one));
    return;
  }
  carry_out(slot, find(slot, record[2]), record[0], record[3], bytes, pinned);
}

void Loop::write(uint32_t slot, Entry& entry, uint32_t word, std::span<const uint8_t> bytes,
                 const PinnedBytes& pinned) {
  const bool appended = static_cast<Command>(word & 0xff) == Command::kWrite
                            ? entry.out.append(pool_, bytes.data(), static_cast<uint32_t>(bytes.size()))
                            : entry.out.append_pinned(pool_, pinned.data, pinned.length, pinned.excess, pinned.owner);
  queued(slot, entry, appended, limit_of(word));
}

void Loop::carry_out(uint32_t slot, Entry* entry, uint32_t word, uint32_t argument, std::span<const uint8_t> bytes,
                     const PinnedBytes& pinned) {
  const auto command = static_cast<Command>(word & 0xff);
  const bool is_write = command == Command::kWrite || command == Command::kWritePinned;
  const bool wishes = entry != nullptr && is_write && (word & kDrainWish) != 0;
  if (wishes) entry->set(Connection::kDrainWanted);
  if (entry == nullptr || (entry->has(Connection::kWriteFailed) && command <= Command::kEnd)) {
    if (pinned.owner != nullptr) pool_.released().push_back(pinned.owner);
    if (wishes) flush_.push(slot);
    return;
  }
  switch (command) {
    case Command::kWrite:
    case Command::kWritePinned:
      return write(slot, *entry, word, bytes, pinned);
    case Command::kEnd:
      entry->set(Connection::kEndWanted);
      note_end(*entry);
      return send_soon(slot);
    case Command::kReset:
      spend(kCloseCost);
      // A socket that is gone already needs no RST.
      (void)reset_on_close(entry->fd.get());
      if (entry->has(Connection::kRelayed)) relays_.reset_both(*this, *entry);
      return close(slot, *entry, 0, Syscall::kWrite);
    case Command::kDestroy:
      spend(kCloseCost);
      cut(*entry);
      return close(slot, *entry, 0, Syscall::kWrite);
    case Command::kPause:
      entry->set(Connection::kPaused);
      // Its last edge has come: nothing else would close it while it is paused.
      if (entry->has(Connection::kBroken | Connection::kWriteFailed)) close_broken(slot, *entry);
      return;
    case Command::kResume:
      entry->unset(Connection::kPaused);
      note_wanted(*entry);
      // No edge comes for what arrived meanwhile.
      if (entry->can_read()) ready_.push(slot);
      return;
    case Command::kSetTimeout:
      if (word >> 8 >= kTimeoutKinds) return;
      return set_timeout(slot, static_cast<TimeoutKind>(word >> 8), argument);
    case Command::kWantDrain:
      entry->set(Connection::kDrainWanted);
      flush_.push(slot);
      return;
    case Command::kMute:
      entry->set(Connection::kMuted);
      return;
    case Command::kReframe:
      // What is no frame in the old way may be one in the new.
      entry->unset(Connection::kMisfitDue);
      entry->set(Connection::kReframing | Connection::kFramingDue);
      ready_.push(slot);
      return;
    case Command::kRequest:
      return;
  }
}

}  // namespace c1m
