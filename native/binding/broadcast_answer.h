#pragma once

#include <array>
#include <memory>

#include "native/binding/answer.h"
#include "native/binding/napi.h"
#include "native/features/groups/broadcast_request.h"

namespace c1m {

class IoThread;

// Copies of the lists of targets of the last few broadcasts, as long as these are in progress: a broadcast to the same
// targets shares the copy. Owner: an IoThread. Thread: the JS thread's; the lists never change.
class TargetLists {
 public:
  using List = std::shared_ptr<const Bytes>;
  // lib/native/layout.ts has the same number.
  static constexpr size_t kRecent = 8;

  // Returns null if there is no memory for the copy.
  [[nodiscard]] List of(const BroadcastTarget* first, uint32_t count);

 private:
  std::array<std::weak_ptr<const Bytes>, kRecent> recent_;
  size_t oldest_ = 0;
};

// (batch, callback, bytes, pinned, targets, count, except): a broadcast, which replies with (reached, queued, cut).
// `pinned`: the bytes are sent from where they lie; otherwise they are copied.
class BroadcastAnswer final : public Answer<BroadcastRequest> {
 public:
  BroadcastAnswer(const Napi::CallbackInfo& info, IoThread& thread);
  ~BroadcastAnswer() override;
  // Appends bytes, before the broadcast is published; it isn't pinned. Returns false if there is no memory for them.
  [[nodiscard]] bool append(const Napi::Uint8Array& bytes) { return payload->append(bytes.Data(), bytes.ByteLength()); }
  void answer() override;
};

}  // namespace c1m
