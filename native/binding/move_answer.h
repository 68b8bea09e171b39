#pragma once

#include "native/binding/connection_answer.h"
#include "native/binding/napi.h"
#include "native/features/handover/migration.h"

namespace c1m {

class ReserveAnswer final : public ReserveRequest {
 public:
  ReserveAnswer(const Napi::Function& callback, uint32_t counter, bool mute, uint32_t limit)
      : callback_(Napi::Persistent(callback)) {
    flushed = counter;
    muted = mute;
    max_write_queue = limit;
  }
  // Replies with [slot, generation], or nothing if there is no slot.
  void answer() override;

 private:
  Napi::FunctionReference callback_;
};

class ReleaseAnswer final : public ConnectionAnswer<ReleaseRequest> {
 public:
  // `passage`: the end at which its socket arrives, if the I/O thread has a file table of its own.
  ReleaseAnswer(const Napi::Function& callback, uint32_t of_slot, uint32_t of_generation, int passage)
      : ConnectionAnswer(callback, of_slot, of_generation), passage_(passage) {}
  // Replies with the parcel, for settle(); with nothing if the connection has closed; with { errno, syscall } if it was
  // lost between two file tables.
  void answer() override;

 private:
  int passage_;
};

class SettleAnswer final : public SettleRequest {
 public:
  // outcome: a parcel; { errno, syscall }, with the syscall as in a kClose; or nothing if the connection won't come.
  SettleAnswer(const Napi::Function& callback, uint32_t in_slot, uint32_t of_generation, const Napi::Value& outcome);
  void answer() override { callback_.Call({}); }

 private:
  Napi::FunctionReference callback_;
};

class IdleAnswer final : public IdleRequest {
 public:
  IdleAnswer(const Napi::Function& callback, uint32_t idle_ms, uint32_t count) : callback_(Napi::Persistent(callback)) {
    ms = idle_ms;
    max = count;
  }
  // Replies with a Uint32Array: slot and generation of each.
  void answer() override;

 private:
  Napi::FunctionReference callback_;
};

}  // namespace c1m
