#include "native/binding/broadcast_answer.h"

#include <cstring>
#include <type_traits>
#include <utility>

namespace c1m {

TargetLists::List TargetLists::of(const BroadcastTarget* first, uint32_t count) {
  static_assert(std::has_unique_object_representations_v<BroadcastTarget>, "they are compared byte by byte");
  for (const auto& one : recent_) {
    List list = one.lock();
    if (list != nullptr && list->size() == count &&
        std::memcmp(list->data(), first, count * sizeof(BroadcastTarget)) == 0) {
      return list;
    }
  }
  List list = std::make_shared<const std::vector<BroadcastTarget>>(first, first + count);
  recent_[oldest_] = list;
  oldest_ = (oldest_ + 1) % recent_.size();
  return list;
}

BroadcastAnswer::BroadcastAnswer(const Napi::Function& callback, const Napi::Uint8Array& bytes, bool pinned,
                                 TargetLists::List list, const Napi::Value& without)
    : callback_(Napi::Persistent(callback)) {
  targets = std::move(list);
  if (without.IsNumber()) except = without.As<Napi::Number>().Uint32Value();
  const size_t length = bytes.ByteLength();
  // More than any queue may hold is sent to nobody: only the length is looked at.
  if (length > UINT32_MAX) {
    payload = SharedPayload::of(nullptr, length);
    return;
  }
  if (!pinned) {
    std::unique_ptr<uint8_t[]> copy = copy_of(bytes);
    if (copy != nullptr) payload = SharedPayload::of(std::move(copy), length);
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
