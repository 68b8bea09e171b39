#include "native/binding/framing_value.h"

namespace c1m {

std::unique_ptr<const Framing> to_framing(const Napi::Value& value) {
  if (!value.IsObject()) return nullptr;
  const auto from = value.As<Napi::Object>();
  auto framing = std::make_unique<Framing>();
  framing->max_frame_bytes = from.Get("maxFrameBytes").ToNumber().Uint32Value();
  const Napi::Value delimiter = from.Get("delimiter");
  if (delimiter.IsTypedArray()) {
    const auto bytes = delimiter.As<Napi::Uint8Array>();
    framing->kind = Framing::Kind::kDelimited;
    framing->delimiter.assign(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
    return framing;
  }
  framing->kind = Framing::Kind::kLengthPrefixed;
  framing->length_bytes = static_cast<uint8_t>(from.Get("lengthBytes").ToNumber().Uint32Value());
  framing->little_endian = from.Get("littleEndian").ToBoolean();
  framing->includes_header = from.Get("includesHeader").ToBoolean();
  return framing;
}

std::unique_ptr<Framer> to_framer(const Napi::Uint8Array& bytes) {
  if (bytes.ByteLength() == 0) return nullptr;
  auto copy = std::make_unique<Framer>();
  if (copy->append(bytes.Data(), bytes.ByteLength())) return copy;
  bytes.Env().note(true);
  return nullptr;
}

Napi::Value to_buffer(Napi::Env env, const Framer* bytes) {
  return bytes == nullptr ? Napi::copy_buffer(env, nullptr, 0) : Napi::copy_buffer(env, bytes->data(), bytes->size());
}

Napi::Value to_buffers(Napi::Env env, std::vector<OwnFrame>& frames) {
  if (frames.empty()) return env.Undefined();
  const Napi::Array buffers = Napi::Array::New(env, frames.size());
  const bool made = !env.failed(true);
  uint32_t index = 0;
  for (OwnFrame& frame : frames) {
    const Napi::Value buffer = Napi::copy_buffer(env, frame.memory.get() + frame.offset, frame.length);
    if (env.failed(true)) {
      env.forget();
    } else if (made) {
      buffers.Set(index, buffer);
    }
    ++index;
    frame.memory.reset();
  }
  frames.clear();
  env.note(false);
  return made ? Napi::Value(buffers) : env.Undefined();
}

}  // namespace c1m
