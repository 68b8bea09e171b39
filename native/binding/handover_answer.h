#pragma once

#include "native/binding/answer.h"
#include "native/binding/napi.h"
#include "native/features/handover/adopt_detach.h"

namespace c1m {

class IoThread;

// (fd, duplicate, away): makes a connected stream socket ready to be taken over, and returns the descriptor to pass to
// adopt(). It is a new one if `duplicate`, and no longer owned by this environment if `away`. Returns { errno, syscall
// } on a failure, and then nothing has happened.
Napi::Value take_socket(const Napi::CallbackInfo& info);

// (count): sets the number of descriptors that the process may have open; { errno, syscall } if the system refuses.
Napi::Value set_descriptor_limit(const Napi::CallbackInfo& info);

// (batch, callback, spec): { fd, unread, connection }; the request owns the descriptor from here on.
class AdoptAnswer final : public Answer<AdoptRequest> {
 public:
  explicit AdoptAnswer(const Napi::CallbackInfo& info);
  // Replies with the slot, or { errno, syscall }, or { full: true }.
  void answer() override;
};

// (batch, callback, slot, generation)
class DetachAnswer final : public ConnectionAnswer<DetachRequest> {
 public:
  DetachAnswer(const Napi::CallbackInfo& info, const IoThread& thread);
  // Replies with { fd, unread, unsent }, whose descriptor belongs to JavaScript from here on.
  void answer() override;

 private:
  int passage_;  // the end at which its socket arrives, if the I/O thread has a file table of its own
};

}  // namespace c1m
