// Sockets that come from elsewhere, and go there.
#include "native/features/handover/handover.h"

#include "native/loop/loop.h"
#include "native/net/socket.h"

namespace c1m {

bool AdoptRequest::run(Loop& loop) {
  full = !loop.try_claim();
  if (full) return true;
  Result<Fd> ours = loop.file_table().bring(fd);
  if (!ours) {
    loop.unclaim();
    error = ours.error();
    return true;
  }
  const Result<uint32_t> taken = loop.take(std::move(ours.value()), peer);
  if (!taken) {
    error = taken.error();
    return true;
  }
  slot = Result<uint32_t>(taken).value();
  Entry& entry = loop.entry(slot);
  if (lingers(entry.fd.get())) entry.set(Connection::kLingers);
  loop.open(slot, connection);
  if (unread != nullptr) loop.read_first(slot, std::move(unread));
  ++loop.stats().adopted;
  return true;
}

bool DepartRequest::run(Loop& loop) { return loop.depart(*this); }

bool DetachRequest::attempt(Loop& loop) {
  Entry* entry = loop.find(slot, generation);
  closed = entry == nullptr;
  if (closed) return true;
  Result<Detached> left = loop.detach(slot, *entry);
  if (left) {
    detached = std::move(left.value());
  } else {
    error = left.error();
  }
  // unix(7): so many are under way to the JS thread.
  const bool later = loop.file_table().is_own() && is_for_now(error.code);
  if (later) error = {};
  return !later;
}

bool Loop::depart(DepartRequest& request) {
  if (departing_.empty() && request.attempt(*this)) return true;
  departing_.push_back(&request);
  return false;
}

// In order: so they come out of the passage.
void Loop::hand_out_departing() {
  while (!departing_.empty() && departing_.front()->attempt(*this)) {
    complete(departing_.front());
    departing_.pop_front();
  }
}

Result<Detached> Loop::detach(uint32_t slot, Entry& entry) {
  // It is about to close with this error, and has lost its queue: there is nothing to hand over.
  if (entry.has(Connection::kWriteFailed)) return Error{entry.error, "write"};
  // Part of the other side's bytes are in a pipe. JavaScript refuses it before.
  if (entry.has(Connection::kRelayed)) return Error{EBUSY, "fcntl"};
  // node:net has no queue that a file could stand in.
  if (entry.out.first_file() != nullptr) return Error{EBUSY, "sendfile"};
  // Before anything happens: from there on nothing fails.
  Detached left;
  if (!left.unsent.make_room(entry.out.bytes())) return Error{ENOMEM, "malloc"};
  Result<Fd> copy = file_table_.hand_out(entry.fd.get());
  if (!copy) return copy.error();
  // Whoever has the socket now knows nothing of it: small writes would wait 200 ms each for more to come.
  uncork(entry);
  left.fd = std::move(copy.value());
  left.unread = take_unread(entry);
  spend_on_copy(entry.out);
  (void)entry.out.copy_to(left.unsent);
  // As far as this side is concerned it closes. The socket doesn't, as the copy holds it; nor is anything read or written
  // from here on.
  entry.unset(Connection::kLingers);
  close(slot, entry, 0, Syscall::kRead);
  return left;
}

}  // namespace c1m
