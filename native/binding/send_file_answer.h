#pragma once

#include "native/binding/connection_answer.h"
#include "native/binding/napi.h"
#include "native/features/files/send_file_request.h"

namespace c1m {

// A request as in answers.h: it replies with a number of bytes, { errno, syscall }, { own: OwnError } or { closed: true
// }.
class SendFileAnswer final : public SendFileRequest {
 public:
  // spec: { slot, generation, id, path, fd, start, end, maxWriteQueue }; `path` is a string or bytes; without it there
  // is `fd`, which stays the caller's: the constructor duplicates it.
  SendFileAnswer(const Napi::Function& callback, const Napi::Object& spec);
  bool run(Loop& loop) override;
  void answer() override;

 private:
  Napi::FunctionReference callback_;
};

class CancelFileAnswer final : public ConnectionAnswer<CancelFileRequest> {
 public:
  CancelFileAnswer(const Napi::Function& callback, uint32_t of_slot, uint32_t of_generation, uint32_t of_id)
      : ConnectionAnswer(callback, of_slot, of_generation) {
    id = of_id;
  }
  void answer() override { callback_.Call({}); }
};

}  // namespace c1m
