#include "native/binding/move_answer.h"

#include <algorithm>
#include <utility>

#include "native/binding/io_thread.h"
#include "native/exchange/event_batch.h"
#include "native/net/descriptor.h"

namespace c1m {

void ReserveAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (full) {
    callback_.Call({});
    return;
  }
  Napi::Array place = Napi::Array::New(env, 2);
  place.Set(uint32_t{0}, Napi::Number::New(env, slot));
  place.Set(uint32_t{1}, Napi::Number::New(env, generation));
  callback_.Call({place});
}

ReleaseAnswer::ReleaseAnswer(const Napi::CallbackInfo& info, const IoThread& thread)
    : ConnectionAnswer(info), passage_(thread.passage()) {}

void ReleaseAnswer::answer() {
  if (parcel == nullptr) {
    callback_.Call({});
    return;
  }
  const Napi::Env env = callback_.Env();
  if (passage_ >= 0) {
    Result<Fd> received = receive_descriptor(passage_);
    if (!received) {
      Napi::Object lost = Napi::Object::New(env);
      lost.Set("errno", received.error().code);
      lost.Set("syscall", static_cast<uint32_t>(Syscall::kRead));
      lost.Set("lost", true);
      callback_.Call({lost});
      return;
    }
    parcel->fd = std::move(received.value());
  }
  callback_.Call({Napi::External<Parcel>::New(env, std::move(parcel))});
}

SettleAnswer::SettleAnswer(const Napi::CallbackInfo& info) : Answer(info) {
  slot = number(info, 2);
  generation = number(info, 3);
  const Napi::Value outcome = info[4];
  if (outcome.IsExternal()) {
    Parcel* given = outcome.As<Napi::External<Parcel>>().Data();
    if (given != nullptr) parcel = std::make_unique<Parcel>(std::move(*given));
  } else if (outcome.IsObject()) {
    const auto failure = outcome.As<Napi::Object>();
    error = static_cast<uint16_t>(failure.Get("errno").ToNumber().Uint32Value());
    error_syscall = static_cast<uint8_t>(failure.Get("syscall").ToNumber().Uint32Value());
    lost = failure.Get("lost").ToBoolean();
  } else {
    abandoned = true;
  }
}

void IdleAnswer::answer() {
  Napi::Uint32Array places = Napi::Uint32Array::New(callback_.Env(), found.size());
  if (places.Data() != nullptr) std::copy(found.begin(), found.end(), places.Data());
  callback_.Call({places});
}

}  // namespace c1m
