#include "native/binding/send_file_answer.h"

#include <utility>

#include "native/exchange/event_batch.h"
#include "native/net/file.h"

namespace c1m {

namespace {

// Paths are bytes; a string is UTF-8, as everywhere in Node.
std::string to_path(const Napi::Value& value) {
  if (value.IsString()) return value.As<Napi::String>().Utf8Value();
  const auto bytes = value.As<Napi::Uint8Array>();
  return std::string(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
}

}  // namespace

SendFileAnswer::SendFileAnswer(const Napi::CallbackInfo& info) : Answer(info) {
  const auto spec = info[2].As<Napi::Object>();
  slot = spec.Get("slot").ToNumber().Uint32Value();
  generation = spec.Get("generation").ToNumber().Uint32Value();
  file.id = spec.Get("id").ToNumber().Uint32Value();
  file.offset = static_cast<uint64_t>(spec.Get("start").ToNumber().Int64Value());
  const Napi::Value end = spec.Get("end");
  if (end.IsNumber()) file.end = static_cast<uint64_t>(end.ToNumber().Int64Value());
  max_write_queue = spec.Get("maxWriteQueue").ToNumber().Uint32Value();
  const Napi::Value from = spec.Get("path");
  if (!from.IsUndefined()) {
    path = to_path(from);
    return;
  }
  Result<Fd> copy = duplicate_file(spec.Get("fd").ToNumber().Int32Value());
  if (copy) {
    source = std::move(copy.value());
  } else {
    error = copy.error();
  }
}

bool SendFileAnswer::run(Loop& loop) { return error ? true : SendFileRequest::run(loop); }

void SendFileAnswer::answer() {
  const Napi::Env env = callback_.Env();
  if (!closed && !aborted && !full && !file.truncated && !error) {
    callback_.Call({Napi::Number::New(env, static_cast<double>(file.sent))});
    return;
  }
  Napi::Object result = Napi::Object::New(env);
  if (closed) {
    result.Set("closed", true);
  } else if (aborted || full || file.truncated) {
    const OwnError own = aborted ? OwnError::kFileAborted : full ? OwnError::kWriteQueueFull : OwnError::kFileTruncated;
    result.Set("own", Napi::Number::New(env, static_cast<double>(own)));
  } else {
    result.Set("errno", error.code);
    result.Set("syscall", error.syscall);
  }
  callback_.Call({result});
}

}  // namespace c1m
