#pragma once

#include "native/binding/answer.h"
#include "native/binding/framing_value.h"
#include "native/binding/napi.h"
#include "native/features/relay/relay_request.h"

namespace c1m {

// (batch, callback, [slot of a, generation of a, slot of b, generation of b])
class PrepareRelayAnswer final : public Answer<PrepareRelayRequest> {
 public:
  explicit PrepareRelayAnswer(const Napi::CallbackInfo& info) : Answer(info) {
    const auto places = info[2].As<Napi::Array>();
    for (uint32_t side = 0; side < 2; ++side) {
      slots[side] = places.Get(side * 2).ToNumber().Uint32Value();
      generations[side] = places.Get(side * 2 + 1).ToNumber().Uint32Value();
    }
  }
  // Replies with [unread of a, unread of b] if they are prepared.
  void answer() override {
    const Napi::Env env = callback_.Env();
    if (!prepared) {
      callback_.Call({Napi::Boolean::New(env, false)});
      return;
    }
    Napi::Array both = Napi::Array::New(env, 2);
    for (uint32_t side = 0; side < 2; ++side) {
      both.Set(side, to_buffer(env, unread[side].get()));
    }
    callback_.Call({both});
  }
};

// (batch, callback, slot, generation)
class RelayAnswer final : public ConnectionAnswer<RelayRequest> {
 public:
  using ConnectionAnswer::ConnectionAnswer;
  // Replies with [bytes from a, bytes from b], exact up to 2^53.
  void answer() override {
    const Napi::Env env = callback_.Env();
    Napi::Array both = Napi::Array::New(env, 2);
    for (uint32_t side = 0; side < 2; ++side) both.Set(side, Napi::Number::New(env, static_cast<double>(bytes[side])));
    callback_.Call({both});
  }
};

}  // namespace c1m
