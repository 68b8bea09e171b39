#pragma once

#include "native/binding/answer.h"
#include "native/binding/napi.h"
#include "native/features/files/send_file_request.h"

namespace c1m {

// (batch, callback, spec): { slot, generation, id, path, fd, start, end, maxWriteQueue }; `path` is a string or bytes;
// without it there is `fd`, which stays the caller's: the constructor duplicates it.
class SendFileAnswer final : public Answer<SendFileRequest> {
 public:
  explicit SendFileAnswer(const Napi::CallbackInfo& info);
  bool run(Loop& loop) override;
  // Replies with a number of bytes, { errno, syscall }, { own: OwnError } or { closed: true }.
  void answer() override;
};

// (batch, callback, slot, generation, id)
class CancelFileAnswer final : public ConnectionAnswer<CancelFileRequest> {
 public:
  explicit CancelFileAnswer(const Napi::CallbackInfo& info) : ConnectionAnswer(info) { id = number(info, 4); }
  void answer() override { callback_.Call({}); }
};

}  // namespace c1m
