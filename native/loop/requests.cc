#include "native/loop/requests.h"

#include "native/loop/loop.h"

namespace c1m {

AppliedOptions AppliedOptions::of(int fd) {
  AppliedOptions applied;
  applied.settings = get_options(fd);
  Result<std::string> congestion = get_congestion(fd);
  if (congestion) applied.congestion = std::move(congestion.value());
  return applied;
}

bool ListenRequest::open(Loop& loop, Listening& listening) {
  // What it brings must not go with this request, which the JS thread deletes.
  Spread ours = std::move(spread);
  Fd given;  // the socket of `spec.fd`, where the loop has a file table of its own
  const Result<void> brought = bring(loop, ours, given);
  const Result<void> known = !brought || spec.fd < 0 ? brought : inspect_listener(spec);
  if (!known) {
    failure = OptionFailure{known.error(), {}};
    return false;
  }
  ListenOutcome outcome = open_listener(spec);
  failure = outcome.failure;
  if (!outcome.ok()) return false;
  Result<Address> local = Address::local_of(outcome.fd.get());
  if (!local) {
    failure = OptionFailure{local.error(), {}};
    return false;
  }
  bound = local.value();
  applied = AppliedOptions::of(outcome.fd.get());
  listening.fd = std::move(outcome.fd);
  listening.file = std::move(outcome.file);
  listening.spread = std::move(ours);
  return true;
}

Result<void> ListenRequest::bring(Loop& loop, Spread& to, Fd& given) {
  if (spec.fd >= 0 && loop.file_table().is_own()) {
    Result<Fd> brought = loop.file_table().bring_number(spec.fd);
    if (!brought) return brought.error();
    given = std::move(brought.value());
    spec.fd = given.get();
  }
  std::vector<Fd> ours;
  for (Fd& passage : passages) {
    Result<Fd> brought = loop.file_table().bring(passage);
    if (!brought) return brought.error();
    ours.push_back(std::move(brought.value()));
  }
  to.set_passages(std::move(ours));
  return {};
}

bool ListenRequest::run(Loop& loop) {
  Listening listening;
  if (accepts && !open(loop, listening)) return true;
  listening.connections = connections;
  listening.after_accept = settings_after_accept(spec);
  const Result<void> added = loop.acceptor().add(loop, std::move(listening));
  if (!added) failure = OptionFailure{added.error(), {}};
  return true;
}

bool CloseListenerRequest::run(Loop& loop) { return loop.acceptor().close(loop, *this); }

bool OptionsRequest::run(Loop& loop) {
  Entry* entry = loop.find(slot, generation);
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
  Entry* entry = loop.find(slot, generation);
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

bool ConnectRequest::run(Loop& loop) { return loop.connector().start(loop, *this); }

bool FenceRequest::run(Loop& loop) { return loop.connector().pass(*this); }

bool CancelConnectRequest::run(Loop& loop) {
  loop.connector().cancel(loop, context);
  return true;
}

}  // namespace c1m
