#pragma once

#include <cstdint>

#include "native/binding/napi.h"

namespace c1m {

// A request about a connection that replies with a call of JavaScript's function. `Request` is a ConnectionRequest.
template <class Request>
class ConnectionAnswer : public Request {
 protected:
  ConnectionAnswer(const Napi::Function& callback, uint32_t of_slot, uint32_t of_generation)
      : callback_(Napi::Persistent(callback)) {
    this->slot = of_slot;
    this->generation = of_generation;
  }

  Napi::FunctionReference callback_;
};

}  // namespace c1m
