#include "native/loop/loop.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "native/mem/spare_memory.h"

namespace c1m {

namespace {

// Connections taken over from another I/O thread's acceptor in one turn, as many as that accepts in one.
constexpr size_t kArrivalsPerTurn = 256;
// There is no wake-up when the JS thread drains the passage, so the loop polls.
constexpr int kDepartRetryMs = 1;

// Poller words: a connection's generation is never 0, a listener's word is its bare index.
constexpr uint32_t slot_of(uint64_t word) { return static_cast<uint32_t>(word); }
constexpr uint32_t generation_of(uint64_t word) { return static_cast<uint32_t>(word >> 32); }

}  // namespace

Result<std::unique_ptr<Loop>> Loop::create(const LoopOptions& options, Mailbox& mailbox, JsWaker waker) {
  Result<Poller> poller = Poller::create(options.trigger);
  if (!poller) return poller.error();
  auto loop = std::make_unique<Loop>(std::move(poller.value()), options, mailbox, waker);
  if (options.own_file_table) {
    if (!loop->table().ok()) return Error{ENOMEM, "calloc"};
    const Result<void> opened = loop->watcher().set().open(loop->poller());
    if (!opened) return opened.error();
  }
  return loop;
}

Loop::Loop(Poller poller, const LoopOptions& options, Mailbox& mailbox, JsWaker waker)
    : mailbox_(mailbox),
      shared_stats_(options.stats),
      replies_(mailbox),
      table_(std::move(poller), options, mailbox, replies_, waker),
      reservations_(table_.slots),
      acceptor_(table_, replies_, file_table_),
      connector_(table_, replies_),
      relays_(table_, replies_),
      watcher_(table_.events, table_.stats),
      frames_(table_),
      adopt_detach_(table_, file_table_),
      migration_(table_, reservations_, replies_, file_table_),
      departures_(adopt_detach_, migration_, replies_),
      broadcaster_(table_, reservations_, replies_),
      files_(table_, replies_, file_table_, options.file_threads),
      transfer_(table_, frames_, files_, relays_),
      commands_(*this, mailbox, table_, reservations_, replies_, broadcaster_, relays_) {
  table_.observe_relays(relays_);
  table_.timers.observe_attempts(connector_);
  table_.events.before_publish([](void* files) { static_cast<FileSender*>(files)->finish(); }, &files_);
  spare_memory::refill();
}

Result<void> Loop::own_file_table(int passage, int waker) {
  std::vector<int> kept = table_.poller.descriptors();
  for (const int fd : watcher_.set().descriptors()) kept.push_back(fd);
  kept.push_back(passage);
  if (waker >= 0) kept.push_back(waker);
  const Result<void> owned = file_table_.own(kept, passage);
  return owned ? table_.poller.add_waker(passage) : owned;
}

void Loop::run() {
  while (!mailbox_.stop_requested()) turn();
  close_all();
}

void Loop::turn() {
  const std::span<const Readiness> ready = wait();
  ++table_.stats.turns;
  table_.clock.update();
  spare_memory::refill();
  collect(ready);
  connector_.serve();
  commands_.execute_all();
  departures_.serve();
  files_.take_loaded();
  transfer_.flush_all();
  commands_.return_executed();
  broadcaster_.spread(transfer_);
  migration_.search_idle();
  table_.take_returned();
  table_.free_closed();
  acceptor_.take_arrivals(kArrivalsPerTurn);
  acceptor_.serve();
  acceptor_.announce();
  watcher_.serve();
  transfer_.serve_ready();
  table_.timers.fire();
  if (table_.poller.trigger() == Trigger::kLevel) {
    for (const Readiness& one : ready) {
      Entry* entry = table_.find(slot_of(one.word), generation_of(one.word));
      if (entry != nullptr) table_.sync_interest(slot_of(one.word), *entry);
    }
  }
  files_.finish();
  table_.events.end_turn();
  table_.stats.queue_bytes = table_.pool.memory();
  table_.stats.relay_pipes = relays_.pipes().in_use();
  publish_stats(table_.stats, shared_stats_);
}

// Work that no edge and no wake-up will announce.
bool Loop::busy() const {
  return commands_.busy() || !table_.to_flush.empty() || !table_.bulk.empty() || table_.has_closed() ||
         migration_.busy() || broadcaster_.busy() || acceptor_.busy() || connector_.busy() ||
         (!table_.ready.empty() && !table_.events.starved()) || (watcher_.busy() && table_.events.filling() != nullptr);
}

int Loop::sleep_ms() {
  const int timer = table_.timers.next_ms();
  const int retry = departures_.any_waiting() ? kDepartRetryMs : acceptor_.next_retry_ms();
  if (timer < 0 || retry < 0) return std::max(timer, retry);
  return std::min(timer, retry);
}

std::span<const Readiness> Loop::wait() {
  Poller& poller = table_.poller;
  if (busy()) return poller.wait(0);
  if (table_.events.has_news()) {
    // Delayed at the end of the turn. Without more to add to it now, it goes out before the loop sleeps.
    const std::span<const Readiness> ready = poller.wait(0);
    if (!ready.empty()) return ready;
    table_.events.publish();
  }
  const bool wants_returns = table_.events.filling() == nullptr || table_.any_closing();
  const auto sleep = wants_returns ? Mailbox::Sleep::kForCommandsAndReturns : Mailbox::Sleep::kForCommands;
  // The wait above may have taken the edge of another thread's wake-up: what that announced is there by now.
  const bool may_sleep = mailbox_.io_may_sleep(sleep) && !files_.has_loaded() && table_.places.inbox().empty();
  const int timeout = may_sleep ? sleep_ms() : 0;
  const std::span<const Readiness> ready = poller.wait(timeout);
  mailbox_.io_awake();
  return ready;
}

void Loop::collect(std::span<const Readiness> ready) {
  for (const Readiness& one : ready) {
    const uint32_t slot = slot_of(one.word);
    if (generation_of(one.word) == 0) {
      acceptor_.mark_ready(slot);
      continue;
    }
    Entry* entry = table_.find(slot, generation_of(one.word));
    if (entry == nullptr) {
      if (one.word == WatchSet::kWord) watcher_.mark_ready();
      continue;
    }
    if (entry->has(Connection::kConnecting)) {
      connector_.on_ready(slot);
      // It may be gone, or there already be something to read.
      entry = table_.find(slot, generation_of(one.word));
      if (entry == nullptr) continue;
    }
    collect_connection(slot, *entry, one);
  }
}

void Loop::collect_connection(uint32_t slot, Entry& entry, const Readiness& ready) {
  if (ready.writable) entry.set(Connection::kWritable);
  if (ready.readable) entry.set(Connection::kReadable);
  if (ready.hangup || ready.priority) entry.set(Connection::kReadable | Connection::kHangup);
  if (ready.error) entry.set(Connection::kBroken);
  if (entry.has(Connection::kRelayed)) return table_.to_flush.push(slot);
  // A socket that was full has had its part of a turn before.
  if (ready.writable && !entry.out.empty()) {
    table_.bulk.push(slot);
  } else if (ready.writable && entry.has(Connection::kSynDeferred)) {
    table_.to_flush.push(slot);
  }
  if (entry.can_read()) {
    table_.ready.push(slot);
  } else if (ready.error) {
    table_.close_broken(slot, entry);
  }
}

void Loop::close_all() {
  files_.stop_workers();
  table_.places.inbox().close();
  acceptor_.close_all();
  table_.close_all();
  reservations_.drop_all(table_.pool);
  files_.close_all();
  relays_.close_all();
  file_table_.close();
  publish_stats(table_.stats, shared_stats_);
}

}  // namespace c1m
