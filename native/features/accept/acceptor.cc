#include "native/features/accept/acceptor.h"

#include <fcntl.h>

#include <algorithm>

#include "native/features/accept/listen_request.h"
#include "native/mem/spare_memory.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Connections taken from one listener in one turn; and the time that all listeners' take, some 50 of them at 10 µs each: a
// storm of connections does not keep the established ones waiting for longer than that.
constexpr int kAcceptsPerTurn = 256;
constexpr uint32_t kAcceptMicros = 500;
constexpr uint32_t kAcceptsPerLook = 8;
constexpr uint32_t kFirstBackoffMs = 10;
constexpr uint32_t kLastBackoffMs = 1000;
// At the maximum, where other loops may make room, without a wake-up for this one.
constexpr int kFullRetryMs = 10;
// With a connection that its loop can't take now: that is at work on some hundred others.
constexpr int kHandOverRetryMs = 1;

Fd open_reserve() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

// accept(2): errors of the one connection that is gone, or of its network; the next one may be well.
bool concerns_one_connection(int error) {
  switch (error) {
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
      return true;
    default:
      return false;
  }
}

}  // namespace

void Acceptor::listen(ListenRequest& request) {
  Listening listening;
  if (request.accepts && !request.open(file_table_, listening)) return;
  listening.connections = request.connections;
  listening.after_accept = settings_after_accept(request.spec);
  const Result<void> added = add(std::move(listening));
  if (!added) request.failure = OptionFailure{added.error(), {}};
}

Result<void> Acceptor::add(Listening listening) {
  const uint32_t index = listening.connections.context;
  if (!reserve_.valid()) reserve_ = open_reserve();
  if (!listening.fd.valid()) {
    listeners_.emplace(index, std::move(listening));
    return {};
  }
  Result<void> added = table_.poller.add_listener(listening.fd.get(), index);
  if (!added) {
    (void)listening.file.remove();
    return added;
  }
  set_ready(listeners_.emplace(index, std::move(listening)).first->second, true);
  return {};
}

bool Acceptor::close(CloseListenerRequest& request) {
  const auto found = listeners_.find(request.index);
  if (found == listeners_.end()) return true;
  Listening& listening = found->second;
  listening.closing = &request;
  listening.queued = listening.fd.valid() ? queued_connections(listening.fd.get()) : 0;
  if (listening.queued > 0) set_ready(listening, true);
  if (drains(listening)) {
    ++closing_;
    return false;
  }
  request.accepted = remove(found);
  return true;
}

// It has something to take, or to hand over, before it closes.
bool Acceptor::drains(const Listening& listening) const {
  if (outgoing_ && outgoing_->arrival.listener == listening.connections.context) return true;
  return listening.ready && !listening.paused && listening.queued > 0;
}

void Acceptor::close_drained() {
  for (auto at = listeners_.begin(); closing_ > 0 && at != listeners_.end();) {
    const auto found = at++;
    CloseListenerRequest* request = found->second.closing;
    if (request == nullptr || drains(found->second)) continue;
    --closing_;
    request->accepted = remove(found);
    replies_.complete(request);
  }
}

uint32_t Acceptor::remove(std::map<uint32_t, Listening>::iterator found) {
  // The loop that accepted them has stopped before.
  take_arrivals(kAllArrivals);
  Listening& listening = found->second;
  set_ready(listening, false);
  if (listening.paused) --paused_;
  if (listening.fd.valid()) table_.poller.remove(listening.fd.get());
  (void)listening.file.remove();
  const uint32_t accepted = listening.accepted;
  listeners_.erase(found);
  return accepted;
}

void Acceptor::set_ready(Listening& listening, bool ready) {
  if (listening.ready == ready) return;
  listening.ready = ready;
  if (!listening.paused) ready_ += ready ? 1 : UINT32_MAX;
}

void Acceptor::mark_ready(uint32_t index) {
  const auto found = listeners_.find(index);
  if (found != listeners_.end()) set_ready(found->second, true);
}

void Acceptor::serve() {
  accept_all();
  if (closing_ > 0) close_drained();
}

void Acceptor::accept_all() {
  if (paused_ > 0) {
    for (auto& [index, listening] : listeners_) {
      if (!listening.paused) continue;
      const bool full = listening.saturated_errno == 0;
      if (full ? table_.places.quota().has_room_again() : table_.clock.ms() >= listening.retry_at_ms) resume(listening);
    }
  }
  if (outgoing_) hand_over();
  if (ready_ == 0) return;
  TimeBudget time(kAcceptMicros, kAcceptsPerLook);
  time.begin();
  // Begins behind the listener that used up the last turn's time: none is kept waiting by another.
  auto at = listeners_.upper_bound(last_served_);
  for (size_t left = listeners_.size(); left > 0; --left, ++at) {
    if (at == listeners_.end()) at = listeners_.begin();
    Listening& listening = at->second;
    if (!listening.ready || listening.paused || listening.is_through() || outgoing_) continue;
    last_served_ = at->first;
    if (!accept_some(listening, time)) return;
  }
}

// False if the turn's time has run out.
bool Acceptor::accept_some(Listening& listening, TimeBudget& time) {
  // Connections are what takes memory, and what one can do without.
  if (!spare_memory::is_there()) {
    saturate(listening, ENOMEM);
    return true;
  }
  int failed = 0;
  bool brought = false;
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (table_.places.quota().full()) {
      saturate(listening, 0);
      return true;
    }
    sockaddr_storage peer;
    socklen_t length;
    Result<Fd> accepted = accept_connection(listening.fd.get(), &peer, &length);
    int error = accepted ? 0 : accepted.error().code;
    if (accepted) {
      const PackedAddress from = PackedAddress::from(reinterpret_cast<const sockaddr*>(&peer), length);
      error = assign(listening, std::move(accepted.value()), from);
    }
    if (error == 0) {
      brought = true;
      if (listening.closing != nullptr && --listening.queued == 0) return true;
      // The others wait in the kernel's queue.
      if (outgoing_) return true;
      if (time.spent()) return false;
      continue;
    }
    if (error == EAGAIN) {
      // Only an empty queue ends a phase of saturation: a single descriptor that came free does not.
      listening.backoff_ms = 0;
      // Someone else may have taken the number while shed() was at work.
      if (!reserve_.valid()) reserve_ = open_reserve();
      set_ready(listening, false);
      return true;
    }
    ++table_.stats.accept_errors;
    // A whole turn of those is a firewall or a sandbox that lets nothing through: to continue would be to spin.
    if (concerns_one_connection(error) && ++failed < kAcceptsPerTurn) continue;
    if (error == EMFILE || error == ENFILE) shed(listening);
    // Accepting continues, if haltingly: clients that wait in the queue must not wait for longer each time.
    if (brought) listening.backoff_ms = std::min(listening.backoff_ms, kFirstBackoffMs / 2);
    saturate(listening, error);
    return true;
  }
  return true;
}

// 0, or the errno of why it can't be taken here.
int Acceptor::assign(Listening& listening, Fd fd, const PackedAddress& peer) {
  if (!listening.spread.alone()) {
    const size_t chosen = listening.spread.choose(peer);
    if (&listening.spread.inbox(chosen) != &table_.places.inbox()) {
      table_.places.quota().take();
      outgoing_.emplace(Outgoing{Arrival{std::move(fd), peer, listening.connections.context}, chosen});
      hand_over();
      return 0;
    }
  }
  table_.places.claim();
  const int error = admit(std::move(fd), peer, listening);
  if (error == 0) ++listening.accepted;
  return error;
}

// Takes a fresh connection, for which a place has been claimed: it is given back if the connection can't be taken. 0, or the
// errno of why.
int Acceptor::admit(Fd fd, const PackedAddress& peer, const Listening& listening) {
  const int descriptor = fd.get();
  Result<uint32_t> slot = table_.take(std::move(fd), peer);
  if (!slot) return slot.error().code;
  // What these options can't do for one connection they could not do for the listener either, which reported it.
  if (!listening.after_accept.empty()) (void)set_options(descriptor, listening.after_accept);
  ++table_.stats.accepted;
  table_.open(slot.value(), listening.connections);
  return 0;
}

// It stays in outgoing_ if its loop can't be reached at the moment.
void Acceptor::hand_over() {
  Spread& spread = listeners_.find(outgoing_->arrival.listener)->second.spread;
  const Inbox::Push pushed = spread.inbox(outgoing_->loop).push(outgoing_->arrival, spread.passage(outgoing_->loop));
  if (pushed == Inbox::Push::kNotNow) return;
  // Refused by a loop that has ended, as in the end all will: its connections go with it.
  if (pushed == Inbox::Push::kOver) table_.places.quota().give_back();
  outgoing_.reset();
}

// For lack of descriptors, in a file table that isn't the acceptor's, or of memory. One event for each time that it begins.
void Acceptor::reject(Listening& listening, int error) {
  ++table_.stats.accept_errors;
  ++table_.stats.shed;
  if (table_.clock.ms() >= listening.retry_at_ms) {
    ++table_.stats.saturations;
    listening.saturated_errno = error;
    listening.saturated_due = announcing_ = true;
  }
  listening.retry_at_ms = table_.clock.ms() + kLastBackoffMs;
}

void Acceptor::take_arrivals(size_t max) {
  table_.places.inbox().take_arrivals(arrivals_);
  for (; max > 0 && !arrivals_.empty(); --max) {
    Arrival arrival = std::move(arrivals_.front());
    arrivals_.pop_front();
    const auto found = listeners_.find(arrival.listener);
    int error = 0;
    if (!arrival.fd.valid()) {
      Result<Fd> received = file_table_.receive();
      if (received) {
        arrival.fd = std::move(received.value());
      } else {
        error = received.error().code;
      }
    }
    // Every listener is open on the loops that take for it before the one that accepts hands over, and closes there after
    // it. Should one be missing all the same, its connection goes as those in the kernel's queue do.
    if (found == listeners_.end() || error != 0) {
      table_.places.give_back();
      if (found != listeners_.end()) reject(found->second, error);
      continue;
    }
    error = admit(std::move(arrival.fd), arrival.peer, found->second);
    if (error == 0) {
      ++found->second.accepted;
    } else {
      reject(found->second, error);
    }
  }
}

void Acceptor::saturate(Listening& listening, int error) {
  // A retry that fails again is the same phase: no second event.
  if (listening.backoff_ms == 0) {
    ++table_.stats.saturations;
    listening.saturated_due = announcing_ = true;
  }
  listening.saturated_errno = error;
  if (error != 0) {
    listening.backoff_ms = std::clamp(listening.backoff_ms * 2, kFirstBackoffMs, kLastBackoffMs);
    listening.retry_at_ms = table_.clock.ms() + listening.backoff_ms;
  }
  --ready_;
  ++paused_;
  listening.paused = true;
  if (table_.poller.trigger() == Trigger::kLevel)
    table_.poller.rearm(listening.fd.get(), listening.connections.context, 0);
}

void Acceptor::resume(Listening& listening) {
  --paused_;
  listening.paused = false;
  // No edge comes for what has been waiting in the queue.
  listening.ready = true;
  ++ready_;
  if (table_.poller.trigger() == Trigger::kLevel) {
    table_.poller.rearm(listening.fd.get(), listening.connections.context, Interest::kRead);
  }
}

void Acceptor::shed(Listening& listening) {
  reserve_.reset();
  sockaddr_storage peer;
  socklen_t length;
  if (accept_connection(listening.fd.get(), &peer, &length)) ++table_.stats.shed;
  reserve_ = open_reserve();
}

void Acceptor::announce() {
  if (!announcing_) return;
  for (auto& [index, listening] : listeners_) {
    if (!listening.saturated_due) continue;
    if (!table_.events.emit(Event::kSaturated, index, 0, static_cast<uint32_t>(listening.saturated_errno), 0)) return;
    listening.saturated_due = false;
  }
  announcing_ = false;
}

int Acceptor::next_retry_ms() const {
  const uint64_t now_ms = table_.clock.ms();
  int min_ms = outgoing_ ? kHandOverRetryMs : -1;
  if (paused_ == 0) return min_ms;
  for (const auto& [index, listening] : listeners_) {
    if (!listening.paused) continue;
    int left = listening.retry_at_ms > now_ms ? static_cast<int>(listening.retry_at_ms - now_ms) : 0;
    if (listening.saturated_errno == 0) {
      // An attempt to connect may give its slot back after serve(), by its timer.
      if (table_.places.quota().has_room_again()) return 0;
      if (!table_.places.shared()) continue;
      left = kFullRetryMs;
    }
    if (min_ms < 0 || left < min_ms) min_ms = left;
  }
  return min_ms;
}

void Acceptor::close_all() {
  for (auto& [index, listening] : listeners_) (void)listening.file.remove();
  listeners_.clear();
  arrivals_.clear();
  outgoing_.reset();
  reserve_.reset();
}

}  // namespace c1m
