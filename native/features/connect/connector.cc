#include "native/features/connect/connector.h"

#include <utility>

#include "native/base/clock.h"
#include "native/loop/loop.h"
#include "native/loop/requests.h"
#include "native/net/socket.h"

namespace c1m {

namespace {

// Attempts started in one turn, and the time that they may take: some 50 at 20 µs each, as on loopback, where connect(2)
// carries the handshake out; two at 0.6 ms each, as when the kernel looks for a free port in vain.
constexpr uint32_t kConnectsPerTurn = 128;
constexpr uint64_t kConnectMicros = 1000;

}  // namespace

bool Connector::has_budget() const { return begun_ < kConnectsPerTurn && micros_ < kConnectMicros; }

bool Connector::start(Loop& loop, ConnectRequest& request) {
  if (queue_.empty() && has_budget()) return begin(loop, request);
  attempts_.emplace(request.connection.context, Attempt{&request, EntrySlab::kNone});
  queue_.push_back(request.connection.context);
  return false;
}

void Connector::serve(Loop& loop) {
  begun_ = 0;
  micros_ = 0;
  while (!queue_.empty() && has_budget()) {
    const auto next = attempts_.find(queue_.front());
    queue_.pop_front();
    // Given up meanwhile; or its number is another's by now, which was started in its place.
    if (next == attempts_.end() || next->second.slot != EntrySlab::kNone) continue;
    ConnectRequest* request = next->second.request;
    attempts_.erase(next);
    if (begin(loop, *request)) loop.complete(request);
  }
  if (!queue_.empty()) return;
  for (Request* fence : std::exchange(fences_, {})) loop.complete(fence);
}

bool Connector::pass(Request& fence) {
  if (!queue_.empty()) fences_.push_back(&fence);
  return queue_.empty();
}

bool Connector::begin(Loop& loop, ConnectRequest& request) {
  ++begun_;
  const uint64_t from = monotonic_us();
  const bool over = attempt(loop, request);
  micros_ += monotonic_us() - from;
  return over;
}

bool Connector::attempt(Loop& loop, ConnectRequest& request) {
  request.full = !loop.try_claim();
  if (request.full) return true;
  ConnectOutcome outcome = start_connect(request.spec);
  request.failure = outcome.failure;
  if (!outcome.ok()) {
    loop.unclaim();
    return true;
  }
  const Address& to = request.spec.address;
  Result<uint32_t> taken = loop.take(std::move(outcome.fd), PackedAddress::from(to.get(), to.length()));
  if (!taken) {
    request.failure.error = taken.error();
    return true;
  }
  const uint32_t slot = taken.value();
  if (outcome.connected) {
    if (request.spec.fast_open) loop.entry(slot).set(Connection::kSynDeferred);
    succeed(loop, slot, request);
    return true;
  }
  Entry& entry = loop.entry(slot);
  entry.set(Connection::kConnecting);
  entry.context = request.connection.context;
  if (request.connect_timeout_ms > 0) loop.set_timeout(slot, TimeoutKind::kIdle, request.connect_timeout_ms);
  attempts_.emplace(entry.context, Attempt{&request, slot});
  return false;
}

void Connector::succeed(Loop& loop, uint32_t slot, const ConnectRequest& request) {
  loop.entry(slot).unset(Connection::kConnecting);
  loop.open(slot, request.connection);
  ++loop.stats().connected;
}

void Connector::on_ready(Loop& loop, uint32_t slot) {
  const Entry& entry = loop.entry(slot);
  const Error error = pending_error(entry.fd.get());
  if (error) return fail(loop, entry.context, error.code);
  if (is_connected_to_itself(entry.fd.get())) {
    // Reset, so that the port is free at once for the server that is to have it.
    (void)reset_on_close(entry.fd.get());
    return fail(loop, entry.context, ECONNREFUSED);
  }
  ConnectRequest* request = attempts_.extract(entry.context).mapped().request;
  succeed(loop, slot, *request);
  loop.complete(request);
}

void Connector::on_timeout(Loop& loop, uint32_t slot) { fail(loop, loop.entry(slot).context, ETIMEDOUT); }

void Connector::cancel(Loop& loop, uint32_t context) {
  if (attempts_.contains(context)) fail(loop, context, ECANCELED);
}

void Connector::fail(Loop& loop, uint32_t context, int error) {
  const Attempt attempt = attempts_.extract(context).mapped();
  attempt.request->failure.error = Error{error, "connect"};
  // JavaScript has never heard of this slot.
  if (attempt.slot != EntrySlab::kNone) loop.drop(attempt.slot);
  loop.complete(attempt.request);
}

}  // namespace c1m
