#pragma once

#include "native/binding/answer.h"
#include "native/binding/napi.h"
#include "native/features/handover/migration.h"

namespace c1m {

class IoThread;

// (batch, callback, flushed, muted, maxWriteQueue)
class ReserveAnswer final : public Answer<ReserveRequest> {
 public:
  explicit ReserveAnswer(const Napi::CallbackInfo& info) : Answer(info) {
    flushed = number(info, 2);
    muted = info[3].ToBoolean();
    max_write_queue = number(info, 4);
  }
  // Replies with [slot, generation], or nothing if there is no slot.
  void answer() override;
};

// (batch, callback, slot, generation)
class ReleaseAnswer final : public ConnectionAnswer<ReleaseRequest> {
 public:
  ReleaseAnswer(const Napi::CallbackInfo& info, const IoThread& thread);
  // Replies with the parcel, for finishMove(); with nothing if the connection has closed; with { errno, syscall } if it was
  // lost between two file tables.
  void answer() override;

 private:
  int passage_;  // the end at which its socket arrives, if the I/O thread has a file table of its own
};

// (batch, callback, slot, generation, outcome): a parcel; { errno, syscall }, with the syscall as in a kClose; or nothing
// if the connection won't come.
class SettleAnswer final : public Answer<SettleRequest> {
 public:
  explicit SettleAnswer(const Napi::CallbackInfo& info);
  void answer() override { callback_.Call({}); }
};

// (batch, callback, milliseconds, max)
class IdleAnswer final : public Answer<IdleRequest> {
 public:
  explicit IdleAnswer(const Napi::CallbackInfo& info) : Answer(info) {
    ms = number(info, 2);
    max = number(info, 3);
  }
  // Replies with a Uint32Array: slot and generation of each.
  void answer() override;
};

}  // namespace c1m
