#include "native/features/connect/connector.h"

#include <utility>

#include "native/base/clock.h"
#include "native/features/connect/connect_request.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Attempts started in one turn, and the time that they may take: some 50 at 20 µs each, as on loopback, where connect(2)
// carries the handshake out; two at 0.6 ms each, as when the kernel looks for a free port in vain.
constexpr uint32_t kConnectsPerTurn = 128;
constexpr uint64_t kConnectMicros = 1000;

}  // namespace

bool Connector::has_budget() const { return begun_ < kConnectsPerTurn && micros_ < kConnectMicros; }

bool Connector::start(ConnectRequest& request) {
  if (queue_.empty() && has_budget()) return begin(request);
  attempts_.emplace(request.connection.context, Attempt{&request, EntrySlab::kNone});
  queue_.push_back(request.connection.context);
  return false;
}

void Connector::serve() {
  begun_ = 0;
  micros_ = 0;
  while (!queue_.empty() && has_budget()) {
    const auto next = attempts_.find(queue_.front());
    queue_.pop_front();
    // Cancelled meanwhile; or its number is another's by now, which was started in its place.
    if (next == attempts_.end() || next->second.slot != EntrySlab::kNone) continue;
    ConnectRequest* request = next->second.request;
    attempts_.erase(next);
    if (begin(*request)) replies_.complete(request);
  }
  if (!queue_.empty()) return;
  for (Request* fence : std::exchange(fences_, {})) replies_.complete(fence);
}

bool Connector::pass(Request& fence) {
  if (!queue_.empty()) fences_.push_back(&fence);
  return queue_.empty();
}

bool Connector::begin(ConnectRequest& request) {
  ++begun_;
  const uint64_t from = monotonic_us();
  const bool over = attempt(request);
  micros_ += monotonic_us() - from;
  return over;
}

bool Connector::attempt(ConnectRequest& request) {
  request.full = !table_.places.try_claim();
  if (request.full) return true;
  ConnectOutcome outcome = start_connect(request.spec);
  request.failure = outcome.failure;
  if (!outcome.ok()) {
    table_.places.give_back();
    return true;
  }
  const Address& to = request.spec.address;
  Result<uint32_t> taken = table_.take(std::move(outcome.fd), PackedAddress::from(to.get(), to.length()));
  if (!taken) {
    request.failure.error = taken.error();
    return true;
  }
  const uint32_t slot = taken.value();
  if (outcome.connected) {
    if (request.spec.fast_open) table_.slots[slot].set(Connection::kSynDeferred);
    succeed(slot, request);
    return true;
  }
  Entry& entry = table_.slots[slot];
  entry.set(Connection::kConnecting);
  entry.context = request.connection.context;
  if (request.connect_timeout_ms > 0) table_.timers.set(slot, TimeoutKind::kIdle, request.connect_timeout_ms);
  attempts_.emplace(entry.context, Attempt{&request, slot});
  return false;
}

void Connector::succeed(uint32_t slot, const ConnectRequest& request) {
  table_.slots[slot].unset(Connection::kConnecting);
  table_.open(slot, request.connection);
  ++table_.stats.connected;
}

void Connector::on_ready(uint32_t slot) {
  const Entry& entry = table_.slots[slot];
  const Error error = pending_error(entry.fd.get());
  if (error) return fail(entry.context, error.code);
  if (is_connected_to_itself(entry.fd.get())) {
    // Reset, so that the port is free immediately for the server that is to have it.
    (void)reset_on_close(entry.fd.get());
    return fail(entry.context, ECONNREFUSED);
  }
  ConnectRequest* request = attempts_.extract(entry.context).mapped().request;
  succeed(slot, *request);
  replies_.complete(request);
}

void Connector::on_timeout(uint32_t slot) { fail(table_.slots[slot].context, ETIMEDOUT); }

void Connector::cancel(uint32_t context) {
  if (attempts_.contains(context)) fail(context, ECANCELED);
}

void Connector::fail(uint32_t context, int error) {
  const Attempt attempt = attempts_.extract(context).mapped();
  attempt.request->failure.error = Error{error, "connect"};
  // JavaScript never had a kOpen of this slot.
  if (attempt.slot != EntrySlab::kNone) table_.drop(attempt.slot);
  replies_.complete(attempt.request);
}

}  // namespace c1m
