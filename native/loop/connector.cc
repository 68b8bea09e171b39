#include "native/loop/connector.h"

#include "native/loop/loop.h"
#include "native/loop/requests.h"
#include "native/net/socket.h"

namespace c1m {

bool Connector::start(Loop& loop, ConnectRequest& request) {
  ConnectOutcome outcome = start_connect(request.spec);
  request.failure = outcome.failure;
  if (!outcome.ok()) return true;
  const Address& to = request.spec.address;
  const Result<uint32_t> taken = loop.take(std::move(outcome.fd), PackedAddress::from(to.get(), to.length()));
  if (!taken) {
    request.failure.error = taken.error();
    return true;
  }
  const uint32_t slot = Result<uint32_t>(taken).value();
  if (outcome.connected) {
    succeed(loop, slot, request);
    return true;
  }
  loop.entry(slot).set(Connection::kConnecting);
  if (request.connect_timeout_ms > 0) loop.set_timeout(slot, request.connect_timeout_ms);
  attempts_.emplace(slot, &request);
  return false;
}

void Connector::succeed(Loop& loop, uint32_t slot, const ConnectRequest& request) {
  loop.entry(slot).unset(Connection::kConnecting);
  loop.open(slot, request.connection);
  ++loop.stats().connected;
}

void Connector::on_ready(Loop& loop, uint32_t slot) {
  const Error error = pending_error(loop.entry(slot).fd.get());
  if (error) return fail(loop, slot, error.code);
  ConnectRequest* request = attempts_.extract(slot).mapped();
  succeed(loop, slot, *request);
  loop.complete(request);
}

void Connector::on_timeout(Loop& loop, uint32_t slot) { fail(loop, slot, ETIMEDOUT); }

void Connector::cancel(Loop& loop, uint32_t context) {
  for (const auto& [slot, request] : attempts_) {
    if (request->connection.context == context) return fail(loop, slot, ECANCELED);
  }
}

void Connector::fail(Loop& loop, uint32_t slot, int error) {
  ConnectRequest* request = attempts_.extract(slot).mapped();
  request->failure.error = Error{error, "connect"};
  // JavaScript has never heard of this slot.
  loop.drop(slot);
  loop.complete(request);
}

}  // namespace c1m
