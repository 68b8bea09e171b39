#pragma once

#include "native/binding/napi.h"
#include "native/loop/broadcast_request.h"

namespace c1m {

// A broadcast from JavaScript, answered with (reached, queued, cut).
class BroadcastAnswer final : public BroadcastRequest {
 public:
  // `targets` is copied, `count` of them. `pinned`: the bytes are sent from where they lie; otherwise they are copied.
  BroadcastAnswer(const Napi::Function& callback, const Napi::Uint8Array& bytes, bool pinned,
                  const Napi::Uint32Array& targets, uint32_t count, const Napi::Value& except);
  ~BroadcastAnswer() override;
  void answer() override;

 private:
  Napi::FunctionReference callback_;
};

}  // namespace c1m
