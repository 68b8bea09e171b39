#include "native/net/linux/pipe.h"

#include <fcntl.h>

#include <cassert>
#include <utility>

namespace c1m {

Result<Pipe> open_pipe(int bytes) {
  int ends[2];
  if (::pipe2(ends, O_NONBLOCK | O_CLOEXEC) != 0) return Error::last("pipe2");
  Pipe pipe{Fd(ends[0]), Fd(ends[1])};
  // EPERM at the user's limit; then it holds what it holds, and that is asked of nobody.
  (void)::fcntl(ends[1], F_SETPIPE_SZ, bytes);
  return pipe;
}

Pipe PipePool::take() {
  if (in_use_ == kMaxInUse) return {};
  Pipe pipe;
  if (!kept_.empty()) {
    pipe = std::move(kept_.back());
    kept_.pop_back();
  } else {
    Result<Pipe> opened = open_pipe(kBytes);
    if (!opened) return {};
    pipe = std::move(opened.value());
  }
  ++in_use_;
  return pipe;
}

void PipePool::give(Pipe&& pipe) {
  assert(pipe.valid() && in_use_ > 0);
  --in_use_;
  if (kept_.size() < kKept) {
    kept_.push_back(std::move(pipe));
  } else {
    const Pipe dropped = std::move(pipe);
  }
}

void PipePool::discard(Pipe&& pipe) {
  assert(pipe.valid() && in_use_ > 0);
  --in_use_;
  const Pipe dropped = std::move(pipe);
}

}  // namespace c1m
