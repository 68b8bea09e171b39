#include "native/loop/loop.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "native/base/clock.h"
#include "native/mem/spare_memory.h"
#include "native/net/options.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Records with which a batch is handed over although more may be ready: about 0.2 ms of system calls for the I/O thread,
// while the JS thread would sleep.
constexpr uint32_t kEnoughRecords = 64;
// Connections taken over from another I/O thread's acceptor in one turn, as many as that accepts in one.
constexpr size_t kArrivalsPerTurn = 256;
// What close(2) may take in one turn: some 100 calls at 5 µs each.
constexpr uint32_t kFreeMicros = 500;
constexpr uint32_t kFreesPerLook = 8;
// Nobody tells when the JS thread has taken some of the hundreds of sockets out that it has been handed.
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
    if (!loop->local_addresses_->ok()) return Error{ENOMEM, "calloc"};
    const Result<void> opened = loop->watcher().set().open(loop->poller());
    if (!opened) return opened.error();
  }
  return loop;
}

Loop::Loop(Poller poller, const LoopOptions& options, Mailbox& mailbox, JsWaker waker)
    : poller_(std::move(poller)),
      mailbox_(mailbox),
      waker_(waker),
      flushed_(options.flushed),
      shared_stats_(options.stats),
      quota_(options.connections, options.max_connections),
      shares_quota_(options.shares_quota),
      inbox_(std::make_shared<Inbox>(poller_)),
      entries_(options.max_connections),
      local_addresses_(options.own_file_table ? std::make_unique<LocalAddresses>(options.max_connections) : nullptr),
      ready_(entries_),
      flush_(entries_),
      bulk_(entries_),
      wheel_(TimerOf{&entries_}),
      relays_(pool_),
      file_workers_(poller_, options.file_threads),
      start_ms_(monotonic_ms()),
      now_ms_(start_ms_) {
  spare_memory::refill();
}

Result<void> Loop::own_file_table(int passage, int waker) {
  std::vector<int> kept = poller_.descriptors();
  for (const int fd : watcher_.set().descriptors()) kept.push_back(fd);
  kept.push_back(passage);
  if (waker >= 0) kept.push_back(waker);
  const Result<void> owned = file_table_.own(kept, passage);
  return owned ? poller_.add_waker(passage) : owned;
}

void Loop::run() {
  while (!mailbox_.stop_requested()) turn();
  close_all();
}

void Loop::turn() {
  const std::span<const Readiness> ready = wait();
  ++stats_.turns;
  update_clock();
  spare_memory::refill();
  collect(ready);
  connector_.serve(*this);
  execute_commands();
  hand_out_departing();
  take_loaded();
  flush_all();
  return_commands();
  spread();
  search_idle();
  take_returned();
  free_closed();
  acceptor_.take_arrivals(*this, kArrivalsPerTurn);
  acceptor_.serve(*this, now_ms_);
  acceptor_.announce(*this);
  watcher_.serve(*this);
  serve_ready();
  fire_timers();
  if (poller_.trigger() == Trigger::kLevel) {
    for (const Readiness& one : ready) {
      Entry* entry = find(slot_of(one.word), generation_of(one.word));
      if (entry != nullptr) settle(slot_of(one.word), *entry);
    }
  }
  finish_files();
  // A shorter one goes on filling for a turn: more may be ready by now, and wait() publishes before it sleeps. For one
  // only, as a loop that is busy with others comes to no sleep. So does a longer one while JS has an untouched batch to
  // go on with. Load makes batches longer, and wake-ups rarer.
  const bool crowded = std::exchange(crowded_, false);
  if (has_news() && (crowded || mailbox_.events.empty())) {
    if (crowded || held_back_ || filling_->count() >= kEnoughRecords) {
      publish();
    } else {
      held_back_ = true;
    }
  }
  if (std::exchange(answered_, false)) wake_js();
  stats_.queue_bytes = pool_.held();
  stats_.relay_pipes = relays_.pipes().in_use();
  publish_stats(stats_, shared_stats_);
}

// Work that no edge and no wake-up will announce.
bool Loop::busy() const {
  return executing_ != nullptr || has_remote_before(last_batch_ + 1) || !flush_.empty() || !bulk_.empty() ||
         !closed_.empty() || !moves_.searching.empty() || !broadcasts_.empty() || acceptor_.busy() ||
         connector_.busy() || (!ready_.empty() && !starved_) || (watcher_.busy() && filling_ != nullptr);
}

bool Loop::has_news() const {
  return filling_ != nullptr && (filling_->count() > 0 || !completed_.empty() || pool_.has_released());
}

int Loop::sleep_ms() {
  const int timer = wheel_.next_ms(now_tick_);
  const int retry = !departing_.empty() ? kDepartRetryMs : acceptor_.next_retry_ms(*this, now_ms_);
  if (timer < 0 || retry < 0) return std::max(timer, retry);
  return std::min(timer, retry);
}

std::span<const Readiness> Loop::wait() {
  if (busy()) return poller_.wait(0);
  if (has_news()) {
    // Held back at the end of the turn. Without more to add to it now, it goes out before we sleep.
    const std::span<const Readiness> ready = poller_.wait(0);
    if (!ready.empty()) return ready;
    publish();
  }
  const bool wants_returns = filling_ == nullptr || closing_ > 0;
  const auto sleep = wants_returns ? Mailbox::Sleep::kForCommandsAndReturns : Mailbox::Sleep::kForCommands;
  // The wait above may have taken the edge of another thread's wake-up: what that announced is there by now.
  const bool may_sleep = mailbox_.io_may_sleep(sleep) && !file_workers_.has_done() && inbox_->empty();
  const int timeout = may_sleep ? sleep_ms() : 0;
  const std::span<const Readiness> ready = poller_.wait(timeout);
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
    Entry* entry = find(slot, generation_of(one.word));
    if (entry == nullptr) {
      if (one.word == WatchSet::kWord) watcher_.mark_ready();
      continue;
    }
    if (entry->has(Connection::kConnecting)) {
      connector_.on_ready(*this, slot);
      // It may be gone, or there already be something to read.
      entry = find(slot, generation_of(one.word));
      if (entry == nullptr) continue;
    }
    if (one.writable) entry->set(Connection::kWritable);
    if (one.readable) entry->set(Connection::kReadable);
    if (one.hangup || one.priority) entry->set(Connection::kReadable | Connection::kHangup);
    if (one.error) entry->set(Connection::kBroken);
    if (entry->has(Connection::kRelayed)) {
      flush_.push(slot);
      continue;
    }
    // A socket that was full has had its part of a turn before.
    if (one.writable && !entry->out.empty()) {
      bulk_.push(slot);
    } else if (one.writable && entry->has(Connection::kSynDeferred)) {
      flush_.push(slot);
    }
    if (entry->can_read()) {
      ready_.push(slot);
    } else if (one.error) {
      close_broken(slot, *entry);
    }
  }
}

void Loop::take_returned() {
  EventBatch* batch = mailbox_.returned.take();
  while (batch != nullptr) {
    EventBatch* next = batch->next;
    closed_.insert(closed_.end(), batch->closed.begin(), batch->closed.end());
    batch->reset();
    batch->next = spare_;
    spare_ = batch;
    batch = next;
    starved_ = false;
  }
  if (filling_ == nullptr && spare_ != nullptr) {
    filling_ = spare_;
    spare_ = spare_->next;
  }
}

// Those whose kClose JavaScript has handed back, of which a batch may have had thousands.
void Loop::free_closed() {
  if (closed_.empty()) return;
  TimeBudget time(kFreeMicros, kFreesPerLook);
  time.begin();
  for (size_t left = closed_.size(); left > 0; --left) {
    const uint32_t slot = closed_.front();
    closed_.pop_front();
    if (entries_[slot].has(kToSend)) {
      // That list has yet to come to it.
      closed_.push_back(slot);
    } else {
      free_slot(slot);
    }
    if (time.spent()) return;
  }
}

void Loop::free_slot(uint32_t slot) {
  const bool elsewhere = entries_[slot].has(Connection::kLeft);
  set_framing(entries_[slot], nullptr);
  // Closes the descriptor with it.
  release(slot);
  --closing_;
  if (!elsewhere) ++stats_.closed;
}

void Loop::open_inbox() {
  if (inbox_->empty()) return;
  Inbox::Contents contents = inbox_->take();
  acceptor_.arrived(contents.arrivals);
  std::move(contents.writes.begin(), contents.writes.end(), std::back_inserter(remote_writes_));
}

void Loop::release(uint32_t slot) {
  entries_.release(slot);
  unclaim();
}

// Hands the batch over. What completed since rides along.
void Loop::publish() {
  finish_files();
  std::swap(filling_->completed, completed_);
  std::swap(filling_->released, pool_.released());
  ++stats_.batches;
  held_back_ = false;
  mailbox_.events.push(filling_);
  filling_ = spare_;
  if (spare_ != nullptr) spare_ = spare_->next;
  wake_js();
}

// There is something for JavaScript in the mailbox.
void Loop::wake_js() {
  if (!mailbox_.must_wake_js()) return;
  ++stats_.js_wakeups;
  waker_.wake(waker_.context);
}

// A batch is full: on to the next. False if there is none.
bool Loop::rotate() {
  if (filling_ != nullptr) publish();
  return filling_ != nullptr;
}

bool Loop::emit(Event event, uint32_t argument, uint32_t slot, uint32_t a, uint32_t b) {
  if ((filling_ == nullptr || !filling_->has_record()) && !rotate()) return false;
  filling_->append(event, argument, slot, a, b);
  return true;
}

Result<uint32_t> Loop::take(Fd fd, const PackedAddress& peer) {
  const uint32_t slot = entries_.allocate();
  if (slot == EntrySlab::kNone) {
    unclaim();
    return Error{ENOMEM, "socket"};
  }
  const Result<void> added = poller_.add(fd.get(), word_of(slot));
  if (!added) {
    release(slot);
    return added.error();
  }
  Entry& entry = entries_[slot];
  entry.fd = std::move(fd);
  entry.peer = peer;
  entry.interest = Interest::kAll;
  if (local_addresses_ != nullptr) local_addresses_->note(slot, entry.fd.get());
  return slot;
}

void Loop::drop(uint32_t slot) {
  poller_.remove(entries_[slot].fd.get());
  wheel_.cancel(slot);
  release(slot);
}

void Loop::open(uint32_t slot, const ConnectionSettings& settings) {
  Entry& entry = entries_[slot];
  entry.context = settings.context;
  // A fresh socket's send buffer is empty. What there is to read, the first edge will say.
  entry.set(Connection::kWritable);
  if (settings.borrowed) entry.set(Connection::kBorrowed);
  if (settings.paused) entry.set(Connection::kPaused);
  if (settings.framing != nullptr) set_framing(entry, settings.framing.get());
  std::atomic_ref<uint32_t>(flushed_[slot]).store(0, std::memory_order_relaxed);
  set_timeout(slot, TimeoutKind::kIdle, settings.idle_timeout_ms);
  if (settings.read_timeout_ms > 0) set_timeout(slot, TimeoutKind::kRead, settings.read_timeout_ms);
  if (settings.write_timeout_ms > 0) set_timeout(slot, TimeoutKind::kWrite, settings.write_timeout_ms);
  if (settings.total_timeout_ms > 0) set_timeout(slot, TimeoutKind::kTotal, settings.total_timeout_ms);
  if (!emit(Event::kOpen, settings.context, slot, entries_.generation(slot), 0)) {
    entry.set(Connection::kOpenDue);
    ready_.push(slot);
    starved_ = true;
  }
}

int Loop::admit(Fd fd, const PackedAddress& peer, const Listening& listening) {
  const int descriptor = fd.get();
  Result<uint32_t> slot = take(std::move(fd), peer);
  if (!slot) return slot.error().code;
  // What these options can't do for one connection they could not do for the listener either, which reported it.
  if (!listening.after_accept.empty()) (void)set_options(descriptor, listening.after_accept);
  ++stats_.accepted;
  open(slot.value(), listening.connections);
  return 0;
}

Address Loop::local_address(uint32_t slot) {
  if (local_addresses_ != nullptr) return local_addresses_->of(slot);
  Result<Address> address = Address::local_of(entries_[slot].fd.get());
  return address ? address.value() : Address();
}

void Loop::complete(Request* request) { answer(std::move(waiting_.extract(request).mapped())); }

Entry* Loop::find(uint32_t slot, uint32_t generation) {
  Entry* entry = entries_.find(slot, generation);
  return entry == nullptr || !entry->fd.valid() || entry->has(Connection::kClosing) ? nullptr : entry;
}

void Loop::schedule(uint32_t slot) { flush_.push(slot); }

void Loop::update_clock() {
  now_ms_ = monotonic_ms();
  now_tick_ = static_cast<uint32_t>((now_ms_ - start_ms_) / Wheel::kTickMs);
}

void Loop::close_all() {
  file_workers_.stop();
  inbox_->close();
  acceptor_.close_all();
  for (uint32_t slot = 0; slot < entries_.used(); ++slot) {
    Entry& entry = entries_[slot];
    dont_linger(entry);
    if (entry.fd.valid()) cut(entry);
    entry.out.clear(pool_);
    entry.fd.reset();
  }
  moves_.drop_all(pool_);
  // Those that are queued no longer have their requests' answers to wait for.
  for (OutboundFile* file : pool_.finished()) file->fd.reset();
  relays_.close_all();
  file_table_.close();
  publish_stats(stats_, shared_stats_);
}

}  // namespace c1m
