// How each kind of request runs: on the feature that it is for.
#include <utility>

#include "native/features/accept/listen_request.h"
#include "native/features/connect/connect_request.h"
#include "native/features/files/send_file_request.h"
#include "native/features/frames/reframe_request.h"
#include "native/features/groups/broadcast_request.h"
#include "native/features/handover/adopt_detach.h"
#include "native/features/handover/migration.h"
#include "native/features/relay/relay_request.h"
#include "native/features/socket/socket_requests.h"
#include "native/loop/loop.h"

namespace c1m {

bool FenceRequest::run(Loop& loop) { return loop.connector().pass(*this); }

bool ListenRequest::run(Loop& loop) {
  loop.acceptor().listen(*this);
  return true;
}

bool CloseListenerRequest::run(Loop& loop) { return loop.acceptor().close(*this); }

bool ConnectRequest::run(Loop& loop) { return loop.connector().start(*this); }

bool CancelConnectRequest::run(Loop& loop) {
  loop.connector().cancel(context);
  return true;
}

bool AdoptRequest::run(Loop& loop) {
  loop.adopt_detach().adopt(*this);
  return true;
}

bool DepartRequest::run(Loop& loop) { return loop.departures().depart(*this); }

bool ReserveRequest::run(Loop& loop) {
  loop.migration().reserve(*this);
  return true;
}

bool SettleRequest::run(Loop& loop) {
  Reserved there = loop.migration().settle(*this);
  for (Deferred& one : there.deferred) loop.commands().carry_out_deferred(slot, generation, std::move(one));
  return true;
}

bool IdleRequest::run(Loop& loop) {
  loop.migration().search(*this);
  return false;
}

bool SendFileRequest::run(Loop& loop) { return loop.files().send(*this); }

bool CancelFileRequest::run(Loop& loop) {
  loop.files().cancel(*this);
  return true;
}

bool BroadcastRequest::run(Loop& loop) {
  loop.broadcaster().begin(*this);
  return false;
}

bool ReframeRequest::run(Loop& loop) {
  Entry* entry = loop.table().find(slot, generation);
  if (entry != nullptr) loop.frames().reframe(slot, *entry, framing.get(), std::move(bytes), ended);
  return true;
}

bool PrepareRelayRequest::run(Loop& loop) {
  prepared = loop.relays().prepare(slots, generations);
  for (int side = 0; prepared && side < 2; ++side) unread[side] = loop.table().slots[slots[side]].take_unread();
  return true;
}

bool RelayRequest::run(Loop& loop) { return loop.relays().start(*this); }

bool OptionsRequest::run(Loop& loop) {
  Entry* entry = loop.table().find(slot, generation);
  closed = entry == nullptr;
  if (closed) return true;
  const int fd = entry->fd.get();
  failure = set_options(fd, settings);
  if (!failure && !congestion.empty()) {
    const Result<void> set = set_congestion(fd, congestion);
    if (!set) failure = OptionFailure{set.error(), Option::kCongestion};
  }
  if (!failure) applied = AppliedOptions::of(fd);
  return true;
}

bool TcpInfoRequest::run(Loop& loop) {
  Entry* entry = loop.table().find(slot, generation);
  closed = entry == nullptr;
  if (closed) return true;
  Result<TcpInfo> read = read_tcp_info(entry->fd.get());
  if (read) {
    info = read.value();
  } else {
    error = read.error();
  }
  return true;
}

}  // namespace c1m
