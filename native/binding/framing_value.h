#pragma once

#include <memory>
#include <vector>

#include "native/binding/napi.h"
#include "native/conn/framer.h"

namespace c1m {

// Of { delimiter, maxFrameBytes } or { lengthBytes, littleEndian, includesHeader, maxFrameBytes }, which lib/framing.ts has
// checked; null of anything but an object.
std::unique_ptr<const Framing> to_framing(const Napi::Value& value);

// Frames with memory of their own as Buffers, which copy it; undefined for none. One that there is no memory for is missing.
Napi::Value to_buffers(Napi::Env env, std::vector<OwnFrame>& frames);

}  // namespace c1m
