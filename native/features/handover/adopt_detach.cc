#include "native/features/handover/adopt_detach.h"

#include <utility>

#include "native/net/socket.h"

namespace c1m {

void AdoptDetach::adopt(AdoptRequest& request) {
  request.full = !table_.places.try_claim();
  if (request.full) return;
  Result<Fd> brought = file_table_.bring(request.fd);
  if (!brought) {
    table_.places.give_back();
    request.error = brought.error();
    return;
  }
  Result<uint32_t> taken = table_.take(std::move(brought.value()), request.peer);
  if (!taken) {
    request.error = taken.error();
    return;
  }
  request.slot = taken.value();
  Entry& entry = table_.slots[request.slot];
  if (lingers(entry.fd.get())) entry.set(Connection::kLingers);
  table_.open(request.slot, request.connection);
  if (request.unread != nullptr) table_.read_first(request.slot, std::move(request.unread));
  ++table_.stats.adopted;
}

bool AdoptDetach::detach(DetachRequest& request) {
  Entry* entry = table_.find(request.slot, request.generation);
  request.closed = entry == nullptr;
  if (request.closed) return true;
  Result<Detached> left = take_out(request.slot, *entry);
  if (left) {
    request.detached = std::move(left.value());
  } else {
    request.error = left.error();
  }
  // unix(7): too many are in flight to the JS thread.
  const bool later = file_table_.is_own() && is_for_now(request.error.code);
  if (later) request.error = {};
  return !later;
}

Result<Detached> AdoptDetach::take_out(uint32_t slot, Entry& entry) {
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
  // The code that has the socket from now on knows nothing of it: small writes would wait 200 ms each for more to come.
  uncork(entry);
  left.fd = std::move(copy.value());
  left.unread = entry.take_unread();
  table_.work.spend_on_copy(entry.out);
  (void)entry.out.copy_to(left.unsent);
  // As far as this side is concerned it closes. The socket doesn't, because the copy keeps it open; nor is anything
  // read or written from here on.
  entry.unset(Connection::kLingers);
  table_.close(slot, entry, 0, Syscall::kRead);
  return left;
}

}  // namespace c1m
