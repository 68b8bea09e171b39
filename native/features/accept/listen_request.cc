#include "native/features/accept/listen_request.h"

#include <utility>

namespace c1m {

bool ListenRequest::open(const FileTable& files, Listening& listening) {
  // What it brings must not go with this request, which the JS thread deletes.
  Spread brought_spread = std::move(spread);
  Fd given;  // the socket of `spec.fd`, where the loop has a file table of its own
  const Result<void> brought = bring(files, brought_spread, given);
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
  listening.spread = std::move(brought_spread);
  return true;
}

Result<void> ListenRequest::bring(const FileTable& files, Spread& to, Fd& given) {
  if (spec.fd >= 0 && files.is_own()) {
    Result<Fd> brought = files.bring_number(spec.fd);
    if (!brought) return brought.error();
    given = std::move(brought.value());
    spec.fd = given.get();
  }
  std::vector<Fd> own;
  for (Fd& passage : passages) {
    Result<Fd> brought = files.bring(passage);
    if (!brought) return brought.error();
    own.push_back(std::move(brought.value()));
  }
  to.set_passages(std::move(own));
  return {};
}

}  // namespace c1m
