#pragma once

#include <memory>
#include <vector>

#include "native/binding/napi.h"
#include "native/conn/framer.h"

namespace c1m {

// Of { delimiter, maxFrameBytes } or { lengthBytes, littleEndian, includesHeader, maxFrameBytes }, which
// lib/options/framing.ts has checked; null of anything but an object.
std::unique_ptr<const Framing> to_framing(const Napi::Value& value);

// A copy of these bytes; null of none. For want of memory it is null as well, and a failure is noted.
std::unique_ptr<Framer> to_framer(const Napi::Uint8Array& bytes);
// Back again, as a Buffer.
Napi::Value to_buffer(Napi::Env env, const Framer* bytes);

// Frames with memory of their own as Buffers, which copy it; undefined for none. One that there is no memory for is missing.
Napi::Value to_buffers(Napi::Env env, std::vector<OwnFrame>& frames);

}  // namespace c1m
