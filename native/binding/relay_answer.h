#pragma once

#include "native/binding/connection_answer.h"
#include "native/binding/framing_value.h"
#include "native/binding/napi.h"
#include "native/features/relay/relay_request.h"

namespace c1m {

class PrepareRelayAnswer final : public PrepareRelayRequest {
 public:
  // places: [slot of a, generation of a, slot of b, generation of b]
  PrepareRelayAnswer(const Napi::Function& callback, const Napi::Array& places) : callback_(Napi::Persistent(callback)) {
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

 private:
  Napi::FunctionReference callback_;
};

class RelayAnswer final : public ConnectionAnswer<RelayRequest> {
 public:
  RelayAnswer(const Napi::Function& callback, uint32_t of_slot, uint32_t of_generation)
      : ConnectionAnswer(callback, of_slot, of_generation) {}
  // Replies with [bytes from a, bytes from b], exact up to 2^53.
  void answer() override {
    const Napi::Env env = callback_.Env();
    Napi::Array both = Napi::Array::New(env, 2);
    for (uint32_t side = 0; side < 2; ++side) both.Set(side, Napi::Number::New(env, static_cast<double>(bytes[side])));
    callback_.Call({both});
  }
};

}  // namespace c1m
