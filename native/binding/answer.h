#pragma once

#include <cstddef>
#include <cstdint>

#include "native/binding/napi.h"

namespace c1m {

inline uint32_t number(const Napi::CallbackInfo& info, size_t at) { return info[at].As<Napi::Number>().Uint32Value(); }

// A request that is made of JavaScript's arguments (batch, callback, …), and replies with a call of that function.
template <class Request>
class Answer : public Request {
 public:
  explicit Answer(const Napi::CallbackInfo& info) : callback_(Napi::Persistent(info[1].As<Napi::Function>())) {}

 protected:
  Napi::FunctionReference callback_;
};

// (batch, callback, slot, generation, …): one about a connection. `Request` is a ConnectionRequest.
template <class Request>
class ConnectionAnswer : public Answer<Request> {
 public:
  explicit ConnectionAnswer(const Napi::CallbackInfo& info) : Answer<Request>(info) {
    this->slot = number(info, 2);
    this->generation = number(info, 3);
  }
};

}  // namespace c1m
