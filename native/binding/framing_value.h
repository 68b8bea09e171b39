#pragma once

#include <memory>
#include <vector>

#include "native/binding/napi.h"
#include "native/conn/framer.h"

namespace c1m {

// Makes a framing of { delimiter, maxFrameBytes } or { lengthBytes, littleEndian, includesHeader, maxFrameBytes },
// which lib/options/framing.ts has checked; null for anything but an object.
std::unique_ptr<const Framing> to_framing(const Napi::Value& value);

// Returns a copy of these bytes; null for none. It is null for lack of memory as well, and a failure is noted.
std::unique_ptr<Framer> to_framer(const Napi::Uint8Array& bytes);
// Returns the bytes as a Buffer.
Napi::Value to_buffer(Napi::Env env, const Framer* bytes);

// Returns frames with memory of their own as Buffers, which copy it; undefined for none. A frame that there is no
// memory for is missing.
Napi::Value to_buffers(Napi::Env env, std::vector<OwnFrame>& frames);

}  // namespace c1m
