#include "native/binding/broadcast_answer.h"

#include <algorithm>

namespace c1m {

BroadcastAnswer::BroadcastAnswer(const Napi::Function& callback, const Napi::Uint8Array& bytes, bool pinned,
                                 const Napi::Uint32Array& list, uint32_t count, const Napi::Value& without)
    : callback_(Napi::Persistent(callback)) {
  const auto* first = reinterpret_cast<const BroadcastTarget*>(list.Data());
  const size_t there = list.ElementLength() * sizeof(uint32_t) / sizeof(BroadcastTarget);
  targets.assign(first, first + std::min<size_t>(count, there));
  if (without.IsNumber()) except = without.As<Napi::Number>().Uint32Value();
  const size_t length = bytes.ByteLength();
  // More than any queue may hold is sent to nobody: only the length is looked at.
  if (length > UINT32_MAX) {
    payload = SharedPayload::of(nullptr, length);
    return;
  }
  if (!pinned) {
    payload = SharedPayload::copy_of(bytes.Data(), length);
    return;
  }
  napi_ref owner = nullptr;
  if (!bytes.Env().ok(napi_create_reference(bytes.Env(), bytes, 1, &owner))) return;
  payload = new SharedPayload;
  payload->length = length;
  payload->owner = owner;
  payload->data = bytes.Data();
}

BroadcastAnswer::~BroadcastAnswer() {
  // It never came to its end, and nobody else will release the buffer.
  if (payload != nullptr && payload->owner != nullptr) {
    napi_delete_reference(callback_.Env(), static_cast<napi_ref>(payload->owner));
  }
}

void BroadcastAnswer::answer() {
  const Napi::Env env = callback_.Env();
  callback_.Call({Napi::Number::New(env, reached), Napi::Number::New(env, queued), Napi::Number::New(env, cut)});
}

}  // namespace c1m
