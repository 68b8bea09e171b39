#include "native/features/frames/reframe_request.h"

#include <utility>

#include "native/loop/loop.h"

namespace c1m {

bool ReframeRequest::run(Loop& loop) {
  Entry* entry = loop.find(slot, generation);
  if (entry != nullptr) loop.reframe(slot, *entry, framing.get(), std::move(bytes), ended);
  return true;
}

}  // namespace c1m
