// The addon's exports. Per-environment state lives in IoThread objects alone, so that workers load it independently.

#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "native/binding/answers.h"
#include "native/binding/broadcast_answer.h"
#include "native/binding/handover_answer.h"
#include "native/binding/io_thread.h"
#include "native/binding/napi.h"
#include "native/exchange/command_batch.h"
#include "native/exchange/event_batch.h"
#include "native/exchange/inbox_registry.h"
#include "native/exchange/stats.h"
#include "native/features/accept/placement.h"
#include "native/features/groups/broadcast_request.h"
#include "native/net/options.h"
#include "native/net/tcp_info.h"
#include "native/poll/watch_set.h"
#include "native/table/timer_wheel.h"

namespace c1m {

namespace {

template <class Names>
Napi::Array names(Napi::Env env, const Names& from) {
  Napi::Array list = Napi::Array::New(env, from.size());
  for (uint32_t i = 0; i < from.size(); ++i) list.Set(i, from[i]);
  return list;
}

// The values with which lib/native/layout.ts must agree; a test compares the two.
Napi::Object layout(Napi::Env env) {
  Napi::Object result = Napi::Object::New(env);
  const auto set = [&](const char* name, auto value) {
    result.Set(name, Napi::Number::New(env, static_cast<double>(value)));
  };
  set("EVENT_WORDS", EventBatch::kRecordWords);
  set("EVENT_RECORDS", EventBatch::kRecords);
  set("MIN_READ_BYTES", EventBatch::kMinRead);
  for (size_t i = 0; i < kEventNames.size(); ++i) set(kEventNames[i], i + 1);
  set("READ_OWNED", ReadMode::kOwned);
  set("READ_BORROWED", ReadMode::kBorrowed);
  set("OWN_MEMORY", kOwnMemory);
  set("FRAMING_STOPPED", FramingNews::kStopped);
  set("FRAMING_INVALID", FramingNews::kInvalidFrame);
  set("TARGET_WORDS", sizeof(BroadcastTarget) / sizeof(uint32_t));
  set("RECENT_LISTS", TargetLists::kRecent);
  set("COMMAND_WORDS", CommandBatch::kRecordWords);
  set("COMMAND_WRITE", Command::kWrite);
  set("COMMAND_WRITE_PINNED", Command::kWritePinned);
  set("COMMAND_END", Command::kEnd);
  set("COMMAND_DESTROY", Command::kDestroy);
  set("COMMAND_RESET", Command::kReset);
  set("COMMAND_PAUSE", Command::kPause);
  set("COMMAND_RESUME", Command::kResume);
  set("COMMAND_SET_TIMEOUT", Command::kSetTimeout);
  set("COMMAND_WANT_DRAIN", Command::kWantDrain);
  set("DRAIN_WISH", kDrainWish);
  set("COMMAND_REQUEST", Command::kRequest);
  set("OWN_ERROR_FILE_TRUNCATED", OwnError::kFileTruncated);
  set("OWN_ERROR_RELAY_FAILED", OwnError::kRelayFailed);
  set("OWN_ERROR_WRITE_QUEUE_FULL", OwnError::kWriteQueueFull);
  set("OWN_ERROR_FILE_ABORTED", OwnError::kFileAborted);
  set("COMMAND_REFRAME", Command::kReframe);
  set("COMMAND_MUTE", Command::kMute);
  set("WATCH_READABLE", Watched::kReadable);
  set("WATCH_WRITABLE", Watched::kWritable);
  set("WATCH_HANGUP", Watched::kHangup);
  set("WATCH_ERROR", Watched::kError);
  set("WATCH_PRIORITY", Watched::kPriority);
  set("QUEUE_FILE_COST", QueueCost::kFile);
  set("QUEUE_MIN_COST", QueueCost::kMin);
  set("LAST_GENERATION", EntrySlab::kLastGeneration);
  result.Set("SYSCALLS", names(env, kSyscallNames));
  result.Set("PLACEMENTS", names(env, kPlacementNames));
  result.Set("TIMEOUT_KINDS", names(env, std::to_array(kTimeoutNames)));
  result.Set("STAT_NAMES", names(env, kStatNames));
  result.Set("OPTION_NAMES", names(env, kOptionNames));
  result.Set("TCP_INFO_FIELDS", names(env, kTcpInfoFields));
  return result;
}

// Reports a handler's error as an uncaught exception, immediately; if the process survives it, the batch continues.
Napi::Value report_exception(const Napi::CallbackInfo& info) {
  napi_fatal_exception(info.Env(), info[0]);
  return info.Env().Undefined();
}

// (loop, slot, generation, maxWriteQueue, bytes): called from any thread's JavaScript; copies the bytes. Returns false
// if the loop has ended, or has the max to take already.
Napi::Value write_remote(const Napi::CallbackInfo& info) {
  const std::shared_ptr<Inbox> inbox = inbox_registry::find(number(info, 0));
  if (inbox == nullptr) return Napi::Boolean::New(info.Env(), false);
  const auto bytes = info[4].As<Napi::Uint8Array>();
  if (!Inbox::takes(bytes.ByteLength())) return Napi::Boolean::New(info.Env(), false);
  RemoteWrite write{number(info, 1), number(info, 2), number(info, 3), 0, copy_of(bytes)};
  // The connection may be the wrong one, or the bytes may be missing.
  if (info.Env().failed()) return {};
  return Napi::Boolean::New(info.Env(), inbox->write(std::move(write)));
}

Napi::Object init(Napi::Env env, Napi::Object exports) {
  const bool prepared = env.prepare();
  exports.Set("IoThread", IoThread::define(env));
  exports.Set("layout", layout(env));
  exports.Set("openListeningSocket", Napi::Function::New<open_listening_socket>(env, "openListeningSocket"));
  exports.Set("takeSocket", Napi::Function::New<take_socket>(env, "takeSocket"));
  exports.Set("setDescriptorLimit", Napi::Function::New<set_descriptor_limit>(env, "setDescriptorLimit"));
  exports.Set("writeRemote", Napi::Function::New<write_remote>(env, "writeRemote"));
  exports.Set("reportException", Napi::Function::New<report_exception>(env, "reportException"));
  // Half an addon would be noticed much later.
  if (!prepared || env.failed(true)) env.raise();
  return exports;
}

}  // namespace

}  // namespace c1m

NAPI_MODULE_INIT() { return c1m::init(env, Napi::Object(env, exports)); }
