#include "native/binding/broadcast_answer.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "native/binding/io_thread.h"

namespace c1m {

TargetLists::List TargetLists::of(const BroadcastTarget* first, uint32_t count) {
  static_assert(std::has_unique_object_representations_v<BroadcastTarget>, "they are compared byte by byte");
  const size_t size = count * sizeof(BroadcastTarget);
  for (const auto& one : recent_) {
    List same = one.lock();
    if (same != nullptr && same->size() == size && std::memcmp(same->data(), first, size) == 0) return same;
  }
  Bytes copy;
  if (!copy.append(reinterpret_cast<const uint8_t*>(first), size)) return nullptr;
  List list = std::make_shared<const Bytes>(std::move(copy));
  recent_[oldest_] = list;
  oldest_ = (oldest_ + 1) % recent_.size();
  return list;
}

BroadcastAnswer::BroadcastAnswer(const Napi::CallbackInfo& info, IoThread& thread) : Answer(info) {
  const auto bytes = info[2].As<Napi::Uint8Array>();
  const auto targets = info[4].As<Napi::Uint32Array>();
  const size_t there = targets.ElementLength() * sizeof(uint32_t) / sizeof(BroadcastTarget);
  const auto count = static_cast<uint32_t>(std::min<size_t>(number(info, 5), there));
  list = thread.target_lists().of(reinterpret_cast<const BroadcastTarget*>(targets.Data()), count);
  if (list == nullptr) {
    bytes.Env().note(true);
    return;
  }
  if (info[6].IsNumber()) except = number(info, 6);
  const size_t length = bytes.ByteLength();
  // A broadcast above the max of any queue reaches no connection: only its length is used.
  if (length > UINT32_MAX) {
    payload = new SharedPayload;
    payload->length = length;
    return;
  }
  if (!info[3].ToBoolean()) {
    payload = SharedPayload::of(copy_of(bytes));
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
  // The broadcast was never completed, so the buffer is released here.
  if (payload != nullptr && payload->owner != nullptr) {
    napi_delete_reference(callback_.Env(), static_cast<napi_ref>(payload->owner));
  }
}

void BroadcastAnswer::answer() {
  const Napi::Env env = callback_.Env();
  callback_.Call({Napi::Number::New(env, reached), Napi::Number::New(env, queued), Napi::Number::New(env, cut)});
}

}  // namespace c1m
